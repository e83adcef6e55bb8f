"""One worker for the runs of a sequence: it stays, it is put back, it is replaced."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile import CommandLike, Hostile, Thoughtful, World, alive, gone

from procsched.core.outcome import Outcome
from procsched.core.policy import Limits
from procsched.core.recycle import Recycle
from procsched.job import CommandJob, Job
from procsched.workers.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hostile import Ending


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def run(world: World, what: str, value: Any = None, **given: Any) -> Ending:
    job = Hostile(what, world.place, value)
    return world.run(job, sequence="one", **given)


def state(world: World) -> dict[str, Any]:
    found: dict[str, Any] = run(world, "look_at_state").report.result
    return found


def test_the_worker_survives_from_run_to_run(world: World) -> None:
    first, second = state(world), state(world)

    assert first.pop("pid") == second.pop("pid")
    assert (first.pop("run"), second.pop("run")) == ("run-1", "run-2")
    assert first == second


def test_two_sequences_have_a_worker_each(world: World) -> None:
    one = world.run(Hostile("leave_daemon_thread"), sequence="one").report.result
    two = world.run(Hostile("leave_daemon_thread"), sequence="two").report.result

    assert one != two


def test_what_a_run_changed_is_put_back(world: World) -> None:
    before = state(world)
    changed = run(world, "change_state")
    after = state(world)

    assert changed.report.result == before["pid"] == after["pid"]
    assert changed.report.flags == ()
    assert after | {"run": None} == before | {"run": None}


def test_a_crash_after_a_change_still_shows_its_stacks(world: World) -> None:
    """The run before has disabled faulthandler."""
    run(world, "change_state")
    end = run(world, "segfault")

    assert end.outcome is Outcome.CRASHED
    assert "in segfault" in (end.report.traceback or "")


def test_a_directory_that_is_gone_harms_no_later_run(world: World) -> None:
    pid = run(world, "remove_directory").report.result

    assert state(world)["pid"] == pid


def test_limits_stand_for_their_run_alone(world: World) -> None:
    free = run(world, "limits_seen").report.result
    limits = Limits(memory="300MiB", open_files=50, file_size="1MiB", cpu=5)
    end = run(world, "limits_seen", limits=limits)
    held = end.report.result
    again = run(world, "limits_seen").report.result

    if not end.report.enforced_by["memory"].startswith("cgroup"):
        assert held["RLIMIT_DATA"][0] == 300 * 2**20
    assert held["RLIMIT_NOFILE"][0] == 50
    assert held["RLIMIT_FSIZE"][0] == 2**20
    assert 5 <= held["RLIMIT_CPU"][0] <= 6
    assert again == free


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("leave_daemon_thread", "1 threads were left running"),
        ("leave_file_open", "1 descriptors were left open"),
        ("lower_hard_limit", "its state could not be put back"),
        ("close_descriptors", "its state could not be put back"),
    ],
)
def test_what_cannot_be_put_back_replaces_the_worker(
    world: World, what: str, reason: str
) -> None:
    before = state(world)["pid"]
    end = run(world, what)
    after = state(world)["pid"]

    assert end.outcome is Outcome.SUCCEEDED
    assert f"its worker was replaced: {reason}" in end.flags
    assert before != after


def test_leftovers_are_killed_while_the_worker_lives(world: World) -> None:
    pid = state(world)["pid"]
    end = run(world, "tree")

    assert end.report.leftovers == 20
    assert not any(map(alive, end.report.result))
    assert state(world)["pid"] == pid


def test_no_zombies_gather_below_the_worker(world: World) -> None:
    for _ in range(5):
        run(world, "daemon_by_exec")
    pid = state(world)["pid"]

    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


@pytest.mark.parametrize("what", ["kill_self", "segfault", "abort", "kill_group"])
def test_a_job_that_kills_the_worker_fails_alone(world: World, what: str) -> None:
    pid = state(world)["pid"]
    end = run(world, what)
    after = state(world)

    assert end.outcome is Outcome.CRASHED
    assert end.report.leftovers == 0
    assert after["pid"] != pid


@pytest.mark.parametrize("name", ["keyboard", "odd base", "memory"])
def test_what_is_no_ordinary_exception_replaces_the_worker(
    world: World, name: str
) -> None:
    pid = state(world)["pid"]
    end = run(world, "raises_class", name)

    assert end.outcome is Outcome.FAILED
    assert (end.report.exit_code, end.report.leftovers) == (1, 0)
    assert state(world)["pid"] != pid


def test_an_ordinary_exception_keeps_the_worker(world: World) -> None:
    pid = state(world)["pid"]

    assert run(world, "raises_class", "two arguments").outcome is Outcome.FAILED
    assert run(world, "exits", 3).report.exit_code == 3
    assert state(world)["pid"] == pid


def test_a_timed_out_run_takes_its_worker_along(world: World) -> None:
    pid = state(world)["pid"]
    end = run(world, "hang_and_clean_up", limits=Limits(wall=0.2, grace=5))

    assert end.outcome is Outcome.TIMED_OUT
    assert end.report.leftovers == 0
    assert (world.place / "cleaned").is_file()
    assert state(world)["pid"] != pid


def test_a_job_that_cannot_be_loaded_blames_itself_alone(world: World) -> None:
    """Its outlet is closed as well, or the next run could not open one."""
    end = world.run(Payload(target="no_such_module:It"), sequence="one")
    after = run(world, "audit", "next")

    assert end.outcome is Outcome.START_FAILED
    assert after.outcome is Outcome.SUCCEEDED


def test_output_and_audit_go_to_the_run_that_made_them(world: World) -> None:
    ends = [run(world, "audit", f"number {each}") for each in range(3)]

    assert [end.log for end in ends] == [
        f"printed by number {each}\n" for each in range(3)
    ]
    for each in range(3):
        spool = world.pool.spool_of(f"run-{each + 1}").read_bytes()
        assert spool.count(b'"kind":"trail"') == 1
        assert f"number {each}".encode() in spool


def test_a_command_in_a_sequence_leaves_the_worker_alone(world: World) -> None:
    pid = state(world)["pid"]
    end = world.run(CommandJob("cmd", ["sh", "-c", "exit 7"]), sequence="one")

    assert (end.outcome, end.report.leftovers) == (Outcome.EXITED, 0)
    assert end.reason == "the command left with code 7"
    assert state(world)["pid"] == pid


@pytest.mark.parametrize(
    ("job", "outcome", "result"),
    [
        (CommandLike("like", ["true"]), Outcome.SUCCEEDED, None),
        (CommandLike("like", ["false"]), Outcome.EXITED, None),
        (Thoughtful("own", ["true"]), Outcome.SUCCEEDED, "not true"),
    ],
)
def test_a_class_derived_from_command_job_is_what_its_goal_is(
    world: World, job: Job, outcome: Outcome, result: object
) -> None:
    for sequence in ("one", None):
        end = world.run(job, sequence=sequence)
        assert (end.outcome, end.report.result) == (outcome, result)


def test_a_declared_command_class_in_a_sequence_is_a_command(world: World) -> None:
    """Only the child finds out; its worker becomes the program."""
    given = {"name": "like", "command": ["false"]}
    payload = Payload(target="hostile:CommandLike", arguments=given)
    end = world.run(payload, sequence="one")

    assert end.reason == "the command left with code 1"
    assert run(world, "returns", 5).report.result == 5


def test_an_idle_death_of_the_worker_blames_no_run(world: World) -> None:
    """And the keeper does not spin on the pidfd of a dead worker."""
    pid = state(world)["pid"]
    (keeper,) = (g.process.pid for g in world.pool._sequences.values())

    os.kill(pid, signal.SIGKILL)
    assert gone([pid], 5)
    end = run(world, "returns", 6)

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, 6)
    assert alive(keeper)


def test_a_dead_idle_worker_costs_no_cpu(world: World) -> None:
    pid = state(world)["pid"]
    (keeper,) = (g.process.pid for g in world.pool._sequences.values())
    os.kill(pid, signal.SIGKILL)
    assert gone([pid], 5)
    run(world, "returns")

    before = _ticks(keeper)
    threading.Event().wait(0.3)

    assert _ticks(keeper) - before <= 2


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_usage_is_of_the_run_and_not_of_the_workers_life(world: World) -> None:
    run(world, "burn_a_little")
    idle = run(world, "returns").report.usage
    killed = run(world, "kill_self").report.usage

    assert idle is not None
    assert killed is not None
    assert idle.cpu_user + idle.cpu_system < 0.15
    assert killed.cpu_user + killed.cpu_system < 0.15


def test_a_job_larger_than_a_socket_reaches_the_worker(world: World) -> None:
    text = "j" * 3_000_000
    end = run(world, "returns", text[:10] + text)

    assert end.outcome is Outcome.SUCCEEDED
    assert "result of 3000012 bytes was left out" in end.flags


def test_a_run_stopped_before_its_worker_has_read_it(world: World) -> None:
    state(world)
    run_id = world.start(Hostile("hang", world.place), sequence="one")
    world.pool.stop(run_id, "cancelled", "at once", 5.0)
    end = world.ended(run_id)

    assert (end.outcome, end.reason) == (Outcome.CANCELLED, "at once")
    assert end.seconds < 2


def test_a_worker_is_replaced_when_its_runs_are_done(world: World) -> None:
    """Between two runs: the last one succeeds, and its record says so."""
    recycle = Recycle(runs=2)
    ends = [
        world.run(Hostile("returns", None, n), sequence="one", recycle=recycle)
        for n in range(4)
    ]

    assert [end.report.result for end in ends] == [0, 1, 2, 3]
    flag = "its worker was replaced: 2 runs"
    assert [end.flags for end in ends] == ["", flag, "", flag]
    assert ends[0].report.pid == ends[1].report.pid != ends[2].report.pid


def test_what_a_module_sets_as_it_is_imported_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is imported once in a worker, and not again for the next run."""
    source = "import logging, os\nfrom procsched.job import Job\n"
    source += "logging.basicConfig(level='DEBUG')\nclass It(Job):\n  def goal(self):\n"
    source += "    return [logging.getLogger().level, os.getpid()]"
    (world.place / "sets_logging.py").write_text(source)
    monkeypatch.syspath_prepend(world.place)
    job = Payload(target="sets_logging:It")
    first, second = (world.run(job, sequence="one").report.result for _ in range(2))

    assert first == second
    assert first[0] == 10
