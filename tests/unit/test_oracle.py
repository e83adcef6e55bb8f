"""The triggers against the oracle, and the oracle against known days.

Long runs: scripts/sweep_triggers.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import cases
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BERLIN = ZoneInfo("Europe/Berlin")

# A seed and not a strategy, so that the sweep and the tests draw alike.
seeds = st.integers(0, 10**9)


def around(year: int, month: int, day: int) -> tuple[datetime, datetime]:
    noon = datetime(year, month, day, 12, tzinfo=UTC)
    return noon - timedelta(hours=12), noon


@pytest.mark.parametrize(
    ("rules", "hours"),
    [
        (oracle.Rules(), [1.0]),
        (oracle.Rules(gap="skip"), []),
        (oracle.Rules(repeats=True), []),
    ],
)
def test_the_oracle_knows_the_gap_of_berlin(
    rules: oracle.Rules, hours: list[float]
) -> None:
    """02:30 of 28 March 2027; the gap ends at 01:00 UTC."""
    start, end = around(2027, 3, 28)

    found = oracle.firings(oracle.daily(2, 30), BERLIN, start, end, rules)

    assert [(moment - start) / timedelta(hours=1) for moment in found] == hours


@pytest.mark.parametrize(
    ("rules", "hours"),
    [
        (oracle.Rules(), [0.5]),
        (oracle.Rules(fold="second"), [1.5]),
        (oracle.Rules(fold="both"), [0.5, 1.5]),
        (oracle.Rules(repeats=True), [0.5, 1.5]),
    ],
)
def test_the_oracle_knows_the_fold_of_berlin(
    rules: oracle.Rules, hours: list[float]
) -> None:
    """02:30 of 31 October 2027 is at 00:30 and at 01:30 UTC."""
    start, end = around(2027, 10, 31)

    found = oracle.firings(oracle.cron("30 2 * * *"), BERLIN, start, end, rules)

    assert [(moment - start) / timedelta(hours=1) for moment in found] == hours


@given(seeds)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_trigger_fires_exactly_when_the_oracle_says(seed: int) -> None:
    """All IANA zones, 2000 to 2040, forward and backward."""
    case = cases.draw(Random(seed))  # noqa: S311 - replayable, not secret

    expected = case.expected

    assert case.forward == expected, case.trigger
    assert case.backward == expected, case.trigger


@pytest.mark.parametrize("zone", cases.ODD_ZONES)
def test_an_odd_zone_agrees_at_each_of_two_changes(zone: str) -> None:
    """Fixed and repeating, all rules, where the clock is set unlike elsewhere."""
    rng = Random(zone)  # noqa: S311 - replayable, not secret

    for year in (2010, 2011):
        change = cases.change_after(ZoneInfo(zone), year)
        for _ in range(4 if change else 0):
            assert change is not None
            case = cases.fixed_around(rng, ZoneInfo(zone), change)
            assert case.forward == case.expected, case.trigger
            assert case.backward == case.expected, case.trigger


@given(seeds, st.integers(0, 86_399_999_999))
@settings(max_examples=200, deadline=None)
def test_next_is_later_last_is_earlier_and_they_undo_each_other(
    seed: int, microseconds: int
) -> None:
    case = cases.draw(Random(seed))  # noqa: S311 - replayable, not secret
    moment = case.start + timedelta(microseconds=microseconds)

    following = case.trigger.next_after(moment)

    if following is not None:
        assert following > moment
        again = case.trigger.last_before(following)
        assert again is None or again <= moment
        assert case.trigger.last_before(following + cases.TICK) == following
        assert case.trigger.next_after(following - cases.TICK) == following
