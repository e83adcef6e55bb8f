"""The stop ladder of one run: the soft stop, the stacks, the kill, each at its time.

Imports: workers.
"""

from __future__ import annotations

import math
import signal
import time
from typing import TYPE_CHECKING, Final

from procsched.workers.linux import send_signal
from procsched.workers.stacks import DUMP_SECONDS, STEP_SECONDS
from procsched.workers.streams import DUMP_SIGNAL

if TYPE_CHECKING:
    from procsched.workers.stacks import Stacks

LATE_SECONDS: Final = 0.03
"""Beyond its end, at most, that a hung run is given to show its stacks."""


class Ladder:
    """Times on the monotonic clock, and the signals that belong to them.

    Args:
        pidfd: Of the process; None where the system has none.
        stacks: Where it writes them when it is asked.
    """

    def __init__(self, pidfd: int | None, pid: int, stacks: Stacks) -> None:
        self._pidfd = pidfd
        self._pid = pid
        self._stacks = stacks
        self.begin(None)

    def begin(self, seconds: float | None) -> None:
        """Stand at its foot, with a limit for the time before `goal()`."""
        self.allow(seconds)
        self._hard_at: float | None = None
        self._kill_at = math.inf

    def allow(self, seconds: float | None) -> None:
        """Give the run so much time from now on; None for any."""
        self._soft_at = None if seconds is None else time.monotonic() + seconds

    def rest(self) -> None:
        """Leave a process alone that has no run."""
        self._soft_at = self._hard_at = None

    @property
    def next_at(self) -> float | None:
        """When there is something to do; None for never."""
        times = [at for at in (self._soft_at, self._hard_at) if at is not None]
        return min(times, default=None)

    @property
    def climbing(self) -> bool:
        """Whether its end has been decided."""
        return self._hard_at is not None

    def over_time(self, now: float) -> bool:
        """Whether its time has just run out; said once."""
        if self._soft_at is None or now < self._soft_at:
            return False
        self._soft_at = None
        return True

    def stop(self, grace_seconds: float) -> None:
        """Ask it to stop, and kill it when the grace period is over."""
        self._soft_at = None
        now = time.monotonic()
        self._kill_at = min(now + grace_seconds, self._kill_at)
        # The last of the grace is for the stacks of who does not heed the stop.
        self._hard_at = max(now, self._kill_at - DUMP_SECONDS)
        # A stopped process does not hear (signal(7)).
        send_signal(self._pidfd, self._pid, signal.SIGCONT)
        send_signal(self._pidfd, self._pid, signal.SIGTERM)

    def end(self) -> None:
        """Have it killed as soon as its stacks are there."""
        self._hard_at = self._kill_at = time.monotonic()

    def climb(self, now: float, *, has_stacks: bool) -> bool:
        """Take the next step if it is time; return whether it is to be killed.

        Args:
            has_stacks: It can be asked for them: it is an interpreter.
        """
        if self._hard_at is None or now < self._hard_at:
            return False
        asked = self._stacks.asked_at is not None
        complete = not has_stacks or (asked and self._stacks.complete())
        if now >= self._kill_at + (0 if complete else LATE_SECONDS):
            return True
        if has_stacks and not asked:
            self._stacks.asked_at = now
            send_signal(self._pidfd, self._pid, signal.SIGCONT)
            send_signal(self._pidfd, self._pid, DUMP_SIGNAL)
        self._hard_at = self._kill_at if complete else now + STEP_SECONDS
        return False

    def kill(self) -> None:
        """Kill it now."""
        self.rest()
        send_signal(self._pidfd, self._pid, signal.SIGKILL)
