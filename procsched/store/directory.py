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
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


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
        self.reports = path / "reports"
        self.history = path / "history.sqlite3"
        self._lock: int | None = None
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for room in (self.logs, self.spools, self.reports):
                room.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(path / _LOCK, _FLAGS, 0o600)
            # SQLite gives its side files the mode of the database.
            os.close(os.open(self.history, _FLAGS, 0o600))
            self._own()
        except OSError as fault:
            self._drop()
            if isinstance(fault, StateDirectoryError):
                raise
            raise StateDirectoryError(
                f"the state directory {str(path)!r} cannot be used: {fault.strerror}",
                remedy=f"Make it writable: chmod u+rwx {fault.filename or path}, or "
                "name another state_dir",
            ) from fault

    def _own(self) -> None:
        lock = self._lock
        assert lock is not None  # noqa: S101 - it has just been opened
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(lock, 32, 0).decode().strip() or "unknown"
            raise StateDirectoryError(
                f"the state directory {str(self.path)!r} has an owner: the "
                f"scheduler of process {owner}",
                remedy="Shut that one down, or name another state_dir",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another scheduler own it."""
        if self._lock is not None:
            # Not by closing alone: a fork may hold the same lock (flock(2)).
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._drop()

    def forked(self) -> None:
        """Leave the ownership to the process this one was forked from."""
        self._drop()

    def _drop(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
