"""When a schedule does not fire: spans, hours of the day, whole days.

A window is asked for the stretch of time that it covers around a moment, not
only whether it covers it, so that a search can step over the stretch at once
instead of trying each firing in it.  What is covered is decided by what the
clock of the zone shows at that instant, in both passes of a repeated hour.

Imports: calendar, errors.  Must not import: anything that reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import TYPE_CHECKING, TypeAlias

from procsched.constants import WEEKDAYS
from procsched.core.calendar import day_number, second_of_day
from procsched.core.cron_words import clock, joined
from procsched.core.stretch import (
    DAY_SECONDS,
    EARLIEST_SECOND,
    EPOCH_WEEKDAY,
    LATEST_SECOND,
    moment_of,
    require_aware,
    require_zone,
    stretch_at,
    whole_second,
)
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment up to another, the end not included.

    Raises:
        ScheduleConfigError: If a moment is naive, or nothing lies between.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse a span of no length; keep both ends in UTC."""
        for moment in (self.start, self.end):
            require_aware(moment)
        if self.start >= self.end:
            raise ScheduleConfigError(
                f"the window from {self.start.isoformat()} to {self.end.isoformat()} "
                "is empty",
                remedy="Exchange its ends, or make the end later than the start",
            )
        object.__setattr__(self, "start", self.start.astimezone(UTC))
        object.__setattr__(self, "end", self.end.astimezone(UTC))

    def around(self, moment: datetime) -> Span | None:
        """Return the span itself if `moment` lies in it."""
        return self if self.start <= moment < self.end else None

    def describe(self) -> str:
        """Return it in words."""
        return f"from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True, slots=True)
class Hours:
    """While the clock of a zone shows a time from one up to another.

    Args:
        start: First wall time in it.
        end: First wall time after it.  Not later than `start` means on the
            next day; the same means 24 hours.
        zone: Whose clock shows them.
        weekdays: Days on which it begins, 0 for Monday; None for each.

    Raises:
        ScheduleConfigError: If a value is not of its kind.
    """

    start: time
    end: time
    zone: tzinfo
    weekdays: frozenset[int] | None = None

    def __post_init__(self) -> None:
        """Refuse times and days that no clock shows."""
        require_zone(self.zone)
        second_of_day(self.start, name="start")
        second_of_day(self.end, name="end")
        days = range(len(WEEKDAYS))
        if self.weekdays is not None and not (
            self.weekdays and all(day in days for day in self.weekdays)
        ):
            raise ScheduleConfigError(
                f"weekdays={self.weekdays!r} holds no days of the week",
                remedy="Write frozenset({5, 6}) for Saturday and Sunday, or None",
            )

    def around(self, moment: datetime) -> Span | None:
        """Return a span of it that holds `moment`, up to a change of the clock."""
        begin = second_of_day(self.start)
        length = (second_of_day(self.end) - begin - 1) % DAY_SECONDS + 1
        wall = _wall(self.zone, moment)
        if wall is None:
            return None
        # What holds the moment began today or yesterday: it lasts a day at most.
        for day in (wall // DAY_SECONDS, wall // DAY_SECONDS - 1):
            low = day * DAY_SECONDS + begin
            weekday = (day + EPOCH_WEEKDAY) % 7
            listed = self.weekdays is None or weekday in self.weekdays
            if listed and low <= wall < low + length:
                return _on_the_clock(self.zone, moment, low, low + length)
        return None

    def describe(self) -> str:
        """Return it in words."""
        first, last = second_of_day(self.start), second_of_day(self.end)
        days = ""
        if self.weekdays is not None:
            names = [WEEKDAYS[day].capitalize() for day in sorted(self.weekdays)]
            days = f" on {joined(names)}"
        return f"from {clock(first)} to {clock(last)}{days}, {self.zone}"


@dataclass(frozen=True, slots=True)
class Day:
    """One date on the clock of a zone, such as a holiday.

    Raises:
        ScheduleConfigError: If the zone is none.
    """

    day: date
    zone: tzinfo

    def __post_init__(self) -> None:
        """Refuse what is no zone."""
        require_zone(self.zone)

    def around(self, moment: datetime) -> Span | None:
        """Return a span of it that holds `moment`, up to a change of the clock."""
        low = day_number(self.day) * DAY_SECONDS
        wall = _wall(self.zone, moment)
        if wall is None or not low <= wall < low + DAY_SECONDS:
            return None
        return _on_the_clock(self.zone, moment, low, low + DAY_SECONDS)

    def describe(self) -> str:
        """Return it in words."""
        return f"on {self.day.isoformat()}, {self.zone}"


Window: TypeAlias = Span | Hours | Day
"""All there are."""


def around(windows: Iterable[Window], moment: datetime) -> Span | None:
    """Return a span around `moment` that one of the windows covers, if any does."""
    for window in windows:
        span = window.around(moment)
        if span is not None:
            return span
    return None


def _wall(zone: tzinfo, moment: datetime) -> int | None:
    """Return what the clock shows; None outside the years of the calendar."""
    second = whole_second(moment)
    if not EARLIEST_SECOND <= second < LATEST_SECOND:
        return None
    return second + stretch_at(zone, second).offset


def _on_the_clock(zone: tzinfo, moment: datetime, low: int, until: int) -> Span:
    """Return wall times as instants, as far as the offset at `moment` holds."""
    stretch = stretch_at(zone, whole_second(moment))
    return Span(
        moment_of(max(low - stretch.offset, stretch.start)),
        moment_of(min(until - stretch.offset, stretch.end)),
    )
