"""From wall times to instants, for every calendar trigger.

A zone is a row of *stretches* in which the offset from UTC stays the same.
Inside one, wall time and UTC differ by a constant, so a schedule only needs to
say which wall times it names (`Walls`), and one pair of functions walks the
stretches and decides what becomes of a time that a change of the clock leaves
out or shows twice.  Wall times are seconds since 1970 on the clock face.

Imports: stretch, errors.  Must not import: zoneinfo, or anything that reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from procsched.core.stretch import (
    EARLIEST_SECOND,
    EPOCH_ORDINAL,
    LATEST_SECOND,
    SEARCH_SECONDS,
    Stretch,
    moment_of,
    require_zone,
    stretch_at,
    whole_second,
)
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from datetime import date, datetime, time, tzinfo


class Gap(StrEnum):
    """What a fixed wall time does on a day that leaves it out."""

    RUN = "run"
    SKIP = "skip"


class Fold(StrEnum):
    """In which pass a fixed wall time fires on a day that shows it twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Walls(Protocol):
    """The wall times that a schedule names, as seconds on the clock face."""

    def first_in(self, low: int, until: int) -> int | None:
        """Return the first named time from `low` on and before `until`."""
        ...

    def last_in(self, low: int, until: int) -> int | None:
        """Return the last named time before `until` and not before `low`."""
        ...


@dataclass(frozen=True, slots=True)
class Grid:
    """Every `step` seconds on the clock face: a day, a week, several of them.

    Args:
        base: A wall time that belongs to the grid.
        step: Distance of two, in seconds.
        bounded: Whether `base` is the first one.
    """

    base: int
    step: int
    bounded: bool = False

    def first_in(self, low: int, until: int) -> int | None:
        """Return the first time from `low` on and before `until`."""
        turns = -((self.base - low) // self.step)
        if self.bounded:
            turns = max(turns, 0)
        wall = self.base + turns * self.step
        return wall if wall < until else None

    def last_in(self, low: int, until: int) -> int | None:
        """Return the last time before `until` and not before `low`."""
        turns = (until - 1 - self.base) // self.step
        wall = self.base + turns * self.step
        return wall if wall >= low and (turns >= 0 or not self.bounded) else None


@dataclass(frozen=True, slots=True)
class Times:
    """Wall times in a zone, with what becomes of left out and repeated ones.

    `Gap.SKIP` with `Fold.BOTH` is "each real wall time that matches".

    Raises:
        ScheduleConfigError: If the zone is no `tzinfo`, or its offset is not in
            whole seconds (found on first use).
    """

    walls: Walls
    zone: tzinfo
    gap: Gap = Gap.RUN
    fold: Fold = Fold.FIRST

    def __post_init__(self) -> None:
        """Refuse what is no zone, and words that are no rule."""
        require_zone(self.zone)
        for name, value, rule in (("gap", self.gap, Gap), ("fold", self.fold, Fold)):
            if not isinstance(value, rule):
                raise ScheduleConfigError(
                    f"{name}={value!r} is no rule for changes of the clock",
                    remedy=f"Choose among {', '.join(map(str, rule))}, as "
                    f"{rule.__name__}.{next(iter(rule)).name}",
                )

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never."""
        second = max(whole_second(moment) + 1, EARLIEST_SECOND)
        limit = min(second + SEARCH_SECONDS, LATEST_SECOND)
        while second < limit:
            stretch = stretch_at(self.zone, second)
            found = self._first(stretch, second)
            if found is not None:
                return moment_of(found) if found < limit else None
            second = stretch.end
        return None

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        second = whole_second(moment)
        # A moment within a second is after the firing at its beginning.
        if not moment.microsecond:
            second -= 1
        second = min(second, LATEST_SECOND - 1)
        limit = max(second - SEARCH_SECONDS, EARLIEST_SECOND)
        while second >= limit:
            stretch = stretch_at(self.zone, second)
            found = self._last(stretch, second)
            if found is not None:
                return moment_of(found) if found >= limit else None
            second = stretch.start - 1
        return None

    def _first(self, stretch: Stretch, second: int) -> int | None:
        low = second + stretch.offset
        if second == stretch.start and self._left_out(stretch):
            return second
        if self.fold is Fold.FIRST and low < stretch.shown:
            low = stretch.shown
        end = stretch.end + stretch.offset
        until = stretch.again if self.fold is Fold.SECOND else end
        wall = self.walls.first_in(low, until)
        return None if wall is None else wall - stretch.offset

    def _last(self, stretch: Stretch, second: int) -> int | None:
        low = stretch.start + stretch.offset
        until = second + stretch.offset + 1
        if self.fold is Fold.FIRST:
            low = max(low, stretch.shown)
        elif self.fold is Fold.SECOND:
            until = min(until, stretch.again)
        wall = self.walls.last_in(low, until)
        if wall is not None:
            return wall - stretch.offset
        return stretch.start if self._left_out(stretch) else None

    def _left_out(self, stretch: Stretch) -> bool:
        begin = stretch.start + stretch.offset
        return (
            stretch.shown < begin
            and self.gap is Gap.RUN
            and self.walls.first_in(stretch.shown, begin) is not None
        )


def day_number(day: date) -> int:
    """Return days since 1970-01-01."""
    return day.toordinal() - EPOCH_ORDINAL


def second_of_day(at: time, *, name: str = "at") -> int:
    """Return a time of day as seconds after midnight.

    Raises:
        ScheduleConfigError: If it has a zone or a fraction of a second.
    """
    if at.tzinfo is not None or at.microsecond:
        raise ScheduleConfigError(
            f"{name}={at.isoformat()} has a zone or a fraction of a second",
            remedy=f"Write whole seconds, as in {name}=time(2, 30), and put the "
            "zone into `zone`",
        )
    return at.hour * 3600 + at.minute * 60 + at.second
