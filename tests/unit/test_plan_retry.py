"""Attempts after the first: how many, how long after, and after which ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from scenes import FAILS, RAISED, fates, lasting, schedule, starts, world

from procsched.core.messages import CancelRequested, StopRequested
from procsched.core.outcome import Outcome
from procsched.core.policy import Limits, Retry
from procsched.core.run import Reason
from procsched.core.verdict import Report
from procsched.testing import Fate, PaperWorld

STEADY = Retry(count=3, backoff=2, ceiling=5, jitter=False)


def failing(report: Report, **retry: Any) -> PaperWorld:
    policy = Retry(count=1, backoff=5, jitter=False, **retry)
    made = world(schedule(retry=policy), fate=fates(job=Fate(report=report)))
    made.live(timedelta(minutes=11))
    return made


def test_a_failed_run_is_tried_again_after_waits_that_double_up_to_a_ceiling() -> None:
    failed = world(schedule(retry=STEADY), fate=fates(job=FAILS))

    failed.live(timedelta(minutes=11))

    assert failed.log == [
        (600.0, "start", "job"),
        (603.0, "start", "job"),
        (608.0, "start", "job"),
        (614.0, "start", "job"),
    ]
    runs = failed.history.runs()
    assert [run.attempt for run in runs] == [1, 2, 3, 4]
    assert [run.trigger for run in runs[1:]] == [Reason.RETRY] * 3
    assert len({run.nominal_time for run in runs}) == 1


def test_a_success_ends_the_attempts() -> None:
    healed = world(
        schedule(retry=STEADY), fate=fates(job=[FAILS, FAILS, lasting(seconds=1)])
    )

    healed.live(timedelta(minutes=11))

    outcomes = healed.history.outcomes()
    assert outcomes == ["failed", "failed", "succeeded"]


def test_a_wait_with_jitter_is_the_same_for_the_same_attempt() -> None:
    """Drawn by hash, so that a history told twice is the same history."""
    jittered = schedule(retry=Retry(count=1, backoff=40))
    lives = []
    for _ in range(2):
        made = world(jittered, fate=fates(job=FAILS))
        made.live(timedelta(minutes=12))
        lives.append(made.log)

    assert lives[0] == lives[1]
    assert 601 < lives[0][1][0] < 641


@pytest.mark.parametrize(
    ("report", "outcome"),
    [
        (RAISED, Outcome.FAILED),
        (Report(exit_code=3), Outcome.EXITED),
        (Report(verdict="start_failed", verdict_text="no fork"), Outcome.START_FAILED),
    ],
)
def test_what_may_pass_by_itself_is_tried_again(
    report: Report, outcome: Outcome
) -> None:
    assert failing(report).history.outcomes() == [outcome, outcome]


def test_a_run_over_its_time_limit_is_tried_again() -> None:
    slow = world(
        schedule(retry=STEADY, limits=Limits(wall=30)),
        fate=fates(job=[lasting(hours=1), lasting(seconds=1)]),
    )

    slow.live(timedelta(minutes=12))

    assert slow.history.outcomes() == ["timed_out", "succeeded"]


@pytest.mark.parametrize(
    "report",
    [Report(signal=11), Report(out_of_memory=True), Report(), Report(signal=24)],
)
def test_a_fatal_signal_is_not_tried_again_unless_asked(report: Report) -> None:
    """Nor is an out-of-memory kill, a lost run, or one over its CPU limit."""
    causes = frozenset(
        {Outcome.CRASHED, Outcome.OUT_OF_MEMORY, Outcome.LOST, Outcome.LIMIT_EXCEEDED}
    )

    assert len(failing(report).starts) == 1
    assert len(failing(report, causes=causes).starts) == 2


def test_a_run_that_somebody_stopped_is_not_tried_again() -> None:
    stopped = world(schedule(retry=STEADY), fate=fates(job=lasting(hours=1)))
    stopped.live(timedelta(minutes=12))

    stopped.ask(StopRequested, "p-1", "me")
    stopped.live(timedelta(minutes=5))

    assert stopped.history.outcomes() == ["cancelled"]


def test_a_pending_attempt_is_told_to_the_trail() -> None:
    failed = world(schedule(retry=STEADY), fate=fates(job=FAILS))

    failed.live(timedelta(minutes=10, seconds=2))

    told = failed.audit.trails[-1]
    assert (told.operation, told.status, told.run_id) == ("run.retry", "waiting", "p-1")
    assert told.comments == {"attempt": 2, "wait_seconds": 2.0}


def test_an_attempt_waits_on_the_monotonic_clock() -> None:
    failed = world(schedule(retry=STEADY), fate=fates(job=FAILS))
    failed.live(timedelta(minutes=10, seconds=2))

    assert failed.plan.next_deadline().monotonic == 603.0


def test_each_of_several_runs_has_attempts_of_its_own() -> None:
    retry = Retry(count=1, backoff=900, ceiling=900, jitter=False)
    wide = world(schedule(overlap="parallel", retry=retry), fate=fates(job=FAILS))

    wide.live(timedelta(minutes=36))

    assert starts(wide) == ["12:10", "12:20", "12:10", "12:30", "12:20"]


def test_a_cancelled_jobs_attempts_are_not_those_of_its_namesake() -> None:
    failed = world(schedule(retry=STEADY), schedule("other"), fate=fates(job=FAILS))
    failed.live(timedelta(minutes=10, seconds=2))

    failed.ask(CancelRequested, "job")
    failed.schedule(schedule())
    failed.live(timedelta(minutes=5))

    assert starts(failed, "job") == ["12:10"]


def test_the_end_of_a_cancelled_jobs_run_brings_its_namesake_no_attempt() -> None:
    slow = world(
        schedule(retry=STEADY),
        schedule("other"),
        fate=fates(job=Fate(report=RAISED, lasts=timedelta(minutes=3))),
    )
    slow.live(timedelta(minutes=11))
    slow.ask(CancelRequested, "job")
    slow.schedule(schedule(retry=STEADY))

    slow.live(timedelta(minutes=5))

    assert starts(slow, "job") == ["12:10"]
