"""How is this host?

One row of figures per run, appended to a CSV file that a spreadsheet opens.

The lesson: a run is a new process, so it remembers nothing.  What compares two
moments (such as the CPU's load) has to take both of them in the same run.

Imports: procsched, jobs.files; psutil in the run.
"""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from jobs.files import append_row
from procsched import Job

CPU_SAMPLE: Final = timedelta(milliseconds=200)
"""How long the CPU is watched.

psutil advises 100 ms at the least; the kernel counts in ticks of 10 ms.
"""


class HostReport(Job):
    """Load, CPU, memory, swap, disk, processes and boot time, as a row.

    Args:
        path: The CSV file; a relative path starts where the scheduler runs.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def name(self) -> str:
        """Return the job's identifier."""
        return "host-report"

    def goal(self) -> dict[str, Any]:
        """Append the row.

        Returns:
            The row: times in UTC, shares in percent, sizes in bytes.

        Raises:
            ValueError: If the file has other columns.
        """
        from procsched import Auditor

        row = snapshot()
        append_row(self.path, row)
        Auditor.audit_params(self.name(), "success", {"file": str(self.path), **row})
        return row


def snapshot() -> dict[str, Any]:
    """Return the figures of this moment; takes as long as `CPU_SAMPLE`."""
    import psutil

    load_1, load_5, load_15 = os.getloadavg()
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    with warnings.catch_warnings():
        # Where /proc/vmstat is hidden (some containers) psutil warns that it
        # cannot count swapping; how much swap is used it knows all the same.
        warnings.simplefilter("ignore", RuntimeWarning)
        swap = psutil.swap_memory()
    return {
        "time": _utc(datetime.now(UTC)),
        "load_1": round(load_1, 2),
        "load_5": round(load_5, 2),
        "load_15": round(load_15, 2),
        "cpu_percent": psutil.cpu_percent(CPU_SAMPLE.total_seconds()),
        "memory_percent": memory.percent,
        "memory_available_bytes": memory.available,
        "swap_percent": swap.percent,
        "disk_percent": disk.percent,
        "disk_free_bytes": disk.free,
        "processes": len(psutil.pids()),
        "boot_time": _utc(datetime.fromtimestamp(psutil.boot_time(), UTC)),
    }


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
