"""Short words for tests of the plan: schedules, worlds and the hours of a Monday."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from procsched.core.cron import parse_cron
from procsched.core.moment import Moment
from procsched.core.policy import CatchUp, Overlap
from procsched.core.schedule import Policy, Schedule
from procsched.core.triggers import Cron, Interval, Trigger
from procsched.core.verdict import Report
from procsched.testing import NOON, Fate, PaperWorld

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.core.delay import Delay
    from procsched.core.messages import Command, StartRun

ZONE: Final = ZoneInfo("UTC")
MINUTES_10: Final = timedelta(minutes=10)
RAISED: Final = Report(verdict="raised", verdict_text="ValueError: no", exit_code=1)
FAILS: Final = Fate(report=RAISED)
HANGS: Final = Fate(lasts=timedelta(days=400))
DEAF: Final = Fate(lasts=timedelta(days=400), heeds_stop=False)


def at(text: str) -> datetime:
    """Return a time of the Monday on which the fake clock stands at noon."""
    return datetime.fromisoformat(f"2025-06-02T{text}+00:00")


def clock_times(moments: object) -> list[str]:
    """Return moments as the clock shows them."""
    return [f"{moment:%H:%M:%S}".removesuffix(":00") for moment in moments]  # type: ignore[attr-defined]


def every(minutes: float = 10, anchor: datetime = NOON) -> Interval:
    """Return a grid of elapsed time."""
    return Interval(timedelta(minutes=minutes), anchor)


def cron(text: str) -> Cron:
    """Return a schedule of wall times, in UTC."""
    return Cron(parse_cron(text), ZONE)


def schedule(
    job: str = "job",
    trigger: Trigger | None = None,
    *,
    sequence: str | None = None,
    delay: Delay | None = None,
    **policy: Any,
) -> Schedule:
    """Return a schedule; every ten minutes unless told otherwise."""
    return Schedule(
        job=job,
        trigger=trigger or every(),
        policy=Policy(**{name: _word(value) for name, value in policy.items()}),
        code=job,
        sequence=sequence,
        delay=delay,
    )


def _word(value: Any) -> Any:
    """Return the word that a policy knows a text by."""
    words = {each.value: each for kind in (Overlap, CatchUp) for each in kind}
    return words.get(value, value) if isinstance(value, str) else value


def world(*schedules: Schedule, continuous: bool = True, **options: Any) -> PaperWorld:
    """Return a world whose loop has begun, with some schedules."""
    made = PaperWorld(**options)
    for each in schedules:
        made.schedule(each, run_continuous=continuous)
    made.begin()
    return made


def fates(**by_job: Fate | list[Fate]) -> Callable[[StartRun], Fate]:
    """Return how the runs of each job go; of a list, one after another."""

    def fate(start: StartRun) -> Fate:
        found = by_job.get(start.job, Fate())
        if isinstance(found, Fate):
            return found
        return found.pop(0) if len(found) > 1 else found[0]

    return fate


def lasting(**spans: float) -> Fate:
    """Return a run that succeeds after so many minutes, or hours, or seconds."""
    return Fate(lasts=timedelta(**spans))


def moment(seconds: float = 0.0) -> Moment:
    """Return so many seconds after noon."""
    return Moment(NOON + timedelta(seconds=seconds), seconds)


def starts(world: PaperWorld, job: str | None = None) -> list[str]:
    """Return the nominal times of the runs that were started."""
    chosen = (each for each in world.starts if job in (None, each.job))
    return clock_times(each.nominal_time for each in chosen)


def records(world: PaperWorld, job: str | None = None) -> list[tuple[str, str]]:
    """Return nominal time and outcome of all that is on record, in order of time."""
    found = sorted(world.history.runs(job), key=lambda each: each.nominal_time)
    times = clock_times(each.nominal_time for each in found)
    return list(zip(times, (each.outcome or "" for each in found), strict=True))


def kinds(commands: list[Command]) -> list[str]:
    """Return the names of commands."""
    return [type(command).__name__ for command in commands]


__all__ = [
    "DEAF",
    "FAILS",
    "HANGS",
    "MINUTES_10",
    "NOON",
    "RAISED",
    "UTC",
    "at",
    "clock_times",
    "cron",
    "every",
    "fates",
    "kinds",
    "lasting",
    "moment",
    "records",
    "schedule",
    "starts",
    "world",
]
