"""How worn the worker of a sequence is.

Imports: core.recycle (when a sequence has one), workers.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from procsched.core.recycle import Recycle
    from procsched.workers.channel import Frame

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Wear:
    """What counts for the replacement of this process; made when it is."""

    def __init__(self) -> None:
        self._born = time.monotonic()
        self._runs = 0
        self._first_bytes = 0
        # Once for its life; `random` would be one more module to import.
        self._chance = int.from_bytes(os.urandom(4)) / 2**32
        self._said: Frame | None = None
        self._recycle: Recycle | None = None

    def after_run(self, said: Frame | None) -> str | None:
        """Count a run; return why it was this process's last, None if it was not.

        Args:
            said: The start frame's `recycle`; None for never.
        """
        self._runs += 1
        if said is None:
            return None
        if said != self._said:
            from procsched.core.recycle import Recycle

            self._said, self._recycle = said, Recycle.from_frame(said)
        assert self._recycle is not None  # noqa: S101 - made above, with what was said
        resident = resident_bytes() if said["memory_growth"] is not None else 0
        if not self._first_bytes:
            self._first_bytes = resident
        return self._recycle.due(
            runs=self._runs,
            grown_bytes=resident - self._first_bytes,
            age_seconds=time.monotonic() - self._born,
            chance=self._chance,
        )


def resident_bytes() -> int:
    """Return this process's resident memory; 0 where nobody can say."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - fast
            # Its second number, in pages (proc_pid_statm(5)).
            return int(file.read(200).split()[1]) * _PAGE_BYTES
    except OSError:
        return 0
