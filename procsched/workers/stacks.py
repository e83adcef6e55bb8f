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

STEP_SECONDS: Final = 0.01
"""A dump that has not grown for so long is complete."""

_TEXT_BYTES: Final = 65536
"""Of the dump, for the record: some hundred threads."""


class Stacks:
    """The file, which the process shares and no name leads to.

    Args:
        fd: Owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._bytes = 0
        self.asked_at: float | None = None

    def clear(self) -> None:
        """Make it empty for the next run of the same process."""
        self.asked_at = None
        self._bytes = 0
        os.ftruncate(self._fd, 0)
        # The process shares the offset: it was forked with this description.
        os.lseek(self._fd, 0, os.SEEK_SET)

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

    def close(self) -> None:
        """Give back the descriptor."""
        os.close(self._fd)
