# ruff: noqa: E501 - the example is typed as DESIGN.md has it
"""The seed's calls, exactly as written, and each row of the tables around them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from facade_jobs import (
    Held,
    Limited,
    Named,
    NotJson,
    Printing,
    Raises,
    Sleeps,
    Tells,
    Unlimited,
)
from watching import HOURLY, SECONDLY, read_until, run_script, settings, start_script

from procsched import (
    ConfigLoader,
    Job,
    Limits,
    Outcome,
    Sc,
    ScheduleConfig,
    Scheduler,
)
from procsched.core.run import Reason, RunState
from procsched.errors import (
    DuplicateJobError,
    JobError,
    ScheduleConfigError,
    SchedulerError,
    UnknownJobError,
    UnknownRunError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from watching import Watcher

CONFIG = """\
DEV:
  TIME_UNIT: second
  ECHO_OUTPUT: false
"""

SEED = """\
from procsched import Auditor, ConfigLoader, Job, Sc, ScheduleConfig, Scheduler, Trail

class NightlyReport(Job):
    def name(self) -> str:
        return "nightly-report"
    def goal(self):
        Auditor.audit_params("report", "success", "written")
        Auditor.audit_trail(Trail("report", "success", "a trail"))
        Auditor.audit_custom({"any": ["json"]})

class Other(NightlyReport):
    def name(self) -> str:
        return "other"

class Third(NightlyReport):
    def name(self) -> str:
        return "third"

class Fourth(NightlyReport):
    def name(self) -> str:
        return "fourth"

ConfigLoader.reload_config(which_env=Sc.ENV_DEV)       # configs/config.yaml, section DEV
sc = Scheduler(MODE)
sc.schedule_job(job=NightlyReport(), run_continuous=True)      # the config's schedule
sc.schedule_job(job=Other())                                   # run_continuous is inherited
sc.schedule_job(job=Third(), schedule_config=ScheduleConfig(every=10, time_unit=Sc.MINUTES))
sc.schedule_job(job=Fourth(), schedule_config=ScheduleConfig(every="14:00", time_unit=Sc.FRIDAY))
sc.start()                       # blocks; with separate_thread=True it returns
print("next", sc.next_run_time("nightly-report"))
WAIT
sc.cancel_job("nightly-report")
sc.shutdown()                    # safe: completes all pending jobs first
sc.shutdown(force=True)          # kills every run's whole process tree
print("done", sorted({run.job for run in sc.runs() if run.outcome == "succeeded"}))
"""


@pytest.fixture
def sc() -> Iterator[Scheduler]:
    """Give a scheduler in a thread of its own that has not been started."""
    with Scheduler(separate_thread=True, settings=settings()) as scheduler:
        yield scheduler
        scheduler.shutdown(force=True)


@pytest.fixture
def seed_directory(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/config.yaml").write_text(CONFIG)
    return tmp_path


def test_the_seeds_example_runs_in_main_mode(seed_directory: Path) -> None:
    """It blocks in start() until the first SIGINT, and then says its last line."""
    text = SEED.replace("MODE", "").replace("WAIT\n", "")

    with start_script(text, seed_directory) as process:
        read_until(process, "nightly-report", "run.ended", "succeeded")
        read_until(process, "other", "run.ended", "succeeded")
        process.send_signal(2)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert not err
    assert "next None" in out
    assert "done ['nightly-report', 'other']" in out


def test_the_seeds_example_runs_in_thread_mode(seed_directory: Path) -> None:
    """start() returns, and the main thread goes on while the jobs repeat."""
    wait = (
        "import threading\n"
        "while len(sc.runs('nightly-report')) < 2: threading.Event().wait(0.05)\n"
    )
    text = SEED.replace("MODE", "separate_thread=True").replace("WAIT\n", wait)

    out = run_script(text, seed_directory)

    assert "next 2" in out
    assert "done ['nightly-report', 'other']" in out
    assert "report" in out


# schedule_job


def test_schedule_job_returns_the_jobs_name(sc: Scheduler) -> None:
    assert sc.schedule_job(job=Named("nightly-report")) == "nightly-report"


def test_a_job_is_scheduled_after_start_from_any_thread(
    sc: Scheduler, trail: Watcher
) -> None:
    sc.schedule_job(Named("early"), run_continuous=True)
    sc.start()
    said: list[str] = []

    threads = [
        threading.Thread(target=lambda n=n: said.append(sc.schedule_job(Named(n))))
        for n in ("a", "b", "c", "d")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["a", "b", "c", "d"]
    assert {each.job for each in sc.jobs()} == {"early", "a", "b", "c", "d"}
    trail.until("job.scheduled", "d")


def test_without_a_schedule_the_settings_schedule_applies() -> None:
    every_nine = ScheduleConfig(every=9, time_unit=Sc.MINUTES)
    with Scheduler(True, settings=settings(schedule=every_nine)) as sc:
        sc.schedule_job(Named("plain"))
        sc.schedule_job(Named("own"), HOURLY)

        assert [each.schedule for each in sc.jobs()] == [
            "every 9 minutes",
            "every 1 hour",
        ]


def test_without_settings_those_of_the_config_loader_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("DEV:\n  every: 7\n  time_unit: minutes\n")
    monkeypatch.setenv("PROCSCHED_CONFIG", str(file))
    ConfigLoader.reset()
    with Scheduler() as sc:
        sc.schedule_job(Named("plain"))
        found = sc.jobs()
    ConfigLoader.reset()

    assert [each.schedule for each in found] == ["every 7 minutes"]


def test_run_continuous_false_runs_each_job_once_and_ends() -> None:
    sc = Scheduler(settings=settings(schedule=SECONDLY))
    sc.schedule_job(Named("a"), run_continuous=False)
    sc.schedule_job(Named("b"))

    sc.start()

    assert sorted((run.job, run.outcome) for run in sc.runs()) == [
        ("a", Outcome.SUCCEEDED),
        ("b", Outcome.SUCCEEDED),
    ]
    assert sc.wait(0)


def test_a_later_true_makes_all_jobs_repeat(trail: Watcher) -> None:
    with Scheduler(True, settings=settings(schedule=SECONDLY)) as sc:
        sc.schedule_job(Named("a"), run_continuous=False)
        sc.schedule_job(Named("b"), run_continuous=True)
        sc.start()

        trail.until("run.ended", "a", times=2)
        trail.until("run.ended", "b", times=2)


def test_a_later_false_runs_each_job_once_and_ends() -> None:
    with Scheduler(True, settings=settings(schedule=SECONDLY)) as sc:
        sc.schedule_job(Named("a"), run_continuous=True)
        sc.start()
        sc.schedule_job(Named("b"), run_continuous=False)

        assert sc.wait(30)
        assert sum(run.job == "b" for run in sc.runs()) == 1


def test_the_settings_run_continuous_holds_until_somebody_says_otherwise() -> None:
    with Scheduler(True, settings=settings(run_continuous=True)) as sc:
        sc.schedule_job(Named("a"))
        assert sc.next_run_time() is not None
        sc.schedule_job(Named("b"), run_continuous=False)
        sc.schedule_job(Named("c"))

        with pytest.raises(SchedulerError, match="each runs once here"):
            sc.next_run_time()


def test_a_taken_name_is_refused(sc: Scheduler) -> None:
    sc.schedule_job(Named("twice"))

    with pytest.raises(
        DuplicateJobError,
        match=r"named 'twice' is already scheduled\. .*another name\(\), or cancel_job",
    ):
        sc.schedule_job(Named("twice"))


def test_a_name_is_free_again_once_its_job_is_cancelled(sc: Scheduler) -> None:
    sc.start()
    for _ in range(3):
        sc.schedule_job(Named("again"), run_continuous=True)
        sc.cancel_job("again")

    assert sc.jobs() == []
    assert sc._register.payloads == {}


class Asynchronous(Job):
    async def goal(self) -> None:
        """Never awaited."""


class Yielding(Job):
    def goal(self) -> Any:
        yield 1


class Needy(Job):
    def goal(self, what: str) -> None:  # type: ignore[override]
        """Gets nothing."""


class Text(Job):
    goal = "no function"  # type: ignore[assignment]


class Empty(Job):
    """Has a name and no goal."""


class Unnameable(Named):
    def name(self) -> str:
        message = "no idea"
        raise LookupError(message)


def inner_job() -> Job:
    class Inner(Named):
        """Defined where no child can find it."""

    return Inner("inner")


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (Named, r"Named is a class, and a job is one of .*\. Pass job=Named\(\)"),
        ("a text", r"'a text' is no procsched\.Job\. Derive its class from"),
        (None, r"None is no procsched\.Job"),
        (Empty(), r"class Empty has no goal\. Write `def goal\(self\):` in Empty"),
        (Text(), r"class Text has no goal\. Write `def goal\(self\):`"),
        (Asynchronous(), r"Asynchronous\.goal\(\) is asynchronous.*asyncio\.run"),
        (Yielding(), r"Yielding\.goal\(\) holds a `yield`.*without `yield`"),
        (Needy(), r"Needy\.goal\(\) cannot be called without arguments.*'what'"),
        (Unnameable(), r"name\(\) raised LookupError: no idea\. Return the job's name"),
        (Named(""), r"returned '', which is no name\. Return one line of 1 to 200"),
        (Named("  "), r"returned '  ', which is no name"),
        (Named("two\nlines"), r"returned 'two\\nlines', which is no name"),
        (Named("\ud800"), r"returned '\\ud800', which is no name"),
        (Named("x" * 201), r"returned 'x+\.\.\. of 203 characters, which is no name"),
        (Named(7), r"returned 7, which is no name"),  # type: ignore[arg-type]
        (Named(None), r"returned None, which is no name"),  # type: ignore[arg-type]
        (
            Unlimited(),
            r"Unlimited\.limits is \{'wall': 3\}, which is no Limits\. Write",
        ),
        (NotJson(), r"'holder' cannot be sent to a child: TypeError.*inside goal\(\)"),
        (inner_job(), r"'inner' cannot be sent to a child: its class .*Move the class"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else None,
)
def test_what_is_no_job_is_refused_at_once(sc: Scheduler, job: Any, says: str) -> None:
    with pytest.raises(JobError, match=says):
        sc.schedule_job(job)

    assert sc.jobs() == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"every": 10}, r"'job' has the schedule \{'every': 10\}, which is no Sched"),
        (ScheduleConfig, r"'job' has the schedule the class ScheduleConfig, which is"),
        ("every minute", r"Pass schedule_config=ScheduleConfig\(every=10, time_unit"),
    ],
)
def test_what_is_no_schedule_is_refused(sc: Scheduler, config: Any, says: str) -> None:
    with pytest.raises(ScheduleConfigError, match=says):
        sc.schedule_job(Named(), config)


@pytest.mark.parametrize("said", [1, 0, "yes", [True]])
def test_run_continuous_is_true_false_or_none(sc: Scheduler, said: Any) -> None:
    with pytest.raises(
        SchedulerError, match=r"run_continuous=.* is neither true nor false\. Pass True"
    ):
        sc.schedule_job(Named(), run_continuous=said)


def test_nothing_is_scheduled_after_the_end(sc: Scheduler) -> None:
    sc.start()
    sc.shutdown()

    with pytest.raises(
        SchedulerError, match=r"this Scheduler has ended\. Make a new Scheduler"
    ):
        sc.schedule_job(Named("late"))


def test_nothing_is_scheduled_during_the_shutdown(
    sc: Scheduler, trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    sc.schedule_job(Held("held", fifo), run_continuous=True)
    sc.start()
    sc.trigger("held")
    trail.until("at work")
    assert not sc.shutdown(timeout=0)

    with pytest.raises(SchedulerError, match="the scheduler is shutting down"):
        sc.schedule_job(Named("late"))
    with pytest.raises(SchedulerError, match="cannot run 'held': the scheduler is"):
        sc.trigger("held")
    let_go()
    assert sc.wait(30)


def test_a_class_limits_are_the_default_and_the_schedule_wins(sc: Scheduler) -> None:
    sc.schedule_job(Limited("own"))
    sc.schedule_job(
        Limited("said"),
        ScheduleConfig(time_unit=Sc.HOUR, limits=Limits(wall=5)),
    )

    entries = sc._plan._agenda.entries
    assert entries["own"].schedule.policy.limits.seconds("wall") == 17
    assert entries["said"].schedule.policy.limits.seconds("wall") == 5


def test_limits_of_one_instance_count_too(sc: Scheduler) -> None:
    job = Named("own")
    job.limits = Limits(wall=3)  # type: ignore[misc]

    sc.schedule_job(job)

    entry = sc._plan._agenda.entries["own"]
    assert entry.schedule.policy.limits.seconds("wall") == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"settings": {"every": 1}}, r"settings=\{'every': 1\} are no Settings\. Pass"),
        ({"state_dir": 5}, r"state_dir=5 is no path\. Pass a directory, or None"),
        ({"state_dir": ""}, r"state_dir='' is no path"),
    ],
)
def test_a_scheduler_is_made_of_the_right_things(
    arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(SchedulerError, match=says):
        Scheduler(**{"settings": settings(), **arguments})


# cancel_job, pause, resume, trigger, stop_run


def test_a_cancelled_job_fires_no_more_and_its_run_goes_on(
    sc: Scheduler, trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    sc.schedule_job(Held("held", fifo), run_continuous=True)
    sc.start()
    run_id = sc.trigger("held")
    trail.until("at work")

    sc.cancel_job("held")

    assert sc.jobs() == []
    assert [run.outcome for run in sc.runs()] == [None]
    let_go()
    assert trail.until("run.ended", "held").run_id == run_id
    assert sc.runs()[0].outcome == Outcome.SUCCEEDED


def test_cancel_job_stops_the_run_too_if_told(sc: Scheduler, trail: Watcher) -> None:
    sc.schedule_job(Sleeps("sleeps"), run_continuous=True)
    sc.start()
    sc.trigger("sleeps")
    trail.until("at work")

    sc.cancel_job("sleeps", stop_run=True)

    trail.until("run.ended", "sleeps")
    (run,) = sc.runs()
    assert (run.outcome, run.reason) == ("cancelled", "cancelled by cancel_job")


@pytest.mark.parametrize("call", ["cancel_job", "pause", "resume", "trigger"])
@pytest.mark.parametrize("started", [False, True])
def test_an_unknown_job_suggests_the_nearest(
    sc: Scheduler, call: str, *, started: bool
) -> None:
    sc.schedule_job(Named("nightly-report"), run_continuous=True)
    if started:
        sc.start()

    with pytest.raises(
        UnknownJobError,
        match=r"under the name 'nightly-reprot'\. Did you mean 'nightly-report'\?",
    ):
        getattr(sc, call)("nightly-reprot")
    with pytest.raises(UnknownJobError, match="Did you mean 'nightly-report'"):
        sc.next_run_time("Nightly-Report")


@pytest.mark.parametrize("call", ["cancel_job", "pause", "resume", "trigger", "runs"])
@pytest.mark.parametrize("job_id", [7, ["a"], Named("a")])
def test_what_is_no_identifier_hurts_nobody(
    sc: Scheduler, call: str, job_id: Any
) -> None:
    """Within the loop it would have been everybody's end."""
    sc.schedule_job(Named("a"), run_continuous=True)
    sc.start()

    with pytest.raises(
        UnknownJobError, match=r"is no job's identifier\. Pass the text that schedule_j"
    ):
        getattr(sc, call)(job_id)

    assert [each.job for each in sc.jobs()] == ["a"]


def test_a_paused_job_does_not_fire_until_it_is_resumed(
    trail: Watcher,
) -> None:
    with Scheduler(True, settings=settings(schedule=SECONDLY)) as sc:
        sc.schedule_job(Named("paused"), run_continuous=True)
        sc.schedule_job(Named("other"))
        sc.pause("paused")
        sc.start()
        trail.until("run.ended", "other")

        assert sc.next_run_time("paused") is None
        assert sc.jobs()[0].paused
        assert not trail.find("run.started", "paused")
        sc.resume("paused")
        trail.until("run.ended", "paused")


def test_trigger_returns_the_id_of_a_run_that_starts_now(
    sc: Scheduler, trail: Watcher
) -> None:
    sc.schedule_job(Tells("tells"), run_continuous=True)
    sc.start()

    run_id = sc.trigger("tells")

    assert trail.until("told").run_id == run_id
    trail.until("run.ended")
    (run,) = sc.runs("tells")
    assert (run.run_id, run.trigger, run.result) == (run_id, Reason.MANUAL, "told")


def test_a_run_is_triggered_before_the_start(sc: Scheduler, trail: Watcher) -> None:
    sc.schedule_job(Tells("tells"), run_continuous=True)
    run_id = sc.trigger("tells")

    sc.start()

    assert trail.until("run.ended").run_id == run_id


def test_stop_run_ends_one_run(sc: Scheduler, trail: Watcher) -> None:
    sc.schedule_job(Sleeps("sleeps"), run_continuous=True)
    sc.start()
    run_id = sc.trigger("sleeps")
    trail.until("at work")

    sc.stop_run(run_id)

    trail.until("run.ended")
    (run,) = sc.runs()
    assert run.outcome == Outcome.CANCELLED
    assert run.reason.startswith("stopped by process ")
    with pytest.raises(
        UnknownRunError, match=r"no run with the id .* is going on\. Look it up with"
    ):
        sc.stop_run(run_id)


@pytest.mark.parametrize("run_id", [None, 3, []])
def test_what_is_no_run_id_hurts_nobody(sc: Scheduler, run_id: Any) -> None:
    sc.start()

    with pytest.raises(UnknownRunError, match=r"is no run's id\. Pass the text that"):
        sc.stop_run(run_id)

    assert sc.jobs() == []


# next_run_time, jobs, runs


def test_next_run_time_needs_jobs_that_repeat(sc: Scheduler) -> None:
    sc.schedule_job(Named("once"))

    with pytest.raises(
        SchedulerError, match=r"each runs once here\. Pass run_continuous=True to"
    ):
        sc.next_run_time("once")


def test_next_run_time_without_a_name_is_the_earliest_of_all(sc: Scheduler) -> None:
    sc.schedule_job(
        Named("later"), ScheduleConfig(every=2, time_unit=Sc.HOURS), run_continuous=True
    )
    sc.schedule_job(Named("sooner"))

    earliest, later = sc.next_run_time(), sc.next_run_time("later")

    assert earliest == sc.next_run_time("sooner")
    assert earliest is not None
    assert later is not None
    assert earliest < later
    assert earliest.utcoffset() is not None
    assert timedelta(0) < earliest - datetime.now(UTC) <= timedelta(hours=1)


def test_next_run_time_is_none_when_nothing_will_fire(sc: Scheduler) -> None:
    past = ScheduleConfig(once=datetime.now(UTC) + timedelta(days=1))
    sc.schedule_job(Named("a"), past, run_continuous=True)
    sc.pause("a")

    assert sc.next_run_time("a") is None
    assert sc.next_run_time() is None
    sc.cancel_job("a")
    assert sc.next_run_time() is None


def test_runs_come_newest_first_with_every_field(sc: Scheduler, trail: Watcher) -> None:
    sc.schedule_job(Printing("prints"), run_continuous=True)
    sc.schedule_job(Raises("raises"))
    sc.start()
    before = datetime.now(UTC)
    first = sc.trigger("prints")
    trail.until("run.ended", "prints")
    second = sc.trigger("raises")
    trail.until("run.ended", "raises")

    newest, oldest = sc.runs()

    assert (newest.run_id, oldest.run_id) == (second, first)
    assert (oldest.job, oldest.attempt, oldest.trigger) == ("prints", 1, "manual")
    assert (oldest.state, oldest.outcome) == (RunState.ENDED, Outcome.SUCCEEDED)
    assert oldest.reason == "goal() returned"
    assert oldest.started_at is not None
    assert oldest.ended_at is not None
    assert oldest.pid is not None
    assert before <= oldest.nominal_time <= oldest.started_at <= oldest.ended_at
    assert (oldest.exit_code, oldest.signal) == (0, None)
    assert oldest.usage is not None
    assert oldest.usage.wall > 0
    assert oldest.usage.max_rss_bytes > 2**20
    assert (oldest.result, oldest.output_tail) == ({"answer": 42}, "one line\n")
    assert (oldest.traceback, oldest.leftovers) == (None, 0)
    assert oldest.enforced_by["startup"] == "keeper"
    assert (newest.outcome, newest.reason) == (
        "failed",
        "goal() raised ValueError: on purpose",
    )
    assert newest.traceback is not None
    assert "ValueError: on purpose" in newest.traceback


def test_runs_are_those_of_one_job_and_at_most_so_many(
    sc: Scheduler, trail: Watcher
) -> None:
    for name in ("a", "b"):
        sc.schedule_job(Named(name), run_continuous=True)
    sc.start()
    ids = []
    for number in range(1, 4):
        ids.append(sc.trigger("a"))
        trail.until("run.ended", "a", times=number)
    sc.trigger("b")
    trail.until("run.ended", "b")

    assert [run.run_id for run in sc.runs("a")] == ids[::-1]
    assert [run.run_id for run in sc.runs("a", limit=2)] == ids[:0:-1]
    assert len(sc.runs(limit=10**30)) == 4
    assert sc.runs("nobody") == []


@pytest.mark.parametrize("limit", [0, -1, 1.5, "10", True, None])
def test_a_limit_is_a_whole_number_from_one(sc: Scheduler, limit: Any) -> None:
    with pytest.raises(
        SchedulerError, match=r"limit=.* is not a whole number of at least 1\. Pass how"
    ):
        sc.runs(limit=limit)


def test_runs_and_jobs_answer_before_the_start_and_after_the_end(
    sc: Scheduler, trail: Watcher
) -> None:
    sc.schedule_job(Named("a"), run_continuous=True)
    assert sc.runs() == []
    sc.start()
    sc.trigger("a")
    trail.until("run.ended")
    sc.shutdown()

    assert [run.job for run in sc.runs()] == ["a"]
    assert [each.job for each in sc.jobs()] == ["a"]
    assert sc.next_run_time() is None
    sc.cancel_job("a")
    assert sc.jobs() == []


def test_the_jobs_of_one_sequential_schedule_share_a_process(trail: Watcher) -> None:
    """One after another, in the order they were added, in one worker."""
    config = ScheduleConfig(time_unit=Sc.SECOND, mode=Sc.SEQUENTIAL)
    sc = Scheduler(settings=settings(schedule=config))
    for name in ("a", "b", "c"):
        sc.schedule_job(Named(name), run_continuous=False)

    sc.start()

    runs = sc.runs()[::-1]
    assert [run.job for run in runs] == ["a", "b", "c"]
    assert len({run.pid for run in runs}) == 1
    for before, after in pairwise(runs):
        assert before.ended_at is not None
        assert after.started_at is not None
        assert before.ended_at <= after.started_at
    assert len(trail.find("run.ended")) == 3
