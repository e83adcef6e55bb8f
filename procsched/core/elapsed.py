"""Triggers that count elapsed time, or name one moment.

No wall time and no zone plays a part: sixty minutes are sixty minutes on the
day the clock is changed, too.

Imports: calendar, errors.  Must not import: anything that reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from procsched.core.stretch import MICROSECOND, require_aware
from procsched.errors import ScheduleConfigError

_UNITS: Final = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
    ("second", timedelta(seconds=1)),
    ("microsecond", MICROSECOND),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """Every `step` of elapsed time, on a grid that nothing moves.

    Args:
        step: Distance of two firings; changes of the clock do not touch it.
        anchor: The grid's zero; the first firing is one step later.

    Raises:
        ScheduleConfigError: If the step is not above 0 or the anchor is naive.
    """

    follows_end: ClassVar[bool] = False
    step: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        """Refuse a grid that stands still."""
        require_aware(self.anchor)
        _require_positive("step", self.step)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never."""
        require_aware(moment)
        turns = max((moment - self.anchor) // self.step + 1, 1)
        try:
            return self.anchor.astimezone(UTC) + turns * self.step
        except OverflowError:
            # The year 10000 has no datetime.
            return None

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        require_aware(moment)
        turns = -((self.anchor - moment) // self.step) - 1
        return self.anchor.astimezone(UTC) + turns * self.step if turns > 0 else None

    def describe(self) -> str:
        """Return it in words."""
        return f"every {lasting(self.step)}"


@dataclass(frozen=True, slots=True)
class Once:
    """At one moment.

    Raises:
        ScheduleConfigError: If the moment is naive.
    """

    follows_end: ClassVar[bool] = False
    moment: datetime

    def __post_init__(self) -> None:
        """Keep the moment in UTC."""
        require_aware(self.moment)
        object.__setattr__(self, "moment", self.moment.astimezone(UTC))

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the moment if it is strictly after `moment`."""
        require_aware(moment)
        return self.moment if self.moment > moment else None

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the moment if it is strictly before `moment`."""
        require_aware(moment)
        return self.moment if self.moment < moment else None

    def describe(self) -> str:
        """Return it in words."""
        return f"once at {self.moment:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class After:
    """A fixed delay after the end of the last run.

    Args:
        delay: From the end of a run to the next firing.

    Raises:
        ScheduleConfigError: If the delay is not above 0.
    """

    follows_end: ClassVar[bool] = True
    delay: timedelta

    def __post_init__(self) -> None:
        """Refuse a delay that would fire at once, for ever."""
        _require_positive("delay", self.delay)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the firing that follows a run which ended at `moment`."""
        require_aware(moment)
        try:
            return moment.astimezone(UTC) + self.delay
        except OverflowError:
            # The year 10000 has no datetime.
            return None

    def last_before(self, moment: datetime) -> datetime | None:
        """Return None: without the runs there is no firing in the past."""
        require_aware(moment)
        return None

    def describe(self) -> str:
        """Return it in words."""
        return f"{lasting(self.delay)} after the end of the last run"


def lasting(length: timedelta) -> str:
    """Return a duration in words, such as "1 hour 30 minutes"."""
    words = []
    for name, unit in _UNITS:
        count, length = divmod(length, unit)
        if count:
            words.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(words)


def _require_positive(name: str, length: timedelta) -> None:
    if length <= timedelta(0):
        raise ScheduleConfigError(
            f"{name}={length} is not above 0",
            remedy=f"Write a duration, as in {name}=timedelta(minutes=10)",
        )
