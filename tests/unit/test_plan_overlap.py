"""When a firing meets a run of its own job: skip, queue, replace, parallel."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from scenes import (
    DEAF,
    FAILS,
    HANGS,
    MINUTES_10,
    cron,
    every,
    fates,
    lasting,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.agenda import QUEUE_LIMIT
from procsched.core.messages import StopRequested, TriggerRequested
from procsched.core.policy import Limits, Retry
from procsched.errors import SchedulerError

HOUR = timedelta(hours=1)


def test_skip_leaves_out_a_firing_that_meets_a_run_and_says_which() -> None:
    slow = world(schedule(), fate=fates(job=lasting(minutes=25)))

    slow.live(timedelta(minutes=45))

    assert records(slow)[:4] == [
        ("12:10", "succeeded"),
        ("12:20", "skipped"),
        ("12:30", "skipped"),
        ("12:40", ""),
    ]
    reason = slow.history.runs()[1].reason
    assert reason == "run p-1 of the same job was still going"


def test_skip_counts_a_run_that_waits_for_a_slot_as_going() -> None:
    full = world(
        schedule("long"), schedule("job"), slots=1, fate=fates(long=lasting(minutes=15))
    )

    full.live(timedelta(minutes=24))

    assert records(full, "job")[:2] == [("12:10", ""), ("12:20", "skipped")]


def test_queue_lets_firings_wait_and_runs_them_one_after_another() -> None:
    slow = world(schedule(overlap="queue"), fate=fates(job=lasting(minutes=15)))

    slow.live(timedelta(minutes=50))

    assert slow.log == [
        (600.0, "start", "job"),
        (1500.0, "start", "job"),
        (2400.0, "start", "job"),
    ]
    assert starts(slow) == ["12:10", "12:20", "12:30"]


def test_queue_is_bounded_and_what_does_not_fit_is_skipped() -> None:
    stuck = world(schedule(trigger=every(1), overlap="queue"), fate=fates(job=HANGS))

    stuck.live(timedelta(minutes=110))

    outcomes = stuck.history.outcomes()
    assert len(stuck.plan._roster.waiting("job")) == QUEUE_LIMIT == 100
    assert outcomes.count("skipped") == 110 - 101
    reason = stuck.history.runs()[-1].reason
    assert reason == "100 runs of the job were waiting already"


def test_replace_stops_the_run_and_starts_only_when_it_is_confirmed_dead() -> None:
    """The job ignores SIGTERM, so its grace period of 30 s passes first."""
    deaf = world(
        schedule(overlap="replace", limits=Limits(grace=30)),
        fate=fates(job=[DEAF, HANGS]),
    )

    deaf.live(timedelta(minutes=25))

    assert deaf.log == [
        (600.0, "start", "job"),
        (1200.0, "stop", "job"),
        (1230.0, "start", "job"),
    ]
    first = deaf.history.runs()[0]
    assert (first.outcome, first.reason) == (
        "cancelled",
        "replaced by the run due at 2025-06-02T12:20:00+00:00",
    )


def test_replace_cancels_a_run_that_waits_without_a_process() -> None:
    full = world(
        schedule("long", every(600)),
        schedule("job", overlap="replace"),
        slots=1,
        fate=fates(long=HANGS),
    )
    full.ask(TriggerRequested, "long")

    full.live(timedelta(minutes=35))

    assert records(full, "job") == [
        ("12:10", "cancelled"),
        ("12:20", "cancelled"),
        ("12:30", ""),
    ]
    assert [each.job for each in full.starts] == ["long"]


def test_replace_while_the_old_run_is_stopping_waits_for_the_same_death() -> None:
    deaf = world(
        schedule(trigger=every(1), overlap="replace", limits=Limits(grace=150)),
        fate=fates(job=[DEAF, HANGS]),
    )

    deaf.live(timedelta(minutes=4))

    assert deaf.log == [(60.0, "start", "job"), (120.0, "stop", "job")]
    assert records(deaf) == [
        ("12:01", ""),
        ("12:02", "cancelled"),
        ("12:03", "cancelled"),
        ("12:04", ""),
    ]
    deaf.live(timedelta(seconds=30))
    assert deaf.log[2] == (270.0, "start", "job")


def test_replace_gives_up_the_retry_of_the_run_it_replaces() -> None:
    retry = Retry(count=1, backoff=900, ceiling=900, jitter=False)
    newest = world(
        schedule(overlap="replace", retry=retry),
        fate=fates(job=[FAILS, lasting(minutes=1)]),
    )

    newest.live(timedelta(minutes=40))

    assert starts(newest) == ["12:10", "12:20", "12:30", "12:40"]
    assert ("run.retry", "dropped") in [
        (each.operation, each.status) for each in newest.audit.trails
    ]


def test_parallel_runs_up_to_its_cap_and_skips_beyond() -> None:
    wide = world(
        schedule(overlap="parallel", parallel=2), slots=9, fate=fates(job=HANGS)
    )

    wide.live(timedelta(minutes=35))

    assert len(wide.running) == 2
    assert records(wide)[-1] == ("12:30", "skipped")
    reason = wide.history.runs()[-1].reason
    assert reason == "2 runs of the job were going or waiting already"


def test_parallel_without_a_cap_is_bounded_by_slots_and_by_those_that_wait() -> None:
    wide = world(
        schedule(trigger=every(1), overlap="parallel"), slots=150, fate=fates(job=HANGS)
    )

    wide.live(timedelta(minutes=260))

    assert len(wide.running) == 150
    assert wide.history.outcomes().count("skipped") == 260 - 150 - 100


def test_a_retry_waits_behind_the_run_that_started_meanwhile() -> None:
    retry = Retry(count=1, backoff=630, ceiling=630, jitter=False)
    slow = world(schedule(retry=retry), fate=fates(job=[FAILS, lasting(minutes=5)]))

    slow.live(timedelta(minutes=26))

    assert slow.log == [
        (600.0, "start", "job"),
        (1200.0, "start", "job"),
        (1500.0, "start", "job"),
    ]
    assert starts(slow) == ["12:10", "12:20", "12:10"]


def test_a_run_by_hand_waits_behind_the_one_that_goes_on() -> None:
    slow = world(schedule(), fate=fates(job=lasting(minutes=5)))
    slow.live(timedelta(minutes=12))

    slow.ask(TriggerRequested, "job")
    slow.live(timedelta(minutes=5))

    assert [second for second, _, _ in slow.log] == [600.0, 900.0]


def test_a_run_by_hand_replaces_where_runs_replace() -> None:
    slow = world(schedule(overlap="replace"), fate=fates(job=lasting(minutes=5)))
    slow.live(timedelta(minutes=12))

    slow.ask(TriggerRequested, "job")
    slow.live(timedelta(seconds=1))

    assert records(slow) == [("12:10", "cancelled"), ("12:12", "")]
    assert slow.history.runs()[0].reason == "replaced by a run started by hand"


def test_runs_by_hand_are_refused_when_a_hundred_wait() -> None:
    stuck = world(schedule(), fate=fates(job=HANGS))
    for _ in range(101):
        stuck.ask(TriggerRequested, "job")
        stuck.live(timedelta(seconds=1))

    with pytest.raises(SchedulerError) as refusal:
        stuck.ask(TriggerRequested, "job")

    assert refusal.value.problem == "100 runs of 'job' are waiting already"
    assert refusal.value.remedy == (
        "Wait until some have started, or stop them with stop_run()"
    )


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_runs_that_catch_up_go_one_after_another(overlap: str) -> None:
    """`catch_up: all` would be `one` if the first made the others be skipped."""
    late = world(
        schedule(overlap=overlap, catch_up="all"), fate=fates(job=lasting(minutes=1))
    )

    late.oversleep(timedelta(minutes=35))
    late.live(timedelta(minutes=4))

    assert records(late) == [
        ("12:10", "succeeded"),
        ("12:20", "succeeded"),
        ("12:30", "succeeded"),
    ]
    assert [second for second, _, _ in late.log] == [2100.0, 2160.0, 2220.0]


def test_runs_that_catch_up_keep_within_the_cap_of_parallel_ones() -> None:
    late = world(
        schedule(overlap="parallel", parallel=2, catch_up="all"),
        slots=9,
        fate=fates(job=lasting(minutes=1)),
    )

    late.oversleep(timedelta(minutes=35))
    late.live(timedelta(minutes=4))

    assert [second for second, _, _ in late.log] == [2100.0, 2100.0, 2160.0]


def test_what_would_catch_up_is_skipped_as_one_when_a_run_goes_on() -> None:
    slow = world(schedule(catch_up="all"), fate=fates(job=lasting(hours=1)))
    slow.live(timedelta(minutes=15))

    slow.oversleep(timedelta(minutes=30))

    skipped = slow.history.runs()[-1]
    assert (skipped.outcome, skipped.covers) == ("skipped", 3)


def test_a_sequence_and_a_queue_hold_together() -> None:
    line = world(
        schedule("a", cron("*/10 * * * *"), sequence="s", overlap="queue"),
        schedule("b", cron("*/10 * * * *"), sequence="s", overlap="queue"),
        slots=9,
        fate=fates(a=lasting(minutes=4), b=lasting(minutes=4)),
    )

    line.live(HOUR)

    begun = [second for second, _, _ in line.log]
    assert all(later - earlier >= 240 for earlier, later in pairwise(begun))


def test_a_slot_that_stays_taken_leaves_no_trace_of_runs_that_gave_up() -> None:
    """A minute job that replaces its waiting run, behind a run of days."""
    full = world(
        schedule("long", every(600_000)),
        schedule("job", every(1), overlap="replace"),
        slots=1,
        fate=fates(long=HANGS),
    )
    full.ask(TriggerRequested, "long")

    full.live(timedelta(days=2))

    queue = full.plan._roster._queue
    assert len(queue._ready) < 200
    assert len(full.plan._roster.live) == 2


def test_stopping_the_first_of_a_queue_lets_the_next_one_start() -> None:
    slow = world(schedule(overlap="queue"), fate=fates(job=lasting(minutes=35)))
    slow.live(timedelta(minutes=25))

    slow.ask(StopRequested, "p-1", "me")
    slow.live(MINUTES_10 / 10)

    assert records(slow) == [("12:10", "cancelled"), ("12:20", "")]
    assert [second for second, what, _ in slow.log if what == "start"] == [600, 1500]
