"""A multiprocessing context whose processes tell the truth about their end.

Differs from the stock `spawn` in five things.  It starts no resource tracker and
settles no start method, so nothing of ours is left in the host.  It does not
execute the user's `__main__` in the new process, which is a keeper and runs no
user code.  Its sentinel is a pidfd: the stock one stays silent while a daemon
holds it and fires early when the child closes its descriptors (cpython issue
79838).  It reaps with wait4(2), so the resource usage is there with the exit code.
And the process bears its name in its command line, where everything it forks
shows it too.

Imports: workers.linux.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import sys
from contextlib import ExitStack
from multiprocessing import context, popen_fork, process, reduction, spawn, util
from multiprocessing import popen_spawn_posix as stock
from typing import TYPE_CHECKING, Any, Final

from procsched.workers.linux import open_pidfd, send_signal

if TYPE_CHECKING:
    import resource

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
        pickled = io.BytesIO()
        context.set_spawning_popen(self)  # type: ignore[arg-type]
        try:
            reduction.dump(_preparation(process_obj.name), pickled)
            reduction.dump(process_obj, pickled)
        finally:
            context.set_spawning_popen(None)
        with ExitStack() as opened:
            child_read, parent_write = _pipe(opened)
            parent_read, child_write = _pipe(opened)
            command = spawn.get_command_line(pipe_handle=child_read, tracker_fd=None)
            self.pid = util.spawnv_passfds(
                os.fsencode(spawn.get_executable()),
                # Not from the working directory (-P), where a file may bear the name
                # of a module that comes with Python, or which may be gone.
                [command[0], "-P", *command[1:], process_obj.name],
                [*self._fds, child_read, child_write],
            )
            pidfd = self._pidfd = open_pidfd(self.pid)
            # Without pidfd: closed with the child, which keeps it from what it forks.
            self.sentinel = os.dup(parent_read) if pidfd is None else pidfd
            with (
                contextlib.suppress(BrokenPipeError),
                open(parent_write, "wb", closefd=False) as pipe,
            ):
                # Dead already, which the sentinel tells.
                pipe.write(pickled.getbuffer())
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

    def _send_signal(self, sig: int) -> None:
        if self.returncode is None:
            send_signal(self._pidfd, self.pid, sig)


def _pipe(opened: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    opened.callback(os.close, read)
    opened.callback(os.close, write)
    return read, write


def _preparation(name: str) -> dict[str, Any]:
    """Return what spawn's child sets up before it unpickles the process.

    As `spawn.get_preparation_data`, without the user's `__main__`, without the
    working directory, which may be gone, and without asking for the start method:
    that question alone makes a later `set_start_method` in the host fail.
    """
    return {
        "name": name,
        "log_to_stderr": False,
        "authkey": process.current_process().authkey,
        "sys_path": [each or process.ORIGINAL_DIR for each in sys.path],  # type: ignore[attr-defined]
        "sys_argv": sys.argv,
        "orig_dir": process.ORIGINAL_DIR,  # type: ignore[attr-defined]
    }


class KeeperProcess(process.BaseProcess):
    """A process of the keeper's kind.

    It is not among `multiprocessing.active_children()`: the host's own exit
    joins those for ever, and any `Process.start()` in the host reaps them.
    """

    _start_method = None

    @staticmethod
    def _Popen(process_obj: process.BaseProcess) -> KeeperPopen:  # noqa: N802
        return KeeperPopen(process_obj)

    def start(self) -> None:
        """Start it, outside the host's own bookkeeping.

        The base class would reap the host's other children first, refuse to work
        in a daemonic process, and list this one among the host's own.
        """
        self._popen = self._Popen(self)
        self._sentinel = self._popen.sentinel
        # Lets go of the descriptors that were on their way (bpo-30775).
        del self._target, self._args, self._kwargs  # type: ignore[attr-defined]


class ForkedPopen:
    """What another process of ours has forked, by its pidfd.

    Its exit status is its parent's; whether it lives is everybody's to see.

    Args:
        pidfd: Owned from now on.
    """

    method = "fork server"

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.sentinel = pidfd
        self.returncode: int | None = None
        self.finalizer = util.Finalize(self, util.close_fds, (pidfd,))  # type: ignore[attr-defined]

    def poll(self, _flag: int = os.WNOHANG) -> int | None:
        """Return an exit code once it is dead, which nobody here knows."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its death; None if it lives on."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self.sentinel, select.POLLIN)
            if poll.poll(None if timeout is None else timeout * 1000):
                self.returncode = STATUS_STOLEN
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        send_signal(self.sentinel, self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        send_signal(self.sentinel, self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Give back the descriptor."""
        self.finalizer()


class ForkedProcess(process.BaseProcess):
    """A process of the keeper's kind that a fork server has made.

    Args:
        name: As in its command line.
        pidfd: Of the process; owned from now on.
    """

    _start_method = None

    def __init__(self, name: str, pid: int, pidfd: int) -> None:
        super().__init__(name=name)
        self._popen = ForkedPopen(pid, pidfd)
        self._sentinel = pidfd


class KeeperContext(context.BaseContext):
    """The context: `get_context()`-like, with the processes above."""

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
