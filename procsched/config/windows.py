"""What a person writes in `exclude`: dates, hours of the day, spans.

    2027-12-25                      that date, on the schedule's clock
    "22:00-06:00"                   each night
    "sat,sun 00:00-24:00", "sat,sun"   weekends
    (from, to)                      between two aware moments

Hours are kept as text, and dates as dates, until the zone is known.

Imports: errors, constants, core, config.words, config.timetable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Final, TypeAlias

from procsched.config.timetable import clock_time
from procsched.config.words import moment
from procsched.constants import WEEKDAYS
from procsched.core.exclusion import Day, Hours, Span, Window
from procsched.errors import ScheduleConfigError

Excluded: TypeAlias = date | str | Window
"""One thing in `exclude`, read."""

_HOURS: Final = re.compile(
    r"(?P<days>[a-z]+(?:\s*[,-]\s*[a-z]+)*)?\s*"
    r"(?:(?P<start>[\d:]+)\s*[-\u2013]\s*(?P<end>[\d:]+))?\Z"
)

_MIDNIGHT: Final = time.min


def read_windows(value: Any, name: str) -> tuple[Excluded, ...]:
    """Return what is excluded, each in its canonical form.

    Raises:
        ScheduleConfigError: If something in it is no window.
    """
    if isinstance(value, str | date | Window) or _is_pair(value):
        value = (value,)
    if not isinstance(value, Sequence):
        raise _refusal(value, name)
    return tuple(_read(item, name) for item in value)


def window_in(item: Excluded, zone: tzinfo) -> Window:
    """Return one thing that was read as a window on the clock of a zone."""
    if isinstance(item, str):
        found = _hours(item, zone)
        assert found is not None  # noqa: S101 - read_windows took it
        return found
    return Day(item, zone) if isinstance(item, date) else item


def window_words(item: Excluded) -> str:
    """Return one thing that was read, for people."""
    return item.describe() if isinstance(item, Window) else str(item)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2  # noqa: PLR2004 - a pair
        and all(isinstance(each, datetime) for each in value)
    )


def _read(item: Any, name: str) -> Excluded:
    if isinstance(item, Window):
        return item
    if _is_pair(item):
        return Span(*(moment(each, name) for each in item))
    if isinstance(item, date) and not isinstance(item, datetime):
        return item
    if isinstance(item, str):
        text = " ".join(item.casefold().split())
        try:
            return date.fromisoformat(text)
        except ValueError:
            # Then it is a text of hours, or nothing.
            if _hours(text, UTC) is not None:
                return text
    raise _refusal(item, name)


def _refusal(item: object, name: str) -> ScheduleConfigError:
    return ScheduleConfigError(
        f"{name}={item!r} is no date, hours or span",
        remedy="Write a date, '22:00-06:00', 'sat,sun 08:00-20:00', 'sat,sun', or two "
        "aware moments",
    )


def _hours(text: str, zone: tzinfo) -> Hours | None:
    match = _HOURS.match(text)
    if not text or match is None:
        return None
    days = None if match["days"] is None else _weekdays(match["days"])
    start, end = _MIDNIGHT, _MIDNIGHT
    if match["start"] is not None:
        first = clock_time(match["start"])
        last = _MIDNIGHT if match["end"] == "24:00" else clock_time(match["end"])
        if first is None or last is None:
            return None
        start, end = first, last
    if days is not None and not days:
        return None
    return Hours(start, end, zone, days)


def _weekdays(text: str) -> frozenset[int]:
    """Return the weekdays of "sat,sun" or "mon-fri"; none if one is unknown."""
    found: set[int] = set()
    for part in text.split(","):
        ends = [_weekday(word.strip()) for word in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2:  # noqa: PLR2004 - a range
            return frozenset()
        found |= {(first + step) % 7 for step in range((last - first) % 7 + 1)}
    return frozenset(found)


def _weekday(word: str) -> int | None:
    for number, name in enumerate(WEEKDAYS):
        if word in {name, name[:3]}:
            return number
    return None
