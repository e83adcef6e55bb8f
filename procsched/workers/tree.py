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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procsched.workers.linux import open_pidfd, send_signal

if TYPE_CHECKING:
    import resource

SWEEP_SECONDS: Final = 5.0
"""How long a sweep goes on; what survives SIGKILL that long is unkillable."""

_PAGE_SECONDS: Final = 0.02


@dataclass(slots=True)
class Sweep:
    """What a sweep found.

    Attributes:
        killed: Processes that were still alive.
        unkillable: Processes that survived SIGKILL.
        reaped: Resource usage of each process that ended.
        statuses: Wait status by pid.
    """

    killed: int = 0
    unkillable: list[int] = field(default_factory=list)
    reaped: list[resource.struct_rusage] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


def children(pid: int) -> list[int]:
    """Return the pids of a process's children, zombies included (proc(5))."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.is_dir():
        return _children_by_psutil(pid)
    found: list[int] = []
    try:
        for task in tasks.iterdir():
            found += map(int, (task / "children").read_text().split())
    except FileNotFoundError:
        # The process, or one of its threads, is gone; or a kernel without
        # CONFIG_PROC_CHILDREN.
        return found or _children_by_psutil(pid)
    except ProcessLookupError:
        return found
    return found


def _children_by_psutil(pid: int) -> list[int]:
    import psutil

    try:
        return [each.pid for each in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below a process."""
    found: list[int] = []
    level = children(pid)
    while level:
        found += level
        level = [below for each in level for below in children(each)]
    return found


def is_zombie(pid: int) -> bool:
    """Return whether a process is dead and only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def reap(sweep: Sweep) -> None:
    """Take the exit status of every child that is dead, without waiting."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        sweep.statuses[pid] = status
        sweep.reaped.append(usage)


def sweep_descendants(sweep: Sweep, *, spare: int | None = None) -> None:
    """Kill and reap everything below this process, except the one spared.

    Args:
        sweep: Filled in.
        spare: A child that lives on; what is below it does not.
    """
    struck: set[int] = set()
    end = time.monotonic() + SWEEP_SECONDS
    while True:
        reap(sweep)
        alive = [
            pid
            for pid in descendants(os.getpid())
            if pid != spare and not is_zombie(pid)
        ]
        if not alive:
            break
        if time.monotonic() > end:
            sweep.unkillable = alive
            break
        _strike(alive, struck)
    sweep.killed += len(struck)
    reap(sweep)


def _strike(pids: list[int], struck: set[int]) -> None:
    """Kill processes and wait a moment for their deaths."""
    waiting = []
    for pid in pids:
        pidfd = open_pidfd(pid)
        if send_signal(pidfd, pid, signal.SIGKILL):
            struck.add(pid)
        if pidfd is not None:
            waiting.append(pidfd)
    if waiting:
        poll = select.poll()
        for pidfd in waiting:
            poll.register(pidfd, select.POLLIN)
        poll.poll(_PAGE_SECONDS * 1000)
    else:
        time.sleep(_PAGE_SECONDS)
    for pidfd in waiting:
        os.close(pidfd)
