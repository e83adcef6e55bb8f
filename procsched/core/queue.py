"""Who starts next: slots of the host, turns of a sequence, caps of a job.

A run waits at up to three doors, in this order: its job's cap (overlap), its
sequence's turn, a free slot.  Behind each door the order is kept; at the last
one, higher priority goes first.

Imports: core.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Final

SLACK: Final = 64
"""Dropped runs that are not worth clearing away."""


@dataclass(slots=True)
class Place:
    """What the queue needs to know of one waiting run."""

    run_id: str
    job: str
    at_once: int | None
    sequence: str | None
    priority: int


@dataclass(slots=True)
class _Door:
    """Runs let through, and runs waiting behind them."""

    inside: int = 0
    waiting: deque[Place] = field(default_factory=deque)


class Queue:
    """Waiting runs, and the slots they wait for.

    Args:
        slots: Runs at once on this host, at least 1.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._taken: dict[str, Place] = {}
        self._gone: set[str] = set()
        self._jobs: dict[str, _Door] = {}
        self._sequences: dict[str, _Door] = {}
        self._ready: list[tuple[int, int, Place]] = []
        self._order = count()

    def put(self, place: Place) -> None:
        """Let a run wait."""
        door = self._jobs.setdefault(place.job, _Door())
        door.waiting.append(place)
        self._open_job(door)

    def drop(self, place: Place) -> None:
        """Forget a waiting run, wherever it waits."""
        for doors, key in ((self._jobs, place.job), (self._sequences, place.sequence)):
            door = doors.get(key) if key is not None else None
            if door is not None and place in door.waiting:
                door.waiting.remove(place)
                if doors is self._sequences:
                    self._leave_job(place)
                else:
                    # The one behind it may be of another cap.
                    self._open_job(door)
                return
        self._gone.add(place.run_id)
        if len(self._gone) > SLACK and 2 * len(self._gone) > len(self._ready):
            self._clear_away()
        self._leave(place)

    def _clear_away(self) -> None:
        """Let go of dropped runs that no free slot has brought to light."""
        self._ready = [row for row in self._ready if row[2].run_id not in self._gone]
        heapq.heapify(self._ready)
        self._gone.clear()

    def pop(self) -> str | None:
        """Take the run that starts next, with its slot; None when none may."""
        while self._ready and len(self._taken) < self._slots:
            place = heapq.heappop(self._ready)[2]
            if place.run_id in self._gone:
                self._gone.discard(place.run_id)
                continue
            self._taken[place.run_id] = place
            return place.run_id
        return None

    def release(self, run_id: str) -> None:
        """Give back the slot, the turn and the place of a run that ended."""
        self._leave(self._taken.pop(run_id))

    def _leave(self, place: Place) -> None:
        if place.sequence is not None:
            door = self._sequences[place.sequence]
            door.inside -= 1
            self._open_sequence(place.sequence, door)
        self._leave_job(place)

    def _leave_job(self, place: Place) -> None:
        door = self._jobs[place.job]
        door.inside -= 1
        self._open_job(door)
        if not door.inside and not door.waiting:
            del self._jobs[place.job]

    def _open_job(self, door: _Door) -> None:
        while door.waiting:
            place = door.waiting[0]
            if place.at_once is not None and door.inside >= place.at_once:
                return
            door.waiting.popleft()
            door.inside += 1
            if place.sequence is None:
                self._make_ready(place)
                continue
            turn = self._sequences.setdefault(place.sequence, _Door())
            turn.waiting.append(place)
            self._open_sequence(place.sequence, turn)

    def _open_sequence(self, name: str, door: _Door) -> None:
        if not door.inside and door.waiting:
            door.inside = 1
            self._make_ready(door.waiting.popleft())
        elif not door.inside:
            self._sequences.pop(name, None)

    def _make_ready(self, place: Place) -> None:
        entry = (-place.priority, next(self._order), place)
        heapq.heappush(self._ready, entry)
