"""Schedules as arithmetic: which nominal times there are, and what became of them.

Imports nothing of ours, so that a fault of the core cannot be a fault of its judge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ZERO: Final = timedelta(0)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SLACK: Final = timedelta(milliseconds=1)
"""What is due may be undecided for so long: rounding, not a sleep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A schedule, as arithmetic.

    Args:
        step: Distance of two nominal times.
        anchor: Of a grid of elapsed time; None for one on the wall clock's own
            multiples of the step.
        once: The only nominal time.
        follows_end: The step counts from the end of the last run.
        at_once: Runs of the job at once; None for any number.
        memory: Bytes that a run reserves.
    """

    step: timedelta = timedelta(minutes=1)
    anchor: datetime | None = None
    once: datetime | None = None
    follows_end: bool = False
    at_once: int | None = 1
    sequence: str | None = None
    memory: int = 0
    priority: int = 0
    catch_up: str = "latest"
    catch_up_window: timedelta = timedelta(days=1)
    catch_up_max: int = 10
    start_deadline: timedelta | None = None
    retries: int = 0
    retry_causes: frozenset[str] = frozenset()

    @property
    def on_the_wall(self) -> bool:
        """Whether a step of the clock leaves the names of its times alone."""
        return self.anchor is None and not self.follows_end

    def between(self, after: datetime, until: datetime) -> Iterator[int]:
        """Return the numbers of the nominal times after one and up to another."""
        if self.follows_end:
            return
        if self.once is not None:
            yield from (0,) if after < self.once <= until else ()
            return
        zero = self.anchor or EPOCH
        first = max((after - zero) // self.step + 1, 1)
        yield from range(first, (until - zero) // self.step + 1)

    def time_of(self, number: int) -> datetime:
        """Return a nominal time by its number, on an unshifted clock."""
        return self.once or (self.anchor or EPOCH) + number * self.step

    def number_of(self, time: datetime) -> int | None:
        """Return the number of a nominal time; None if it is none."""
        if self.once is not None:
            return 0 if time == self.once else None
        distance = time - (self.anchor or EPOCH)
        number = (distance + self.step / 2) // self.step
        return number if abs(distance - number * self.step) < SLACK else None


@dataclass(slots=True)
class Book:
    """What is known of one job.

    Attributes:
        pending: Numbers of the nominal times that came and have no outcome.
        decided: Numbers of those that have one.
        void: Numbers of those that came while nothing was promised; a clock that
            is set back may bring them again, to one outcome or to none.
        shift: How far the clock was set since it was added.
        ended: When the last run did, on an unshifted clock.
        base: What the next time after the end may count from at the latest.
    """

    truth: Truth
    promising: bool
    ended: datetime
    base: datetime
    pending: set[int] = field(default_factory=set)
    decided: set[int] = field(default_factory=set)
    void: set[int] = field(default_factory=set)
    shift: timedelta = ZERO
    held: set[str] = field(default_factory=set)
    fired: bool = False
