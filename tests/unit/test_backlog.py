"""Which of the nominal times that have come are run, and which are left out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from scenes import NOON, at, clock_times, cron, every, schedule

from procsched.core.backlog import Come, count_times, latest_come, settle
from procsched.core.delay import Delay
from procsched.core.triggers import After, Between, Either, Once


def settled(due: str, now: str, **policy: Any) -> Come:
    return settle(schedule(**policy), at(due), at(now))


def rest(come: Come) -> tuple[str, str, int, str] | None:
    out = come.left_out
    if out is None:
        return None
    first, last = clock_times((out.first, out.last))
    return first, last, out.count, out.outcome.value


def test_a_time_that_has_just_come_runs_and_leaves_nothing_out() -> None:
    come = settled("12:10", "12:10:01")

    assert (clock_times(come.run), rest(come), come.late) == (["12:10"], None, False)
    assert come.last == at("12:10")


def test_a_start_within_a_minute_is_no_catch_up() -> None:
    assert not settled("12:10", "12:11:00").late
    assert settled("12:10", "12:11:01").late


def test_latest_runs_the_newest_time_and_coalesces_the_rest_into_one_record() -> None:
    come = settled("12:10", "13:05")

    assert (clock_times(come.run), come.late) == (["13:00"], True)
    assert rest(come) == ("12:10", "12:50", 5, "coalesced")
    assert come.left_out is not None
    assert come.left_out.reason == "the latest nominal time runs for all"


def test_none_runs_only_what_is_on_time_and_misses_the_rest() -> None:
    come = settled("12:10", "13:00:30", catch_up="none")

    assert (clock_times(come.run), come.late) == (["13:00"], False)
    assert rest(come) == ("12:10", "12:50", 5, "missed")
    assert come.left_out is not None
    assert come.left_out.reason == "catch_up is 'none'"


def test_none_runs_nothing_when_nothing_is_on_time() -> None:
    come = settled("12:10", "13:05", catch_up="none")

    assert come.run == ()
    assert rest(come) == ("12:10", "13:00", 6, "missed")
    assert come.last == at("13:00")


def test_all_runs_the_newest_up_to_the_cap_oldest_first() -> None:
    come = settled("12:10", "14:05", catch_up="all", catch_up_max=3)

    assert clock_times(come.run) == ["13:40", "13:50", "14:00"]
    assert rest(come) == ("12:10", "13:30", 9, "missed")
    assert come.left_out is not None
    assert come.left_out.reason == "beyond the catch-up window or its cap"


def test_all_runs_each_of_a_few() -> None:
    come = settled("12:10", "12:35", catch_up="all")

    assert (clock_times(come.run), rest(come)) == (["12:10", "12:20", "12:30"], None)


def test_all_goes_back_no_further_than_the_window() -> None:
    come = settled(
        "12:10", "14:05", catch_up="all", catch_up_window=timedelta(minutes=20)
    )

    assert clock_times(come.run) == ["13:50", "14:00"]
    assert rest(come) == ("12:10", "13:40", 10, "missed")


def test_what_is_older_than_the_window_is_missed() -> None:
    come = settled("12:10", "12:19", catch_up_window=timedelta(minutes=5))

    assert come.run == ()
    assert rest(come) == ("12:10", "12:10", 1, "missed")
    assert come.left_out is not None
    assert come.left_out.reason == "older than the catch-up window of 0:05:00"


def test_an_outage_of_a_year_is_one_run_and_one_record() -> None:
    come = settle(schedule(), NOON, NOON + timedelta(days=365, minutes=5))

    assert come.run == (NOON + timedelta(days=365),)
    assert come.left_out is not None
    assert (come.left_out.count, come.left_out.exact) == (365 * 144, True)


def test_a_long_stretch_of_wall_times_is_counted_up_to_a_thousand() -> None:
    minutely = cron("* * * * *")

    assert count_times(minutely, at("12:00"), at("12:59")) == (60, True)
    assert count_times(minutely, NOON, NOON + timedelta(days=9)) == (1000, False)
    assert count_times(minutely, NOON, NOON + timedelta(minutes=999)) == (1000, True)


def test_one_time_counts_as_one() -> None:
    assert count_times(Once(NOON), NOON, NOON) == (1, True)


class Jittered:
    """Every ten minutes, each start delayed by the same four."""

    delay = Delay(spread=timedelta(hours=1), key="a")

    def __init__(self) -> None:
        self.wait = self.delay.of(NOON)
        self.schedule = schedule(trigger=every(100), delay=self.delay, catch_up="none")


def test_a_delay_on_purpose_is_not_lateness() -> None:
    """Else `catch_up: none` with a jitter above a minute would miss every time."""
    spread = Jittered()
    due = at("13:40")

    come = settle(spread.schedule, due, due + spread.wait)

    assert spread.wait > timedelta(minutes=1)
    assert (come.run, come.late) == ((due,), False)


def test_a_time_whose_delayed_start_is_to_come_is_not_decided_yet() -> None:
    spread = Jittered()
    due, following = at("13:40"), at("15:20")

    before = latest_come(spread.schedule, due, following + spread.wait / 2)
    after = latest_come(spread.schedule, due, following + spread.wait)

    assert (before, after) == (due, following)


def test_a_time_after_the_end_of_a_run_does_not_vanish_beside_a_wall_time() -> None:
    """12:03 is known to the entry only: no trigger finds it backwards."""
    either = Either((After(timedelta(minutes=3)), cron("*/10 * * * *")))

    come = settle(schedule(trigger=either), at("12:03"), at("12:21"))
    some = settle(schedule(trigger=either, catch_up="all"), at("12:03"), at("12:21"))

    assert (clock_times(come.run), rest(come)) == (
        ["12:20"],
        ("12:03", "12:10", 2, "coalesced"),
    )
    assert clock_times(some.run) == ["12:03", "12:10", "12:20"]


@pytest.mark.parametrize(
    ("policy", "outcome"), [("latest", "coalesced"), ("none", "missed")]
)
def test_a_lone_time_before_the_one_that_runs_has_a_record(
    policy: str, outcome: str
) -> None:
    either = Either((After(timedelta(minutes=3)), cron("*/10 * * * *")))

    come = settle(schedule(trigger=either, catch_up=policy), at("12:03"), at("12:10"))

    assert (clock_times(come.run), rest(come)) == (
        ["12:10"],
        ("12:03", "12:03", 1, outcome),
    )


def test_times_before_the_first_of_a_schedule_are_none() -> None:
    bounded = Between(every(), start=at("12:30"), end=None)

    come = settle(schedule(trigger=bounded, catch_up="all"), at("12:30"), at("12:55"))

    assert clock_times(come.run) == ["12:30", "12:40", "12:50"]


def test_due_may_be_older_than_anything_found_backwards() -> None:
    """`due` is what was promised; a trigger that forgot it does not undo that."""
    gone = Between(every(), start=at("13:00"))

    assert latest_come(schedule(trigger=gone), at("12:10"), at("12:15")) == at("12:10")


def test_the_work_does_not_grow_with_the_outage() -> None:
    asked: list[datetime] = []

    class Counting:
        follows_end = False

        def next_after(self, moment: datetime) -> datetime | None:
            return cron("* * * * *").next_after(moment)

        def last_before(self, moment: datetime) -> datetime | None:
            asked.append(moment)
            return cron("* * * * *").last_before(moment)

        def describe(self) -> str:
            return "counting"

    trigger: Any = Counting()

    settle(schedule(trigger=trigger), NOON, NOON + timedelta(days=3650))

    assert len(asked) < 1010
