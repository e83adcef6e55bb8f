"""The starts to come, and every question put to a trigger.

A trigger is asked here and nowhere else, so that one which raises suspends its
own schedule and no other.  Adding a start and taking the next one cost O(log n).

Imports: core, errors.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from procsched.core.backlog import (
    Come,
    LeftOut,
    latest_come,
    left_out,
    settle,
    start_of,
)
from procsched.core.outcome import Outcome
from procsched.core.parts import FROM_THE_END, OF_THEMSELVES, part_of
from procsched.errors import StateError

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.chronicle import Chronicle
    from procsched.core.entry import Entry
    from procsched.core.moment import Moment

SLACK: Final = 64
"""Rows that no longer hold and are not worth clearing away."""


class Timetable:
    """Entries by the time their next run may start.

    Attributes:
        open: How many entries have a next time.
        begun: The loop is there; what was due before was never promised.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._heap: list[tuple[datetime, int, int, Entry]] = []
        self.open = 0
        self.begun = False

    def __len__(self) -> int:
        """Return how many rows are kept, those that no longer hold included."""
        return len(self._heap)

    def next_start(self) -> datetime | None:
        """Return the earliest start on the wall clock; None without any."""
        while self._heap:
            start_at, _, version, entry = self._heap[0]
            if entry.version == version and not entry.held:
                return start_at
            # One that is held gets a new row when it is let go.
            heapq.heappop(self._heap)
        return None

    def take(self, now: Moment) -> Entry | None:
        """Return the entry that is due first; None when none is due by now."""
        start_at = self.next_start()
        if start_at is None or start_at > now.wall:
            return None
        return heapq.heappop(self._heap)[3]

    def put(self, entry: Entry, due: datetime, start_at: datetime) -> None:
        """Set down the next time of an entry, in place of what was."""
        self.open += entry.due is None
        entry.due, entry.start_at = due, start_at
        entry.version += 1
        if len(self._heap) > 2 * self.open + SLACK:
            self._heap = [row for row in self._heap if row[3].version == row[2]]
            heapq.heapify(self._heap)
        # Those due together start in the order they were added.
        heapq.heappush(self._heap, (start_at, entry.number, entry.version, entry))

    def clear(self, entry: Entry) -> None:
        """Let an entry have no next time."""
        self.open -= entry.due is not None
        entry.due = entry.start_at = None
        entry.version += 1

    def plan(self, entry: Entry, after: datetime, now: Moment) -> None:
        """Set down the first time strictly after a moment, if there is one."""
        entry.decided = after
        try:
            found = _following(entry, after)
        except Exception as fault:  # noqa: BLE001 - a trigger's; it alone stops
            self.give_up(entry, fault, now)
            return
        if found is None:
            self.clear(entry)
        else:
            self.put(entry, *found)

    def settle(self, entry: Entry, now: Moment) -> Come | None:
        """Decide about what has come due; None if its trigger gave up."""
        assert entry.due is not None  # noqa: S101 - it stood in the heap
        try:
            come = settle(entry.schedule, entry.due, now.wall)
        except Exception as fault:  # noqa: BLE001 - a trigger's; it alone stops
            self.give_up(entry, fault, now)
            return None
        _note(entry, come.last)
        return come

    def write_off(
        self, entry: Entry, outcome: Outcome, why: str, now: Moment
    ) -> datetime | None:
        """Write one record for all that has come due and will not run.

        Returns:
            The latest of them; None when there was none, or its trigger gave up.
        """
        due, start_at = entry.due, entry.start_at
        if due is None or start_at is None or start_at > now.wall or not self.begun:
            return None
        try:
            last = latest_come(entry.schedule, due, now.wall)
            out = left_out(entry.schedule.trigger, due, last, outcome, why)
        except Exception as fault:  # noqa: BLE001 - a trigger's; it alone stops
            self.give_up(entry, fault, now)
            return None
        _note(entry, last)
        self.leave_out(entry, out, now)
        return last

    def leave_out(self, entry: Entry, out: LeftOut | None, now: Moment) -> None:
        """Write the one record of nominal times that will not run, if any."""
        if out is not None:
            self._chronicle.leave_out(entry.schedule.job, out, now)

    def give_up(self, entry: Entry, fault: Exception, now: Moment) -> None:
        """Suspend a schedule whose trigger raised; what was due is missed."""
        why = f"its trigger raised {fault!r}"
        job, due = entry.schedule.job, entry.due
        entry.suspended, entry.broken, entry.probing = why, True, False
        if due is not None and entry.decided < due <= now.wall and self.begun:
            out = LeftOut(due, due, 1, True, Outcome.MISSED, why)
            self.leave_out(entry, out, now)
        self.clear(entry)
        self._chronicle.say(job, "job.suspended", "suspended", why, now)


def _note(entry: Entry, last: datetime) -> None:
    """Remember that all nominal times up to one are decided."""
    entry.last, entry.decided = last, max(last, entry.decided)


def _following(entry: Entry, after: datetime) -> tuple[datetime, datetime] | None:
    """Return the next nominal time and its start; None for never."""
    trigger = entry.schedule.trigger
    due = _first(entry, after) if trigger.follows_end else trigger.next_after(after)
    if due is None:
        return None
    if due <= after:
        # It would be asked the same for ever.
        raise StateError(
            f"the time after {after.isoformat()} is {due.isoformat()}",
            remedy="Report this with the schedule; each time must be a later one",
        )
    return due, start_of(entry.schedule, due)


def _first(entry: Entry, after: datetime) -> datetime | None:
    """Return the next time where some times count from the end of a run."""
    trigger = entry.schedule.trigger
    asked = (
        (part_of(trigger, FROM_THE_END), entry.ended),
        (part_of(trigger, OF_THEMSELVES), after),
    )
    times = [
        part.next_after(moment) for part, moment in asked if part and moment is not None
    ]
    return min(filter(None, times), default=None)
