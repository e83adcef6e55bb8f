"""A world on paper: it drives a plan through time, with runs that only seem to be.

What the loop and the hands do in earnest, this does with a fake clock: it wakes up
when the plan wants to, lets runs reach `goal()`, end, heed a stop or not, and
tells the plan of it.

Imports: core, fakes.
"""

from __future__ import annotations

import heapq
import math
import signal
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Final, assert_never

from procsched.core.messages import (
    AbandonRun,
    Answer,
    ClockStepped,
    Command,
    Event,
    KillRun,
    LoopStarted,
    PressureSensed,
    RecordOrigin,
    RecordRun,
    ReloadCode,
    Request,
    ScheduleRequested,
    SensePressure,
    ShutdownRequested,
    Stage,
    StartRun,
    StopRun,
    WorkerEnded,
    WorkerStarted,
    WriteTrail,
)
from procsched.core.outcome import Outcome
from procsched.core.plan import Plan
from procsched.core.verdict import Report
from procsched.testing.fakes import FakeClock, MemoryAudit, MemoryHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from procsched.core.moment import Moment
    from procsched.core.schedule import Schedule

FIRST_PID: Final = 4000
"""Process ids of simulated runs count from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """How a simulated run goes.

    Args:
        lasts: From the first line of `goal()` to the end.
        startup: From the order to start to the first line of `goal()`.
        report: What its keeper reports of an end that nobody asked for.
        reaches_goal: False for a run that ends before it.
        heeds_stop: False for a run that ends only by a kill.
        silent: Its keeper reports nothing until it is given up.
    """

    lasts: timedelta = timedelta(seconds=1)
    startup: timedelta = timedelta(0)
    report: Report = field(
        default_factory=lambda: Report(verdict="returned", exit_code=0)
    )
    reaches_goal: bool = True
    heeds_stop: bool = True
    silent: bool = False


@dataclass(slots=True, eq=False)
class _Process:
    """A simulated run that has a process."""

    start: StartRun
    fate: Fate
    pid: int
    ended: bool = False
    cause: tuple[str, str] | None = None


class PaperWorld:
    """Drives a plan through time, with runs that exist on paper only.

    Args:
        slots: Runs at once.
        fate: How the run of a start goes; None for one second and a success.
        clock: None for one that stands at noon.
        plan: More for `Plan`: memory_bytes, senses_pressure, ends_when_idle.
        watch: Told of each event before the plan, and of each command after it.

    Attributes:
        history: What was recorded of runs.
        audit: What was written to the trail.
        starts: The orders to start, in order.
        running: The runs that have a process, by id.
        pressure: The thresholds that are exceeded, each in words.
        log: Seconds passed, "start", "stop", "kill" or "abandon", and the job.
    """

    def __init__(
        self,
        *,
        slots: int = 4,
        fate: Callable[[StartRun], Fate] | None = None,
        clock: FakeClock | None = None,
        watch: Callable[[Moment, Event | Command], None] | None = None,
        **plan: Any,
    ) -> None:
        self.plan = Plan(run_prefix="p", slots=slots, **plan)
        self.clock = clock or FakeClock()
        self.history = MemoryHistory()
        self.audit = MemoryAudit()
        self.starts: list[StartRun] = []
        self.running: dict[str, _Process] = {}
        self.pressure: tuple[str, ...] = ()
        self.log: list[tuple[float, str, str]] = []
        self._fate = fate or (lambda _start: Fate())
        self._watch = watch or (lambda _at, _what: None)
        self._answers: dict[int, Answer] = {}
        self._tickets = count(1)
        self._pids = count(FIRST_PID)
        self._order = count()
        self._ahead: list[tuple[timedelta, int, Callable[[], None]]] = []
        self._news: deque[Event] = deque()

    @property
    def now(self) -> datetime:
        """What the wall clock shows."""
        return self.clock.now().wall

    def tell(self, event: Event) -> None:
        """Hand the plan an event, and carry out what follows."""
        at = event.at
        self._watch(at, event)
        self._carry_out(at, self.plan.handle(event))

    def tick(self) -> None:
        """Let the plan decide about what has come due."""
        at = self.clock.now()
        self._carry_out(at, self.plan.tick(at))

    def ask(self, kind: Callable[..., Request], *args: Any) -> Any:
        """Make a request; return its answer.

        Args:
            kind: The request's class.
            args: What follows moment and ticket.

        Raises:
            ProcschedError: If that is the answer.
        """
        ticket = next(self._tickets)
        self.tell(kind(self.clock.now(), ticket, *args))
        self.tick()
        answer = self._answers.pop(ticket)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def schedule(
        self,
        schedule: Schedule,
        run_continuous: bool | None = True,  # noqa: FBT001, FBT002 - as in Scheduler
    ) -> str:
        """Schedule a job; return its name."""
        name: str = self.ask(ScheduleRequested, schedule, run_continuous)
        return name

    def begin(self) -> None:
        """Start the loop."""
        self.tell(LoopStarted(self.clock.now()))
        self.tick()

    def shut_down(self, stage: Stage = Stage.SAFE, by: str = "test") -> None:
        """Ask for the end."""
        self.tell(ShutdownRequested(self.clock.now(), stage, by))
        self.tick()

    def set_wall(self, to: datetime) -> None:
        """Set the wall clock, and let the loop notice."""
        shift = self.clock.set_wall(to)
        self.tell(ClockStepped(self.clock.now(), shift))
        self.tick()

    def suspend(self, length: timedelta) -> None:
        """Let the host sleep: the monotonic clock stands still (clock_gettime(2))."""
        self.clock.set_wall(self.now + length)
        self.tell(ClockStepped(self.clock.now(), length, suspended=True))
        self.tick()

    def live(self, length: timedelta) -> None:
        """Let time pass, and wake up whenever there is something to do."""
        end = self.clock.elapsed + length
        while (at := self._next()) is not None and at <= end:
            self._pass(at)
            self._turn()
        self._pass(end)

    def live_until_finished(self, at_most: timedelta = timedelta(days=1)) -> bool:
        """Let time pass until the plan is finished; return whether it is."""
        end = self.clock.elapsed + at_most
        while not self.plan.finished and (at := self._next()) is not None and at <= end:
            self._pass(at)
            self._turn()
        return self.plan.finished

    def doze(self, length: timedelta) -> None:
        """Let time pass while the loop is kept from running, and leave it so."""
        self._pass(self.clock.elapsed + length)

    def oversleep(self, length: timedelta) -> None:
        """Let time pass while the loop is kept from running; then let it run."""
        self.doze(length)
        self._turn()

    def _next(self) -> timedelta | None:
        """Return when something happens next, in elapsed time."""
        if self._news:
            return self.clock.elapsed
        now, until = self.clock.now(), self.plan.next_deadline()
        waits = [self._ahead[0][0] - self.clock.elapsed] if self._ahead else []
        if until.monotonic is not None:
            waits.append(_ceiling(until.monotonic - now.monotonic))
        if until.wall is not None:
            waits.append(until.wall - now.wall)
        wait = min(waits, default=None)
        return None if wait is None else self.clock.elapsed + max(wait, timedelta(0))

    def _pass(self, until: timedelta) -> None:
        """Let time pass; what happens is news, told when the loop wakes up."""
        while self._ahead and self._ahead[0][0] <= until:
            at, _, happen = heapq.heappop(self._ahead)
            self.clock.advance(at - self.clock.elapsed)
            happen()
        self.clock.advance(until - self.clock.elapsed)

    def _turn(self) -> None:
        while self._news:
            self.tell(self._news.popleft())
        self.tick()

    def _carry_out(  # noqa: C901 - a row for each command
        self, at: Moment, commands: Iterable[Command]
    ) -> None:
        for command in commands:
            self._watch(at, command)
            match command:
                case RecordRun():
                    self.history.write(command.record)
                case StartRun():
                    self._start(command)
                case StopRun():
                    self._stop(command)
                case KillRun():
                    self._kill(command.run_id, (command.cause, command.text))
                case AbandonRun():
                    self._abandon(command.run_id)
                case SensePressure():
                    self._news.append(PressureSensed(at, self.pressure))
                case ReloadCode():
                    continue  # On paper there is no code.
                case WriteTrail():
                    self.audit.record(command.trail)
                case RecordOrigin():
                    self.history.remember(command.job, command.origin)
                case Answer():
                    self._answers[command.ticket] = command
                case _:
                    assert_never(command)

    def _note(self, what: str, run_id: str) -> None:
        seconds = self.clock.elapsed.total_seconds()
        self.log.append((seconds, what, self.history.records[run_id].job))

    def _after(self, wait: timedelta, happen: Callable[[], None]) -> None:
        row = (self.clock.elapsed + wait, next(self._order), happen)
        heapq.heappush(self._ahead, row)

    def _start(self, start: StartRun) -> None:
        self._note("start", start.run_id)
        self.starts.append(start)
        process = _Process(start, self._fate(start), next(self._pids))
        self.running[start.run_id] = process
        self._after(process.fate.startup, lambda: self._reach_goal(process))

    def _reach_goal(self, process: _Process) -> None:
        fate, start = process.fate, process.start
        if process.ended:
            return
        if not fate.reaches_goal:
            self._end(process, fate.report)
            return
        at = self.clock.now()
        self._news.append(WorkerStarted(at, start.run_id, process.pid))
        self._after(fate.lasts, lambda: self._end(process, fate.report))
        wall = start.limits.seconds("wall")
        if wall is not None and not fate.silent:
            cause = (Outcome.TIMED_OUT.value, f"over its time limit of {wall:g} s")
            grace = start.limits.seconds("grace") or 0.0
            limit = timedelta(seconds=wall)
            self._after(limit, lambda: self._ask_to_stop(process, cause, grace))

    def _stop(self, order: StopRun) -> None:
        self._note("stop", order.run_id)
        process = self.running.get(order.run_id)
        if process is not None:
            # Else its end is news that the plan has not heard.
            cause = (order.cause, order.text)
            self._ask_to_stop(process, cause, order.grace_seconds)

    def _ask_to_stop(
        self, process: _Process, cause: tuple[str, str], grace_seconds: float
    ) -> None:
        """Do what a keeper does: the soft stop, and the kill when it was in vain."""
        process.cause = process.cause or cause
        wait = 0.0 if process.fate.heeds_stop else grace_seconds
        died = Report(signal=signal.SIGTERM)
        if not process.fate.silent:
            self._after(timedelta(seconds=wait), lambda: self._end(process, died))

    def _kill(self, run_id: str, cause: tuple[str, str]) -> None:
        self._note("kill", run_id)
        process = self.running.get(run_id)
        if process is not None and not process.fate.silent:
            process.cause = process.cause or cause
            died = Report(signal=signal.SIGKILL)
            self._after(timedelta(0), lambda: self._end(process, died))

    def _abandon(self, run_id: str) -> None:
        self._note("abandon", run_id)
        process = self.running.get(run_id)
        if process is not None:
            process.cause = None
            self._end(process, Report())

    def _end(self, process: _Process, report: Report) -> None:
        """Report an end, once."""
        if process.ended:
            return
        process.ended = True
        run_id = process.start.run_id
        del self.running[run_id]
        if process.cause is not None:
            cause, text = process.cause
            report = replace(report, cause=cause, cause_text=text)
        pid = None if report.verdict == "start_failed" else process.pid
        end = WorkerEnded(self.clock.now(), run_id, replace(report, pid=pid))
        self._news.append(end)


def _ceiling(seconds: float) -> timedelta:
    """Return a wait that is over when the seconds are, in whole microseconds."""
    if seconds <= 0:
        return timedelta(0)
    # A float of many seconds is off by less than a hundredth of a microsecond.
    return timedelta(microseconds=max(1, math.ceil(seconds * 1e6 - 0.01)))
