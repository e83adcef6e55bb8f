"""The table of units: which `every` and which `at` each of them takes.

    second, minute, hour      neither
    seconds, minutes, hours   every: a whole number above 0
    day, monday ... sunday    a clock time in either, or a number in every, or
                              a number in every and a clock time in at

Everything else is refused with the sentence to write instead, since a schedule
that was misunderstood shows itself at night.

Imports: errors, constants, config.words.
"""

from __future__ import annotations

import re
from datetime import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from procsched.config.words import complain
from procsched.constants import PLURAL_UNITS, SINGLE_UNITS, WEEKDAYS, Sc

if TYPE_CHECKING:
    from procsched.config.words import Complaint, Said

SECONDS_IN: Final = {Sc.SECONDS: 1, Sc.MINUTES: 60, Sc.HOURS: 3600}
"""Of the units that take a number; in the order of `constants.PLURAL_UNITS`."""

LONGEST_DAYS: Final = 36_525
"""A hundred years: no longer interval is meant, and dates end at year 9999."""

_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\Z", re.ASCII)

_NEAR_CLOCK: Final = re.compile(
    r"(\d{1,2})(?:[:.h ]?(\d\d))?(?:[:.](\d\d))?\s*(am|pm)?\Z", re.IGNORECASE | re.ASCII
)

_NOON: Final = 12


def read_time(said: Said) -> Complaint | None:
    """Put `every` and `at` into the form their unit gives them, or refuse."""
    unit = said.get("time_unit")
    if unit is None:
        return _without_unit(said)
    if unit in SINGLE_UNITS:
        return _single(said, unit)
    if unit in PLURAL_UNITS:
        return _plural(said, unit)
    return _calendar(said, unit)


def _without_unit(said: Said) -> Complaint | None:
    if "at" in said:
        at = said["at"]
        return complain(
            "at",
            f"at={at!r} stands without time_unit",
            remedy="Write time_unit=Sc.DAY, or a weekday such as Sc.FRIDAY, with it",
        )
    if "every" not in said:
        return None
    every = said["every"]
    clock = clock_time(every) or _meant_clock(every)
    return complain(
        "every",
        f"every={every!r} stands without time_unit",
        remedy="Write time_unit=Sc.DAY, or a weekday such as Sc.FRIDAY, with it"
        if clock and not _whole(every)
        else "Write time_unit=Sc.SECONDS, Sc.MINUTES or Sc.HOURS with it",
    )


def _single(said: Said, unit: str) -> Complaint | None:
    if "every" in said:
        every = said["every"]
        return complain(
            "every",
            f"every={every!r} with time_unit={unit!r}, which takes no number",
            remedy=_instead_of_single(every, unit),
        )
    return _no_clock(said, unit)


def _instead_of_single(every: object, unit: str) -> str:
    if clock_time(every):
        return f"Write time_unit=Sc.DAY, at={clock_text(every)!r}, or leave `every` out"
    if _whole(every) and every != 1:
        plural = f"{unit}s"
        return (
            f"Write time_unit=Sc.{plural.upper()} for every {every} {plural}, or "
            f"leave `every` out for every {unit}"
        )
    return f"Leave `every` out: time_unit=Sc.{unit.upper()} alone is every {unit}"


def _no_clock(said: Said, unit: str) -> Complaint | None:
    """Refuse `at` beside a unit shorter than a day."""
    if "at" not in said:
        return None
    at = said["at"]
    clock = clock_text(at) if clock_time(at) else _meant_clock(at) or "14:00"
    return complain(
        "at",
        f"at={at!r} with time_unit={unit!r}, which takes no clock time",
        remedy=f"Leave `at` out, or write time_unit=Sc.DAY, at={clock!r}",
    )


def _plural(said: Said, unit: str) -> Complaint | None:
    single = unit.removesuffix("s")
    if "every" not in said:
        return complain(
            "every",
            f"time_unit={unit!r} stands without a number",
            remedy=f"Write every=5 with it, or time_unit=Sc.{single.upper()} for "
            f"every {single}",
        )
    every = said["every"]
    if clock_time(every):
        return complain(
            "every",
            f"every={every!r} with time_unit={unit!r}, which takes no clock time",
            remedy=f"Write time_unit=Sc.DAY, at={clock_text(every)!r}, or a number",
        )
    longest = LONGEST_DAYS * 86_400 // SECONDS_IN[unit]
    return _number(every, unit, longest) or _no_clock(said, unit)


def _number(every: object, unit: str, longest: int) -> Complaint | None:
    """Refuse what is no whole number from 1 to `longest`."""
    says = f"every={every!r} with time_unit={unit!r}"
    if not isinstance(every, int) or isinstance(every, bool):
        return complain(
            "every",
            f"{says} is no whole number",
            remedy=_whole_instead(every, unit),
        )
    if every < 1:
        return complain(
            "every", f"{says} is not above 0", remedy="Write a whole number from 1 up"
        )
    if every > longest:
        return complain(
            "every",
            f"{says} is more than a hundred years",
            remedy=f"Write {longest} or less, or once= for a single run",
        )
    return None


def _whole_instead(every: object, unit: str) -> str:
    if isinstance(every, str) and every.strip().isdecimal():
        return f"Write every={int(every)} without quotes"
    if isinstance(every, float) and every.is_integer():
        return f"Write every={int(every)} without a fraction"
    if isinstance(every, float) and unit in {Sc.MINUTES, Sc.HOURS} and every > 0:
        smaller = {Sc.MINUTES: Sc.SECONDS, Sc.HOURS: Sc.MINUTES}[unit]
        if (every * 60).is_integer():
            return f"Write every={int(every * 60)}, time_unit=Sc.{smaller.upper()}"
    return f"Write one, as in every=5, time_unit=Sc.{unit.upper()}"


def _calendar(said: Said, unit: str) -> Complaint | None:
    """Move a clock time from `every` to `at`; without one it is midnight."""
    every, at = said.get("every"), said.get("at")
    if isinstance(every, str | time):
        clock = clock_time(every)
        if clock is None:
            return _no_such_clock(every, unit, "every")
        if at is not None:
            return complain(
                "at",
                f"every={every!r} and at={at!r} both name a clock time",
                remedy=f"Keep one: at={clock_text(at if clock_time(at) else every)!r}",
            )
        del said["every"]
        said["at"] = clock
        return None
    if every is not None:
        weekly = unit in WEEKDAYS
        wrong = _number(every, unit, LONGEST_DAYS // (7 if weekly else 1))
        if wrong is not None:
            return wrong
    if at is None:
        said["at"] = time.min
        return None
    clock = clock_time(at)
    if clock is None:
        return _no_such_clock(at, unit, "at")
    said["at"] = clock
    return None


def _no_such_clock(value: object, unit: str, name: str) -> Complaint:
    problem = f"{name}={value!r} with time_unit={unit!r} is no clock time"
    if name == "every" and isinstance(value, str) and value.strip().isdecimal():
        return complain(
            name,
            f"{problem}, and no number either",
            remedy=f"Write every={int(value)} without quotes for a number of "
            f"{'weeks' if unit in WEEKDAYS else 'days'}",
        )
    if isinstance(value, time):
        return complain(
            name,
            f"{problem} in whole seconds without a zone",
            remedy="Write timezone= for the zone, and no fraction of a second",
        )
    meant = _meant_clock(value)
    return complain(
        name,
        problem,
        remedy=f"Write {name}={meant!r}"
        if meant
        else "Write HH:MM or HH:MM:SS, such as '14:00' or '06:30:15'",
    )


def clock_time(value: object) -> time | None:
    """Return `HH:MM`, `HH:MM:SS` or a plain `time` as a time; None for others."""
    if isinstance(value, time):
        return value if value.tzinfo is None and not value.microsecond else None
    return _read_clock(value) if isinstance(value, str) else None


@lru_cache(maxsize=4096)
def _read_clock(text: str) -> time | None:
    match = _CLOCK.match(text.strip())
    if match is None:
        return None
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _meant_clock(value: object) -> str | None:
    """Return the clock time that somebody likely meant: '2pm' is '14:00'."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    match = _NEAR_CLOCK.match(text)
    if not match or isinstance(value, bool):
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if match[4]:
        hour = hour % _NOON + (_NOON if match[4].casefold() == "pm" else 0)
    hour = 0 if hour == 2 * _NOON else hour
    try:
        return clock_text(time(hour, minute, second))
    except ValueError:
        # 25:00 is near no time.
        return None


def clock_text(value: object) -> str:
    """Return a clock time as people write it."""
    clock = clock_time(value)
    if clock is None:
        return str(value)
    return clock.isoformat("seconds" if clock.second else "minutes")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
