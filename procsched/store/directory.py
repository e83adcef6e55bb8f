"""The state directory: one owner at a time, nobody else's eyes.

Imports: errors.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from procsched.errors import StateDirectoryError

if TYPE_CHECKING:
    from pathlib import Path

_LOCK: Final = "owner.lock"


class StateDirectory:
    """A directory for history, spools and logs, owned from now on.

    Args:
        path: Made, with its parents, when it is not there; mode 0700.

    Raises:
        StateDirectoryError: If it cannot be made or written, or has an owner.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / "runs"
        self.spools = path / "spools"
        self.history = path / "history.sqlite3"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for room in (self.logs, self.spools):
                room.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as fault:
            raise StateDirectoryError(
                f"the state directory {str(path)!r} cannot be used: {fault.strerror}",
                remedy=f"Make it writable: chmod u+rwx {fault.filename or path}, or "
                "name another state_dir",
            ) from fault
        self._own()

    def _own(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._lock, 32, 0).decode().strip() or "unknown"
            os.close(self._lock)
            raise StateDirectoryError(
                f"the state directory {str(self.path)!r} has an owner: the "
                f"scheduler of process {owner}",
                remedy="Shut that one down, or name another state_dir",
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another scheduler own it."""
        os.close(self._lock)
