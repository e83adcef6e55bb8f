"""The live runs: from waiting to ended, and what is asked of each.

The roster knows no schedule's timing.  It is told which runs shall be, lets them
wait for slot and turn, orders their start, their stop and their kill, and turns
the report of each end into the record that stays.

Imports: core, errors.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from procsched.core.entry import LiveRun
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
from procsched.core.queue import Place, Queue
from procsched.core.run import Reason, RunRecord, RunState, Step, advance
from procsched.core.timers import Alarm, AnswerOverdue, Timers
from procsched.core.trail import Trail
from procsched.core.verdict import judge
from procsched.errors import UnknownRunError

if TYPE_CHECKING:
    from datetime import datetime

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
        slots: Runs at once.
    """

    def __init__(self, out: list[Command], *, prefix: str, slots: int) -> None:
        self._out = out
        self._prefix = prefix
        self._numbers = count(1)
        self._queue = Queue(slots)
        self.timers = Timers()
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

    def expired(self, now: Moment) -> list[Alarm]:
        """Act on overdue answers; return the other alarms that have rung."""
        rest: list[Alarm] = []
        for alarm in self.timers.take(now.monotonic):
            if not isinstance(alarm, AnswerOverdue):
                rest.append(alarm)
            elif alarm.run_id in self.live:
                self._out.append(AbandonRun(alarm.run_id))
        return rest

    def new_id(self) -> str:
        """Return an id no run had before."""
        return f"{self._prefix}-{next(self._numbers)}"

    def admit(
        self, schedule: Schedule, nominal: datetime, attempt: int, why: Reason
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
        )
        self.live[run_id] = LiveRun(record, schedule, place)
        self._of_job.setdefault(schedule.job, []).append(run_id)
        self._out.append(RecordRun(record))
        self._queue.put(place)
        return run_id

    def of(self, job: str) -> tuple[str, ...]:
        """Return the ids of a job's live runs, oldest first."""
        return tuple(self._of_job.get(job, ()))

    def take_departed(self) -> list[LiveRun]:
        """Return the runs that have ended since the last call."""
        taken = self._departed.copy()
        self._departed.clear()
        return taken

    def _depart(self, run: LiveRun) -> None:
        job, run_id = run.record.job, run.record.run_id
        del self.live[run_id]
        self._of_job[job].remove(run_id)
        if not self._of_job[job]:
            del self._of_job[job]
        self._departed.append(run)

    def dispatch(self, now: Moment) -> None:
        """Order the start of every run that has a slot, a turn and a cause."""
        while (run_id := self._queue.pop()) is not None:
            run = self.live[run_id]
            deadline = run.schedule.policy.start_deadline
            nominal = run.record.nominal_time
            if deadline is not None and now.wall - nominal > deadline:
                self._queue.release(run_id)
                text = f"not started within {deadline} of its nominal time"
                self._drop(run, now, Outcome.MISSED, text)
                continue
            self._start(run, now)

    def _start(self, run: LiveRun, now: Moment) -> None:
        self._move(run, Step.DISPATCHED, started_at=now.wall)
        limits = run.schedule.policy.limits
        wall = limits.seconds("wall")
        startup = limits.seconds("startup")
        if wall is not None and startup is not None:
            self._expect_end(run, now, wall + startup + self._grace(run))
        self._out.append(
            StartRun(
                run_id=run.record.run_id,
                job=run.record.job,
                code=run.schedule.code,
                nominal_time=run.record.nominal_time,
                attempt=run.record.attempt,
                limits=limits,
                sequence=run.schedule.sequence,
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
        self._depart(run)
        self._queue.release(event.run_id)
        report = event.report
        if run.asked_to_stop is not None and report.unseen:
            cause, text = run.asked_to_stop
            report = replace(report, cause=cause, cause_text=text)
        outcome, reason = judge(report)
        self._move(
            run,
            Step.EXITED,
            outcome=outcome,
            reason=reason,
            ended_at=event.at.wall,
            pid=report.pid if run.record.pid is None else run.record.pid,
            exit_code=report.exit_code,
            signal=report.signal,
            usage=report.usage,
            result=report.result,
            traceback=report.traceback,
            output_tail=report.output_tail,
            enforced_by=report.enforced_by,
            leftovers=report.leftovers,
            flags=report.flags,
        )
        self._say_end(run, event.at)

    def stop(self, run_id: str, now: Moment, text: str, grace: float = -1.0) -> None:
        """Ask a run to stop, unless it has been asked; drop it if it waits.

        Args:
            grace: Seconds from the soft stop to the kill; negative for the
                job's own.
        """
        run = self.live.get(run_id)
        if run is None or run.asked_to_stop is not None:
            return
        if run.record.state is RunState.WAITING:
            self._queue.drop(run.place)
            self._drop(run, now, Outcome.CANCELLED, text)
            return
        cause = Outcome.CANCELLED.value
        run.asked_to_stop = (cause, text)
        seconds = self._grace(run) if grace < 0 else min(grace, self._grace(run))
        self._move(run, Step.STOP_ASKED)
        self._expect_end(run, now, seconds)
        self._out.append(StopRun(run_id, cause, text, seconds))

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
            self.stop(run_id, event.at, text, FORCED_GRACE_SECONDS)
        if event.stage is Stage.KILL:
            for run in tuple(self.live.values()):
                self._kill(run, event.at, text)

    def _kill(self, run: LiveRun, now: Moment, text: str) -> None:
        if run.record.state is RunState.KILLING:
            return
        self._move(run, Step.KILL_ASKED)
        self._expect_end(run, now, 0.0)
        cause = Outcome.CANCELLED.value
        self._out.append(KillRun(run.record.run_id, cause, text))

    def waiting(self, job: str) -> tuple[str, ...]:
        """Return the ids of a job's runs that wait for their start."""
        return tuple(
            run_id
            for run_id in self.of(job)
            if self.live[run_id].record.state is RunState.WAITING
        )

    def _grace(self, run: LiveRun) -> float:
        return run.schedule.policy.limits.seconds("grace") or 0.0

    def _expect_end(self, run: LiveRun, now: Moment, seconds: float) -> None:
        at = now.monotonic + seconds + OVERDUE_SECONDS
        self.timers.set(at, AnswerOverdue(run.record.run_id))

    def _drop(self, run: LiveRun, now: Moment, outcome: Outcome, text: str) -> None:
        """End a run that never started."""
        self._depart(run)
        self._move(run, Step.DROPPED, outcome=outcome, reason=text, ended_at=now.wall)
        self._say_end(run, now)

    def _move(self, run: LiveRun, step: Step, **facts: Any) -> None:
        state = advance(run.record.run_id, run.record.state, step)
        run.record = replace(run.record, state=state, **facts)
        self._out.append(RecordRun(run.record))

    def _say_end(self, run: LiveRun, at: Moment) -> None:
        record = run.record
        assert record.outcome is not None  # noqa: S101 - it has just been judged
        facts: dict[str, object] = {"reason": record.reason}
        if record.usage is not None:
            facts["wall_seconds"] = round(record.usage.wall, 3)
        for name in ("exit_code", "signal", "leftovers", "result"):
            if getattr(record, name):
                facts[name] = getattr(record, name)
        operation = "run.ended" if record.outcome.ran else f"run.{record.outcome}"
        self._say(run, operation, record.outcome.value, facts, at)

    def _say(
        self, run: LiveRun, operation: str, status: str, facts: object, at: Moment
    ) -> None:
        record = run.record
        self._out.append(
            WriteTrail(
                Trail(
                    operation,
                    status,
                    facts,
                    time=at.wall,
                    job=record.job,
                    run_id=record.run_id,
                    pid=record.pid,
                )
            )
        )
