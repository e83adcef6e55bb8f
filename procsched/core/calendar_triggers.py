"""Triggers that name wall times: by the day, by the week, by cron.

Each only says which wall times it means; `Times` turns them into instants, so
that all three treat a change of the clock alike.

Imports: calendar, cron, errors.  Must not import: anything that can do I/O or
read a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, tzinfo
from typing import ClassVar, Final

from procsched.constants import WEEKDAYS
from procsched.core.calendar import Fold, Gap, Grid, Times, day_number, second_of_day
from procsched.core.cron import CronExpression
from procsched.core.cron_words import clock
from procsched.core.stretch import DAY_SECONDS
from procsched.errors import ScheduleConfigError

_ANY_MONDAY: Final = date(1970, 1, 5)
"""The grid of a schedule without an anchor starts nowhere."""


class _Calendar:
    """The two questions, answered by the `times` of a calendar trigger."""

    __slots__ = ()

    follows_end: ClassVar[bool] = False
    times: Times

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never."""
        return self.times.next_after(moment)

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        return self.times.last_before(moment)


@dataclass(frozen=True, slots=True)
class Daily(_Calendar):
    """At a wall time, each day or every few days.

    Args:
        at: Wall time in whole seconds, without a zone.
        zone: Whose clock shows it.
        days: Distance of two firings in days.
        anchor: A day on which it fires; the first one when `days` is above 1.
            Needed then, because a count of days has to start somewhere.
        gap: What happens on a day without this wall time.
        fold: What happens on a day that has it twice.

    Raises:
        ScheduleConfigError: If a value is not of its kind.
    """

    at: time
    zone: tzinfo
    days: int = 1
    anchor: date | None = None
    gap: Gap = Gap.RUN
    fold: Fold = Fold.FIRST
    times: Times = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the grid."""
        base = day_number(_anchor("days", self.days, self.anchor))
        grid = Grid(
            base * DAY_SECONDS + second_of_day(self.at),
            self.days * DAY_SECONDS,
            self.days > 1,
        )
        times = Times(grid, self.zone, self.gap, self.fold)
        object.__setattr__(self, "times", times)

    def describe(self) -> str:
        """Return it in words."""
        every = f"every {self.days} days from {self.anchor} on"
        return (
            f"at {clock(second_of_day(self.at))} "
            f"{'every day' if self.days == 1 else every}, {self.zone}"
        )


@dataclass(frozen=True, slots=True)
class Weekly(_Calendar):
    """At a wall time on a weekday, each week or every few weeks.

    Args:
        weekday: 0 for Monday to 6 for Sunday, as `datetime.weekday()`.
        at: Wall time in whole seconds, without a zone.
        zone: Whose clock shows it.
        weeks: Distance of two firings in weeks.
        anchor: The first such weekday on or after this day is one of them, and
            the first one when `weeks` is above 1.  Needed then.
        gap: What happens on a day without this wall time.
        fold: What happens on a day that has it twice.

    Raises:
        ScheduleConfigError: If a value is not of its kind.
    """

    weekday: int
    at: time
    zone: tzinfo
    weeks: int = 1
    anchor: date | None = None
    gap: Gap = Gap.RUN
    fold: Fold = Fold.FIRST
    times: Times = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the grid."""
        if type(self.weekday) is not int or not 0 <= self.weekday < len(WEEKDAYS):
            raise ScheduleConfigError(
                f"weekday={self.weekday!r} is no day of the week",
                remedy="Write 0 for Monday to 6 for Sunday",
            )
        anchor = _anchor("weeks", self.weeks, self.anchor)
        base = day_number(anchor) + (self.weekday - anchor.weekday()) % 7
        grid = Grid(
            base * DAY_SECONDS + second_of_day(self.at),
            self.weeks * 7 * DAY_SECONDS,
            self.weeks > 1,
        )
        times = Times(grid, self.zone, self.gap, self.fold)
        object.__setattr__(self, "times", times)

    def describe(self) -> str:
        """Return it in words."""
        day = WEEKDAYS[self.weekday].capitalize()
        every = f"every {self.weeks} weeks on {day} from {self.anchor} on"
        return (
            f"at {clock(second_of_day(self.at))} "
            f"{f'every {day}' if self.weeks == 1 else every}, {self.zone}"
        )


@dataclass(frozen=True, slots=True)
class Cron(_Calendar):
    """At the wall times of a cron expression.

    Args:
        expression: From `parse_cron`.
        zone: Whose clock shows them.
        gap: What happens to times that a change of the clock leaves out; plays
            no role for an expression that repeats within the day.
        fold: What happens to times it shows twice; likewise.

    Raises:
        ScheduleConfigError: If a value is not of its kind.
    """

    expression: CronExpression
    zone: tzinfo
    gap: Gap = Gap.RUN
    fold: Fold = Fold.FIRST
    times: Times = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Let an expression that repeats fire at every real time it names."""
        if not isinstance(self.expression, CronExpression):
            raise ScheduleConfigError(
                f"expression={self.expression!r} is not a parsed expression",
                remedy="Pass parse_cron('30 2 * * *')",
            )
        times = Times(self.expression, self.zone, self.gap, self.fold)
        if self.expression.repeats:
            times = Times(self.expression, self.zone, Gap.SKIP, Fold.BOTH)
        object.__setattr__(self, "times", times)

    def describe(self) -> str:
        """Return it in words."""
        return f"{self.expression.describe()}, {self.zone}"


def _anchor(name: str, count: int, anchor: date | None) -> date:
    """Return the day a count of days or weeks starts from."""
    if type(count) is not int or count < 1:
        raise ScheduleConfigError(
            f"{name}={count!r} is not a whole number above 0",
            remedy=f"Write {name}=1 for each of them",
        )
    if anchor is None and count > 1:
        raise ScheduleConfigError(
            f"{name}={count} has no day to count from",
            remedy="Add anchor, as in anchor=date(2027, 1, 4), so that a restart "
            "does not move it",
        )
    return anchor or _ANY_MONDAY
