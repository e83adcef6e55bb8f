"""A multiprocessing context whose processes tell the truth about their end.

Differs from the stock `spawn` in four things.  It starts no resource tracker,
so nothing of ours is left in the host.  It does not execute the user's
`__main__` in the new process, which is a keeper and runs no user code.  Its
sentinel is a pidfd: the stock one stays silent while a daemon holds it and fires
early when the child closes its descriptors (cpython issue 79838).  And it reaps
with wait4(2), so the resource usage is there with the exit code.

Imports: workers.linux.
"""

from __future__ import annotations

import io
import os
from multiprocessing import context, popen_fork, process, reduction, spawn, util
from multiprocessing import popen_spawn_posix as stock
from typing import TYPE_CHECKING, Any, Final

from procsched.workers.linux import open_pidfd

if TYPE_CHECKING:
    import resource

_MAIN_KEYS: Final = ("init_main_from_name", "init_main_from_path")

STATUS_STOLEN: Final = 255
"""Exit code of a child whose status another part of the host took (waitpid(2))."""


class KeeperPopen(popen_fork.Popen):
    """Starts a fresh interpreter; fork and exec in one step (_posixsubprocess)."""

    method = "spawn"
    DupFd = stock._DupFd  # noqa: SLF001 - spawn's own

    def __init__(self, process_obj: process.BaseProcess) -> None:
        self._fds: list[int] = []
        self.rusage: resource.struct_rusage | None = None
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Let the child inherit a descriptor under its number."""
        self._fds.append(fd)
        return fd

    def _launch(self, process_obj: process.BaseProcess) -> None:
        preparation = spawn.get_preparation_data(process_obj.name)
        for key in _MAIN_KEYS:
            preparation.pop(key, None)
        pickled = io.BytesIO()
        context.set_spawning_popen(self)  # type: ignore[arg-type]
        try:
            reduction.dump(preparation, pickled)
            reduction.dump(process_obj, pickled)
        finally:
            context.set_spawning_popen(None)
        child_read, parent_write = os.pipe()
        try:
            command = spawn.get_command_line(pipe_handle=child_read, tracker_fd=None)
            self.pid = util.spawnv_passfds(
                os.fsencode(spawn.get_executable()),
                command,
                [*self._fds, child_read],
            )
            pidfd = open_pidfd(self.pid)
            with open(parent_write, "wb", closefd=False) as pipe:
                pipe.write(pickled.getbuffer())
        finally:
            os.close(child_read)
        if pidfd is None:
            # The pipe's far end closes with the child, on systems without pidfd.
            self.sentinel = parent_write
        else:
            os.close(parent_write)
            self.sentinel = pidfd
        self.finalizer = util.Finalize(self, util.close_fds, (self.sentinel,))  # type: ignore[attr-defined]

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Return the exit code, negative for a signal; None while it lives."""
        if self.returncode is None:
            try:
                pid, status, usage = os.wait4(self.pid, flag)
            except ChildProcessError:
                # Somebody in the host waits for every child: the code is gone.
                self.returncode = STATUS_STOLEN
                return self.returncode
            if pid == self.pid:
                self.rusage = usage
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class KeeperProcess(process.BaseProcess):
    """A process of the keeper's kind.

    It is not among `multiprocessing.active_children()`: the host's own exit
    joins those for ever, and any `Process.start()` in the host reaps them.
    """

    _start_method = "spawn"

    @staticmethod
    def _Popen(process_obj: process.BaseProcess) -> KeeperPopen:  # noqa: N802
        return KeeperPopen(process_obj)

    def start(self) -> None:
        """Start it, and keep it out of the host's own bookkeeping."""
        super().start()
        process._children.discard(self)  # type: ignore[attr-defined]  # noqa: SLF001


class KeeperContext(context.BaseContext):
    """The context: `get_context()`-like, with the process above."""

    _name = "procsched"
    Process: Any = KeeperProcess


class Inherited:
    """A descriptor on its way into a process that is being started."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def detach(self) -> int:
        """Return the descriptor, in the process that it has reached."""
        return self._fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _detachable, (reduction.DupFd(self._fd),)


def _detachable(duplicate: Any) -> Any:
    return duplicate
