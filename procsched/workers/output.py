"""What a run prints: its head and its tail in a file, the last lines at hand.

A flood is cut in the middle and counted, so it fills neither the disk nor the
memory, and the writer is never kept waiting.

Imports: nothing of ours.
"""

from __future__ import annotations

import os
import select
from typing import Final

LAST_BYTES: Final = 4096
"""Kept at hand for the run's record: about a screen of text."""

TAIL_BYTES: Final = 4 * 1024 * 1024
"""Of the log, at most, written when the run is over: it waits in memory."""

_ECHO_BYTES: Final = 4000
"""Echoed at once: a write of up to PIPE_BUF is not torn (pipe(7))."""


class Output:
    """The log of one run.

    Args:
        path: The log file; None keeps only the last lines.
        cap_bytes: Kept in the file, the tail being up to half of it; None for
            all.
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
        self._tail_room = 0 if cap_bytes is None else min(TAIL_BYTES, cap_bytes // 2)
        # None is room for all that comes.
        self._head_room = None if cap_bytes is None else cap_bytes - self._tail_room
        self._tail = bytearray()
        self._dropped = 0
        self._last = b""
        self._echo = echo
        self._prefix = label.encode("utf-8", "backslashreplace") + b" | "
        self._line = b""
        self.faults: list[str] = []

    @property
    def dropped_bytes(self) -> int:
        """How much of the middle was left out, once the log is closed."""
        return self._dropped

    @property
    def last_lines(self) -> str:
        """The end of the output, as text."""
        return self._last.decode("utf-8", "replace")

    def take(self, data: bytes) -> None:
        """Take in what the run printed."""
        self._last = (self._last + data)[-LAST_BYTES:]
        if self._echo is not None:
            self._echo_lines(data)
        if self._head_room is None:
            self._write(data)
            return
        head = data[: self._head_room]
        self._head_room -= len(head)
        self._write(head)
        self._tail += data[len(head) :]
        if len(self._tail) > 2 * self._tail_room:
            self._trim()

    def _trim(self) -> None:
        """Drop what is not the tail any more."""
        extra = max(0, len(self._tail) - self._tail_room)
        self._dropped += extra
        del self._tail[:extra]

    def close(self) -> None:
        """Write the tail behind the head and close the file."""
        if self._line and self._echo is not None:
            self._echo_block(self._labelled(self._line))
        self._line = b""
        self._trim()
        if self._dropped:
            self._write(b"\n[... %d bytes left out ...]\n" % self._dropped)
        self._write(bytes(self._tail))
        self._tail.clear()
        # What a worker prints between two runs is nobody's.
        self._path = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        if self._path is None or not data:
            return
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
        if len(self._line) > _ECHO_BYTES:
            lines.append(self._line)
            self._line = b""
        block = b""
        for line in map(self._labelled, lines):
            if len(block) + len(line) > _ECHO_BYTES:
                self._echo_block(block)
                block = b""
            block += line
        self._echo_block(block)

    def _labelled(self, line: bytes) -> bytes:
        shown = line.rstrip(b"\r").replace(b"\x1b", b"\\x1b")
        room = _ECHO_BYTES - len(self._prefix) - 1
        return b"%s%s\n" % (self._prefix, shown[:room])

    def _echo_block(self, block: bytes) -> None:
        """Copy lines, if the terminal or pipe takes them without waiting."""
        if self._echo is None or not block:
            return
        try:
            if select.select([], [self._echo], [], 0)[1]:
                os.write(self._echo, block)
        except (OSError, ValueError):
            # Nobody looks any more.
            self._echo = None
