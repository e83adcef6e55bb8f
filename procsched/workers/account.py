"""What a run used, from what the kernel told of each process that ended.

Imports: nothing of ours.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import resource
    from collections.abc import Iterable

_RSS_UNIT_BYTES: Final = 1 if sys.platform == "darwin" else 1024
"""Of ru_maxrss (getrusage(2))."""


class Account:
    """The use of one process over its runs, and of what it leaves behind.

    Args:
        pid: The process; a worker has several runs, and wait4(2) tells of its
            whole life.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._spent: Counter[str] = Counter()

    def before(self, spent: dict[str, float]) -> None:
        """Leave out what the process had used when it was given its first run."""
        self._spent.update(spent)

    def of_run(
        self,
        reaped: Iterable[tuple[int, resource.struct_rusage]],
        said: dict[str, float] | None,
    ) -> dict[str, Any]:
        """Return what a run used.

        Args:
            reaped: Each process that ended with it.
            said: By a worker of its own part, which then goes on.
        """
        total: Counter[str] = Counter()
        peak = 0
        for pid, usage in reaped:
            peak = max(peak, usage.ru_maxrss * _RSS_UNIT_BYTES)
            if pid != self._pid:
                total.update(_counted(usage))
            elif said is None:
                total.update(_counted(usage))
                total.subtract(self._spent)
        if said is not None:
            own = {name: said[name] for name in said if name != "max_rss_bytes"}
            total.update(own)
            self._spent.update(own)
            peak = max(peak, int(said["max_rss_bytes"]))
        # The kernel rounds what it tells at two times in two ways.
        used = {name: max(0, value) for name, value in total.items()}
        return {**dict.fromkeys(_NAMES, 0), **used, "max_rss_bytes": peak}


_NAMES: Final = ("cpu_user", "cpu_system", "context_switches", "io_blocks")


def _counted(usage: resource.struct_rusage) -> dict[str, Any]:
    return {
        "cpu_user": usage.ru_utime,
        "cpu_system": usage.ru_stime,
        "context_switches": usage.ru_nvcsw + usage.ru_nivcsw,
        "io_blocks": usage.ru_inblock + usage.ru_oublock,
    }
