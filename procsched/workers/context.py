"""A multiprocessing context whose processes tell the truth about their end.

Differs from the stock `spawn` in six things.  It starts no resource tracker and
settles no start method, so nothing of ours is left in the host.  It does not
execute the user's `__main__` in the new process, which runs no user code.  Its
sentinel is a pidfd: the stock one stays silent while a daemon holds it and fires
early when the child closes its descriptors (cpython issue 79838).  It reaps with
wait4(2), so the resource usage is there with the exit code.  The process bears its
name in its command line, where everything it forks shows it too.  And it is thin:
multiprocessing itself is not imported there (see workers.boot).

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
from typing import TYPE_CHECKING, Any, Final

from procsched.workers.linux import open_pidfd, send_signal

if TYPE_CHECKING:
    import resource

STATUS_STOLEN: Final = 255
"""Exit code of a child whose status another part of the host took (waitpid(2))."""


class KeeperPopen(popen_fork.Popen):
    """Starts a fresh interpreter; fork and exec in one step (_posixsubprocess)."""

    method = "spawn"

    def __init__(self, process_obj: process.BaseProcess) -> None:
        self._fds: list[int] = []
        self.rusage: resource.struct_rusage | None = None
        super().__init__(process_obj)

    def duplicate_for_child(self, fd: int) -> int:
        """Let the child inherit a descriptor under its number."""
        self._fds.append(fd)
        return fd

    def _launch(self, process_obj: Any) -> None:
        context.set_spawning_popen(self)  # type: ignore[arg-type]
        try:
            order = _order_for(process_obj)
        finally:
            context.set_spawning_popen(None)
        with ExitStack() as opened:
            child_read, parent_write = _pipe(opened)
            parent_read, child_write = _pipe(opened)
            self.pid = util.spawnv_passfds(
                os.fsencode(spawn.get_executable()),
                _command_line(child_read, process_obj.name),
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
                pipe.write(order)
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


def _command_line(order: int, name: str) -> list[str]:
    program = f"from procsched.workers.boot import main; main({order})"
    # Not from the working directory (-P), where a file may bear the name of a module
    # that comes with Python, or which may be gone; but wherever we have been found.
    home = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    program = f"import sys; sys.path.insert(0, {home!r}); {program}"
    # As multiprocessing does: -W, -X, -I and their like as this interpreter has them.
    flags = util._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [spawn.get_executable(), "-P", *flags, "-c", program, name]


def _order_for(process_obj: Any) -> bytes:
    """Return what `boot.main` reads."""
    path = [each or process.ORIGINAL_DIR for each in sys.path]  # type: ignore[attr-defined]
    told = io.BytesIO()
    reduction.dump((path, sys.argv), told)
    reduction.dump(process_obj.order, told)
    return told.getvalue()


class KeeperProcess(process.BaseProcess):
    """A process of the keeper's kind.

    It is not among `multiprocessing.active_children()`: the host's own exit
    joins those for ever, and any `Process.start()` in the host reaps them.
    """

    _start_method = None

    @property
    def order(self) -> tuple[Any, ...]:
        """What the process is to do: a function and its arguments."""
        return self._target, self._args, self._kwargs  # type: ignore[attr-defined]

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
    """A descriptor on its way into a process that is being started.

    It arrives as its number.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        # The process it reaches has no need of this module: a number will do there.
        popen: Any = context.get_spawning_popen()
        return int, (popen.duplicate_for_child(self._fd),)
