"""Sleeps until a moment or an event, and notices when the clock was set.

One wait, never a tick.  Where the system has timers on the wall clock the kernel
keeps the moment, to the microsecond and across a step of the clock; elsewhere a
sleep is cut into minutes, so that a step is noticed within one.

Imports: alarm, clock, core.
"""

from __future__ import annotations

import selectors
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from procsched.core.messages import ClockStepped

if TYPE_CHECKING:
    from procsched.alarm import WallAlarm
    from procsched.clock import Clock
    from procsched.core.messages import Deadline
    from procsched.core.moment import Moment

LONGEST_SLEEP_SECONDS: Final = 60.0
"""Without an alarm: a wall clock that is set tells nobody who sleeps, and a minute
is cron's own grain."""

SLEW_SECONDS: Final = 2.0
"""A wall clock this far from where it should be was set; below, it is disciplined
by slewing (adjtimex(2))."""


class Source(Protocol):
    """Something whose descriptor is readable when there is news."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Watch:
    """Waits for the wall clock, the monotonic clock, and descriptors.

    Args:
        alarm: None where the system has none.
    """

    def __init__(
        self, clock: Clock, *sources: Source, alarm: WallAlarm | None = None
    ) -> None:
        self._clock = clock
        self._alarm = alarm
        self._selector = selectors.DefaultSelector()
        for source in sources:
            self._selector.register(source, selectors.EVENT_READ)
        if alarm is not None:
            self._selector.register(alarm, selectors.EVENT_READ)
        self._last, self._slept = clock.now(), clock.slept_seconds()

    def wait(self, until: Deadline) -> list[ClockStepped]:
        """Sleep until the deadline or news; return the steps of the clock since."""
        now = self._clock.now()
        if self._alarm is not None:
            self._alarm.set(until.wall)
        for key, _ in self._selector.select(self._seconds(until, now)):
            if self._alarm is not None and key.fileobj is self._alarm:
                self._alarm.acknowledge()
        return self.steps()

    def _seconds(self, until: Deadline, now: Moment) -> float | None:
        seconds = []
        if until.monotonic is not None:
            seconds.append(max(0.0, until.monotonic - now.monotonic))
        if self._alarm is None:
            seconds.append(LONGEST_SLEEP_SECONDS)
            if until.wall is not None:
                seconds.append(max(0.0, (until.wall - now.wall).total_seconds()))
        return min(seconds, default=None)

    def steps(self) -> list[ClockStepped]:
        """Return the steps of the clock since the last look."""
        before, slept = self._last, self._slept
        self._last, self._slept = self._clock.now(), self._clock.slept_seconds()
        return stepped(before, self._last, self._slept - slept)

    def close(self) -> None:
        """Give back the selector and the alarm."""
        self._selector.close()
        if self._alarm is not None:
            self._alarm.close()


def stepped(
    before: Moment, after: Moment, slept_seconds: float = 0.0
) -> list[ClockStepped]:
    """Return the steps of the wall clock between two readings: a sleep, a setting.

    Args:
        slept_seconds: How long the host was suspended in between, during which
            the monotonic clock stood still (clock_gettime(2)).
    """
    passed = after.monotonic - before.monotonic
    shift = (after.wall - before.wall).total_seconds() - passed - slept_seconds
    found = []
    if slept_seconds >= SLEW_SECONDS:
        slept = timedelta(seconds=slept_seconds)
        found.append(ClockStepped(after, slept, suspended=True))
    if abs(shift) >= SLEW_SECONDS:
        found.append(ClockStepped(after, timedelta(seconds=shift)))
    return found
