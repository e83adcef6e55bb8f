"""What the plan wants to be woken for on the monotonic clock.

An alarm that is no longer wanted is called off at once, and the heap never holds
more of those than of the others: a thousand runs a second, each with an hour's
limit, must not leave an hour of dead alarms behind.

Imports: nothing of ours.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from procsched.core.entry import Entry, LiveRun

SLACK: Final = 64
"""Dead rows that are not worth clearing away."""


@dataclass(frozen=True, slots=True)
class RetryElapsed:
    """The wait before another attempt is over."""

    run: LiveRun


@dataclass(frozen=True, slots=True)
class ProbeElapsed:
    """A suspended schedule may be tried again."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class AnswerOverdue:
    """A run's keeper should have reported its end long ago."""

    run: LiveRun


@dataclass(frozen=True, slots=True)
class PatienceElapsed:
    """A run has been asked to stop, and whoever forces the end waits no longer.

    Args:
        text: Why, for the record.
    """

    run: LiveRun
    text: str


@dataclass(frozen=True, slots=True)
class ObstacleElapsed:
    """What the first of the waiting runs waits for may be over."""


Alarm = RetryElapsed | ProbeElapsed | AnswerOverdue | PatienceElapsed | ObstacleElapsed


@dataclass(slots=True, eq=False)
class Ring:
    """One alarm that was set, to call it off by; None once that is done."""

    alarm: Alarm | None


class Timers:
    """Alarms, earliest first; those for the same instant in the order set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ring]] = []
        self._order = count()
        self._dead = 0

    def __len__(self) -> int:
        """Return how many rows are kept, dead ones included."""
        return len(self._heap)

    def set(self, at_seconds: float, alarm: Alarm) -> Ring:
        """Ring at a reading of the monotonic clock."""
        ring = Ring(alarm)
        heapq.heappush(self._heap, (at_seconds, next(self._order), ring))
        return ring

    def call_off(self, ring: Ring | None) -> None:
        """Let an alarm not ring, if it has not yet."""
        if ring is None or ring.alarm is None:
            return
        ring.alarm = None
        self._dead += 1
        if self._dead > SLACK and 2 * self._dead > len(self._heap):
            self._heap = [row for row in self._heap if row[2].alarm is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def next(self) -> float | None:
        """Return when the next alarm rings; None for never."""
        while self._heap and self._heap[0][2].alarm is None:
            heapq.heappop(self._heap)
            self._dead -= 1
        return self._heap[0][0] if self._heap else None

    def take(self, until_seconds: float) -> list[Alarm]:
        """Return the alarms that have rung, and forget them."""
        taken = []
        while (at := self.next()) is not None and at <= until_seconds:
            ring = heapq.heappop(self._heap)[2]
            assert ring.alarm is not None  # noqa: S101 - next() leaves no dead one
            taken.append(ring.alarm)
            # Calling it off now would count a row that is gone.
            ring.alarm = None
        return taken
