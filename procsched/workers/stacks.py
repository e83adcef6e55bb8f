"""Where a run's process writes its stacks: on a fatal signal, and when asked.

Imports: nothing of ours.
"""

from __future__ import annotations

import os
import time
from typing import Final

DUMP_SECONDS: Final = 0.2
"""How long a hung run may take to write its stacks before it is killed.

faulthandler needs 2 to 5 ms, also while C code holds the GIL; one whose signal
the job has blocked writes nothing.
"""

STEP_SECONDS: Final = 0.005
"""A dump that has not grown for so long is complete."""

_TEXT_BYTES: Final = 65536
"""Of the dump, for the record: some hundred threads."""


class Stacks:
    """A file that no name leads to, which a keeper shares with what it forks.

    One for all runs of the keeper: faulthandler is set on it once, and what is
    forked has it so.
    """

    def __init__(self) -> None:
        self._fd = _unnamed_file()
        self._bytes = 0
        self.asked_at: float | None = None

    def fileno(self) -> int:
        """Return the descriptor, for faulthandler."""
        return self._fd

    def clear(self) -> None:
        """Make it empty for the next run."""
        self.asked_at = None
        self._bytes = 0
        os.ftruncate(self._fd, 0)
        # The offset is shared with a worker: it was forked with this description.
        os.lseek(self._fd, 0, os.SEEK_SET)

    def waive(self) -> None:
        """Have no dump: nobody is left to read it."""
        self.asked_at = time.monotonic() - DUMP_SECONDS

    def complete(self) -> bool:
        """Return whether the dump that was asked for has come to its end."""
        if self.asked_at is None or time.monotonic() >= self.asked_at + DUMP_SECONDS:
            return True
        size = os.fstat(self._fd).st_size
        grown, self._bytes = size != self._bytes, size
        return size > 0 and not grown

    def text(self) -> str | None:
        """Return what has been written; None if nothing was."""
        data = os.pread(self._fd, _TEXT_BYTES, 0)
        return data.decode("utf-8", "replace") or None


def _unnamed_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("procsched-stacks")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
