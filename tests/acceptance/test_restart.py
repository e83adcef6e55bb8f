"""A state directory that is used again: the grid goes on, what was missed is told."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from procsched import CommandJob, Sc, ScheduleConfig, Scheduler
from procsched.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_SECONDS = 30.0
HOURLY = ScheduleConfig(every=1, time_unit=Sc.HOURS)


def scheduler(state: Path) -> Scheduler:
    return Scheduler(
        separate_thread=True, settings=Settings.built_in(), state_dir=state
    )


def live_a_moment(state: Path, config: ScheduleConfig = HOURLY) -> datetime:
    """Schedule, start, end; return when the next run would have been."""
    made = scheduler(state)
    made.schedule_job(CommandJob("hourly", ["true"]), config, run_continuous=True)
    made.start()
    following = made.next_run_time("hourly")
    made.shutdown()
    assert following is not None
    return following


def age(state: Path, by: timedelta) -> None:
    """Let the schedule be older than it is."""
    with sqlite3.connect(state / "history.sqlite3") as connection:
        (anchor,) = connection.execute("SELECT anchor FROM schedules").fetchone()
        older = (datetime.fromisoformat(anchor) - by).isoformat()
        connection.execute("UPDATE schedules SET anchor = ?", (older,))
    connection.close()


def test_a_restart_does_not_move_the_grid(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)

    second = live_a_moment(tmp_path)

    assert second == first


def test_other_words_are_another_grid(tmp_path: Path) -> None:
    live_a_moment(tmp_path)
    began = datetime.now(UTC)

    following = live_a_moment(
        tmp_path, ScheduleConfig(every=2, time_unit=Sc.HOURS, priority=1)
    )

    assert following >= began + timedelta(hours=2)


def test_other_policies_are_the_same_grid(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)

    second = live_a_moment(
        tmp_path, ScheduleConfig(every=1, time_unit=Sc.HOURS, priority=1)
    )

    assert second == first


def test_a_cancelled_job_begins_anew(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)
    made = scheduler(tmp_path)
    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)
    made.start()
    made.cancel_job("hourly")

    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY)

    following = made.next_run_time("hourly")
    made.shutdown()
    assert following is not None
    assert following > first


def test_what_was_missed_while_down_is_caught_up_with(tmp_path: Path) -> None:
    """Down for five hours: the latest time runs, one record tells of the others."""
    live_a_moment(tmp_path)
    age(tmp_path, timedelta(hours=5, minutes=30))
    made = scheduler(tmp_path)
    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)

    made.start()
    made.shutdown(timeout=LIMIT_SECONDS)

    newest, left_out = made.runs()
    assert (newest.outcome, newest.trigger) == ("succeeded", "catch-up")
    assert (left_out.outcome, left_out.covers) == ("coalesced", 4)
    assert left_out.until == newest.nominal_time - timedelta(hours=1)


def test_a_job_added_after_the_start_goes_on_as_well(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)
    made = scheduler(tmp_path)
    made.start()

    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)

    assert made.next_run_time("hourly") == first
    made.shutdown()


@pytest.mark.parametrize("catch_up", ["none", "latest"])
def test_a_job_that_runs_once_has_nothing_to_catch_up_with(
    tmp_path: Path, catch_up: str
) -> None:
    live_a_moment(tmp_path)
    age(tmp_path, timedelta(hours=5, minutes=30))
    made = scheduler(tmp_path)
    config = ScheduleConfig(every=1, time_unit=Sc.HOURS, catch_up=catch_up)
    made.schedule_job(CommandJob("hourly", ["true"]), config, run_continuous=False)

    made.start()
    made.shutdown(timeout=LIMIT_SECONDS)

    assert made.runs() == []
