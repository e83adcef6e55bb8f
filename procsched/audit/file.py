"""The agent that keeps records in a file, one JSON object a line.

Each line is one write(2) at the end of the file, so that several processes may
share it, and it is there when `capture` returns.  A file that was moved away, as
logrotate does, is made anew with the next record.

Imports: errors, agent.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procsched.audit.agent import UNSAFE, AuditAgent
from procsched.errors import AuditError

if TYPE_CHECKING:
    from re import Match

    from procsched.core.trail import Trail

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class FileAgent(AuditAgent):
    """Appends JSON lines in UTF-8 to a file; custom values as they are.

    Args:
        path: Its directory is made if it is not there.
        max_bytes: The file is renamed to `path.1` before it would grow beyond;
            None lets it grow.
        keep: Old files kept, `path.1` the newest; 0 keeps none.

    Raises:
        AuditError: If the file cannot be written, or a number makes no sense.
    """

    def __init__(
        self, path: str | Path, *, max_bytes: int | None = None, keep: int = 5
    ) -> None:
        if max_bytes is not None and max_bytes <= 0:
            raise AuditError(
                f"FileAgent was given max_bytes={max_bytes}",
                remedy="Pass the size in bytes at which to begin a new file, or None",
            )
        if keep < 0:
            raise AuditError(
                f"FileAgent was given keep={keep}",
                remedy="Pass the number of old files to keep, 0 for none",
            )
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor: int | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as fault:
            raise AuditError(
                f"The audit file {self._path} cannot be written: "
                f"{os.strerror(fault.errno or 0)}",
                remedy="Choose a file in a directory that this user may write to",
            ) from fault

    def capture(self, trail: Trail) -> None:
        """Append the record as a line."""
        self._append(trail.to_json())

    def capture_custom(self, obj: Any) -> None:
        """Append the value as a line."""
        self._append(obj)

    def close(self) -> None:
        """Close the file; a later record opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, value: Any) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        # Readers of lines take U+2028 for an end, terminals C1 for commands.
        line = (UNSAFE.sub(_escape, text) + "\n").encode()
        descriptor, size = self._opened()
        if self._max_bytes is not None and 0 < size > self._max_bytes - len(line):
            self._rotate()
            descriptor = self._open()
        written = os.write(descriptor, line)
        if written < len(line):
            # The next open() ends the torn line.
            self.close()
            raise OSError(f"only {written} of {len(line)} bytes fit on the disk")

    def _opened(self) -> tuple[int, int]:
        """Return descriptor and size of the file that stands at the path."""
        if self._descriptor is None:
            self._open()
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        ours = None if self._descriptor is None else os.fstat(self._descriptor)
        if ours is None or there is None or not os.path.samestat(ours, there):
            self.close()
            ours = os.fstat(self._open())
        return self._open(), ours.st_size

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, _FLAGS, 0o640)
            self._end_torn_line(self._descriptor)
        return self._descriptor

    def _end_torn_line(self, descriptor: int) -> None:
        """Begin a new line where a kill or a full disk left half of one."""
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = self._old(number)
            newer = self._path if number == 1 else self._old(number - 1)
            if newer.exists():
                newer.replace(older)
        if not self._keep:
            self._path.unlink()

    def _old(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _escape(found: Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
