"""What a run prints: its head and its tail in a file, the last lines at hand.

A flood is cut in the middle and counted, so it fills neither the disk nor the
memory, and the writer is never kept waiting.

Imports: nothing of ours.
"""

from __future__ import annotations

import os
import select
from collections import deque
from typing import Final

TAIL_BYTES: Final = 4096
"""Kept at hand for the run's record: about a screen of text."""

_ECHO_BYTES: Final = 4000
"""Of one echoed line: a write of up to PIPE_BUF is not torn (pipe(7))."""


class Output:
    """The log of one run.

    Args:
        path: The log file; None keeps only the tail.
        cap_bytes: Kept in the file, half from the head and half from the tail;
            None for all.
        echo: A descriptor that whole lines are copied to, with `label` in
            front; None for no copy.
    """

    def __init__(
        self,
        path: str | None,
        *,
        cap_bytes: int | None,
        echo: int | None = None,
        label: str = "",
    ) -> None:
        self._fd = -1
        self._path = path
        self._half = None if cap_bytes is None else max(1, cap_bytes // 2)
        self._written = 0
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._last = b""
        self._echo = echo
        self._label = label.encode("utf-8", "backslashreplace")
        self._line = b""
        self.faults: list[str] = []

    @property
    def dropped_bytes(self) -> int:
        """How much of the middle was left out."""
        return self._dropped

    @property
    def last_lines(self) -> str:
        """The end of the output, as text."""
        return self._last.decode("utf-8", "replace")

    def take(self, data: bytes) -> None:
        """Take in what the run printed."""
        self._last = (self._last + data)[-TAIL_BYTES:]
        if self._echo is not None:
            self._echo_lines(data)
        if self._half is not None and self._written + len(data) > self._half:
            room = self._half - self._written
            self._write(data[:room])
            self._keep(data[room:])
        else:
            self._write(data)

    def _keep(self, data: bytes) -> None:
        assert self._half is not None  # noqa: S101 - the caller asked
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._half:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._dropped += len(gone)

    def close(self) -> None:
        """Write the tail behind the head and close the file."""
        if self._line and self._echo is not None:
            self._echo_line(self._line)
        if self._tail:
            tail = b"".join(self._tail)
            assert self._half is not None  # noqa: S101 - else nothing was kept
            extra = max(0, len(tail) - self._half)
            self._dropped += extra
            if self._dropped:
                self._write(b"\n[... %d bytes left out ...]\n" % self._dropped)
            self._write(tail[extra:])
            self._tail.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if self._path is None or not data:
            return
        self._written += len(data)
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o600)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as fault:
            # A full disk costs the log, not the run.
            self.faults.append(f"output lost: {fault.strerror}")
            self._path = None

    def _echo_lines(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._echo_line(line)
        if len(self._line) > _ECHO_BYTES:
            self._echo_line(self._line)
            self._line = b""

    def _echo_line(self, line: bytes) -> None:
        """Copy a line, if the terminal or pipe takes it without waiting."""
        assert self._echo is not None  # noqa: S101 - the caller asked
        shown = line.rstrip(b"\r").replace(b"\x1b", b"\\x1b")[:_ECHO_BYTES]
        try:
            if select.select([], [self._echo], [], 0)[1]:
                os.write(self._echo, b"%s | %s\n" % (self._label, shown))
        except (OSError, ValueError):
            # Nobody looks any more.
            self._echo = None
