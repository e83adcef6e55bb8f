"""The life of one scheduler's loop: before it, in it, after it, and its end.

Any thread may ask at any time, and the plan belongs to one at a time: before the
loop runs and after it has ended the asker asks the plan itself, under a lock; in
between the question goes through the inbox.  A process forked from this one has
the object and no loop, and is told so.

Imports: core, clock, errors, supervisor.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

from procsched.core.messages import (
    Answer,
    Asked,
    CancelRequested,
    ShutdownRequested,
    Stage,
)
from procsched.errors import SchedulerError
from procsched.supervisor import Inbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from procsched.clock import Clock
    from procsched.core.messages import Command, Event, Request
    from procsched.core.moment import Moment
    from procsched.core.plan import Plan
    from procsched.engine import Engine

log = logging.getLogger(__name__)


class Life:
    """One loop, and those who talk to it.

    Args:
        plan: Owned from now on.
        in_thread: The loop gets a thread of its own.
    """

    def __init__(self, plan: Plan, *, clock: Clock, in_thread: bool) -> None:
        self._plan = plan
        self._clock = clock
        self._in_thread = in_thread
        self._lock = threading.RLock()
        # Held over a request and its answer, where two must not cross; the loop
        # takes the other one alone.
        self._turns = threading.RLock()
        self._pending: list[Command] = []
        self._inbox: Inbox | None = None
        self._home: int | None = None
        self._loop: int | None = None
        self._thread: threading.Thread | None = None
        self._stage = Stage.OPEN
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._fault: BaseException | None = None
        self._died = False
        self.engine: Engine | None = None
        self._recalled: Callable[[Engine], Iterable[Event]] = lambda _engine: ()

    @property
    def elsewhere(self) -> bool:
        """Whether this is a forked copy of a scheduler that another process runs."""
        return self._home is not None and self._home != os.getpid()

    def _refuse_elsewhere(self) -> None:
        if self.elsewhere:
            raise SchedulerError(
                f"this Scheduler was started by process {self._home}, and process "
                f"{os.getpid()} is a fork of it",
                remedy="Make a new Scheduler here, or speak to the one that runs "
                "from the process that started it",
            )

    @property
    def used(self) -> bool:
        """Whether it has begun, or ended without a beginning."""
        return self._inbox is not None or self._ended.is_set()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Let several requests of one caller go through without another's between.

        Raises:
            SchedulerError: As with `ask`.
        """
        self._refuse_elsewhere()
        if self._is_loop() and not self._ended.is_set():
            # Whoever has the turn waits for this very thread.
            raise _asked_in_loop()
        with self._turns:
            yield

    def ask(self, request: Callable[[Moment, int], Request]) -> Any:
        """Return the plan's answer: asked directly, or through the loop.

        Args:
            request: Makes the request of a moment and a ticket.

        Raises:
            ProcschedError: The plan's own answer, if it is an error.
            SchedulerError: If nobody can answer any more, or it was asked in the
                loop's own thread, which would wait for itself.
        """
        self._refuse_elsewhere()
        with self._lock:
            if self._inbox is None or self._ended.is_set():
                return self._ask_directly(request)
            if self._is_loop():
                raise _asked_in_loop()
            now, inbox = self._clock.now(), self._inbox
            future = inbox.ask(lambda ticket: request(now, ticket))
        return future.result()

    def _is_loop(self) -> bool:
        return self._loop == threading.get_ident()

    def _ask_directly(self, request: Callable[[Moment, int], Request]) -> Any:
        """Ask the plan while no loop owns it; keep its commands for the loop."""
        event = request(self._clock.now(), 0)
        # Cancelling asks for nothing that the end has not brought about.
        if self._ended.is_set() and not isinstance(event, Asked | CancelRequested):
            raise self._ended_error()
        answer = Answer(0)
        for command in self._plan.handle(event):
            if isinstance(command, Answer):
                answer = command
            else:
                self._pending.append(command)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def _ended_error(self) -> SchedulerError:
        error = SchedulerError(
            "this Scheduler has ended"
            + (f" by an error of its own: {self._fault!r}" if self._died else ""),
            remedy="Make a new Scheduler",
        )
        error.__cause__ = self._fault
        return error

    def begin(
        self,
        build: Callable[[Inbox], Engine],
        recalled: Callable[[Engine], Iterable[Event]],
    ) -> None:
        """Run the loop to its end, or until it is ready in a thread of its own.

        Args:
            build: Makes the loop's parts; called in the loop's thread.
            recalled: Tells what is known from before a restart.

        Raises:
            SchedulerError: If it was called before.
            Exception: Whatever the parts raise as they are made, and in main mode
                whatever ends the loop.
        """
        with self._lock:
            self._refuse_begin()
            self._inbox = Inbox()
            self._recalled = recalled
            self._home = os.getpid()
            if not self._in_thread:
                self._loop = threading.get_ident()
        on_main = threading.current_thread() is threading.main_thread()
        if self._in_thread or not on_main:
            # Behind the hooks of the parts' modules, all imported by now: it runs
            # before them, while the auditor still takes records.
            atexit.register(self._at_exit)
        if self._in_thread:
            self._begin_thread(build)
        elif on_main:
            with self._signals():
                self._live(build)
        else:
            self._live(build)
        if self._fault is not None and not self._died:
            raise self._fault

    def _refuse_begin(self) -> None:
        self._refuse_elsewhere()
        if self._inbox is not None:
            raise SchedulerError(
                "start() was called before on this Scheduler",
                remedy="Make a new Scheduler, or call wait() to wait for this one",
            )
        if self._ended.is_set():
            raise SchedulerError(
                "this Scheduler has been shut down", remedy="Make a new Scheduler"
            )

    def _begin_thread(self, build: Callable[[Inbox], Engine]) -> None:
        # Not joined by the interpreter's exit: the hook ends it safely, and a
        # server that forgot us can still leave.
        self._thread = threading.Thread(
            target=self._live, args=(build,), name="procsched", daemon=True
        )
        try:
            self._thread.start()
        except BaseException as fault:
            self._thread = None
            self._fault = fault
            self._end_life()
            raise
        self._ready.wait()

    def _live(self, build: Callable[[Inbox], Engine]) -> None:
        """Be the loop, from its parts to their end."""
        self._loop = threading.get_ident()
        try:
            # First the engine: a job scheduled from now on is recalled by whoever
            # schedules it, and one recalled twice is the same.
            self.engine = build(cast("Inbox", self._inbox))
            self._recall(self.engine)
            pending, self._pending = self._pending, []
            self.engine.run(pending, ready=self._ready)
        except BaseException as fault:
            self._fault = fault
            if self._in_thread and self._ready.is_set():
                # start() has returned: shutdown() and wait() raise it.
                self._died = True
                log.exception("the timing loop ended by an error of its own")
        finally:
            self._end_life()

    def _recall(self, engine: Engine) -> None:
        """Go on with the schedules of before a restart; only then are they told."""
        for event in self._recalled(engine):
            self._pending += self._plan.handle(event)

    def tell(self, events: Iterable[Event]) -> None:
        """Leave events for the loop."""
        for event in events:
            with self._lock:
                if not self._ended.is_set():
                    cast("Inbox", self._inbox).put(event)

    def _end_life(self) -> None:
        with self._lock:
            self._ended.set()
            cast("Inbox", self._inbox).close(self._ended_error())
        self._ready.set()
        atexit.unregister(self._at_exit)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while the loop owns the main thread."""
        before: dict[signal.Signals, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, self._on_signal)
            yield
        finally:
            for number, handler in before.items():
                # None: it was not set by Python and cannot be put back by it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Leave an event for the loop; a handler does nothing else.

        Each signal asks for more than what has been asked for: after shutdown()
        the first one forces.
        """
        if self._ended.is_set():
            return
        self._stage = Stage(min(self._stage + 1, Stage.KILL))
        event = ShutdownRequested(
            self._clock.now(), self._stage, signal.Signals(number).name
        )
        cast("Inbox", self._inbox).put(event)

    def end(self, stage: Stage, by: str) -> None:
        """Ask for the end; returns at once.

        Args:
            by: Who asks, for the record.

        Raises:
            SchedulerError: In a fork of the process that runs it.
        """
        self._refuse_elsewhere()
        with self._lock:
            if self._inbox is None:
                self._ended.set()
            if self._ended.is_set():
                return
            self._stage = max(self._stage, stage)
            event = ShutdownRequested(self._clock.now(), stage, by)
            cast("Inbox", self._inbox).put(event)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it has ended; in the loop's own thread, only look.

        Args:
            timeout: In seconds; None for as long as it takes.

        Returns:
            Whether it has ended.

        Raises:
            Exception: What ended the loop, if nobody has been told.
        """
        self._refuse_elsewhere()
        if not self._ended.wait(0 if self._is_loop() else timeout):
            return False
        if self._thread is not None and not self._is_loop():
            self._thread.join(timeout)
        if self._died and self._fault is not None:
            raise self._fault
        return True

    def _at_exit(self) -> None:
        """Leave the program as a `with` block is left; Ctrl-C then forces."""
        if self.elsewhere:
            return
        try:
            self.end(Stage.SAFE, "the end of the program")
            self._ended.wait()
        except KeyboardInterrupt:
            self.leave("Ctrl-C at the end of the program")

    def leave(self, by: str) -> None:
        """End it by force, whatever the loop has to say for itself."""
        self.end(Stage.FORCED, by)
        if not self._is_loop():
            self._ended.wait()


def _asked_in_loop() -> SchedulerError:
    return SchedulerError(
        "the timing loop's own thread cannot wait for the timing loop's answer",
        remedy="Call it from another thread; a signal handler or a logging handler "
        "can set an event that such a thread waits for",
    )
