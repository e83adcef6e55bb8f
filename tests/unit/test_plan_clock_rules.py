"""What a step of the wall clock means to each kind of schedule, held or not."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    FAILS,
    HANGS,
    MINUTES_10,
    NOON,
    at,
    cron,
    every,
    fates,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.delay import Delay
from procsched.core.messages import (
    Asked,
    PauseRequested,
    Question,
    ResumeRequested,
)
from procsched.core.policy import Retry
from procsched.core.triggers import After, Between, Either, Excluding, Once, Span

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TENTH = cron("*/10 * * * *")


def test_after_the_end_counts_on_as_time_goes_by() -> None:
    stepped = world(schedule(trigger=After(MINUTES_10)))
    stepped.live(timedelta(minutes=4))
    stepped.set_wall(at("09:00"))
    stepped.live(timedelta(minutes=3))
    stepped.set_wall(at("22:00"))
    stepped.live(timedelta(minutes=4))

    assert [second for second, _, _ in stepped.log] == [600.0]


def test_a_moment_that_has_run_does_not_run_again_when_it_comes_again() -> None:
    back = world(schedule("once", Once(at("12:10"))), schedule("other"))
    back.live(timedelta(minutes=15))

    back.set_wall(at("11:50"))
    back.live(HOUR)

    assert starts(back, "once") == ["12:10"]


def test_a_paused_job_has_one_outcome_for_times_that_come_twice() -> None:
    back = world(schedule(trigger=TENTH))
    back.live(timedelta(minutes=5))
    back.ask(PauseRequested, "job")
    back.live(timedelta(minutes=30))
    back.set_wall(at("12:15"))
    back.live(timedelta(minutes=2))

    back.ask(ResumeRequested, "job")
    back.live(timedelta(minutes=15))

    assert records(back) == [
        ("12:10", "skipped"),
        ("12:20", "succeeded"),
        ("12:30", "succeeded"),
    ]


def test_a_paused_job_is_not_missed_when_the_clock_goes_far_forward() -> None:
    paused = world(schedule(trigger=TENTH))
    paused.ask(PauseRequested, "job")
    paused.set_wall(at("18:05"))

    paused.ask(ResumeRequested, "job")

    (skipped,) = paused.history.runs()
    assert (skipped.outcome, skipped.covers) == ("skipped", 36)


def test_resuming_after_the_clock_was_set_back_brings_no_decided_time_back() -> None:
    back = world(schedule(trigger=TENTH))
    back.live(timedelta(minutes=55))
    back.set_wall(at("12:05"))
    back.ask(PauseRequested, "job")

    back.ask(ResumeRequested, "job")
    back.live(timedelta(minutes=60))

    assert len(set(starts(back))) == len(starts(back)) == 6


def test_repeating_after_the_clock_was_set_back_brings_no_decided_time_back() -> None:
    back = world(
        schedule(trigger=TENTH), schedule("z", cron("0 9 * * *")), continuous=False
    )
    back.live(timedelta(minutes=15))
    back.set_wall(at("12:05"))

    back.schedule(schedule("b", cron("0 9 * * *")), run_continuous=True)
    back.live(timedelta(minutes=20))

    assert starts(back) == ["12:10", "12:20"]


def test_retries_and_probes_wait_on_the_clock_that_nobody_sets() -> None:
    retry = Retry(count=1, backoff=60, jitter=False)
    failed = world(schedule(retry=retry), fate=fates(job=FAILS))
    failed.live(timedelta(minutes=10, seconds=2))

    failed.set_wall(at("08:00"))
    failed.live(timedelta(seconds=58))
    assert len(failed.starts) == 1
    failed.live(timedelta(seconds=1))
    assert len(failed.starts) == 2


def test_the_schedule_is_described_as_it_was_added() -> None:
    back = world(schedule(trigger=TENTH))
    back.live(timedelta(minutes=25))

    back.set_wall(at("10:00"))

    (told,) = back.ask(Asked, Question.JOBS)
    assert told.schedule == "every 10 minutes, UTC"


def test_a_delay_on_purpose_is_kept_over_a_step() -> None:
    delay = Delay(spread=timedelta(minutes=5), key="a")
    wait = delay.of(NOON)
    stepped = world(schedule(delay=delay))

    stepped.set_wall(at("19:00"))
    stepped.live(timedelta(minutes=16))

    assert [second for second, _, _ in stepped.log] == [600 + wait.total_seconds()]


def test_an_interval_in_a_frame_of_wall_times_moves_within_it() -> None:
    framed = world(
        schedule("until", Between(every(), end=at("12:45"))),
        schedule("noon", Excluding(every(), (Span(at("12:00"), at("12:30")),))),
    )
    framed.live(timedelta(minutes=2))

    framed.set_wall(at("12:27"))
    framed.live(timedelta(minutes=30))

    assert starts(framed, "until") == ["12:35", "12:45"]
    assert starts(framed, "noon") == ["12:35", "12:45", "12:55"]


class Mixed:
    """Every ten minutes of elapsed time, or at minute 5 of each hour on the wall."""

    either = Either((every(), cron("5 * * * *")))


def test_of_two_rules_each_takes_a_step_forward_in_its_way() -> None:
    mixed = world(schedule(trigger=Mixed.either))
    mixed.live(timedelta(minutes=13))

    mixed.set_wall(at("14:13"))
    mixed.live(timedelta(minutes=18))

    assert records(mixed) == [
        ("12:05", "succeeded"),
        ("12:10", "succeeded"),
        ("13:05", "missed"),
        ("14:20", "succeeded"),
        ("14:30", "succeeded"),
    ]
    assert mixed.history.runs()[2].covers == 2


def test_of_two_rules_each_takes_a_step_back_in_its_way() -> None:
    mixed = world(schedule(trigger=Mixed.either))
    mixed.live(timedelta(minutes=13))

    mixed.set_wall(at("12:03:00.5"))
    mixed.live(timedelta(minutes=60))

    assert starts(mixed) == [
        "12:05", "12:10",
        "12:10", "12:20", "12:30", "12:40", "12:50", "13:00",
    ]  # fmt: skip


def test_of_two_rules_a_held_wall_time_has_its_outcome_after_a_step_back() -> None:
    """12:05 came while the job was paused; at 12:06 it has still come."""
    held = world(schedule(trigger=Mixed.either))
    held.ask(PauseRequested, "job")
    held.live(timedelta(minutes=7))
    held.set_wall(at("12:06"))

    held.ask(ResumeRequested, "job")
    held.live(timedelta(minutes=4))

    assert records(held) == [("12:05", "skipped"), ("12:09", "succeeded")]


def test_of_two_rules_a_held_wall_time_that_is_ahead_once_more_runs_then() -> None:
    held = world(schedule(trigger=Mixed.either))
    held.ask(PauseRequested, "job")
    held.live(timedelta(minutes=7))
    held.set_wall(at("12:04"))

    held.ask(ResumeRequested, "job")
    held.live(timedelta(minutes=4))

    assert records(held) == [("12:05", "succeeded"), ("12:07", "succeeded")]


def test_a_small_step_forward_of_two_rules_misses_nothing() -> None:
    mixed = world(schedule(trigger=Either((every(), cron("30 * * * *")))))
    mixed.live(timedelta(minutes=13))

    mixed.set_wall(at("12:18"))
    mixed.live(timedelta(minutes=15))

    assert starts(mixed) == ["12:10", "12:25", "12:30"]


def test_a_step_during_a_run_moves_the_time_after_its_end() -> None:
    going = world(
        schedule(trigger=Either((After(MINUTES_10), cron("0 18 * * *")))),
        fate=fates(job=HANGS),
    )
    going.live(timedelta(minutes=15))

    going.set_wall(at("17:15"))
    going.live(HOUR)

    assert records(going) == [("12:10", ""), ("18:00", "skipped")]
