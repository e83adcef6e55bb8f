"""What a worker was before its first run, and is again before each next one.

What a run changed is put back where that can be done; where it cannot, the
worker goes with the run and the next one finds a new worker.

Imports: workers.
"""

from __future__ import annotations

import _thread
import contextlib
import gc
import os
import signal
import sys
from typing import Any, Final

from procsched.workers import rlimits
from procsched.workers.linux import open_descriptors

_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)

Descriptors = dict[int, tuple[int, int]]


class Baseline:
    """The state of this process when it was made."""

    def __init__(self) -> None:
        # By descriptor, since the path may be gone by the time it is needed.
        self._directory = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._environment = dict(os.environ)
        self._path = list(sys.path)
        self._handlers = _handlers()
        self._hooks = (sys.excepthook, sys.displayhook, sys.unraisablehook)
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._cpus = _cpus()
        self._limits = rlimits.snapshot()
        self._descriptors = _descriptors()

    def put_back(self) -> str | None:
        """Undo what a run changed; return what could not be undone."""
        if count := _thread._count():  # noqa: SLF001 - counts raw threads as well
            return f"{count} threads were left running"
        try:
            os.fchdir(self._directory)
            os.umask(self._umask)
            if dict(os.environ) != self._environment:
                os.environ.clear()
                os.environ.update(self._environment)
            sys.path[:] = self._path
            sys.excepthook, sys.displayhook, sys.unraisablehook = self._hooks
            self._put_back_signals()
            if _cpus() != self._cpus:
                os.sched_setaffinity(0, self._cpus)
            if os.getpriority(os.PRIO_PROCESS, 0) != self._nice:
                os.setpriority(os.PRIO_PROCESS, 0, self._nice)
            rlimits.put_back(self._limits)
        except (OSError, ValueError, TypeError) as fault:
            # A limit or a priority that only root may raise again; a directory
            # descriptor that the job has closed.
            return f"its state could not be put back ({type(fault).__name__}: {fault})"
        return self._compare_descriptors()

    def _put_back_signals(self) -> None:
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        for number, handler in _handlers().items():
            if handler is not self._handlers[number]:
                # None is a handler that C code installed: signal() refuses it.
                signal.signal(number, self._handlers[number])
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _compare_descriptors(self) -> str | None:
        if _descriptors() != self._descriptors:
            # An open file may only be waiting for the collector.
            gc.collect()
        now = _descriptors()
        if now == self._descriptors:
            return None
        if any(now.get(fd) != file for fd, file in self._descriptors.items()):
            return "descriptors that are not the job's were closed"
        return f"{len(now) - len(self._descriptors)} descriptors were left open"


def reap_children() -> None:
    """Take the exit status of what a run left and the keeper has killed."""
    with contextlib.suppress(ChildProcessError):
        # No children at all.
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _handlers() -> dict[signal.Signals | int, Any]:
    fixed = {signal.SIGKILL, signal.SIGSTOP}
    return {each: signal.getsignal(each) for each in signal.valid_signals() - fixed}


def _cpus() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _descriptors() -> Descriptors:
    """Return what each open descriptor stands for; empty where nobody can say."""
    found: Descriptors = {}
    for fd in open_descriptors() or ():
        with contextlib.suppress(OSError):
            # The one they were listed through is closed again.
            status = os.fstat(fd)
            found[fd] = (status.st_dev, status.st_ino)
    return found
