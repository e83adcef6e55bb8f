"""Whether something may be scheduled or asked, said while somebody is looking.

What is checked here cannot surprise the timing loop, where an argument of the
wrong kind would be everybody's problem.

Imports: errors, job; core and config on first use.
"""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Final

from procsched.errors import (
    JobError,
    ScheduleConfigError,
    SchedulerError,
    UnknownJobError,
    UnknownRunError,
)
from procsched.job import Job

if TYPE_CHECKING:
    from procsched.config.schedule import ScheduleConfig
    from procsched.config.settings import Settings
    from procsched.core.policy import Limits

NAME_LIMIT: Final = 200
"""Characters of a job's name: it stands in every line of the trail."""

ROWS_LIMIT: Final = 2**63 - 1
"""Rows one may ask for: SQLite counts no further (sqlite.org/datatype3.html)."""


def check_job(job: object) -> str:
    """Return the job's name.

    Raises:
        JobError: If it is no Job, has no goal that can be run, limits that are
            none, or no usable name.
    """
    if isinstance(job, type):
        raise JobError(
            f"{job.__name__} is a class, and a job is one of its instances",
            remedy=f"Pass job={job.__name__}()",
        )
    if not isinstance(job, Job):
        raise JobError(
            f"{_shown(job)} is no procsched.Job",
            remedy="Derive its class from procsched.Job and write name() and goal()",
        )
    kind = type(job).__name__
    _check_goal(job, kind)
    check_limits(job)
    return check_name(_name_of(job), kind)


def _check_goal(job: Job, kind: str) -> None:
    goal = job.goal
    if getattr(goal, "__func__", None) is Job.goal or not callable(goal):
        raise JobError(
            f"job class {kind} has no goal",
            remedy=f"Write `def goal(self):` in {kind}; it runs in a process of its "
            "own",
        )
    if inspect.iscoroutinefunction(goal) or inspect.isasyncgenfunction(goal):
        raise JobError(
            f"{kind}.goal() is asynchronous, and calling it would run nothing",
            remedy="Write `def goal(self): return asyncio.run(self.work())`",
        )
    if inspect.isgeneratorfunction(goal):
        raise JobError(
            f"{kind}.goal() holds a `yield`, and calling it would run nothing",
            remedy="Let goal() do the work and return a result, without `yield`",
        )
    try:
        inspect.signature(goal).bind()
    except TypeError as fault:
        raise JobError(
            f"{kind}.goal() cannot be called without arguments: {fault}",
            remedy="Write `def goal(self):` and keep what it needs in the job itself",
        ) from None
    except ValueError:
        # A callable of C without a signature: the run will tell.
        return


def _name_of(job: Job) -> object:
    try:
        return job.name()
    except Exception as fault:
        kind = type(job).__name__
        raise JobError(
            f"{kind}.name() raised {type(fault).__name__}: {fault}",
            remedy="Return the job's name, a text that is the same every time",
        ) from fault


def check_name(name: object, kind: str) -> str:
    """Return a job's name if it can be one.

    Args:
        kind: Whose name it is, for the message.

    Raises:
        JobError: If it is not a text of one visible line.
    """
    if (
        not isinstance(name, str)
        or not name.strip()
        or not name.isprintable()
        or len(name) > NAME_LIMIT
    ):
        raise JobError(
            f"{kind}.name() returned {_shown(name)}, which is no name",
            remedy=f"Return one line of 1 to {NAME_LIMIT} visible characters",
        )
    return str(name)


def check_limits(job: Job) -> Limits | None:
    """Return a job's own default limits.

    Raises:
        JobError: If they are something else.
    """
    from procsched.core.policy import Limits

    limits: object = job.limits
    if limits is None or isinstance(limits, Limits):
        return limits
    raise JobError(
        f"{type(job).__name__}.limits is {_shown(limits)}, which is no Limits",
        remedy='Write limits = Limits(wall=30, memory="512MiB"), or None',
    )


def check_schedule_config(job: str, config: object) -> ScheduleConfig | None:
    """Return the schedule if it is one, or None.

    Raises:
        ScheduleConfigError: If it is something else.
    """
    from procsched.config.schedule import ScheduleConfig

    if config is None or isinstance(config, ScheduleConfig):
        return config
    what = f"the class {config.__name__}" if isinstance(config, type) else f"{config!r}"
    raise ScheduleConfigError(
        f"job {job!r} has the schedule {what}, which is no ScheduleConfig",
        remedy="Pass schedule_config=ScheduleConfig(every=10, time_unit=Sc.MINUTES), "
        "or None for the configuration's",
    )


def check_run_continuous(said: object) -> bool | None:
    """Return whether jobs repeat; None when nothing was said.

    Raises:
        SchedulerError: If it is neither.
    """
    if said is None or isinstance(said, bool):
        return said
    raise SchedulerError(
        f"run_continuous={_shown(said)} is neither true nor false",
        remedy="Pass True, False, or None to leave it as it is",
    )


def check_settings(settings: Any) -> Settings:
    """Return the settings, those of ConfigLoader for None.

    Raises:
        ConfigError: If None are given and the file is faulty.
        SchedulerError: If they are something else.
    """
    if settings is None:
        from procsched.config.loader import ConfigLoader

        return ConfigLoader.settings()
    from procsched.config.settings import Settings

    if not isinstance(settings, Settings):
        raise SchedulerError(
            f"settings={_shown(settings)} are no Settings",
            remedy="Pass what ConfigLoader.reload_config() returned, or None for it",
        )
    return settings


def check_state_dir(path: Any) -> str | os.PathLike[str] | None:
    """Return the state directory; None when none was said.

    Raises:
        SchedulerError: If it is no path.
    """
    if path is None or (isinstance(path, str | os.PathLike) and os.fspath(path)):
        said: str | os.PathLike[str] | None = path
        return said
    raise SchedulerError(
        f"state_dir={_shown(path)} is no path",
        remedy="Pass a directory, or None for a private one that goes with the "
        "Scheduler",
    )


def check_id(job_id: object) -> str:
    """Return a job's identifier if it can be one.

    Raises:
        UnknownJobError: If it is no text.
    """
    if isinstance(job_id, str):
        return job_id
    raise UnknownJobError(
        f"{_shown(job_id)} is no job's identifier",
        remedy="Pass the text that schedule_job() returned, which is the job's name()",
    )


def check_run_id(run_id: object) -> str:
    """Return a run's id if it can be one.

    Raises:
        UnknownRunError: If it is no text.
    """
    if isinstance(run_id, str):
        return run_id
    raise UnknownRunError(
        f"{_shown(run_id)} is no run's id",
        remedy="Pass the text that trigger() returned, or the run_id of a record "
        "from runs()",
    )


def check_limit(limit: object) -> int:
    """Return how many records are wanted.

    Raises:
        SchedulerError: If it is not a whole number from 1.
    """
    if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1:
        return min(limit, ROWS_LIMIT)
    raise SchedulerError(
        f"limit={_shown(limit)} is not a whole number of at least 1",
        remedy="Pass how many records you want",
    )


def _shown(value: object) -> str:
    """Return a value as Python shows it, for one line of a message."""
    from procsched.core.trail import shown

    text = " ".join(shown(value).splitlines())
    if len(text) <= NAME_LIMIT:
        return text
    return f"{text[:40]}... of {len(text)} characters"
