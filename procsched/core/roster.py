"""The live runs: from waiting to ended, and what is asked of each.

The roster knows no schedule's timing.  It is told which runs shall be, lets them
wait for slot and turn, orders their start, their stop and their kill, and turns
the report of each end into the record that stays.

Imports: core, errors.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from procsched.core.backlog import start_by
from procsched.core.budget import reserved_bytes
from procsched.core.ending import settled, trail_of, trail_of_end
from procsched.core.entry import LiveRun
from procsched.core.gate import Gate, Obstacle
from procsched.core.messages import (
    AbandonRun,
    Command,
    KillRun,
    RecordRun,
    ShutdownRequested,
    Stage,
    StartRun,
    StopRequested,
    StopRun,
    WorkerEnded,
    WorkerStarted,
    WriteTrail,
)
from procsched.core.outcome import Outcome
from procsched.core.policy import SupervisorLoss
from procsched.core.queue import Place, Queue
from procsched.core.run import Reason, RunRecord, RunState, Step, advance
from procsched.core.timers import (
    AnswerOverdue,
    ObstacleElapsed,
    PatienceElapsed,
    ProbeElapsed,
    RetryElapsed,
    Timers,
)
from procsched.errors import UnknownRunError

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.budget import Capacity
    from procsched.core.moment import Moment
    from procsched.core.schedule import Schedule

FORCED_GRACE_SECONDS: Final = 2.0
"""From the soft stop to the kill in a forced shutdown, if the job's own grace is
longer.  Whoever forces has waited enough; a `finally` still gets its moment."""

OVERDUE_SECONDS: Final = 10.0
"""Beyond its last deadline, until a keeper that says nothing is given up.

The kill itself takes milliseconds; a process in uninterruptible sleep may take
longer, and then its keeper still answers (ps(1), state D).
"""


class Roster:
    """Live runs by id.

    Args:
        out: Where commands go, in order.
        prefix: Begins every run id.
        capacity: What the host has for runs.
    """

    def __init__(self, out: list[Command], *, prefix: str, capacity: Capacity) -> None:
        self._out = out
        self._prefix = prefix
        self._numbers = count(1)
        self.timers = Timers()
        self._queue = Queue(capacity.slots, capacity.memory_bytes)
        senses = capacity.senses_pressure
        self._gate = Gate(self._queue, self.timers, out, senses_pressure=senses)
        self.sensed = self._gate.sensed
        self.live: dict[str, LiveRun] = {}
        self._of_job: dict[str, list[str]] = {}
        self._departed: list[LiveRun] = []

    @property
    def busy(self) -> bool:
        """Whether any run has not ended."""
        return bool(self.live)

    def next_timer(self) -> float | None:
        """Return the next monotonic deadline; None without any."""
        return self.timers.next()

    def expired(self, now: Moment) -> list[RetryElapsed | ProbeElapsed]:
        """Act on the alarms of live runs; return the others that have rung."""
        rest: list[RetryElapsed | ProbeElapsed] = []
        for alarm in self.timers.take(now.monotonic):
            match alarm:
                case AnswerOverdue():
                    self._out.append(AbandonRun(alarm.run.record.run_id))
                case PatienceElapsed():
                    self._kill(alarm.run, now, alarm.text)
                case ObstacleElapsed():
                    # The dispatch of this very tick looks again.
                    continue
                case _:
                    rest.append(alarm)
        return rest

    def new_id(self) -> str:
        """Return an id no run had before."""
        return f"{self._prefix}-{next(self._numbers)}"

    def admit(
        self,
        schedule: Schedule,
        nominal: datetime,
        why: Reason,
        now: Moment,
        *,
        attempt: int = 1,
    ) -> str:
        """Let a new run wait for its start; return its id."""
        run_id = self.new_id()
        record = RunRecord(
            run_id=run_id,
            job=schedule.job,
            nominal_time=nominal,
            attempt=attempt,
            trigger=why,
        )
        place = Place(
            run_id=run_id,
            job=schedule.job,
            at_once=schedule.policy.at_once,
            sequence=schedule.sequence,
            priority=schedule.policy.priority,
            memory_bytes=reserved_bytes(schedule.policy.limits),
        )
        late_at = start_by(schedule, nominal, why, now)
        self.live[run_id] = LiveRun(record, schedule, place, late_at)
        self._of_job.setdefault(schedule.job, []).append(run_id)
        self._out.append(RecordRun(record))
        self._queue.put(place)
        return run_id

    def of(self, job: str) -> tuple[str, ...]:
        """Return the ids of a job's live runs, oldest first."""
        return tuple(self._of_job.get(job, ()))

    def nominal_times(self, job: str) -> tuple[datetime, ...]:
        """Return the nominal times of a job's live runs."""
        return tuple(self.live[each].record.nominal_time for each in self.of(job))

    def going(self, job: str) -> bool:
        """Whether a job has a live run."""
        return job in self._of_job

    def take_departed(self) -> list[LiveRun]:
        """Return the runs that have ended since the last call."""
        taken = self._departed.copy()
        self._departed.clear()
        return taken

    def _depart(self, run: LiveRun) -> None:
        job, run_id = run.record.job, run.record.run_id
        self.timers.call_off(run.alarm)
        del self.live[run_id]
        self._of_job[job].remove(run_id)
        if not self._of_job[job]:
            del self._of_job[job]
        self._departed.append(run)

    def dispatch(self, now: Moment) -> None:
        """Order the start of every run that has a slot, a turn and a cause."""
        first = None
        while (place := self._gate.look(now)) is not None:
            first = self.live[place.run_id]
            if self._gate.obstacle is Obstacle.SLOT:
                break
            if first.start_by is not None and now.monotonic > first.start_by:
                self._queue.drop(place)
                deadline = first.schedule.policy.start_deadline
                text = f"not started within {deadline}"
                self._drop(first, now, Outcome.MISSED, text)
            elif self._gate.obstacle is not None:
                break
            else:
                self._queue.pop()
                self._start(first, now)
        self._gate.rest(None if first is None else first.start_by)
        for run_id, why in self._gate.newly_kept():
            status, facts = str(self._gate.obstacle), {"reason": why}
            self._say(self.live[run_id], "run.waiting", status, facts, now)

    def _start(self, run: LiveRun, now: Moment) -> None:
        flags = self._gate.waited(run.record.run_id, now)
        self._move(run, Step.DISPATCHED, started_at=now.wall, flags=flags)
        policy = run.schedule.policy
        limits = policy.limits
        wall = limits.seconds("wall")
        startup = limits.seconds("startup")
        if wall is not None and startup is not None:
            self._expect_end(run, now.monotonic + wall + startup + self._grace(run))
        self._out.append(
            StartRun(
                run_id=run.record.run_id,
                job=run.record.job,
                code=run.schedule.code,
                nominal_time=run.record.nominal_time,
                attempt=run.record.attempt,
                limits=limits,
                sequence=run.schedule.sequence,
                outlives=policy.on_supervisor_loss is SupervisorLoss.FINISH,
                recycle=run.schedule.policy.recycle,
            )
        )

    def started(self, event: WorkerStarted) -> None:
        """Note that a run reached `goal()`."""
        run = self.live.get(event.run_id)
        if run is None:
            return
        late = (event.at.wall - run.record.nominal_time).total_seconds()
        self._move(run, Step.STARTED, started_at=event.at.wall, pid=event.pid)
        self._say(
            run,
            "run.started",
            "started",
            {"attempt": run.record.attempt, "late_seconds": round(late, 3)},
            event.at,
        )

    def ended(self, event: WorkerEnded) -> None:
        """Judge a run by the report of its end."""
        run = self.live.get(event.run_id)
        if run is None:
            return
        report = event.report
        if run.asked_to_stop is not None and report.unseen:
            cause, text = run.asked_to_stop
            report = replace(report, cause=cause, cause_text=text)
        advance(event.run_id, run.record.state, Step.EXITED)
        run.record = settled(run.record, report, event.at.wall)
        self._out.append(RecordRun(run.record))
        self._depart(run)
        self._queue.release(event.run_id)
        self._say_end(run, event.at)

    def stop(
        self, run_id: str, now: Moment, text: str, *, patience: float = math.inf
    ) -> None:
        """Ask a run to stop, unless it has been asked; drop it if it waits.

        Args:
            patience: Most seconds from the soft stop to the kill, where the job
                itself would be given more.
        """
        run = self.live[run_id]
        if run.record.state is RunState.WAITING:
            self._queue.drop(run.place)
            self._drop(run, now, Outcome.CANCELLED, text)
            return
        if run.asked_to_stop is not None:
            self._hurry(run, now, text, patience)
            return
        cause, grace = Outcome.CANCELLED.value, min(self._grace(run), patience)
        run.asked_to_stop = (cause, text)
        self._move(run, Step.STOP_ASKED)
        run.kill_at = now.monotonic + grace
        self._expect_end(run, run.kill_at)
        self._out.append(StopRun(run_id, cause, text, grace))

    def _hurry(self, run: LiveRun, now: Moment, text: str, patience: float) -> None:
        """Let a run that was given longer to stop have no more than `patience`.

        Another soft stop would break into the `finally` that the first one began.
        """
        at = now.monotonic + patience
        if at < run.kill_at:
            run.kill_at = at
            self._set_alarm(run, at, PatienceElapsed(run, text))

    def stop_by_hand(self, request: StopRequested) -> None:
        """Stop a run by its id.

        Raises:
            UnknownRunError: If no live run has the id.
        """
        if request.run_id not in self.live:
            raise UnknownRunError(
                f"no run with the id {request.run_id!r} is going on",
                remedy="Look it up with runs(); a run that has ended needs no stop",
            )
        self.stop(request.run_id, request.at, f"stopped by {request.by}")

    def close(self, event: ShutdownRequested) -> None:
        """Hurry every run as much as the stage asks."""
        if event.stage is Stage.SAFE:
            return
        text = f"ended by a forced shutdown ({event.by})"
        for run_id in tuple(self.live):
            self.stop(run_id, event.at, text, patience=FORCED_GRACE_SECONDS)
        if event.stage is Stage.KILL:
            for run in tuple(self.live.values()):
                self._kill(run, event.at, text)

    def _kill(self, run: LiveRun, now: Moment, text: str) -> None:
        if run.record.state is RunState.KILLING:
            return
        self._move(run, Step.KILL_ASKED)
        run.kill_at = now.monotonic
        self._expect_end(run, run.kill_at)
        cause = Outcome.CANCELLED.value
        self._out.append(KillRun(run.record.run_id, cause, text))

    def waiting(self, job: str) -> tuple[str, ...]:
        """Return the ids of a job's runs that wait for their start."""
        return tuple(
            run_id
            for run_id in self.of(job)
            if self.live[run_id].record.state is RunState.WAITING
        )

    def waiting_for(self, job: str) -> tuple[str, ...]:
        """Return why each of them waits."""
        waiting = self.waiting(job)
        return tuple(self._gate.why(self.live[each].place) for each in waiting)

    def _grace(self, run: LiveRun) -> float:
        return run.schedule.policy.limits.seconds("grace") or 0.0

    def _expect_end(self, run: LiveRun, at_seconds: float) -> None:
        """Give the run's keeper up if it says nothing long after this time.

        A kill on top of a stop leaves it no longer than the stop did.
        """
        run.give_up_at = min(run.give_up_at, at_seconds + OVERDUE_SECONDS)
        self._set_alarm(run, run.give_up_at, AnswerOverdue(run))

    def _set_alarm(
        self, run: LiveRun, at_seconds: float, alarm: AnswerOverdue | PatienceElapsed
    ) -> None:
        """Set the one alarm of a run, in place of what was."""
        self.timers.call_off(run.alarm)
        run.alarm = self.timers.set(at_seconds, alarm)

    def _drop(self, run: LiveRun, now: Moment, outcome: Outcome, text: str) -> None:
        """End a run that never started."""
        self._move(
            run,
            Step.DROPPED,
            outcome=outcome,
            reason=text,
            ended_at=now.wall,
            flags=self._gate.waited(run.record.run_id, now),
        )
        self._depart(run)
        self._say_end(run, now)

    def _move(self, run: LiveRun, step: Step, **facts: Any) -> None:
        state = advance(run.record.run_id, run.record.state, step)
        run.record = replace(run.record, state=state, **facts)
        self._out.append(RecordRun(run.record))

    def _say_end(self, run: LiveRun, at: Moment) -> None:
        self._out.append(WriteTrail(trail_of_end(run.record, at.wall)))

    def _say(
        self, run: LiveRun, operation: str, status: str, facts: object, at: Moment
    ) -> None:
        line = trail_of(run.record, operation, status, facts, at.wall)
        self._out.append(WriteTrail(line))
