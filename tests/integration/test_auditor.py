"""Real threads, pipes and children: order, and agents that hurt nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Condition, Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from procsched.audit import outlet
from procsched.audit.agent import AuditAgent
from procsched.audit.auditor import Auditor
from procsched.audit.central import CentralAuditor
from procsched.audit.delivery import Delivery
from procsched.audit.gatherer import Gatherer
from procsched.audit.intake import Intake
from procsched.audit.orders import Attach, OpenSpool, Stop
from procsched.audit.record import Record
from procsched.audit.spool import SpoolWriter, framed
from procsched.core.trail import Trail
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30.0
"""Seconds any wait may take before the test has failed."""


class Memory(AuditAgent):
    """Remembers; `until` waits for what it is to remember."""

    def __init__(self) -> None:
        self.trails: list[Trail] = []
        self.customs: list[Any] = []
        self.closed = 0
        self._changed = Condition()

    def capture(self, trail: Trail) -> None:
        with self._changed:
            self.trails.append(trail)
            self._changed.notify_all()

    def capture_custom(self, obj: Any) -> None:
        with self._changed:
            self.customs.append(obj)
            self._changed.notify_all()

    def close(self) -> None:
        self.closed += 1

    def until(self, claim: Callable[[Memory], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: claim(self), LIMIT)

    @property
    def operations(self) -> list[str]:
        return [trail.operation for trail in self.trails]


class Failing(AuditAgent):
    def __init__(self, fault: BaseException) -> None:
        self.fault: BaseException | None = fault

    def capture(self, trail: Trail) -> None:  # noqa: ARG002
        if self.fault is not None:
            raise self.fault


class Stuck(AuditAgent):
    """Blocks in each capture until it is let go."""

    def __init__(self) -> None:
        self.entered = Event()
        self.let_go = Event()
        self.trails: list[Trail] = []

    def capture(self, trail: Trail) -> None:
        self.entered.set()
        self.let_go.wait(LIMIT)
        self.trails.append(trail)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def central(memory: Memory) -> Iterator[CentralAuditor]:
    auditor = CentralAuditor({"memory": memory})
    yield auditor
    auditor.close()


@pytest.fixture
def host() -> Iterator[None]:
    """A process whose outlet nobody has used."""
    before = outlet._here
    outlet._here = outlet._Here()
    yield
    outlet.close_outlet()
    if outlet._here.central is not None:
        outlet._here.central.close()
    outlet._here = before


def spool(path: Path, **options: Any) -> SpoolWriter:
    return SpoolWriter(str(path), run_id="child", job="nightly", **options)


def said(writer: SpoolWriter, *operations: str) -> None:
    for operation in operations:
        body = {"operation": operation, "status": "success", "comments": ""}
        assert writer.append("trail", body)


def run_script(script: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    command = [sys.executable, *options, "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# Order.


def test_records_reach_the_agent_in_the_order_of_the_calls(
    central: CentralAuditor, memory: Memory
) -> None:
    for number in range(1000):
        central.record(Trail(f"step {number}", "success"))

    assert central.flush(LIMIT)
    assert memory.operations == [f"step {number}" for number in range(1000)]


def test_a_runs_records_stand_between_its_start_and_its_end(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    writer = spool(tmp_path / "a")

    central.record(Trail("run.started", "started"))
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    said(writer, "one", "two")
    central.close_spool("a1-7")
    central.record(Trail("run.ended", "succeeded"))

    assert central.flush(LIMIT)
    assert memory.operations == ["run.started", "one", "two", "run.ended"]
    assert not (tmp_path / "a").exists()
    writer.close()


def test_a_runs_records_bear_run_job_number_pid_and_time(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    """What the file says about the run counts for nothing: a job wrote it."""
    writer = spool(tmp_path / "a")
    said(writer, "one", "two")
    writer.close()

    central.open_spool("a1-7", "report", str(tmp_path / "a"))
    central.close_spool("a1-7")

    assert central.flush(LIMIT)
    assert [
        (trail.run_id, trail.job, trail.number, trail.pid) for trail in memory.trails
    ] == [("a1-7", "report", 1, os.getpid()), ("a1-7", "report", 2, os.getpid())]
    assert all(trail.time is not None for trail in memory.trails)


def test_a_record_is_delivered_while_its_run_goes_on(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    """Nothing but the bell tells the auditor."""
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    writer = spool(tmp_path / "a", wake_fd=central.wake_fd)

    for number in range(20):
        said(writer, f"step {number}")
        memory.until(lambda agent: agent.operations[-1:] == [f"step {number}"])  # noqa: B023

    writer.close()


def test_a_flooding_run_keeps_no_other_run_waiting(
    memory: Memory, tmp_path: Path
) -> None:
    """6 MB of one run wait when the other one says a word."""
    flood, quiet = spool(tmp_path / "flood"), spool(tmp_path / "quiet")
    for _ in range(60):
        said(flood, "flood" * 10_000)
    said(quiet, "quiet")
    gatherer = Gatherer()
    gatherer.order(Attach(delivery_to(memory)))
    for run_id in ("flood", "quiet"):
        gatherer.order(OpenSpool(Intake(run_id, run_id, str(tmp_path / run_id))))

    gatherer.start()
    memory.until(lambda agent: len(agent.trails) == 61)

    assert memory.operations.index("quiet") < 30
    gatherer.order(Stop())
    gatherer.join()
    for each in (flood, quiet):
        each.close()


def test_a_flush_reads_what_a_run_said_without_ringing(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    assert central.flush(LIMIT)
    writer = spool(tmp_path / "a")
    said(writer, "one")

    assert central.flush(LIMIT)
    assert memory.operations == ["one"]
    writer.close()


def test_a_custom_value_arrives_as_it_was_when_it_was_said(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    value = {"items": [1, 2.5, None, True, "\u00e9\u2028"], "in": {"deep": []}}
    writer = spool(tmp_path / "a")
    writer.append("custom", value)
    writer.close()
    central.record_custom(value)
    value["items"] = "changed"
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    central.close_spool("a1-7")

    assert central.flush(LIMIT)
    assert (
        memory.customs
        == [{"items": [1, 2.5, None, True, "\u00e9\u2028"], "in": {"deep": []}}] * 2
    )


def test_what_a_spool_lacks_is_a_record_of_the_run(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    sense, nonsense = framed("trail", {"operation": "no status"}), b"\xff" * 10
    (tmp_path / "a").write_bytes(nonsense + sense + framed("trail", "torn")[:20])

    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    central.close_spool("a1-7")

    assert central.flush(LIMIT)
    assert [
        (trail.operation, trail.status, trail.comments, trail.run_id, trail.job)
        for trail in memory.trails
    ] == [
        ("audit.gap", "corrupt", {"bytes": 10, "offset": 0}, "a1-7", "nightly"),
        ("audit.gap", "corrupt", {"number": 1}, "a1-7", "nightly"),
        (
            "audit.gap",
            "torn",
            {"bytes": 20, "offset": 10 + len(sense)},
            "a1-7",
            "nightly",
        ),
    ]


@pytest.mark.parametrize(
    ("place", "reason"),
    [("directory", "Is a directory"), ("file/below", "Not a directory")],
)
def test_a_spool_that_cannot_be_read_is_a_gap_and_not_the_end(
    central: CentralAuditor, memory: Memory, tmp_path: Path, place: str, reason: str
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()

    central.open_spool("a1-7", "nightly", str(tmp_path / place))
    assert central.flush(LIMIT)
    central.close_spool("a1-7")
    central.record(Trail("after", "success"))

    assert central.flush(LIMIT)
    assert set(memory.operations) == {"audit.gap", "after"}
    assert memory.trails[0].comments == {"reason": reason}


# Children.

TALKING = """
import os, sys
from procsched.audit.outlet import open_outlet
from procsched import Auditor
path, bell, run_id = sys.argv[1], int(sys.argv[2]), sys.argv[3]
open_outlet(path, bell, run_id, "nightly")
for number in range(int(sys.argv[4])):
    Auditor.audit_params("step", "success", {"number": number})
    os.write(1, b".")
"""


def test_killed_runs_lose_nothing_and_disturb_no_other_run(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    """Of four runs that talk at once three are killed; all say all they said."""
    patience = {"a": 3, "b": 170, "c": 600, "whole": 2000}
    children: dict[str, subprocess.Popen[bytes]] = {}
    accepted: dict[str, int] = {}

    for run_id in patience:
        path = str(tmp_path / run_id)
        central.open_spool(run_id, "nightly", path)
        count = "2000" if run_id == "whole" else "1000000"
        children[run_id] = subprocess.Popen(
            [sys.executable, "-c", TALKING, path, str(central.wake_fd), run_id, count],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            pass_fds=[central.wake_fd],
        )
    for run_id, wanted in patience.items():
        with children[run_id] as child:
            assert child.stdout is not None
            accepted[run_id] = len(child.stdout.read(wanted))
            if run_id != "whole":
                child.kill()
            accepted[run_id] += len(child.stdout.read())
        central.close_spool(run_id)

    assert central.flush(LIMIT)
    for run_id in patience:
        own = [
            trail
            for trail in memory.trails
            if trail.run_id == run_id and trail.operation == "step"
        ]
        numbers = [trail.comments["number"] for trail in own]
        assert numbers == list(range(len(numbers)))
        assert [trail.number for trail in own] == [number + 1 for number in numbers]
        assert len(numbers) - accepted[run_id] in (0, 1)
    assert accepted["whole"] == 2000


# Agents that misbehave.


def test_a_failing_agent_hurts_no_other_and_is_reported_once(
    central: CentralAuditor, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    central.add_agent("broken", Failing(OSError(28, "No space left on device")))
    for number in range(50):
        central.record(Trail(f"step {number}", "success"))
    memory.until(lambda agent: len(agent.trails) == 51)

    assert central.flush(LIMIT)
    steps = [name for name in memory.operations if name != "agent.failed"]
    assert steps == [f"step {number}" for number in range(50)]
    report = memory.trails[memory.operations.index("agent.failed")]
    error = "OSError: [Errno 28] No space left on device"
    assert report.comments == {"agent": "broken", "error": error}
    assert caplog.messages == [f"cannot deliver to audit agent broken: {error}"]
    health = {each.name: each for each in central.agents()}
    assert (health["broken"].state, health["broken"].failed) == ("degraded", 50)
    assert health["broken"].last_error == error
    assert (health["memory"].state, health["memory"].delivered) == ("ok", 51)


@pytest.mark.parametrize("fault", [SystemExit(1), RecursionError(), StopIteration()])
def test_whatever_an_agent_raises_its_delivery_goes_on(
    central: CentralAuditor, fault: BaseException
) -> None:
    agent = Failing(fault)
    central.add_agent("broken", agent)
    central.record(Trail("one", "success"))
    assert central.flush(LIMIT)
    agent.fault = None
    central.record(Trail("two", "success"))

    assert central.flush(LIMIT)
    health = central.agents()[1]
    assert (health.state, health.delivered, health.failed) == ("ok", 1, 1)
    assert health.last_error is not None


def test_a_stuck_agent_delays_neither_the_caller_nor_another_agent(
    central: CentralAuditor, memory: Memory
) -> None:
    stuck = Stuck()
    central.add_agent("stuck", stuck)
    for number in range(500):
        central.record(Trail(f"step {number}", "success"))

    memory.until(lambda agent: len(agent.trails) == 500)

    assert stuck.entered.wait(LIMIT)
    assert not central.flush(0.01)
    assert central.agents()[1].lag == 500
    stuck.let_go.set()
    assert central.flush(LIMIT)
    assert [trail.operation for trail in stuck.trails] == memory.operations


def test_removing_a_stuck_agent_gives_up_what_waits_and_returns(
    central: CentralAuditor, memory: Memory
) -> None:
    stuck = Stuck()
    central.add_agent("stuck", stuck)
    for number in range(5):
        central.record(Trail(f"step {number}", "success"))
    assert stuck.entered.wait(LIMIT)
    waiting = Thread(target=central.flush, daemon=True)
    waiting.start()

    central.remove_agent("stuck", timeout=0.01)

    # Who waited for it is let go, and no record follows the one it held.
    central.record(Trail("after", "success"))
    assert central.flush(LIMIT)
    waiting.join(LIMIT)
    assert not waiting.is_alive()
    stuck.let_go.set()
    assert memory.operations[-1] == "after"
    assert len(stuck.trails) <= 1


def test_closing_sets_an_agent_free_that_waits(central: CentralAuditor) -> None:
    class Waiting(Stuck):
        def close(self) -> None:
            self.let_go.set()

    agent = Waiting()
    central.add_agent("waiting", agent)
    central.record(Trail("one", "success"))
    assert agent.entered.wait(LIMIT)

    central.remove_agent("waiting", timeout=0.01)

    assert [trail.operation for trail in agent.trails] == ["one"]


def test_an_agent_that_removes_itself_ends(central: CentralAuditor) -> None:
    class Once(Memory):
        def capture(self, trail: Trail) -> None:
            central.remove_agent("once")
            super().capture(trail)

    agent = Once()
    central.add_agent("once", agent)
    central.record(Trail("one", "success"))

    agent.until(lambda once: len(once.trails) == 1)
    assert [health.name for health in central.agents()] == ["memory"]


def test_an_agent_gets_what_is_recorded_while_it_is_there(
    central: CentralAuditor,
) -> None:
    agent = Memory()
    central.record(Trail("before", "success"))
    central.add_agent("other", agent)
    central.record(Trail("while", "success"))
    central.remove_agent("other")
    central.record(Trail("after", "success"))

    assert central.flush(LIMIT)
    assert agent.operations == ["while"]
    assert agent.closed == 1


def test_a_close_that_raises_is_logged_and_no_more(
    central: CentralAuditor, caplog: pytest.LogCaptureFixture
) -> None:
    class Sour(Memory):
        def close(self) -> None:
            raise OSError(5, "Input/output error")

    central.add_agent("sour", Sour())

    central.remove_agent("sour")

    assert caplog.messages == [
        "cannot close audit agent sour: [Errno 5] Input/output error"
    ]


def delivery_to(agent: AuditAgent, **options: Any) -> Delivery:
    options.setdefault("on_failure", lambda _name, _error: None)
    delivery = Delivery("small", agent, **options)
    delivery.start()
    return delivery


def record(operation: str, size: int = 10) -> Record:
    return Record(Trail(operation, "success"), size=size)


def test_a_full_queue_drops_the_newest_and_says_how_many_where() -> None:
    agent = Stuck()
    delivery = delivery_to(agent, queue_records=3)
    for number in range(10):
        delivery.offer(record(f"step {number}"))
    assert delivery.health().dropped == 7
    assert delivery.health().state == "degraded"
    agent.let_go.set()
    agent.entered.clear()
    assert delivery.finish()

    assert [trail.operation for trail in agent.trails] == [
        "step 0",
        "step 1",
        "step 2",
        "audit.gap",
    ]
    assert agent.trails[-1].comments == {"dropped": 7, "agent": "small"}


def test_each_hole_in_a_queue_is_reported_in_its_own_place() -> None:
    gates = {"a": Event(), "b": Event(), "c": Event()}

    class Steps(Memory):
        def capture(self, trail: Trail) -> None:
            super().capture(trail)
            if trail.operation in gates:
                gates[trail.operation].wait(LIMIT)

    agent = Steps()
    delivery = delivery_to(agent, queue_records=2)
    for operation in ("a", "b", "lost 1", "lost 2"):
        delivery.offer(record(operation))
    gates["a"].set()
    agent.until(lambda steps: "b" in steps.operations)
    for operation in ("c", "lost 3"):
        delivery.offer(record(operation))
    for gate in gates.values():
        gate.set()
    assert delivery.finish()

    assert [(trail.operation, trail.comments) for trail in agent.trails] == [
        ("a", ""),
        ("b", ""),
        ("audit.gap", {"dropped": 2, "agent": "small"}),
        ("c", ""),
        ("audit.gap", {"dropped": 1, "agent": "small"}),
    ]
    assert delivery.health().state == "ok"


def test_a_queue_of_few_large_records_is_full_as_well() -> None:
    agent = Stuck()
    delivery = delivery_to(agent)
    for _ in range(20):
        delivery.offer(record("large", size=8 * 1024 * 1024))

    assert delivery.health().dropped == 12
    agent.let_go.set()
    assert delivery.finish()


def test_a_failing_agent_is_reported_once_a_minute() -> None:
    times = iter([0.0, 59.0, 60.0, 61.0, 120.0])
    reports: list[tuple[str, str]] = []
    delivery = delivery_to(
        Failing(ValueError("no")),
        on_failure=lambda name, error: reports.append((name, error)),
        clock=lambda: next(times),
    )
    for _ in range(5):
        delivery.offer(record("one"))

    assert delivery.finish()
    assert reports == [("small", "ValueError: no")] * 3


# What is refused.


def refused(call: Callable[..., object], *arguments: Any) -> str:
    with pytest.raises(AuditError) as caught:
        call(*arguments)
    return str(caught.value)


def test_agents_that_are_none_are_refused_with_a_remedy(
    central: CentralAuditor,
) -> None:
    assert refused(central.add_agent, "memory", Memory()) == (
        "There is an audit agent named 'memory' already. "
        "Choose another name, or call remove_agent() first."
    )
    assert refused(central.add_agent, " ", Memory()) == (
        "An audit agent was added with the name ' '. "
        "Name it with a text that says what it is, such as 'syslog'."
    )
    assert refused(central.add_agent, "log", Memory) == (
        "The audit agent 'log' is the class Memory, not an instance. "
        "Call it: add_agent('log', Memory(...))."
    )
    assert refused(central.add_agent, "log", print) == (
        "The audit agent 'log' is of type builtin_function_or_method, which is no "
        "AuditAgent. Derive its class from procsched.AuditAgent and implement "
        "capture(trail)."
    )
    assert refused(central.remove_agent, "memorie") == (
        "There is no audit agent named 'memorie'. Did you mean 'memory'."
    )
    assert refused(central.remove_agent, "http") == (
        "There is no audit agent named 'http'. Use one of those there are: 'memory'."
    )


def test_spools_opened_twice_or_never_are_refused(
    central: CentralAuditor, tmp_path: Path
) -> None:
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))

    assert refused(central.open_spool, "a1-7", "nightly", "b") == (
        "The spool of run a1-7 is open already. Give every run an id of its own."
    )
    assert refused(central.close_spool, "a1-8") == (
        "No spool of run a1-8 is open. "
        "Call open_spool() once and close_spool() once for a run."
    )


def test_a_closed_auditor_refuses_and_leaves_open_spools_where_they_are(
    tmp_path: Path,
) -> None:
    agent = Memory()
    central = CentralAuditor({"memory": agent})
    writer = spool(tmp_path / "a")
    said(writer, "one")
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))

    central.close()
    central.close()

    assert refused(central.record, Trail("late", "success")) == (
        "The auditor is closed, for the program ends. "
        "Record it before the program's last line."
    )
    assert central.flush()
    assert agent.operations == ["one"]
    assert agent.closed == 1
    assert (tmp_path / "a").exists()
    writer.close()


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"items": [1, 2, {3}]}, "holds a set at $.items[2], which JSON cannot hold"),
        ({"a": {7: "x"}}, "holds the key 7 (an int) at $.a, which"),
        ([float("nan")], "holds the number nan at $[0], which"),
        (b"bytes", "holds a bytes at $, which"),
        ("\ud800", "holds a text with half a surrogate pair at $, which"),
        ({"\ud800": 1}, "a text with half a surrogate pair at $ (a key), which"),
        ([10**5000], "a whole number of more than 4,200 digits at $[0], which"),
        (LOOP, "holds more than 100 levels or itself at $[0][0][0]"),
    ],
)
def test_a_custom_value_that_json_cannot_hold_is_refused_with_its_place(
    central: CentralAuditor, value: Any, says: str
) -> None:
    message = refused(central.record_custom, value)

    assert says in message
    assert message.endswith(
        ". Convert it first (str, list, isoformat()), or use audit_params(), which "
        "shows what it cannot convert."
    )


@pytest.mark.usefixtures("host")
def test_what_is_no_trail_is_refused() -> None:
    message = refused(Auditor.audit_trail, {"operation": "transfer"})

    assert message == (
        "audit_trail() was given a dict, not a Trail. Pass Trail(operation=..., "
        "status=..., comments=...), or hand a JSON object of your own to "
        "audit_custom()."
    )


# The Auditor, in a program and in a run.


@pytest.mark.usefixtures("host")
def test_in_a_program_records_reach_the_console_from_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Auditor.audit_params("transfer", "success", {"rows": 12})
    Auditor.audit_custom({"any": ["json"]})

    assert Auditor.flush(LIMIT)
    first, second = capsys.readouterr().out.splitlines()
    assert "transfer      success  rows=12" in first
    assert first.endswith(f"[pid {os.getpid()}]")
    assert 'custom        recorded  any=["json"]' in second
    assert [health.name for health in Auditor.agents()] == ["console"]


@pytest.mark.usefixtures("host")
def test_in_a_program_time_and_pid_are_those_of_the_call() -> None:
    memory = Memory()
    Auditor.add_agent("memory", memory)
    Auditor.remove_agent("console")

    Auditor.audit_trail(Trail("transfer", "success", pid=1, job="mine"))

    assert Auditor.flush(LIMIT)
    assert memory.trails[0].pid == os.getpid()
    assert memory.trails[0].job == "mine"
    assert memory.trails[0].time is not None


@pytest.mark.usefixtures("host")
def test_in_a_run_records_go_to_its_spool_and_agents_are_refused(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    outlet.open_outlet(str(tmp_path / "a"), central.wake_fd, "a1-7", "nightly")
    Auditor.audit_params("transfer", "success", 12)
    Auditor.audit_trail(Trail("check", "failed"))
    Auditor.audit_custom([1, 2])
    assert Auditor.flush()

    remedy = (
        "Audit agents were asked for inside run a1-7. Add and remove agents in the "
        'program that owns the scheduler, under `if __name__ == "__main__":`; a run '
        "only says its records."
    )
    assert refused(Auditor.add_agent, "memory", memory) == remedy
    assert refused(Auditor.remove_agent, "console") == remedy
    assert refused(Auditor.agents) == remedy
    assert "holds a set at $" in refused(Auditor.audit_custom, {1})
    assert outlet.close_outlet() == 0
    assert outlet.close_outlet() == 0
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    central.close_spool("a1-7")
    assert central.flush(LIMIT)
    assert memory.operations == ["transfer", "check"]
    assert memory.customs == [[1, 2]]


@pytest.mark.usefixtures("host")
def test_a_worker_opens_one_run_after_the_other(tmp_path: Path) -> None:
    outlet.open_outlet(str(tmp_path / "a"), None, "a1-7", "nightly")
    assert refused(outlet.open_outlet, str(tmp_path / "b"), None, "a1-8", "report") == (
        "Run a1-7 is still open in this process, so a1-8 cannot be opened. "
        "Call close_outlet() at the end of each run."
    )
    outlet.close_outlet()

    assert refused(Auditor.audit_params, "late", "success") == (
        "Run a1-7 is over and takes no more records. "
        "Let goal() join the threads it starts before it returns."
    )
    outlet.open_outlet(str(tmp_path / "b"), None, "a1-8", "report")
    Auditor.audit_params("next", "success")
    assert (tmp_path / "b").exists()
    assert not (tmp_path / "a").exists()


@pytest.mark.usefixtures("host")
def test_a_trail_too_large_for_a_frame_is_cut_in_a_run(
    central: CentralAuditor, memory: Memory, tmp_path: Path
) -> None:
    outlet.open_outlet(str(tmp_path / "a"), None, "a1-7", "nightly")
    Auditor.audit_params(
        "dump", "success", {str(key): "x" * 60_000 for key in range(99)}
    )
    outlet.close_outlet()
    central.open_spool("a1-7", "nightly", str(tmp_path / "a"))
    central.close_spool("a1-7")

    assert central.flush(LIMIT)
    comments = memory.trails[0].comments
    assert comments.startswith("{'0': 'xxx")
    assert comments.endswith("characters cut]")


def test_the_auditor_and_the_outlet_load_nothing_heavy() -> None:
    script = (
        "import sys; import procsched.audit.outlet, procsched.audit.auditor;"
        "print(sorted({'requests', 'http', 'sqlite3', 'yaml', 'logging', 'pydantic',"
        "'queue', 'pathlib', 'urllib', 'socket', 'psutil'} & set(sys.modules)))"
    )

    # -S: without site-packages, where a coverage tool hooks itself in.
    assert run_script(script, options=("-S",)) == "[]\n"


def test_the_end_of_a_program_waits_for_its_agents() -> None:
    script = (
        "from procsched import Auditor\n"
        "for number in range(300): Auditor.audit_params(f'step {number}', 'success')"
    )

    assert len(run_script(script).splitlines()) == 300


STUCK_AT_EXIT = """
from threading import Event
from procsched import AuditAgent, Auditor
from procsched.audit import outlet
outlet.EXIT_WAIT_SECONDS = 0.2
class Stuck(AuditAgent):
    def capture(self, trail): Event().wait()
Auditor.add_agent("stuck", Stuck())
Auditor.audit_params("one", "success")
"""


def test_a_stuck_agent_does_not_keep_a_program_from_ending() -> None:
    assert len(run_script(STUCK_AT_EXIT).splitlines()) == 1


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork with threads
from procsched import Auditor, FileAgent
Auditor.add_agent("file", FileAgent(sys.argv[1]))
Auditor.remove_agent("console")
for number in range(200):
    Auditor.audit_params(f"parent {number}", "success")
pid = os.fork()
for number in range(50):
    Auditor.audit_params(f"{'parent after' if pid else 'child'} {number}", "success")
assert [agent.name for agent in Auditor.agents()] == ["file"]
assert Auditor.flush(20)
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_forked_child_has_a_thread_and_queues_of_its_own(tmp_path: Path) -> None:
    """As under gunicorn with preload: the same agents, each record once."""
    path = tmp_path / "audit.jsonl"

    run_script(FORKED, str(path))

    lines = path.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 300
    for who, number in (("parent", 200), ("child", 50), ("parent after", 50)):
        own = [line for line in lines if f'"{who} {number - 1}"' in line]
        assert len(own) == 1


def test_recording_from_many_threads_loses_and_repeats_nothing(
    central: CentralAuditor, memory: Memory
) -> None:
    def talk(name: int) -> None:
        for number in range(300):
            central.record(Trail(f"{name}:{number}", "success"))

    threads = [Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    with suppress(AuditError):
        central.add_agent("late", Memory())
    for thread in threads:
        thread.join()

    assert central.flush(LIMIT)
    assert len(set(memory.operations)) == len(memory.operations) == 1200
    for name in range(4):
        own = [each for each in memory.operations if each.startswith(f"{name}:")]
        assert own == [f"{name}:{number}" for number in range(300)]
