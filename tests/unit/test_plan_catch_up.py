"""What becomes of times that passed unseen, and of starts that come too late."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
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
from procsched.core.messages import TriggerRequested
from procsched.core.policy import Retry
from procsched.core.run import Reason
from procsched.testing import Fate

from scenes import RAISED  # isort: skip


def test_latest_runs_one_and_one_record_stands_for_the_rest() -> None:
    late = world(schedule())

    late.oversleep(timedelta(minutes=55))

    coalesced, run = late.history.runs()
    assert (coalesced.outcome, coalesced.covers) == ("coalesced", 4)
    assert (coalesced.nominal_time, coalesced.until) == (at("12:10"), at("12:40"))
    assert coalesced.ended_at == at("12:55")
    assert (run.nominal_time, run.trigger) == (at("12:50"), Reason.CATCH_UP)
    assert late.audit.trails[1].comments == {
        "reason": "the latest nominal time runs for all",
        "count": 4,
        "until": "2025-06-02T12:40:00+00:00",
    }


def test_after_a_catch_up_the_grid_goes_on_where_it_was() -> None:
    late = world(schedule())

    late.oversleep(timedelta(minutes=55))
    late.live(MINUTES_10)

    assert starts(late) == ["12:50", "13:00"]


def test_none_runs_nothing_late() -> None:
    late = world(schedule(catch_up="none"))

    late.oversleep(timedelta(minutes=55))
    late.live(MINUTES_10)

    assert records(late)[0] == ("12:10", "missed")
    assert late.history.runs()[0].covers == 5
    assert starts(late) == ["13:00"]


def test_all_runs_each_and_beyond_the_cap_one_record_stands_for_the_rest() -> None:
    late = world(schedule(catch_up="all", catch_up_max=2, overlap="queue"))

    late.oversleep(timedelta(minutes=55))
    late.live(timedelta(minutes=1))

    assert starts(late) == ["12:40", "12:50"]
    missed = late.history.runs()[0]
    assert (missed.outcome, missed.covers) == ("missed", 3)


def test_a_second_late_is_a_firing_and_no_catch_up() -> None:
    late = world(schedule(catch_up="none"))

    late.oversleep(timedelta(minutes=10, seconds=1))

    assert late.history.runs()[0].trigger is Reason.SCHEDULE


def test_a_thousand_jobs_after_a_suspend_of_a_week_make_one_run_each() -> None:
    """No storm: what was slept through is a record, not a queue."""
    many = world(*(schedule(f"job-{n}", every(1)) for n in range(1000)), slots=1000)

    many.suspend(timedelta(days=7))

    assert len(many.starts) == 1000
    outcomes = many.history.outcomes()
    assert outcomes.count("coalesced") == 1000
    covered = sum(run.covers for run in many.history.runs())
    assert covered == 1000 * 7 * 24 * 60


def test_a_run_that_waits_beyond_its_start_deadline_is_missed() -> None:
    full = world(
        schedule("long", every(600)),
        schedule("job", start_deadline=timedelta(minutes=2)),
        slots=1,
        fate=fates(long=lasting(minutes=13)),
    )
    full.ask(TriggerRequested, "long")

    full.live(timedelta(minutes=21))

    assert records(full, "job") == [("12:10", "missed"), ("12:20", "succeeded")]
    missed = full.history.runs("job")[0]
    assert missed.reason == "not started within 0:02:00"
    assert missed.started_at is None
    assert "run.missed" in full.audit.operations("job")


def test_a_run_within_its_start_deadline_starts() -> None:
    late = world(schedule(start_deadline=timedelta(minutes=2)))

    late.oversleep(timedelta(minutes=12))

    assert starts(late) == ["12:10"]


def test_what_is_caught_up_with_too_late_for_its_start_deadline_is_missed() -> None:
    late = world(schedule(start_deadline=timedelta(minutes=2)))

    late.oversleep(timedelta(minutes=13))

    assert records(late) == [("12:10", "missed")]


def test_a_delay_on_purpose_does_not_eat_up_the_start_deadline() -> None:
    delay = Delay(spread=timedelta(hours=1), key="a")
    assert delay.of(at("12:50")) > timedelta(minutes=2)
    spread = world(
        schedule(trigger=every(50), delay=delay, start_deadline=timedelta(minutes=2))
    )

    spread.live(timedelta(hours=2))

    assert records(spread)[0] == ("12:50", "succeeded")


def test_a_retry_is_not_late_for_the_start_deadline_of_its_nominal_time() -> None:
    retry = Retry(count=1, backoff=300, ceiling=300, jitter=False)
    failed = world(
        schedule(retry=retry, start_deadline=timedelta(minutes=2)),
        fate=fates(job=[Fate(report=RAISED), lasting(seconds=1)]),
    )

    failed.live(timedelta(minutes=16))

    assert [run.outcome for run in failed.history.runs()] == ["failed", "succeeded"]


def test_a_clock_that_is_set_does_not_make_a_waiting_run_late() -> None:
    full = world(
        schedule("long", every(600)),
        schedule("job", start_deadline=timedelta(minutes=30)),
        slots=1,
        fate=fates(long=lasting(minutes=13)),
    )
    full.ask(TriggerRequested, "long")
    full.live(timedelta(minutes=11))

    full.set_wall(at("13:11"))
    full.live(timedelta(minutes=3))

    assert records(full, "job")[0] == ("12:10", "succeeded")


def test_a_run_that_missed_its_deadline_frees_its_slot_and_its_turn() -> None:
    full = world(
        schedule("long", every(600), sequence="s"),
        schedule("job", sequence="s", start_deadline=timedelta(minutes=1)),
        schedule("last", every(12), sequence="s"),
        slots=1,
        fate=fates(long=lasting(minutes=15), last=HANGS),
    )
    full.ask(TriggerRequested, "long")

    full.live(timedelta(minutes=16))

    assert records(full, "job") == [("12:10", "missed")]
    assert starts(full, "last") == ["12:12"]
