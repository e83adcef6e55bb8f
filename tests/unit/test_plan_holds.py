"""Pause and resume, and the breaker: what passes becomes one record, no burst."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    FAILS,
    HANGS,
    MINUTES_10,
    at,
    every,
    fates,
    lasting,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.delay import Delay
from procsched.core.messages import (
    Asked,
    CancelRequested,
    PauseRequested,
    Question,
    ResumeRequested,
    StopRequested,
    TriggerRequested,
)
from procsched.core.outcome import Outcome
from procsched.core.policy import Retry
from procsched.core.verdict import Report
from procsched.testing import Fate, PaperWorld

FIVE = timedelta(minutes=5)


def test_pausing_leaves_out_firings_and_resuming_writes_one_record() -> None:
    paused = world(schedule())
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=35))
    assert records(paused) == []

    paused.ask(ResumeRequested, "job")
    paused.live(MINUTES_10)

    skipped, run = paused.history.runs()
    assert (skipped.outcome, skipped.covers) == ("skipped", 3)
    assert (skipped.nominal_time, skipped.until) == (at("12:10"), at("12:30"))
    assert skipped.reason == "the job was paused"
    assert (run.nominal_time, run.outcome) == (at("12:40"), "succeeded")


def test_a_time_at_the_very_moment_of_resuming_belongs_to_the_pause() -> None:
    paused = world(schedule())
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=20))

    paused.ask(ResumeRequested, "job")
    paused.live(MINUTES_10)

    assert paused.history.runs()[0].until == at("12:20")
    assert starts(paused) == ["12:30"]


def test_a_short_pause_between_two_firings_leaves_no_trace_but_the_trail() -> None:
    paused = world(schedule())
    paused.live(timedelta(minutes=2))
    for _ in range(2):
        paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=2))
    for _ in range(2):
        paused.ask(ResumeRequested, "job")
    paused.live(timedelta(minutes=7))

    assert records(paused) == [("12:10", "succeeded")]
    assert paused.audit.operations("job")[1:3] == ["job.paused", "job.resumed"]


def test_what_came_due_before_the_pause_still_runs() -> None:
    late = world(schedule())
    late.clock.advance(timedelta(minutes=11))

    late.ask(PauseRequested, "job")

    assert starts(late) == ["12:10"]


def test_a_delayed_start_survives_a_pause_that_ends_before_it() -> None:
    delay = Delay(spread=timedelta(hours=1), key="a")
    spread = world(schedule(trigger=every(50), delay=delay))
    spread.live(timedelta(minutes=51))
    spread.ask(PauseRequested, "job")
    spread.live(timedelta(minutes=1))

    spread.ask(ResumeRequested, "job")
    spread.live(timedelta(minutes=60))

    assert records(spread)[0] == ("12:50", "succeeded")


def test_a_run_by_hand_starts_while_the_job_is_paused() -> None:
    paused = world(schedule())
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=3))

    paused.ask(TriggerRequested, "job")

    assert starts(paused) == ["12:03"]


def test_a_paused_job_has_no_next_run_and_says_that_it_is_paused() -> None:
    paused = world(schedule())

    paused.ask(PauseRequested, "job")

    (told,) = paused.ask(Asked, Question.JOBS)
    assert (told.paused, told.next_run_time) == (True, None)
    assert paused.plan.next_deadline().wall is None


def test_cancelling_a_paused_job_writes_the_record_of_its_pause() -> None:
    paused = world(schedule(), schedule("other"))
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=25))

    paused.ask(CancelRequested, "job")

    assert records(paused, "job") == [("12:10", "skipped")]


def test_a_pause_before_the_loop_began_has_nothing_to_record() -> None:
    made = PaperWorld()
    made.schedule(schedule())
    made.ask(PauseRequested, "job")
    made.clock.advance(timedelta(minutes=25))
    made.ask(ResumeRequested, "job")

    made.begin()
    made.live(MINUTES_10)

    assert records(made) == [("12:30", "succeeded")]


def test_pausing_and_resuming_all_day_leaves_no_pile_of_old_rows() -> None:
    fickle = world(schedule(trigger=every(60_000)))

    for _ in range(5000):
        fickle.ask(PauseRequested, "job")
        fickle.ask(ResumeRequested, "job")

    assert len(fickle.plan._agenda._timetable) < 100


def test_failures_in_a_row_suspend_the_schedule_and_say_the_last_cause() -> None:
    broken = world(schedule(breaker=3), fate=fates(job=FAILS))

    broken.live(timedelta(hours=2))

    assert starts(broken) == ["12:10", "12:20", "12:30"]
    (told,) = broken.ask(Asked, Question.JOBS)
    assert told.suspended == (
        "3 failures in a row, the last: failed (goal() raised ValueError: no)"
    )
    assert told.next_run_time is None


def test_a_success_in_between_starts_the_count_anew() -> None:
    shaky = world(
        schedule(breaker=2),
        fate=fates(job=[FAILS, lasting(seconds=1), FAILS, lasting(seconds=1)]),
    )

    shaky.live(timedelta(minutes=45))

    assert len(shaky.starts) == 4
    assert "job.suspended" not in shaky.audit.operations()


def test_a_probe_lets_the_next_firing_through_and_success_restores() -> None:
    healed = world(
        schedule(breaker=1, breaker_probe=timedelta(minutes=25)),
        fate=fates(job=[FAILS, lasting(seconds=1)]),
    )

    healed.live(timedelta(minutes=55))

    assert records(healed) == [
        ("12:10", "failed"),
        ("12:20", "skipped"),
        ("12:40", "succeeded"),
        ("12:50", "succeeded"),
    ]
    skipped = healed.history.runs()[1]
    assert (skipped.covers, skipped.until) == (2, at("12:30"))
    assert skipped.reason.startswith("suspended: 1 failure in a row")
    assert healed.audit.operations("job")[4:9] == [
        "run.skipped",
        "job.probed",
        "run.started",
        "run.ended",
        "job.resumed",
    ]


def test_a_probe_that_fails_suspends_again_until_the_next_probe() -> None:
    broken = world(
        schedule(breaker=1, breaker_probe=timedelta(minutes=25)), fate=fates(job=FAILS)
    )

    broken.live(timedelta(minutes=75))

    assert starts(broken) == ["12:10", "12:40", "13:10"]


def test_times_that_pass_while_the_probe_runs_are_skipped_not_run_in_a_burst() -> None:
    slow = world(
        schedule(breaker=1, breaker_probe=FIVE),
        fate=fates(job=[FAILS, lasting(minutes=35), lasting(seconds=1)]),
    )

    slow.live(timedelta(minutes=65))

    assert records(slow) == [
        ("12:10", "failed"),
        ("12:20", "succeeded"),
        ("12:30", "skipped"),
        ("13:00", "succeeded"),
    ]
    assert slow.history.runs()[2].covers == 3


def test_a_probe_that_was_cancelled_is_followed_by_another() -> None:
    stuck = world(
        schedule(breaker=1, breaker_probe=FIVE),
        fate=fates(job=[FAILS, HANGS, lasting(seconds=1)]),
    )
    stuck.live(timedelta(minutes=22))
    stuck.ask(StopRequested, "p-2", "me")

    stuck.live(timedelta(minutes=12))

    assert records(stuck)[-1] == ("12:30", "succeeded")


def test_a_probe_whose_firing_is_skipped_waits_for_the_next_one() -> None:
    busy = world(
        schedule(breaker=1, breaker_probe=FIVE),
        fate=fates(job=[FAILS, lasting(minutes=7), lasting(seconds=1)]),
    )
    busy.live(timedelta(minutes=14))
    busy.ask(TriggerRequested, "job")
    busy.ask(StopRequested, "p-2", "me")
    busy.ask(TriggerRequested, "job")

    busy.live(timedelta(minutes=20))

    assert records(busy)[-1] == ("12:30", "succeeded")


def test_a_success_by_hand_restores_a_suspended_schedule() -> None:
    fixed = world(schedule(breaker=1), fate=fates(job=[FAILS, lasting(seconds=1)]))
    fixed.live(timedelta(minutes=32))

    fixed.ask(TriggerRequested, "job")
    fixed.live(timedelta(minutes=10))

    assert records(fixed) == [
        ("12:10", "failed"),
        ("12:20", "skipped"),
        ("12:32", "succeeded"),
        ("12:40", "succeeded"),
    ]


def test_a_run_that_still_went_on_restores_the_schedule_with_its_success() -> None:
    """Two in parallel: the failure of one suspends, the success of the other heals."""
    two = world(
        schedule(overlap="parallel", breaker=1),
        fate=fates(job=[lasting(minutes=25), FAILS, lasting(seconds=1)]),
    )

    two.live(timedelta(minutes=45))

    assert records(two) == [
        ("12:10", "succeeded"),
        ("12:20", "failed"),
        ("12:30", "skipped"),
        ("12:40", "succeeded"),
    ]


def test_resuming_by_hand_lifts_a_suspension_and_its_probe() -> None:
    broken = world(
        schedule(breaker=1, breaker_probe=timedelta(minutes=14)),
        fate=fates(job=[FAILS, lasting(minutes=30)]),
    )
    broken.live(timedelta(minutes=15))

    broken.ask(ResumeRequested, "job")
    broken.live(timedelta(minutes=40))

    assert starts(broken) == ["12:10", "12:20", "12:50"]
    assert "job.probed" not in broken.audit.operations()
    assert broken.plan.next_deadline().monotonic is None


def test_a_suspended_job_that_is_paused_stays_paused_when_it_heals() -> None:
    both = world(
        schedule(breaker=1, breaker_probe=FIVE),
        fate=fates(job=[FAILS, lasting(seconds=1)]),
    )
    both.live(timedelta(minutes=12))
    both.ask(PauseRequested, "job")
    both.live(timedelta(minutes=13))
    both.ask(TriggerRequested, "job")
    both.live(timedelta(minutes=30))

    (told,) = both.ask(Asked, Question.JOBS)
    assert (told.paused, told.suspended) == (True, None)
    assert starts(both) == ["12:10", "12:25"]


def test_attempts_of_one_time_are_one_failure_to_the_breaker() -> None:
    retry = Retry(count=2, backoff=10, jitter=False)
    shaky = world(schedule(breaker=2, retry=retry), fate=fates(job=FAILS))

    shaky.live(timedelta(minutes=45))

    assert starts(shaky) == ["12:10"] * 3 + ["12:20"] * 3


def test_cancelling_a_suspended_job_takes_its_probe_along() -> None:
    broken = world(
        schedule(breaker=1, breaker_probe=timedelta(hours=9)), fate=fates(job=FAILS)
    )
    broken.live(timedelta(minutes=12))

    broken.ask(CancelRequested, "job")

    assert broken.plan.next_deadline().monotonic is None


def test_only_the_named_ways_to_fail_count_for_the_breaker() -> None:
    """Two exceptions in a row, then a crash: the crash is the first that counts."""
    crashed = Fate(report=Report(signal=11))
    going = world(
        schedule(breaker=1, breaker_causes=frozenset({Outcome.CRASHED})),
        fate=fates(job=[FAILS, FAILS, crashed, Fate()]),
    )

    going.live(timedelta(minutes=25))
    assert starts(going) == ["12:10", "12:20"]

    going.live(timedelta(minutes=60))
    assert starts(going) == ["12:10", "12:20", "12:30"]


def test_a_probe_that_fails_in_any_way_suspends_again() -> None:
    crashed = Fate(report=Report(signal=11))
    policy = {
        "breaker": 1,
        "breaker_causes": frozenset({Outcome.CRASHED}),
        "breaker_probe": timedelta(minutes=15),
    }
    going = world(schedule(**policy), fate=fates(job=[crashed, FAILS, FAILS]))

    going.live(timedelta(minutes=60))

    assert starts(going) == ["12:10", "12:30", "12:50"]
