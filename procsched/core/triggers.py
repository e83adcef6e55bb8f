"""When a schedule fires.

A trigger is a value: it holds no clock, no counter and no last firing.  Ask it
for the first firing strictly after a moment and it answers the same every
time, which is what lets a restart, a test and the dashboard agree.

All moments are aware; answers are in UTC.  None says that there is no such
firing: calendar triggers look 41 years ahead, and never past 2200.

Imports: calendar, calendar_triggers, cron_words, elapsed, exclusion, errors.
Must not import: anything that can do I/O or read a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from procsched.core.calendar import Fold, Gap
from procsched.core.calendar_triggers import Cron, Daily, Weekly
from procsched.core.cron_words import joined
from procsched.core.elapsed import After, Interval, Once, lasting
from procsched.core.exclusion import Day, Hours, Span, Window, around
from procsched.core.stretch import MICROSECOND, SEARCH_SECONDS, require_aware
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "After",
    "Between",
    "Cron",
    "Daily",
    "Day",
    "Either",
    "Excluding",
    "Fold",
    "Gap",
    "Hours",
    "Interval",
    "Once",
    "Span",
    "Trigger",
    "Weekly",
    "Window",
    "lasting",
    "shifted",
    "upcoming",
]

_SEARCH: Final = timedelta(seconds=SEARCH_SECONDS)


@dataclass(frozen=True, slots=True)
class Either:
    """Whenever any of several triggers fires; the same instant counts once.

    Raises:
        ScheduleConfigError: If there are none.
    """

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        """Refuse a choice among nothing."""
        if not self.triggers:
            raise ScheduleConfigError(
                "either of no triggers never fires", remedy="Name at least one"
            )

    @property
    def follows_end(self) -> bool:
        """Whether any of them counts from the end of the last run."""
        return any(trigger.follows_end for trigger in self.triggers)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never."""
        found = [trigger.next_after(moment) for trigger in self.triggers]
        return min(filter(None, found), default=None)

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        found = [trigger.last_before(moment) for trigger in self.triggers]
        return max(filter(None, found), default=None)

    def describe(self) -> str:
        """Return it in words."""
        return joined([trigger.describe() for trigger in self.triggers], last="or")


@dataclass(frozen=True, slots=True)
class Between:
    """The firings of a trigger from one moment to another, both included.

    Args:
        trigger: What fires.
        start: Nothing fires before it; None for no bound.
        end: Nothing fires after it; None for no bound.

    Raises:
        ScheduleConfigError: If a bound is naive or they are the wrong way round.
    """

    trigger: Trigger
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a time that ends before it starts."""
        for bound in filter(None, (self.start, self.end)):
            require_aware(bound)
        if self.start and self.end and self.start > self.end:
            raise ScheduleConfigError(
                f"the schedule ends at {self.end.isoformat()}, before it starts at "
                f"{self.start.isoformat()}",
                remedy="Exchange start and end",
            )

    @property
    def follows_end(self) -> bool:
        """Whether the trigger counts from the end of the last run."""
        return self.trigger.follows_end

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never."""
        found = self.trigger.next_after(moment)
        if found and self.start and found < self.start:
            found = _from(self.trigger, self.start)
        return None if found and self.end and found > self.end else found

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        require_aware(moment)
        if self.end and self.end < moment:
            # The end itself is included, and end < moment leaves room for this.
            moment = self.end.astimezone(UTC) + MICROSECOND
        found = self.trigger.last_before(moment)
        return None if found and self.start and found < self.start else found

    def describe(self) -> str:
        """Return it in words."""
        words = [self.trigger.describe()]
        for word, bound in (("from", self.start), ("until", self.end)):
            if bound:
                words.append(f"{word} {bound.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Excluding:
    """The firings of a trigger that lie in none of some windows.

    A firing in a window is left out, not put off.

    Args:
        trigger: What fires.
        windows: When it does not.
    """

    trigger: Trigger
    windows: tuple[Window, ...]

    @property
    def follows_end(self) -> bool:
        """Whether the trigger counts from the end of the last run."""
        return self.trigger.follows_end

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first firing strictly after `moment`; None for never.

        A delay after the end of a run that would end in a window ends with it.
        """
        first = found = self.trigger.next_after(moment)
        while first and found and found - first < _SEARCH:
            window = around(self.windows, found)
            if window is None:
                return found
            found = _from(self.trigger, window.end)
        return None

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last firing strictly before `moment`; None for never."""
        last = found = self.trigger.last_before(moment)
        while last and found and last - found < _SEARCH:
            window = around(self.windows, found)
            if window is None:
                return found
            found = self.trigger.last_before(window.start)
        return None

    def describe(self) -> str:
        """Return it in words."""
        if not self.windows:
            return self.trigger.describe()
        windows = joined([window.describe() for window in self.windows], last="or")
        return f"{self.trigger.describe()}, but not {windows}"


Trigger: TypeAlias = (
    Interval | Daily | Weekly | Cron | Once | After | Either | Between | Excluding
)
"""All there are; every `match` over them ends in `assert_never`."""


def upcoming(trigger: Trigger, n: int, after: datetime) -> list[datetime]:
    """Return up to `n` firings strictly after a moment, in order."""

    def firings() -> Iterator[datetime]:
        moment: datetime | None = after
        for _ in range(n):
            moment = trigger.next_after(moment) if moment else None
            if moment is None:
                return
            yield moment

    return list(firings())


def shifted(trigger: Trigger, by: timedelta) -> Trigger:
    """Return a trigger whose grids of elapsed time are moved.

    After the wall clock was set, an interval goes on as time went by, and what
    names moments or wall times stays where the clock shows them.

    Args:
        trigger: What fires.
        by: How far the wall clock was set forward; negative for back.

    Returns:
        The very same object if it holds no interval.
    """
    match trigger:
        case Interval():
            return replace(trigger, anchor=trigger.anchor.astimezone(UTC) + by)
        case Between() | Excluding():
            inner = shifted(trigger.trigger, by)
            same = inner is trigger.trigger
            return trigger if same else replace(trigger, trigger=inner)
        case Either():
            parts = tuple(shifted(each, by) for each in trigger.triggers)
            pairs = zip(parts, trigger.triggers, strict=True)
            same = all(new is old for new, old in pairs)
            return trigger if same else Either(parts)
        case Daily() | Weekly() | Cron() | Once() | After():
            return trigger
        case _:
            assert_never(trigger)


def _from(trigger: Trigger, moment: datetime) -> datetime | None:
    """Return the first firing at `moment` or later."""
    if trigger.follows_end:
        return moment.astimezone(UTC)
    return trigger.next_after(moment.astimezone(UTC) - MICROSECOND)
