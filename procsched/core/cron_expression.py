"""A cron expression as the wall times it names.

Each field is a bit mask, and so are the days of a month (bit d for day d): the
next match is a shift and not a walk.

Imports: cron_fields, cron_words, stretch.  Must not import: anything that can
do I/O or read a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from procsched.core.cron_fields import MONTH, Chosen
from procsched.core.cron_words import describe_cron
from procsched.core.stretch import DAY_SECONDS, EPOCH_ORDINAL, EPOCH_WEEKDAY

_EVERY_WEEK: Final = 0b1_0000001_0000001_0000001_0000001
"""Multiplied by seven bits, it repeats them over a month."""

_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_FEBRUARY: Final = 2


@dataclass(frozen=True, slots=True)
class CronExpression:
    """What a cron expression names; made by `parse_cron`.

    Args:
        text: As it was written.
        seconds: Bit n for second n; as `minutes`, `hours` and `months`.
        days: Days of the month.
        weekdays: Days of the week.
        either: Whether a day of the month OR of the week is enough.
        repeats: Whether it repeats within the day (minute or hour start
            with `*`) instead of naming fixed times.
        plain: Whether `days` and `weekdays` choose by number alone.
    """

    text: str
    seconds: int
    minutes: int
    hours: int
    days: Chosen
    months: int
    weekdays: Chosen
    either: bool
    repeats: bool
    plain: bool

    def describe(self) -> str:
        """Return the expression in English words."""
        return describe_cron(self)

    def first_in(self, low: int, until: int) -> int | None:
        """Return the first wall time from `low` on and before `until`.

        Both, and the answer, in seconds since 1970 on the clock face.
        """
        number, second = divmod(low, DAY_SECONDS)
        day = date.fromordinal(number + EPOCH_ORDINAL)
        year, month, today = day.year, day.month, day.day
        start = number - today + 1
        length = _length(year, month)
        days = self.days_in(month, start, length)
        if days >> today & 1:
            at = self._first_time(second)
            if at >= 0:
                wall = number * DAY_SECONDS + at
                return wall if wall < until else None
        days = days >> today + 1 << today + 1
        while not days:
            start += length
            if start * DAY_SECONDS >= until:
                return None
            year, month = (year, month + 1) if month < MONTH.high else (year + 1, 1)
            length = _length(year, month)
            days = self.days_in(month, start, length)
        number = start + (days & -days).bit_length() - 2
        wall = number * DAY_SECONDS + self._first_time(0)
        return wall if wall < until else None

    def last_in(self, low: int, until: int) -> int | None:
        """Return the last wall time before `until` and not before `low`."""
        number, second = divmod(until - 1, DAY_SECONDS)
        day = date.fromordinal(number + EPOCH_ORDINAL)
        year, month, today = day.year, day.month, day.day
        start = number - today + 1
        days = self.days_in(month, start, _length(year, month))
        if days >> today & 1:
            at = self._last_time(second)
            if at >= 0:
                wall = number * DAY_SECONDS + at
                return wall if wall >= low else None
        days &= (1 << today) - 1
        while not days:
            if start * DAY_SECONDS <= low:
                return None
            year, month = (year, month - 1) if month > 1 else (year - 1, MONTH.high)
            length = _length(year, month)
            start -= length
            days = self.days_in(month, start, length)
        number = start + days.bit_length() - 2
        wall = number * DAY_SECONDS + self._last_time(DAY_SECONDS - 1)
        return wall if wall >= low else None

    def days_in(self, month: int, start: int, length: int) -> int:
        """Return the days of a month that match, as bits 1 to 31.

        Args:
            month: 1 to 12.
            start: Number of its first day since 1970-01-01.
            length: Its days.
        """
        if not self.months >> month & 1:
            return 0
        first = (start + EPOCH_WEEKDAY) % 7
        days = self.days[0]
        weekdays = _rotated(self.weekdays[0], first) * _EVERY_WEEK << 1
        if not self.plain:
            days |= _marked_days(self.days, first, length)
            weekdays |= _marked_weekdays(self.weekdays, first, length)
        return (days | weekdays if self.either else days & weekdays) & (
            (2 << length) - 2
        )

    def _first_time(self, second: int) -> int:
        """Return the first time of day from `second` on; -1 for none left."""
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        seconds, minutes, hours = self.seconds, self.minutes, self.hours >> hour
        if hours & 1:
            left = minutes >> minute
            if left & 1 and (late := seconds >> rest):
                return second + (late & -late).bit_length() - 1
            left &= ~1
            if left:
                minute += (left & -left).bit_length() - 1
                first = (seconds & -seconds).bit_length() - 1
                return hour * 3600 + minute * 60 + first
        hours &= ~1
        if not hours:
            return -1
        hour += (hours & -hours).bit_length() - 1
        minute = (minutes & -minutes).bit_length() - 1
        return hour * 3600 + minute * 60 + (seconds & -seconds).bit_length() - 1

    def _last_time(self, second: int) -> int:
        """Return the last time of day up to `second`; -1 for none."""
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        if self.hours >> hour & 1:
            if self.minutes >> minute & 1:
                early = self.seconds & (2 << rest) - 1
                if early:
                    return second - rest + early.bit_length() - 1
            minutes = self.minutes & (1 << minute) - 1
            if minutes:
                minute = minutes.bit_length() - 1
                return hour * 3600 + minute * 60 + self.seconds.bit_length() - 1
        hours = self.hours & (1 << hour) - 1
        if not hours:
            return -1
        hour, minute = hours.bit_length() - 1, self.minutes.bit_length() - 1
        return hour * 3600 + minute * 60 + self.seconds.bit_length() - 1


def _length(year: int, month: int) -> int:
    if month != _FEBRUARY:
        return _LENGTHS[month]
    return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28


def _rotated(week: int, first: int) -> int:
    """Return a week's mask so that bit 0 is the weekday `first`."""
    return (week >> first | week << 7 - first) & 0b1111111


def _marked_days(days: Chosen, first: int, length: int) -> int:
    found = days.last_day << length
    if days.last_workday:
        found |= 1 << length - max((first + length - 1) % 7 - 4, 0)
    for day in range(1, length + 1):
        if days.nearest >> day & 1:
            found |= 1 << _nearest_workday(day, (first + day - 1) % 7, length)
    return found


def _nearest_workday(day: int, weekday: int, length: int) -> int:
    """Return the day from Monday to Friday nearest to `day` in its month."""
    saturday, sunday = 5, 6
    if weekday == saturday:
        return day - 1 if day > 1 else day + 2
    if weekday == sunday:
        return day + 1 if day < length else day - 2
    return day


def _marked_weekdays(weekdays: Chosen, first: int, length: int) -> int:
    last = _rotated(weekdays.last_weekdays, (first + length) % 7)
    found = last << length - 6
    for week in range(5):
        chosen = weekdays.nth >> 7 * week & 0b1111111
        found |= _rotated(chosen, first) << 7 * week + 1
    return found


def can_fire(expression: CronExpression) -> bool:
    """Tell whether any month of any year has a day that matches."""
    for month in range(1, MONTH.high + 1):
        lengths = (28, 29) if month == _FEBRUARY else (_LENGTHS[month],)
        for length in lengths:
            # Seven days in a row start a month on every weekday.
            if any(expression.days_in(month, start, length) for start in range(7)):
                return True
    return False
