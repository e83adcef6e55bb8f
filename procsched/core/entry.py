"""What the plan remembers of one schedule, and of one live run.

Imports: core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.queue import Place
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Schedule


@dataclass(slots=True)
class Entry:
    """One schedule in the plan.

    Attributes:
        schedule: As it is now: a clock step moves the grid of its interval.
        added: As it came, which is what its runs carry.
        due: The next nominal time that is not decided; None when none will be.
        start_at: When a run for it may start: `due` and its delay.
        version: Grows when `start_at` changes, so that old rows are known.
        fired: Nominal times decided so far; a job that runs once stops at 1.
        retries: Attempts that wait for their time.
        paused: By hand; firings are left out until it is resumed.
        suspended: Why it suspended itself; None if it did not.
        probing: The next run decides whether it stays suspended.
        failures: Runs in a row that did not succeed.
    """

    schedule: Schedule
    added: Schedule
    due: datetime | None = None
    start_at: datetime | None = None
    version: int = 0
    fired: int = 0
    retries: int = 0
    paused: bool = False
    suspended: str | None = None
    probing: bool = False
    failures: int = 0

    @property
    def held(self) -> bool:
        """Whether firings are left out for now."""
        return self.paused or (self.suspended is not None and not self.probing)


@dataclass(slots=True)
class LiveRun:
    """One run that has not ended.

    Attributes:
        asked_to_stop: The cause that stands, once one does.
    """

    record: RunRecord
    schedule: Schedule
    place: Place
    asked_to_stop: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What the plan tells of one scheduled job.

    Attributes:
        next_run_time: Aware, in UTC; None while it will not fire.
        suspended: Why it suspended itself; None if it did not.
        running: Ids of its runs that have a process.
        waiting: Ids of its runs that wait for one.
    """

    job: str
    schedule: str
    next_run_time: datetime | None
    paused: bool
    suspended: str | None
    running: tuple[str, ...]
    waiting: tuple[str, ...]
