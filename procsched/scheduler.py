"""The facade: what a program holds, and the only place that names concrete parts.

Nothing heavy is imported before a Scheduler is made: a script that names it is
executed again in the process of every run whose job it defines, and there a
Scheduler is inert.

Imports: everything below, by name.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Self, cast

from procsched.admission import (
    check_id,
    check_job,
    check_limit,
    check_limits,
    check_run_continuous,
    check_run_id,
    check_schedule_config,
    check_settings,
    check_state_dir,
)
from procsched.errors import SchedulerError
from procsched.workers.mainmodule import SchedulerReached, making_main

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from procsched.config.schedule import ScheduleConfig
    from procsched.config.settings import Settings
    from procsched.core.entry import JobRecord
    from procsched.core.run import RunRecord
    from procsched.engine import Engine
    from procsched.job import Job
    from procsched.supervisor import Inbox

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
        SchedulerError: If an argument is of another kind.
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
        from procsched.clock import SystemClock, local_zone
        from procsched.core.plan import Plan
        from procsched.host import processors
        from procsched.life import Life
        from procsched.register import Register

        self._settings = check_settings(settings)
        self._state_dir = check_state_dir(state_dir)
        self._in_thread = separate_thread
        self._clock = SystemClock()
        self._zone = local_zone()
        self._plan = Plan(
            run_prefix=_new_prefix(),
            slots=self._settings.max_parallel or processors(),
            memory_bytes=self._settings.budget_bytes,
            senses_pressure=self._settings.pressure is not None,
            ends_when_idle=not separate_thread,
        )
        self._life = Life(self._plan, clock=self._clock, in_thread=separate_thread)
        self._register = Register(
            self._life, settings=self._settings, clock=self._clock, zone=self._zone
        )
        log.info("configuration: %s", self._settings.source)
        for warning in self._settings.warnings:
            log.warning("%s", warning)

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
            JobError: If it is no job, cannot be sent to a child, or its memory limit
                is more than the memory budget.
            DuplicateJobError: If its name is taken.
            ScheduleConfigError: If the schedule is none.
            SchedulerError: If the scheduler is shutting down or has ended.
        """
        if self._inert:
            return job.name()
        from procsched.workers.payload import pack

        name = check_job(job)
        continuous = check_run_continuous(run_continuous)
        config = check_schedule_config(name, schedule_config)
        limits = check_limits(job)
        return self._register.add(
            name, pack(job), config, limits, continuous=continuous
        )

    def schedule_declared(self) -> list[str]:
        """Schedule the jobs that the configuration declares.

        Returns:
            Their identifiers, in the order of the file.

        Raises:
            ConfigError: If any cannot be made, or its name is taken; then none
                is scheduled.
        """
        if self._inert:
            return []
        from procsched.declared import payloads_of

        with self._life.turn():
            taken = {each.job for each in self.jobs()}
            return [
                self._register.add(
                    each.name, each.payload, each.declaration.schedule, each.limits
                )
                for each in payloads_of(self._settings, taken)
            ]

    def cancel_job(self, job_id: str, *, stop_run: bool = False) -> None:
        """Let a job fire no more; a run in progress is left alone.

        Args:
            job_id: What `schedule_job` returned.
            stop_run: Stop its run in progress too.

        Raises:
            UnknownJobError: If there is no such job.
        """
        if self._inert:
            return
        self._register.remove(check_id(job_id), stop_run=stop_run)

    def pause(self, job_id: str) -> None:
        """Leave out a job's firings until it is resumed.

        Raises:
            UnknownJobError: If there is no such job.
        """
        if self._inert:
            return
        from procsched.core.messages import PauseRequested

        name = check_id(job_id)
        self._life.ask(lambda at, ticket: PauseRequested(at, ticket, name))

    def resume(self, job_id: str) -> None:
        """Let a paused or suspended job fire again.

        Raises:
            UnknownJobError: If there is no such job.
        """
        if self._inert:
            return
        from procsched.core.messages import ResumeRequested

        name = check_id(job_id)
        self._life.ask(lambda at, ticket: ResumeRequested(at, ticket, name))

    def trigger(self, job_id: str) -> str:
        """Start a run of a job now; behind one in progress if they may not overlap.

        Returns:
            The run's id.

        Raises:
            UnknownJobError: If there is no such job.
            SchedulerError: If the scheduler is shutting down or has ended.
        """
        if self._inert:
            return ""
        from procsched.core.messages import TriggerRequested

        name = check_id(job_id)
        return cast(
            "str",
            self._life.ask(lambda at, ticket: TriggerRequested(at, ticket, name)),
        )

    def stop_run(self, run_id: str) -> None:
        """Stop one run: the soft stop, the grace period, the kill.

        Raises:
            UnknownRunError: If no run with this id is going on.
        """
        if self._inert:
            return
        from procsched.core.messages import StopRequested

        name, by = check_run_id(run_id), f"process {os.getpid()}"
        self._life.ask(lambda at, ticket: StopRequested(at, ticket, name, by))

    def reload(self) -> None:
        """Let runs that start from now on have the jobs' code as it is now.

        The jobs' modules are imported once and shared by all runs; a run that goes
        on ends with the code it began with.  What a job object carries itself is
        as it was when it was scheduled.

        Raises:
            SchedulerError: If the scheduler has ended.
        """
        if self._inert:
            return
        from procsched.core.messages import ReloadRequested

        self._life.ask(ReloadRequested)

    def next_run_time(self, job_id: str | None = None) -> datetime | None:
        """Return when a job, or the earliest of all, starts next.

        Args:
            job_id: None for all jobs.

        Returns:
            Aware, in the host's zone; None while nothing will fire.

        Raises:
            SchedulerError: If the jobs do not repeat.
            UnknownJobError: If there is no such job.
        """
        from procsched.core.messages import Asked, Question

        if self._inert:
            from procsched.clock import SystemClock

            # A stand-in that a script can format; nobody starts anything here.
            return SystemClock().now().wall
        name = None if job_id is None else check_id(job_id)
        found = self._life.ask(
            lambda at, ticket: Asked(at, ticket, Question.NEXT_RUN, name)
        )
        return None if found is None else found.astimezone(self._zone)

    def jobs(self) -> list[JobRecord]:
        """Return what is scheduled, in the order it was added."""
        if self._inert:
            return []
        from procsched.core.messages import Asked, Question

        return list(self._life.ask(lambda at, ticket: Asked(at, ticket, Question.JOBS)))

    def runs(self, job_id: str | None = None, limit: int = 100) -> list[RunRecord]:
        """Return records from the history, newest first.

        Args:
            job_id: None for all jobs, those of earlier days included.
            limit: At most so many, from 1.

        Raises:
            SchedulerError: If the limit is not a whole number from 1.
            UnknownJobError: If the job id is no text.
        """
        name = None if job_id is None else check_id(job_id)
        most = check_limit(limit)
        engine = None if self._inert else self._life.engine
        return [] if engine is None else engine.runs(name, most)

    def start(self) -> None:
        """Start the timing loop.

        In main mode it blocks until all is done or shut down, and SIGINT and
        SIGTERM mean safe shutdown, a second one force, a third one the kill.  In
        thread mode it returns when the loop is ready.

        Raises:
            SchedulerError: If it was called before, there is nothing to do, or this
                host does not tell the pressure that the settings name.
            StateDirectoryError: If the state directory cannot be used.
            AuditError: If an audit agent of the settings cannot be made.
        """
        if self._inert:
            raise SchedulerReached
        from procsched.engine import Engine

        def build(inbox: Inbox) -> Engine:
            return Engine(
                self._plan,
                settings=self._settings,
                state_dir=self._state_dir,
                payloads=self._register.payloads,
                clock=self._clock,
                inbox=inbox,
            )

        if not (self._in_thread or self._register.payloads or self._life.used):
            raise SchedulerError(
                "no job is scheduled, so start() would block with nothing to do",
                remedy="Call schedule_job() first, or use "
                "Scheduler(separate_thread=True) to add jobs later",
            )
        self._life.begin(build, self._register.recalled)

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
                In the loop's own thread, as in a signal handler of main mode, it
                does not wait at all.

        Returns:
            Whether it has ended.

        Raises:
            Exception: What ended the loop of thread mode, if that was an error of
                its own; all its runs have been killed.
        """
        if self._inert:
            return True
        from procsched.core.messages import Stage

        if force:
            self._life.end(Stage.FORCED, "shutdown(force=True)")
        else:
            self._life.end(Stage.SAFE, "shutdown()")
        return self._life.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the scheduler has ended.

        Args:
            timeout: In seconds; None for as long as it takes.

        Returns:
            Whether it has ended.

        Raises:
            Exception: As with `shutdown`.
        """
        return self._inert or self._life.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Leave safely, or by force after an exception; a fork just leaves."""
        if self._inert or self._life.elsewhere:
            return
        if kind is None:
            self.shutdown()
        else:
            self._life.leave("an exception in the with block")


def _new_prefix() -> str:
    """Return what begins the ids of this scheduler's runs.

    Seconds since 2020 and four random letters in base 32: short enough to type,
    sorted by time, different for every scheduler.  Two letters were too few: of
    40 schedulers started in one second two would have shared their ids.
    """
    letters = "0123456789abcdefghjkmnpqrstvwxyz"
    chance = int.from_bytes(os.urandom(3), "big") >> 4
    number = (int(time.time()) - 1_577_836_800) << 20 | chance
    digits = ""
    while number:
        number, digit = divmod(number, len(letters))
        digits = letters[digit] + digits
    return digits
