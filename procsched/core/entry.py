"""What the plan remembers of one schedule, and of one live run.

Imports: core.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.queue import Place
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Schedule
    from procsched.core.timers import Ring


@dataclass(slots=True, eq=False)
class Entry:
    """One schedule in the plan.

    Attributes:
        schedule: As it is now: a step of the clock may alter its trigger.
        added: As it came, which is what its runs carry.
        number: Its place among all that were ever added.
        since: Every nominal time after this and up to `decided` is decided.
        decided: Where the search for the next nominal time begins.
        ended: What a time after the end of a run counts from; None while a run, or
            another attempt, is to come to its end.
        last: The newest nominal time that became a run or a record.
        due: The next nominal time that is not decided; None when none will be.
        start_at: When a run for it may start: `due` and its delay.
        recalled: It was scheduled before a restart, and what came due since counts.
        version: Grows when `start_at` changes, so that old rows are known.
        fired: A nominal time has become a run; a job that runs once stops then.
        paused: By hand; firings are left out until it is resumed.
        suspended: Why it suspended itself; None if it did not.
        broken: It did so because its trigger raised: only a hand helps.
        probing: The next run decides whether it stays suspended.
        probe: Rings when a suspended one may be tried again.
        failures: Nominal times in a row whose last attempt did not succeed.
    """

    schedule: Schedule
    added: Schedule
    number: int
    since: datetime
    decided: datetime
    ended: datetime | None = None
    last: datetime | None = None
    due: datetime | None = None
    start_at: datetime | None = None
    recalled: bool = False
    version: int = 0
    fired: bool = False
    paused: bool = False
    suspended: str | None = None
    broken: bool = False
    probing: bool = False
    probe: Ring | None = None
    failures: int = 0

    @property
    def held(self) -> bool:
        """Whether firings are left out for now."""
        return self.paused or (self.suspended is not None and not self.probing)


@dataclass(slots=True, eq=False)
class LiveRun:
    """One run that has not ended.

    Attributes:
        start_by: Reading of the monotonic clock after which it is not started
            any more; None for no such deadline.
        asked_to_stop: The cause that stands, once one does.
        kill_at: Reading of the monotonic clock at which it will be killed, once
            it has been asked to stop.
        give_up_at: Likewise, at which its keeper is given up if it says nothing.
        alarm: What rings if it has not ended by then.
    """

    record: RunRecord
    schedule: Schedule
    place: Place
    start_by: float | None = None
    asked_to_stop: tuple[str, str] | None = None
    kill_at: float = inf
    give_up_at: float = inf
    alarm: Ring | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What the plan tells of one scheduled job.

    Attributes:
        next_run_time: Aware, in UTC; None while it will not fire.
        suspended: Why it suspended itself; None if it did not.
        running: Ids of its runs that have a process.
        waiting: Ids of its runs that wait for one.
        waiting_for: What each of these waits for, in words and in the same order.
    """

    job: str
    schedule: str
    next_run_time: datetime | None
    paused: bool
    suspended: str | None
    running: tuple[str, ...]
    waiting: tuple[str, ...]
    waiting_for: tuple[str, ...]
