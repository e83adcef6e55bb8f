"""What the history recalls after a restart, at odd moments."""

from __future__ import annotations

from datetime import timedelta

from scenes import (
    HANGS,
    MINUTES_10,
    NOON,
    at,
    cron,
    every,
    fates,
    schedule,
    starts,
    world,
)

from procsched.core.messages import ScheduleRecalled, Stage
from procsched.testing import PaperWorld


def test_a_clock_set_back_while_down_brings_no_decided_time_back() -> None:
    """The last run was at 12:30 by the clock of then; now it is noon."""
    made, tenth = PaperWorld(), cron("*/10 * * * *")
    made.schedule(schedule(trigger=tenth))
    made.tell(ScheduleRecalled(made.clock.now(), "job", tenth, at("12:30")))
    made.begin()

    made.live(timedelta(minutes=50))

    assert starts(made) == ["12:40", "12:50"]


def test_what_is_recalled_late_does_not_undo_what_was_decided_since() -> None:
    made = world(schedule())
    made.live(timedelta(minutes=15))

    long_ago = NOON - timedelta(hours=1)
    made.tell(ScheduleRecalled(made.clock.now(), "job", every(), long_ago))
    made.live(MINUTES_10)

    assert starts(made) == ["12:10", "12:20"]


def test_what_is_recalled_twice_is_the_same() -> None:
    made = PaperWorld()
    made.schedule(schedule())
    for _ in range(2):
        event = ScheduleRecalled(made.clock.now(), "job", every(), at("11:40"))
        made.tell(event)
    made.begin()
    made.live(MINUTES_10)

    assert starts(made) == ["12:10"]


def test_what_is_recalled_while_the_plan_closes_starts_nothing() -> None:
    made = world(schedule(trigger=every(60)), schedule("long"), fate=fates(long=HANGS))
    made.live(MINUTES_10)
    made.shut_down(Stage.SAFE)

    made.tell(ScheduleRecalled(made.clock.now(), "job", every(), at("11:00")))
    made.live(MINUTES_10)

    assert [each.job for each in made.starts] == ["long"]
