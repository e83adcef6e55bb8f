"""Schedules that do not fire for now: paused by hand, suspended by failures.

What passes while a schedule is held becomes one record when the hold ends, and
no burst follows.

Imports: core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procsched.core.outcome import Outcome
from procsched.core.timers import ProbeElapsed

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from procsched.core.chronicle import Chronicle
    from procsched.core.entry import Entry
    from procsched.core.moment import Moment
    from procsched.core.run import RunRecord
    from procsched.core.timers import Timers
    from procsched.core.timetable import Timetable


class Holds:
    """Holds schedules and lets them go.

    Args:
        replan: Finds the next time of an entry, after a moment.
    """

    def __init__(
        self,
        timetable: Timetable,
        timers: Timers,
        chronicle: Chronicle,
        replan: Callable[[Entry, datetime, Moment], None],
    ) -> None:
        self._timetable = timetable
        self._timers = timers
        self._chronicle = chronicle
        self._replan = replan

    def pause(self, entry: Entry, now: Moment) -> None:
        """Leave out firings until the job is resumed."""
        if not entry.paused:
            # What a suspension kept from firing so far is none of the pause's.
            self.close(entry, now)
            entry.paused = True
            self._say(entry, "job.paused", "paused", "", now)

    def resume(self, entry: Entry, now: Moment) -> None:
        """Fire again; what was due meanwhile becomes one skipped record."""
        if not entry.paused and entry.suspended is None:
            return
        self.close(entry, now)
        self._timers.call_off(entry.probe)
        entry.paused = entry.broken = entry.probing = False
        entry.suspended, entry.failures = None, 0
        self._say(entry, "job.resumed", "resumed", "", now)
        self._refresh(entry, now)

    def trip(self, entry: Entry, record: RunRecord, now: Moment) -> None:
        """Suspend a schedule that fails, and set the time of its probe."""
        count = entry.failures
        row = f"{count} failures in a row" if count > 1 else "1 failure in a row"
        why = f"{row}, the last: {record.outcome} ({record.reason})"
        entry.suspended, entry.probing = why, False
        self._say(entry, "job.suspended", "suspended", why, now)
        self.await_probe(entry, now)

    def await_probe(self, entry: Entry, now: Moment) -> None:
        """Set the time of the next probe, counted from now."""
        self._timers.call_off(entry.probe)
        wait = entry.schedule.policy.breaker_probe
        if wait is not None:
            at = now.monotonic + wait.total_seconds()
            entry.probe = self._timers.set(at, ProbeElapsed(entry))

    def probe(self, entry: Entry, now: Moment) -> None:
        """Let the next firing of a suspended schedule through."""
        self.close(entry, now)
        if entry.broken:
            return
        entry.probing = True
        self._say(entry, "job.probed", "probing", entry.suspended or "", now)
        self._refresh(entry, now)

    def restore(self, entry: Entry, now: Moment) -> None:
        """Let a suspended schedule go on, since a run of it succeeded."""
        entry.failures = 0
        if entry.suspended is None:
            return
        self.close(entry, now)
        if entry.broken:
            return
        self._timers.call_off(entry.probe)
        entry.suspended, entry.probing = None, False
        self._say(entry, "job.resumed", "resumed", "a run succeeded", now)
        self._refresh(entry, now)

    def close(self, entry: Entry, now: Moment) -> None:
        """Write one record for the times that passed while firings were held."""
        if not entry.held:
            return
        why = "the job was paused" if entry.paused else f"suspended: {entry.suspended}"
        last = self._timetable.write_off(entry, Outcome.SKIPPED, why, now)
        if last is not None:
            self._replan(entry, last, now)

    def _refresh(self, entry: Entry, now: Moment) -> None:
        """Give an entry a row again, or look for a time if it has none."""
        if entry.due is not None and entry.start_at is not None:
            self._timetable.put(entry, entry.due, entry.start_at)
        else:
            self._replan(entry, now.wall, now)

    def _say(
        self, entry: Entry, operation: str, status: str, said: str, now: Moment
    ) -> None:
        self._chronicle.say(entry.schedule.job, operation, status, said, now)
