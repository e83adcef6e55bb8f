"""Times that count from the end of the last run, alone and beside others."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    FAILS,
    HANGS,
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
    PauseRequested,
    ResumeRequested,
    StopRequested,
    TriggerRequested,
)
from procsched.core.policy import Retry
from procsched.core.triggers import After, Between, Either, Excluding, Span
from procsched.testing import Fate, PaperWorld

MINUTE = timedelta(minutes=1)
AFTER_5 = After(timedelta(minutes=5))
REPORT = FAILS.report


def test_the_delay_counts_from_the_end_of_each_run() -> None:
    chain = world(schedule(trigger=AFTER_5), fate=fates(job=lasting(minutes=2)))

    chain.live(timedelta(minutes=20))

    assert starts(chain) == ["12:05", "12:12", "12:19"]


def test_while_a_run_goes_on_there_is_no_next_time() -> None:
    going = world(schedule(trigger=AFTER_5), fate=fates(job=HANGS))

    going.live(timedelta(minutes=30))

    assert going.plan.next_deadline().wall is None
    assert not going.plan.finished
    assert records(going) == [("12:05", "")]


def test_a_run_that_was_stopped_has_ended_too() -> None:
    going = world(schedule(trigger=AFTER_5), fate=fates(job=HANGS))
    going.live(timedelta(minutes=8))

    going.ask(StopRequested, "p-1", "me")
    going.live(timedelta(minutes=6))

    assert starts(going) == ["12:05", "12:13"]


def test_a_run_that_was_dropped_before_its_start_has_ended_too() -> None:
    full = world(
        schedule("long", every(600)),
        schedule("job", AFTER_5, start_deadline=MINUTE),
        slots=1,
        fate=fates(long=lasting(minutes=10)),
    )
    full.ask(TriggerRequested, "long")

    full.live(timedelta(minutes=16))

    assert records(full, "job") == [("12:05", "missed"), ("12:15", "succeeded")]


def test_a_waiting_run_that_was_cancelled_has_ended_too() -> None:
    full = world(
        schedule("long", every(600)), schedule("job", AFTER_5), slots=1,
        fate=fates(long=lasting(minutes=9)),
    )  # fmt: skip
    full.ask(TriggerRequested, "long")
    full.live(timedelta(minutes=7))

    full.ask(StopRequested, "p-2", "me")
    full.live(timedelta(minutes=6))

    assert records(full, "job") == [("12:05", "cancelled"), ("12:12", "succeeded")]


def test_the_last_attempt_is_the_end_that_counts() -> None:
    retry = Retry(count=1, backoff=60, jitter=False)
    failed = world(
        schedule(trigger=AFTER_5, retry=retry),
        fate=fates(job=Fate(report=REPORT, lasts=MINUTE)),
    )

    failed.live(timedelta(minutes=14))

    assert [second for second, _, _ in failed.log] == [300.0, 420.0, 780.0]


def test_a_run_by_hand_puts_the_next_time_off() -> None:
    handled = world(schedule(trigger=AFTER_5), fate=fates(job=MINUTE_RUN))
    handled.live(timedelta(minutes=4))

    handled.ask(TriggerRequested, "job")
    handled.live(timedelta(minutes=7))

    assert starts(handled) == ["12:04", "12:10"]


MINUTE_RUN = lasting(minutes=1)


def test_a_run_by_hand_during_a_pause_leaves_no_time_without_a_record() -> None:
    paused = world(schedule(trigger=AFTER_5), fate=fates(job=MINUTE_RUN))
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=7))
    paused.ask(TriggerRequested, "job")
    paused.live(timedelta(minutes=3))

    paused.ask(ResumeRequested, "job")
    paused.live(timedelta(minutes=4))

    assert records(paused) == [
        ("12:05", "skipped"),
        ("12:07", "succeeded"),
        ("12:13", "succeeded"),
    ]


def test_resuming_during_a_run_waits_for_its_end() -> None:
    going = world(schedule(trigger=AFTER_5), fate=fates(job=lasting(minutes=20)))
    going.live(timedelta(minutes=6))
    going.ask(PauseRequested, "job")
    going.ask(ResumeRequested, "job")

    going.live(timedelta(minutes=25))

    assert records(going) == [("12:05", "succeeded"), ("12:30", "")]


def test_a_missed_time_is_counted_on_from_now_and_makes_no_storm() -> None:
    """A suspend of two days, against a window of one."""
    slept = world(schedule(trigger=AFTER_5))

    slept.suspend(timedelta(days=2))
    slept.live(timedelta(minutes=6))

    assert records(slept)[0][1] == "missed"
    assert len(slept.history.runs()) == 2
    assert [second for second, _, _ in slept.log] == [300.0]


def test_a_pause_of_days_ends_in_one_record_and_a_whole_delay() -> None:
    paused = world(schedule(trigger=AFTER_5))
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(days=2, minutes=1))

    paused.ask(ResumeRequested, "job")
    paused.live(timedelta(minutes=6))

    assert [outcome for _, outcome in records(paused)] == ["skipped", "succeeded"]
    assert paused.history.runs()[0].covers == 1
    assert starts(paused) == ["12:06"]


def test_a_short_pause_does_not_put_the_next_time_off() -> None:
    paused = world(schedule(trigger=AFTER_5))
    paused.live(timedelta(minutes=3))

    paused.ask(PauseRequested, "job")
    paused.ask(ResumeRequested, "job")
    paused.live(timedelta(minutes=3))

    assert starts(paused) == ["12:05"]


def test_before_the_loop_began_nothing_was_promised() -> None:
    made = PaperWorld()
    made.schedule(schedule(trigger=AFTER_5))
    made.clock.advance(timedelta(minutes=9))

    made.begin()
    made.live(timedelta(minutes=6))

    assert starts(made) == ["12:14"]


EITHER = Either((AFTER_5, cron("0,20,40 * * * *")))


def test_beside_a_wall_time_whichever_comes_first_fires() -> None:
    both = world(schedule(trigger=EITHER), fate=fates(job=lasting(minutes=9)))

    both.live(timedelta(minutes=50))

    assert records(both) == [
        ("12:05", "succeeded"),
        ("12:19", "succeeded"),
        ("12:20", "skipped"),
        ("12:33", "succeeded"),
        ("12:40", "skipped"),
        ("12:47", ""),
    ]


def test_a_wall_time_during_a_run_has_its_outcome() -> None:
    """The end is awaited for the delay only; the rest goes on by itself."""
    both = world(schedule(trigger=EITHER, overlap="queue"), fate=fates(job=HANGS))

    both.live(timedelta(minutes=50))

    assert records(both) == [("12:05", ""), ("12:20", ""), ("12:40", "")]


def test_a_wall_time_that_passed_in_the_same_moment_as_the_end_is_not_lost() -> None:
    both = world(
        schedule(trigger=EITHER), fate=fates(job=lasting(minutes=14, seconds=30))
    )
    both.live(timedelta(minutes=6))

    both.oversleep(timedelta(minutes=14))
    both.live(timedelta(minutes=1))

    assert records(both)[:2] == [("12:05", "succeeded"), ("12:20", "")]


def test_within_bounds_and_windows_it_counts_from_the_end_all_the_same() -> None:
    lunch = Span(at("12:10"), at("12:30"))
    framed = world(
        schedule("bounded", Between(AFTER_5, end=at("12:08"))),
        schedule("windowed", Excluding(AFTER_5, (lunch,))),
        fate=fates(bounded=MINUTE_RUN, windowed=MINUTE_RUN),
    )

    framed.live(timedelta(minutes=40))

    assert starts(framed, "bounded") == ["12:05"]
    assert starts(framed, "windowed") == ["12:05", "12:30", "12:36"]
