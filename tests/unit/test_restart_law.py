"""Over any number of restarts every nominal time is decided once, and none twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import NOON, cron, every, lasting, schedule

from procsched.core.messages import ScheduleRecalled
from procsched.core.run import Reason
from procsched.testing import FakeClock, PaperWorld

if TYPE_CHECKING:
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Schedule
    from procsched.core.triggers import Trigger

TRIGGERS = st.one_of(
    st.integers(1, 90).map(every),
    st.sampled_from(["*/7 * * * *", "13 * * * *", "30 2,14 * * *"]).map(cron),
)

LIVES = st.lists(
    st.tuples(st.integers(1, 600), st.integers(0, 4000)), min_size=2, max_size=5
)
"""Minutes up and minutes down, in turn; up to almost three days down."""

POLICIES = st.fixed_dictionaries(
    {
        "catch_up": st.sampled_from(["latest", "none", "all"]),
        "overlap": st.sampled_from(["skip", "queue", "replace"]),
    }
)


def times(trigger: Trigger, after: datetime, until: datetime) -> list[datetime]:
    """Every nominal time in a stretch, asked one by one."""
    found = []
    moment = trigger.next_after(after)
    while moment is not None and moment <= until:
        found.append(moment)
        moment = trigger.next_after(moment)
    return found


def covered(trigger: Trigger, record: RunRecord) -> list[datetime]:
    """The nominal times that a record speaks for."""
    first = record.nominal_time
    stretch = times(trigger, first, record.until or first)
    assert "count is a lower bound" in record.flags or record.covers == 1 + len(stretch)
    return [first, *stretch]


def live_once(
    made: Schedule, clock: FakeClock, minutes: int, known: list[RunRecord]
) -> list[RunRecord]:
    """Live until a safe shutdown; return the records of this life."""
    world = PaperWorld(clock=clock, fate=lambda _start: lasting(minutes=17))
    world.schedule(made)
    if known:
        decided = max(each.until or each.nominal_time for each in known)
        event = ScheduleRecalled(clock.now(), made.job, made.trigger, decided)
        world.tell(event)
    world.begin()
    world.live(timedelta(minutes=minutes))
    world.shut_down()
    assert world.live_until_finished(timedelta(days=9))
    return world.history.runs()


@settings(max_examples=150, deadline=None)
@given(trigger=TRIGGERS, lives=LIVES, policy=POLICIES)
def test_each_nominal_time_is_decided_once_over_restarts(
    trigger: Trigger, lives: list[tuple[int, int]], policy: dict[str, str]
) -> None:
    clock = FakeClock()
    made = schedule(trigger=trigger, **policy)
    known: list[RunRecord] = []
    last_up = NOON

    for up, down in lives:
        began = clock.now().wall
        known += live_once(made, clock, up, known)
        last_up = began + timedelta(minutes=up)
        clock.advance(timedelta(minutes=down))

    assert not [each for each in known if each.trigger is Reason.MANUAL]
    decided = sorted(moment for each in known for moment in covered(trigger, each))
    first = decided[0] if decided else last_up
    assert decided == times(trigger, first - timedelta(microseconds=1), last_up)
