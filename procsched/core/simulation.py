"""What would happen: the plan itself, lived through with invented durations.

No second idea of scheduling is needed to look ahead: the plan decides, and this
only says when each run would have ended.

Imports: core.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeGuard

from procsched.core.messages import (
    Command,
    LoopStarted,
    RecordRun,
    ScheduleRequested,
    StartRun,
    WorkerEnded,
)
from procsched.core.moment import Moment
from procsched.core.plan import Plan
from procsched.core.run import RunState
from procsched.core.verdict import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime, timedelta

    from procsched.core.run import RunRecord
    from procsched.core.schedule import Schedule

FINE: Final = Report(verdict="returned", exit_code=0)
"""How every simulated run ends."""


@dataclass(slots=True)
class Peak:
    """The most runs at once, and since when."""

    runs: int = 0
    at: datetime | None = None


@dataclass(slots=True)
class Simulation:
    """What a simulated period came to.

    Attributes:
        records: Of every nominal time, in the order they ended; runs still going
            at the end are not among them.
        peak: Over all jobs.
        peaks: By job.
    """

    records: list[RunRecord] = field(default_factory=list)
    peak: Peak = field(default_factory=Peak)
    peaks: dict[str, Peak] = field(default_factory=dict)


class Simulator:
    """Lives through a period.

    Args:
        slots: Runs at once.
        lasts: How long a run of a job would take.
        memory_bytes: What runs may reserve together; None for no budget.
    """

    def __init__(
        self,
        slots: int,
        lasts: Callable[[str], timedelta],
        *,
        memory_bytes: int | None = None,
    ) -> None:
        self._plan = Plan(run_prefix="sim", slots=slots, memory_bytes=memory_bytes)
        self._lasts = lasts
        self._ends: list[tuple[datetime, str]] = []
        self._job_of: dict[str, str] = {}
        self._going: dict[str, int] = {}
        self._found = Simulation()

    def live(
        self, schedules: Sequence[Schedule], start: datetime, end: datetime
    ) -> Simulation:
        """Return what would happen from `start` to `end`, both aware."""
        began = Moment(start, 0.0)
        for schedule in schedules:
            asked = ScheduleRequested(began, 0, schedule, run_continuous=True)
            self._carry_out(self._plan.handle(asked), start)
        self._carry_out(self._plan.handle(LoopStarted(began)), start)
        while (at := self._next()) is not None and at <= end:
            now = Moment(at, (at - start).total_seconds())
            while self._ends and self._ends[0][0] <= at:
                run_id = heapq.heappop(self._ends)[1]
                self._going[self._job_of.pop(run_id)] -= 1
                event = WorkerEnded(now, run_id, FINE)
                self._carry_out(self._plan.handle(event), at)
            self._carry_out(self._plan.tick(now), at)
        return self._found

    def _next(self) -> datetime | None:
        due = self._plan.next_deadline().wall
        ends = self._ends[0][0] if self._ends else None
        return min(filter(None, (due, ends)), default=None)

    def _carry_out(self, commands: Iterable[Command], at: datetime) -> None:
        for command in commands:
            if isinstance(command, StartRun):
                self._start(command, at)
            elif _is_end(command):
                self._found.records.append(command.record)

    def _start(self, run: StartRun, at: datetime) -> None:
        heapq.heappush(self._ends, (at + self._lasts(run.job), run.run_id))
        self._job_of[run.run_id] = run.job
        going = self._going[run.job] = self._going.get(run.job, 0) + 1
        _raise(self._found.peaks.setdefault(run.job, Peak()), going, at)
        _raise(self._found.peak, len(self._ends), at)


def _is_end(command: Command) -> TypeGuard[RecordRun]:
    return isinstance(command, RecordRun) and command.record.state is RunState.ENDED


def _raise(peak: Peak, runs: int, at: datetime) -> None:
    if runs > peak.runs:
        peak.runs, peak.at = runs, at
