"""Schedules that the history knows from before a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scenes import MINUTES_10, NOON, at, every, records, schedule, starts

from procsched.core.elapsed import After
from procsched.core.messages import CancelRequested, ScheduleRecalled
from procsched.core.schedule import Origin, Schedule
from procsched.testing import PaperWorld

OLD_GRID = every(10, NOON - timedelta(hours=3, minutes=3))


def restarted(
    made: Schedule, *, hours: float = 1, continuous: bool = True
) -> PaperWorld:
    """A world that begins some hours after the last decision of the one before."""
    world = PaperWorld()
    world.schedule(made, run_continuous=continuous)
    decided = OLD_GRID.last_before(NOON - timedelta(hours=hours))
    assert decided is not None
    world.tell(ScheduleRecalled(world.clock.now(), made.job, OLD_GRID, decided))
    world.begin()
    return world


def test_the_grid_of_before_goes_on() -> None:
    world = restarted(schedule())

    world.live(timedelta(minutes=20))

    assert starts(world)[1:] == ["12:07", "12:17"]


def test_what_was_missed_while_down_is_one_run_and_one_record() -> None:
    world = restarted(schedule())

    world.live(timedelta(minutes=1))

    assert starts(world) == ["11:57"]
    coalesced, run = world.history.runs()
    assert (coalesced.outcome, coalesced.covers) == ("coalesced", 5)
    assert (coalesced.nominal_time, coalesced.until) == (at("11:07"), at("11:47"))
    assert run.trigger == "catch-up"


def test_what_is_older_than_the_window_is_missed() -> None:
    made = schedule(catch_up_window=timedelta(minutes=2))

    world = restarted(made)

    assert records(world) == [("11:07", "missed")]


def test_a_job_that_runs_once_goes_on_with_the_grid_alone() -> None:
    world = restarted(schedule(), continuous=False)

    world.live(timedelta(minutes=20))

    assert starts(world) == ["12:07"]


def test_a_delay_from_the_end_counts_from_the_restart() -> None:
    world = PaperWorld()
    world.schedule(schedule(trigger=After(MINUTES_10)))
    event = ScheduleRecalled(
        world.clock.now(), "job", After(MINUTES_10), NOON - timedelta(days=1)
    )
    world.tell(event)
    world.begin()

    world.live(timedelta(minutes=10))

    assert starts(world) == ["12:10"]


def test_a_history_from_the_future_decides_nothing_ahead() -> None:
    world = PaperWorld()
    world.schedule(schedule())
    tomorrow = NOON + timedelta(days=1)
    world.tell(ScheduleRecalled(world.clock.now(), "job", every(), tomorrow))
    world.begin()

    world.live(timedelta(minutes=10))

    assert starts(world) == ["12:10"]


def test_a_job_cancelled_meanwhile_is_not_recalled() -> None:
    world = PaperWorld()
    world.tell(ScheduleRecalled(world.clock.now(), "gone", every(), NOON))

    assert world.plan.next_deadline().wall is None


def test_an_origin_is_remembered_until_the_job_is_cancelled() -> None:
    world = PaperWorld()
    origin = Origin("every 10 minutes", NOON)
    world.schedule(replace(schedule(), origin=origin))
    assert world.history.origins == {"job": origin}

    world.schedule(replace(schedule("kept"), origin=origin))
    world.ask(CancelRequested, "job")

    assert world.history.origins == {"kept": origin}


def test_the_first_anchor_stays_as_long_as_the_words_do() -> None:
    world = PaperWorld()
    first, later = Origin("words", NOON), Origin("words", NOON + MINUTES_10)
    world.history.remember("job", first)

    world.history.remember("job", later)
    assert world.history.origins == {"job": first}

    world.history.remember("job", Origin("other words", NOON))
    assert world.history.origins["job"].timing == "other words"
