"""How much later than its nominal time a run starts, on purpose.

A thousand jobs written for midnight should not all start at midnight.  The
delay is drawn by hashing what it is for, so that a restart draws the same and
no two processes need to agree.  The nominal time is never altered by it.

Imports: calendar, errors.  Must not import: random, or anything with a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from procsched.core.stretch import EPOCH, MICROSECOND, require_aware
from procsched.errors import ScheduleConfigError

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Delay:
    """What is added to a nominal time when its run is started.

    Args:
        jitter: Up to so much, another draw for each nominal time.
        spread: Up to so much, the same for each nominal time.
        key: Whose delay it is: the names of job and host.

    Raises:
        ScheduleConfigError: If a duration is negative.
    """

    jitter: timedelta = timedelta(0)
    spread: timedelta = timedelta(0)
    key: str = ""

    def __post_init__(self) -> None:
        """Refuse to start early."""
        for name, width in (("jitter", self.jitter), ("spread", self.spread)):
            if width < timedelta(0):
                raise ScheduleConfigError(
                    f"{name}={width} would start runs before their time",
                    remedy=f"Write {name}=timedelta(0) for none, or more",
                )

    def of(self, nominal: datetime) -> timedelta:
        """Return the delay of one nominal time: 0 up to jitter plus spread.

        Raises:
            ScheduleConfigError: If the nominal time is naive.
        """
        require_aware(nominal)
        occurrence = f"{self.key}\0{(nominal - EPOCH) // MICROSECOND}"
        return _drawn(self.spread, f"{self.key}\0") + _drawn(self.jitter, occurrence)


def _drawn(width: timedelta, key: str) -> timedelta:
    """Return a duration from 0 up to, not including, `width`."""
    digest = blake2b(key.encode(), digest_size=_HASH_BYTES).digest()
    share = int.from_bytes(digest, "big")
    return MICROSECOND * (width // MICROSECOND * share >> 8 * _HASH_BYTES)
