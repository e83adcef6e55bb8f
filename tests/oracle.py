"""When a schedule must fire, found by asking the clock at every step.

Written from the rules (DESIGN section 8) and not from the code, and slow on
purpose: it walks UTC minute by minute (second by second where seconds count),
asks `astimezone` what the clock of the zone shows, and decides.

- An expression that repeats within the day fires whenever the clock shows a
  matching time.
- Any other fires once for each matching wall time: the first (second, both)
  time the clock shows it; if the clock never shows it, at the first instant at
  which the clock has passed it (or not at all).

It reads cron text by itself and shares no code with procsched.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

Matches = Callable[[datetime], bool]
"""Whether a naive wall time is one that the schedule names."""

DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
SECOND: Final = timedelta(seconds=1)

MARGIN: Final = timedelta(hours=26)
"""Walked before and after what is asked, to see all passes of a wall time.

Longer than any clock was ever set by: a whole day, in Apia and Manila.
"""

_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True, slots=True)
class Rules:
    """How a schedule meets a change of the clock.

    Args:
        repeats: Whether it repeats within the day.
        gap: "run" or "skip".
        fold: "first", "second" or "both".
        step: One minute, or one second where seconds count.
    """

    repeats: bool = False
    gap: str = "run"
    fold: str = "first"
    step: timedelta = MINUTE


def firings(
    matches: Matches, zone: tzinfo, start: datetime, end: datetime, rules: Rules
) -> list[datetime]:
    """Return every firing from `start` to `end`, both included, in UTC.

    Args:
        matches: Which wall times are named.
        zone: Whose clock shows them.
        start: A whole step.
        end: A whole step.
        rules: What becomes of times that are left out or repeated.
    """
    shown: dict[datetime, list[datetime]] = {}
    left_out: list[tuple[datetime, datetime]] = []
    moment, previous = start - MARGIN, None
    while moment <= end + MARGIN:
        wall = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        shown.setdefault(wall, []).append(moment)
        while previous is not None and previous + rules.step < wall:
            previous += rules.step
            left_out.append((previous, moment))
        moment, previous = moment + rules.step, wall
    fired: set[datetime] = set()
    for wall, moments in shown.items():
        if matches(wall):
            fired.update(moments if rules.repeats else _passes(moments, rules.fold))
    if not rules.repeats and rules.gap == "run":
        fired.update(moment for wall, moment in left_out if matches(wall))
    return sorted(moment for moment in fired if start <= moment <= end)


def _passes(moments: list[datetime], fold: str) -> list[datetime]:
    return {"first": moments[:1], "second": moments[-1:], "both": moments}[fold]


def daily(
    hour: int, minute: int, *, days: int = 1, anchor: date | None = None
) -> Matches:
    """Return what matches a wall time every `days` days, counted from `anchor`."""

    def matches(wall: datetime) -> bool:
        if (wall.hour, wall.minute, wall.second) != (hour, minute, 0):
            return False
        if anchor is None or days == 1:
            return True
        away = (wall.date() - anchor).days
        return away >= 0 and away % days == 0

    return matches


def weekly(
    weekday: int, hour: int, minute: int, *, weeks: int = 1, anchor: date | None = None
) -> Matches:
    """Return what matches a wall time on a weekday every `weeks` weeks."""
    if weeks > 1 and anchor is not None:
        while anchor.weekday() != weekday:
            anchor += DAY
        return daily(hour, minute, days=7 * weeks, anchor=anchor)
    at = daily(hour, minute)
    return lambda wall: wall.weekday() == weekday and at(wall)


def repeats(text: str) -> bool:
    """Tell whether minute or hour start with a star."""
    return any(field.startswith("*") for field in text.split()[-5:-3])


def cron(text: str) -> Matches:
    """Return what matches a cron expression of five or six fields."""
    fields = text.lower().split()
    second = fields[0] if len(fields) == 6 else "0"
    minute, hour, day, month, weekday = fields[-5:]
    seconds, minutes = _numbers(second, 0, 59), _numbers(minute, 0, 59)
    hours, months = _numbers(hour, 0, 23), _numbers(month, 1, 12, _MONTHS, 1)
    either = not (day.startswith("*") or weekday.startswith("*"))
    known: dict[date, bool] = {}

    def on_day(on: date) -> bool:
        in_month, in_week = _day_matches(day, on), _weekday_matches(weekday, on)
        return (in_month or in_week) if either else (in_month and in_week)

    def matches(wall: datetime) -> bool:
        if wall.minute not in minutes or wall.hour not in hours:
            return False
        if wall.second not in seconds or wall.month not in months:
            return False
        on = wall.date()
        if on not in known:
            known[on] = on_day(on)
        return known[on]

    return matches


def _numbers(
    field: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0
) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        for number, name in enumerate(names, first):
            item = item.replace(name, str(number))  # noqa: PLW2901 - names to digits
        body, _, step = item.partition("/")
        if body == "*":
            body = f"{low}-{high}"
        begin, _, end = body.partition("-")
        for number in range(low, high + 1):
            inside = int(begin) <= number <= int(end or begin)
            if inside and (number - int(begin)) % int(step or 1) == 0:
                found.add(number)
    return found


def _length(on: date) -> int:
    return monthrange(on.year, on.month)[1]


def _day_matches(field: str, on: date) -> bool:
    for item in field.split(","):
        if item == "l":
            hit = on.day == _length(on)
        elif item == "lw":
            work = [on.replace(day=n) for n in range(1, _length(on) + 1)]
            hit = on == [each for each in work if each.weekday() < 5][-1]
        elif item.endswith("w"):
            hit = _is_nearest(int(item[:-1]), on)
        else:
            hit = on.day in _numbers(item, 1, 31)
        if hit:
            return True
    return False


def _is_nearest(wanted: int, on: date) -> bool:
    """Tell whether `on` is the working day nearest to a day of its month."""
    if wanted > _length(on):
        return False
    work = [n for n in range(1, _length(on) + 1) if on.replace(day=n).weekday() < 5]
    return on.day == min(work, key=lambda n: abs(n - wanted))


def _weekday_matches(field: str, on: date) -> bool:
    # Cron's week: 0 is Sunday, and 7 is Sunday again.
    today = {on.isoweekday() % 7, on.isoweekday()}
    for item in field.split(","):
        if mark := re.fullmatch(r"(\w+)#(\d)", item):
            hit = today & _named(mark[1]) and (on.day + 6) // 7 == int(mark[2])
        elif item.endswith("l"):
            hit = today & _named(item[:-1]) and on.day > _length(on) - 7
        else:
            hit = today & _numbers(item, 0, 6 if "*" in item else 7, _WEEKDAYS)
        if hit:
            return True
    return False


def _named(word: str) -> set[int]:
    return _numbers(word, 0, 7, _WEEKDAYS)
