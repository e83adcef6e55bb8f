"""The clock as an interface, the system's clock, and the host's own zone.

Everything that wants to know the time is given a Clock or a Moment; the fake one
in `procsched.testing` lets a test live through a day in milliseconds.

Imports: core.moment.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from procsched.core.moment import Moment

if TYPE_CHECKING:
    from datetime import tzinfo


class Clock(Protocol):
    """Where a Moment comes from."""

    def now(self) -> Moment:
        """Return this instant, read on both clocks."""

    def slept_seconds(self) -> float:
        """Return how long the host was suspended since an arbitrary start."""


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> Moment:
        """Return this instant; CLOCK_REALTIME and CLOCK_MONOTONIC read together."""
        return Moment(datetime.now(UTC), time.monotonic())

    def slept_seconds(self) -> float:
        """Return by how much CLOCK_BOOTTIME is ahead; 0 where there is none.

        It goes on while the host is suspended, CLOCK_MONOTONIC does not
        (clock_gettime(2)).
        """
        if not hasattr(time, "CLOCK_BOOTTIME"):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


def local_zone() -> tzinfo:
    """Return the zone of this host: $TZ, else /etc/localtime, else UTC.

    A zone with a name is preferred, since people read it (tzset(3), localtime(5)).
    """
    named = os.environ.get("TZ", "").removeprefix(":")
    if named:
        zone = _named_zone(named)
        if zone is not None:
            return zone
    link = Path("/etc/localtime")
    target = str(link.resolve()) if link.exists() else ""
    if "/zoneinfo/" in target:
        zone = _named_zone(target.split("/zoneinfo/", 1)[1])
        if zone is not None:
            return zone
    return _copied_zone(link) or ZoneInfo("UTC")


def _copied_zone(file: Path) -> ZoneInfo | None:
    try:
        with file.open("rb") as data:
            return ZoneInfo.from_file(data, key="localtime")
    except (OSError, ValueError):
        # Not there, or no zone file: what localtime(3) takes for UTC.
        return None


def _named_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # No such zone, a name that is no path, a file that is no zone (PEP 615).
        return None
