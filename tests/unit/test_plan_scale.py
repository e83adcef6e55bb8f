"""A thousand schedules, a hundred thousand: the work and the memory stay small.

The figures stand in `scripts/bench/plan`; here are ceilings far above them, which a
change of the algorithm would break and a busy machine does not.
"""

from __future__ import annotations

import time
import tracemalloc
from datetime import timedelta

from scenes import NOON, every, moment, schedule, world

from procsched.core.messages import LoopStarted, ScheduleRequested
from procsched.core.plan import Plan
from procsched.core.schedule import Policy, Schedule
from procsched.core.triggers import Interval

POLICY = Policy()


def loaded(count: int) -> Plan:
    plan = Plan(run_prefix="a", slots=4)
    for number in range(count):
        step = timedelta(hours=1, seconds=number % 3600)
        each = Schedule(
            job=f"job-{number}", trigger=Interval(step, NOON), policy=POLICY, code="c"
        )
        plan.handle(ScheduleRequested(moment(), number, each, run_continuous=True))
    plan.handle(LoopStarted(moment()))
    return plan


def test_a_thousand_schedules_are_lived_through_an_hour_in_a_second() -> None:
    """2,000 runs from waiting to ended; half a second on two cores of 2025."""
    jobs = [schedule(f"job-{n}", every(20)) for n in range(1000)]
    many = world(*jobs, slots=1000)
    began = time.perf_counter()

    many.live(timedelta(minutes=59))

    assert len(many.starts) == 2000
    assert time.perf_counter() - began < 20


def test_a_schedule_costs_less_than_a_kilobyte() -> None:
    tracemalloc.start()
    plan = loaded(100)
    before = tracemalloc.get_traced_memory()[0]
    plan = loaded(5_000)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert plan.next_deadline().wall is not None
    assert used / 5_000 < 1024


def test_an_idle_plan_of_ten_thousand_wakes_up_for_the_first_and_no_other() -> None:
    plan = loaded(10_000)

    assert plan.next_deadline().wall == NOON + timedelta(hours=1)
    assert plan.tick(moment(3599.999)) == []
    assert plan.next_deadline().monotonic is None
