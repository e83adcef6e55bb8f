"""Fakes of the clock, the history, the auditor and an audit medium.

Imports: core, audit.agent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.agent import AuditAgent
from procsched.core.moment import Moment

if TYPE_CHECKING:
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Origin
    from procsched.core.trail import Trail

NOON: Final = datetime(2025, 6, 2, 12, tzinfo=UTC)
"""Where a fake clock stands unless it is told otherwise: a Monday."""


class FakeClock:
    """A clock that moves when it is told to.

    Args:
        wall: What it shows at first; aware.
        monotonic: Seconds since an arbitrary start.

    Attributes:
        elapsed: What has passed since then; to the microsecond, as floats are not.
        slept: How long the host was suspended since then.
    """

    def __init__(self, wall: datetime = NOON, monotonic: float = 0.0) -> None:
        self._wall = wall.astimezone(UTC)
        self._began = monotonic
        self.elapsed = timedelta(0)
        self.slept = timedelta(0)

    def now(self) -> Moment:
        """Return what both clocks show."""
        return Moment(self._wall, self._began + self.elapsed.total_seconds())

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self.elapsed += by
        self._wall += by

    def slept_seconds(self) -> float:
        """Return how long the host was suspended."""
        return self.slept.total_seconds()

    def suspend(self, lasts: timedelta) -> None:
        """Let the host sleep: the monotonic clock stands still meanwhile."""
        self.slept += lasts
        self._wall += lasts

    def set_wall(self, to: datetime) -> timedelta:
        """Set the wall clock; return how far it was set forward."""
        shift = to - self._wall
        self._wall += shift
        return shift


class MemoryHistory:
    """A history that keeps the runs in memory."""

    def __init__(self) -> None:
        self.records: dict[str, RunRecord] = {}
        self.origins: dict[str, Origin] = {}

    def write(self, record: RunRecord) -> None:
        """Keep what is known of a run, in place of what was."""
        self.records[record.run_id] = record

    def remember(self, job: str, origin: Origin | None) -> None:
        """Keep a schedule beyond a restart; forget the job's without an origin."""
        if origin is None:
            self.origins.pop(job, None)
        elif job not in self.origins or self.origins[job].timing != origin.timing:
            self.origins[job] = origin

    def runs(self, job: str | None = None) -> list[RunRecord]:
        """Return what is known, in the order it became known first."""
        found = self.records.values()
        return [each for each in found if job in (None, each.job)]

    def outcomes(self, job: str | None = None) -> list[str]:
        """Return how runs ended, in the order they became known; "" for not yet."""
        return [each.outcome or "" for each in self.runs(job)]


class MemoryAudit:
    """An auditor that keeps the trail in memory."""

    def __init__(self) -> None:
        self.trails: list[Trail] = []
        self.open_spools: dict[str, str] = {}

    def record(self, trail: Trail) -> None:
        """Take a record in."""
        self.trails.append(trail)

    def open_spool(self, run_id: str, job: str, path: str) -> None:  # noqa: ARG002
        """Note that a run's spool is read."""
        self.open_spools[run_id] = path

    def close_spool(self, run_id: str) -> None:
        """Note that a run's spool has been read to its end."""
        del self.open_spools[run_id]

    def operations(self, job: str | None = None) -> list[str]:
        """Return what was done, in order."""
        return [each.operation for each in self.trails if job in (None, each.job)]


class ListAgent(AuditAgent):
    """A medium that keeps what it is given in lists.

    Args:
        fault: Raised instead, while it is set.
    """

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.trails: list[Trail] = []
        self.customs: list[Any] = []

    def capture(self, trail: Trail) -> None:
        """Keep one record."""
        if self.fault is not None:
            raise self.fault
        self.trails.append(trail)

    def capture_custom(self, obj: Any) -> None:
        """Keep a JSON value of the user's own."""
        if self.fault is not None:
            raise self.fault
        self.customs.append(obj)
