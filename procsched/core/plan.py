"""What is due, what follows from a death, when to stop: every decision.

Events that carry their own time go in, commands come out, and nothing else
happens.  The plan starts no process, reads no clock and writes nothing; given
the same events it decides the same, which is how a day is tested in
milliseconds and how a failure found once can be found again.

Imports: core, errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from procsched.core.agenda import Agenda
from procsched.core.entry import Entry, JobRecord
from procsched.core.messages import (
    Answer,
    Asked,
    CancelRequested,
    ClockStepped,
    Command,
    Deadline,
    Event,
    LoopStarted,
    PauseRequested,
    Question,
    Request,
    ResumeRequested,
    ScheduleRequested,
    ShutdownRequested,
    Stage,
    StopRequested,
    TriggerRequested,
    WorkerEnded,
    WorkerStarted,
)
from procsched.core.roster import Roster
from procsched.core.run import Reason
from procsched.errors import (
    DuplicateJobError,
    ProcschedError,
    SchedulerError,
    UnknownJobError,
    listed,
    nearest,
)

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.moment import Moment


class Plan:
    """All schedules and all live runs; turns events into commands.

    Args:
        run_prefix: Begins every run id; unique among the schedulers that
            share a history.
        slots: Runs at once, at least 1.
        ends_when_idle: Finish when no schedule can fire again, even if jobs
            run continuously: nobody is left who could add one.
    """

    def __init__(
        self, *, run_prefix: str, slots: int, ends_when_idle: bool = True
    ) -> None:
        self._out: list[Command] = []
        self._roster = Roster(self._out, prefix=run_prefix, slots=slots)
        self._agenda = Agenda(self._out, self._roster)
        self._ends_when_idle = ends_when_idle
        self._started = False

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to decide, ever."""
        if self._roster.busy or not self._started:
            return False
        if self._agenda.stage is not Stage.OPEN:
            return True
        return self._agenda.exhausted and (
            self._ends_when_idle or not self._agenda.continuous
        )

    def next_deadline(self) -> Deadline:
        """Return when the plan wants to be asked again."""
        if not self._started:
            return Deadline(None, None)
        return Deadline(self._agenda.next_start(), self._roster.next_timer())

    def tick(self, now: Moment) -> list[Command]:
        """Decide about everything that has come due by now."""
        if self._started:
            self._agenda.expire(self._roster.expired(now), now)
            self._agenda.fire(now)
            self._roster.dispatch(now)
        return self._take(now)

    def handle(self, event: Event) -> list[Command]:
        """Decide what follows from an event."""
        match event:
            case LoopStarted():
                self._started = True
                self._agenda.begin(event.at)
            case WorkerStarted():
                self._roster.started(event)
            case WorkerEnded():
                self._roster.ended(event)
            case ShutdownRequested():
                self._shut_down(event)
            case ClockStepped():
                self._agenda.step(event)
            case _:
                self._serve(event)
        return self._take(event.at)

    def _take(self, at: Moment) -> list[Command]:
        for run in self._roster.take_departed():
            self._agenda.departed(run, at)
        taken = self._out.copy()
        self._out.clear()
        return taken

    def _shut_down(self, event: ShutdownRequested) -> None:
        # What is due at this very moment is still pending work.
        if self._started and self._agenda.stage is Stage.OPEN:
            self._agenda.fire(event.at)
        if event.stage > self._agenda.stage:
            self._agenda.close(event)
            self._roster.close(event)

    def _serve(self, request: Request) -> None:
        """Answer a request with its value or its error."""
        try:
            value = self._answer(request)
        except ProcschedError as error:
            self._out.append(Answer(request.ticket, error=error))
        else:
            self._out.append(Answer(request.ticket, value))

    def _answer(self, request: Request) -> object:
        match request:
            case ScheduleRequested():
                return self._schedule(request)
            case CancelRequested():
                self._cancel(request)
            case PauseRequested():
                self._agenda.pause(self._entry(request.job), request.at)
            case ResumeRequested():
                self._agenda.resume(self._entry(request.job), request.at)
            case TriggerRequested():
                self._refuse_when_closing(f"run '{request.job}'")
                entry = self._entry(request.job)
                return self._agenda.admit(
                    entry, request.at.wall, request.at, Reason.MANUAL
                )
            case StopRequested():
                self._roster.stop_by_hand(request)
            case Asked():
                return self._tell(request)
            case _:
                assert_never(request)
        return None

    def _entry(self, job: str) -> Entry:
        entry = self._agenda.entries.get(job)
        if entry is not None:
            return entry
        known = self._agenda.entries
        close = nearest(job, known)
        raise UnknownJobError(
            f"no job is scheduled under the name {job!r}",
            remedy=f"Did you mean '{close}'? Scheduled are {listed(known)}"
            if close
            else f"Scheduled are {listed(known)}",
        )

    def _refuse_when_closing(self, what: str) -> None:
        if self._agenda.stage is not Stage.OPEN:
            raise SchedulerError(
                f"cannot {what}: the scheduler is shutting down",
                remedy="Start a new Scheduler",
            )

    def _schedule(self, request: ScheduleRequested) -> str:
        job = request.schedule.job
        self._refuse_when_closing(f"schedule '{job}'")
        if job in self._agenda.entries:
            raise DuplicateJobError(
                f"a job named {job!r} is already scheduled",
                remedy="Give this one another name(), or cancel_job the first",
            )
        if request.run_continuous is not None:
            self._agenda.set_continuous(request.run_continuous, request.at)
        self._agenda.add(request.schedule, request.at)
        return job

    def _cancel(self, request: CancelRequested) -> None:
        entry = self._entry(request.job)
        self._agenda.remove(entry, request.at)
        runs = self._roster.of if request.stop_run else self._roster.waiting
        for run_id in runs(request.job):
            self._roster.stop(run_id, request.at, "cancelled by cancel_job")

    def _tell(self, asked: Asked) -> object:
        match asked.question:
            case Question.NEXT_RUN:
                return self._next_run(asked.job)
            case Question.JOBS:
                return tuple(map(self._describe, self._agenda.entries.values()))
            case _:
                assert_never(asked.question)

    def _next_run(self, job: str | None) -> datetime | None:
        entries = self._agenda.entries.values() if job is None else [self._entry(job)]
        if not self._agenda.continuous:
            raise SchedulerError(
                "next_run_time needs jobs that repeat, and each runs once here",
                remedy="Pass run_continuous=True to schedule_job",
            )
        times = [each.start_at for each in entries if each.start_at and not each.held]
        return min(times, default=None)

    def _describe(self, entry: Entry) -> JobRecord:
        job = entry.schedule.job
        waiting = self._roster.waiting(job)
        return JobRecord(
            job=job,
            schedule=entry.schedule.trigger.describe(),
            next_run_time=None if entry.held else entry.start_at,
            paused=entry.paused,
            suspended=entry.suspended,
            running=tuple(id_ for id_ in self._roster.of(job) if id_ not in waiting),
            waiting=waiting,
        )
