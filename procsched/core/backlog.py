"""Which of the nominal times that have come are run, and which are left out.

Usually one has come and it runs.  After a suspend, a stop or a busy moment there
may be many: then the catch-up policy speaks.  The ones to run are found backwards
from now, so an outage of a year costs no more than one of an hour.

Imports: core.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from procsched.core.outcome import Outcome
from procsched.core.policy import CatchUp
from procsched.core.run import Reason
from procsched.core.triggers import Interval

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.moment import Moment
    from procsched.core.schedule import Schedule
    from procsched.core.triggers import Trigger

ON_TIME: Final = timedelta(minutes=1)
"""A start within this of its time is no catch-up: cron's own grain."""

COUNT_LIMIT: Final = 1000
"""Left-out times counted one by one; of more it is said that there are more."""

_INSTANT: Final = timedelta(microseconds=1)

_REST: Final = {
    CatchUp.LATEST: (Outcome.COALESCED, "the latest nominal time runs for all"),
    CatchUp.ALL: (Outcome.MISSED, "beyond the catch-up window or its cap"),
    CatchUp.NONE: (Outcome.MISSED, "catch_up is 'none'"),
}
"""What becomes of the times before the first that runs."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A stretch of nominal times that will not run, as one record.

    Attributes:
        count: How many; at least that many where `exact` is False.
    """

    first: datetime
    last: datetime
    count: int
    exact: bool
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Come:
    """What has come due: the times to run, oldest first, and the rest.

    Attributes:
        last: The latest nominal time that is hereby decided.
        late: The runs are a catch-up, not a firing on time.
    """

    run: tuple[datetime, ...]
    left_out: LeftOut | None
    last: datetime
    late: bool


def start_of(schedule: Schedule, nominal: datetime) -> datetime:
    """Return when a run of a nominal time may start: its delay is on purpose."""
    delay = schedule.delay
    return nominal if delay is None else nominal + delay.of(nominal)


def start_by(
    schedule: Schedule, nominal: datetime, why: Reason, now: Moment
) -> float | None:
    """Return when it is too late to start a run, on the monotonic clock.

    Counted from when its start was meant to be: jitter and spread are no delay,
    and a retry or a run by hand was not due any earlier than now.
    """
    deadline = schedule.policy.start_deadline
    if deadline is None:
        return None
    late = timedelta(0)
    if why in (Reason.SCHEDULE, Reason.CATCH_UP):
        late = now.wall - start_of(schedule, nominal)
    return now.monotonic + (deadline - late).total_seconds()


def settle(schedule: Schedule, due: datetime, now: datetime) -> Come:
    """Decide about every nominal time from `due` to `now`.

    Args:
        due: The first that is not decided; its start is due by now.
        now: Aware, in UTC.
    """
    latest = latest_come(schedule, due, now)
    if latest == due and now - start_of(schedule, due) <= ON_TIME:
        return Come((due,), None, due, late=False)
    policy = schedule.policy
    run = _worth_running(schedule, due, latest, now)
    if not run:
        why = (
            "catch_up is 'none'"
            if policy.catch_up is CatchUp.NONE
            else f"older than the catch-up window of {policy.catch_up_window}"
        )
        missed = left_out(schedule.trigger, due, latest, Outcome.MISSED, why)
        return Come((), missed, latest, late=True)
    rest = _the_rest(schedule, due, run[0]) if run[0] > due else None
    late = len(run) > 1 or now - start_of(schedule, run[0]) > ON_TIME
    return Come(run, rest, latest, late=late)


def latest_come(schedule: Schedule, due: datetime, now: datetime) -> datetime:
    """Return the newest nominal time whose start has come; at least `due`."""
    latest = schedule.trigger.last_before(now + _INSTANT)
    while latest is not None and latest > due and start_of(schedule, latest) > now:
        latest = schedule.trigger.last_before(latest)
    return due if latest is None else max(latest, due)


def _worth_running(
    schedule: Schedule, due: datetime, latest: datetime, now: datetime
) -> tuple[datetime, ...]:
    policy = schedule.policy
    age = now - start_of(schedule, latest)
    if policy.catch_up is CatchUp.NONE:
        return (latest,) if age <= ON_TIME else ()
    if age > policy.catch_up_window:
        return ()
    if policy.catch_up is CatchUp.LATEST:
        return (latest,)
    found = [latest]
    while len(found) < policy.catch_up_max and found[-1] > due:
        before = schedule.trigger.last_before(found[-1])
        # `due` may be a time that cannot be found backwards: after the end of a run.
        earlier = due if before is None else max(before, due)
        if now - start_of(schedule, earlier) > policy.catch_up_window:
            break
        found.append(earlier)
    return tuple(reversed(found))


def _the_rest(schedule: Schedule, first: datetime, until: datetime) -> LeftOut:
    """Return what lies before the first time that runs."""
    before = schedule.trigger.last_before(until)
    last = first if before is None else max(before, first)
    outcome, why = _REST[schedule.policy.catch_up]
    return left_out(schedule.trigger, first, last, outcome, why)


def left_out(
    trigger: Trigger, first: datetime, last: datetime, outcome: Outcome, why: str
) -> LeftOut:
    """Return the nominal times from first to last as one stretch."""
    count, exact = count_times(trigger, first, last)
    return LeftOut(first, last, count, exact, outcome, why)


def count_times(trigger: Trigger, first: datetime, last: datetime) -> tuple[int, bool]:
    """Return how many nominal times lie from first to last, and whether exactly."""
    if isinstance(trigger, Interval):
        return (last - first) // trigger.step + 1, True
    count, moment = 1, last
    while moment > first and count < COUNT_LIMIT:
        # Backwards, because a time after the end of a run is found no other way.
        before = trigger.last_before(moment)
        moment = first if before is None else max(before, first)
        count += 1
    return count, moment == first
