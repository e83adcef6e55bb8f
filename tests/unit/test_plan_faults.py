"""A trigger that raises suspends its own schedule, and the others keep their grid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, cast

import pytest
from scenes import (
    FAILS,
    MINUTES_10,
    NOON,
    at,
    cron,
    every,
    fates,
    lasting,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.messages import (
    Asked,
    CancelRequested,
    PauseRequested,
    Question,
    ResumeRequested,
    TriggerRequested,
)
from procsched.core.triggers import After, Either, Interval
from procsched.testing import PaperWorld

if TYPE_CHECKING:
    from procsched.core.triggers import Trigger


class Faulty:
    """Every ten minutes; raises from what it is told to, from then on.

    Attributes:
        faults: Names of the methods that raise.
    """

    follows_end = False

    def __init__(self, *faults: str) -> None:
        self.faults = set(faults)
        self.grid = every()

    def _act(self, name: str) -> None:
        if name in self.faults:
            message = f"no {name} today"
            raise OSError(message)

    def next_after(self, moment: datetime) -> datetime | None:
        self._act("next_after")
        return self.grid.next_after(moment)

    def last_before(self, moment: datetime) -> datetime | None:
        self._act("last_before")
        return self.grid.last_before(moment)

    def describe(self) -> str:
        self._act("describe")
        return "faulty"


def beside(trigger: Faulty) -> PaperWorld:
    """Return a world with a good job and one of the faulty trigger."""
    bad = schedule("bad", cast("Trigger", trigger))
    return world(schedule("good"), bad, slots=9)


def suspended(made: PaperWorld, job: str = "bad") -> str | None:
    told = {each.job: each for each in made.ask(Asked, Question.JOBS)}
    reason: str | None = told[job].suspended
    return reason


def test_one_that_raises_when_it_is_added_is_suspended_from_the_first() -> None:
    for name in ("next_after", "describe"):
        made = beside(Faulty(name))

        made.live(timedelta(minutes=35))

        assert suspended(made) == f"its trigger raised OSError('no {name} today')"
        assert starts(made) == ["12:10", "12:20", "12:30"]


def test_one_that_raises_when_its_next_time_is_sought_has_run_for_the_last() -> None:
    trigger = Faulty()
    made = beside(trigger)
    made.live(timedelta(minutes=15))
    trigger.faults = {"next_after"}

    made.live(timedelta(minutes=30))

    assert records(made, "bad") == [("12:10", "succeeded"), ("12:20", "succeeded")]
    assert starts(made, "good") == ["12:10", "12:20", "12:30", "12:40"]
    assert suspended(made) is not None


def test_one_that_raises_when_its_time_is_decided_has_missed_it() -> None:
    trigger = Faulty()
    made = beside(trigger)
    made.live(timedelta(minutes=15))
    trigger.faults = {"last_before"}

    made.live(timedelta(minutes=30))

    assert records(made, "bad") == [("12:10", "succeeded"), ("12:20", "missed")]
    missed = made.history.runs("bad")[-1]
    assert missed.reason == "its trigger raised OSError('no last_before today')"
    assert len(starts(made, "good")) == 4


def test_one_that_raises_when_a_pause_ends_has_a_record_of_what_it_held() -> None:
    trigger = Faulty()
    made = beside(trigger)
    made.ask(PauseRequested, "bad")
    made.live(timedelta(minutes=25))
    trigger.faults = {"last_before", "next_after"}

    made.ask(ResumeRequested, "bad")
    made.live(MINUTES_10)

    assert records(made, "bad") == [("12:10", "missed")]
    assert suspended(made) is not None
    assert len(starts(made, "good")) == 3


def test_one_that_raises_at_a_clock_step_is_suspended_by_that() -> None:
    trigger = Faulty()
    made = beside(trigger)
    made.live(timedelta(minutes=15))
    trigger.faults = {"last_before"}

    made.set_wall(at("23:15"))
    made.live(MINUTES_10)

    assert suspended(made) is not None
    assert len(starts(made, "good")) == 2


class Failing(Interval):
    """A grid of elapsed time; raises when it is told to, from then on."""

    fails: ClassVar[bool]

    def next_after(self, moment: datetime) -> datetime | None:
        if self.fails:
            message = "no time today"
            raise OSError(message)
        return super().next_after(moment)


def paused_then_set(
    trigger: Trigger, failing: type[Failing], to: str, minutes: float = 25
) -> PaperWorld:
    """Return a world whose job was paused at noon, then set, and gave up at that."""
    made = world(schedule("bad", trigger))
    made.ask(PauseRequested, "bad")
    made.live(timedelta(minutes=minutes))
    failing.fails = True
    made.set_wall(at(to))
    return made


@pytest.fixture
def failing() -> type[Failing]:
    """Return a class of its own for each test: its mood is told to the class."""
    return type("Failing", (Failing,), {"fails": False})


@pytest.mark.parametrize(
    ("to", "missed"),
    [
        ("12:18", ["12:03"]),
        ("12:09", ["11:54"]),
        ("12:15", ["12:00:00.000001"]),
        ("12:32", ["12:17"]),
        ("13:26", ["13:11"]),
    ],
)
def test_a_time_missed_at_a_clock_step_goes_by_the_name_it_has_since(
    failing: type[Failing], to: str, missed: list[str]
) -> None:
    """12:10 had come at 12:25, and moved as far as the clock was set."""
    made = paused_then_set(failing(MINUTES_10, NOON), failing, to)

    told = [(each.nominal_time, each.outcome) for each in made.history.runs("bad")]
    assert told == [(at(each), "missed") for each in missed]
    assert "OSError('no time today')" in (suspended(made) or "")


def test_a_clock_step_makes_no_time_missed_that_has_not_come(
    failing: type[Failing],
) -> None:
    """Nine minutes have passed when the clock shows the eleventh."""
    made = paused_then_set(failing(MINUTES_10, NOON), failing, "12:11", minutes=9)

    assert made.history.runs("bad") == []
    assert suspended(made) is not None


@pytest.mark.parametrize(
    ("minute", "to", "missed"),
    [
        (5, "12:18", "12:05"),
        (5, "12:32", "12:05"),
        (15, "12:18", "12:03"),
        (15, "12:15", "12:00:00.000001"),
    ],
)
def test_of_two_rules_the_missed_time_moves_if_it_counts_elapsed_time(
    failing: type[Failing], minute: int, to: str, missed: str
) -> None:
    either = Either((cron(f"{minute} * * * *"), failing(MINUTES_10, NOON)))
    made = paused_then_set(either, failing, to)

    told = [(each.nominal_time, each.outcome) for each in made.history.runs("bad")]
    assert told == [(at(missed), "missed")]


def test_a_missed_time_after_the_end_of_a_run_moves_with_the_clock(
    failing: type[Failing],
) -> None:
    either = Either((After(MINUTES_10), failing(timedelta(hours=1), NOON)))
    made = paused_then_set(either, failing, "12:18")

    assert records(made, "bad") == [("12:03", "missed")]


def test_one_that_raises_when_it_is_cancelled_is_cancelled() -> None:
    trigger = Faulty()
    made = beside(trigger)
    made.ask(PauseRequested, "bad")
    made.live(timedelta(minutes=25))
    trigger.faults = {"last_before", "next_after", "describe"}

    made.ask(CancelRequested, "bad")

    assert [each.job for each in made.ask(Asked, Question.JOBS)] == ["good"]


def test_one_that_cannot_be_described_is_told_as_that() -> None:
    trigger = Faulty()
    made = beside(trigger)
    trigger.faults = {"describe"}

    told = made.ask(Asked, Question.JOBS)

    assert told[1].schedule == "a trigger that raises OSError('no describe today')"


def test_a_success_by_hand_does_not_mend_a_trigger() -> None:
    made = beside(Faulty("next_after"))

    made.ask(TriggerRequested, "bad")
    made.live(timedelta(minutes=1))

    assert starts(made, "bad") == ["12:00"]
    assert suspended(made) is not None


def test_a_failure_by_hand_leaves_the_first_reason_standing() -> None:
    made = world(
        schedule("bad", cast("Trigger", Faulty("next_after")), breaker=1),
        schedule("good"),
        fate=fates(bad=lasting(hours=3)),
    )

    made.ask(TriggerRequested, "bad")
    made.ask(CancelRequested, "good")
    made.live(timedelta(hours=4))

    assert "job.resumed" not in made.audit.operations()


def test_it_fires_again_when_it_is_resumed_and_whole() -> None:
    trigger = Faulty("next_after")
    made = beside(trigger)
    made.live(timedelta(minutes=15))
    made.ask(ResumeRequested, "bad")
    assert suspended(made) is not None

    trigger.faults.clear()
    made.ask(ResumeRequested, "bad")
    made.live(MINUTES_10)

    assert suspended(made) is None
    assert starts(made, "bad") == ["12:20"]


def test_a_plan_whose_only_trigger_gave_up_is_finished() -> None:
    alone = world(schedule("bad", cast("Trigger", Faulty("next_after"))))

    assert alone.plan.finished


@pytest.mark.parametrize("minutes", [0, -10])
def test_a_trigger_whose_next_time_is_no_later_one_is_suspended(minutes: int) -> None:
    """It would be asked the same, and fire, for ever."""

    class Stuck(Faulty):
        def next_after(self, moment: datetime) -> datetime | None:
            return moment + timedelta(minutes=minutes)

    made = beside(Stuck())
    made.live(timedelta(minutes=15))

    told = suspended(made)
    assert told is not None
    assert "the time after 2025-06-02T12:00:00+00:00 is" in told
    assert "Report this with the schedule; each time must be a later one" in told
    assert starts(made) == ["12:10"]


def test_a_trigger_that_speaks_of_naive_times_is_suspended() -> None:
    class Naive(Faulty):
        def next_after(self, moment: datetime) -> datetime | None:
            return moment.replace(tzinfo=None) + MINUTES_10

    made = beside(Naive())
    made.live(timedelta(minutes=15))

    assert "can't compare offset-naive" in (suspended(made) or "")
    assert starts(made) == ["12:10"]


def test_before_the_loop_began_a_fault_misses_nothing_that_was_promised() -> None:
    trigger = Faulty()
    made = PaperWorld()
    made.schedule(schedule("bad", cast("Trigger", trigger)))
    made.clock.advance(timedelta(minutes=15))
    trigger.faults = {"next_after"}
    made.ask(PauseRequested, "bad")
    made.ask(ResumeRequested, "bad")

    made.begin()

    assert records(made) == []


def test_a_breaker_leaves_a_schedule_alone_whose_trigger_gave_up() -> None:

    trigger = Faulty()
    made = world(
        schedule("bad", cast("Trigger", trigger), breaker=1),
        schedule("good"),
        fate=fates(bad=FAILS),
    )
    trigger.faults = {"next_after"}

    made.live(timedelta(minutes=15))

    assert "its trigger raised" in (suspended(made) or "")


def test_a_probe_of_a_schedule_whose_trigger_gives_up_comes_to_nothing() -> None:

    trigger = Faulty()
    probe = timedelta(minutes=15)
    made = world(
        schedule("bad", cast("Trigger", trigger), breaker=1, breaker_probe=probe),
        schedule("good"),
        fate=fates(bad=[FAILS, lasting(seconds=1)]),
    )
    made.live(timedelta(minutes=12))
    trigger.faults = {"last_before"}

    made.live(timedelta(minutes=30))

    assert records(made, "bad") == [("12:10", "failed"), ("12:20", "missed")]
    assert "job.probed" not in made.audit.operations()


def test_a_success_while_the_trigger_gives_up_restores_nothing() -> None:

    trigger = Faulty()
    made = world(
        schedule("bad", cast("Trigger", trigger), overlap="parallel", breaker=1),
        schedule("good"),
        fate=fates(bad=[lasting(minutes=25), FAILS]),
    )
    made.live(timedelta(minutes=31))
    trigger.faults = {"last_before"}

    made.live(timedelta(minutes=30))

    assert "its trigger raised" in (suspended(made) or "")
