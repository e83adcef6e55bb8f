"""The plan: what is due starts, in order, once, with its record first."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from scenes import (
    MINUTES_10,
    NOON,
    at,
    cron,
    every,
    fates,
    kinds,
    lasting,
    moment,
    records,
    schedule,
    starts,
    world,
)

from procsched.core.delay import Delay
from procsched.core.messages import (
    LoopStarted,
    PauseRequested,
    RecordRun,
    ResumeRequested,
    ScheduleRequested,
    Stage,
    StartRun,
    WorkerEnded,
    WorkerStarted,
)
from procsched.core.plan import Plan
from procsched.core.recycle import Recycle
from procsched.core.run import Reason, RunState, Usage
from procsched.core.triggers import Between, Once
from procsched.core.verdict import Report
from procsched.errors import (
    StateError,
)
from procsched.testing import FakeClock, Fate, PaperWorld


def test_a_day_of_a_job_every_ten_minutes_is_lived_in_milliseconds() -> None:
    """144 nominal times, each with one outcome; 20 ms on the machine of 2025."""
    day = world(schedule())
    began = time.perf_counter()

    day.live(timedelta(days=1))

    assert time.perf_counter() - began < 1.0
    assert day.history.outcomes()[:143] == ["succeeded"] * 143
    assert [run.nominal_time for run in day.history.runs()] == [
        NOON + MINUTES_10 * number for number in range(1, 145)
    ]
    late = {
        run.started_at - run.nominal_time
        for run in day.history.runs()
        if run.started_at is not None
    }
    assert late == {timedelta(0)}


def test_the_record_of_a_start_comes_before_the_start() -> None:
    plan = Plan(run_prefix="a", slots=1)
    plan.handle(ScheduleRequested(moment(), 1, schedule()))
    plan.handle(LoopStarted(moment()))

    commands = plan.tick(moment(600))

    assert kinds(commands) == ["RecordRun", "RecordRun", "StartRun"]
    states = [each.record.state for each in commands if isinstance(each, RecordRun)]
    assert states == [RunState.WAITING, RunState.STARTING]
    start = commands[-1]
    assert isinstance(start, StartRun)
    assert (start.run_id, start.job, start.code) == ("a-1", "job", "job")
    assert (start.nominal_time, start.attempt) == (at("12:10"), 1)


def test_nothing_starts_before_its_time() -> None:
    plan = Plan(run_prefix="a", slots=1)
    plan.handle(ScheduleRequested(moment(), 1, schedule()))
    plan.handle(LoopStarted(moment()))

    assert plan.tick(moment(599.999999)) == []
    assert plan.next_deadline().wall == at("12:10")
    assert kinds(plan.tick(moment(600)))[-1] == "StartRun"


def test_a_wake_up_in_vain_changes_nothing() -> None:
    idle = world(schedule())

    before = idle.plan.next_deadline()
    idle.clock.advance(timedelta(minutes=3))
    idle.tick()

    assert idle.starts == []
    assert idle.plan.next_deadline() == before


def test_nothing_happens_before_the_loop_has_begun() -> None:
    made = PaperWorld()
    made.schedule(schedule())

    made.clock.advance(timedelta(minutes=35))
    made.tick()

    assert made.plan.next_deadline().wall is None
    assert not made.plan.finished
    assert made.starts == []


def test_times_before_the_loop_began_were_never_promised() -> None:
    made = PaperWorld()
    made.schedule(schedule())
    made.clock.advance(timedelta(minutes=35))

    made.begin()
    made.live(timedelta(minutes=10))

    assert records(made) == [("12:40", "succeeded")]


def test_a_moment_that_passed_before_the_loop_began_runs_late() -> None:
    """It has no other time, and `sc.start()` a second later must not lose it."""
    made = PaperWorld()
    made.schedule(schedule("once", Once(at("12:00:30"))))
    made.schedule(schedule("bounded", Between(Once(at("12:00:30")), end=at("13:00"))))
    made.clock.advance(timedelta(minutes=1))

    made.begin()

    assert starts(made) == ["12:00:30", "12:00:30"]


def test_a_job_added_while_the_loop_runs_has_its_first_time_after_that() -> None:
    late = world(schedule())
    late.live(timedelta(minutes=25))

    late.schedule(schedule("later", cron("*/5 * * * *")))
    late.live(timedelta(minutes=6))

    assert starts(late, "later") == ["12:30"]


def test_jobs_due_together_start_in_the_order_they_were_added() -> None:
    """Even where one fires more often, and after one was paused in between."""
    both = world(schedule("first", every(10)), schedule("second", every(5)), slots=9)
    both.ask(PauseRequested, "first")
    both.live(timedelta(minutes=15))
    both.ask(ResumeRequested, "first")
    both.live(timedelta(minutes=5))

    assert [each.job for each in both.starts][-2:] == ["first", "second"]


def test_the_jobs_of_a_sequence_take_turns_in_the_order_they_were_added() -> None:
    line = world(
        *(schedule(name, cron("0 * * * *"), sequence="line") for name in "abc"),
        slots=9,
        fate=fates(a=lasting(minutes=2), b=lasting(minutes=2), c=lasting(minutes=2)),
    )

    line.live(timedelta(hours=1, minutes=10))

    assert line.log == [
        (3600.0, "start", "a"),
        (3720.0, "start", "b"),
        (3840.0, "start", "c"),
    ]
    assert {each.sequence for each in line.starts} == {"line"}


def test_a_start_says_when_the_worker_of_its_sequence_is_replaced() -> None:
    recycle = Recycle(runs=1000)
    line = world(schedule(sequence="line", recycle=recycle))

    line.live(MINUTES_10)

    assert [each.recycle for each in line.starts] == [recycle]


def test_never_more_runs_than_slots_and_higher_priority_goes_first() -> None:
    narrow = world(
        schedule("low", priority=-5),
        schedule("plain"),
        schedule("high", priority=5),
        slots=1,
        fate=fates(low=lasting(minutes=1), plain=lasting(minutes=1)),
    )

    narrow.live(timedelta(minutes=19))

    assert [each.job for each in narrow.starts] == ["high", "plain", "low"]
    assert len(narrow.running) == 0


def test_a_delayed_start_keeps_its_nominal_time() -> None:
    delay = Delay(spread=timedelta(minutes=5), key="job@host")
    spread = world(schedule(delay=delay, catch_up="none"))

    spread.live(timedelta(minutes=16))

    run = spread.history.runs()[0]
    assert run.nominal_time == at("12:10")
    assert run.started_at == at("12:10") + delay.of(at("12:10"))
    assert (run.trigger, run.outcome) == (Reason.SCHEDULE, "succeeded")


def test_a_run_tells_the_trail_when_it_started_and_how_it_ended() -> None:
    told = world(schedule())

    told.live(timedelta(minutes=11))

    assert told.audit.operations("job") == ["job.scheduled", "run.started", "run.ended"]
    started, ended = told.audit.trails[1:]
    assert started.comments == {"attempt": 1, "late_seconds": 0.0}
    assert (ended.status, ended.comments["reason"]) == ("succeeded", "goal() returned")
    assert {started.run_id, ended.run_id} == {"p-1"}
    assert started.pid == ended.pid == 4000


def test_what_the_keeper_reports_stands_in_the_record() -> None:
    report = Report(
        verdict="returned",
        result={"rows": 3},
        exit_code=0,
        usage=Usage(wall=1.25),
        output_tail="done",
        enforced_by={"wall": "keeper"},
        leftovers=2,
        flags=("output truncated",),
    )
    told = world(schedule(), fate=fates(job=Fate(report=report)))

    told.live(timedelta(minutes=11))

    record = told.history.runs()[0]
    assert (record.result, record.exit_code, record.leftovers) == ({"rows": 3}, 0, 2)
    assert (record.output_tail, record.flags) == ("done", ("output truncated",))
    assert told.audit.trails[-1].comments == {
        "reason": "goal() returned",
        "wall_seconds": 1.25,
        "leftovers": 2,
    }


def test_word_of_a_run_that_nobody_knows_is_ignored() -> None:
    idle = world(schedule())

    idle.tell(WorkerStarted(idle.clock.now(), "gone-1", 77))
    idle.tell(WorkerEnded(idle.clock.now(), "gone-1", Report()))

    assert idle.history.runs() == []


def test_the_end_of_a_run_that_never_started_is_our_own_fault() -> None:
    full = world(schedule("a"), schedule("b"), slots=1)
    full.live(timedelta(minutes=10))

    with pytest.raises(StateError, match="run p-2 is waiting and cannot take 'exited'"):
        full.tell(WorkerEnded(full.clock.now(), "p-2", Report()))


def test_the_same_events_are_decided_the_same() -> None:
    def life() -> list[object]:
        seen: list[object] = []
        retried = schedule(retry=None)
        made = PaperWorld(clock=FakeClock(), watch=lambda at, it: seen.append((at, it)))
        made.schedule(retried)
        made.begin()
        made.live(timedelta(hours=3))
        made.shut_down(Stage.FORCED)
        return seen

    assert life() == life()
