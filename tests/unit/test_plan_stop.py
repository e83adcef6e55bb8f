"""The ladder on which one run is stopped, and the keeper that says nothing."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    DEAF,
    HANGS,
    MINUTES_10,
    every,
    fates,
    lasting,
    schedule,
    starts,
    world,
)

from procsched.core.messages import (
    KillRun,
    Stage,
    StopRequested,
    WorkerStarted,
)
from procsched.core.policy import Limits
from procsched.core.run import RunState
from procsched.testing import Fate

HOUR = timedelta(hours=1)


def test_a_keeper_that_does_not_answer_a_stop_is_given_up() -> None:
    """Ten seconds beyond the grace period of ten; the run is then lost, by our hand."""
    silent = Fate(lasts=timedelta(days=9), silent=True)
    stuck = world(schedule(), fate=fates(job=silent))
    stuck.live(timedelta(minutes=11))

    stuck.ask(StopRequested, "p-1", "me")
    stuck.live(timedelta(seconds=25))

    assert stuck.log[-1] == (680.0, "abandon", "job")
    run = stuck.history.runs()[0]
    assert (run.outcome, run.reason) == ("cancelled", "stopped by me")


def test_a_keeper_that_sits_out_the_time_limit_is_given_up() -> None:
    """Limit 30, start-up 60, grace 10 and 10 more: 110 s after the start."""
    silent = Fate(lasts=timedelta(days=9), silent=True)
    stuck = world(schedule(limits=Limits(wall=30)), fate=fates(job=silent))

    stuck.live(timedelta(minutes=12))

    assert stuck.log == [(600.0, "start", "job"), (710.0, "abandon", "job")]
    assert stuck.history.outcomes() == ["lost"]


def test_a_kill_on_top_of_a_stop_leaves_a_silent_keeper_no_longer() -> None:
    silent = Fate(lasts=timedelta(days=9), silent=True)
    stuck = world(schedule(limits=Limits(grace=2)), fate=fates(job=silent))
    stuck.live(timedelta(minutes=11))
    stuck.shut_down(Stage.FORCED)
    stuck.live(timedelta(seconds=9))

    stuck.shut_down(Stage.KILL)
    stuck.live(timedelta(seconds=9))

    assert stuck.log[-1] == (672.0, "abandon", "job")


def test_runs_that_end_in_time_leave_no_alarm_behind() -> None:
    quick = world(
        schedule(trigger=every(1 / 60), limits=Limits(wall=3600)),
        fate=fates(job=lasting(milliseconds=10)),
    )

    quick.live(HOUR)

    assert len(quick.starts) == 3600
    assert len(quick.plan._roster.timers) < 200


def test_word_of_the_start_that_crosses_the_stop_leaves_the_run_stopping() -> None:
    slow = Fate(startup=timedelta(seconds=5), lasts=HOUR, heeds_stop=False)
    crossed = world(schedule(), fate=fates(job=slow))
    crossed.live(MINUTES_10)
    crossed.ask(StopRequested, "p-1", "me")

    crossed.tell(WorkerStarted(crossed.clock.now(), "p-1", 77))

    run = crossed.history.runs()[0]
    assert (run.state, run.pid) == (RunState.STOPPING, 77)


def test_a_second_stop_of_the_same_run_is_not_sent() -> None:
    deaf = world(schedule(), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))

    deaf.ask(StopRequested, "p-1", "me")
    deaf.ask(StopRequested, "p-1", "you")
    deaf.live(timedelta(seconds=10))

    assert [what for _, what, _ in deaf.log] == ["start", "stop"]
    assert deaf.history.runs()[0].reason == "stopped by me"


def test_a_stop_of_a_waiting_run_cancels_it_without_a_process() -> None:
    full = world(schedule("a"), schedule("b"), slots=1, fate=fates(a=HANGS))
    full.live(MINUTES_10)

    full.ask(StopRequested, "p-2", "me")

    run = full.history.records["p-2"]
    assert (run.outcome, run.reason, run.started_at) == (
        "cancelled",
        "stopped by me",
        None,
    )
    assert [each.job for each in full.starts] == ["a"]
    assert starts(full, "b") == []


def test_a_run_over_its_time_limit_has_timed_out_though_it_heeds_the_stop() -> None:
    slow = world(schedule(limits=Limits(wall=30)), fate=fates(job=HANGS))

    slow.live(timedelta(minutes=11))

    run = slow.history.runs()[0]
    assert (run.outcome, run.reason) == ("timed_out", "over its time limit of 30 s")


def test_a_kill_is_ordered_with_cause_and_text() -> None:
    deaf = world(schedule(), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))
    kill: list[KillRun] = []
    deaf._watch = lambda _at, it: kill.append(it) if isinstance(it, KillRun) else None

    deaf.shut_down(Stage.KILL, by="SIGINT")

    assert kill == [KillRun("p-1", "cancelled", "ended by a forced shutdown (SIGINT)")]
