"""Jitter and spread: late by a draw that a restart repeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from procsched.core.delay import Delay
from procsched.errors import ScheduleConfigError

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
NOTHING = timedelta(0)
HOUR = timedelta(hours=1)


def test_without_jitter_and_spread_there_is_no_delay() -> None:
    assert Delay(key="backup@db1").of(NOON) == NOTHING


def test_the_same_nominal_time_draws_the_same_jitter_in_every_process() -> None:
    """A literal, so that a change of the hash shows: it would move every job."""
    delay = Delay(jitter=HOUR, key="backup@db1").of(NOON)

    assert delay == timedelta(seconds=3054, microseconds=854408)


def test_the_zone_in_which_a_nominal_time_is_written_plays_no_role() -> None:
    delay = Delay(jitter=HOUR, spread=HOUR, key="backup@db1")

    assert delay.of(NOON) == delay.of(NOON.astimezone(ZoneInfo("Asia/Tokyo")))


def test_jitter_differs_from_one_nominal_time_to_the_next() -> None:
    delay = Delay(jitter=HOUR, key="backup@db1")

    drawn = {delay.of(NOON + timedelta(days=day)) for day in range(1000)}

    assert len(drawn) == 1000
    assert min(drawn) >= NOTHING
    assert max(drawn) < HOUR


def test_jitter_is_spread_evenly() -> None:
    """Of 10,000 draws each tenth of the hour gets 1,000, give or take 100."""
    delay = Delay(jitter=HOUR, key="backup@db1")
    tenths = [0] * 10

    for day in range(10_000):
        tenths[delay.of(NOON - timedelta(days=day)) * 10 // HOUR] += 1

    assert all(900 < count < 1100 for count in tenths)


def test_spread_is_the_same_for_every_nominal_time_of_a_key() -> None:
    delay = Delay(spread=HOUR, key="backup@db1")

    drawn = {delay.of(NOON + timedelta(days=day)) for day in range(100)}

    assert len(drawn) == 1


def test_spread_differs_from_key_to_key() -> None:
    drawn = {Delay(spread=HOUR, key=f"backup@db{n}").of(NOON) for n in range(100)}

    assert len(drawn) == 100


def test_jitter_and_spread_add_up() -> None:
    both = Delay(HOUR, HOUR, "backup@db1").of(NOON)

    jitter = Delay(jitter=HOUR, key="backup@db1").of(NOON)
    spread = Delay(spread=HOUR, key="backup@db1").of(NOON)
    assert both == jitter + spread


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ScheduleConfigError) as caught:
        Delay(jitter=timedelta(seconds=-1))

    assert str(caught.value) == (
        "jitter=-1 day, 23:59:59 would start runs before their time. "
        "Write jitter=timedelta(0) for none, or more."
    )


def test_a_naive_nominal_time_is_refused() -> None:
    with pytest.raises(ScheduleConfigError, match="names no time zone"):
        Delay().of(datetime(2027, 1, 31))  # noqa: DTZ001 - the fault on trial
