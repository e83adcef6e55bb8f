"""Memory that runs reserve, and pressure that keeps those of low priority waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from scenes import (
    HANGS,
    NOON,
    every,
    fates,
    lasting,
    moment,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.budget import in_words
from procsched.core.messages import (
    Asked,
    CancelRequested,
    Question,
    RecordRun,
    StopRequested,
    TriggerRequested,
)
from procsched.core.policy import Limits
from procsched.core.simulation import Simulator
from procsched.core.triggers import Once
from procsched.core.verdict import Report
from procsched.errors import JobError
from procsched.testing import Fate, PaperWorld

if TYPE_CHECKING:
    from procsched.core.entry import JobRecord
    from procsched.core.schedule import Schedule

GIB = 2**30
PRESSED = ("memory 23 % over 10 %",)


def sized(job: str, memory: str | None, minutes: float = 1, **policy: Any) -> Schedule:
    """Return a job that fires once, so many minutes after noon."""
    once = Once(NOON + timedelta(minutes=minutes))
    return schedule(job, once, limits=Limits(memory=memory), **policy)


def roomy(*schedules: Schedule, **options: Any) -> PaperWorld:
    """Return a world with slots enough and 4 GiB."""
    return world(*schedules, **{"slots": 9, "memory_bytes": 4 * GIB, **options})


def told(made: PaperWorld, job: str) -> JobRecord:
    found = made.ask(Asked, Question.JOBS)
    return next(each for each in found if each.job == job)


def waits(made: PaperWorld) -> list[tuple[str | None, str, str]]:
    """Return what the trail says of runs that wait: job, status, reason."""
    return [
        (each.job, each.status, each.comments["reason"])
        for each in made.audit.trails
        if each.operation == "run.waiting"
    ]


def flags(made: PaperWorld, job: str) -> list[tuple[str, ...]]:
    return [each.flags for each in made.history.runs(job)]


def test_runs_start_while_their_reservations_fit_and_then_wait() -> None:
    """2 and 1.5 of 4 GiB are taken; a third of 1 GiB waits for the first to end."""
    full = roomy(
        sized("a", "2GiB"),
        sized("b", "1.5GiB"),
        sized("c", "1GiB"),
        fate=fates(a=lasting(seconds=20), b=HANGS),
    )

    full.live(timedelta(minutes=2))

    assert full.log == [
        (60.0, "start", "a"),
        (60.0, "start", "b"),
        (80.0, "start", "c"),
    ]
    assert flags(full, "c") == [("waited 20 s for memory",)]
    assert flags(full, "a") == [()]


def test_a_run_that_waits_for_memory_says_how_much_is_missing() -> None:
    full = roomy(sized("a", "3.5GiB"), sized("b", "2GiB"), fate=fates(a=HANGS))

    full.live(timedelta(minutes=2))

    reason = "memory: 2 GiB asked, 512 MiB left of 4 GiB"
    assert waits(full) == [("b", "memory", reason)]
    assert told(full, "b").waiting == ("p-2",)
    assert told(full, "b").waiting_for == (reason,)
    assert told(full, "a").waiting_for == ()


def test_the_trail_tells_of_a_wait_once_however_often_the_plan_looks() -> None:
    full = roomy(
        sized("a", "3GiB"),
        sized("b", "2GiB"),
        schedule("tick", every(1), priority=1),
        fate=fates(a=HANGS),
    )

    full.live(timedelta(hours=1))

    assert len(full.starts) > 50
    assert [job for job, _, _ in waits(full)] == ["b"]


def test_a_small_run_does_not_pass_a_large_one_of_its_own_priority() -> None:
    """Else a stream of small ones would keep the large one waiting for ever."""
    stream = roomy(
        sized("first", "2GiB"),
        sized("large", "3GiB", 2),
        sized("small", "1GiB", 3),
        sized("free", None, 3),
        fate=fates(first=lasting(minutes=9), large=lasting(minutes=5), small=HANGS),
    )

    stream.live(timedelta(minutes=30))

    assert stream.log == [
        (60.0, "start", "first"),
        (600.0, "start", "large"),
        (600.0, "start", "small"),
        (600.0, "start", "free"),
    ]
    behind = "memory: run p-2 is before it and waits for 3 GiB"
    assert waits(stream)[1:] == [
        ("small", "memory", behind),
        ("free", "memory", behind),
    ]
    assert flags(stream, "free") == [("waited 420 s for memory",)]


def test_a_run_of_higher_priority_passes_one_that_waits_for_memory() -> None:
    urgent = roomy(
        sized("first", "2GiB"),
        sized("large", "3GiB", 2),
        sized("urgent", "1GiB", 3, priority=5),
        fate=fates(first=lasting(minutes=9), urgent=lasting(minutes=1)),
    )

    urgent.live(timedelta(minutes=30))

    assert [job for _, _, job in urgent.log] == ["first", "urgent", "large"]
    assert flags(urgent, "urgent") == [()]


def test_runs_without_a_memory_limit_reserve_nothing() -> None:
    free = roomy(sized("all", "4GiB"), sized("none", None), fate=fates(all=HANGS))

    free.live(timedelta(minutes=2))

    assert starts(free) == ["12:01", "12:01"]


def test_without_a_budget_memory_limits_keep_nobody_waiting() -> None:
    limitless = roomy(sized("a", "1TiB"), sized("b", "1TiB"), memory_bytes=None)

    limitless.live(timedelta(minutes=2))

    assert starts(limitless) == ["12:01", "12:01"]


def test_a_wait_for_a_slot_is_told_to_who_asks_and_to_nobody_else() -> None:
    full = roomy(sized("a", None), sized("b", "1GiB"), slots=1, fate=fates(a=HANGS))

    full.live(timedelta(minutes=2))

    assert told(full, "b").waiting_for == ("a slot: 1 of 1 are taken",)
    assert waits(full) == []


def test_a_run_behind_its_own_kind_or_in_a_sequence_says_so() -> None:
    crowd = world(
        schedule("job", every(1), overlap="queue"),
        schedule("x", every(1), sequence="s"),
        schedule("y", every(1), sequence="s"),
        fate=fates(job=HANGS, x=HANGS),
    )

    crowd.live(timedelta(minutes=2))

    assert told(crowd, "job").waiting_for == ("an earlier run of its job",)
    assert told(crowd, "y").waiting_for == ("its turn in its sequence",)


def test_before_the_loop_begins_a_run_waits_for_its_start() -> None:
    early = PaperWorld()
    early.schedule(schedule())
    early.ask(TriggerRequested, "job")

    assert told(early, "job").waiting_for == ("its start",)


def test_a_job_larger_than_the_budget_is_refused_and_changes_nothing() -> None:
    small = roomy()

    with pytest.raises(JobError) as caught:
        small.schedule(sized("huge", "6GiB"))

    assert str(caught.value) == (
        "job 'huge': its memory limit of 6 GiB is more than the memory_budget of "
        "4 GiB, so no run could ever start. Lower this limit, or raise `memory_budget`."
    )
    assert small.ask(Asked, Question.JOBS) == ()


def test_a_job_as_large_as_the_budget_is_taken() -> None:
    exact = roomy(sized("exact", "4GiB"))

    exact.live(timedelta(minutes=2))

    assert records(exact) == [("12:01", "succeeded")]


def test_a_stopped_wait_gives_way_to_those_behind() -> None:
    stopped = roomy(
        sized("a", "3GiB"), sized("b", "2GiB"), sized("c", "1GiB"), fate=fates(a=HANGS)
    )
    stopped.live(timedelta(minutes=1.5))

    stopped.ask(StopRequested, "p-2", "tester")

    assert [job for _, _, job in stopped.log] == ["a", "c"]
    assert flags(stopped, "b") == [("waited 30 s for memory",)]
    assert records(stopped, "b") == [("12:01", "cancelled")]


def test_a_run_past_its_start_deadline_is_in_nobodys_way() -> None:
    """The plan wakes up for it: nothing else happens at that time."""
    late = roomy(
        sized("a", "3GiB"),
        sized("b", "2GiB", start_deadline=timedelta(seconds=90)),
        sized("c", "1GiB"),
        fate=fates(a=HANGS),
    )

    late.live(timedelta(minutes=9))

    assert records(late, "b") == [("12:01", "missed")]
    assert flags(late, "b") == [("waited 90 s for memory",)]
    assert late.log[1] == (pytest.approx(150.0, abs=0.01), "start", "c")


def test_a_run_that_is_stopped_has_waited_up_to_that_moment() -> None:
    """A request is carried out by itself, without a look at the door before."""
    full = roomy(sized("a", "3GiB"), sized("b", "2GiB"), fate=fates(a=HANGS))
    full.live(timedelta(minutes=1))

    commands = full.plan.handle(StopRequested(moment(70), 99, "p-2", "tester"))

    ends = [each.record for each in commands if isinstance(each, RecordRun)]
    assert [record.flags for record in ends] == [("waited 10 s for memory",)]


def test_a_run_keeps_the_flag_of_its_wait_beside_those_of_its_end() -> None:
    cut = Report(verdict="returned", exit_code=0, flags=("output truncated",))
    full = roomy(
        sized("a", "3GiB"),
        sized("b", "2GiB"),
        fate=fates(a=lasting(seconds=3), b=Fate(report=cut)),
    )

    full.live(timedelta(minutes=2))

    assert flags(full, "b") == [("waited 3 s for memory", "output truncated")]


def test_a_short_wait_is_flagged_to_the_millisecond() -> None:
    brief = roomy(
        sized("a", "3GiB"), sized("b", "2GiB"), fate=fates(a=lasting(milliseconds=20))
    )

    brief.live(timedelta(minutes=2))

    assert flags(brief, "b") == [("waited 0.02 s for memory",)]


def test_a_simulation_keeps_to_the_budget() -> None:
    """Two of 3 GiB do not run side by side: the second starts a minute later."""
    simulator = Simulator(9, lambda _job: timedelta(minutes=1), memory_bytes=4 * GIB)
    jobs = [sized("a", "3GiB"), sized("b", "3GiB")]

    found = simulator.live(jobs, NOON, NOON + timedelta(hours=1))

    assert found.peak.runs == 1
    assert [record.job for record in found.records] == ["a", "b"]


def pressed(*schedules: Schedule, **options: Any) -> PaperWorld:
    """Return a world whose host is under pressure."""
    made = PaperWorld(**{"slots": 9, "senses_pressure": True, **options})
    made.pressure = PRESSED
    for each in schedules:
        made.schedule(each)
    made.begin()
    return made


def test_under_pressure_runs_of_low_priority_wait_and_the_others_start() -> None:
    made = pressed(
        sized("low", None, priority=-1),
        sized("high", None),
        sized("top", None, priority=1),
    )

    made.live(timedelta(minutes=2))

    assert [job for _, _, job in made.log] == ["top", "high"]
    reason = "pressure: memory 23 % over 10 %"
    assert waits(made) == [("low", "pressure", reason)]
    assert told(made, "low").waiting_for == (reason,)


def test_a_run_starts_within_two_seconds_of_the_end_of_the_pressure() -> None:
    made = pressed(sized("low", None, priority=-1), sized("poor", None, priority=-9))
    made.live(timedelta(seconds=71))
    made.pressure = ()

    made.live(timedelta(seconds=10))

    assert made.log == [(72.0, "start", "low"), (72.0, "start", "poor")]
    assert flags(made, "poor") == [("waited 12 s for pressure",)]


def test_without_pressure_a_run_of_low_priority_starts_at_once() -> None:
    made = pressed(sized("low", None, priority=-1))
    made.pressure = ()

    made.live(timedelta(minutes=2))

    assert made.log == [(60.0, "start", "low")]
    assert flags(made, "low") == [()]
    assert waits(made) == []


def test_the_pressure_is_read_while_a_run_of_low_priority_waits_and_never_else() -> (
    None
):
    asked = []
    made = pressed(
        sized("low", None, priority=-1),
        schedule("often", every(0.05)),
        watch=lambda at, what: asked.append((at.monotonic, type(what).__name__)),
    )
    made.live(timedelta(seconds=70))
    made.ask(CancelRequested, "low")
    made.live(timedelta(minutes=5))

    looks = [at for at, what in asked if what == "SensePressure"]

    assert looks == [60.0, 62.0, 64.0, 66.0, 68.0, 70.0]


def test_one_reading_serves_all_who_come_within_two_seconds() -> None:
    asked = []
    made = pressed(
        schedule("low", every(1 / 60), priority=-1),
        watch=lambda at, what: asked.append((at.monotonic, type(what).__name__)),
    )
    made.pressure = ()
    made.live(timedelta(seconds=9))

    looks = [at for at, what in asked if what == "SensePressure"]

    assert looks == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_a_run_that_waits_for_the_first_reading_says_so() -> None:
    made = pressed(schedule("low", priority=-1))
    made.ask(TriggerRequested, "low")

    assert told(made, "low").waiting_for == ("a reading of the pressure",)
    assert waits(made) == []


def test_under_pressure_a_start_deadline_holds() -> None:
    """Five seconds are no whole number of looks."""
    made = pressed(sized("low", None, priority=-1, start_deadline=timedelta(seconds=5)))

    made.live(timedelta(minutes=2))

    assert records(made) == [("12:01", "missed")]
    ended = made.history.runs()[0].ended_at
    assert ended is not None
    assert abs((ended - NOON).total_seconds() - 65) < 0.01


def test_a_wait_for_memory_and_then_for_an_end_of_pressure_is_flagged_as_both() -> None:
    made = pressed(
        sized("a", "3GiB"),
        sized("low", "2GiB", priority=-1),
        memory_bytes=4 * GIB,
        fate=fates(a=lasting(seconds=10)),
    )
    made.live(timedelta(seconds=75))
    made.pressure = ()

    made.live(timedelta(minutes=1))

    assert flags(made, "low") == [("waited 10 s for memory", "waited 6 s for pressure")]
    assert len(waits(made)) == 1


def test_who_does_not_sense_pressure_never_asks_for_it() -> None:
    made = pressed(sized("low", None, priority=-1), senses_pressure=False)

    made.live(timedelta(minutes=2))

    assert made.log == [(60.0, "start", "low")]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (512 * 2**20, "512 MiB"),
        (1.5 * GIB, "1.5 GiB"),
        (GIB / 3, "341.33 MiB"),
        (2048 * GIB, "2048 GiB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_people_would_take(
    size: float, words: str
) -> None:
    assert in_words(size) == words
