"""What a process of ours takes on before it works: streams, signals, surroundings.

The fork server and a keeper that was spawned begin with what the host left open,
ignored or blocked; afterwards both are the same whatever the host was like, and
so is everything that is forked from them.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Final

from procsched.workers import preload
from procsched.workers.ground import Ground
from procsched.workers.linux import become_subreaper, open_pidfd
from procsched.workers.stale import sweep_stale

if TYPE_CHECKING:
    from procsched.workers.channel import Frame

_STANDARD: Final = 3
"""Descriptors below are stdin, stdout and stderr."""


def find_footing(*given: int) -> tuple[int, ...]:
    """Become a process of ours; return the given descriptors, out of the way."""
    os.setsid()  # Ctrl-C in the terminal is for the supervisor alone.
    lines = tuple(_above_standard(fd) for fd in given)
    _fill_standard(set(given))
    become_subreaper()
    _settle_signals()
    return lines


def _above_standard(fd: int) -> int:
    """Return a descriptor for the same that is no standard stream.

    A host that runs with its standard streams closed gives their numbers away.
    """
    if fd >= _STANDARD:
        # It was made inheritable on its way here, and a program that a run becomes
        # has no use for it.
        os.set_inheritable(fd, False)
        return fd
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STANDARD)


def _fill_standard(taken: set[int]) -> None:
    """Read nothing; write where the host writes, or nowhere if it is closed.

    Args:
        taken: Descriptors that have other uses, whatever their number.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(_STANDARD):
        try:
            inherited = fd > 0 and fd not in taken and os.get_inheritable(fd)
        except OSError:
            inherited = False
        if not inherited:
            os.dup2(null, fd)
    if null >= _STANDARD:
        os.close(null)


def _settle_signals() -> None:
    """Set what a run has, and ignore what only a run shall hear.

    Undoes what the host had set: ignored and blocked signals survive exec.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # An ignored SIGCHLD would throw every exit status away (wait4(2)).
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    # SIGXFSZ ignored shows as OSError in a job, as Python means it (EFBIG).
    ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    # Blocked and not ignored: a stop that comes between the fork of a run and its
    # handler is kept for it (signal(7)).
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGTERM])


def settle_in(frame: Frame) -> None:
    """Take on the scheduler's directory and environment, and get ready to fork.

    Sent and not inherited: what is made later than another is the same.
    """
    with contextlib.suppress(OSError):
        # The scheduler's directory has been removed; a run is told by its job.
        os.chdir(frame["directory"])
    os.environ.clear()
    os.environ.update(frame["environment"])
    # Done once, here, and not in every run: the import, and the reading of every
    # directory that modules are found in.
    preload.settle_outlet(frame["outlet"])
    preload.settle_path(frame["path"])
    PathFinder.find_spec("no module has this name")
    freeze()


def find_ground(surroundings: Frame) -> Ground:
    """Return where cgroups can be made, freed of those whose owners are gone."""
    if not surroundings["cgroups"]:
        return Ground()
    ground = Ground.find()
    with contextlib.suppress(OSError):
        # Somebody else does the same.
        sweep_stale(ground)
    return ground


def freeze() -> None:
    """Let no collection touch what is shared with everything that is forked."""
    gc.collect()
    gc.freeze()
    gc.disable()


class Lifeline:
    """The supervisor, as those look at it who must not outlive it.

    Its end is not the end of a channel: a process that the host has forked holds
    its channels open for as long as it lives.

    Args:
        pid: Of the supervisor, which is this process's parent.
    """

    def __init__(self, pid: int) -> None:
        self._pidfd = open_pidfd(pid)
        self._gone = os.getppid() != pid

    def fileno(self) -> int | None:
        """Return what is readable when it is dead; None if nothing can be."""
        return self._pidfd

    @property
    def cut(self) -> bool:
        """Whether the supervisor is dead, as far as can be told."""
        if self._pidfd is None or self._gone:
            return self._gone
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))


def rename(name: str) -> None:
    """Show another name of the same length in the command line (proc(5)).

    Whatever is forked from now on shows it too, wherever it hides.
    """
    if _place is not None and len(name) == _place[1]:
        import ctypes

        ctypes.memmove(_place[0], name.encode(), len(name))


_place: tuple[int, int] | None = None
"""Address and length of the name in the command line, once it has been found."""


def find_name(name: str) -> None:
    """Find the name in this process's command line, for `rename`."""
    global _place  # noqa: PLW0603 - one process has one command line
    try:
        with open("/proc/self/cmdline", "rb") as file:  # noqa: PTH123 - light
            words = file.read()
        with open("/proc/self/stat", encoding="utf-8") as file:  # noqa: PTH123
            numbers = file.read().rpartition(")")[2].split()
    except OSError:
        return
    # Field 48, arg_start; the split begins at field 3.
    start, offset = int(numbers[45]), words.rfind(name.encode())
    if sys.platform == "linux" and start and offset >= 0:
        _place = (start + offset, len(name))
