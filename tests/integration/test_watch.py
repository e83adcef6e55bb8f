"""The one wait of the loop: on the wall, on the monotonic clock, on descriptors."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from procsched.alarm import make_alarm
from procsched.clock import SystemClock
from procsched.core.messages import Deadline
from procsched.core.moment import Moment
from procsched.testing import FakeClock
from procsched.watch import Watch, stepped

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
SOON = timedelta(milliseconds=30)


class Pipe:
    """A source of news."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()

    def fileno(self) -> int:
        return self.read


@pytest.fixture
def news() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.read)
    os.close(pipe.write)


@pytest.fixture(params=["alarm", "no alarm"])
def watch(request: pytest.FixtureRequest, news: Pipe) -> Iterator[Watch]:
    alarm = make_alarm() if request.param == "alarm" else None
    made = Watch(SystemClock(), news, alarm=alarm)
    yield made
    made.close()


def test_it_wakes_at_a_moment_of_the_wall_clock(watch: Watch) -> None:
    moment = datetime.now(UTC) + SOON

    steps = watch.wait(Deadline(moment, None))

    assert steps == []
    # Without an alarm select() may round down; the loop then waits once more.
    assert datetime.now(UTC) >= moment - timedelta(milliseconds=1)


def test_it_wakes_at_a_reading_of_the_monotonic_clock(watch: Watch) -> None:
    until = SystemClock().now().monotonic + SOON.total_seconds()

    watch.wait(Deadline(None, until))

    assert SystemClock().now().monotonic >= until - 0.001


def test_it_wakes_for_news(watch: Watch, news: Pipe) -> None:
    os.write(news.write, b"!")

    steps = watch.wait(Deadline(None, None))

    assert steps == []


def test_a_moment_that_has_passed_needs_no_sleep(watch: Watch) -> None:
    watch.wait(Deadline(datetime.now(UTC) - timedelta(days=1), None))
    watch.wait(Deadline(None, 0.0))


@pytest.mark.parametrize(
    ("wall", "monotonic", "shift"),
    [
        (10.0, 10.0, None),
        (11.9, 10.0, None),
        (8.1, 10.0, None),
        (12.0, 10.0, 2.0),
        (-50.0, 10.0, -60.0),
        (3610.0, 10.0, 3600.0),
    ],
)
def test_a_clock_that_was_set_is_told_from_one_that_is_slewed(
    wall: float, monotonic: float, shift: float | None
) -> None:
    before = Moment(NOON, 100.0)
    after = Moment(NOON + timedelta(seconds=wall), 100.0 + monotonic)

    steps = stepped(before, after)

    found = [(step.at, step.shift, step.suspended) for step in steps]
    expected = [] if shift is None else [(after, timedelta(seconds=shift), False)]
    assert found == expected


def test_a_sleep_of_the_host_is_told_from_a_setting() -> None:
    clock = FakeClock()
    watch = Watch(clock)

    clock.suspend(timedelta(hours=5))

    (step,) = watch.steps()
    assert (step.shift, step.suspended) == (timedelta(hours=5), True)
    watch.close()


def test_a_clock_set_while_the_host_slept_is_two_steps() -> None:
    clock = FakeClock()
    watch = Watch(clock)

    clock.suspend(timedelta(hours=5))
    clock.set_wall(clock.now().wall - timedelta(hours=1))

    steps = watch.steps()
    assert [step.shift for step in steps] == [timedelta(hours=5), -timedelta(hours=1)]
    assert watch.steps() == []
    watch.close()
