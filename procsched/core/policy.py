"""The choices of a schedule, as values: limits, overlap, catch-up, retry.

Each says what is wanted and refuses what cannot be meant; none enforces
anything.  Durations are seconds or `timedelta`, sizes bytes or "512MiB".

Imports: errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Final

from procsched.core.outcome import Outcome
from procsched.errors import ScheduleConfigError, listed, nearest

Duration = int | float | timedelta
"""Seconds, or a `timedelta`."""

Size = int | str
"""Bytes, or a number with a unit such as "512MiB"."""

STOP_GRACE: Final = timedelta(seconds=10)
"""From SIGTERM to SIGKILL.

supervisord waits 10 s, Erlang/OTP 5 s, gunicorn 30 s.  Ten lets a job close a
database without making Ctrl-C feel ignored.
"""

STARTUP_LIMIT: Final = timedelta(seconds=60)
"""From fork to the first line of `goal()`: the imports of the job's module.

systemd allows 90 s for a service to be ready (DefaultTimeoutStartSec).
"""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use before it is ended.  None means no limit.

    Args:
        wall: From the first line of `goal()` to its end.
        cpu: CPU time of each process of the run; rounded up to whole seconds
            because RLIMIT_CPU counts in them (getrlimit(2)).
        memory: Private memory of each process (RLIMIT_DATA); going over it
            shows as MemoryError in the job.
        processes: Processes of the job's user while the run forks
            (RLIMIT_NPROC); root is exempt (getrlimit(2)).
        open_files: Descriptors of each process (RLIMIT_NOFILE).
        file_size: Size of any file a process writes (RLIMIT_FSIZE).
        output: What is kept of stdout and stderr together: head and tail.
        startup: From fork to the first line of `goal()`.
        grace: From the soft stop (SIGTERM) to the kill.
        required: Refuse to start a run whose limits cannot all be enforced.

    Raises:
        ScheduleConfigError: If a limit is not positive or not of its kind.
    """

    wall: Duration | None = None
    cpu: Duration | None = None
    memory: Size | None = None
    processes: int | None = None
    open_files: int | None = None
    file_size: Size | None = None
    output: Size | None = "10MiB"
    startup: Duration | None = STARTUP_LIMIT
    grace: Duration = STOP_GRACE
    required: bool = False

    def __post_init__(self) -> None:
        """Normalise: durations to `timedelta`, sizes to bytes."""
        for name in ("wall", "cpu", "startup"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, duration(value, name=name))
        self._set("grace", duration(self.grace, name="grace", zero=True))
        for name in ("memory", "file_size", "output"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, size_in_bytes(value, name=name))
        for name in ("processes", "open_files"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, count(value, name=name))
        if not isinstance(self.required, bool):
            raise ScheduleConfigError(
                f"required={self.required!r} is neither true nor false",
                remedy="Write required=True or required=False",
            )

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def seconds(self, name: str) -> float | None:
        """Return a duration by name in seconds; None where there is no limit."""
        value = getattr(self, name)
        return value.total_seconds() if isinstance(value, timedelta) else None

    def bytes(self, name: str) -> int | None:
        """Return a size by name in bytes; None where there is no limit."""
        value = getattr(self, name)
        return value if isinstance(value, int) else None


class Overlap(StrEnum):
    """What happens to a firing while a run of the same job is still going."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    PARALLEL = "parallel"


class CatchUp(StrEnum):
    """Which of the nominal times that passed unseen are run late."""

    LATEST = "latest"
    NONE = "none"
    ALL = "all"


RETRYABLE: Final = frozenset(
    {Outcome.FAILED, Outcome.EXITED, Outcome.TIMED_OUT, Outcome.START_FAILED}
)
"""Causes a retry follows unless the schedule says otherwise.

Not a fatal signal, nor the kernel's out-of-memory kill: the same input does the
same again, and the second time it takes a neighbour with it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often, how long after, and after which ends a run is tried again.

    Args:
        count: Attempts after the first; 0 for none.
        backoff: Ceiling of the wait before the second attempt; it doubles
            with each further one.
        ceiling: The longest wait.
        jitter: Wait a random time between 0 and the ceiling of the attempt
            ("full jitter"); False waits the ceiling itself.
        causes: Outcomes that are tried again.

    Raises:
        ScheduleConfigError: If a value is not of its kind, or a cause is no
            outcome of a run.
    """

    count: int = 3
    backoff: Duration = 1
    ceiling: Duration = 60
    jitter: bool = True
    causes: frozenset[Outcome] = field(default=RETRYABLE)

    def __post_init__(self) -> None:
        """Normalise: durations to `timedelta`, causes to outcomes."""
        put = object.__setattr__
        count(self.count, name="count", least=0)
        put(self, "backoff", duration(self.backoff, name="backoff"))
        put(self, "ceiling", duration(self.ceiling, name="ceiling"))
        if not isinstance(self.jitter, bool):
            raise ScheduleConfigError(
                f"jitter={self.jitter!r} is neither true nor false",
                remedy="Write jitter=True or jitter=False",
            )
        put(self, "causes", failures(self.causes, name="causes"))

    def wait_seconds(self, attempt: int, chance: float) -> float:
        """Return the wait before the attempt after `attempt`.

        Args:
            attempt: The one that just ended, from 1.
            chance: Between 0 and 1; what the jitter draws.
        """
        assert isinstance(self.backoff, timedelta)  # noqa: S101 - see __post_init__
        assert isinstance(self.ceiling, timedelta)  # noqa: S101 - see __post_init__
        doubled = self.backoff.total_seconds() * 2.0 ** min(attempt - 1, 62)
        longest = min(doubled, self.ceiling.total_seconds())
        return longest * chance if self.jitter else longest


def failures(words: object, *, name: str) -> frozenset[Outcome]:
    """Return the ways to fail that some words name.

    Raises:
        ScheduleConfigError: If they are no list, or one is no way to fail.
    """
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise ScheduleConfigError(
            f"{name}={words!r} is no list of outcomes",
            remedy=f"Write {name}=['failed', 'timed_out']",
        )
    return frozenset(_failure(word, name) for word in words)


def _failure(word: object, name: str) -> Outcome:
    known = {outcome.value for outcome in Outcome if outcome.ran} - {"succeeded"}
    if isinstance(word, str) and word in known:
        return Outcome(word)
    close = nearest(str(word), known)
    raise ScheduleConfigError(
        f"{name} names {word!r}, which is no way for a run to fail",
        remedy=f"Did you mean '{close}'? The ways are {listed(known)}"
        if close
        else f"Choose among {listed(known)}",
    )


LIMIT_NAMES: Final = tuple(each.name for each in fields(Limits))
