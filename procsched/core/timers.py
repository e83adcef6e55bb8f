"""What the plan wants to be woken for on the monotonic clock.

Imports: nothing of ours.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procsched.core.entry import LiveRun


@dataclass(frozen=True, slots=True)
class RetryElapsed:
    """The wait before another attempt is over."""

    run: LiveRun


@dataclass(frozen=True, slots=True)
class ProbeElapsed:
    """A suspended schedule may be tried again."""

    job: str


@dataclass(frozen=True, slots=True)
class AnswerOverdue:
    """A run's keeper should have reported its end long ago."""

    run_id: str


Alarm = RetryElapsed | ProbeElapsed | AnswerOverdue


class Timers:
    """Alarms, earliest first; those for the same instant in the order set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._order = count()

    def set(self, at_seconds: float, alarm: Alarm) -> None:
        """Ring at a reading of the monotonic clock."""
        heapq.heappush(self._heap, (at_seconds, next(self._order), alarm))

    def next(self) -> float | None:
        """Return when the next alarm rings; None for never."""
        return self._heap[0][0] if self._heap else None

    def take(self, until_seconds: float) -> list[Alarm]:
        """Return the alarms that have rung, and forget them."""
        taken = []
        while self._heap and self._heap[0][0] <= until_seconds:
            taken.append(heapq.heappop(self._heap)[2])
        return taken
