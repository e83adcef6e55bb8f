"""What a step of the wall clock does to a schedule.

What counts elapsed time goes on as time went by, so its grid moves with the
clock.  What names wall times stays where the clock shows them: jumped over by a
few hours, they are caught up with; by more, they are missed; and a time that is
decided is not decided again when the clock is set back and shows it twice.

Imports: core.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, assert_never

from procsched.core.backlog import LeftOut, left_out
from procsched.core.exclusion import Span, Window
from procsched.core.outcome import Outcome
from procsched.core.parts import ON_THE_WALL, part_of
from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Either,
    Excluding,
    Interval,
    Once,
    Trigger,
    Weekly,
    lasting,
    shifted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from procsched.core.entry import Entry
    from procsched.core.moment import Moment
    from procsched.core.timetable import Timetable

CORRECTION: Final = timedelta(hours=3)
"""A wall clock set forward by more is corrected, not slept through.

Vixie cron draws the same line at three hours (cron(8)).
"""

_INSTANT: Final = timedelta(microseconds=1)


def correct(timetable: Timetable, entry: Entry, by: timedelta, now: Moment) -> None:
    """Adapt a schedule to a wall clock that was set.

    Args:
        by: How far it was set forward; negative for back.
        now: What it shows since.
    """
    trigger = entry.schedule.trigger
    wall = part_of(trigger, ON_THE_WALL)
    if wall is trigger:
        _stay(timetable, entry, by, now)
        return
    back = by < timedelta(0)
    decided, moved = entry.decided, entry.decided + by
    if back:
        # As far as a grid may have been moved beyond, see below.
        moved += _INSTANT
    # Asked before the rest is moved, and moved with it: should the trigger raise
    # when it is asked for the next time, this is the one that goes on record.
    due = _moved_due(entry, wall, by)
    passed: tuple[Span, ...] = ()
    if back and wall is not None:
        # What came since the last decision waits for one, as while it is held.
        behind = min(now.wall, decided)
        passed = (*_span(moved, behind), *_span(entry.since, decided))
    elif wall is not None and entry.due is not None:
        timetable.leave_out(entry, _jumped(wall, decided, moved, by), now)
    entry.schedule = replace(entry.schedule, trigger=_moved(trigger, by, passed))
    entry.decided = moved
    if entry.ended is not None:
        entry.ended += by
    if back:
        entry.since = moved
    if due is not None:
        entry.due = due
        timetable.plan(entry, moved, now)


def _stay(timetable: Timetable, entry: Entry, by: timedelta, now: Moment) -> None:
    """Keep to what the clock shows."""
    if by > CORRECTION and not entry.held:
        why = _why(by)
        last = timetable.write_off(entry, Outcome.MISSED, why, now)
        if last is not None:
            timetable.plan(entry, last, now)
    elif now.wall < entry.since:
        # Times before this schedule's first are ahead once more, and new to it;
        # what was decided since comes again, too, and is not.
        passed = _span(entry.since, entry.decided)
        trigger = _moved(entry.schedule.trigger, by, passed)
        entry.schedule = replace(entry.schedule, trigger=trigger)
        entry.since = entry.decided = now.wall
        if entry.due is not None:
            timetable.plan(entry, now.wall, now)


def _moved_due(entry: Entry, wall: Trigger | None, by: timedelta) -> datetime | None:
    """Return what the clock shows since at the next nominal time of an entry.

    Args:
        wall: The part of its trigger whose times stay where the clock shows them.
    """
    due = entry.due
    if due is None or (wall is not None and wall.next_after(entry.decided) == due):
        return due
    grids = _grids(entry.schedule.trigger)
    # One that is on no grid counts from the end of a run.
    own = (_shift(each, by) for each in grids if not (due - each.anchor) % each.step)
    return due + next(own, by)


def _grids(trigger: Trigger) -> Iterator[Interval]:
    match trigger:
        case Interval():
            yield trigger
        case Between() | Excluding():
            yield from _grids(trigger.trigger)
        case Either():
            for each in trigger.triggers:
                yield from _grids(each)
        case After() | Daily() | Weekly() | Cron() | Once():
            return
        case _:
            assert_never(trigger)


def _shift(grid: Interval, by: timedelta) -> timedelta:
    """Return how far a grid moves with a clock that was set.

    Set back by a whole number of steps, old and new times would bear the same
    names; and a name starts once.
    """
    same = by < timedelta(0) and not by % grid.step
    return by + _INSTANT if same else by


def _why(by: timedelta) -> str:
    return f"the clock was set forward by {lasting(by)}"


def _span(after: datetime, until: datetime) -> tuple[Span, ...]:
    """Return what lies after one moment, up to and with another."""
    if after >= until:
        return ()
    return (Span(after + _INSTANT, until + _INSTANT),)


def _jumped(
    wall: Trigger, decided: datetime, until: datetime, by: timedelta
) -> LeftOut | None:
    """Return the wall times that the clock went over."""
    first = wall.next_after(decided)
    if first is None or first > until:
        return None
    last = wall.last_before(until + _INSTANT) or first
    return left_out(wall, first, last, Outcome.MISSED, _why(by))


def _moved(trigger: Trigger, by: timedelta, passed: tuple[Span, ...]) -> Trigger:
    """Return a trigger whose grids are moved, and whose wall times are left out.

    Args:
        passed: When wall times have been decided; none for nothing to leave out.
    """
    match trigger:
        case Interval():
            return shifted(trigger, _shift(trigger, by))
        case After():
            return trigger
        case Excluding(Daily() | Weekly() | Cron() | Once(), windows):
            return replace(trigger, windows=_joined(windows, passed))
        case Between() | Excluding():
            return replace(trigger, trigger=_moved(trigger.trigger, by, passed))
        case Either():
            parts = tuple(_moved(each, by, passed) for each in trigger.triggers)
            return Either(parts)
        case Daily() | Weekly() | Cron() | Once():
            return Excluding(trigger, passed) if passed else trigger
        case _:
            assert_never(trigger)


def _joined(windows: Iterable[Window], more: Iterable[Span]) -> tuple[Window, ...]:
    """Return windows with spans that overlap or touch made one.

    A clock that is set to and fro all day must not make a list that grows.
    """
    others = [each for each in windows if not isinstance(each, Span)]
    spans = [each for each in windows if isinstance(each, Span)]
    joined: list[Span] = []
    for span in sorted((*spans, *more), key=lambda each: each.start):
        if joined and span.start <= joined[-1].end:
            end = max(span.end, joined[-1].end)
            joined[-1] = Span(joined[-1].start, end)
        else:
            joined.append(span)
    return (*others, *joined)
