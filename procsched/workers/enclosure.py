"""What holds a run as a whole: its cell where there is one, else a watchdog.

One for a keeper, which has one run at a time.  The cell is made when the first
run asks for what only a cell can hold; from then on the keeper's processes join
it when they are forked, since joining takes the kernel a while.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Final

from procsched.core.verdict import refused_forks_flag
from procsched.workers import confinement, rlimits, watchdog
from procsched.workers.cell import Cell
from procsched.workers.stale import cell_name
from procsched.workers.tree import descendants, is_tracker, is_zombie

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.workers.channel import Frame
    from procsched.workers.ground import Ground
    from procsched.workers.watchdog import Over, Watchdog


KILLS_SECONDS: Final = 0.25
"""Between two looks at whether the kernel killed a part of a run (version 1)."""


class Enclosure:
    """A keeper's cell, and what watches the run that is in it or is not.

    Args:
        spare: Returns what is below the keeper and not the run's.
    """

    def __init__(self, ground: Ground, spare: Callable[[], int | None]) -> None:
        self._ground = ground
        self._spare = spare
        self._cell: Cell | None = None
        self._asked = False
        self._limits: Frame = {}
        self._held: dict[str, str] = {}
        self._watchdog: Watchdog | None = None
        self._host_kills: int | None = None
        self._kills_at: float | None = None

    @property
    def door(self) -> Cell | None:
        """What a process that is forked now joins; None for nothing."""
        return self._cell

    @property
    def crowded(self) -> bool:
        """Whether a process beside the run would be counted as the run's."""
        return self._cell is not None and bool(self._limits)

    def enter(self, spec: Frame, pid: int, *, inside: bool) -> bool:
        """Hold a run that is about to begin; return whether it is in the cell.

        Args:
            pid: Its process.
            inside: That has joined the cell, when it was forked or by an earlier
                run.

        Raises:
            OSError: If the kernel refuses.
        """
        limits = self._limits = spec["limits"]
        memory, processes = limits.get("memory"), limits.get("processes")
        asked = None if memory is None and processes is None else self._made()
        if self._cell is not None:
            self._cell.limit(memory, processes)
            self._cell.begin()
            if asked is not None and not inside:
                self._cell.add(pid)
                inside = True
        cell = self._cell if inside else None
        self._held = watchdog.held(cell)
        spec["held"], spec["remedy"] = self._held, self._ground.missing
        self._watchdog = self._set_watchdog(cell)
        # Version 1 kills one process of the run and says nothing to the others.
        first = memory is not None and self._held.get("memory") == "cgroup1"
        self._kills_at = time.monotonic() + KILLS_SECONDS if first else None
        return inside

    def _made(self) -> Cell | None:
        if not self._asked:
            self._asked = True
            self._cell = Cell.make(cell_name(os.getpid()), self._ground)
        return self._cell

    def _set_watchdog(self, cell: Cell | None) -> Watchdog | None:
        limits = self._limits
        if limits.get("memory") is None and limits.get("cpu") is None:
            return None
        affinity = limits.get("cpu_affinity")
        return watchdog.Watchdog(
            limits,
            cell,
            self._pids,
            now=time.monotonic(),
            cpus=None if affinity is None else len(affinity),
        )

    def _pids(self) -> list[int]:
        spare = self._spare()
        return [pid for pid in descendants(os.getpid()) if pid != spare]

    def began(self) -> None:
        """Read what can be read while the run begins."""
        self._host_kills = watchdog.host_oom_kills()

    @property
    def next_look(self) -> float | None:
        """When to look at the run again; None for never."""
        looked = None if self._watchdog is None else self._watchdog.next_at
        times = [at for at in (looked, self._kills_at) if at is not None]
        return min(times, default=None)

    def look(self, now: float) -> Over | None:
        """Return what the run is over, if anything."""
        if self._kills_at is not None and now >= self._kills_at:
            self._kills_at = now + KILLS_SECONDS
            if self._cell is not None and self._cell.oom_kills():
                self._kills_at = None
                return self._spoilt(self._cell)
        return None if self._watchdog is None else self._watchdog.look(now)

    def _spoilt(self, cell: Cell) -> Over:
        """Return why a run of which the kernel killed a part ends as a whole."""
        text = "a process was killed by the kernel: memory limit "
        text += f"{self._limits['memory'] / 2**20:.0f} MiB"
        if (peak := cell.peak_bytes()) is not None:
            text += f", peak {peak / 2**20:.0f} MiB"
        return watchdog.Over("out_of_memory", text, at_once=True)

    def kill(self, *, inside: bool) -> set[int]:
        """Kill all that is in the cell, if the run is and nothing else.

        Returns:
            What was alive there.  Nothing is killed beside multiprocessing's tracker,
            which the sweep leaves the time to clear up.
        """
        if not inside or self._cell is None:
            return set()
        there = {pid for pid in self._cell.processes() if not is_zombie(pid)}
        if any(map(is_tracker, there)):
            return set()
        return there if self._cell.kill() else set()

    def counted(self, *, inside: bool) -> dict[str, Any]:
        """Return what the cell has counted, by the names of a run's usage."""
        return self._cell.usage() if inside and self._cell is not None else {}

    def told(self, code: int | None, *, inside: bool) -> Frame:
        """Return what the report says of the limits.

        Args:
            code: As the run's process ended, negative for a signal.
        """
        limits = self._limits
        cell = self._cell if inside else None
        kills = 0 if cell is None else cell.oom_kills()
        by_host = False
        if code == -signal.SIGKILL and not kills and self._host_kills is not None:
            by_host = (watchdog.host_oom_kills() or 0) > self._host_kills
        return {
            "oom_kills": kills,
            "host_oom": by_host,
            "memory_limit": limits["memory"] if kills else None,
            "cpu_limit": limits["cpu"],
            "enforced_by": rlimits.enforceable(limits, self._held)
            | confinement.enforceable(limits),
        }

    def flags(self, *, inside: bool) -> list[str]:
        """Return what was refused, for the record."""
        refused = self._cell.refused_forks() if inside and self._cell else 0
        if not refused:
            return []
        return [refused_forks_flag(refused, self._limits.get("processes"))]

    def leave(self) -> None:
        """Let go of a run that has ended; make the cell fit for the next."""
        self._limits, self._watchdog, self._kills_at = {}, None, None

    def renew(self) -> None:
        """Make the empty cell fit for the next process."""
        if self._cell is not None and not self._cell.renew():
            # What it holds cannot be got rid of; another keeper has another cell.
            self._cell = None

    def remove(self) -> None:
        """Give the cell back; what cannot go yet is the next scheduler's to remove."""
        if self._cell is not None:
            with contextlib.suppress(OSError):
                self._cell.remove()
