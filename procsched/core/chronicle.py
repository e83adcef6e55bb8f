"""What is written down of schedules: trail lines, and records of what never ran.

Imports: core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procsched.core.messages import Command, RecordOrigin, RecordRun, WriteTrail
from procsched.core.run import RunRecord, RunState
from procsched.core.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.core.backlog import LeftOut
    from procsched.core.moment import Moment
    from procsched.core.schedule import Origin


class Chronicle:
    """Turns decisions about schedules into records.

    Args:
        out: Where commands go, in order.
        new_id: Returns an id that no run had before.
    """

    def __init__(self, out: list[Command], new_id: Callable[[], str]) -> None:
        self._out = out
        self._new_id = new_id

    def say(
        self,
        job: str | None,
        operation: str,
        status: str,
        comments: object,
        at: Moment,
        *,
        run_id: str | None = None,
    ) -> None:
        """Write a line of the trail."""
        trail = Trail(operation, status, comments, at.wall, job, run_id)
        self._out.append(WriteTrail(trail))

    def remember(self, job: str, origin: Origin | None) -> None:
        """Remember a schedule beyond a restart, or forget it."""
        self._out.append(RecordOrigin(job, origin))

    def leave_out(self, job: str, out: LeftOut, now: Moment) -> None:
        """Write the one record of nominal times that will not run."""
        record = RunRecord(
            run_id=self._new_id(),
            job=job,
            nominal_time=out.first,
            state=RunState.ENDED,
            outcome=out.outcome,
            reason=out.reason,
            ended_at=now.wall,
            covers=out.count,
            until=out.last if out.count > 1 else None,
            flags=() if out.exact else ("count is a lower bound",),
        )
        self._out.append(RecordRun(record))
        said: dict[str, object] = {"reason": out.reason}
        if out.count > 1:
            said |= {"count": out.count, "until": out.last.isoformat()}
        status = out.outcome.value
        self.say(job, f"run.{status}", status, said, now, run_id=record.run_id)
