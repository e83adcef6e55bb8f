"""One instant, read on both clocks.

The wall clock names moments ("14:00") and may be stepped; the monotonic clock
measures waits and may not.  A Moment carries both, read together at the edge,
so that no function of the core has to ask what time it is, nor can mix the two.

Imports: nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """The same instant on the wall and on the monotonic clock.

    Args:
        wall: Aware, in UTC.
        monotonic: Seconds since an arbitrary start; comparable only with
            other readings of the same clock (clock_gettime(2)).
    """

    wall: datetime
    monotonic: float
