"""The one loop: decide, do, wait; again.

The plan decides and the hands do; this joins them and knows neither's parts.  It
sleeps in one wait until the next deadline or the next event, whichever comes
first, and never on a tick.

Imports: alarm, clock, core, errors, watch.  Must not import: workers, audit, store,
config.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, assert_never

from procsched.alarm import make_alarm
from procsched.core.messages import (
    AbandonRun,
    Answer,
    Command,
    Event,
    KillRun,
    LoopStarted,
    PressureSensed,
    RecordOrigin,
    RecordRun,
    ReloadCode,
    SensePressure,
    StartRun,
    StopRun,
    WorkerEnded,
    WorkerStarted,
    WriteTrail,
)
from procsched.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from procsched.clock import Clock
    from procsched.core.messages import Deadline, Request
    from procsched.core.plan import Plan
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Origin
    from procsched.core.trail import Trail


Deed = (
    StartRun
    | StopRun
    | KillRun
    | AbandonRun
    | SensePressure
    | ReloadCode
    | WriteTrail
    | Answer
    | RecordOrigin
)
"""What is done of a plan's commands, each in its turn."""


class Hands(Protocol):
    """What starts and ends runs."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when `read` has something."""

    @property
    def has_events(self) -> bool:
        """Whether `read` has something that no descriptor tells."""

    def start(self, run: StartRun) -> None:
        """Have a run started."""

    def stop(self, run_id: str, cause: str, text: str, grace_seconds: float) -> None:
        """Have a run climb the stop ladder."""

    def kill(self, run_id: str, cause: str, text: str) -> None:
        """Have a run's whole tree killed."""

    def abandon(self, run_id: str) -> None:
        """Give up a run whose keeper does not answer."""

    def reload(self) -> None:
        """Have runs from now on read their code anew."""

    def read(self) -> list[Event]:
        """Return what has happened since the last call."""

    def spool_of(self, run_id: str) -> Path:
        """Return where a run's audit records go."""


class Audit(Protocol):
    """What keeps the trail."""

    def record(self, trail: Trail) -> None:
        """Take a record in; returns at once."""

    def open_spool(self, run_id: str, job: str, path: str) -> None:
        """Read a run's spool from now on."""

    def close_spool(self, run_id: str) -> None:
        """Read a run's spool to its end, before anything recorded later."""


class History(Protocol):
    """What keeps the runs."""

    def write(self, record: RunRecord) -> None:
        """Keep what is known of a run, in place of what was."""

    def remember(self, job: str, origin: Origin | None) -> None:
        """Keep a schedule beyond a restart; forget the job's without an origin."""


class Gauge(Protocol):
    """What tells how hard the host is pressed."""

    def over(self) -> tuple[str, ...]:
        """Return the thresholds that are exceeded, each in words; at once."""


class Inbox:
    """Where other threads and signal handlers leave events for the loop.

    They put an event in and write one byte to the wake pipe, nothing else, which
    is why the plan needs no lock and a signal handler may do it.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._events: deque[Event] = deque()
        self._waiting: dict[int, Future[Any]] = {}
        self._tickets = count(1)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there is an event."""
        return self._read

    def put(self, event: Event) -> None:
        """Leave an event for the loop."""
        self._events.append(event)
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            # Full: the loop has plenty of reasons to wake up already.
            return

    def ask(self, request: Callable[[int], Request]) -> Future[Any]:
        """Leave a request for the loop; return what will hold its answer."""
        ticket = next(self._tickets)
        future: Future[Any] = Future()
        self._waiting[ticket] = future
        self.put(request(ticket))
        return future

    def answer(self, answer: Answer) -> None:
        """Give whoever asked the value or the error."""
        future = self._waiting.pop(answer.ticket, None)
        if future is None:
            return
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.value)

    def take(self) -> Iterable[Event]:
        """Return the events left since the last call."""
        with contextlib.suppress(BlockingIOError):
            # Fewer bytes than events is fine: the events are taken all.
            os.read(self._read, 65536)
        while self._events:
            yield self._events.popleft()

    def forked(self) -> None:
        """Let go of the pipe in a fork of this process."""
        os.close(self._read)
        os.close(self._write)

    def close(self, error: BaseException) -> None:
        """Fail every request that nobody will answer, and close the pipe."""
        for future in self._waiting.values():
            future.set_exception(error)
        self._waiting.clear()
        os.close(self._read)
        os.close(self._write)


class Supervisor:
    """Joins a plan with the world.

    Args:
        inbox: Events from other threads; the answers go back through it.
        gauge: None where the plan senses no pressure.
    """

    def __init__(  # noqa: PLR0913 - one for each part it joins
        self,
        plan: Plan,
        *,
        clock: Clock,
        hands: Hands,
        audit: Audit,
        history: History,
        inbox: Inbox,
        gauge: Gauge | None = None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._hands = hands
        self._audit = audit
        self._history = history
        self._inbox = inbox
        self._gauge = gauge
        self._watch = Watch(clock, inbox, hands, alarm=make_alarm())
        self._starting: dict[str, str] = {}
        self._open: set[str] = set()

    def run(self) -> None:
        """Decide, do, wait; until the plan is finished."""
        self.carry_out(self._plan.handle(LoopStarted(self._clock.now())))
        while not self._plan.finished:
            self.carry_out(self._plan.tick(self._clock.now()))
            for event in self._wait(self._plan.next_deadline()):
                self._heed(event)

    def _heed(self, event: Event) -> None:
        """Let the plan decide; what a run says stands between its start and end."""
        if isinstance(event, WorkerEnded):
            self._open_spool(event.run_id)
            if event.run_id in self._open:
                self._open.remove(event.run_id)
                self._audit.close_spool(event.run_id)
        self.carry_out(self._plan.handle(event))
        if isinstance(event, WorkerStarted):
            self._open_spool(event.run_id)

    def _open_spool(self, run_id: str) -> None:
        job = self._starting.pop(run_id, None)
        if job is not None:
            self._open.add(run_id)
            self._audit.open_spool(run_id, job, str(self._hands.spool_of(run_id)))

    def carry_out(self, commands: Iterable[Command]) -> None:
        """Do what the plan decided, in its order.

        Of words about one run that come together only the last is written, and
        always before what follows from it: a start, for that is the fence of at
        most one; an answer or a trail, for whoever hears it may look it up.
        """
        records: dict[str, RunRecord] = {}
        for command in commands:
            match command:
                case RecordRun(record):
                    records[record.run_id] = record
                    continue
                case StartRun(run_id) if run_id in records:
                    # Those of other runs can wait, and this one is due.
                    self._history.write(records.pop(run_id))
                case _:
                    self._write(records)
            self._do(command)
        self._write(records)

    def _write(self, records: dict[str, RunRecord]) -> None:
        for record in records.values():
            self._history.write(record)
        records.clear()

    def _do(self, command: Deed) -> None:
        match command:
            case StartRun():
                self._starting[command.run_id] = command.job
                self._hands.start(command)
            case StopRun(run_id, cause, text, grace_seconds):
                self._hands.stop(run_id, cause, text, grace_seconds)
            case KillRun(run_id, cause, text):
                self._hands.kill(run_id, cause, text)
            case AbandonRun(run_id):
                self._hands.abandon(run_id)
            case SensePressure():
                over = () if self._gauge is None else self._gauge.over()
                self._inbox.put(PressureSensed(self._clock.now(), over))
            case ReloadCode():
                self._hands.reload()
            case WriteTrail():
                self._audit.record(command.trail)
            case Answer():
                self._inbox.answer(command)
            case RecordOrigin(job, origin):
                self._history.remember(job, origin)
            case _:
                assert_never(command)

    def _wait(self, until: Deadline) -> Iterable[Event]:
        """Sleep until the deadline or an event; return what has happened."""
        if self._hands.has_events:
            until = replace(until, monotonic=self._clock.now().monotonic)
        yield from self._watch.wait(until)
        yield from self._hands.read()
        yield from self._inbox.take()

    def close(self) -> None:
        """Give back the watch."""
        self._watch.close()
