"""The fork server: modules are shared, and what cannot be shared costs itself."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from hostile import Hostile, World, alive, gone

from procsched.core.outcome import Outcome
from procsched.core.policy import Limits
from procsched.workers.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with World(tmp_path) as made:
        yield made


JOB = """
import os
from procsched.job import Job
{importing}
LOADED = os.getpid()
class It(Job):
    def goal(self): return {result}
"""


def declare(world: World, name: str, importing: str = "", result: str = "") -> Payload:
    source = JOB.format(importing=importing, result=result or "LOADED == os.getpid()")
    (world.place / f"{name}.py").write_text(source)
    return Payload(target=f"{name}:It")


def server_of(world: World) -> psutil.Process:
    """Return the process that forks keepers now."""
    (keeper, *_) = world.pool._idle
    return psutil.Process(psutil.Process(keeper.process.pid).ppid())


def test_a_module_is_imported_once_for_all_runs(world: World) -> None:
    job = declare(world, "shared_once")
    world.run(job)
    world.settle()

    assert [world.run(job).report.result for _ in range(3)] == [False] * 3


def test_a_job_that_comes_later_is_preloaded_before_its_second_run(
    world: World,
) -> None:
    world.run(declare(world, "comes_first"))
    world.settle()
    job = declare(world, "comes_later")

    assert world.run(job).report.result is True
    world.settle()
    assert world.run(job).report.result is False


@pytest.mark.parametrize(
    ("importing", "text"),
    [
        (
            "from threading import *; Thread(target=Event().wait, args=(9,)).start()",
            "starts threads",
        ),
        ("import subprocess; X = subprocess.Popen(['sleep', '9'])", "starts a process"),
        ("X = open('notes', 'w')", "opens files"),
    ],
)
def test_what_cannot_be_shared_is_imported_by_each_run(
    world: World, caplog: pytest.LogCaptureFixture, importing: str, text: str
) -> None:
    job = declare(world, "cannot_share", importing)
    other = declare(world, "can_share")
    world.run(job, limits=Limits(grace=0))
    world.run(other)
    world.settle()

    assert world.run(job, limits=Limits(grace=0)).report.result is True
    assert world.run(other).report.result is False
    assert caplog.messages.count(
        f"module 'cannot_share' is not preloaded: importing it {text}; each run "
        "imports it by itself"
    )


@pytest.mark.parametrize(
    ("importing", "outcome"),
    [
        ("os._exit(3)", Outcome.EXITED),
        ("os.kill(os.getpid(), 11)", Outcome.CRASHED),
        ("raise SystemExit(2)", Outcome.START_FAILED),
    ],
)
def test_a_module_that_ends_the_interpreter_fails_its_own_job_alone(
    world: World, caplog: pytest.LogCaptureFixture, importing: str, outcome: Outcome
) -> None:
    bad = declare(world, "ends_it", importing)
    good = declare(world, "goes_on")
    ends = [world.run(bad).outcome for _ in range(2)]
    world.run(good)
    world.settle()

    assert ends == [outcome, outcome]
    assert world.run(good).report.result is False
    assert "module 'ends_it' is not preloaded: importing it ends the interpreter" in (
        caplog.text
    )


def test_a_module_that_raises_fails_its_job_with_its_traceback(world: World) -> None:
    bad = declare(world, "raises", "1 / 0")
    world.run(bad)
    world.settle()
    end = world.run(bad)

    assert end.outcome is Outcome.START_FAILED
    assert "ZeroDivisionError" in (end.report.traceback or "")


def test_what_an_import_changes_is_there_in_each_run(world: World) -> None:
    """Variables, sys.path; the working directory is the run's own."""
    importing = "import sys; os.environ['SAID'] = 'x'; sys.path.append('/y')\n"
    importing += "os.chdir('/')"
    job = declare(world, "changes", importing, "[os.environ.get('SAID'), sys.path[-1]]")
    world.run(job)
    world.settle()

    assert world.run(job).report.result == ["x", "/y"]


def test_new_code_is_read_after_a_reload_and_a_run_ends_with_the_old(
    world: World,
) -> None:
    waiting = "__import__('time').sleep(0.01 * (not os.path.exists('go')) * 500) or 1"
    slow = declare(world, "changing_slow", result=waiting)
    job = declare(world, "changing", result="'old'")
    run_id = world.start(slow)
    world.started(run_id)
    assert world.run(job).report.result == "old"
    assert world.run(job, sequence="one").report.result == "old"
    world.settle()

    declare(world, "changing", result="'newer'")
    world.pool.reload()

    assert world.run(job).report.result == "newer"
    assert world.run(job, sequence="one").report.result == "newer"
    world.settle()
    assert world.run(job).report.result == "newer"
    world.pool.kill(run_id, "cancelled", "enough")
    assert world.ended(run_id).outcome is Outcome.CANCELLED


def test_a_reload_between_order_and_start_loses_no_run(world: World) -> None:
    """The keepers that are on their way then come from the new server."""
    job = declare(world, "reloaded")
    runs = []
    for _ in range(5):
        runs.append(world.start(job))
        world.pool.reload()

    assert {world.ended(each).outcome for each in runs} == {Outcome.SUCCEEDED}


def test_a_killed_fork_server_costs_no_run(world: World) -> None:
    job = declare(world, "undisturbed")
    world.run(job)
    world.settle()
    busy = world.start(Hostile("poll_for_the_end", world.place))
    world.started(busy)
    world.settle()

    for _ in range(3):
        os.kill(server_of(world).pid, signal.SIGKILL)
        runs = [world.start(job) for _ in range(3)]
        assert {world.ended(each).outcome for each in runs} == {Outcome.SUCCEEDED}
        world.settle()

    assert world.run(job).report.result is False
    world.pool.stop(busy, "cancelled", "enough", 5.0)
    assert world.ended(busy).report.result == "stopped nicely"


def test_a_stopped_fork_server_holds_up_no_order(world: World) -> None:
    """A run in line can be stopped, and starts when the server goes on."""
    world.run(Hostile("returns"))
    world.settle()
    server = server_of(world)
    server.suspend()
    runs = [world.start(Hostile("returns", None, n)) for n in range(4)]
    began = time.monotonic()
    world.pool.stop(runs[-1], "cancelled", "by ann", 1.0)
    end = world.ended(runs[-1])
    seconds = time.monotonic() - began
    server.resume()

    assert (end.outcome, end.reason) == (Outcome.CANCELLED, "by ann")
    assert seconds < 1
    assert [world.ended(each).report.result for each in runs[:-1]] == [0, 1, 2]


def test_what_a_killed_keeper_leaves_is_killed_by_the_server(world: World) -> None:
    """In a session of its own, without environment and under another name."""
    end = world.run(Hostile("kill_keeper", world.place))

    assert end.outcome is Outcome.LOST
    for name in ("daemon", "session"):
        pid = int((world.place / name).read_text())
        world.until(lambda pid=pid: not alive(pid), f"the death of the {name}")


def test_the_processes_are_known_by_their_names(world: World) -> None:
    run_id = world.start(Hostile("hang", world.place))
    pid = world.started(run_id)
    keeper = world.pool._grips[run_id].process
    server = psutil.Process(keeper.pid).ppid()

    assert keeper.name.startswith("procsched-keeper-")
    assert psutil.Process(keeper.pid).cmdline()[-1] == keeper.name
    assert psutil.Process(pid).cmdline()[-1] == keeper.name
    assert "procsched-server-" in psutil.Process(server).cmdline()[-1]
    world.pool.kill(run_id, "cancelled", "enough")
    world.ended(run_id)


def names(process: psutil.Process, place: Path) -> bool:
    """Whether a place is in a process's command line."""
    try:
        return any(str(place) in word for word in process.cmdline())
    except psutil.Error:
        # Gone since it was listed, or dead and another's to reap.
        return False


def test_closing_leaves_no_server(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.run(Hostile("returns", tmp_path))
    world.settle()
    processes = [each.pid for each in world.pool._source.processes]
    servers = [pid for pid in processes if pid]

    world.close()

    assert servers
    assert gone(servers, 5)
    assert not [each for each in psutil.process_iter() if names(each, tmp_path)]


def test_spawned_keepers_run_the_same_jobs(tmp_path: Path) -> None:
    with World(tmp_path, spawn=True) as world:
        end = world.run(Hostile("returns", None, 5))
        again = world.run(Hostile("returns", None, 6), sequence="one")
        world.pool.reload()
        last = world.run(Hostile("returns", None, 7), sequence="one")

        assert world.pool._source.processes == set()
    assert [each.report.result for each in (end, again, last)] == [5, 6, 7]
