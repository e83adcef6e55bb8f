"""The words of a schedule, each read by itself.

A person says few of them, so a schedule in the making is a dict of what was
said and nothing else.  Reading a word gives its one canonical value (a unit in
lower case, a duration as `timedelta`) or a Complaint, and the other words are
read all the same: a file is told all its faults at once.

Imports: errors, constants, core, config.zone.  Must not import: yaml, pydantic.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from procsched.config.zone import read_zone
from procsched.constants import MODES, TIME_UNITS, WEEKDAYS, Sc
from procsched.core.calendar import Fold, Gap
from procsched.core.cron import parse_cron
from procsched.core.policy import (
    CatchUp,
    Limits,
    Overlap,
    Retry,
    SupervisorLoss,
    count,
    duration,
    failures,
)
from procsched.core.recycle import Recycle
from procsched.errors import ScheduleConfigError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from procsched.core.outcome import Outcome

Said = dict[str, Any]
"""Field of ScheduleConfig to value, for those that were said."""

PRIORITY_LIMIT: Final = 100
"""Priorities run from -100 to 100; 0 is ordinary."""

_YEARS: Final = (1901, 2198)
"""What core.calendar can look at, with room for any zone and a century's step."""

_PARALLEL: Final = re.compile(r"\s*parallel\s*\(\s*(\d{1,9})\s*\)\s*\Z", re.IGNORECASE)

_UNITS: Final = {unit: unit for unit in TIME_UNITS}

_MEANT: Final = {
    **dict.fromkeys(("s", "sec", "secs"), Sc.SECONDS),
    **dict.fromkeys(("m", "min", "mins"), Sc.MINUTES),
    **dict.fromkeys(("h", "hr", "hrs"), Sc.HOURS),
    "hourly": Sc.HOUR,
    **dict.fromkeys(("d", "days", "daily"), Sc.DAY),
    **{f"{day}s": day for day in WEEKDAYS},
    **{day[:3]: day for day in WEEKDAYS},
}
"""Abbreviations and plurals that difflib would guess wrong, or not at all."""

_NO_UNITS: Final = {
    **dict.fromkeys(
        ("week", "weeks", "weekly"),
        "Name the weekday, as in time_unit=Sc.MONDAY, with every=2 for every second "
        "week",
    ),
    **dict.fromkeys(
        ("month", "months", "monthly"),
        "Write cron='0 0 1 * *' instead, for midnight on the first of each month",
    ),
    **dict.fromkeys(
        ("year", "years", "yearly"),
        "Write cron='0 0 1 1 *' instead, for midnight on each 1 January",
    ),
    **dict.fromkeys(
        ("ms", "millisecond", "milliseconds"),
        "Write time_unit=Sc.SECOND, which is the shortest",
    ),
}


class Complaint(NamedTuple):
    """A refusal, and the field to blame."""

    field: str
    error: ScheduleConfigError


def complain(field: str, problem: str, *, remedy: str) -> Complaint:
    """Return a complaint in the words of an error."""
    return Complaint(field, ScheduleConfigError(problem, remedy=remedy))


def blank(value: object) -> bool:
    """Tell whether a value says nothing: None, or a text without letters."""
    return value is None or (isinstance(value, str) and not value.strip())


def read_words(
    said: Said, readers: Mapping[str, Callable[[Any, str], Any]]
) -> list[Complaint]:
    """Put each word into its canonical form, or take it out and complain."""
    complaints = []
    for name, value in tuple(said.items()):
        reader = readers.get(name)
        if reader is None:
            continue
        try:
            said[name] = reader(value, name)
        except ScheduleConfigError as error:
            del said[name]
            complaints.append(Complaint(name, error))
    return complaints


def _unit(value: object, name: str) -> str:
    word = value.strip().casefold() if isinstance(value, str) else value
    if isinstance(word, str) and word in _UNITS:
        return _UNITS[word]
    problem = f"{name}={value!r} is no unit of time"
    if not isinstance(word, str):
        raise ScheduleConfigError(
            problem, remedy="Write one as in time_unit=Sc.MINUTES"
        )
    if word in _NO_UNITS:
        raise ScheduleConfigError(problem, remedy=_NO_UNITS[word])
    close = _MEANT.get(word) or nearest(word, TIME_UNITS)
    raise ScheduleConfigError(
        problem,
        remedy=f"Write time_unit=Sc.{close.upper()}"
        if close
        else f"Choose among {', '.join(TIME_UNITS)}",
    )


def moment(value: object, name: str) -> datetime:
    """Return an aware moment from a `datetime` or an ISO 8601 text.

    Raises:
        ScheduleConfigError: If it is neither, or says no offset from UTC.
    """
    when = value
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value.strip())
        except ValueError:
            # The refusal below shows what was written.
            when = None
    if not isinstance(when, datetime):
        raise ScheduleConfigError(
            f"{name}={_told(value)} is no moment",
            remedy="Write date, time and offset, such as '2027-01-31T14:00:00+01:00'",
        )
    if when.utcoffset() is None:
        raise ScheduleConfigError(
            f"{name}={when.isoformat()} has no offset from UTC",
            remedy=f"Add one, as in {when.isoformat()}+00:00, or tzinfo= in Python",
        )
    if not _YEARS[0] <= when.year <= _YEARS[1]:
        raise ScheduleConfigError(
            f"{name}={when.isoformat()} lies outside of the calendar",
            remedy=f"Write a year from {_YEARS[0]} to {_YEARS[1]}",
        )
    return when


def _told(value: object) -> str:
    """Return a date as people write it, other values as Python does."""
    return value.isoformat() if isinstance(value, date) else repr(value)


def _cron(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ScheduleConfigError(
            f"{name}={value!r} is no text",
            remedy="Write five fields in quotes, such as '30 2 * * 1-5'",
        )
    parse_cron(value)
    return intern(value)


def _one_of(words: tuple[str, ...]) -> Callable[[object, str], str]:
    """Return a reader of any of some words."""
    by_fold = {word.casefold(): word for word in words}

    def read(value: object, name: str) -> str:
        word = value.strip().casefold() if isinstance(value, str) else None
        if word in by_fold:
            return by_fold[word]
        close = nearest(word, by_fold) if word else None
        raise ScheduleConfigError(
            f"{name}={value!r} is none of its choices",
            remedy=f"Write {name}='{close}'"
            if close
            else f"Choose among {listed(str(each) for each in words)}",
        )

    return read


_OVERLAP: Final = _one_of(tuple(Overlap))


def _overlap(value: object, name: str) -> object:
    if isinstance(value, str) and _PARALLEL.match(value):
        return value
    return _OVERLAP(value, name)


def split_overlap(said: Said) -> Complaint | None:
    """Take "parallel(3)" apart into the policy and its cap."""
    text = said.get("overlap")
    if isinstance(text, Overlap) or not isinstance(text, str):
        return None
    match = _PARALLEL.match(text)
    cap = int(match[1]) if match else 0
    said["overlap"] = Overlap.PARALLEL
    if cap < 1 or said.get("parallel", cap) != cap:
        return complain(
            "overlap",
            f"overlap={text!r} is no cap of its own, or contradicts parallel="
            f"{said.get('parallel')!r}",
            remedy="Write overlap='parallel' and parallel=3, each once, from 1 up",
        )
    said["parallel"] = cap
    return None


def _duration(value: object, name: str) -> object:
    return duration(value, name=name)


def _count(value: object, name: str) -> int:
    return count(value, name=name)


def _failures(value: object, name: str) -> frozenset[Outcome]:
    return failures(value, name=name)


def _retry(value: object, name: str) -> Retry:
    if isinstance(value, Retry):
        return value
    return _retries(count(value, name=name, least=0))


@lru_cache(maxsize=128)
def _retries(number: int) -> Retry:
    """Return the one Retry of a number, shared by all schedules that say it."""
    return Retry(count=number)


def _limits(value: object, name: str) -> Limits:
    if isinstance(value, Limits):
        return value
    raise ScheduleConfigError(
        f"{name}={value!r} are no limits",
        remedy="Write them as in limits=Limits(wall=30, memory='512MiB')",
    )


def _recycle(value: object, name: str) -> Recycle:
    if isinstance(value, Recycle):
        return value
    raise ScheduleConfigError(
        f"{name}={value!r} does not say when a worker is replaced",
        remedy="Write it as in recycle=Recycle(runs=1000, age='12h')",
    )


def _priority(value: Any, name: str) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and -PRIORITY_LIMIT <= value <= PRIORITY_LIMIT:
        return int(value)
    raise ScheduleConfigError(
        f"{name}={value!r} is no whole number from {-PRIORITY_LIMIT} to "
        f"{PRIORITY_LIMIT}",
        remedy="Write 0 for an ordinary job, more for one that starts first",
    )


READERS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "time_unit": _unit,
    "cron": _cron,
    "after": _duration,
    "once": moment,
    "start": moment,
    "end": moment,
    "timezone": read_zone,
    "dst_gap": _one_of(tuple(Gap)),
    "dst_fold": _one_of(tuple(Fold)),
    "jitter": _duration,
    "spread": _duration,
    "mode": _one_of(MODES),
    "recycle": _recycle,
    "overlap": _overlap,
    "parallel": _count,
    "catch_up": _one_of(tuple(CatchUp)),
    "catch_up_window": _duration,
    "catch_up_max": _count,
    "start_deadline": _duration,
    "retry": _retry,
    "limits": _limits,
    "priority": _priority,
    "breaker": _count,
    "breaker_causes": _failures,
    "breaker_probe": _duration,
    "on_supervisor_loss": _one_of(tuple(SupervisorLoss)),
}
"""Of `every` and `at` only the unit tells what they are; see config.timetable."""
