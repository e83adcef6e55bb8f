"""Cells on this host's cgroups, and on a directory that looks like version 2."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from procsched.workers.cell import RESIDUE_BYTES, Cell
from procsched.workers.ground import LEAF, Ground, _hand_down, _move_into_leaf
from procsched.workers.stale import cell_name, sweep_stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20

GROUND = Ground.find()

needs_cgroups = pytest.mark.skipif(
    not GROUND.directories(), reason="this host lets us make no cgroup"
)
needs_memory = pytest.mark.skipif(
    GROUND.version("memory") is None, reason="no memory controller is given to us"
)
needs_pids = pytest.mark.skipif(
    GROUND.version("pids") is None, reason="no pids controller is given to us"
)


@pytest.fixture
def cell() -> Iterator[Cell]:
    made = Cell.make(cell_name(os.getpid(), "test"), GROUND)
    assert made is not None
    yield made
    assert made.remove()
    name = cell_name(os.getpid(), "test")
    assert not any((Path(base) / name).exists() for base in GROUND.directories())


def run_in(cell: Cell, work: Callable[[], Any]) -> tuple[int, Any]:
    """Return the exit code of a process in the cell, and what it said."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            cell.join()
            os.write(write, json.dumps(work()).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(text) if text else None


def hog(size: int) -> int:
    return len(bytearray(size))


@needs_memory
def test_a_run_over_its_memory_is_killed_and_counted_for_that_run_only(
    cell: Cell,
) -> None:
    cell.limit(48 * MIB, None)
    cell.begin()
    code, _ = run_in(cell, lambda: hog(200 * MIB))

    assert (code, cell.oom_kills()) == (-signal.SIGKILL, 1)
    peak = cell.peak_bytes()
    assert peak is None or 40 * MIB < peak <= 48 * MIB

    cell.begin()
    assert run_in(cell, lambda: hog(MIB)) == (0, MIB)
    assert cell.oom_kills() == 0
    if GROUND.version("memory") == "cgroup1":
        assert (cell.peak_bytes() or 0) < 40 * MIB


@needs_memory
def test_the_memory_of_all_processes_together_is_limited(cell: Cell) -> None:
    """Three of 30 MiB each are over 64 MiB; no single one is."""
    cell.limit(64 * MIB, None)
    cell.begin()

    def work() -> list[int]:
        pids = []
        for _ in range(3):
            pid = os.fork()
            if not pid:
                kept = bytearray(30 * MIB)
                time.sleep(0.3)
                os._exit(len(kept) * 0)
            pids.append(pid)
        return [os.waitpid(pid, 0)[1] for pid in pids]

    run_in(cell, work)

    assert cell.oom_kills() >= 1


@needs_memory
def test_a_memory_limit_is_raised_lowered_and_lifted(cell: Cell) -> None:
    for limit in (64 * MIB, 256 * MIB, 32 * MIB, None):
        cell.limit(limit, None)
        cell.begin()

        code, _ = run_in(cell, lambda: hog(128 * MIB))

        survives = limit is None or limit > 128 * MIB
        assert (code == 0, cell.oom_kills() == 0) == (survives, survives)


@needs_pids
def test_processes_of_the_run_are_limited_for_root_too(cell: Cell) -> None:
    cell.limit(None, 4)
    cell.begin()

    def work() -> int:
        forked = []
        try:
            for _ in range(10):
                pid = os.fork()
                if not pid:
                    signal.pause()
                forked.append(pid)
        except BlockingIOError:
            return len(forked)
        finally:
            for pid in forked:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return -1

    assert run_in(cell, work) == (0, 3)
    assert cell.refused_forks() == 1

    cell.limit(None, None)
    cell.begin()
    assert run_in(cell, work) == (0, -1)
    assert cell.refused_forks() == 0


@needs_cgroups
def test_cpu_time_of_processes_that_nobody_waited_for_is_counted(cell: Cell) -> None:
    cell.begin()

    def work() -> None:
        if not os.fork():
            end = time.process_time() + 0.2
            while time.process_time() < end:
                pass
            os._exit(0)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with contextlib.suppress(ChildProcessError):
            os.wait()

    run_in(cell, work)
    used = cell.cpu_seconds()
    if used is None:
        pytest.skip("neither cpu.stat nor cpuacct is given to us")

    assert 0.19 < used < 2
    cell.begin()
    assert (cell.cpu_seconds() or 0) < 0.05


@needs_cgroups
def test_a_whole_group_is_killed_at_once(cell: Cell) -> None:
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            cell.join()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            os.setsid()
            if not os.fork():
                os.setsid()
            signal.pause()
        os._exit(0)
    end = time.monotonic() + 5
    while len(cell.processes()) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    members = cell.processes()
    assert pid in members
    assert len(members) == 2
    assert cell.populated()

    killed = cell.kill()

    if not killed:
        for each in members:
            os.kill(each, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    while cell.populated() and time.monotonic() < end:
        time.sleep(0.01)
    assert cell.processes() == []
    if GROUND.unified:
        assert killed


@needs_cgroups
def test_another_process_can_be_put_in(cell: Cell) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        cell.add(child.pid)
        assert cell.processes() == [child.pid]
    finally:
        child.communicate(b"\n", timeout=10)


@needs_memory
def test_what_a_run_left_in_shared_memory_is_not_the_next_ones_to_bear(
    cell: Cell,
) -> None:
    shared = Path("/dev/shm")  # noqa: S108 - memory, not a file that is trusted
    if not shared.is_dir():
        pytest.skip("no shared memory here")
    left = shared / f"procsched-test-{os.getpid()}"
    try:
        run_in(cell, lambda: left.write_bytes(bytes(2 * RESIDUE_BYTES)))
        assert (cell.memory_bytes() or 0) > RESIDUE_BYTES

        assert cell.renew()

        assert (cell.memory_bytes() or 0) < RESIDUE_BYTES
        assert run_in(cell, os.getpid)[0] == 0
    finally:
        left.unlink(missing_ok=True)


@needs_cgroups
def test_a_fresh_cell_needs_no_renewal(cell: Cell) -> None:
    run_in(cell, lambda: hog(MIB))

    assert cell.renew()


@needs_cgroups
def test_a_run_costs_a_fraction_of_a_millisecond(cell: Cell) -> None:
    """The files stay open; bookkeeping took 0.02 ms a run."""
    began = time.perf_counter()
    for _ in range(100):
        cell.limit(64 * MIB, 20)
        cell.begin()
        cell.oom_kills(), cell.peak_bytes(), cell.cpu_seconds(), cell.refused_forks()
        cell.renew()

    assert (time.perf_counter() - began) / 100 < 0.001


@needs_cgroups
def test_a_cell_of_a_dead_owner_is_emptied_and_removed_and_others_are_not(
    cell: Cell,
) -> None:
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    stale = Cell.make(cell_name(owner.pid), GROUND)
    assert stale is not None
    orphan = subprocess.Popen(["sleep", "60"])
    stale.add(orphan.pid)
    name = cell_name(owner.pid)
    assert name not in sweep_stale(GROUND)
    owner.communicate(b"\n", timeout=10)

    # The owner that lives on is this process; its cell stays.
    swept = sweep_stale(GROUND)

    # A zombie is in its cgroup until it is reaped.
    assert orphan.wait(timeout=10) == -signal.SIGKILL
    assert name in {*swept, *sweep_stale(GROUND)}
    assert cell.processes() == []
    stale.remove()


def test_without_cgroups_there_is_no_cell() -> None:
    none = Ground()

    assert Cell.make("procsched-0-0-0", none) is None
    assert sweep_stale(none) == []
    assert none.version("memory") is None
    assert "Delegate=yes" in none.missing


def test_a_ground_that_is_gone_gives_no_cell(tmp_path: Path) -> None:
    assert Cell.make("procsched-0-0-0", Ground(memory=str(tmp_path / "none"))) is None


# -- Version 2, on a directory of plain files that looks like it ----------------------


class Paper:
    """A cell of version 2 made of files; what the kernel would say is written."""

    def __init__(self, place: Path) -> None:
        self.place = place / "procsched-1-2-3"
        self.place.mkdir()
        for name, text in {
            "cgroup.procs": "",
            "cgroup.kill": "",
            "cgroup.events": "populated 0\nfrozen 0\n",
            "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
            "memory.max": "",
            "memory.swap.max": "",
            "memory.oom.group": "",
            "memory.peak": "1000\n",
            "memory.events": "low 0\noom 3\noom_kill 2\n",
            "memory.current": "500\n",
            "pids.max": "",
            "pids.events": "max 7\n",
        }.items():
            (self.place / name).write_text(text)
        ground = Ground(unified=str(place), controllers=frozenset({"memory", "pids"}))
        made = Cell.make("procsched-1-2-3", ground)
        assert made is not None
        self.cell = made

    def says(self, file: str, text: str) -> None:
        (self.place / file).write_text(text)

    def told(self, file: str) -> str:
        return (self.place / file).read_text()


def test_version_2_limits_memory_without_swap_and_kills_as_one(tmp_path: Path) -> None:
    paper = Paper(tmp_path)

    paper.cell.limit(64 * MIB, 20)

    assert paper.cell.enforced == {"memory": "cgroup2", "processes": "cgroup2"}
    files = ("memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    assert [paper.told(file) for file in files] == ["67108864", "0", "1", "20"]
    assert paper.cell.kill()
    assert paper.told("cgroup.kill") == "1"


def test_version_2_counts_from_the_beginning_of_the_run(tmp_path: Path) -> None:
    paper = Paper(tmp_path)
    paper.cell.begin()

    paper.says("memory.events", "low 0\noom 4\noom_kill 3\n")
    paper.says("cpu.stat", "usage_usec 4000000\nuser_usec 1\n")
    paper.says("pids.events", "max 9\n")

    assert paper.cell.oom_kills() == 1
    assert paper.cell.cpu_seconds() == 2.5
    assert paper.cell.refused_forks() == 2
    assert not paper.cell.populated()
    assert paper.cell.memory_bytes() == 500
    paper.says("memory.peak", "2000\n")
    assert paper.cell.usage() == {"peak_memory_bytes": 2000, "cpu_all": 2.5}


@pytest.mark.parametrize(
    ("before", "now", "peak"), [(1000, 1000, None), (1000, 2000, 2000)]
)
def test_a_peak_that_no_kernel_could_reset_is_known_only_if_it_was_passed(
    before: int, now: int, peak: int | None, tmp_path: Path
) -> None:
    paper = Paper(tmp_path)
    fd = paper.cell._files.pop("memory.peak")
    paper.cell._files["memory.peak"] = os.open(paper.place / "memory.peak", os.O_RDONLY)
    os.close(fd)
    paper.says("memory.peak", f"{before}\n")
    paper.cell.begin()

    paper.says("memory.peak", f"{now}\n")

    assert paper.cell.peak_bytes() == peak


def test_controllers_are_handed_down_by_a_group_that_holds_only_our_own(
    tmp_path: Path,
) -> None:
    """Files do not refuse as the kernel does; what is asked of it is looked at."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")

    given = _hand_down(str(tmp_path), (), ("memory", "pids"))

    assert given == {"cpu", "memory", "pids"}
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +pids"


@pytest.mark.parametrize(("present", "moved"), [("11 12", True), ("11 12 13", False)])
def test_only_the_schedulers_own_processes_are_moved(
    present: str,
    moved: bool,  # noqa: FBT001 - a parameter of the table above
    tmp_path: Path,
) -> None:
    (tmp_path / "cgroup.procs").write_text(present)

    assert _move_into_leaf(str(tmp_path), {11, 12}) is moved
    assert (tmp_path / LEAF).exists() is moved


@pytest.mark.skipif(not GROUND.unified or bool(os.geteuid()), reason="needs version 2")
def test_a_real_group_is_emptied_only_of_what_may_be_moved() -> None:
    outside = Path(GROUND.unified or "") / cell_name(os.getpid(), "outer")
    outside.mkdir()
    try:
        child = subprocess.Popen(["sleep", "60"])
        (outside / "cgroup.procs").write_text(str(child.pid))
        assert not _move_into_leaf(str(outside), ())
        assert _move_into_leaf(str(outside), {child.pid})
        assert (outside / LEAF / "cgroup.procs").read_text() == f"{child.pid}\n"
    finally:
        child.kill()
        child.wait()
        with contextlib.suppress(OSError):
            (outside / LEAF).rmdir()
        outside.rmdir()
