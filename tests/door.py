"""Who may start now, told from outside: slots, memory, pressure, caps, turns.

Imports nothing of ours but the truth about schedules.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truth import Truth


@dataclass(slots=True)
class Door:
    """What a host lets in.

    Args:
        slots: Runs at once.
        budget: Bytes that they may reserve together; None for any sum.
        alive: Job and schedule of the runs that have a process; the checker's own.
        waiting: Likewise of those that wait for one.
        pressed: The host is under pressure, or nobody knows yet.
    """

    slots: int
    budget: int | None
    alive: dict[str, tuple[str, Truth]]
    waiting: dict[str, tuple[str, Truth]]
    pressed: bool = False

    def breaches(self, job: str, truth: Truth) -> Iterator[str]:
        """Yield why a run that starts now must not; it neither waits nor lives yet."""
        jobs, turns = self._inside()
        if len(self.alive) >= self.slots:
            yield "has no slot"
        if truth.memory > self._left():
            yield f"reserves more than the {self._left()} bytes that are left"
        if self.pressed and truth.priority < 0:
            yield "starts under pressure"
        if truth.at_once is not None and jobs[job] >= truth.at_once:
            yield "overlaps"
        if truth.sequence in turns:
            yield "is out of turn"
        for other, ahead in self._ready():
            # In a sequence the one before it may be of low priority.
            if ahead.priority > truth.priority and ahead.sequence is None:
                yield f"passes {other}"

    def idlers(self) -> Iterator[str]:
        """Yield who waits although it could go on."""
        if len(self.alive) >= self.slots:
            return
        ready, left = self._ready(), self._left()
        large = [truth.priority for _, truth in ready if truth.memory > left]
        low = self.pressed and any(truth.priority < 0 for _, truth in ready)
        for run_id, truth in ready:
            in_turn = truth.sequence is not None
            # Somebody before it does not fit, or is kept by the pressure.
            behind = any(each >= truth.priority or in_turn for each in large)
            kept = low and (truth.priority < 0 or in_turn)
            if not (behind or kept):
                yield run_id

    def _left(self) -> float:
        taken = sum(truth.memory for _, truth in self.alive.values())
        return inf if self.budget is None else self.budget - taken

    def _inside(self) -> tuple[Counter[str], set[str | None]]:
        jobs = Counter(job for job, _ in self.alive.values())
        return jobs, {truth.sequence for _, truth in self.alive.values()} - {None}

    def _ready(self) -> list[tuple[str, Truth]]:
        """Return who waits for nothing but the host, and perhaps a few more."""
        jobs, turns = self._inside()
        return [
            (run_id, truth)
            for run_id, (job, truth) in self.waiting.items()
            if (truth.at_once is None or jobs[job] < truth.at_once)
            and truth.sequence not in turns
        ]
