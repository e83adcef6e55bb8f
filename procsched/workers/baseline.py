"""What a worker was before its first run, and is again before each next one.

What a run changed is put back where that can be done; where it cannot, the
worker goes with the run and the next one finds a new worker.  Child processes
are not looked for here: the keeper kills what is left of them, and it alone
sees those that hide.  Handlers that C code installs behind Python's back, and
the state of random and its like, are the job's own affair.

Every run of a sequence pays for the comparison, so it is made of few calls, some
30 us in all (scripts/bench/isolation); what is found changed may cost more.

Imports: workers.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import contextlib
import gc
import os
import signal
import sys
import time
from typing import Any, Final

from procsched.workers import rlimits
from procsched.workers.interpreter import Dial, Interpreter
from procsched.workers.linux import open_descriptors

_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)

_RUN_VARIABLES: Final = tuple(
    os.fsencode(f"PROCSCHED_{name}")
    for name in ("RUN_ID", "JOB", "NOMINAL_TIME", "ATTEMPT")
)
"""Set anew by each run; between two they are nobody's."""

_SIGNALS: Final = tuple(
    sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
)

Descriptors = dict[int, tuple[int, int]]


class Baseline:
    """The state of this process when it was made."""

    def __init__(self) -> None:
        # By descriptor, since the path may be gone by the time it is needed.
        self._directory = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        self._limits_file = _open_limits()
        self._limits = (rlimits.snapshot(), self._read_limits())
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._environment = dict(_environment())
        self._handlers = _handlers()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self._dials = [(read, turn, read()) for read, turn in _dials()]
        self._interpreter = Interpreter()
        self._modules = len(sys.modules)
        self._note_things()

    def _note_things(self) -> None:
        """Write down what is open and what runs."""
        self._threads = _thread._count()  # noqa: SLF001 - counts raw threads as well
        self._descriptors = _descriptors()
        # st_size counts them since Linux 6.2; before, it says nothing.
        self._counted = _count_descriptors() == len(self._descriptors)

    def settle(self) -> None:
        """Take what importing the job's modules has changed as the baseline.

        Called between the import and `goal()`: modules are imported once in a
        worker's life, so that their log handlers, filters, hooks, variables,
        connections and threads must outlast the run that brought them.  What a
        module did to the directory, the umask or the limits is still undone.
        """
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        self._interpreter.settle()
        self._environment = dict(_environment())
        asked = self._handlers[signal.SIGTERM]
        # The one of now is the run's own way to be asked to stop.
        self._handlers = {**_handlers(), signal.SIGTERM: asked}
        self._note_things()

    def put_back(self) -> str | None:
        """Undo what a run changed; return what could not be undone."""
        count = _thread._count() - self._threads  # noqa: SLF001 - as above
        if count > 0:
            return f"{count} threads were left running"
        try:
            for read, turn, value in self._dials:
                if read() != value:
                    turn(value)
            os.fchdir(self._directory)
            os.umask(self._umask)
            self._interpreter.put_back()
            self._put_back_environment()
            self._put_back_signals()
            self._put_back_limits()
        except Exception as fault:  # noqa: BLE001 - the border of the child's entry
            # A limit or a user that only root may set again; a directory that the
            # job has closed; an object of the job's that cannot even be compared.
            return f"its state could not be put back ({type(fault).__name__}: {fault})"
        return self._compare_descriptors()

    def _put_back_environment(self) -> None:
        kept, now = self._environment, _environment()
        for name in _RUN_VARIABLES:
            if name in now:
                kept[name] = now[name]
        if now == kept:
            return
        zone = now.get(b"TZ")
        for name in now.keys() - kept.keys():
            del os.environ[os.fsdecode(name)]
        for name, value in kept.items():
            if now.get(name) != value:
                os.environ[os.fsdecode(name)] = os.fsdecode(value)
        if zone != kept.get(b"TZ"):
            # The C library remembers it (tzset(3)).
            time.tzset()

    def _put_back_signals(self) -> None:
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        signal.set_wakeup_fd(-1)
        if (now := _handlers()) != self._handlers:
            for number, handler in self._handlers.items():
                if handler is not now[number]:
                    # None is a handler that C code installed: signal() refuses it.
                    signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _put_back_limits(self) -> None:
        limits, text = self._limits
        if not text or self._read_limits() != text:
            rlimits.put_back(limits)

    def _read_limits(self) -> bytes:
        """Return all limits as the kernel tells them, in one call; or nothing."""
        # 2,048: it writes some 1,300 bytes (proc_pid_limits(5)).
        if self._limits_file is None:
            return b""
        return os.pread(self._limits_file, 2048, 0)

    def _compare_descriptors(self) -> str | None:
        if self._all_in_place():
            return None
        # An open file may only be waiting for the collector.
        gc.collect()
        now = _descriptors()
        if now == self._descriptors:
            return None
        if any(now.get(fd) != file for fd, file in self._descriptors.items()):
            return "descriptors that are not the job's were closed"
        return f"{len(now) - len(self._descriptors)} descriptors were left open"

    def _all_in_place(self) -> bool:
        """Whether each is what it was, and there is no other: by number of them."""
        if not self._counted:
            return _descriptors() == self._descriptors
        if _count_descriptors() != len(self._descriptors):
            return False
        try:
            for fd, file in self._descriptors.items():
                status = os.fstat(fd)
                if (status.st_dev, status.st_ino) != file:
                    return False
        except OSError:
            return False
        return True


def reap_children() -> None:
    """Take the exit status of what a run left and the keeper has killed."""
    with contextlib.suppress(ChildProcessError):
        # No children at all.
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _dials() -> list[Dial]:
    """Return settings of the process; the user first, whose right the others are."""
    found: list[Dial] = []
    if hasattr(os, "getresuid"):
        found.append((os.getresuid, lambda users: os.setresuid(*users)))
        found.append((os.getresgid, lambda groups: os.setresgid(*groups)))
        found.append((os.getgroups, os.setgroups))
    if hasattr(os, "sched_getaffinity"):
        found.append(
            (
                lambda: os.sched_getaffinity(0),
                lambda cpus: os.sched_setaffinity(0, cpus),
            )
        )
    found.append(
        (
            lambda: os.getpriority(os.PRIO_PROCESS, 0),
            lambda nice: os.setpriority(os.PRIO_PROCESS, 0, nice),
        )
    )
    return found


def _environment() -> dict[bytes, bytes]:
    # Its dict: reading it through os.environ decodes every word, at 16 us.
    return os.environ._data  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001


def _handlers() -> dict[int, Any]:
    # The module of C: the one in Python makes an enum of each answer, at 30 us.
    return dict(zip(_SIGNALS, map(_signal.getsignal, _SIGNALS), strict=True))


def _open_limits() -> int | None:
    try:
        return os.open("/proc/self/limits", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _count_descriptors() -> int:
    try:
        return os.stat("/proc/self/fd").st_size  # noqa: PTH116 - fast
    except OSError:
        return -1


def _descriptors() -> Descriptors:
    """Return what each open descriptor stands for; empty where nobody can say."""
    found: Descriptors = {}
    for fd in open_descriptors() or ():
        with contextlib.suppress(OSError):
            # The one they were listed through is closed again.
            status = os.fstat(fd)
            found[fd] = (status.st_dev, status.st_ino)
    return found
