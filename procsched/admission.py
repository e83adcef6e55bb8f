"""Whether something may be scheduled, said while somebody is looking.

Imports: errors, job.
"""

from __future__ import annotations

from typing import Any, Final

from procsched.errors import JobError, ScheduleConfigError
from procsched.job import Job

NAME_LIMIT: Final = 200
"""Characters of a job's name: it stands in every line of the trail."""


def check_job(job: object) -> str:
    """Return the job's name.

    Raises:
        JobError: If it is no Job, has no goal, or has no usable name.
    """
    if isinstance(job, type):
        raise JobError(
            f"{job.__name__} is a class, and a job is one of its instances",
            remedy=f"Pass job={job.__name__}()",
        )
    if not isinstance(job, Job):
        raise JobError(
            f"{job!r} is no procsched.Job",
            remedy="Derive its class from procsched.Job and write name() and goal()",
        )
    kind = type(job).__name__
    if type(job).goal is Job.goal or not callable(type(job).goal):
        raise JobError(
            f"job class {kind} has no goal",
            remedy=f"Write `def goal(self):` in {kind}; it runs in a process of its "
            "own",
        )
    return check_name(_name_of(job), kind)


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
            f"{kind}.name() returned {name!r}, which is no name",
            remedy=f"Return one line of 1 to {NAME_LIMIT} visible characters",
        )
    return name


def check_schedule_config(job: str, config: Any) -> Any:
    """Return the schedule if it is one, or None.

    Raises:
        ScheduleConfigError: If it is something else.
    """
    from procsched.config.schedule import ScheduleConfig

    if config is None or isinstance(config, ScheduleConfig):
        return config
    raise ScheduleConfigError(
        f"job {job!r} has the schedule {config!r}, which is no ScheduleConfig",
        remedy="Pass schedule_config=ScheduleConfig(every=10, time_unit=Sc.MINUTES), "
        "or None for the configuration's",
    )
