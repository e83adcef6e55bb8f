"""Steps of the wall clock, and sleep: no storm, no stall, no time decided twice."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenes import (
    MINUTES_10,
    at,
    cron,
    every,
    moment,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.messages import (
    ClockStepped,
    LoopStarted,
    RecordRun,
    ScheduleRequested,
    TriggerRequested,
    WriteTrail,
)
from procsched.core.moment import Moment
from procsched.core.plan import Plan
from procsched.core.triggers import After, Excluding
from procsched.testing import PaperWorld

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
TENTH = cron("*/10 * * * *")


def test_set_back_an_hour_a_wall_time_that_was_decided_does_not_fire_again() -> None:
    back = world(schedule(trigger=TENTH))
    back.live(timedelta(minutes=65))

    back.set_wall(at("12:05"))
    back.live(timedelta(minutes=70))

    assert starts(back) == [
        "12:10", "12:20", "12:30", "12:40", "12:50", "13:00", "13:10",
    ]  # fmt: skip


def test_set_back_before_its_first_time_a_schedule_does_not_stand_still() -> None:
    """A host that booted two hours ahead: the times until then are new to it."""
    ahead = world(schedule(trigger=TENTH))
    ahead.live(timedelta(minutes=25))

    ahead.set_wall(at("11:35"))
    ahead.live(timedelta(minutes=70))

    assert starts(ahead) == [
        "12:10",
        "12:20",
        "11:40",
        "11:50",
        "12:00",
        "12:30",
        "12:40",
    ]


def test_set_back_before_anything_was_decided_a_schedule_starts_from_there() -> None:
    ahead = world(schedule(trigger=cron("0 13 * * *")))

    ahead.set_wall(at("12:00") - timedelta(days=2))
    ahead.live(timedelta(days=3))

    days = [each.nominal_time.day for each in ahead.starts]
    assert days == [31, 1, 2]


@pytest.mark.parametrize("years", [-10, 10])
def test_ten_years_either_way_leave_a_daily_job_firing_each_day(years: int) -> None:
    far = world(schedule(trigger=cron("0 13 * * *")))
    far.live(timedelta(days=2))

    far.set_wall(far.now.replace(year=far.now.year + years))
    before = len(far.starts)
    far.live(timedelta(days=5))

    assert len(far.starts) - before == 5


def test_set_back_an_interval_goes_on_as_time_goes_by() -> None:
    back = world(schedule())
    back.live(timedelta(minutes=65))

    back.set_wall(at("12:05"))
    back.live(timedelta(minutes=26))

    assert [round(second) for second, _, _ in back.log][-3:] == [4200, 4800, 5400]


def test_an_interval_set_back_by_whole_steps_does_not_use_a_name_twice() -> None:
    """A start is known by job, nominal time and attempt: a microsecond tells."""
    back = world(schedule())
    back.live(timedelta(minutes=65))

    back.set_wall(at("12:05"))
    back.live(timedelta(minutes=60))

    nominal = [each.nominal_time for each in back.starts]
    assert len(set(nominal)) == len(nominal) == 12
    assert nominal[6] == at("12:10") + timedelta(microseconds=1)


def test_set_forward_an_interval_goes_on_as_time_goes_by() -> None:
    ahead = world(schedule())
    ahead.live(timedelta(minutes=15))

    ahead.set_wall(at("23:15"))
    ahead.live(timedelta(minutes=10))

    assert [second for second, _, _ in ahead.log] == [600.0, 1200.0]
    assert starts(ahead) == ["12:10", "23:20"]


def test_set_forward_up_to_three_hours_wall_times_are_caught_up_with() -> None:
    ahead = world(schedule(trigger=TENTH))
    ahead.live(timedelta(minutes=15))

    ahead.set_wall(at("15:15"))

    assert records(ahead)[1:] == [("12:20", "coalesced"), ("15:10", "")]
    assert ahead.history.runs()[1].covers == 17


def test_set_forward_further_wall_times_are_missed_with_one_record() -> None:
    ahead = world(schedule(trigger=TENTH))
    ahead.live(timedelta(minutes=15))

    ahead.set_wall(at("15:15:01"))
    ahead.live(MINUTES_10)

    missed = ahead.history.runs()[1]
    assert (missed.outcome, missed.covers) == ("missed", 18)
    assert (missed.nominal_time, missed.until) == (at("12:20"), at("15:10"))
    assert missed.reason == "the clock was set forward by 3 hours 1 second"
    assert starts(ahead) == ["12:10", "15:20"]


def test_set_far_forward_over_nothing_that_was_due_leaves_no_record() -> None:
    ahead = world(schedule(trigger=cron("0 23 * * *")))

    ahead.set_wall(at("20:00"))
    ahead.live(4 * HOUR)

    assert starts(ahead) == ["23:00"]


def test_a_suspend_is_no_step_intervals_and_wall_times_are_caught_up_with() -> None:
    slept = world(schedule("grid"), schedule("wall", TENTH))

    slept.suspend(timedelta(hours=9, minutes=5))

    assert records(slept, "grid") == [("12:10", "coalesced"), ("21:00", "")]
    assert records(slept, "wall") == [("12:10", "coalesced"), ("21:00", "")]


def test_each_step_is_told_to_the_trail() -> None:
    stepped = world(schedule())
    stepped.set_wall(at("13:00"))
    stepped.suspend(timedelta(seconds=90))
    stepped.set_wall(at("12:30"))

    told = [each for each in stepped.audit.trails if each.operation == "clock.stepped"]
    assert [(each.status, each.comments["shift_seconds"]) for each in told] == [
        ("set", 3600.0),
        ("suspended", 90.0),
        ("set", -1890.0),
    ]


def test_a_clock_set_to_and_fro_all_day_neither_storms_nor_stalls() -> None:
    shaky = world(
        schedule("grid"), schedule("wall", TENTH), schedule("end", After(MINUTES_10))
    )

    for _ in range(24):
        shaky.live(timedelta(minutes=30))
        shaky.set_wall(shaky.now - HOUR)
        shaky.live(timedelta(minutes=30))
        shaky.set_wall(shaky.now + HOUR)

    shaky.live(timedelta(seconds=1))
    assert len(starts(shaky, "grid")) == 144
    assert 140 <= len(starts(shaky, "end")) <= 144
    nominal = [each.nominal_time for each in shaky.starts if each.job == "wall"]
    assert len(set(nominal)) == len(nominal)
    covered = sum(run.covers for run in shaky.history.runs("wall"))
    # A day, and the half hour before noon that the clock went back to.
    assert covered == 144 + 3


def test_a_far_step_each_minute_does_not_make_a_trigger_grow() -> None:
    shaky = world(schedule(trigger=TENTH))

    for _ in range(100):
        shaky.live(timedelta(minutes=20))
        shaky.set_wall(shaky.now - timedelta(hours=5))

    entry = shaky.plan._agenda.entries["job"]
    trigger = entry.schedule.trigger
    assert isinstance(trigger, Excluding)
    assert len(trigger.windows) <= 101
    for _ in range(100):
        shaky.live(timedelta(seconds=3))
        shaky.set_wall(shaky.now + timedelta(hours=2))
        shaky.live(timedelta(seconds=3))
        shaky.set_wall(shaky.now - timedelta(hours=2))
    after = entry.schedule.trigger
    assert isinstance(after, Excluding)
    assert len(after.windows) <= 101


def test_decided_stretches_that_meet_are_left_out_as_one() -> None:
    back = world(schedule(trigger=TENTH))
    for hours in (1, 2, 3):
        back.live(timedelta(minutes=50))
        back.set_wall(back.now - timedelta(hours=hours))

    back.live(timedelta(hours=9))

    trigger = back.plan._agenda.entries["job"].schedule.trigger
    assert isinstance(trigger, Excluding)
    assert len(trigger.windows) == 2
    nominal = [each.nominal_time for each in back.starts]
    assert len(set(nominal)) == len(nominal)


def test_an_interval_that_had_its_once_moves_with_the_clock_all_the_same() -> None:
    once = world(schedule(), schedule("z", every(600)), continuous=False)
    once.live(timedelta(minutes=15))
    once.set_wall(at("17:18"))

    once.schedule(schedule("b", every(600)), run_continuous=True)
    once.live(timedelta(minutes=10))

    assert starts(once, "job") == ["12:10", "17:23"]


def test_a_clock_that_is_slewed_is_not_stepped() -> None:
    slow = world(schedule())

    for _ in range(60):
        slow.live(timedelta(seconds=30))
        slow.clock.set_wall(slow.now - timedelta(seconds=1.5))
        slow.tick()

    assert "clock.stepped" not in slow.audit.operations()
    assert starts(slow) == ["12:10", "12:20"]


def plan_at(seconds: float = 0.0, trigger: object = None) -> Plan:
    plan = Plan(run_prefix="a", slots=9)
    made = schedule(trigger=trigger)  # type: ignore[arg-type]
    plan.handle(ScheduleRequested(moment(), 1, made, run_continuous=True))
    plan.handle(LoopStarted(moment()))
    plan.tick(moment(seconds))
    return plan


def test_a_step_that_nobody_told_is_noticed_before_anything_is_decided() -> None:
    """The clock is set between the wait and the look at the time."""
    plan = plan_at(60, TENTH)
    stepped = Moment(at("17:01:01"), 61.0)

    commands = plan.tick(stepped)
    again = plan.handle(ClockStepped(Moment(at("17:01:02"), 62.0), 5 * HOUR))

    first = commands[0]
    assert isinstance(first, WriteTrail)
    assert first.trail.operation == "clock.stepped"
    outcomes = [it.record.outcome for it in commands if isinstance(it, RecordRun)]
    assert outcomes == ["missed"]
    assert again == []
    assert plan.next_deadline().wall == at("17:10")


def test_a_request_from_before_the_clock_was_set_back_is_heard_at_the_time_it_is() -> (
    None
):
    """Other threads read the clock themselves; 12:55 must not bring 12:50 forward."""
    plan = plan_at(60, TENTH)
    asked = Moment(at("12:55"), 61.0)
    plan.tick(Moment(at("12:02"), 120.0))

    commands = plan.handle(TriggerRequested(asked, 7, "job"))

    (record,) = (it.record for it in commands if isinstance(it, RecordRun))
    assert record.nominal_time == at("12:02")
    assert plan.next_deadline().wall == at("12:10")


def test_a_clock_set_between_scheduling_and_start_does_not_stop_an_interval() -> None:
    made = PaperWorld()
    made.schedule(schedule())
    made.schedule(schedule("wall", TENTH))
    made.clock.set_wall(at("03:00:00.5"))

    made.begin()
    made.live(timedelta(minutes=11))

    assert [each.job for each in made.starts] == ["wall", "job"]
    assert [second for second, _, _ in made.log] == [599.5, 600.0]
