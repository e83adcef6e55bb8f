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
from procsched.core.triggers import Interval

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.schedule import Schedule
    from procsched.core.triggers import Trigger

ON_TIME: Final = timedelta(minutes=1)
"""A start within this of its nominal time is no catch-up: cron's own grain."""

COUNT_LIMIT: Final = 1000
"""Left-out times counted one by one; of more it is said that there are more."""

_INSTANT: Final = timedelta(microseconds=1)


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


def settle(schedule: Schedule, due: datetime, now: datetime) -> Come:
    """Decide about every nominal time from `due` to `now`.

    Args:
        due: The first that is not decided; its start is due by now.
        now: Aware, in UTC.
    """
    latest = _latest(schedule, due, now)
    policy = schedule.policy
    late = latest > due or now - due > ON_TIME
    if not late:
        return Come((due,), None, due, late=False)
    run = _worth_running(schedule, due, latest, now)
    if not run:
        why = (
            "catch_up is 'none'"
            if policy.catch_up is CatchUp.NONE
            else f"older than the catch-up window of {policy.catch_up_window}"
        )
        missed = _left_out(schedule.trigger, due, latest, Outcome.MISSED, why)
        return Come((), missed, latest, late=True)
    rest = None
    before = schedule.trigger.last_before(run[0])
    if before is not None and before >= due:
        rest = _the_rest(schedule, due, before)
    return Come(run, rest, latest, late=now - run[0] > ON_TIME or len(run) > 1)


def _latest(schedule: Schedule, due: datetime, now: datetime) -> datetime:
    """Return the newest nominal time whose start has come."""
    latest = schedule.trigger.last_before(now + _INSTANT)
    if latest is not None and schedule.delay is not None:
        while latest > due and latest + schedule.delay.of(latest) > now:
            latest = schedule.trigger.last_before(latest) or due
    return due if latest is None else max(latest, due)


def _worth_running(
    schedule: Schedule, due: datetime, latest: datetime, now: datetime
) -> tuple[datetime, ...]:
    policy = schedule.policy
    if policy.catch_up is CatchUp.NONE:
        return (latest,) if now - latest <= ON_TIME else ()
    if now - latest > policy.catch_up_window:
        return ()
    if policy.catch_up is CatchUp.LATEST:
        return (latest,)
    found = [latest]
    while len(found) < policy.catch_up_max:
        earlier = schedule.trigger.last_before(found[-1])
        if earlier is None or earlier < due:
            break
        if now - earlier > policy.catch_up_window:
            break
        found.append(earlier)
    return tuple(reversed(found))


def _the_rest(schedule: Schedule, first: datetime, last: datetime) -> LeftOut:
    match schedule.policy.catch_up:
        case CatchUp.LATEST:
            outcome, why = Outcome.COALESCED, "the latest nominal time runs for all"
        case CatchUp.ALL:
            outcome = Outcome.MISSED
            why = "beyond the catch-up window or its cap"
        case CatchUp.NONE:
            outcome, why = Outcome.MISSED, "catch_up is 'none'"
    return _left_out(schedule.trigger, first, last, outcome, why)


def _left_out(
    trigger: Trigger, first: datetime, last: datetime, outcome: Outcome, why: str
) -> LeftOut:
    count, exact = count_times(trigger, first, last)
    return LeftOut(first, last, count, exact, outcome, why)


def count_times(trigger: Trigger, first: datetime, last: datetime) -> tuple[int, bool]:
    """Return how many nominal times lie from first to last, and whether exactly."""
    if isinstance(trigger, Interval):
        return (last - first) // trigger.step + 1, True
    count, moment = 1, first
    while count < COUNT_LIMIT:
        following = trigger.next_after(moment)
        if following is None or following > last:
            return count, True
        count, moment = count + 1, following
    return count, moment == last
