"""The loop with fakes for hands, audit and history: order, waking, answers."""

from __future__ import annotations

import os
import select
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from procsched.clock import SystemClock
from procsched.core.messages import (
    Answer,
    Asked,
    Event,
    KillRun,
    Question,
    RecordRun,
    ScheduleRequested,
    ShutdownRequested,
    Stage,
    StartRun,
    StopRun,
    TriggerRequested,
    WorkerEnded,
    WorkerStarted,
    WriteTrail,
)
from procsched.core.plan import Plan
from procsched.core.policy import Limits
from procsched.core.run import RunRecord, RunState
from procsched.core.schedule import Policy, Schedule
from procsched.core.trail import Trail
from procsched.core.triggers import Interval
from procsched.core.verdict import Report
from procsched.errors import SchedulerError, UnknownJobError
from procsched.supervisor import Inbox, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 15.0
CLOCK = SystemClock()
NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)


class World:
    """Hands, audit and history in one, so that the order of all is one list.

    Args:
        obedient: Runs start at once and end at once.
    """

    def __init__(self, *, obedient: bool = True) -> None:
        self.did: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self._obedient = obedient
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        return self._read

    @property
    def has_events(self) -> bool:
        return bool(self.events)

    def start(self, run: StartRun) -> None:
        self.did.append(("start", run.run_id))
        if self._obedient:
            now = CLOCK.now()
            self.events.append(WorkerStarted(now, run.run_id, 4000))
            report = Report(verdict="returned", exit_code=0)
            self.events.append(WorkerEnded(now, run.run_id, report))

    def stop(self, run_id: str, cause: str, text: str, grace_seconds: float) -> None:
        self.did.append((f"stop {cause} {grace_seconds:g} {text}", run_id))

    def kill(self, run_id: str, cause: str, text: str) -> None:
        self.did.append((f"kill {cause} {text}", run_id))

    def reload(self) -> None:
        self.did.append(("reload", ""))

    def abandon(self, run_id: str) -> None:
        self.did.append(("abandon", run_id))

    def read(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def spool_of(self, run_id: str) -> Path:
        return Path(f"/nowhere/{run_id}.spool")

    def write(self, record: RunRecord) -> None:
        self.did.append((f"write {record.state}", record.run_id))

    def record(self, trail: Trail) -> None:
        self.did.append((trail.operation, trail.run_id or ""))

    def open_spool(self, run_id: str, job: str, path: str) -> None:
        assert job == "job"
        assert path == f"/nowhere/{run_id}.spool"
        self.did.append(("open spool", run_id))

    def close_spool(self, run_id: str) -> None:
        self.did.append(("close spool", run_id))

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    yield found
    found.close(SchedulerError("the test has ended", remedy="Write another"))


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.close()


def schedule(every: timedelta = timedelta(hours=1)) -> Schedule:
    return Schedule(
        job="job",
        trigger=Interval(every, datetime.now(UTC)),
        policy=Policy(),
    )


def supervisor(world: World, inbox: Inbox, plan: Plan) -> Supervisor:
    return Supervisor(
        plan, clock=CLOCK, hands=world, audit=world, history=world, inbox=inbox
    )


def scheduled(continuous: bool | None = None) -> Plan:  # noqa: FBT001
    plan = Plan(run_prefix="p", slots=2)
    plan.handle(ScheduleRequested(CLOCK.now(), 1, schedule(), continuous))
    return plan


def shut_down(stage: Stage = Stage.SAFE) -> ShutdownRequested:
    return ShutdownRequested(CLOCK.now(), stage, "the test")


def test_the_start_is_written_before_the_process_is_started(
    world: World, inbox: Inbox
) -> None:
    """And what a run says stands between the records of its start and its end."""
    loop = supervisor(world, inbox, scheduled())
    inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    inbox.put(shut_down())

    loop.run()
    loop.close()

    assert [what for what, run_id in world.did if run_id == "p-1"] == [
        "write waiting",
        "write starting",
        "start",
        "write running",
        "run.started",
        "open spool",
        "close spool",
        "write ended",
        "run.ended",
    ]


def test_the_spool_of_a_run_that_never_started_is_read_too(inbox: Inbox) -> None:
    world = World(obedient=False)
    loop = supervisor(world, inbox, scheduled())
    inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    thread = threading.Thread(target=loop.run)
    thread.start()
    inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS)).result(LIMIT)
    ended = WorkerEnded(CLOCK.now(), "p-1", Report(exit_code=3))
    # Told twice: the second time nobody minds.
    for event in (ended, ended, shut_down()):
        inbox.put(event)
    thread.join(LIMIT)
    loop.close()
    world.close()

    spool = [what for what, _ in world.did if "spool" in what]
    assert spool == ["open spool", "close spool"]


def test_a_spool_is_read_while_its_run_goes_on(inbox: Inbox) -> None:
    world = World(obedient=False)
    loop = supervisor(world, inbox, scheduled(continuous=True))
    thread = threading.Thread(target=loop.run)
    thread.start()
    inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    jobs = inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS))
    jobs.result(LIMIT)
    inbox.put(WorkerStarted(CLOCK.now(), "p-1", 4000))
    jobs = inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS))

    assert jobs.result(LIMIT)[0].running == ("p-1",)
    assert world.did[-1] == ("open spool", "p-1")
    inbox.put(WorkerEnded(CLOCK.now(), "p-1", Report(exit_code=3)))
    inbox.put(shut_down())
    thread.join(LIMIT)
    loop.close()
    world.close()


def test_stops_and_kills_are_carried_out(inbox: Inbox) -> None:
    world = World(obedient=False)
    loop = supervisor(world, inbox, scheduled())
    loop.carry_out(
        [StopRun("p-9", "cancelled", "why", 2.0), KillRun("p-9", "cancelled", "why")]
    )
    loop.close()
    world.close()

    assert world.did == [("stop cancelled 2 why", "p-9"), ("kill cancelled why", "p-9")]


def test_each_request_gets_its_own_answer(world: World, inbox: Inbox) -> None:
    loop = supervisor(world, inbox, scheduled(continuous=True))
    jobs = inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS))
    unknown = inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "jop"))
    run = inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    inbox.put(shut_down())

    loop.run()
    loop.close()

    assert [each.job for each in jobs.result(0)] == ["job"]
    with pytest.raises(UnknownJobError, match="Did you mean 'job'"):
        unknown.result(0)
    assert run.result(0) == "p-1"


def test_a_request_that_nobody_will_answer_fails() -> None:
    inbox = Inbox()
    future = inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS))

    inbox.close(SchedulerError("it has ended", remedy="Make another"))

    with pytest.raises(SchedulerError, match=r"it has ended\. Make another"):
        future.result(0)


def test_an_answer_nobody_waits_for_is_dropped(inbox: Inbox) -> None:
    inbox.answer(Answer(77, "who asked?"))


def test_an_inbox_takes_more_than_its_pipe_holds(inbox: Inbox) -> None:
    """A full pipe has reasons enough to wake somebody up."""
    for _ in range(70_000):
        inbox.put(shut_down())

    assert sum(1 for _ in inbox.take()) == 70_000


def test_an_event_from_another_thread_wakes_the_loop_at_once(
    world: World, inbox: Inbox
) -> None:
    loop = supervisor(world, inbox, scheduled(continuous=True))
    thread = threading.Thread(target=loop.run)
    thread.start()

    for _ in range(20):
        question = inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS))
        assert question.result(LIMIT)
    inbox.put(shut_down())
    thread.join(LIMIT)

    assert not thread.is_alive()
    loop.close()


def wake_ups(task: int) -> int:
    text = Path(f"/proc/self/task/{task}/status").read_text()
    return int(text.partition("voluntary_ctxt_switches:\t")[2].split()[0])


def test_an_idle_loop_does_not_wake_up(world: World, inbox: Inbox) -> None:
    """With its schedule an hour away it gives up the CPU once, and sleeps on."""
    loop = supervisor(world, inbox, scheduled(continuous=True))
    thread = threading.Thread(target=loop.run)
    thread.start()
    inbox.ask(lambda ticket: Asked(CLOCK.now(), ticket, Question.JOBS)).result(LIMIT)
    assert thread.native_id is not None
    asleep = threading.Event()
    asleep.wait(0.2)  # until it sleeps again: nothing could tell us that it does
    before = wake_ups(thread.native_id)

    asleep.wait(5)
    woken = wake_ups(thread.native_id) - before
    inbox.put(shut_down())
    thread.join(LIMIT)
    loop.close()

    assert woken == 0


def test_it_never_starts_a_run_before_its_time(world: World, inbox: Inbox) -> None:
    plan = Plan(run_prefix="p", slots=2)
    every = timedelta(milliseconds=10)
    plan.handle(ScheduleRequested(CLOCK.now(), 1, schedule(every), True))
    loop = supervisor(world, inbox, plan)
    starts: list[tuple[datetime, datetime]] = []
    begin = world.start

    def start(run: StartRun) -> None:
        starts.append((run.nominal_time, datetime.now(UTC)))
        begin(run)
        if len(starts) == 50:
            inbox.put(shut_down())

    world.start = start  # type: ignore[method-assign]
    loop.run()
    loop.close()

    assert len(starts) >= 50
    assert all(nominal <= at for nominal, at in starts)


def test_a_fork_lets_go_of_the_pipe_and_the_parent_does_not_notice() -> None:
    inbox = Inbox()
    read, write = os.dup(inbox.fileno()), os.dup(inbox._write)
    copy = Inbox.__new__(Inbox)
    copy._read, copy._write = read, write

    copy.forked()
    inbox.put(shut_down())

    assert select.select([inbox], [], [], LIMIT)[0]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(read)
    inbox.close(SchedulerError("done", remedy="Go on"))


def test_what_comes_together_is_written_once_and_before_what_follows(
    world: World, inbox: Inbox
) -> None:
    """Two runs due at once: the first is not kept waiting by the second's record."""
    loop = supervisor(world, inbox, scheduled())
    first, second = (
        RunRecord(run_id=name, job="job", nominal_time=NOON) for name in ("a", "b")
    )
    starting = replace(first, state=RunState.STARTING)
    start = StartRun("a", "job", "", NOON, 1, Limits(), None)

    loop.carry_out(
        [
            RecordRun(first),
            RecordRun(second),
            RecordRun(starting),
            start,
            WriteTrail(Trail("said", "so")),
            RecordRun(replace(second, state=RunState.ENDED)),
        ]
    )
    loop.close()

    assert world.did == [
        ("write starting", "a"),
        ("start", "a"),
        ("write waiting", "b"),
        ("said", ""),
        ("write ended", "b"),
    ]


class Pressed:
    """A gauge that shows pressure once, and then none."""

    def __init__(self) -> None:
        self.looks: list[float] = []

    def over(self) -> tuple[str, ...]:
        self.looks.append(CLOCK.now().monotonic)
        return ("cpu 99 % over 80 %",) if len(self.looks) == 1 else ()


def test_the_pressure_is_looked_at_when_the_plan_asks_and_two_seconds_later(
    world: World, inbox: Inbox
) -> None:
    """And the loop does not turn meanwhile: the wait is one."""
    plan, gauge, turns = (
        Plan(run_prefix="p", slots=2, senses_pressure=True),
        Pressed(),
        [],
    )
    low = replace(schedule(), policy=Policy(priority=-1))
    plan.handle(ScheduleRequested(CLOCK.now(), 1, low, run_continuous=True))
    inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    inbox.put(shut_down())
    loop = Supervisor(
        plan, clock=CLOCK, hands=world, audit=world, history=world, inbox=inbox,
        gauge=gauge,
    )  # fmt: skip
    tick = plan.tick
    plan.tick = lambda at: turns.append(at) or tick(at)  # type: ignore[method-assign,func-returns-value]

    loop.run()
    loop.close()

    first, second = gauge.looks
    assert 2.0 <= second - first < 3.0
    assert len(turns) < 12
    assert ("run.waiting", "p-1") in world.did
    assert ("start", "p-1") in world.did


def test_without_a_gauge_nobody_is_kept_waiting(world: World, inbox: Inbox) -> None:
    plan = Plan(run_prefix="p", slots=2, senses_pressure=True)
    low = replace(schedule(), policy=Policy(priority=-1))
    plan.handle(ScheduleRequested(CLOCK.now(), 1, low, run_continuous=True))
    inbox.ask(lambda ticket: TriggerRequested(CLOCK.now(), ticket, "job"))
    inbox.put(shut_down())
    loop = supervisor(world, inbox, plan)

    loop.run()
    loop.close()

    assert ("start", "p-1") in world.did
