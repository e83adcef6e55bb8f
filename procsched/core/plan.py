"""What is due, what follows from a death, when to stop: every decision.

Events that carry their own time go in, commands come out, and nothing else
happens.  The plan starts no process, reads no clock and writes nothing; given
the same events it decides the same, which is how a day is tested in
milliseconds and how a failure found once can be found again.

Imports: core, errors.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, assert_never

from procsched.core.agenda import Agenda
from procsched.core.budget import REMEDY, Capacity, beyond, in_words, reserved_bytes
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
    PressureSensed,
    Question,
    ReloadCode,
    ReloadRequested,
    Request,
    ResumeRequested,
    ScheduleRecalled,
    ScheduleRequested,
    ShutdownRequested,
    Stage,
    StopRequested,
    TriggerRequested,
    WorkerEnded,
    WorkerStarted,
)
from procsched.core.roster import Roster
from procsched.errors import (
    DuplicateJobError,
    JobError,
    ProcschedError,
    SchedulerError,
    UnknownJobError,
    listed,
    nearest,
)

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.moment import Moment
    from procsched.core.schedule import Schedule

STEP: Final = timedelta(seconds=2)
"""A wall clock this far from where the monotonic one puts it was set; below, it is
disciplined by slewing (adjtimex(2))."""

NAMES_TOLD: Final = 20
"""Jobs that the error about an unknown one lists."""

NAMES_COMPARED: Final = 1000
"""Jobs among which the nearest name is looked for: some 10 ms."""


class Plan:
    """All schedules and all live runs; turns events into commands.

    Args:
        run_prefix: Begins every run id; unique among the schedulers that
            share a history.
        slots: Runs at once, at least 1.
        memory_bytes: What runs may reserve together; None for no budget.
        senses_pressure: Whether runs of low priority wait while the host is under
            pressure, for which it asks with `SensePressure`.
        ends_when_idle: Finish when no schedule can fire again, even if jobs
            run continuously: nobody is left who could add one.
    """

    def __init__(
        self,
        *,
        run_prefix: str,
        slots: int,
        memory_bytes: int | None = None,
        senses_pressure: bool = False,
        ends_when_idle: bool = True,
    ) -> None:
        self._out: list[Command] = []
        self._capacity = Capacity(
            slots=slots, memory_bytes=memory_bytes, senses_pressure=senses_pressure
        )
        self._roster = Roster(self._out, prefix=run_prefix, capacity=self._capacity)
        self._agenda = Agenda(self._out, self._roster)
        self._ends_when_idle = ends_when_idle
        self._started = False
        self._last: Moment | None = None

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

    def tick(self, at: Moment) -> list[Command]:
        """Decide about everything that has come due by now."""
        now = self._newest(at)
        if self._started:
            self._agenda.expire(self._roster.expired(now), now)
            self._agenda.fire(now)
            self._roster.dispatch(now)
        return self._take(now)

    def handle(self, event: Event) -> list[Command]:
        """Decide what follows from an event."""
        if isinstance(event, ClockStepped) and event.suspended:
            self._last = event.at
            self._agenda.step(event)
        now = self._newest(event.at)
        if now is not event.at:
            event = replace(event, at=now)
        match event:
            case LoopStarted():
                self._started = True
                self._agenda.begin(now)
            case WorkerStarted():
                self._roster.started(event)
            case WorkerEnded():
                self._roster.ended(event)
            case PressureSensed():
                self._roster.sensed(event)
            case ShutdownRequested():
                self._shut_down(event)
            case ScheduleRecalled():
                self._agenda.recall(event)
            case ClockStepped():
                # A suspend has been seen to above, a step by comparing the clocks.
                pass
            case _:
                self._serve(event)
        return self._take(now)

    def _newest(self, at: Moment) -> Moment:
        """Return the newest instant known, and see to a step of the wall clock.

        What other threads report was often read before the loop's last reading,
        perhaps before the clock was set: time does not go back for it.  And every
        reading is compared with the last, whoever brings it, since a firing must
        not be decided by a clock that was set a moment ago.
        """
        last = self._last
        if last is not None and at.monotonic < last.monotonic:
            return last
        self._last = at
        if last is not None:
            passed = timedelta(seconds=at.monotonic - last.monotonic)
            shift = at.wall - last.wall - passed
            if abs(shift) >= STEP:
                self._agenda.step(ClockStepped(at, shift))
        return at

    def _take(self, at: Moment) -> list[Command]:
        for run in self._roster.take_departed():
            self._agenda.departed(run, at)
        taken = self._out.copy()
        self._out.clear()
        return taken

    def _shut_down(self, event: ShutdownRequested) -> None:
        # What is due at this very moment is still pending work.
        self._fire(event.at)
        if event.stage > self._agenda.stage:
            self._agenda.close(event)
            self._roster.close(event)

    def _fire(self, now: Moment) -> None:
        if self._started:
            self._agenda.fire(now)

    def _serve(self, request: Request) -> None:
        """Answer a request with its value or its error."""
        # What came due before it was asked is not touched by what is asked.
        self._fire(request.at)
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
                self._refuse_when_closing(f"pause '{request.job}'")
                self._agenda.holds.pause(self._entry(request.job), request.at)
            case ResumeRequested():
                self._refuse_when_closing(f"resume '{request.job}'")
                self._agenda.holds.resume(self._entry(request.job), request.at)
            case TriggerRequested():
                self._refuse_when_closing(f"run '{request.job}'")
                return self._agenda.run_now(self._entry(request.job), request.at)
            case StopRequested():
                self._roster.stop_by_hand(request)
            case ReloadRequested():
                self._out.append(ReloadCode())
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
        names = list(islice(known, NAMES_TOLD))
        # Telling near names apart takes a while, and every job waits for the loop.
        close = nearest(job, islice(known, NAMES_COMPARED))
        more = len(known) - len(names)
        scheduled = f"Scheduled are {listed(names)}"
        scheduled += f" and {more} more" if more else ""
        raise UnknownJobError(
            f"no job is scheduled under the name {job!r}",
            remedy=f"Did you mean '{close}'? {scheduled}" if close else scheduled,
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
        self._refuse_beyond_budget(request.schedule)
        if request.run_continuous is not None:
            self._agenda.set_continuous(request.run_continuous, request.at)
        self._agenda.add(request.schedule, request.at)
        return job

    def _refuse_beyond_budget(self, schedule: Schedule) -> None:
        asked = reserved_bytes(schedule.policy.limits)
        rule = beyond(asked, self._capacity.memory_bytes)
        if rule is not None:
            raise JobError(
                f"job {schedule.job!r}: its memory limit of {in_words(asked)} {rule}",
                remedy=REMEDY,
            )

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
        entry = None if job is None else self._entry(job)
        if not self._agenda.continuous:
            raise SchedulerError(
                "next_run_time needs jobs that repeat, and each runs once here",
                remedy="Pass run_continuous=True to schedule_job",
            )
        if entry is None:
            return self._agenda.next_start()
        return None if entry.held else entry.start_at

    def _describe(self, entry: Entry) -> JobRecord:
        job = entry.schedule.job
        waiting = self._roster.waiting(job)
        return JobRecord(
            job=job,
            schedule=_described(entry),
            next_run_time=None if entry.held else entry.start_at,
            paused=entry.paused,
            suspended=entry.suspended,
            running=tuple(id_ for id_ in self._roster.of(job) if id_ not in waiting),
            waiting=waiting,
            waiting_for=self._roster.waiting_for(job),
        )


def _described(entry: Entry) -> str:
    """Return a schedule in words, as it was added."""
    try:
        return entry.added.trigger.describe()
    except Exception as fault:  # noqa: BLE001 - a trigger's; whoever asks learns it
        return f"a trigger that raises {fault!r}"
