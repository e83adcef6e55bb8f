"""The alarm on the wall clock, with the kernel's own timer."""

from __future__ import annotations

import os
import select
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from procsched.alarm import WallAlarm

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="timerfd_create(2) is Linux's"
)

LIMIT_SECONDS = 10.0


@pytest.fixture
def alarm() -> Iterator[WallAlarm]:
    made = WallAlarm()
    yield made
    made.close()


def rings(alarm: WallAlarm, within_seconds: float) -> bool:
    return bool(select.select([alarm], [], [], within_seconds)[0])


def test_it_rings_at_its_moment_and_not_before(alarm: WallAlarm) -> None:
    moment = datetime.now(UTC) + timedelta(milliseconds=50)
    alarm.set(moment)

    rang = rings(alarm, LIMIT_SECONDS)

    assert rang
    assert datetime.now(UTC) >= moment


def test_a_moment_that_has_passed_rings_at_once(alarm: WallAlarm) -> None:
    alarm.set(datetime.now(UTC) - timedelta(hours=1))

    assert rings(alarm, LIMIT_SECONDS)


def test_without_a_moment_it_is_silent(alarm: WallAlarm) -> None:
    alarm.set(None)

    assert not rings(alarm, 0)


def test_it_is_silent_again_once_it_is_acknowledged(alarm: WallAlarm) -> None:
    alarm.set(datetime.now(UTC))
    assert rings(alarm, LIMIT_SECONDS)

    alarm.acknowledge()

    assert not rings(alarm, 0)


def test_it_can_be_set_to_the_same_moment_again(alarm: WallAlarm) -> None:
    moment = datetime.now(UTC)
    alarm.set(moment)
    alarm.acknowledge()

    alarm.set(moment)

    assert rings(alarm, LIMIT_SECONDS)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set the clock")
def test_it_rings_when_the_clock_is_set(alarm: WallAlarm) -> None:
    """Set to what it is: the clock moves by microseconds, and the kernel tells."""
    alarm.set(datetime.now(UTC) + timedelta(hours=1))
    try:
        time.clock_settime_ns(
            time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME)
        )
    except PermissionError:
        pytest.skip("this root may not set the clock either")

    assert rings(alarm, LIMIT_SECONDS)


def test_it_goes_with_its_descriptor() -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())

    WallAlarm().close()

    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
