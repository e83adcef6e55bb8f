"""The cgroup of a run: what limits, counts and kills all of it at once.

One cell serves a keeper's runs one after another, since a directory costs more
than a run.  Its files stay open, and counters that cannot be set to zero are
read before a run and subtracted after it.  Putting a process into a cell waits
for a grace period of the kernel's RCU, 5 to 13 ms where nobody has done it just
before; so a run's process joins by itself, forked ahead, before it is needed.

Imports: workers.ground, workers.stale.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from procsched.workers.stale import remove_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from procsched.workers.ground import Ground

RESIDUE_BYTES: Final = 8 * 1024 * 1024
"""What a run may leave charged to its cell for the next one to bear.

Files in /dev/shm outlive their run and stay charged; more than this, and the
cell is made anew, by which the charge passes to the cgroup above.
"""

_NO_LIMIT: Final = {"cgroup1": "-1", "cgroup2": "max"}
_PAGE: Final = 4096  # More than any file read here holds, procs apart.


class Cell:
    """A cgroup in each hierarchy that gives something; see `make`.

    Attributes:
        enforced: Mechanism per limit that it can hold, of "memory" and
            "processes": "cgroup1" or "cgroup2".
    """

    def __init__(self, name: str, ground: Ground) -> None:
        self._name = name
        self._ground = ground
        held = {"memory": ground.version("memory"), "processes": ground.version("pids")}
        self.enforced: dict[str, str] = {k: v for k, v in held.items() if v is not None}
        self._files: dict[str, int] = {}
        self._doors: list[int] = []
        self._limits: tuple[int | None, int | None] = (None, None)
        self._before: dict[str, int | None] = {}

    @classmethod
    def make(cls, name: str, ground: Ground) -> Cell | None:
        """Return a cell; None where the host gives none, or no longer.

        Args:
            name: From `stale.cell_name`.
        """
        cell = cls(name, ground)
        try:
            cell._build()
        except OSError:
            cell.remove()
            return None
        return cell if cell._doors else None

    def _build(self) -> None:
        for base in self._ground.directories():
            place = f"{base}/{self._name}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(place)  # noqa: PTH102 - paths are texts here
            self._doors.append(os.open(f"{place}/cgroup.procs", _BOTH))
            for file, mode in self._files_in(base):
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    # A kernel older than the file, or without swap accounting.
                    self._files[file] = os.open(f"{place}/{file}", mode)
        self._limits = (None, None)
        self._set("memory.oom.group", "1")

    def _files_in(self, base: str) -> Iterator[tuple[str, int]]:
        ground = self._ground
        if base == ground.unified:
            yield from _UNIFIED.items()
            for name in ground.controllers:
                yield from _CONTROLLED.get(name, {}).items()
        for name in ("memory", "pids", "cpuacct"):
            if base == getattr(ground, name):
                yield from _FIRST[name].items()

    def join(self) -> None:
        """Put the calling process into the cell: its forks are then born there.

        Raises:
            OSError: If the kernel refuses, as a cell that is being removed does.
        """
        for door in self._doors:
            os.write(door, b"0")

    def add(self, pid: int) -> None:
        """Put another process into the cell; `join` costs its caller nothing.

        Raises:
            OSError: If it is gone, or the kernel refuses.
        """
        for door in self._doors:
            os.write(door, str(pid).encode())

    def limit(self, memory_bytes: int | None, processes: int | None) -> None:
        """Set the limits of the run; None for none.  Writes what has changed.

        Args:
            processes: Threads count as well (cgroups(7), pids.max).

        Raises:
            OSError: If what the cell holds is over the limit already.
        """
        memory, many = self._limits
        if memory_bytes != memory:
            self._limit_memory(memory_bytes, raised=_above(memory_bytes, memory))
            self._limits = (memory_bytes, many)
        if processes != many:
            none = "max"
            self._set("pids.max", none if processes is None else str(processes))
            self._limits = (memory_bytes, processes)

    def _limit_memory(self, limit: int | None, *, raised: bool) -> None:
        version = self.enforced.get("memory", "cgroup2")
        text = _NO_LIMIT[version] if limit is None else str(limit)
        if version == "cgroup2":
            self._set("memory.swap.max", "max" if limit is None else "0")
            self._set("memory.max", text)
            return
        # With swap is never below without it, at no moment (EINVAL).
        pair = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        for file in reversed(pair) if raised else pair:
            self._set(file, text)

    def begin(self) -> None:
        """Count from here on."""
        self._set("memory.max_usage_in_bytes", "0")
        if self._set("memory.peak", "0"):
            # Set to zero for this descriptor alone, since Linux 6.12.
            self._before = {"peak": None}
        else:
            self._before = {"peak": self._value("memory.peak")}
        self._before |= {
            "oom": self._oom_kills(),
            "cpu": self._cpu_microseconds(),
            "forks": self._field("pids.events", "max"),
        }

    def oom_kills(self) -> int:
        """Return how many processes the kernel killed for the memory limit."""
        return _since(self._oom_kills(), self._before.get("oom")) or 0

    def _oom_kills(self) -> int | None:
        first = self._field("memory.oom_control", "oom_kill")
        return self._field("memory.events", "oom_kill") if first is None else first

    def refused_forks(self) -> int:
        """Return how many processes the limit kept the run from making."""
        return _since(self._field("pids.events", "max"), self._before.get("forks")) or 0

    def peak_bytes(self) -> int | None:
        """Return the most memory the run had, page cache included.

        None where nobody counts it, or where an earlier run had more and the
        kernel cannot forget that (version 2 before Linux 6.12).
        """
        first = self._value("memory.max_usage_in_bytes")
        if first is not None:
            return first
        peak, before = self._value("memory.peak"), self._before.get("peak")
        return None if before is not None and peak == before else peak

    def memory_bytes(self) -> int | None:
        """Return the memory charged to the cell now, page cache included."""
        first = self._value("memory.usage_in_bytes")
        return self._value("memory.current") if first is None else first

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of all processes of the run, waited for or not."""
        used = _since(self._cpu_microseconds(), self._before.get("cpu"))
        return None if used is None else used / 1e6

    def _cpu_microseconds(self) -> int | None:
        nanoseconds = self._value("cpuacct.usage")
        if nanoseconds is not None:
            return nanoseconds // 1000
        return self._field("cpu.stat", "usage_usec")

    def usage(self) -> dict[str, int | float]:
        """Return what is counted, by the names of `core.run.Usage`."""
        counted = {
            "peak_memory_bytes": self.peak_bytes(),
            "cpu_all": self.cpu_seconds(),
        }
        return {name: value for name, value in counted.items() if value is not None}

    def kill(self) -> bool:
        """Kill all of it, forks in flight included; False where that needs a sweep.

        Needs Linux 5.14 (cgroup.kill).
        """
        return self._set("cgroup.kill", "1")

    def populated(self) -> bool:
        """Return whether any process is in it, dead and not reaped included."""
        found = self._field("cgroup.events", "populated")
        return bool(self.processes()) if found is None else bool(found)

    def processes(self) -> list[int]:
        """Return the pids of what is in it."""
        for door in self._doors[:1]:
            return [int(word) for word in _read_all(door).split()]
        return []

    def renew(self) -> bool:
        """Make an empty cell fit for the next run; False if that cannot be.

        To be called when a run has ended and before another process joins.
        """
        left = self.memory_bytes()
        if left is None or left <= RESIDUE_BYTES:
            return True
        self._set("memory.force_empty", "0")  # Gives up page cache.
        if (self.memory_bytes() or 0) <= RESIDUE_BYTES:
            return True
        if not self.remove():
            return False
        try:
            self._build()
        except OSError:
            self.remove()
            return False
        return True

    def remove(self) -> bool:
        """Close and remove it; False if something is in it still."""
        for fd in (*self._files.values(), *self._doors):
            os.close(fd)
        self._files.clear()
        self._doors.clear()
        places = [f"{base}/{self._name}" for base in self._ground.directories()]
        # Each of them, also when one cannot be.
        return False not in list(map(remove_directory, places))

    def _set(self, file: str, text: str) -> bool:
        """Write a file; False where there is none.

        Raises:
            OSError: If the kernel refuses the value of a limit.
        """
        fd = self._files.get(file)
        if fd is None:
            return False
        try:
            os.pwrite(fd, text.encode(), 0)
        except OSError:
            if file in _LIMITS:
                raise
            return False
        return True

    def _value(self, file: str) -> int | None:
        fd = self._files.get(file)
        if fd is None:
            return None
        text = os.pread(fd, _PAGE, 0)
        return int(text) if text.strip().isdigit() else None

    def _field(self, file: str, key: str) -> int | None:
        fd = self._files.get(file)
        if fd is None:
            return None
        words = os.pread(fd, _PAGE, 0).split()
        return dict(zip(words[::2], map(int, words[1::2]), strict=False)).get(
            key.encode()
        )


_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CLOEXEC
_BOTH: Final = os.O_RDWR | os.O_CLOEXEC

_UNIFIED: Final = {"cgroup.kill": _WRITE, "cgroup.events": _READ, "cpu.stat": _READ}

_CONTROLLED: Final = {
    "memory": {
        "memory.max": _WRITE,
        "memory.swap.max": _WRITE,
        "memory.oom.group": _WRITE,
        "memory.peak": _BOTH,
        "memory.events": _READ,
        "memory.current": _READ,
    },
    "pids": {"pids.max": _WRITE, "pids.events": _READ},
}

_FIRST: Final = {
    "memory": {
        "memory.limit_in_bytes": _WRITE,
        "memory.memsw.limit_in_bytes": _WRITE,
        "memory.max_usage_in_bytes": _BOTH,
        "memory.usage_in_bytes": _READ,
        "memory.oom_control": _READ,
        "memory.force_empty": _WRITE,
    },
    "pids": {"pids.max": _WRITE, "pids.events": _READ},
    "cpuacct": {"cpuacct.usage": _READ},
}

_LIMITS: Final = frozenset(
    {
        "memory.max",
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "pids.max",
    }
)


def _read_all(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    found = b""
    while data := os.read(fd, 65536):
        found += data
    return found


def _above(new: int | None, old: int | None) -> bool:
    return old is not None and (new is None or new > old)


def _since(now: int | None, before: int | None) -> int | None:
    return None if now is None else now - (before or 0)
