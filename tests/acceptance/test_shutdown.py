"""The end: safe or forced, from anywhere, once or often, and by our own fault."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from facade_jobs import Daemon, Held, Named, Sleeps, Stubborn, Tells
from watching import LIMIT, SECONDLY, Watcher, settings

from procsched import AuditAgent, Auditor, Outcome, Scheduler, Trail, engine
from procsched.errors import SchedulerError
from procsched.store.history import SqliteHistory

if TYPE_CHECKING:
    from collections.abc import Callable


def alive(pids: list[int]) -> list[int]:
    """Return which processes have not gone within the limit."""
    found = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return [each.pid for each in psutil.wait_procs(found, timeout=LIMIT)[1]]


def test_shutdown_is_idempotent_from_any_thread(trail: Watcher) -> None:
    sc = Scheduler(True, settings=settings(schedule=SECONDLY))
    sc.schedule_job(Named("job"), run_continuous=True)
    sc.start()
    trail.until("run.started")
    said: list[bool] = []

    threads = [
        threading.Thread(target=lambda: said.append(sc.shutdown())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)

    assert said == [True] * 8
    assert sc.shutdown()
    assert sc.shutdown(force=True)
    assert len(trail.find("scheduler.stopping")) == 1


def test_shutdown_before_the_start_ends_it() -> None:
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Named("job"))

    assert sc.shutdown(force=True)

    assert sc.wait(0)
    assert [each.job for each in sc.jobs()] == ["job"]
    assert sc.runs() == []
    with pytest.raises(SchedulerError, match="this Scheduler has been shut down"):
        sc.start()


def test_a_timeout_says_that_it_has_not_ended(
    trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Held("held", fifo), run_continuous=True)
        sc.start()
        sc.trigger("held")
        trail.until("at work")

        assert sc.shutdown(timeout=0.01) is False
        assert sc.wait(0.01) is False
        let_go()
        assert sc.wait(LIMIT) is True

    assert sc.runs()[0].outcome == Outcome.SUCCEEDED


def test_force_overtakes_a_safe_shutdown(trail: Watcher) -> None:
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Sleeps("job"), run_continuous=True)
    sc.start()
    sc.trigger("job")
    at_work = trail.until("at work")
    assert not sc.shutdown(timeout=0)

    assert sc.shutdown(force=True)

    (run,) = sc.runs()
    assert (run.outcome, run.reason) == (
        Outcome.CANCELLED,
        "ended by a forced shutdown (shutdown(force=True))",
    )
    assert alive([at_work.comments]) == []


def test_force_kills_what_heeds_no_stop_and_what_has_left_the_tree(
    trail: Watcher,
) -> None:
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Stubborn("stubborn"), run_continuous=True)
    sc.schedule_job(Daemon("daemon"))
    sc.start()
    for name in ("stubborn", "daemon"):
        sc.trigger(name)
    pids = [trail.until("at work", "stubborn").comments]
    pids += trail.until("at work", "daemon").comments

    assert sc.shutdown(force=True)

    assert alive(pids) == []
    assert {run.outcome for run in sc.runs()} == {Outcome.CANCELLED}
    assert not psutil.Process().children()


class Ender(AuditAgent):
    """Shuts its scheduler down when it hears of a run."""

    def __init__(self, sc: Scheduler) -> None:
        self._sc = sc
        self.said: list[bool] = []

    def capture(self, trail: Trail) -> None:
        if trail.operation == "run.ended" and not self.said:
            self.said.append(self._sc.shutdown())


def test_an_audit_agent_may_shut_down_what_it_listens_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end waits for agents that are slow, and this one waits for the end."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0.2)
    sc = Scheduler(True, settings=settings())
    ender = Ender(sc)
    Auditor.add_agent("ender", ender)
    sc.schedule_job(Named("job"), run_continuous=True)
    sc.start()

    sc.trigger("job")

    assert sc.wait(LIMIT)
    Auditor.remove_agent("ender")
    assert ender.said == [True]


def test_leaving_the_block_is_a_safe_shutdown(trail: Watcher) -> None:
    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Tells("job"), run_continuous=True)
        sc.start()
        for _ in range(3):
            sc.trigger("job")

    assert sc.wait(0)
    assert [run.outcome for run in sc.runs()] == [Outcome.SUCCEEDED] * 3
    assert trail.find("scheduler.stopping")[0].status == "safe"


class PlantedError(Exception):
    """What the block, or the history, raises."""


def test_leaving_the_block_by_an_exception_is_a_forced_one(trail: Watcher) -> None:
    with pytest.raises(PlantedError), Scheduler(True, settings=settings()) as sc:  # noqa: PT012
        sc.schedule_job(Sleeps("job"), run_continuous=True)
        sc.start()
        sc.trigger("job")
        trail.until("at work")
        raise PlantedError

    assert sc.wait(0)
    assert sc.runs()[0].outcome == Outcome.CANCELLED


def faulty_write(monkeypatch: pytest.MonkeyPatch, trail: Watcher) -> Callable[[], None]:
    """Return what makes the history raise, from the next record on."""
    real = SqliteHistory.write
    broken = threading.Event()

    def write(self: SqliteHistory, record: Any) -> None:
        if broken.is_set():
            raise PlantedError
        real(self, record)

    monkeypatch.setattr(SqliteHistory, "write", write)

    def break_it() -> None:
        trail.until("at work")
        broken.set()

    return break_it


def test_the_loops_own_fault_ends_all_runs_and_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, trail: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    break_it = faulty_write(monkeypatch, trail)
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Stubborn("job"), run_continuous=True)
    sc.schedule_job(Named("other"))
    sc.start()
    sc.trigger("job")
    break_it()

    with pytest.raises((PlantedError, SchedulerError)):
        sc.trigger("other")
    with pytest.raises(PlantedError):
        sc.wait(LIMIT)
    with pytest.raises(PlantedError):
        sc.shutdown()

    assert alive([trail.find("at work")[0].comments]) == []
    assert not psutil.Process().children()
    assert "the timing loop ended by an error of its own" in caplog.text
    with pytest.raises(
        SchedulerError, match=r"ended by an error of its own: PlantedError\("
    ):
        sc.schedule_job(Named("late"))


def test_the_loops_own_fault_reaches_the_caller_of_start_in_main_mode(
    monkeypatch: pytest.MonkeyPatch, trail: Watcher
) -> None:
    break_it = faulty_write(monkeypatch, trail)
    sc = Scheduler(settings=settings())
    sc.schedule_job(Stubborn("job"), run_continuous=True)
    sc.trigger("job")

    def meanwhile() -> None:
        break_it()
        with pytest.raises((PlantedError, SchedulerError)):
            sc.trigger("job")

    thread = threading.Thread(target=meanwhile)
    thread.start()
    with pytest.raises(PlantedError):
        sc.start()
    thread.join()

    assert alive([trail.find("at work")[0].comments]) == []
    assert sc.wait(0)
    assert sc.shutdown()


def test_a_fault_within_a_block_that_raises_does_not_hide_what_it_raised(
    monkeypatch: pytest.MonkeyPatch, trail: Watcher
) -> None:
    break_it = faulty_write(monkeypatch, trail)
    with pytest.raises(KeyError), Scheduler(True, settings=settings()) as sc:  # noqa: PT012
        sc.schedule_job(Stubborn("job"), run_continuous=True)
        sc.start()
        sc.trigger("job")
        break_it()
        raise KeyError

    assert alive([trail.find("at work")[0].comments]) == []


def test_requests_that_meet_the_end_are_all_answered() -> None:
    """Forty threads ask while it ends; each has an answer or an error."""
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Named("job"), run_continuous=True)
    sc.start()
    answers: list[object] = []
    barrier = threading.Barrier(41)

    def ask() -> None:
        barrier.wait(LIMIT)
        try:
            answers.append(sc.schedule_job(Named(f"job-{threading.get_ident()}")))
        except SchedulerError as fault:
            answers.append(str(fault))

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    barrier.wait(LIMIT)
    sc.shutdown()
    for thread in threads:
        thread.join(LIMIT)

    assert len(answers) == 40


def test_a_scheduler_that_is_forgotten_unstarted_is_nothing() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    Scheduler(True, settings=settings()).schedule_job(Named("job"))

    assert set(Path("/proc/self/fd").iterdir()) == before
