"""A cron expression in English.

Common forms read as one would say them ("every 15 minutes"); whatever has no
common form is spelled out field by field, so that it is long but never wrong.

Imports: constants.  Must not import: the rest of the core, but for types.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from procsched.constants import WEEKDAYS
from procsched.core.cron_fields import MONTHS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procsched.core.cron import CronExpression

_TIMES_SHOWN: Final = 6
"""The longest list of times of day that is spelled out."""

_RUN: Final = 3
"""From so many numbers in a row on, "1 to 3" instead of "1, 2 and 3"."""

_SIXTY: Final = 60
_HOURS: Final = 24
_ALL_HOURS: Final = (1 << _HOURS) - 1
_ALL_DAYS: Final = (2 << 31) - 2
_ALL_WEEKDAYS: Final = 0b1111111
_ALL_MONTHS: Final = (2 << 12) - 2

_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")


def describe_cron(expression: CronExpression) -> str:
    """Return what the expression names, such as "at 02:30 on Monday to Friday"."""
    parts = (_time(expression), _day(expression), _months(expression))
    return " ".join(part for part in parts if part)


def joined(words: Sequence[str], *, last: str = "and") -> str:
    """Return "a", "a and b", "a, b and c"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def clock(second: int) -> str:
    """Return a second of the day as "02:30", with seconds where there are any."""
    minutes, seconds = divmod(second, _SIXTY)
    text = f"{minutes // _SIXTY:02}:{minutes % _SIXTY:02}"
    return f"{text}:{seconds:02}" if seconds else text


def _numbers(mask: int) -> list[int]:
    return [number for number in range(mask.bit_length()) if mask >> number & 1]


def _listed(mask: int, names: Sequence[str] | None = None) -> str:
    """Return the numbers of a mask, or their names, with ranges for runs."""
    runs: list[list[int]] = []
    for number in _numbers(mask):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = []
    for run in runs:
        shown = [names[each] if names else str(each) for each in run]
        if len(run) < _RUN:
            words += shown
        else:
            words.append(f"{shown[0]} to {shown[-1]}")
    return joined(words)


def _step(numbers: list[int], size: int) -> int:
    """Return n for "every n" without a remainder from 0 on; else 0."""
    step = size // len(numbers)
    return step if numbers == list(range(0, size, step)) else 0


def _every(unit: str, step: int) -> str:
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _time(expression: CronExpression) -> str:
    seconds = _numbers(expression.seconds)
    minutes = _numbers(expression.minutes)
    hours = _numbers(expression.hours)
    if len(seconds) * len(minutes) * len(hours) <= _TIMES_SHOWN:
        times = [
            clock((hour * _SIXTY + minute) * _SIXTY + second)
            for hour in hours
            for minute in minutes
            for second in seconds
        ]
        return f"at {joined(times)}"
    spread = _in_hours(expression)
    if expression.seconds == 1:
        minute = _finer("minute", minutes)
        every_hour = not spread and not minute.startswith("every")
        return f"{minute}{' of every hour' if every_hour else spread}"
    second = _finer("second", seconds)
    if len(minutes) < _SIXTY:
        which = f"minute{_s(minutes)} {_listed(expression.minutes)}"
        return f"{second} of {which}{spread or ' of every hour'}"
    every_minute = not second.startswith("every")
    return f"{second}{' of every minute' if every_minute else ''}{spread}"


def _finer(unit: str, numbers: list[int]) -> str:
    step = _step(numbers, _SIXTY)
    if step and len(numbers) > 1:
        return _every(unit, step)
    mask = sum(1 << number for number in numbers)
    return f"at {unit}{_s(numbers)} {_listed(mask)}"


def _in_hours(expression: CronExpression) -> str:
    hours = _numbers(expression.hours)
    if len(hours) == _HOURS:
        return ""
    step = _step(hours, _HOURS)
    if step and len(hours) > _RUN:
        return f" of every {_nth(step)} hour from midnight on"
    return f" of hour{_s(hours)} {_listed(expression.hours)}"


def _s(numbers: list[int]) -> str:
    return "s" if len(numbers) > 1 else ""


def _nth(step: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(step, f"{step}th")


def _day(expression: CronExpression) -> str:
    days = weekdays = ""
    if expression.days[0] != _ALL_DAYS:
        days = _month_days(expression)
    if expression.weekdays[0] != _ALL_WEEKDAYS:
        weekdays = _week_days(expression)
    if expression.either:
        # One of them covering every day makes the other idle.
        return f"on {days} or on {weekdays}" if days and weekdays else "every day"
    if days and weekdays:
        return f"on {weekdays} if also on {days}"
    if days or weekdays:
        return f"on {days or weekdays}"
    goes_on = expression.hours == _ALL_HOURS and expression.months == _ALL_MONTHS
    return "" if goes_on else "every day"


def _month_days(expression: CronExpression) -> str:
    chosen = expression.days
    words = []
    if chosen[0]:
        plural = _s(_numbers(chosen[0]))
        words.append(f"day{plural} {_listed(chosen[0])} of the month")
    words += [
        f"the working day nearest to day {day} of the month"
        for day in _numbers(chosen.nearest)
    ]
    if chosen.last_workday:
        words.append("the last working day of the month")
    if chosen.last_day:
        words.append("the last day of the month")
    return joined(words)


def _week_days(expression: CronExpression) -> str:
    chosen = expression.weekdays
    names = [name.capitalize() for name in WEEKDAYS]
    words = [_listed(chosen[0], names)] if chosen[0] else []
    words += [
        f"the {_ORDINALS[number // 7]} {names[number % 7]} of the month"
        for number in _numbers(chosen.nth)
    ]
    words += [
        f"the last {names[number]} of the month"
        for number in _numbers(chosen.last_weekdays)
    ]
    return joined(words)


def _months(expression: CronExpression) -> str:
    if expression.months == _ALL_MONTHS:
        return ""
    names = ["", *(name.capitalize() for name in MONTHS)]
    return f"in {_listed(expression.months, names)}"
