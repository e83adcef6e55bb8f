"""One file per run that carries its audit records out of the child.

A record counts as accepted when its frame is in the kernel: one write(2) on an
O_APPEND descriptor, so a kill of anybody loses nothing that was accepted, and
threads and forked grandchildren share the file without a lock that a kill could
leave taken.  A shared queue has such a lock (research/isolation.md 2.7).

    frame = u32 length, u32 crc32 (little endian), JSON {"kind", "time", "pid", "body"}

The JSON is ASCII without control characters and shorter than 2**24 bytes, so the
highest byte of a length is a zero that no JSON holds: a whole frame can never be
found inside another one, and a reader gets past damage with certainty.

Imports: errors.  Must not import: anything heavy; every child pays for it.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from _thread import RLock
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from procsched.errors import AuditError

CAP_BYTES: Final = 64 * 1024 * 1024
"""Of one run's spool; a run that says more floods.  Then records are counted
instead of kept (research/reliability_security_ux.md 5.2)."""

RECORD_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one frame's JSON: three fields of a Trail at their limit, each
character escaped, fit; and it stays below the 2**24 of the module header."""

HEADER: Final = struct.Struct("<II")
START: Final = b'{"kind":"'
"""How the JSON of every frame begins; a reader looks for it after damage."""

RUN, TRAIL, CUSTOM, DROPPED = "run", "trail", "custom", "dropped"
"""Kinds: whose spool it is (from who made the file), records, and a count."""

_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _File:
    """A descriptor, and the file it stood for when we got it."""

    descriptor: int
    device: int
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> _File:
        status = os.fstat(descriptor)
        return cls(descriptor, status.st_dev, status.st_ino)

    def status(self) -> os.stat_result | None:
        """Return its status; None if a job closed it, or opened another there."""
        try:
            status = os.fstat(self.descriptor)
        except OSError:
            return None
        same = (status.st_dev, status.st_ino) == (self.device, self.inode)
        return status if same else None


class _Drops:
    """How many records of this process found no place, and why the last did not.

    The lock is taken only to count a drop.  It is re-entrant for the sake of a
    signal handler that records something while its thread counts.
    """

    __slots__ = ("lock", "number", "owed", "pid", "reason")

    def __init__(self) -> None:
        self.lock = RLock()
        self.pid = os.getpid()
        self.number = 0
        self.reason = ""
        self.owed = False


class SpoolWriter:
    """The child's end: appends records and rings the auditor's bell.

    Args:
        path: Made with the first record, readable by its owner alone.
        run_id: Goes into the file, so that it can be told whose it is when the
            supervisor that knew is gone.
        job: As `run_id`.
        wake_fd: Write end of the auditor's non-blocking pipe, which stays the
            caller's; None when nobody waits.
        cap_bytes: Of the file; what does not fit is dropped and counted.
    """

    def __init__(
        self,
        path: str,
        *,
        run_id: str,
        job: str,
        wake_fd: int | None = None,
        cap_bytes: int = CAP_BYTES,
    ) -> None:
        self._path = path
        self._run = {"run_id": run_id, "job": job}
        self._cap_bytes = cap_bytes
        self._files: list[_File] = []
        self._bell: _File | None = None
        # A bell that is broken from the start stays silent: EBADF is no reason
        # to fail a job, and the spool is drained at the end anyway.
        with suppress(OSError):
            self._bell = None if wake_fd is None else _File.of(wake_fd)
        self._drops = _Drops()

    def append(self, kind: str, body: Any) -> bool:
        """Return True once the record is in the kernel; False if it was dropped.

        Raises:
            AuditError: If the record alone is larger than `RECORD_LIMIT`.
        """
        frame = framed(kind, body)
        refusal = self._put(frame, capped=True)
        if refusal is not None:
            self._count_drop(refusal)
        elif self._drops.owed:
            self._report_drops(final=False)
        self._ring()
        return refusal is None

    def open(self) -> None:
        """Make the file now: what a process becomes later may not be let to it.

        Raises:
            OSError: If it cannot be made.
        """
        if not self._files:
            self._open()

    def close(self) -> int:
        """Say how many records were dropped, if any; return the number."""
        if self._drops.number:
            self._report_drops(final=True)
            self._ring()
        while self._files:
            file = self._files.pop()
            if file.status() is not None:
                os.close(file.descriptor)
        return self._drops.number

    def _put(self, frame: bytes, *, capped: bool) -> str | None:
        """Write one frame; return why not, in words, if it is not all there."""
        try:
            descriptor, size, links = self._opened()
            if links == 0:
                return "the run is over and its spool has been taken away"
            if capped and size + len(frame) > self._cap_bytes:
                return f"the run's spool has reached its cap of {self._cap_bytes} bytes"
            # A short write leaves half a frame.  It is not cut off again, since
            # another thread may have appended behind it: the reader skips it.
            written = os.write(descriptor, frame)
        except OSError as fault:
            return os.strerror(fault.errno or 0)
        return None if written == len(frame) else "the disk filled up within the record"

    def _opened(self) -> tuple[int, int, int]:
        """Return descriptor, size and number of links of the spool, opened."""
        file = self._files[-1] if self._files else self._open()
        status = file.status()
        if status is None:
            file = self._open()
            status = os.fstat(file.descriptor)
        return file.descriptor, status.st_size, status.st_nlink

    def _open(self) -> _File:
        made = not os.path.exists(self._path)  # noqa: PTH110 - pathlib is not light
        file = _File.of(os.open(self._path, _FLAGS, 0o600))
        # All are kept, for two threads may open it at once; close() closes all.
        self._files.append(file)
        if made:
            self._put(framed(RUN, self._run), capped=False)
        return file

    def _count_drop(self, reason: str) -> None:
        if self._drops.pid != os.getpid():
            # A forked grandchild counts its own, with a lock nobody holds.
            self._drops = _Drops()
        with self._drops.lock:
            self._drops.number += 1
            self._drops.reason = reason
            # At 1, 2, 4, 8, ...: who is killed has then said at least half.
            power_of_two = self._drops.number & (self._drops.number - 1) == 0
            if power_of_two or self._drops.owed:
                self._report_drops(final=False)

    def _report_drops(self, *, final: bool) -> None:
        drops = self._drops
        with drops.lock:
            body = {"dropped": drops.number, "reason": drops.reason, "final": final}
            drops.owed = self._put(framed(DROPPED, body), capped=False) is not None

    def _ring(self) -> None:
        if self._bell is None or self._bell.status() is None:
            return
        # EAGAIN: rung already and not yet heard.  EPIPE: nobody listens any more.
        with suppress(OSError):
            os.write(self._bell.descriptor, b"\0")


def framed(kind: str, body: Any) -> bytes:
    """Return the bytes of one frame, stamped with this time and process.

    Raises:
        AuditError: If it is larger than `RECORD_LIMIT`.
    """
    # The order of the keys is part of the format: see START.
    text = (
        f'{{"kind":"{kind}","time":"{datetime.now(UTC).isoformat()}",'
        f'"pid":{os.getpid()},"body":{_encode(body)}}}'
    )
    if len(text) > RECORD_LIMIT:
        raise AuditError(
            f"The audit record takes {len(text)} bytes and {RECORD_LIMIT} are allowed",
            remedy="Write the data to a file and record its path",
        )
    data = text.encode("ascii")
    return HEADER.pack(len(data), zlib.crc32(data)) + data


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
