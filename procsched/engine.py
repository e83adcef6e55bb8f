"""The concrete parts of one running scheduler, made and unmade in order.

Imports: everything below, by name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procsched.audit.outlet import central
from procsched.core.ending import settled, trail_of_end
from procsched.loans import lend
from procsched.pressure import PLACE as PRESSURE
from procsched.pressure import PressureGauge
from procsched.store.directory import StateDirectory
from procsched.store.history import (
    Remembered,
    SqliteHistory,
    read_run,
    read_runs,
    recall,
)
from procsched.supervisor import Inbox, Supervisor
from procsched.workers.pool import KeeperPool, Surroundings
from procsched.workers.reports import left_reports

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from procsched.audit.central import CentralAuditor
    from procsched.clock import Clock
    from procsched.config.settings import Settings
    from procsched.core.messages import Command
    from procsched.core.plan import Plan
    from procsched.core.run import RunRecord
    from procsched.workers.payload import Payload

FLUSH_SECONDS: Final = 5.0
"""How long the end of a scheduler waits for slow audit agents."""

OUTLET: Final = "procsched.audit.outlet"
"""The module a run's process joins its Auditor with, known to it by name."""

_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
"""Those of this process, for the moment it is forked."""


class Engine:
    """One owner of a state directory, with everything it needs to run jobs.

    Args:
        state_dir: None for the settings' one, else a private directory that is
            removed with this object.

    Raises:
        StateDirectoryError: If the state directory cannot be used.
        AuditError: If an audit agent of the settings cannot be made.
        SchedulerError: If this host does not tell the pressure they name.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        settings: Settings,
        state_dir: str | os.PathLike[str] | None,
        payloads: Mapping[str, Payload],
        clock: Clock,
        inbox: Inbox,
    ) -> None:
        place = state_dir or settings.state_dir or self._private_place()
        gauge = _gauge(settings)
        with ExitStack() as parts:
            directory = StateDirectory(Path(place).absolute())
            parts.callback(directory.release)
            self._history_path = directory.history
            history = SqliteHistory(directory.history)
            parts.callback(history.close)
            auditor = central()
            parts.callback(auditor.flush, FLUSH_SECONDS)
            lend(auditor, settings.audit, parts)
            around = Surroundings(
                wake_fd=auditor.wake_fd,
                logs=directory.logs,
                spools=directory.spools,
                reports=directory.reports,
                outlet=OUTLET,
                echo=settings.echo_output,
                spawn=settings.start_method == "spawn",
            )
            _take_in(directory, history, auditor)
            self._payloads = payloads
            self._pool = KeeperPool(around, payloads=payloads, clock=clock)
            parts.callback(self._pool.close)
            self._supervisor = Supervisor(
                plan,
                clock=clock,
                hands=self._pool,
                audit=auditor,
                history=history,
                inbox=inbox,
                gauge=gauge,
            )
            parts.callback(self._supervisor.close)
            self._forked = (directory.forked, inbox.forked, self._pool.forked)
            _engines.add(self)
            parts.callback(_engines.discard, self)
            self._parts = parts.pop_all()

    def _private_place(self) -> str:
        """Make a directory that goes with this object, for runs() answers after it.

        In the process that made it, that is: a fork ends as well, and must leave
        its parent's files alone.
        """
        place = tempfile.mkdtemp(prefix="procsched-")
        weakref.finalize(self, _remove, place, os.getpid())
        return place

    def run(self, pending: Iterable[Command], ready: threading.Event) -> None:
        """Be the loop until the plan is finished, then give everything back.

        Args:
            pending: What the plan decided before there was a loop.
            ready: Set when the loop takes events.
        """
        with self._parts:
            self._pool.preload(tuple(self._payloads.values()))
            self._pool.warm()
            self._supervisor.carry_out(pending)
            ready.set()
            self._supervisor.run()

    def runs(self, job: str | None, limit: int) -> list[RunRecord]:
        """Return records from the history, newest first; from any thread.

        Raises:
            StateDirectoryError: If it cannot be read.
        """
        return read_runs(self._history_path, job, limit)

    def recall(self, job: str, timing: str) -> Remembered | None:
        """Return what the history knows of a schedule; from any thread.

        Raises:
            StateDirectoryError: If it cannot be read.
        """
        return recall(self._history_path, job, timing)

    def forked(self) -> None:
        """Let go of what a fork of this process must not hold.

        A copy of a keeper's channel would keep it from seeing that this process
        is dead, and a copy of the lock would own the directory after it.
        """
        for part in self._forked:
            part()


def _take_in(
    directory: StateDirectory, history: SqliteHistory, auditor: CentralAuditor
) -> None:
    """Put on record how runs ended that have outlived their supervisor."""
    for left in left_reports(directory.reports):
        record = read_run(directory.history, left.run_id)
        if record is not None and record.outcome is None:
            record = settled(record, left.report, left.ended_at)
            history.write(record)
            spool = directory.spools / f"{left.run_id}.spool"
            auditor.open_spool(left.run_id, record.job, str(spool))
            auditor.close_spool(left.run_id)
            auditor.record(trail_of_end(record, left.ended_at))
        # Last: whoever is killed before has it taken in once more, as the same.
        left.path.unlink()


def _gauge(settings: Settings) -> PressureGauge | None:
    if settings.pressure is None:
        return None
    return PressureGauge(settings.pressure.thresholds(), PRESSURE)


def _remove(place: str, pid: int) -> None:
    if pid == os.getpid():
        shutil.rmtree(place, ignore_errors=True)


def _after_fork() -> None:
    for engine in tuple(_engines):
        with contextlib.suppress(OSError):
            # It was being taken apart when the fork came: closed already.
            engine.forked()


os.register_at_fork(after_in_child=_after_fork)
