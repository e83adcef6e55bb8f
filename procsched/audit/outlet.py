"""Where this process sends its audit records.

A run's child sends them into the spool of its run; any other process has agents
of its own behind a CentralAuditor.  There is one outlet per process, and a fork
gets a fresh one: threads and queues do not survive it.

Imports: errors, core.trail, spool, record; central on first use.
Must not import: anything heavy; every child pays for it.
"""

from __future__ import annotations

import _thread
import atexit
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.record import (
    refuse_other_than_json,
    refuse_other_than_trail,
)
from procsched.audit.spool import CUSTOM, TRAIL, SpoolWriter
from procsched.core.trail import as_text, shown
from procsched.errors import AuditError

if TYPE_CHECKING:
    from procsched.audit.agent import AuditAgent
    from procsched.audit.central import CentralAuditor
    from procsched.core.trail import Trail

EXIT_WAIT_SECONDS: Final = 5.0
"""How long the end of the program waits for agents that are still writing."""


class RunOutlet:
    """Takes the records of a run into its spool."""

    def __init__(self, writer: SpoolWriter, run_id: str) -> None:
        self._writer = writer
        self.run_id = run_id
        self.open = True

    def record(self, trail: Trail) -> None:
        """Append a Trail; who, when and which run are the spool's to say."""
        self._refuse_when_closed()
        body = {
            "operation": trail.operation,
            "status": trail.status,
            "comments": trail.comments,
        }
        try:
            self._writer.append(TRAIL, body)
        except ValueError:
            # Larger than a frame may be (AuditError), or with a number too long to
            # be written out.  Like any odd field of a Trail it is cut, not refused.
            comments = as_text(shown(trail.comments))
            self._writer.append(TRAIL, body | {"comments": comments})

    def record_custom(self, value: Any) -> None:
        """Append a JSON value."""
        self._refuse_when_closed()
        refuse_other_than_json(value)
        self._writer.append(CUSTOM, value)

    def close(self) -> int:
        """End the run's records; return how many had to be dropped."""
        self.open = False
        return self._writer.close()

    def _refuse_when_closed(self) -> None:
        if not self.open:
            raise AuditError(
                f"Run {self.run_id} is over and takes no more records",
                remedy="Let goal() join the threads it starts before it returns",
            )


class _Here:
    """What this process has; replaced as a whole after a fork."""

    def __init__(self) -> None:
        self.lock = _thread.allocate_lock()
        self.run: RunOutlet | None = None
        self.central: CentralAuditor | None = None
        self.inherited: dict[str, AuditAgent] | None = None


_here = _Here()


def open_outlet(
    path: str, wake_fd: int | None, run_id: str, job: str, *, at_once: bool = False
) -> None:
    """Send this process's records into the spool of a run from now on.

    Args:
        path: Of the spool, which is made with the first record.
        wake_fd: The auditor's `wake_fd` as this process inherited it.
        run_id: The run's.
        job: The run's.
        at_once: Make the spool now, for a process that becomes another user or
            loses sight of the directory.

    Raises:
        AuditError: If another run is still open here.
        OSError: If the spool is to be made at once and cannot be.
    """
    if _here.run is not None and _here.run.open:
        raise AuditError(
            f"Run {_here.run.run_id} is still open in this process, so {run_id} cannot "
            "be opened",
            remedy="Call close_outlet() at the end of each run",
        )
    writer = SpoolWriter(path, run_id=run_id, job=job, wake_fd=wake_fd)
    if at_once:
        writer.open()
    _here.run = RunOutlet(writer, run_id)


def close_outlet() -> int:
    """End the run's records here; return how many had to be dropped.

    What a thread that outlives its run still says is refused, and is not taken
    for the next run's.  Closing twice is harmless.
    """
    return 0 if _here.run is None else _here.run.close()


def central() -> CentralAuditor:
    """Return this process's auditor, made on first use.

    Raises:
        AuditError: Inside a run.
    """
    if _here.run is not None:
        raise AuditError(
            f"Audit agents were asked for inside run {_here.run.run_id}",
            remedy="Add and remove agents in the program that owns the scheduler, "
            'under `if __name__ == "__main__":`; a run only says its records',
        )
    with _here.lock:
        if _here.central is None:
            from procsched.audit.central import CentralAuditor

            _here.central = CentralAuditor(_here.inherited)
        return _here.central


def inside_run() -> bool:
    """Return whether this process has been a run's."""
    return _here.run is not None


def take(trail: Trail) -> None:
    """Accept a Trail said in this process, whatever it says about who and when.

    Raises:
        AuditError: If it is not a Trail.
    """
    refuse_other_than_trail(trail)
    if _here.run is not None:
        # The spool stamps its frames.
        _here.run.record(trail)
    else:
        now = datetime.now(UTC)
        central().record(trail.accepted(time=now, pid=os.getpid()))


def take_custom(value: Any) -> None:
    """Accept a JSON value said in this process.

    Raises:
        AuditError: If JSON cannot hold it.
    """
    (_here.run or central()).record_custom(value)


def _after_fork() -> None:
    """Give a forked child an outlet that works.

    A run's grandchild goes on writing into the spool.  Any other child gets the
    same agents with queues and threads of its own; what was under way is the
    parent's to deliver.
    """
    global _here
    before, _here = _here, _Here()
    _here.run = before.run
    _here.inherited = before.inherited
    if before.central is not None:
        _here.inherited = before.central.forked()


def _at_exit() -> None:
    if _here.central is not None:
        _here.central.close(EXIT_WAIT_SECONDS)


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
