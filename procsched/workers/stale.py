"""Whose a cell is, and what to do with one whose owner is gone.

A cgroup outlives whoever made it; its name says who that was, with the start
time by which a pid is told from its next bearer.

Imports: workers.linux.
"""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING, Final

from procsched.workers.linux import open_pidfd, send_signal

if TYPE_CHECKING:
    from procsched.workers.ground import Ground

REMOVAL_SECONDS: Final = 1.0
"""How long a cell may be busy with the last of a run: a dead process leaves its
cgroup when it has been reaped, and the pages it left are given up."""

_PAUSE_SECONDS: Final = 0.01

_NAME: Final = re.compile(r"procsched-(\d+)-(\d+)-(\d+)(?:-.*)?\Z")
"""Namespace of pids, pid, start time in clock ticks: whose cell it is."""


def cell_name(pid: int, suffix: str = "") -> str:
    """Return a name by which others see whose a cell is, and whether he lives."""
    suffix = f"-{suffix}" if suffix else ""
    return f"procsched-{_namespace()}-{pid}-{_started(pid)}{suffix}"


def sweep_stale(ground: Ground) -> list[str]:
    """Kill and remove the cells of owners that are gone.

    Returns:
        Their names.  A cell whose owner is in another namespace of pids is left
        alone: nobody here can tell whether he lives.
    """
    swept = set()
    for base in ground.directories():
        for name in os.listdir(base):  # noqa: PTH208 - paths are texts here
            match = _NAME.match(name)
            if match is None or match[1] != _namespace():
                continue
            if _started(int(match[2])) == match[3]:
                continue
            if remove_directory(f"{base}/{name}", kill=True):
                swept.add(name)
    return sorted(swept)


def remove_directory(place: str, *, kill: bool = False) -> bool:
    """Remove a cgroup, after a moment if need be; False if it is in use still.

    Args:
        kill: Kill what is in it, and what that has forked meanwhile.
    """
    end = time.monotonic() + REMOVAL_SECONDS
    while True:
        try:
            os.rmdir(place)  # noqa: PTH106 - paths are texts here
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > end:
                return False
            if kill:
                _kill(place)
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def _kill(place: str) -> None:
    """Kill what is in a cgroup that is not ours; by pid where it must be."""
    try:
        with open(f"{place}/cgroup.kill", "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("1")
    except OSError:
        # Version 1, or a kernel before 5.14.
        for pid in _members(place):
            pidfd = open_pidfd(pid)
            # The number may have gone to another before it was opened.
            if pid in _members(place):
                send_signal(pidfd, pid, signal.SIGKILL)
            if pidfd is not None:
                os.close(pidfd)


def _members(place: str) -> list[int]:
    try:
        with open(f"{place}/cgroup.procs", encoding="utf-8") as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115
    except OSError:
        return "0"


def _started(pid: int) -> str | None:
    """Return a process's start time in clock ticks since boot; None if it is dead."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:  # noqa: PTH123
            # Fields are counted after the name, which may hold anything (proc(5)).
            words = stat.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else words[19]
