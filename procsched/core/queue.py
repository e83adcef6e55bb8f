"""Who starts next: slots and memory of the host, turns of a sequence, caps of a job.

A run waits at up to three doors, in this order: its job's cap (overlap), its
sequence's turn, the host.  Behind each door the order is kept; at the last one,
higher priority goes first.

The host lets a run in that finds a free slot and room for the memory it reserves.
While the first in line does not fit, nobody behind it goes past, however small:
else a stream of small runs would keep a large one waiting for ever.

Imports: core.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from math import inf
from typing import Final

SLACK: Final = 64
"""Dropped runs that are not worth clearing away."""


class Door(IntEnum):
    """What a run waits at."""

    JOB = 0
    SEQUENCE = 1
    HOST = 2


@dataclass(slots=True)
class Place:
    """What the queue needs to know of one waiting run.

    Args:
        memory_bytes: What it reserves while it has a slot.
        door: Where it waits, or has come through; kept by the queue.
    """

    run_id: str
    job: str
    at_once: int | None
    sequence: str | None
    priority: int
    memory_bytes: int = 0
    door: Door = Door.JOB


@dataclass(slots=True)
class _Door:
    """Runs let through, and runs waiting behind them."""

    inside: int = 0
    waiting: deque[Place] = field(default_factory=deque)


class Queue:
    """Waiting runs, and the slots they wait for.

    Args:
        slots: Runs at once on this host, at least 1.
        budget_bytes: What they may reserve together; None for any sum.
    """

    def __init__(self, slots: int, budget_bytes: int | None = None) -> None:
        self.slots = slots
        self.budget_bytes = budget_bytes
        self._newcomers: dict[str, Place] = {}
        self._reserved = 0
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
        self._newcomers.pop(place.run_id, None)
        self._gone.add(place.run_id)
        if len(self._gone) > SLACK and 2 * len(self._gone) > len(self._ready):
            self._clear_away()
        self._leave(place)

    def _clear_away(self) -> None:
        """Let go of dropped runs that no free slot has brought to light."""
        self._ready = [row for row in self._ready if row[2].run_id not in self._gone]
        heapq.heapify(self._ready)
        self._gone.clear()

    @property
    def full(self) -> bool:
        """Whether all slots are taken."""
        return len(self._taken) >= self.slots

    @property
    def left_bytes(self) -> float:
        """How much may still be reserved."""
        total = inf if self.budget_bytes is None else self.budget_bytes
        return total - self._reserved

    def first(self) -> Place | None:
        """Return who is first at the host's door; None when nobody is."""
        while self._ready:
            place = self._ready[0][2]
            if place.run_id not in self._gone:
                return place
            heapq.heappop(self._ready)
            self._gone.discard(place.run_id)
        return None

    def take_newcomers(self) -> list[Place]:
        """Return who has come to the host's door since the last call, and waits."""
        taken = list(self._newcomers.values())
        self._newcomers.clear()
        return taken

    def pop(self) -> str | None:
        """Take the run that starts next, with its slot; None when none may."""
        place = self.first()
        if place is None or self.full or place.memory_bytes > self.left_bytes:
            return None
        heapq.heappop(self._ready)
        self._newcomers.pop(place.run_id, None)
        self._taken[place.run_id] = place
        self._reserved += place.memory_bytes
        return place.run_id

    def release(self, run_id: str) -> None:
        """Give back the slot, memory, turn and place of a run that ended."""
        place = self._taken.pop(run_id)
        self._reserved -= place.memory_bytes
        self._leave(place)

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
            place.door = Door.SEQUENCE
            self._open_sequence(place.sequence, turn)

    def _open_sequence(self, name: str, door: _Door) -> None:
        if not door.inside and door.waiting:
            door.inside = 1
            self._make_ready(door.waiting.popleft())
        elif not door.inside:
            self._sequences.pop(name, None)

    def _make_ready(self, place: Place) -> None:
        place.door = Door.HOST
        self._newcomers[place.run_id] = place
        entry = (-place.priority, next(self._order), place)
        heapq.heappush(self._ready, entry)
