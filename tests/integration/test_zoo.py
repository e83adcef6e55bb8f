"""All hostile jobs, one after another: each comes to its end, and nothing is left.

This process adopts whatever gets away from its keepers, so that nothing can hide:
what is left when the pool is closed is a child of ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hostile import World, alive
from zoo import ZOO

from procsched.core.outcome import Outcome
from procsched.workers.ground import Ground
from procsched.workers.linux import become_subreaper
from procsched.workers.tree import children, descendants, is_zombie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo import Specimen

SUBREAPER: Final = 36
"""PR_SET_CHILD_SUBREAPER (prctl(2))."""

LEFT_SECONDS: Final = 10.0
"""What others on this host may need to clear away their own; ours is gone by then."""


@pytest.fixture
def nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at the host before, and see that it is the same after."""
    if not become_subreaper():
        pytest.skip("no process can adopt on this system")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    before, host = _own(), _hosts()
    yield
    ctypes.CDLL(None).prctl(SUBREAPER, 0, 0, 0, 0)
    assert _living() == []
    _reap()
    assert _own() == before
    assert list(temporary.iterdir()) == []
    end = time.monotonic() + LEFT_SECONDS
    while new := _hosts() - host:
        assert time.monotonic() < end, new
        time.sleep(0.05)


def _own() -> dict[str, Any]:
    """Return what is this process's own: descriptors, mounts."""
    descriptors = {}
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            descriptors[each.name] = str(each.readlink())
    return {
        "descriptors": descriptors,
        "mounts": Path("/proc/self/mountinfo").read_text(),
    }


def _hosts() -> set[str]:
    """Return what is shared with the whole host: shared memory, dead men's cgroups."""
    found = {str(each) for each in Path("/dev/shm").iterdir()}  # noqa: S108 - to look
    for base in Ground.find().directories():
        for each in Path(base).glob("procsched-*"):
            owner = re.match(r"procsched-\d+-(\d+)-", each.name)
            if owner and not Path(f"/proc/{owner[1]}").exists():
                found.add(str(each))
    return found


def _living() -> list[str]:
    """Return what is below this process, as commands; ours is none after a close."""
    below = [pid for pid in descendants(os.getpid()) if not is_zombie(pid)]
    return [f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text()}" for pid in below]


class Enclosed(World):
    """A pool after which no process may live for longer than a moment."""

    def close(self) -> None:
        super().close()
        end = time.monotonic() + 1
        while (left := _living()) and time.monotonic() < end:
            time.sleep(0.01)
        assert left == []
        _reap()


def _reap(spared: frozenset[int] = frozenset()) -> None:
    """Take the status of what came to us: nobody else will."""
    for pid in children(os.getpid()):
        if pid not in spared and is_zombie(pid):
            os.waitpid(pid, os.WNOHANG)


def _strangers(world: World) -> list[int]:
    """Return what lives below a pool between runs, and is none of its processes.

    Below each keeper there may be one process, for its next run.
    """
    keepers = {grip.process.pid for grip in world.pool._keepers}
    below = {pid: _living_below(pid) for pid in descendants(os.getpid())}
    waiting = {each for pid in keepers for each in below.get(pid, [])[:1]}
    known = keepers | waiting
    return [
        pid
        for pid in below
        if pid not in known and not is_zombie(pid) and not _is_servers(pid)
    ]


def _living_below(pid: int) -> list[int]:
    return [each for each in children(pid) if not is_zombie(each)]


def _is_servers(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"procsched-server-" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("kind", ["forked", "worker", "bare"])
def test_every_hostile_job_ends_as_it_must_and_leaves_nothing(
    tmp_path: Path, kind: str
) -> None:
    """In one pool, each in a process of its own; all in one worker; without help."""
    faults = []
    with Enclosed(tmp_path, spawn=kind == "bare", cgroups=kind != "bare") as world:
        for each in ZOO:
            sequence = "one" if kind == "worker" else None
            faults += _sweep(world, each.seen(kind), sequence)
    assert not faults, "\n".join(faults)


def _sweep(world: World, specimen: Specimen, sequence: str | None) -> list[str]:
    job = specimen.job(world.place)
    try:
        end = world.run(job, limits=specimen.limits, sequence=sequence)
    except AssertionError as fault:
        return [f"{specimen.name}: {fault}"]
    if end.outcome is Outcome.LOST:
        _until(world, lambda: not any(map(alive, _noted(world, specimen))))
    faults = specimen.faults(end.report, end.outcome, end.reason, world.place)
    faults += [
        f"{specimen.name}: {pid} is still there"
        for pid in _noted(world, specimen)
        if alive(pid)
    ]
    _until(world, lambda: not _strangers(world))
    _reap(frozenset(each.pid for each in world.pool._processes()))
    return faults + [
        f"{specimen.name}: beside the keepers there is {pid}"
        for pid in _strangers(world)
    ]


def _noted(world: World, specimen: Specimen) -> list[int]:
    """Return the processes that a job has said it would leave."""
    notes = (world.place / specimen.name).glob("pid-*")
    return [int(each.name.removeprefix("pid-")) for each in notes]


def _until(world: World, done: Callable[[], bool]) -> None:
    with contextlib.suppress(AssertionError):
        world.until(done, "it")
