"""Durations, sizes and counts as people write them, read into one unit each.

Imports: errors.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from procsched.errors import ScheduleConfigError

Duration = int | float | timedelta
"""Seconds, or a `timedelta`."""

Size = int | str
"""Bytes, or a number with a unit such as "512MiB"."""

_UNITS: Final = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 2**10,
    "M": 2**20,
    "G": 2**30,
    "T": 2**40,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}

_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")

_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*\Z")

_NO_END: Final = timedelta.max.total_seconds()
"""Seconds that no `timedelta` can hold."""

_LARGEST_SIZE: Final = 2**63 - 1
"""Bytes; what the kernel's limits can hold (getrlimit(2))."""

_SECONDS_PER: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(value: object, *, name: str, zero: bool = False) -> timedelta:
    """Return a duration from seconds, a `timedelta` or a text such as "10m".

    Raises:
        ScheduleConfigError: If it is none of these, or not positive.
    """
    seconds: float | None = None
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        # A whole number may be larger than any float.
        seconds = float(min(value, _NO_END))
    elif isinstance(value, str) and (match := _DURATION.match(value)):
        seconds = float(match[1]) * _SECONDS_PER[match[2]]
    if seconds is None:
        raise ScheduleConfigError(
            f"{name}={value!r} is not a duration",
            remedy="Write seconds as a number, a timedelta, or a text such as "
            "'90s', '10m' or '1.5h'",
        )
    length = timedelta(seconds=seconds) if 0 <= seconds < _NO_END else None
    if length is None or (not length and (seconds or not zero)):
        raise ScheduleConfigError(
            f"{name}={value!r} is not a positive duration",
            remedy=f"Write {name}={0 if zero else None} for "
            f"{'none' if zero else 'no limit'}, or a number of seconds above 0",
        )
    return length


def size_in_bytes(value: object, *, name: str) -> int:
    """Return a size in bytes from a whole number or a text such as "512MiB".

    Raises:
        ScheduleConfigError: If it is neither, or not positive.
    """
    size: float | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str) and (match := _SIZE.match(value)):
        factor = _UNITS.get(match[2].upper())
        size = None if factor is None else float(match[1]) * factor
    if size is None or not 1 <= size <= _LARGEST_SIZE:
        raise ScheduleConfigError(
            f"{name}={value!r} is not a size",
            remedy="Write bytes as a whole number above 0, or a text such as "
            "'64KiB', '512MiB' or '2GB'",
        )
    return int(size)


def count(value: object, *, name: str, least: int = 1) -> int:
    """Return a whole number of at least `least`.

    Raises:
        ScheduleConfigError: If it is not one.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ScheduleConfigError(
            f"{name}={value!r} is not a whole number of at least {least}",
            remedy=f"Write {name}={least} or more",
        )
    return value
