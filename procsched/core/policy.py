"""The choices of a schedule, as values: limits, overlap, catch-up, retry.

Each says what is wanted and refuses what cannot be meant; none enforces
anything.  Durations are seconds or `timedelta`, sizes bytes or "512MiB".

Imports: errors, core.amounts, core.limits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from procsched.core.amounts import Duration, Size, count, duration, size_in_bytes
from procsched.core.limits import LIMIT_NAMES, STARTUP_LIMIT, STOP_GRACE, Limits
from procsched.core.outcome import Outcome
from procsched.errors import ScheduleConfigError, listed, nearest

__all__ = [
    "LIMIT_NAMES",
    "RETRYABLE",
    "STARTUP_LIMIT",
    "STOP_GRACE",
    "CatchUp",
    "Duration",
    "Limits",
    "Overlap",
    "Retry",
    "Size",
    "count",
    "duration",
    "failures",
    "size_in_bytes",
]


class Overlap(StrEnum):
    """What happens to a firing while a run of the same job is still going."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    PARALLEL = "parallel"


class SupervisorLoss(StrEnum):
    """What becomes of a run whose supervisor is gone."""

    KILL = "kill"
    FINISH = "finish"


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
