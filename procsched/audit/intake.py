"""A run's spool on the auditor's side: frames come out as records.

Imports: errors, core.trail, record, reader, spool.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from procsched.audit.reader import Frame, Gap, SpoolReader
from procsched.audit.record import CUSTOM, GAP, Record, stamped
from procsched.audit.spool import TRAIL
from procsched.core.trail import Trail
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Intake:
    """Reads one run's records and says whose they are.

    Args:
        run_id: Stamped on each record, whatever the file says.
        job: As `run_id`.
        path: Of the spool; it need not be there yet.
    """

    def __init__(self, run_id: str, job: str, path: str) -> None:
        self.run_id = run_id
        self._job = job
        self._path = path
        self._reader = SpoolReader(path)
        self._unreadable = False

    def some(self) -> list[Record]:
        """Return what has come, at most about a megabyte; empty for nothing."""
        return [] if self._unreadable else self._read(self._reader.read)

    def all_so_far(self) -> Iterator[Record]:
        """Yield what was in the file at the time of the call, and little more.

        What a flooding run goes on writing would keep a caller here for ever.
        """
        try:
            size = self._reader.size()
        except OSError:
            # The next read meets it too and reports it.
            size = 1
        while self._reader.offset < size and (records := self.some()):
            yield from records

    def last(self) -> Iterator[Record]:
        """Yield the rest and what is missing, then delete the file."""
        while records := self.some():
            yield from records
        yield from self._read(self._reader.finish)
        self._reader.close()
        Path(self._path).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the descriptor back and leave the file where it is."""
        self._reader.close()

    def _read(self, read: Callable[[], list[Frame | Gap]]) -> list[Record]:
        try:
            return [self._record(entry) for entry in read()]
        except OSError as fault:
            self._unreadable = True
            reason = os.strerror(fault.errno or 0)
            return [self._gap(Gap("unreadable", {"reason": reason}))]

    def _record(self, entry: Frame | Gap) -> Record:
        if isinstance(entry, Gap):
            return self._gap(entry)
        try:
            return self._said(entry)
        except (AuditError, TypeError, KeyError):
            # A whole frame that holds no Trail: a job wrote into the file itself.
            return self._gap(Gap("corrupt", {"number": entry.number}))

    def _said(self, frame: Frame) -> Record:
        is_custom = frame.kind != TRAIL
        body = frame.body
        # Built once with all its stamps, since each Trail made walks its comments.
        trail = Trail(
            operation=CUSTOM if is_custom else body["operation"],
            status="recorded" if is_custom else body["status"],
            comments="" if is_custom else body["comments"],
            time=frame.time,
            job=self._job,
            run_id=self.run_id,
            pid=frame.pid,
            number=frame.number,
        )
        return Record(trail, is_custom, body if is_custom else None, frame.size)

    def _gap(self, gap: Gap) -> Record:
        trail = Trail(GAP, gap.status, gap.comments, job=self._job, run_id=self.run_id)
        return Record(stamped(trail))
