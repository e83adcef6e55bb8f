"""The schedules: what becomes of each nominal time whose start has come.

A nominal time is decided once.  It becomes a run, or it is skipped, missed or
coalesced, and either way a record says so; then the next one is asked of the
trigger.

Imports: core, errors.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final, assert_never

from procsched.core.backlog import LeftOut
from procsched.core.chronicle import Chronicle
from procsched.core.correction import CORRECTION, correct
from procsched.core.entry import Entry, LiveRun
from procsched.core.holds import Holds
from procsched.core.messages import (
    ClockStepped,
    Command,
    ScheduleRecalled,
    ShutdownRequested,
    Stage,
)
from procsched.core.outcome import Outcome
from procsched.core.policy import Overlap
from procsched.core.retries import Retries
from procsched.core.run import Reason
from procsched.core.timers import ProbeElapsed, RetryElapsed
from procsched.core.timetable import Timetable
from procsched.core.triggers import Between, Excluding, Once
from procsched.errors import SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from procsched.core.backlog import Come
    from procsched.core.moment import Moment
    from procsched.core.roster import Roster
    from procsched.core.schedule import Schedule
    from procsched.core.triggers import Trigger

QUEUE_LIMIT: Final = 100
"""Runs of one job that wait; beyond it firings are skipped.

A job that is slower than its period would otherwise fill the memory with runs
that can never catch up.
"""

_CLOSING: Final = "the scheduler is shutting down"


class Agenda:
    """Schedules by job name, and the times their next runs are due.

    Args:
        out: Where commands go, in order.
        roster: Where runs go.
    """

    def __init__(self, out: list[Command], roster: Roster) -> None:
        self._roster = roster
        self._chronicle = Chronicle(out, roster.new_id)
        self._timetable = Timetable(self._chronicle)
        self._retries = Retries(roster.timers, self._chronicle)
        self.holds = Holds(
            self._timetable, roster.timers, self._chronicle, self._replan
        )
        self.entries: dict[str, Entry] = {}
        self.continuous = False
        self.stage = Stage.OPEN
        self._numbers = count()
        self._used = False

    @property
    def exhausted(self) -> bool:
        """Whether no schedule can bring about another run."""
        return self._used and not self._timetable.open and not self._retries

    def next_start(self) -> datetime | None:
        """Return the earliest start on the wall clock; None without any."""
        return self._timetable.next_start()

    def begin(self, now: Moment) -> None:
        """Start counting: times before now were never promised."""
        self._timetable.begun = True
        for entry in self.entries.values():
            trigger = entry.schedule.trigger
            overdue = entry.due is not None and entry.due <= now.wall
            if entry.recalled or (overdue and _is_single(trigger)):
                # It was promised before a restart, or it has no other time.
                continue
            entry.since = entry.decided = now.wall
            if overdue:
                self._replan(entry, now.wall, now)

    def add(self, schedule: Schedule, now: Moment) -> None:
        """Take in a schedule; its first time is the first after now."""
        number = next(self._numbers)
        entry = Entry(schedule, schedule, number, now.wall, now.wall)
        self.entries[schedule.job] = entry
        self._used = True
        if schedule.origin is not None:
            self._chronicle.remember(schedule.job, schedule.origin)
        try:
            said = {"schedule": schedule.trigger.describe()}
        except Exception as fault:  # noqa: BLE001 - a trigger's; it alone stops
            self._timetable.give_up(entry, fault, now)
            return
        self._replan(entry, now.wall, now)
        if entry.start_at is not None:
            said["next"] = entry.start_at.isoformat()
        self._chronicle.say(schedule.job, "job.scheduled", "scheduled", said, now)

    def recall(self, event: ScheduleRecalled) -> None:
        """Go on with a schedule where it stood before a restart."""
        entry, now = self.entries.get(event.job), event.at
        if entry is None or entry.last is not None:
            # What has decided a time since it was added knows better.
            return
        entry.schedule = replace(entry.schedule, trigger=event.trigger)
        decided = now.wall
        if self.continuous and not event.trigger.follows_end:
            # A job that runs once has nothing to catch up with: it runs now.
            entry.recalled = True
            if event.decided - now.wall <= CORRECTION:
                # A clock set back meanwhile brings no decided time back; a
                # history from further ahead was written by a clock gone wrong.
                decided = event.decided
        entry.since, entry.decided = min(decided, now.wall), decided
        self._replan(entry, decided, now)

    def remove(self, entry: Entry, now: Moment) -> None:
        """Forget a schedule."""
        job = entry.schedule.job
        self.holds.close(entry, now)
        self._timetable.clear(entry)
        self._roster.timers.call_off(entry.probe)
        self._retries.drop(job, "the job was cancelled", now)
        del self.entries[job]
        if entry.added.origin is not None:
            self._chronicle.remember(job, None)
        self._chronicle.say(job, "job.cancelled", "cancelled", "", now)

    def set_continuous(self, continuous: bool, now: Moment) -> None:  # noqa: FBT001
        """Let every job repeat, or run once and no more."""
        if continuous == self.continuous:
            return
        self.continuous = continuous
        for entry in self.entries.values():
            if entry.due is None:
                self._replan(entry, now.wall, now)
            elif not continuous and entry.fired:
                self.holds.close(entry, now)
                self._timetable.clear(entry)

    def fire(self, now: Moment) -> None:
        """Decide about every nominal time whose start has come."""
        while (entry := self._timetable.take(now)) is not None:
            come = self._timetable.settle(entry, now)
            if come is not None:
                self._settle(entry, come, now)

    def _settle(self, entry: Entry, come: Come, now: Moment) -> None:
        self._timetable.leave_out(entry, come.left_out, now)
        if not self.continuous:
            come = self._newest_only(entry, come, now)
        if come.run and self._admit(entry, come, now):
            entry.fired, entry.probing = True, False
        self._replan(entry, come.last, now)

    def _newest_only(self, entry: Entry, come: Come, now: Moment) -> Come:
        """Keep one time of several, since the job runs once."""
        if len(come.run) <= 1:
            return come
        *rest, newest = come.run
        why = "the job runs once, at the latest nominal time"
        out = LeftOut(rest[0], rest[-1], len(rest), True, Outcome.COALESCED, why)
        self._timetable.leave_out(entry, out, now)
        return replace(come, run=(newest,))

    def _admit(self, entry: Entry, come: Come, now: Moment) -> bool:
        """Make runs of nominal times, if the overlap policy allows.

        Several at once wait for one another, as far as the policy wants it.
        """
        schedule, run = entry.schedule, come.run
        refusal = self._overlap(schedule)
        if refusal is not None:
            out = LeftOut(run[0], run[-1], len(run), True, Outcome.SKIPPED, refusal)
            self._timetable.leave_out(entry, out, now)
            return False
        self._make_room(schedule, f"the run due at {run[0].isoformat()}", now)
        why = Reason.CATCH_UP if come.late else Reason.SCHEDULE
        for nominal in run:
            self._roster.admit(entry.added, nominal, why, now)
        return True

    def _overlap(self, schedule: Schedule) -> str | None:
        """Return why a firing is skipped; None when it makes a run."""
        policy, going = schedule.policy, self._roster.of(schedule.job)
        match policy.overlap:
            case Overlap.SKIP if going:
                return f"run {going[-1]} of the same job was still going"
            case Overlap.PARALLEL if policy.parallel and len(going) >= policy.parallel:
                return f"{len(going)} runs of the job were going or waiting already"
            case Overlap.QUEUE | Overlap.PARALLEL if self._is_crowded(schedule.job):
                return f"{QUEUE_LIMIT} runs of the job were waiting already"
        return None

    def _is_crowded(self, job: str) -> bool:
        return len(self._roster.waiting(job)) >= QUEUE_LIMIT

    def _make_room(self, schedule: Schedule, successor: str, now: Moment) -> None:
        """Stop what a new run replaces; it starts when that is confirmed dead."""
        if schedule.policy.overlap is not Overlap.REPLACE:
            return
        text = f"replaced by {successor}"
        for run_id in self._roster.of(schedule.job):
            self._roster.stop(run_id, now, text)
        self._retries.drop(schedule.job, text, now)

    def run_now(self, entry: Entry, now: Moment) -> str:
        """Make a run by hand; return its id.

        Raises:
            SchedulerError: If too many runs of the job wait already.
        """
        job, follows_end = entry.schedule.job, entry.schedule.trigger.follows_end
        self._make_room(entry.schedule, "a run started by hand", now)
        if self._is_crowded(job):
            raise SchedulerError(
                f"{QUEUE_LIMIT} runs of {job!r} are waiting already",
                remedy="Wait until some have started, or stop them with stop_run()",
            )
        nominal = now.wall
        taken = {entry.last, entry.due, *self._roster.nominal_times(job)}
        while nominal in taken:
            # A start is known by job, nominal time and attempt: no two share them.
            nominal -= nominal.resolution
        if follows_end:
            self.holds.close(entry, now)
        run_id = self._roster.admit(entry.added, nominal, Reason.MANUAL, now)
        if follows_end:
            self._replan(entry, entry.decided, now)
        return run_id

    def departed(self, run: LiveRun, now: Moment) -> None:
        """Draw the conclusions from a run's end: retry, breaker, next time."""
        entry = self.entries.get(run.record.job)
        if entry is None or entry.added is not run.schedule:
            return
        if self.stage is not Stage.OPEN:
            self._retries.refuse(run, _CLOSING, now)
            return
        if run.record.outcome is Outcome.SUCCEEDED:
            self.holds.restore(entry, now)
        elif run.record.outcome not in (Outcome.CANCELLED, Outcome.MISSED):
            self._failed(entry, run, now)
        elif entry.suspended is not None and not entry.probing:
            # The run that was to decide has decided nothing.
            self.holds.await_probe(entry, now)
        if entry.schedule.trigger.follows_end:
            self._replan(entry, entry.decided, now)

    def _failed(self, entry: Entry, run: LiveRun, now: Moment) -> None:
        if self._retries.put(run, now):
            return
        policy, outcome = entry.schedule.policy, run.record.outcome
        entry.failures += policy.counts(outcome)
        # A probe that fails has told enough, whatever it failed of.
        again = entry.suspended is not None
        if not entry.broken and (again or policy.trips(outcome, entry.failures)):
            self.holds.trip(entry, run.record, now)

    def expire(
        self, alarms: Iterable[RetryElapsed | ProbeElapsed], now: Moment
    ) -> None:
        """Act on the alarms that have rung."""
        for alarm in alarms:
            match alarm:
                case RetryElapsed(run):
                    self._retries.take(run)
                    record = run.record
                    self._roster.admit(
                        run.schedule,
                        record.nominal_time,
                        Reason.RETRY,
                        now,
                        attempt=record.attempt + 1,
                    )
                case ProbeElapsed(entry):
                    self.holds.probe(entry, now)
                case _:
                    assert_never(alarm)

    def step(self, event: ClockStepped) -> None:
        """Keep elapsed time going, and decide no time twice, over a clock step."""
        now, shift = event.at, event.shift
        facts = {"shift_seconds": round(shift.total_seconds(), 3)}
        status = "suspended" if event.suspended else "set"
        self._chronicle.say(None, "clock.stepped", status, facts, now)
        if event.suspended:
            return
        for entry in self.entries.values():
            try:
                correct(self._timetable, entry, shift, now)
            except Exception as fault:  # noqa: BLE001 - a trigger's; it alone stops
                self._timetable.give_up(entry, fault, now)

    def close(self, event: ShutdownRequested) -> None:
        """Take no further firing."""
        now = event.at
        if self.stage is Stage.OPEN:
            for entry in self.entries.values():
                self.holds.close(entry, now)
                self._timetable.clear(entry)
                self._roster.timers.call_off(entry.probe)
            self._retries.drop_all(_CLOSING, now)
        self.stage = event.stage
        status, facts = event.stage.name.lower(), {"by": event.by}
        self._chronicle.say(None, "scheduler.stopping", status, facts, now)

    def _replan(self, entry: Entry, after: datetime, now: Moment) -> None:
        """Find the next time of an entry after a moment, if it is to have one."""
        if entry.schedule.trigger.follows_end:
            # Without a run since, it counts from now: from an end long ago it
            # would make a burst.
            at_it = self._is_at_it(entry.schedule.job)
            entry.ended = None if at_it else now.wall
        done = entry.fired and not self.continuous
        if done or entry.broken or self.stage is not Stage.OPEN:
            self._timetable.clear(entry)
        else:
            # A wall clock that was set back must not bring back a decided time.
            self._timetable.plan(entry, max(after, entry.decided), now)

    def _is_at_it(self, job: str) -> bool:
        """Whether the end that a next time would be counted from is to come."""
        return self._roster.going(job) or self._retries.of(job)


def _is_single(trigger: Trigger) -> bool:
    """Whether a trigger names one moment only."""
    if isinstance(trigger, Between | Excluding):
        return _is_single(trigger.trigger)
    return isinstance(trigger, Once)
