"""Jobs that run once, and the switch that is the whole scheduler's."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    FAILS,
    MINUTES_10,
    at,
    cron,
    every,
    fates,
    lasting,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.messages import (
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    TriggerRequested,
)
from procsched.core.policy import Retry
from procsched.core.triggers import After, Between, Once
from procsched.testing import PaperWorld

HOUR = timedelta(hours=1)


def test_each_job_runs_once_and_then_the_plan_is_finished() -> None:
    once = world(schedule("a"), schedule("b", every(25)), continuous=False)

    assert once.live_until_finished(HOUR)
    assert records(once) == [("12:10", "succeeded"), ("12:25", "succeeded")]


def test_a_plan_that_has_begun_is_not_finished_while_a_run_goes_on() -> None:
    once = world(schedule(), continuous=False, fate=fates(job=lasting(minutes=30)))

    once.live(timedelta(minutes=20))
    assert not once.plan.finished
    once.live(timedelta(minutes=20))
    assert once.plan.finished


def test_retries_count_as_the_same_once() -> None:
    retry = Retry(count=2, backoff=60, jitter=False)
    once = world(schedule(retry=retry), continuous=False, fate=fates(job=FAILS))

    assert once.live_until_finished(HOUR)
    assert [run.attempt for run in once.history.runs()] == [1, 2, 3]
    assert starts(once) == ["12:10", "12:10", "12:10"]


def test_the_plan_waits_for_a_pending_retry() -> None:
    retry = Retry(count=1, backoff=600, ceiling=600, jitter=False)
    once = world(schedule(retry=retry), continuous=False, fate=fates(job=FAILS))

    once.live(timedelta(minutes=15))

    assert not once.plan.finished
    assert not once.plan._roster.busy


def test_a_firing_that_was_skipped_is_not_the_once() -> None:
    """Every job runs once; a time left out for a run by hand is no run."""
    once = world(schedule(), continuous=False, fate=fates(job=lasting(minutes=8)))
    once.live(timedelta(minutes=5))
    once.ask(TriggerRequested, "job")

    assert once.live_until_finished(HOUR)
    assert records(once) == [
        ("12:05", "succeeded"),
        ("12:10", "skipped"),
        ("12:20", "succeeded"),
    ]


def test_a_firing_that_was_missed_is_not_the_once() -> None:
    once = world(schedule(catch_up="none"), continuous=False)

    once.oversleep(timedelta(minutes=15))

    assert once.live_until_finished(HOUR)
    assert records(once) == [("12:10", "missed"), ("12:20", "succeeded")]


def test_of_several_times_that_come_at_once_a_job_runs_the_latest() -> None:
    late = world(schedule(catch_up="all"), continuous=False)

    late.oversleep(timedelta(minutes=35))

    assert late.live_until_finished(HOUR)
    assert records(late) == [("12:10", "coalesced"), ("12:30", "succeeded")]
    coalesced = late.history.runs()[0]
    assert coalesced.covers == 2
    assert coalesced.reason == "the job runs once, at the latest nominal time"


def test_a_later_call_without_a_word_inherits() -> None:
    inherits = world(schedule("a"), continuous=True)

    inherits.schedule(schedule("b"), run_continuous=None)
    inherits.live(HOUR)

    assert len(starts(inherits, "b")) == 6


def test_without_any_word_every_job_runs_once() -> None:
    silent = PaperWorld()
    silent.schedule(schedule(), run_continuous=None)
    silent.begin()

    assert silent.live_until_finished(HOUR)
    assert starts(silent) == ["12:10"]


def test_a_later_word_for_once_holds_for_all_jobs_while_they_run() -> None:
    """What has run is done; what has not runs once more, and then all is over."""
    switched = world(schedule("old"))
    switched.live(timedelta(minutes=25))

    switched.schedule(schedule("new", every(10)), run_continuous=False)

    assert switched.live_until_finished(HOUR)
    assert starts(switched) == ["12:10", "12:20", "12:30"]
    assert [each.job for each in switched.starts] == ["old", "old", "new"]


def test_a_later_word_for_repeating_holds_for_all_jobs_while_they_run() -> None:
    switched = world(schedule("old"), schedule("slow", every(50)), continuous=False)
    switched.live(timedelta(minutes=25))

    switched.schedule(schedule("new"), run_continuous=True)
    switched.live(timedelta(minutes=30))

    assert starts(switched, "old") == ["12:10", "12:30", "12:40", "12:50"]
    assert starts(switched, "slow") == ["12:50"]


def test_the_same_word_again_changes_nothing() -> None:
    same = world(schedule("a"))
    same.live(timedelta(minutes=5))

    same.schedule(schedule("b", every(60)), run_continuous=True)
    same.live(timedelta(minutes=16))

    assert starts(same, "a") == ["12:10", "12:20"]


def test_switching_to_once_leaves_no_time_of_a_paused_job_without_a_record() -> None:
    paused = world(schedule("a"))
    paused.live(timedelta(minutes=15))
    paused.ask(PauseRequested, "a")
    paused.live(timedelta(minutes=30))

    paused.schedule(schedule("b"), run_continuous=False)

    assert paused.live_until_finished(HOUR)
    assert records(paused, "a") == [("12:10", "succeeded"), ("12:20", "skipped")]
    skipped = paused.history.runs("a")[-1]
    assert (skipped.covers, skipped.until) == (3, at("12:40"))


def test_switching_to_repeating_lets_a_paused_job_be_resumed() -> None:
    paused = world(schedule("a"), schedule("z", every(600)), continuous=False)
    paused.live(timedelta(minutes=15))
    paused.ask(PauseRequested, "a")

    paused.schedule(schedule("b", every(600)), run_continuous=True)
    paused.live(timedelta(minutes=20))
    paused.ask(ResumeRequested, "a")
    paused.live(MINUTES_10)

    assert records(paused, "a") == [
        ("12:10", "succeeded"),
        ("12:20", "skipped"),
        ("12:40", "succeeded"),
    ]


def test_a_paused_job_that_has_not_run_keeps_the_plan_open() -> None:
    paused = world(schedule(), continuous=False)
    paused.ask(PauseRequested, "job")

    paused.live(HOUR)
    assert not paused.plan.finished
    paused.ask(ResumeRequested, "job")
    assert paused.live_until_finished(HOUR)


def test_resuming_a_job_that_has_run_its_once_does_not_run_it_again() -> None:
    once = world(schedule("a"), schedule("b", every(60)), continuous=False)
    once.live(timedelta(minutes=15))
    once.ask(PauseRequested, "a")
    once.ask(ResumeRequested, "a")

    assert once.live_until_finished(timedelta(hours=2))
    assert starts(once, "a") == ["12:10"]


def test_a_breakers_probe_does_not_run_a_job_twice_that_runs_once() -> None:
    probe = timedelta(minutes=5)
    once = world(
        schedule("a", breaker=1, breaker_probe=probe),
        schedule("b", every(60)),
        continuous=False,
        fate=fates(a=FAILS),
    )

    assert once.live_until_finished(timedelta(hours=2))
    assert starts(once, "a") == ["12:10"]


def test_main_mode_ends_when_the_last_job_is_cancelled() -> None:
    empty = world(schedule())

    empty.ask(CancelRequested, "job")

    assert empty.plan.finished


def test_thread_mode_stays_open_for_jobs_to_come() -> None:
    server = world(schedule(), ends_when_idle=False)

    server.ask(CancelRequested, "job")
    assert not server.plan.finished
    server.schedule(schedule("next"))
    server.live(MINUTES_10)
    assert starts(server, "next") == ["12:10"]


def test_thread_mode_ends_when_each_job_has_run_its_once() -> None:
    server = world(schedule(), continuous=False, ends_when_idle=False)

    assert server.live_until_finished(HOUR)


def test_a_plan_without_any_job_is_not_finished() -> None:
    empty = PaperWorld()
    empty.begin()

    assert not empty.plan.finished


def test_cancelling_a_job_drops_its_pending_retry_at_once() -> None:
    """Main mode must not wait an hour for an attempt that will not be made."""
    retry = Retry(count=1, backoff=3600, ceiling=3600, jitter=False)
    failed = world(schedule(retry=retry), fate=fates(job=FAILS))
    failed.live(timedelta(minutes=11))

    failed.ask(CancelRequested, "job")

    assert failed.plan.finished
    dropped = failed.audit.trails[-2]
    assert (dropped.operation, dropped.status) == ("run.retry", "dropped")
    assert dropped.comments == {"attempt": 2, "reason": "the job was cancelled"}
    assert failed.plan.next_deadline().monotonic is None


def test_a_schedule_that_has_no_further_time_ends_even_a_repeating_plan() -> None:
    bounded = world(
        schedule("a", Once(at("12:03"))),
        schedule("b", Between(cron("*/5 * * * *"), end=at("12:10"))),
    )

    assert bounded.live_until_finished(HOUR)
    assert starts(bounded) == ["12:03", "12:05", "12:10"]


def test_after_the_end_is_no_further_time_for_a_job_that_runs_once() -> None:
    once = world(schedule(trigger=After(timedelta(minutes=3))), continuous=False)

    assert once.live_until_finished(HOUR)
    assert starts(once) == ["12:03"]
