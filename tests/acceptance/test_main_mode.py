"""The loop in the main thread: signals, what it installs, what it puts back."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from facade_jobs import Named, Sleeps, Stubborn, Tells
from watching import SECONDLY, read_until, settings, start_script

from procsched import Outcome, Scheduler, engine
from procsched.errors import SchedulerError, StateDirectoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watching import Watcher

SCRIPT = """\
import sys
from facade_jobs import *
from watching import *
from procsched import Scheduler
sc = Scheduler(settings=settings(audit=AuditSettings()))
sc.schedule_job({job}, run_continuous=True)
sc.trigger("job")
sc.start()
print(*[(run.outcome.value, run.reason) for run in sc.runs()])
"""


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Check after each test that the signals are as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_completes_what_runs(
    tmp_path: Path, fifo: Path, let_go: Callable[[], None], number: signal.Signals
) -> None:
    text = SCRIPT.format(job=f"Held('job', Path({str(fifo)!r}))")
    with start_script(text, tmp_path) as process:
        read_until(process, "at work")
        process.send_signal(number)
        assert number.name in read_until(process, "scheduler.stopping", "safe")
        let_go()
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "('succeeded', 'goal() returned')" in out


def test_a_second_signal_stops_what_runs(tmp_path: Path) -> None:
    with start_script(SCRIPT.format(job="Sleeps('job')"), tmp_path) as process:
        read_until(process, "at work")
        process.send_signal(signal.SIGINT)
        read_until(process, "scheduler.stopping", "safe")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "('cancelled', 'ended by a forced shutdown (SIGTERM)')" in out


def test_a_third_signal_kills_what_heeds_no_stop(tmp_path: Path) -> None:
    with start_script(SCRIPT.format(job="Stubborn('job')"), tmp_path) as process:
        read_until(process, "at work")
        for stage in ("safe", "forced", "kill"):
            process.send_signal(signal.SIGINT)
            read_until(process, "scheduler.stopping", stage)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "('cancelled', 'ended by a forced shutdown (SIGINT)')" in out


def start_in_main(sc: Scheduler, meanwhile: Callable[[], Any]) -> None:
    """Start in this thread; do something in another one, then end it."""
    faults: list[BaseException] = []

    def act() -> None:
        try:
            meanwhile()
        except BaseException as fault:  # noqa: BLE001 - raised again below
            faults.append(fault)
        finally:
            sc.shutdown(force=True)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        sc.start()
    finally:
        thread.join()
    for fault in faults:
        raise fault


def test_a_signal_after_shutdown_forces(trail: Watcher) -> None:
    """Whoever presses Ctrl-C while it ends has waited enough."""
    sc = Scheduler(settings=settings())
    sc.schedule_job(Sleeps("job"), run_continuous=True)
    sc.trigger("job")

    def meanwhile() -> None:
        trail.until("at work")
        assert not sc.shutdown(timeout=0)
        trail.until("scheduler.stopping")
        os.kill(os.getpid(), signal.SIGINT)
        assert sc.wait(15)

    start_in_main(sc, meanwhile)

    assert [each.status for each in trail.find("scheduler.stopping")] == [
        "safe",
        "forced",
    ]
    assert sc.runs()[0].outcome == Outcome.CANCELLED


def test_a_signal_before_the_loop_is_ready_is_not_lost(
    trail: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.StateDirectory

    def interrupted(path: Path) -> engine.StateDirectory:
        signal.raise_signal(signal.SIGTERM)
        return real(path)

    monkeypatch.setattr(engine, "StateDirectory", interrupted)
    sc = Scheduler(settings=settings())
    sc.schedule_job(Named("job"), run_continuous=True)

    sc.start()

    assert trail.until("scheduler.stopping").comments == {"by": "SIGTERM"}


def test_it_blocks_until_somebody_shuts_it_down(trail: Watcher) -> None:
    sc = Scheduler(settings=settings(schedule=SECONDLY))
    sc.schedule_job(Named("job"), run_continuous=True)

    start_in_main(sc, lambda: trail.until("run.ended", times=2))

    assert len(sc.runs()) >= 2


def test_it_takes_jobs_and_questions_from_other_threads(trail: Watcher) -> None:
    sc = Scheduler(settings=settings())
    sc.schedule_job(Named("first"), run_continuous=True)

    def meanwhile() -> None:
        sc.schedule_job(Tells("second"))
        sc.trigger("second")
        trail.until("run.ended", "second")
        assert [each.job for each in sc.jobs()] == ["first", "second"]

    start_in_main(sc, meanwhile)

    assert trail.find("told")


def test_outside_the_main_thread_it_installs_no_handlers(trail: Watcher) -> None:
    sc = Scheduler(settings=settings(schedule=SECONDLY))
    sc.schedule_job(Named("job"), run_continuous=True)
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=sc.start)
    thread.start()
    trail.until("run.started")

    assert signal.getsignal(signal.SIGINT) is before
    assert sc.shutdown()
    thread.join()


def test_a_start_with_nothing_to_do_is_refused() -> None:
    with pytest.raises(
        SchedulerError,
        match=r"no job is scheduled, so start\(\) would block with nothing to do\. "
        r"Call schedule_job\(\) first, or use Scheduler\(separate_thread=True\)",
    ):
        Scheduler(settings=settings()).start()


def test_a_second_start_is_refused() -> None:
    sc = Scheduler(settings=settings(schedule=SECONDLY))
    sc.schedule_job(Named("job"))
    sc.start()

    with pytest.raises(
        SchedulerError, match=r"start\(\) was called before.*Make a new Scheduler, or"
    ):
        sc.start()


def test_a_start_after_the_shutdown_is_refused() -> None:
    sc = Scheduler(settings=settings())
    sc.schedule_job(Named("job"))
    assert sc.shutdown()

    with pytest.raises(SchedulerError, match=r"has been shut down\. Make a new Sched"):
        sc.start()


def test_a_start_that_fails_puts_the_handlers_back(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    sc = Scheduler(settings=settings(), state_dir=file)
    sc.schedule_job(Named("job"))

    with pytest.raises(StateDirectoryError, match="cannot be used: File exists"):
        sc.start()

    assert sc.wait(0)
    assert sc.shutdown(force=True)


def test_a_handler_of_the_programs_own_may_shut_down_but_not_wait(
    trail: Watcher,
) -> None:
    """It runs in the loop's own thread, in the middle of anything."""
    sc = Scheduler(settings=settings())
    sc.schedule_job(Named("job"), run_continuous=True)
    said: list[Any] = []

    def handler(_number: int, _frame: object) -> None:
        for call in (sc.jobs, lambda: sc.cancel_job("job"), lambda: sc.trigger("job")):
            with pytest.raises(SchedulerError, match=r"own thread cannot wait.*thread"):
                call()
        with pytest.raises(SchedulerError, match="own thread cannot wait"):
            sc.schedule_job(Named("other"))
        said.append(sc.shutdown())
        said.append(sc.wait())

    before = signal.signal(signal.SIGUSR1, handler)
    try:

        def meanwhile() -> None:
            trail.until("job.scheduled")
            os.kill(os.getpid(), signal.SIGUSR1)
            assert sc.wait(15)

        start_in_main(sc, meanwhile)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert said == [False, False]


class PlantedError(Exception):
    """What a handler of the program raises."""


def test_an_exception_of_a_handler_ends_all_runs_and_reaches_the_caller(
    trail: Watcher,
) -> None:
    sc = Scheduler(settings=settings())
    sc.schedule_job(Stubborn("job"), run_continuous=True)
    sc.trigger("job")

    def handler(_number: int, _frame: object) -> None:
        raise PlantedError

    before = signal.signal(signal.SIGUSR1, handler)

    def meanwhile() -> None:
        trail.until("at work")
        os.kill(os.getpid(), signal.SIGUSR1)
        assert sc.wait(15)

    try:
        with pytest.raises(PlantedError):
            start_in_main(sc, meanwhile)
    finally:
        signal.signal(signal.SIGUSR1, before)

    with pytest.raises(ProcessLookupError):
        os.kill(trail.find("at work")[0].comments, 0)
