"""A supervisor killed at any instant takes everything below it along."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import LIMIT_SECONDS

ROUNDS = 20

PROGRAM = """
import os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from hostile import Hostile, World, fork_daemon, signal_less_sleep

place = Path({place!r})
world = World(place)
{before}
jobs = [Hostile(what, place, "hang") for what in {jobs!r}]
for number, job in enumerate(jobs):
    world.start(job, sequence="one" if number == 0 else None)
print("up", flush=True)
world.until(lambda: False, "nothing")
"""


def host(place: Path, jobs: list[str], before: str = "") -> subprocess.Popen[bytes]:
    program = PROGRAM.format(path=sys.path, place=str(place), jobs=jobs, before=before)
    # With its modules compiled, as installed ones are: a keeper cannot leave before
    # it has come up.
    compiled = {"PYTHONPYCACHEPREFIX": str(place.parent / "compiled")}
    # Measured is not where it is measured: coverage makes each start twice as long.
    environ = {
        k: v
        for k, v in os.environ.items()
        if k != "PYTHONDONTWRITEBYTECODE" and not k.startswith("COVERAGE")
    }
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        cwd=place,
        env=environ | compiled,
    )


def below(place: Path) -> list[int]:
    """Return every process that works in the directory: all of a host's do."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and (each / "cwd").readlink() == place:
                found.append(int(each.name))
        except OSError:
            continue
    return found


def all_gone(pids: list[int], place: Path, seconds: float) -> bool:
    """Wait for the deaths of those seen, then look for any that were not."""
    end = time.monotonic() + seconds
    while pids:
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                left = end - time.monotonic()
                if left <= 0 or not select.select([fd], [], [], left)[0]:
                    return False
            finally:
                os.close(fd)
        pids = below(place)
    return True


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_nothing_survives_a_supervisor_killed_at_a_random_instant(
    tmp_path: Path,
) -> None:
    """Goals, a tree of twenty, deaf daemons, idle and busy keepers, a worker."""
    chance = random.Random(20)  # noqa: S311 - instants, not secrets
    jobs = ["hang_and_clean_up", "tree", "daemon_then_hang", "ignore_sigterm"]
    for turn in range(ROUNDS + 1):
        place = tmp_path / f"round-{turn}"
        place.mkdir()
        with host(place, jobs) as running:
            assert running.stdout is not None
            assert running.stdout.readline() == b"up\n"
            # From "no keeper is up yet" to "all are at work".
            # The first round is for compiling.
            moment = chance.uniform(0, 0.5) if turn else 3.0
            select.select([running.stdout], [], [], moment)
            seen = below(place)
            running.kill()
            killed = time.monotonic()
            running.wait()
            assert all_gone(seen, place, 1.0), (turn, below(place))
            assert time.monotonic() - killed < 1.0


def test_a_fork_of_the_host_does_not_keep_a_run_alive(tmp_path: Path) -> None:
    """It holds a copy of the keeper's channel, whose end therefore never comes."""
    fork = """
world.pool.warm()
if not (bystander := os.fork()):
    os.chdir("/")
    signal_less_sleep()
(place / "fork").write_text(str(bystander))
"""
    with host(tmp_path, ["hang", "tree"], before=fork) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"up\n"
        _await_file(tmp_path / "tree")
        seen = below(tmp_path)
        running.kill()
        running.wait()
        bystander = int((tmp_path / "fork").read_text())
        try:
            assert all_gone(seen, tmp_path, 1.0)
        finally:
            os.kill(bystander, signal.SIGKILL)


def test_finally_still_runs_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    with host(tmp_path, ["returns", "hang_and_clean_up"]) as running:
        _await_file(tmp_path / "hangs")
        seen = below(tmp_path)
        running.kill()
        running.wait()

        assert all_gone(seen, tmp_path, 1.0)
        assert (tmp_path / "cleaned").read_text() == "yes"


def _await_file(path: Path) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        select.select([], [], [], 0.01)
