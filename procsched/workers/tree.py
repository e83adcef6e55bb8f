"""Every process below this one: found, killed, reaped, until none is left.

Works in a process that is a subreaper and runs nothing else, so whatever is
below it belongs to the run.  Where there is no subreaper, what has left the tree
is out of sight here and the caller's last resort is psutil.

Imports: workers.linux.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from procsched.workers.linux import open_pidfd, send_signal

if TYPE_CHECKING:
    import resource
    from collections.abc import Iterable

SWEEP_SECONDS: Final = 5.0
"""How long a sweep goes on; what survives SIGKILL that long is unkillable."""

TRACKER_SECONDS: Final = 4.0
"""How long multiprocessing's resource tracker may take to clear up.

It leaves by itself, in some 20 ms, once nobody holds its pipe, and may have to
start first, an interpreter on a busy host; killed earlier it would leave shared
memory and semaphores in /dev/shm.
"""

_FILE_BYTES: Final = 1024 * 1024
"""Of a file in /proc, at most; 100,000 children."""

_PAGE_SECONDS: Final = 0.02

_TRACKER: Final = b"multiprocessing.resource_tracker"


@dataclass(slots=True)
class Sweep:
    """What a sweep found.

    Attributes:
        struck: Processes that were still alive, and were killed.
        unkillable: Processes that survived SIGKILL.
        reaped: Resource usage of each process that ended, with its pid.
        statuses: Wait status by pid.
    """

    struck: set[int] = field(default_factory=set)
    unkillable: list[int] = field(default_factory=list)
    reaped: list[tuple[int, resource.struct_rusage]] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


def children(pid: int) -> list[int]:
    """Return the pids of a process's children, zombies included (proc(5))."""
    tasks = f"/proc/{pid}/task"
    found: list[int] = []
    try:
        for task in os.listdir(tasks):  # noqa: PTH208 - every child loads this module
            found += map(int, _read(f"{tasks}/{task}/children").split())
    except FileNotFoundError:
        # The process, or one of its threads, is gone; or a kernel without
        # CONFIG_PROC_CHILDREN, or no /proc at all.
        return found or _children_by_psutil(pid)
    except OSError:
        # Gone in the middle (ESRCH), or no descriptor left to look with; whoever
        # sweeps looks again.
        return found
    return found


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _FILE_BYTES)
    finally:
        os.close(fd)


def _children_by_psutil(pid: int) -> list[int]:
    import psutil

    try:
        return [each.pid for each in psutil.Process(pid).children()]
    except (psutil.Error, OSError):
        return []


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below a process."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [below for each in level for below in children(each)]
    return found


def start_ticks(pid: int) -> int | None:
    """Return when a process was made, in clock ticks since boot; None if gone.

    With the pid that names one process for good (proc(5), starttime).
    """
    try:
        return int(_read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


def is_zombie(pid: int) -> bool:
    """Return whether a process is dead and only waits to be reaped."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except FileNotFoundError:
        return os.path.exists("/proc/self") or _is_zombie_by_psutil(pid)  # noqa: PTH110
    except ProcessLookupError:
        return True
    return stat.rpartition(b")")[2].split()[0] in b"ZX"


def _is_zombie_by_psutil(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def reap(sweep: Sweep) -> bool:
    """Take the exit status of every child that is dead, without waiting.

    Returns:
        Whether this process has no child left.
    """
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            return False
        sweep.statuses[pid] = status
        sweep.reaped.append((pid, usage))


def sweep_descendants(sweep: Sweep, *, spare: int | None = None) -> None:
    """Kill and reap everything below this process, except the one spared.

    Args:
        sweep: Filled in.
        spare: A child that lives on; what is below it does not.
    """
    end = time.monotonic() + SWEEP_SECONDS
    trackers_end: float | None = None
    while not reap(sweep):
        if spare is not None and _alone(spare, sweep):
            break
        alive = _alive(spare)
        now = time.monotonic()
        if now > end:
            sweep.unkillable = alive
            break
        victims = [pid for pid in alive if not is_tracker(pid)]
        if victims:
            _strike(victims, sweep.struck)
            continue
        if trackers_end is None:
            trackers_end = now + TRACKER_SECONDS
        if alive and now <= trackers_end:
            _await_any(alive)
        elif alive:
            _strike(alive, sweep.struck)
        elif children(os.getpid()) == [spare]:
            # Below the spared there are zombies, and its own tracker.
            break
        else:
            # That nothing is left is not for this list to say: a dead main thread
            # is a zombie whose other threads live on.
            rest = [pid for pid in descendants(os.getpid()) if pid != spare]
            _strike(rest, set())


def _alone(spare: int, sweep: Sweep) -> bool:
    """Whether nothing is left but the spared process, which has nothing below.

    The list of children is exact here though it need not be in general (proc(5)):
    it loses none while it is read, since only we reap them, and who came to it
    came from one that was in it.
    """
    before = len(sweep.statuses)
    if children(os.getpid()) != [spare] or children(spare):
        return False
    reap(sweep)
    return len(sweep.statuses) == before


def _alive(spare: int | None) -> list[int]:
    """Return what is below this process, without the spared and its tracker."""
    spared = set() if spare is None else {spare}
    if spare is not None:
        spared.update(filter(is_tracker, children(spare)))
    below = descendants(os.getpid())
    return [pid for pid in below if pid not in spared and not is_zombie(pid)]


def is_tracker(pid: int) -> bool:
    """Return whether a process is multiprocessing's resource tracker."""
    try:
        return _TRACKER in _read(f"/proc/{pid}/cmdline")
    except OSError:
        return False


def _strike(pids: Iterable[int], struck: set[int]) -> None:
    """Kill processes and wait a moment for a death."""
    with ExitStack() as opened:
        poll = select.poll()
        for pid in pids:
            pidfd = open_pidfd(pid)
            if pidfd is not None:
                opened.callback(os.close, pidfd)
                poll.register(pidfd, select.POLLIN)
            if send_signal(pidfd, pid, signal.SIGKILL):
                struck.add(pid)
        poll.poll(_PAGE_SECONDS * 1000)


def _await_any(pids: Iterable[int]) -> None:
    """Wait a moment, or until one of the processes is dead."""
    with ExitStack() as opened:
        poll = select.poll()
        for pid in pids:
            pidfd = open_pidfd(pid)
            if pidfd is not None:
                opened.callback(os.close, pidfd)
                poll.register(pidfd, select.POLLIN)
        poll.poll(_PAGE_SECONDS * 1000)
