"""The schedules: which nominal time comes next for each, and what becomes of it.

A nominal time is decided once.  It becomes a run, or it is skipped, missed or
coalesced, and either way a record says so; then the next one is asked of the
trigger.  A trigger that raises suspends its own schedule and no other.

Imports: core, errors.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Final, assert_never

from procsched.core.backlog import LeftOut, count_times, settle
from procsched.core.entry import Entry, LiveRun
from procsched.core.messages import (
    ClockStepped,
    Command,
    RecordRun,
    ShutdownRequested,
    Stage,
    WriteTrail,
)
from procsched.core.outcome import Outcome
from procsched.core.policy import Overlap
from procsched.core.run import Reason, RunRecord, RunState
from procsched.core.timers import Alarm, AnswerOverdue, ProbeElapsed, RetryElapsed
from procsched.core.trail import Trail
from procsched.core.triggers import Once, shifted

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from procsched.core.moment import Moment
    from procsched.core.roster import Roster
    from procsched.core.schedule import Schedule

QUEUE_LIMIT: Final = 100
"""Waiting runs of one job with overlap 'queue'; beyond it firings are skipped.

A job that is slower than its period would otherwise fill the memory with runs
that can never catch up.
"""

CORRECTION: Final = 3 * 60 * 60
"""Seconds; a wall clock set forward by more is corrected, not slept through.

Vixie cron draws the same line at three hours (cron(8)).
"""


class Agenda:
    """Schedules by job name, and the times their next runs are due.

    Args:
        out: Where commands go, in order.
        roster: Where runs go.
    """

    def __init__(self, out: list[Command], roster: Roster) -> None:
        self._out = out
        self._roster = roster
        self.entries: dict[str, Entry] = {}
        self.continuous = False
        self.stage = Stage.OPEN
        self._heap: list[tuple[datetime, int, int, Entry]] = []
        self._order = count()
        self._open = 0
        self._used = False

    @property
    def exhausted(self) -> bool:
        """Whether no schedule can bring about another run."""
        return self._used and not self._open

    def next_start(self) -> datetime | None:
        """Return the earliest start on the wall clock; None without any."""
        while self._heap:
            start_at, _, version, entry = self._heap[0]
            if entry.version == version and not entry.held:
                return start_at
            heapq.heappop(self._heap)
        return None

    def begin(self, now: Moment) -> None:
        """Start counting: times before now were never promised."""
        for entry in self.entries.values():
            due = entry.due
            if due is None or due > now.wall:
                continue
            following = self._ask(entry, now.wall, now)
            if following is not None or not isinstance(entry.schedule.trigger, Once):
                self._set_due(entry, following)

    def add(self, schedule: Schedule, now: Moment) -> None:
        """Take in a schedule; its first time is the first after now."""
        entry = Entry(schedule, schedule)
        self.entries[schedule.job] = entry
        self._used = True
        self._set_due(entry, self._ask(entry, now.wall, now))
        said = {"schedule": schedule.trigger.describe()}
        if entry.start_at is not None:
            said["next"] = entry.start_at.isoformat()
        self._say(entry, "job.scheduled", "scheduled", said, now)

    def remove(self, entry: Entry, now: Moment) -> None:
        """Forget a schedule."""
        self._close_pause(entry, now)
        self._set_due(entry, None)
        del self.entries[entry.schedule.job]
        self._say(entry, "job.cancelled", "cancelled", "", now)

    def set_continuous(self, continuous: bool, now: Moment) -> None:  # noqa: FBT001
        """Let every job repeat, or run once and no more."""
        if continuous == self.continuous:
            return
        self.continuous = continuous
        for entry in self.entries.values():
            if not continuous and entry.fired:
                self._set_due(entry, None)
            elif continuous and entry.due is None and not self._follows_live(entry):
                self._set_due(entry, self._ask(entry, now.wall, now))

    def fire(self, now: Moment) -> None:
        """Decide about every nominal time whose start has come."""
        while (start_at := self.next_start()) is not None and start_at <= now.wall:
            entry = heapq.heappop(self._heap)[3]
            self._fire(entry, now)

    def _fire(self, entry: Entry, now: Moment) -> None:
        assert entry.due is not None  # noqa: S101 - it stood in the heap
        try:
            come = settle(entry.schedule, entry.due, now.wall)
        except Exception as fault:  # noqa: BLE001 - a user's trigger; it alone stops
            self._suspend(entry, f"its trigger raised {fault!r}", now)
            return
        if come.left_out is not None:
            self._leave_out(entry, come.left_out, now)
        why = Reason.CATCH_UP if come.late else Reason.SCHEDULE
        for nominal in come.run:
            self.admit(entry, nominal, now, why)
        entry.fired += 1
        entry.probing = False
        self._advance(entry, come.last, now)

    def _advance(self, entry: Entry, decided: datetime, now: Moment) -> None:
        once = not self.continuous and entry.fired
        if once or self._follows_live(entry):
            self._set_due(entry, None)
        else:
            self._set_due(entry, self._ask(entry, decided, now))

    def _follows_live(self, entry: Entry) -> bool:
        """Whether the next time is counted from the end of a run going on."""
        follows = entry.schedule.trigger.follows_end
        return follows and bool(self._roster.of(entry.schedule.job))

    def admit(
        self, entry: Entry, nominal: datetime, now: Moment, why: Reason
    ) -> str | None:
        """Make a run of a nominal time, as the overlap policy allows.

        Returns:
            The run's id; None if the time was skipped.
        """
        schedule = entry.schedule
        going = self._roster.of(schedule.job)
        refusal = None if why is Reason.MANUAL else _overlap(schedule, going)
        if refusal is not None:
            out = LeftOut(nominal, nominal, 1, True, Outcome.SKIPPED, refusal)
            self._leave_out(entry, out, now)
            return None
        if schedule.policy.overlap is Overlap.REPLACE:
            text = f"replaced by the run due at {nominal.isoformat()}"
            for run_id in going:
                self._roster.stop(run_id, now, text)
        return self._roster.admit(entry.added, nominal, 1, why)

    def departed(self, run: LiveRun, now: Moment) -> None:
        """Draw the conclusions from a run's end: retry, breaker, next time."""
        entry = self.entries.get(run.record.job)
        if entry is None or entry.added is not run.schedule:
            return
        if entry.due is None and entry.schedule.trigger.follows_end:
            ended = run.record.ended_at or now.wall
            self._advance(entry, ended, now)
        if run.record.outcome is Outcome.SUCCEEDED:
            entry.failures = 0
            self._restore(entry, now)
        elif run.record.outcome not in (Outcome.CANCELLED, Outcome.MISSED):
            self._failed(entry, run, now)

    def _failed(self, entry: Entry, run: LiveRun, now: Moment) -> None:
        entry.failures += 1
        record, policy = run.record, entry.schedule.policy
        retry = policy.retry
        if (
            retry is not None
            and record.attempt <= retry.count
            and record.outcome in retry.causes
            and self.stage is Stage.OPEN
        ):
            key = f"{record.job}\0{record.nominal_time.isoformat()}\0{record.attempt}"
            wait = retry.wait_seconds(record.attempt, _chance(key))
            entry.retries += 1
            self._open += 1
            self._roster.timers.set(now.monotonic + wait, RetryElapsed(run))
            said = {"attempt": record.attempt + 1, "wait_seconds": round(wait, 3)}
            self._say(entry, "run.retry", "waiting", said, now, record.run_id)
        elif policy.breaker is not None and entry.failures >= policy.breaker:
            self._trip(entry, now)

    def _trip(self, entry: Entry, now: Moment) -> None:
        probe = entry.schedule.policy.breaker_probe
        self._suspend(entry, f"{entry.failures} failures in a row", now)
        if probe is not None:
            job = entry.schedule.job
            at = now.monotonic + probe.total_seconds()
            self._roster.timers.set(at, ProbeElapsed(job))

    def expire(self, alarms: list[Alarm], now: Moment) -> None:
        """Act on the alarms that have rung."""
        for alarm in alarms:
            match alarm:
                case RetryElapsed():
                    self._retry(alarm.run, now)
                case ProbeElapsed():
                    self._probe(alarm.job, now)
                case AnswerOverdue():
                    continue
                case _:
                    assert_never(alarm)

    def _retry(self, run: LiveRun, now: Moment) -> None:
        self._open -= 1
        entry = self.entries.get(run.record.job)
        if entry is None or entry.added is not run.schedule:
            return
        entry.retries -= 1
        if self.stage is Stage.OPEN:
            record = run.record
            self._roster.admit(
                run.schedule, record.nominal_time, record.attempt + 1, Reason.RETRY
            )
        else:
            self._say(entry, "run.retry", "dropped", "shutting down", now)

    def _probe(self, job: str, now: Moment) -> None:
        entry = self.entries.get(job)
        if entry is not None and entry.suspended is not None:
            self._close_pause(entry, now)
            entry.probing = True
            self._set_due(entry, self._ask(entry, now.wall, now))
            self._say(entry, "job.probed", "probing", entry.suspended, now)

    def pause(self, entry: Entry, now: Moment) -> None:
        """Leave out firings until the job is resumed."""
        if not entry.paused:
            entry.paused = True
            self._say(entry, "job.paused", "paused", "", now)

    def resume(self, entry: Entry, now: Moment) -> None:
        """Fire again; what was due meanwhile becomes one skipped record."""
        if not entry.held:
            return
        self._close_pause(entry, now)
        entry.paused, entry.suspended, entry.failures = False, None, 0
        if self.continuous or not entry.fired:
            self._set_due(entry, self._ask(entry, now.wall, now))
        self._say(entry, "job.resumed", "resumed", "", now)

    def _restore(self, entry: Entry, now: Moment) -> None:
        if entry.suspended is not None:
            entry.suspended = None
            self._say(entry, "job.resumed", "resumed", "the probe succeeded", now)

    def _suspend(self, entry: Entry, why: str, now: Moment) -> None:
        entry.suspended, entry.probing = why, False
        self._say(entry, "job.suspended", "suspended", why, now)
        if "trigger raised" in why:
            self._set_due(entry, None)

    def _close_pause(self, entry: Entry, now: Moment) -> None:
        """Write one record for the times that passed while firings were held."""
        if not entry.held or entry.due is None or entry.due > now.wall:
            return
        last = entry.schedule.trigger.last_before(now.wall)
        last = entry.due if last is None else max(last, entry.due)
        times, exact = count_times(entry.schedule.trigger, entry.due, last)
        why = "the job was paused" if entry.paused else f"suspended: {entry.suspended}"
        out = LeftOut(entry.due, last, times, exact, Outcome.SKIPPED, why)
        self._leave_out(entry, out, now)

    def step(self, event: ClockStepped) -> None:
        """Keep elapsed time going, and decide no time twice, over a clock step."""
        now, shift = event.at, event.shift
        facts = {"shift_seconds": round(shift.total_seconds(), 3)}
        status = "suspended" if event.suspended else "set"
        self._out.append(WriteTrail(Trail("clock.stepped", status, facts, now.wall)))
        if event.suspended:
            return
        for entry in self.entries.values():
            if entry.due is not None:
                self._step_entry(entry, shift, now)

    def _step_entry(self, entry: Entry, shift: timedelta, now: Moment) -> None:
        assert entry.due is not None  # noqa: S101 - the caller asked
        moved = shifted(entry.schedule.trigger, shift)
        if moved is not entry.schedule.trigger:
            entry.schedule = replace(entry.schedule, trigger=moved)
            self._set_due(entry, entry.due + shift)
        elif shift.total_seconds() > CORRECTION and entry.due <= now.wall:
            last = entry.schedule.trigger.last_before(now.wall) or entry.due
            last = max(last, entry.due)
            times, exact = count_times(entry.schedule.trigger, entry.due, last)
            why = f"the clock was set forward by {shift}"
            out = LeftOut(entry.due, last, times, exact, Outcome.MISSED, why)
            self._leave_out(entry, out, now)
            self._set_due(entry, self._ask(entry, now.wall, now))

    def close(self, event: ShutdownRequested) -> None:
        """Take no further firing; the first time only the stage was open."""
        if self.stage is Stage.OPEN:
            for entry in self.entries.values():
                self._close_pause(entry, event.at)
                self._set_due(entry, None)
        self.stage = event.stage
        status = event.stage.name.lower()
        trail = Trail("scheduler.stopping", status, {"by": event.by}, event.at.wall)
        self._out.append(WriteTrail(trail))

    def _ask(self, entry: Entry, after: datetime, now: Moment) -> datetime | None:
        try:
            return entry.schedule.trigger.next_after(after)
        except Exception as fault:  # noqa: BLE001 - a user's trigger; it alone stops
            self._suspend(entry, f"its trigger raised {fault!r}", now)
            return None

    def _set_due(self, entry: Entry, due: datetime | None) -> None:
        self._open += (due is not None) - (entry.due is not None)
        entry.due = due
        entry.version += 1
        if due is None:
            entry.start_at = None
            return
        delay = entry.schedule.delay
        entry.start_at = due if delay is None else due + delay.of(due)
        row = (entry.start_at, next(self._order), entry.version, entry)
        heapq.heappush(self._heap, row)

    def _leave_out(self, entry: Entry, out: LeftOut, now: Moment) -> None:
        job = entry.schedule.job
        record = RunRecord(
            run_id=self._roster.new_id(),
            job=job,
            nominal_time=out.first,
            state=RunState.ENDED,
            outcome=out.outcome,
            reason=out.reason,
            ended_at=now.wall,
            covers=out.count,
            until=out.last if out.count > 1 else None,
            flags=() if out.exact else ("count is a lower bound",),
        )
        self._out.append(RecordRun(record))
        said: dict[str, object] = {"reason": out.reason}
        if out.count > 1:
            said |= {"count": out.count, "until": out.last.isoformat()}
        operation = f"run.{out.outcome}"
        self._say(entry, operation, out.outcome.value, said, now, record.run_id)

    def _say(
        self,
        entry: Entry,
        operation: str,
        status: str,
        comments: object,
        at: Moment,
        run_id: str | None = None,
    ) -> None:
        trail = Trail(operation, status, comments, at.wall, entry.schedule.job, run_id)
        self._out.append(WriteTrail(trail))


def _overlap(schedule: Schedule, going: tuple[str, ...]) -> str | None:
    """Return why a firing is skipped; None when it makes a run."""
    policy = schedule.policy
    match policy.overlap:
        case Overlap.SKIP if going:
            return f"run {going[-1]} of the same job was still going"
        case Overlap.QUEUE if len(going) > QUEUE_LIMIT:
            return f"{QUEUE_LIMIT} runs of the job were waiting already"
        case Overlap.PARALLEL if len(going) >= (policy.parallel or QUEUE_LIMIT):
            return f"{len(going)} runs of the job were going or waiting already"
    return None


def _chance(key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone."""
    digest = blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
