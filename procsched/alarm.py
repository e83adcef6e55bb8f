"""A descriptor that is readable at a moment of the wall clock, or when it is set.

Sleeping for a computed number of seconds is wrong as soon as somebody sets the
clock, and waking up to look is a tick.  A timer on the wall clock itself needs
neither: the kernel keeps the moment, and tells when the clock was set under it
(timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).

Imports: nothing of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_TFD_NONBLOCK: Final = os.O_NONBLOCK
_TFD_CLOEXEC: Final = os.O_CLOEXEC
_ABSOLUTE: Final = 1
_CANCEL_ON_SET: Final = 2
_FAR_FUTURE_SECONDS: Final = 2**33
"""Some day in 2242: a timer that only tells that the clock was set."""


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class WallAlarm:
    """One timer on CLOCK_REALTIME.

    Raises:
        OSError: If the system has no such timers; see `make_alarm`.
    """

    def __init__(self) -> None:
        # By ctypes on every version: the os module has it from 3.13 on, and one
        # way is better than two.
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        flags = _TFD_NONBLOCK | _TFD_CLOEXEC
        self._fd: int = libc.timerfd_create(time.CLOCK_REALTIME, flags)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._set_to: datetime | None = None
        self._arm(float(_FAR_FUTURE_SECONDS))

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._fd

    def set(self, moment: datetime | None) -> None:
        """Ring at a moment; None for only when the clock is set."""
        if moment == self._set_to:
            return
        self._set_to = moment
        self._arm(_FAR_FUTURE_SECONDS if moment is None else moment.timestamp())

    def _arm(self, seconds: float) -> None:
        whole = math.floor(seconds)
        # Rounded up: a start before its time is a fault, a microsecond late is not.
        rest = min(math.ceil((seconds - whole) * 1e9), 999_999_999)
        value = _Itimerspec(_Timespec(0, 0), _Timespec(max(whole, 0), max(rest, 1)))
        flags = _ABSOLUTE | _CANCEL_ON_SET
        if self._settime(self._fd, flags, ctypes.byref(value), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def acknowledge(self) -> None:
        """Take note that it rang, for whatever reason, and be ready again."""
        with contextlib.suppress(OSError):
            # EAGAIN: it did not ring.  ECANCELED: the clock was set, which the
            # clocks themselves tell.
            os.read(self._fd, 8)
        self._set_to = None
        self._arm(_FAR_FUTURE_SECONDS)

    def close(self) -> None:
        """Give back the timer."""
        os.close(self._fd)


def make_alarm() -> WallAlarm | None:
    """Return an alarm; None where the system has none."""
    if sys.platform != "linux":
        return None
    try:
        return WallAlarm()
    except (OSError, AttributeError):
        return None
