"""What keeps the next run from starting, for how long, and when to look again.

The host's door opens for the first in line or for nobody, so all who wait there
wait for the same thing: a slot, memory, or an end of the pressure.  That is why a
stopwatch for each of these is enough to say how long any run has waited for it.

Imports: core.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf, nextafter
from typing import TYPE_CHECKING, Final, assert_never

from procsched.core.budget import in_words
from procsched.core.messages import Command, PressureSensed, SensePressure
from procsched.core.queue import Door, Place, Queue
from procsched.core.timers import ObstacleElapsed, Ring, Timers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from procsched.core.moment import Moment

ORDINARY: Final = 0
"""Runs of this priority and above start whatever the pressure is."""

FRESH_SECONDS: Final = 2.0
"""How long a reading of the pressure counts: the kernel makes a new one every two
seconds (PSI_FREQ in kernel/sched/psi.c)."""


class Obstacle(StrEnum):
    """What the first at the host's door waits for."""

    SLOT = "slot"
    MEMORY = "memory"
    PRESSURE = "pressure"
    UNSENSED = "reading"
    """Nobody knows the pressure yet, or any more; it has been asked for."""


class Gate:
    """The host's door, with a watchman.

    Args:
        queue: Who waits.
        timers: Where the watchman's alarm is set.
        out: Where commands go, in order.
        senses_pressure: Whether runs of low priority wait while the host is
            under pressure.

    Attributes:
        obstacle: What the first in line waits for, when last looked at.
    """

    def __init__(
        self,
        queue: Queue,
        timers: Timers,
        out: list[Command],
        *,
        senses_pressure: bool = False,
    ) -> None:
        self._queue = queue
        self._timers = timers
        self._out = out
        self._senses = senses_pressure
        self._over: tuple[str, ...] = ()
        self._fresh_until = -inf
        self._asked = False
        self.obstacle: Obstacle | None = None
        self._looked_at = 0.0
        self._seconds = {Obstacle.MEMORY: 0.0, Obstacle.PRESSURE: 0.0}
        self._told: dict[str, dict[Obstacle, float]] = {}
        self._ring: Ring | None = None
        self._ring_at: float | None = None

    def look(self, now: Moment) -> Place | None:
        """Return who is first in line, and find out what it waits for."""
        self._stop_watches(now)
        place = self._queue.first()
        self.obstacle = None if place is None else self._obstacle_of(place, now)
        return place

    def _stop_watches(self, now: Moment) -> None:
        if self.obstacle in self._seconds:
            self._seconds[self.obstacle] += now.monotonic - self._looked_at
        self._looked_at = now.monotonic

    def _obstacle_of(self, place: Place, now: Moment) -> Obstacle | None:
        if self._queue.full:
            return Obstacle.SLOT
        if place.memory_bytes > self._queue.left_bytes:
            return Obstacle.MEMORY
        if not self._senses or place.priority >= ORDINARY:
            return None
        if now.monotonic >= self._fresh_until:
            self._ask()
            return Obstacle.UNSENSED
        return Obstacle.PRESSURE if self._over else None

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self._out.append(SensePressure())

    def sensed(self, event: PressureSensed) -> None:
        """Take in how hard the host is pressed."""
        self._asked, self._over = False, event.over
        self._fresh_until = event.at.monotonic + FRESH_SECONDS

    def rest(self, start_by: float | None) -> None:
        """Look again when what the first one waits for may be over.

        Args:
            start_by: Reading of the monotonic clock after which the first in line
                does not start any more, and is in nobody's way.
        """
        at = self._look_again_at(start_by)
        if at == self._ring_at:
            return
        self._timers.call_off(self._ring)
        self._ring_at = at
        self._ring = None if at is None else self._timers.set(at, ObstacleElapsed())

    def _look_again_at(self, start_by: float | None) -> float | None:
        if self.obstacle not in self._seconds:
            return None
        too_late = inf if start_by is None else nextafter(start_by, inf)
        stale = self._fresh_until if self.obstacle is Obstacle.PRESSURE else inf
        at = min(too_late, stale)
        return None if at == inf else at

    def newly_kept(self) -> Iterator[tuple[str, str]]:
        """Return the runs that begin to wait for memory or pressure, and why."""
        if self.obstacle not in self._seconds:
            return
        for place in self._queue.take_newcomers():
            self._told[place.run_id] = dict(self._seconds)
            yield place.run_id, self.why(place)

    def waited(self, run_id: str, now: Moment) -> tuple[str, ...]:
        """Return how long a run that leaves the line waited for what, in words."""
        before = self._told.pop(run_id, None)
        if before is None:
            return ()
        self._stop_watches(now)
        waits = {each: round(self._seconds[each] - before[each], 3) for each in before}
        return tuple(
            f"waited {seconds:g} s for {each}"
            for each, seconds in waits.items()
            if seconds
        )

    def why(self, place: Place) -> str:
        """Return what a waiting run waits for, in words."""
        if place.door is Door.JOB:
            return "an earlier run of its job"
        if place.door is Door.SEQUENCE:
            return "its turn in its sequence"
        match self.obstacle:
            case Obstacle.SLOT:
                slots = self._queue.slots
                return f"a slot: {slots} of {slots} are taken"
            case Obstacle.MEMORY:
                return self._why_memory(place)
            case Obstacle.PRESSURE:
                return f"pressure: {', '.join(self._over)}"
            case Obstacle.UNSENSED:
                return "a reading of the pressure"
            case None:
                return "its start"
            case _:
                assert_never(self.obstacle)

    def _why_memory(self, place: Place) -> str:
        first = self._queue.first() or place
        asked = in_words(first.memory_bytes)
        if first is not place:
            return f"memory: run {first.run_id} is before it and waits for {asked}"
        left, total = self._queue.left_bytes, self._queue.budget_bytes or 0
        return f"memory: {asked} asked, {in_words(left)} left of {in_words(total)}"
