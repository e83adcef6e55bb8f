"""Alarms: they ring in order, once, and leave nothing behind."""

from __future__ import annotations

from typing import Any

from procsched.core.timers import SLACK, AnswerOverdue, Timers


def alarm(name: str) -> AnswerOverdue:
    run: Any = name
    return AnswerOverdue(run)


def rung(timers: Timers, until: float) -> list[Any]:
    return [each.run for each in timers.take(until) if isinstance(each, AnswerOverdue)]


def test_alarms_ring_earliest_first_and_together_in_the_order_set() -> None:
    timers = Timers()
    for at, name in ((3, "c"), (1, "a"), (3, "d"), (2, "b")):
        timers.set(at, alarm(name))

    assert timers.next() == 1
    assert rung(timers, 2.5) == ["a", "b"]
    assert rung(timers, 3) == ["c", "d"]
    assert timers.next() is None


def test_an_alarm_that_is_called_off_does_not_ring() -> None:
    timers = Timers()
    timers.set(2, alarm("b"))
    timers.call_off(timers.set(1, alarm("a")))

    assert timers.next() == 2
    assert rung(timers, 9) == ["b"]


def test_calling_off_twice_or_too_late_or_nothing_does_nothing() -> None:
    timers = Timers()
    ring = timers.set(1, alarm("a"))

    timers.call_off(None)
    assert rung(timers, 1) == ["a"]
    timers.call_off(ring)
    timers.call_off(ring)

    timers.set(2, alarm("b"))
    assert rung(timers, 2) == ["b"]


def test_a_thousand_runs_a_second_with_an_hour_each_leave_no_hour_of_alarms() -> None:
    timers, live = Timers(), []
    for number in range(20_000):
        live.append(timers.set(3600.0 + number / 1000, alarm(str(number))))
        if len(live) > 10:
            timers.call_off(live.pop(0))

    assert len(timers) <= 2 * (10 + SLACK)
    assert len(timers.take(1e9)) == 10
