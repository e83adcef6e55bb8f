"""The facade: what a program holds, and the only place that names concrete parts.

Nothing heavy is imported before `start()`: a script that names Scheduler is
executed again in the process of every run whose job it defines.

Imports: everything below, by name.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self, cast

from procsched.admission import check_job, check_schedule_config
from procsched.clock import SystemClock, local_zone
from procsched.core.messages import (
    Answer,
    Asked,
    CancelRequested,
    Command,
    PauseRequested,
    Question,
    Request,
    ResumeRequested,
    ScheduleRequested,
    ShutdownRequested,
    Stage,
    StopRequested,
    TriggerRequested,
)
from procsched.core.plan import Plan
from procsched.core.schedule import Schedule
from procsched.errors import ProcschedError, SchedulerError
from procsched.supervisor import Inbox
from procsched.workers.mainmodule import SchedulerReached, making_main
from procsched.workers.payload import Payload, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import FrameType, TracebackType

    from procsched.config.schedule import ScheduleConfig
    from procsched.config.settings import Settings
    from procsched.core.entry import JobRecord
    from procsched.core.moment import Moment
    from procsched.core.run import RunRecord
    from procsched.engine import Engine
    from procsched.job import Job

log = logging.getLogger(__name__)


class Scheduler:
    """Runs jobs on schedules, each run in a process of its own.

    Args:
        separate_thread: Run the timing loop in a thread of its own; `start()`
            then returns.  That thread changes nothing process-wide.
        settings: None for what ConfigLoader loaded, or would load.
        state_dir: Holds history, spools and run logs, and has one owner at a
            time.  None for the one the settings name, else a private directory
            that goes with this object.

    Raises:
        ConfigError: If no settings are given and the file is faulty.
    """

    def __init__(
        self,
        separate_thread: bool = False,  # noqa: FBT001, FBT002 - the public signature
        *,
        settings: Settings | None = None,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._inert = making_main()
        if self._inert:
            return
        if settings is None:
            from procsched.config.loader import ConfigLoader

            settings = ConfigLoader.settings()
        self._settings = settings
        self._in_thread = separate_thread
        self._state_dir = state_dir
        self._clock = SystemClock()
        self._zone = local_zone()
        self._payloads: dict[str, Payload] = {}
        self._sequences: dict[ScheduleConfig, str] = {}
        self._plan = Plan(
            run_prefix=_new_prefix(),
            slots=settings.max_parallel or _processors(),
            ends_when_idle=not separate_thread,
        )
        self._lock = threading.RLock()
        self._pending: list[Command] = []
        self._inbox: Inbox | None = None
        self._engine: Engine | None = None
        self._loop: int | None = None
        self._thread: threading.Thread | None = None
        self._said_continuous = False
        self._signals_seen = 0
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._fault: BaseException | None = None
        log.info("configuration: %s", settings.source)

    def schedule_job(
        self,
        job: Job,
        schedule_config: ScheduleConfig | None = None,
        run_continuous: bool | None = None,  # noqa: FBT001 - the public signature
    ) -> str:
        """Schedule a job; from any thread, before and after `start()`.

        Args:
            job: Its `name()` must be unique here.
            schedule_config: None for the configuration's schedule.
            run_continuous: For the whole scheduler: True repeats every job,
                False runs each once and then ends, None leaves it as it is.

        Returns:
            The job's identifier, which is its name.

        Raises:
            JobError: If it is no job, or cannot be sent to a child.
            DuplicateJobError: If its name is taken.
            SchedulerError: If the scheduler is shutting down or has ended.
        """
        if self._inert:
            return job.name()
        name = check_job(job)
        if run_continuous is not None and not isinstance(run_continuous, bool):
            raise SchedulerError(
                f"run_continuous={run_continuous!r} is neither true nor false",
                remedy="Pass True, False, or None to leave it as it is",
            )
        config = check_schedule_config(name, schedule_config)
        return self._schedule(name, pack(job), config, run_continuous, type(job).limits)

    def _schedule(
        self,
        name: str,
        payload: Payload,
        config: ScheduleConfig | None,
        run_continuous: bool | None,  # noqa: FBT001
        limits: Any = None,
    ) -> str:
        config = config or self._settings.schedule
        now = self._clock.now()
        code = f"{name}\0{secrets.token_hex(4)}"
        schedule = Schedule(
            job=name,
            trigger=config.trigger(now.wall, self._zone),
            policy=config.policy(limits),
            code=code,
            sequence=self._sequence_of(config),
            delay=config.delay(f"{name}@{socket.gethostname()}"),
        )
        self._payloads[code] = payload
        if run_continuous is None and not self._said_continuous:
            run_continuous = self._settings.run_continuous
        try:
            answer: str = self._ask(
                lambda at, ticket: ScheduleRequested(
                    at, ticket, schedule, run_continuous
                )
            )
        except ProcschedError:
            del self._payloads[code]
            raise
        self._said_continuous = True
        return answer

    def _sequence_of(self, config: ScheduleConfig) -> str | None:
        """Return the worker that the jobs of one sequential schedule share."""
        from procsched.constants import Sc

        if config.mode != Sc.SEQUENTIAL:
            return None
        with self._lock:
            return self._sequences.setdefault(
                config, f"sequence-{len(self._sequences) + 1}"
            )

    def schedule_declared(self) -> list[str]:
        """Schedule the jobs that the configuration declares.

        Returns:
            Their identifiers, in the order of the file.

        Raises:
            ConfigError: If any cannot be loaded; then none is scheduled.
        """
        from procsched.declared import payloads_of

        found = payloads_of(self._settings)
        return [
            self._schedule(name, payload, declared.schedule, None, limits)
            for name, payload, declared, limits in found
        ]

    def cancel_job(self, job_id: str, *, stop_run: bool = False) -> None:
        """Let a job fire no more; a run in progress is left alone.

        Args:
            stop_run: Stop its run in progress too.

        Raises:
            UnknownJobError: If there is no such job.
        """
        self._ask(lambda at, ticket: CancelRequested(at, ticket, job_id, stop_run))

    def pause(self, job_id: str) -> None:
        """Leave out a job's firings until it is resumed.

        Raises:
            UnknownJobError: If there is no such job.
        """
        self._ask(lambda at, ticket: PauseRequested(at, ticket, job_id))

    def resume(self, job_id: str) -> None:
        """Let a paused or suspended job fire again.

        Raises:
            UnknownJobError: If there is no such job.
        """
        self._ask(lambda at, ticket: ResumeRequested(at, ticket, job_id))

    def trigger(self, job_id: str) -> str:
        """Start a run of a job now; behind one in progress if they may not overlap.

        Returns:
            The run's id.

        Raises:
            UnknownJobError: If there is no such job.
        """
        return cast(
            "str",
            self._ask(lambda at, ticket: TriggerRequested(at, ticket, job_id)),
        )

    def stop_run(self, run_id: str) -> None:
        """Stop one run: the soft stop, the grace period, the kill.

        Raises:
            UnknownRunError: If no run with this id is going on.
        """
        by = f"process {os.getpid()}"
        self._ask(lambda at, ticket: StopRequested(at, ticket, run_id, by))

    def next_run_time(self, job_id: str | None = None) -> datetime | None:
        """Return when a job, or the earliest of all, starts next.

        Returns:
            Aware, in the host's zone; None while nothing will fire.

        Raises:
            SchedulerError: If the jobs do not repeat.
            UnknownJobError: If there is no such job.
        """
        found = self._ask(
            lambda at, ticket: Asked(at, ticket, Question.NEXT_RUN, job_id)
        )
        return None if found is None else found.astimezone(self._zone)

    def jobs(self) -> list[JobRecord]:
        """Return what is scheduled, in the order it was added."""
        return list(self._ask(lambda at, ticket: Asked(at, ticket, Question.JOBS)))

    def runs(self, job_id: str | None = None, limit: int = 100) -> list[RunRecord]:
        """Return records from the history, newest first.

        Args:
            job_id: None for all jobs.
            limit: At most so many, from 1.

        Raises:
            SchedulerError: If the limit is not a whole number from 1.
        """
        from procsched.store.history import read_runs

        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise SchedulerError(
                f"limit={limit!r} is not a whole number of at least 1",
                remedy="Pass how many records you want",
            )
        if self._engine is None:
            return []
        return read_runs(self._engine.history_path, job_id, limit)

    def start(self) -> None:
        """Start the timing loop.

        In main mode it blocks until all is done or shut down, and SIGINT and
        SIGTERM mean safe shutdown, a second one force, a third one the kill.  In
        thread mode it returns when the loop is ready.

        Raises:
            SchedulerError: If it was called before, or there is nothing to do.
            StateDirectoryError: If the state directory cannot be used.
        """
        if self._inert:
            raise SchedulerReached
        with self._lock:
            self._refuse_start()
            self._inbox = Inbox()
        if not self._in_thread:
            with self._signals():
                self._live()
            if self._fault is not None:
                raise self._fault
            return
        # Not joined by the interpreter's exit: the hook below ends it safely,
        # and a server that forgot us can still leave.
        self._thread = threading.Thread(
            target=self._live, name="procsched", daemon=True
        )
        self._thread.start()
        atexit.register(self._at_exit)
        self._ready.wait()
        if self._fault is not None:
            raise self._fault

    def _refuse_start(self) -> None:
        if self._inbox is not None:
            raise SchedulerError(
                "start() was called before on this Scheduler",
                remedy="Make a new Scheduler, or call wait() to wait for this one",
            )
        if self._ended.is_set():
            raise SchedulerError(
                "this Scheduler has been shut down", remedy="Make a new Scheduler"
            )
        if not self._in_thread and not self._payloads:
            raise SchedulerError(
                "no job is scheduled, so start() would block with nothing to do",
                remedy="Call schedule_job() first, or use "
                "Scheduler(separate_thread=True) to add jobs later",
            )

    def _live(self) -> None:
        """Be the loop, from its parts to their end."""
        assert self._inbox is not None  # noqa: S101 - start() made it
        self._loop = threading.get_ident()
        try:
            from procsched.engine import Engine

            self._engine = Engine(
                self._plan,
                settings=self._settings,
                state_dir=self._state_dir,
                payloads=self._payloads,
                clock=self._clock,
                inbox=self._inbox,
            )
            self._engine.run(self._pending, ready=self._ready)
        except BaseException as fault:
            self._fault = fault
            if self._ready.is_set() and self._in_thread:
                log.exception("the timing loop ended by an error of its own")
        finally:
            with self._lock:
                self._ended.set()
                self._inbox.close(_ended_error())
            self._ready.set()
            atexit.unregister(self._at_exit)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while the loop owns the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Leave an event for the loop; a handler does nothing else."""
        self._signals_seen += 1
        stage = Stage(min(self._signals_seen, Stage.KILL))
        if self._inbox is not None and not self._ended.is_set():
            name = signal.Signals(number).name
            self._inbox.put(ShutdownRequested(self._clock.now(), stage, name))

    def shutdown(
        self,
        force: bool = False,  # noqa: FBT001, FBT002 - the public signature
        timeout: float | None = None,
    ) -> bool:
        """End the scheduler; from any thread, as often as you like.

        Args:
            force: Stop every run now: soft stop, grace period, kill of its whole
                tree.  Otherwise everything due, queued or running is completed.
            timeout: Seconds to wait for the end; None for as long as it takes.

        Returns:
            Whether it has ended.
        """
        if self._inert:
            return True
        with self._lock:
            if self._inbox is None:
                self._ended.set()
            if not self._ended.is_set():
                stage = Stage.FORCED if force else Stage.SAFE
                by = "shutdown(force=True)" if force else "shutdown()"
                event = ShutdownRequested(self._clock.now(), stage, by)
                cast("Inbox", self._inbox).put(event)
        if self._loop == threading.get_ident():
            return self._ended.is_set()
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the scheduler has ended.

        Args:
            timeout: In seconds; None for as long as it takes.

        Returns:
            Whether it has ended.
        """
        if self._inert:
            return True
        ended = self._ended.wait(timeout)
        if ended and self._thread is not None and self._loop != threading.get_ident():
            self._thread.join(timeout)
        return ended

    def _at_exit(self) -> None:
        """Leave the program as a `with` block is left; Ctrl-C then forces."""
        try:
            self.shutdown()
        except KeyboardInterrupt:
            self.shutdown(force=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.shutdown(force=kind is not None)

    def _ask(self, request: Callable[[Moment, int], Request]) -> Any:
        """Return the plan's answer: asked directly, or through the loop.

        Raises:
            ProcschedError: The plan's own answer, if it is an error.
        """
        if self._inert:
            return None
        with self._lock:
            running = self._inbox is not None and not self._ended.is_set()
            if not running or self._loop == threading.get_ident():
                return self._ask_directly(request)
            now = self._clock.now()
            inbox = cast("Inbox", self._inbox)
            future = inbox.ask(lambda ticket: request(now, ticket))
        return future.result()

    def _ask_directly(self, request: Callable[[Moment, int], Request]) -> Any:
        """Ask the plan while no loop owns it; keep its commands for the loop."""
        event = request(self._clock.now(), 0)
        if self._ended.is_set() and not isinstance(event, Asked):
            raise _ended_error()
        answer = Answer(0)
        for command in self._plan.handle(event):
            if isinstance(command, Answer):
                answer = command
            else:
                self._pending.append(command)
        if answer.error is not None:
            raise answer.error
        return answer.value


def _ended_error() -> SchedulerError:
    return SchedulerError("this Scheduler has ended", remedy="Make a new Scheduler")


def _new_prefix() -> str:
    """Return what begins the ids of this scheduler's runs.

    Seconds since 2020 and two random letters in base 32: short enough to type,
    sorted by time, different for every scheduler.
    """
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    number = (int(time.time()) - 1_577_836_800) << 10 | secrets.randbits(10)
    digits = ""
    while number:
        number, digit = divmod(number, len(letters))
        digits = letters[digit] + digits
    return digits


def _processors() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
