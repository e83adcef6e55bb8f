"""The pool: keepers are reused, nothing grows, and what fails is one run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psutil
import pytest
from hostile import Hostile, World, descriptors, gone

from procsched.core.moment import Moment
from procsched.core.outcome import Outcome
from procsched.workers.payload import Payload
from procsched.workers.tree import children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def keepers(world: World) -> set[int]:
    return {grip.process.pid for grip in world.pool._keepers}


LIGHT = """
from procsched.job import Job
class Light(Job):
    def __init__(self, number): self.number = number
    def goal(self): return self.number
"""


def test_three_hundred_runs_leave_nothing_growing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.place / "light_jobs.py").write_text(LIGHT)
    monkeypatch.syspath_prepend(world.place)
    for _ in range(10):
        world.run(Payload(target="light_jobs:Light", arguments={"number": 0}))
    world.settle()
    before, first = len(descriptors()), keepers(world)
    threads = threading.active_count()
    world.until(lambda: all(map(children, first)), "the processes forked ahead")
    inside, files = _sizes(first), _files(first)

    for number in range(300):
        given = {"number": number}
        end = world.run(Payload(target="light_jobs:Light", arguments=given))
        assert end.report.result == number

    assert len(descriptors()) == before
    assert keepers(world) == first
    assert threading.active_count() == threads
    # The process for the next run is forked behind the report of the last.
    world.until(lambda: _files(first) == files, "as many descriptors as before")
    for pid, rss in inside.items():
        assert _sizes(first)[pid] - rss < 3_000_000
    assert [p for p in psutil.Process().children() if p.status() == "zombie"] == []


def _sizes(pids: set[int]) -> dict[int, int]:
    return {pid: psutil.Process(pid).memory_info().rss for pid in pids}


def _files(pids: set[int]) -> dict[int, int]:
    return {pid: psutil.Process(pid).num_fds() for pid in pids}


def test_one_keeper_is_always_ahead(world: World) -> None:
    world.run(Hostile("returns", world.place))
    world.settle()
    assert len(keepers(world)) == 1

    run_id = world.start(Hostile("hang", world.place))
    world.settle()

    assert len(keepers(world)) == 2
    world.pool.kill(run_id, "cancelled", "enough")
    world.ended(run_id)
    world.run(Hostile("returns"))
    assert len(keepers(world)) == 2


def test_runs_side_by_side_have_a_keeper_each(world: World) -> None:
    runs = [world.start(Hostile("poll_for_the_end", world.place)) for _ in range(6)]
    pids = {world.started(run_id) for run_id in runs}
    for run_id in runs:
        world.pool.stop(run_id, "cancelled", "enough", 5.0)

    assert len(pids) == 6
    assert {world.ended(run_id).outcome for run_id in runs} == {Outcome.CANCELLED}


def test_keepers_idle_for_a_minute_leave_but_for_the_spare_ones(world: World) -> None:
    class Later:
        def __init__(self) -> None:
            self.at = Moment(datetime(2026, 1, 1, tzinfo=UTC), 0.0)

        def now(self) -> Moment:
            return self.at

    world.pool._clock = clock = Later()
    world.run(Hostile("returns", world.place))
    world.settle()
    runs = [world.start(Hostile("poll_for_the_end", world.place)) for _ in range(6)]
    for run_id in runs:
        world.started(run_id)
        world.pool.stop(run_id, "cancelled", "enough", 5.0)
    for run_id in runs:
        world.ended(run_id)
    world.settle()
    many = keepers(world)
    assert len(many) == 7
    clock.at = Moment(clock.at.wall + timedelta(minutes=1), 60.0)

    world.until(lambda: len(keepers(world)) == 4, "the leaving of three")

    assert keepers(world) < many


def test_a_keeper_that_died_idle_blames_no_run(world: World) -> None:
    world.run(Hostile("returns"))
    for pid in keepers(world):
        os.kill(pid, signal.SIGKILL)
    assert gone(list(keepers(world)), 5)

    end = world.run(Hostile("returns", None, 3))

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, 3)


@pytest.mark.parametrize(
    ("spawn", "reason"),
    [
        (True, "its keeper died before it was up"),
        (False, "no keeper could be made: its fork server died"),
    ],
)
def test_a_keeper_that_never_comes_up_is_a_failed_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, *, spawn: bool
) -> None:
    """The interpreter is gone, as after an upgrade under a running server."""
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", b"/bin/false")
    with World(tmp_path, spawn=spawn) as world:
        end = world.run(Hostile("returns"))

    assert (end.outcome, end.reason) == (Outcome.START_FAILED, reason)


def test_closing_ends_what_runs_and_all_keepers(tmp_path: Path) -> None:
    world = World(tmp_path)
    run_id = world.start(Hostile("hang_and_clean_up", tmp_path))
    pid = world.started(run_id)
    world.note("hangs")
    pids = [pid, *keepers(world)]

    world.close()

    assert gone(pids, 0)
    assert (tmp_path / "cleaned").is_file()


def test_the_host_is_left_as_it_was(tmp_path: Path) -> None:
    """In a process of its own, which has never used multiprocessing."""
    program = f"""
import multiprocessing, multiprocessing.resource_tracker as tracker
import ctypes, os, signal, sys, threading
from pathlib import Path
sys.path[:0] = {sys.path!r}
handlers = [signal.getsignal(n) for n in signal.valid_signals()]
mask = signal.pthread_sigmask(0, [])
from hostile import Hostile, World
world = World(Path({str(tmp_path)!r}))
assert world.run(Hostile("returns", None, 1)).report.result == 1
running = world.start(Hostile("hang", world.place))
world.note("hangs")
assert multiprocessing.active_children() == []
assert tracker._resource_tracker._fd is None
assert multiprocessing.get_start_method(allow_none=True) is None
assert [signal.getsignal(n) for n in signal.valid_signals()] == handlers
assert signal.pthread_sigmask(0, []) == mask
assert threading.active_count() == 1
value = ctypes.c_int()
assert ctypes.CDLL(None).prctl(37, ctypes.byref(value)) == 0  # PR_GET_CHILD_SUBREAPER
assert value.value == 0
multiprocessing.set_start_method("spawn")
world.close()
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, timeout=60
    )


STARVED = """
import resource, os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from hostile import Hostile, World, descriptors
world = World(Path({place!r}), spawn=True)
world.run(Hostile("returns"))
busy = [world.start(Hostile("poll_for_the_end", world.place)) for _ in range(2)]
for each in busy: world.started(each)
held = descriptors()
spare, world.pool._idle = world.pool._idle, []
{starve}
ends = [world.run(Hostile("returns")) for _ in range(5)]
{feed}
print(ends[0].outcome, ends[0].reason)
assert descriptors() == held
world.pool._idle += spare
for each in busy: world.pool.stop(each, "cancelled", "enough", 5.0)
assert [world.ended(each).outcome for each in busy] == ["cancelled"] * 2
print(world.run(Hostile("returns", None, 7)).report.result)
world.close()
"""


NO_FILES = """
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    for _ in range({free}):
        os.close(taken.pop())
"""

FILES = """
for fd in taken:
    os.close(fd)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
"""

# RLIMIT_NPROC holds for no root, so the fork itself is made to fail.
NO_PROCESSES = """
import errno, procsched.workers.context as context
real = context.util.spawnv_passfds
def refuse(*_):
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
context.util.spawnv_passfds = refuse
"""

PROCESSES = "context.util.spawnv_passfds = real"


def starved(place: Path, starve: str, feed: str) -> list[str]:
    program = STARVED.format(path=sys.path, place=str(place), starve=starve, feed=feed)
    done = subprocess.run(
        [sys.executable, "-c", program], timeout=60, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("free", [0, 1, 2, 3, 4, 5, 6, 7])
def test_no_descriptor_left_fails_the_start_and_nothing_else(
    tmp_path: Path, free: int
) -> None:
    """A keeper takes eight while it is made."""
    first, last = starved(tmp_path, NO_FILES.format(free=free), FILES)

    assert first == "start_failed no keeper could be made: Too many open files"
    assert last == "7"


def test_no_process_left_fails_the_start_and_nothing_else(tmp_path: Path) -> None:
    first, last = starved(tmp_path, NO_PROCESSES, PROCESSES)

    assert first == (
        "start_failed no keeper could be made: Resource temporarily unavailable"
    )
    assert last == "7"


def test_a_keeper_without_processes_says_so_and_works_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limited from outside to its standard descriptors, it can open no other."""
    world.run(Hostile("returns", world.place))
    world.settle()
    # No other shall come and help.
    monkeypatch.setattr(world.pool, "_stock", lambda: None)
    idle = [psutil.Process(grip.process.pid) for grip in world.pool._idle]
    before = idle[0].rlimit(psutil.RLIMIT_NOFILE)
    for process in idle:
        world.until(lambda pid=process.pid: children(pid), "the one forked ahead")
        process.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
        # The one that was forked ahead, for which there was room.
        assert world.run(Hostile("returns")).outcome is Outcome.SUCCEEDED
    files = [process.num_fds() for process in idle]

    end = world.run(Hostile("returns"))

    assert end.outcome is Outcome.START_FAILED
    assert end.reason == "no process could be made for it: Too many open files"
    assert [process.num_fds() for process in idle] == files
    for process in idle:
        process.rlimit(psutil.RLIMIT_NOFILE, before)
        assert world.run(Hostile("returns", None, 8)).report.result == 8


def test_a_fork_server_without_descriptors_fails_one_start_and_works_again(
    world: World,
) -> None:
    world.run(Hostile("returns", world.place))
    world.settle()
    busy = world.start(Hostile("hang", world.place))
    world.settle()
    server = psutil.Process(_server_of(world))
    before = server.rlimit(psutil.RLIMIT_NOFILE)
    server.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    last = world.start(Hostile("hang", world.place))
    world.started(last)

    end = world.run(Hostile("returns"))

    assert end.outcome is Outcome.START_FAILED
    assert end.reason == "no keeper could be made: Too many open files"
    server.rlimit(psutil.RLIMIT_NOFILE, before)
    assert world.run(Hostile("returns", None, 8)).report.result == 8
    for run_id in (busy, last):
        world.pool.kill(run_id, "cancelled", "enough")
        assert world.ended(run_id).outcome is Outcome.CANCELLED


def _server_of(world: World) -> int:
    """Return the pid of the process that forks keepers now."""
    keeper = next(iter(world.pool._keepers))
    return psutil.Process(keeper.process.pid).ppid()
