"""What a change of the clock does to a schedule, in a sentence.

For `explain`, and for the warning about a fixed time in the small hours: the
next changes of the zone's offset, and for each what becomes of the wall times
that it leaves out or shows twice.

Imports: calendar, triggers.  Must not import: anything that reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, assert_never

from procsched.core.calendar import Fold, Gap, Times
from procsched.core.cron_words import clock, joined
from procsched.core.stretch import (
    DAY_SECONDS,
    EARLIEST_SECOND,
    EPOCH,
    LATEST_SECOND,
    SEARCH_SECONDS,
    changes_between,
    moment_of,
    require_zone,
    whole_second,
)
from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Either,
    Excluding,
    Interval,
    Once,
    Trigger,
    Weekly,
)

_LOOK_SECONDS: Final = 366 * DAY_SECONDS
_TIMES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a zone's offset.

    Args:
        at: The instant from which the new offset holds, in UTC.
        before: Wall time minus UTC until then.
        after: Wall time minus UTC from then on.
    """

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def skips(self) -> bool:
        """Whether the clock goes forward and leaves wall times out."""
        return self.after > self.before

    def describe(self) -> str:
        """Return it as "on 2027-03-28 clocks go from 02:00 to 03:00"."""
        before = self.at + self.before
        return f"on {before.date()} clocks go from {_clock(before)} to {self.reached()}"

    def reached(self) -> str:
        """Return what the clock shows after it, with the date if that changed."""
        before, after = self.at + self.before, self.at + self.after
        day = "" if before.date() == after.date() else f"{after.date()} "
        return f"{day}{_clock(after)}"


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does to a schedule.

    Args:
        transition: The change.
        affected: Whether any time of the schedule is left out or repeated.
        text: Both as a sentence without a full stop.
    """

    transition: Transition
    affected: bool
    text: str


def offset_changes(zone: tzinfo, after: datetime, n: int) -> list[Transition]:
    """Return up to `n` changes of a zone's offset strictly after a moment.

    The search ends after 41 years, or with the year 2200.

    Raises:
        ScheduleConfigError: If the zone is none or the moment is naive.
    """
    require_zone(zone)
    second = max(whole_second(after), EARLIEST_SECOND)
    limit = min(second + SEARCH_SECONDS, LATEST_SECOND)
    found: list[Transition] = []
    while second < limit and len(found) < n:
        until = min(second + _LOOK_SECONDS, limit)
        found += [
            Transition(moment_of(at), timedelta(seconds=old), timedelta(seconds=new))
            for at, old, new in changes_between(zone, second, until)
        ]
        second = until
    return found[:n]


def dst_effects(trigger: Trigger, after: datetime, n: int = 2) -> list[Effect]:
    """Return what the next `n` changes of the clock do to a trigger, in order.

    Triggers that count elapsed time have none.  `Between` and `Excluding` are
    told as what they wrap, `Either` as all of its triggers.
    """
    match trigger:
        case Daily() | Weekly() | Cron():
            return [
                _effect(trigger.times, transition)
                for transition in offset_changes(trigger.times.zone, after, n)
            ]
        case Between() | Excluding():
            return dst_effects(trigger.trigger, after, n)
        case Either():
            effects = [
                effect
                for each in trigger.triggers
                for effect in dst_effects(each, after, n)
            ]
            return sorted(effects, key=lambda effect: effect.transition.at)
        case Interval() | Once() | After():
            return []
        case _:
            assert_never(trigger)


def _effect(times: Times, transition: Transition) -> Effect:
    second = whole_second(transition.at)
    walls = sorted(
        second + offset // timedelta(seconds=1)
        for offset in (transition.before, transition.after)
    )
    named = _named(times, *walls)
    if not named:
        fate = "no time of the schedule is touched"
    elif transition.skips:
        fate = _fate_in_gap(times, named, transition)
    else:
        fate = _fate_in_fold(times, named)
    return Effect(transition, bool(named), f"{transition.describe()}; {fate}")


def _named(times: Times, low: int, until: int) -> list[int]:
    """Return the first few wall times of a schedule in a range."""
    found: list[int] = []
    wall = times.walls.first_in(low, until)
    while wall is not None and len(found) <= _TIMES_SHOWN:
        found.append(wall)
        wall = times.walls.first_in(wall + 1, until)
    return found


def _fate_in_gap(times: Times, named: list[int], transition: Transition) -> str:
    one = len(named) == 1
    missing = f"{_walls(named)} {'does' if one else 'do'} not exist"
    if times.gap is Gap.SKIP:
        return f"{missing} and {'is' if one else 'are'} left out"
    fires = "fires" if one else "fire once"
    return f"{missing} and {fires} at {transition.reached()}"


def _fate_in_fold(times: Times, named: list[int]) -> str:
    one = len(named) == 1
    passes = {
        Fold.FIRST: "the first time only",
        Fold.SECOND: "the second time only",
        Fold.BOTH: "both times",
    }[times.fold]
    return (
        f"{_walls(named)} {'comes' if one else 'come'} twice and "
        f"{'fires' if one else 'fire'} {passes}"
    )


def _walls(named: list[int]) -> str:
    shown = [clock(wall % DAY_SECONDS) for wall in named[:_TIMES_SHOWN]]
    return joined(shown if len(named) <= _TIMES_SHOWN else [*shown, "others"])


def _clock(wall: datetime) -> str:
    return clock(int((wall - EPOCH).total_seconds()) % DAY_SECONDS)
