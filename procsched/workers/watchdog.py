"""A look at a run's whole tree, for limits that no cgroup holds.

It looks seldom and cheaply: memory four times a second, CPU time when it could
be used up at the earliest; the keeper sleeps until then.  What grows and is gone
between two looks is not seen, and files in memory that no process maps are not
counted; a cgroup sees both.

Imports: workers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from procsched.workers.cell import Cell

MEMORY_SECONDS: Final = 0.25
"""Between two looks at memory: at 1 GB/s a run is over by 256 MB at most."""

CPU_LEAST_SECONDS: Final = 0.05
"""Between two looks at CPU time, at least: five ticks of the clock it is told in."""

_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Over:
    """A run that is over a limit.

    Attributes:
        cause: An outcome.
        text: The sentence that belongs to it.
        at_once: Kill it; what eats the host's memory gets no grace.
    """

    cause: str
    text: str
    at_once: bool


def held(cell: Cell | None) -> dict[str, str]:
    """Return the mechanism per limit of the whole run: the cell's, else ours.

    For `rlimits.check`, `enforceable` and `apply`.
    """
    found = {"cpu": "watchdog", "memory": "watchdog"} if _can_look() else {}
    return found | (cell.enforced if cell is not None else {})


def next_look(
    now: float,
    *,
    watches_memory: bool,
    cpu_left_seconds: float | None,
    cpus: int,
) -> float | None:
    """Return when to look again; None for never.

    Args:
        now: Of any clock, in seconds; the answer is of the same.
        watches_memory: Whether there is a limit that no cgroup holds.
        cpu_left_seconds: What may be used still; None without a limit.
        cpus: How many of them can be used at the same time.
    """
    waits = [MEMORY_SECONDS] if watches_memory else []
    if cpu_left_seconds is not None:
        waits.append(max(CPU_LEAST_SECONDS, cpu_left_seconds / max(cpus, 1)))
    return now + min(waits) if waits else None


class Watchdog:
    """The looks at one run.

    Args:
        limits: Those of its start frame.
        cell: Its cell, begun; it counts CPU time better than we do.
        pids: Returns what is in the run now, zombies included.
        now: Monotonic seconds, when the run begins.
        cpus: How many it can use; None for all that this process may use.
    """

    def __init__(
        self,
        limits: Mapping[str, Any],
        cell: Cell | None,
        pids: Callable[[], list[int]],
        *,
        now: float,
        cpus: int | None = None,
    ) -> None:
        enforced = {} if cell is None else cell.enforced
        self._memory = None if "memory" in enforced else limits.get("memory")
        self._cpu = limits.get("cpu")
        self._cell = cell
        self._pids = pids
        self._cpus = cpus or 1
        self._before = 0.0
        self.next_at: float | None = None
        if (self._memory is None and self._cpu is None) or not _can_look():
            return
        self._cpus = cpus or _usable_cpus()
        # A worker has used some before; a fresh process has not, to speak of.
        self._before = 0.0 if self._cpu is None else self._used()
        self._plan(now, self._cpu)

    def look(self, now: float) -> Over | None:
        """Return what the run is over, if it is time to look; else None."""
        if self.next_at is None or now < self.next_at:
            return None
        over = self._over_memory()
        left = None
        if over is None and self._cpu is not None:
            used = self._used() - self._before
            left = self._cpu - used
            if left <= 0:
                text = over_cpu(self._cpu, used)
                over = Over("limit_exceeded", text, at_once=False)
        if over is None:
            self._plan(now, left)
        else:
            self.next_at = None
        return over

    def _over_memory(self) -> Over | None:
        if self._memory is None:
            return None
        used = memory_above(self._pids(), self._memory)
        if used is None:
            return None
        return Over("out_of_memory", over_memory(self._memory, used), at_once=True)

    def _plan(self, now: float, cpu_left: float | None) -> None:
        self.next_at = next_look(
            now,
            watches_memory=self._memory is not None,
            cpu_left_seconds=cpu_left,
            cpus=self._cpus,
        )

    def _used(self) -> float:
        counted = None if self._cell is None else self._cell.cpu_seconds()
        return tree_cpu_seconds(self._pids()) if counted is None else counted


def over_memory(limit_bytes: int, used_bytes: int) -> str:
    """Return the sentence for a run over its memory."""
    return (
        f"over its memory limit of {limit_bytes / _MIB:.0f} MiB: "
        f"{used_bytes / _MIB:.0f} MiB in use"
    )


def over_cpu(limit_seconds: float, used_seconds: float) -> str:
    """Return the sentence for a run over its CPU time."""
    return (
        f"over its CPU time limit of {limit_seconds:g} s: {used_seconds:.1f} s used by "
        "all its processes"
    )


def memory_above(pids: Iterable[int], limit_bytes: int) -> int | None:
    """Return the memory of processes if it is above a limit; else None.

    Their share of it (PSS) is dear, a walk over all their pages, and never more
    than what they have resident; so it is asked for only where that is above.
    """
    here = list(pids)
    if sum(map(_resident_bytes, here)) <= limit_bytes:
        return None
    used = tree_memory_bytes(here)
    return used if used > limit_bytes else None


def tree_memory_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes, what they share counted once.

    Resident memory, in which it is counted for each, of one that we may not look
    into (proc(5), smaps_rollup).
    """
    return sum(map(_proportional_bytes, pids))


def tree_cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of processes and of those they waited for."""
    return sum(map(_ticks, pids)) / _TICKS_PER_SECOND


def host_oom_kills() -> int | None:
    """Return how many processes the kernel killed for want of memory since boot.

    None where it does not tell (/proc/vmstat, since Linux 4.13).
    """
    _, found, rest = _read("/proc/vmstat").partition(b"\noom_kill ")
    return int(rest.split(None, 1)[0]) if found else None


_CHUNK: Final = 65536

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * _PAGE_BYTES if words else 0


def _proportional_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident_bytes(pid)


def _ticks(pid: int) -> int:
    # Fields are counted after the name, which may hold anything (proc(5)).
    words = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(map(int, words[11:15]))


def _read(path: str) -> bytes:
    """Return a file of /proc; nothing of a process that is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = b""
        # A page at a time, whatever is asked for (seq_file).
        while data := os.read(fd, _CHUNK):
            found += data
    except OSError:
        # Gone in the middle (ESRCH).
        return b""
    else:
        return found
    finally:
        os.close(fd)


def _can_look() -> bool:
    return os.path.exists("/proc/self/statm")  # noqa: PTH110 - a hot path


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
