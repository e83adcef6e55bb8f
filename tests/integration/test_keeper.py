"""The keeper's ladder: the reason first, soft, grace, stacks, kill; once each."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hostile import Hostile, World, alive

from procsched.core.outcome import Outcome
from procsched.core.policy import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOTH = pytest.mark.parametrize("sequence", [None, "one"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def hanging(world: World, what: str, sequence: str | None = None) -> str:
    run_id = world.start(Hostile(what, world.place), sequence=sequence)
    world.note("hangs")
    return run_id


@BOTH
def test_a_soft_stop_lets_finally_run(world: World, sequence: str | None) -> None:
    run_id = hanging(world, "hang_and_clean_up", sequence)
    world.pool.stop(run_id, "cancelled", "by ann", 5.0)
    end = world.ended(run_id)

    assert (end.outcome, end.reason) == (Outcome.CANCELLED, "by ann")
    assert (world.place / "cleaned").is_file()
    assert end.report.verdict == "raised"


def test_a_second_stop_does_not_break_the_first_ones_finally(world: World) -> None:
    run_id = hanging(world, "stopped_twice")
    world.pool.stop(run_id, "timed_out", "first", 10.0)
    world.note("cleaning")
    world.pool.stop(run_id, "cancelled", "second", 10.0)
    (world.place / "go-on").touch()
    end = world.ended(run_id)

    assert (end.outcome, end.reason) == (Outcome.TIMED_OUT, "first")
    assert (world.place / "cleaned").is_file()


def test_a_job_that_polls_is_taken_at_its_word(world: World) -> None:
    run_id = hanging(world, "poll_for_the_end")
    world.pool.stop(run_id, "cancelled", "by ann", 5.0)
    end = world.ended(run_id)

    assert end.outcome is Outcome.CANCELLED
    assert end.report.result == "stopped nicely"


@pytest.mark.parametrize("what", ["ignore_sigterm", "swallow_everything"])
@BOTH
def test_who_does_not_stop_shows_its_stacks_and_is_killed(
    world: World, what: str, sequence: str | None
) -> None:
    run_id = hanging(world, what, sequence)
    began = time.monotonic()
    world.pool.stop(run_id, "timed_out", "over", 0.2)
    end = world.ended(run_id)

    assert 0.2 <= time.monotonic() - began < 0.7
    assert (end.outcome, end.report.signal) == (Outcome.TIMED_OUT, signal.SIGKILL)
    assert f"in {what}" in (end.report.traceback or "")


def test_a_loop_that_holds_the_gil_shows_its_stack_and_is_killed(world: World) -> None:
    limits = Limits(wall=0.2, grace=0.2)
    end = world.run(Hostile("hold_the_gil"), limits=limits)

    assert end.outcome is Outcome.TIMED_OUT
    assert "in hold_the_gil" in (end.report.traceback or "")
    assert end.report.usage is not None
    assert end.report.usage.wall < 1


@BOTH
def test_a_stopped_process_hears_the_stop(world: World, sequence: str | None) -> None:
    limits = Limits(wall=0.2, grace=5)
    end = world.run(Hostile("stop_self"), limits=limits, sequence=sequence)

    assert end.outcome is Outcome.TIMED_OUT
    assert end.report.usage is not None
    assert end.report.usage.wall < 2


@BOTH
def test_a_kill_asks_nobody(world: World, sequence: str | None) -> None:
    run_id = hanging(world, "hang_and_clean_up", sequence)
    world.pool.kill(run_id, "cancelled", "now")
    end = world.ended(run_id)

    assert (end.outcome, end.report.signal) == (Outcome.CANCELLED, signal.SIGKILL)
    assert end.report.leftovers == 0
    assert not (world.place / "cleaned").is_file()


def test_the_first_cause_stands(world: World) -> None:
    run_id = hanging(world, "ignore_sigterm")
    world.pool.stop(run_id, "timed_out", "first", 60.0)
    world.pool.stop(run_id, "cancelled", "second", 60.0)
    world.pool.kill(run_id, "cancelled", "third")
    end = world.ended(run_id)

    assert (end.outcome, end.reason) == (Outcome.TIMED_OUT, "first")


def test_a_result_that_came_before_the_stop_stands(world: World) -> None:
    """Its process hangs in an exit handler when the stop comes."""
    run_id = world.start(Hostile("hang_at_exit", world.place))
    world.note("leaving")
    world.pool.stop(run_id, "cancelled", "too late", 1.0)
    end = world.ended(run_id)

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, "done")


def test_a_stop_that_comes_before_the_start_is_kept(world: World) -> None:
    """It is sent together with the start: between fork and handler, ten times."""
    for _ in range(10):
        run_id = world.start(Hostile("hang", world.place))
        world.pool.stop(run_id, "cancelled", "at once", 10.0)
        end = world.ended(run_id)

        assert end.outcome is Outcome.CANCELLED
        assert end.seconds < 3


def test_orders_for_a_run_that_has_ended_are_for_nobody(world: World) -> None:
    run_id = world.start(Hostile("returns", None, 1))
    world.ended(run_id)
    world.pool.stop(run_id, "cancelled", "late", 0.0)
    world.pool.kill(run_id, "cancelled", "late")
    world.pool.abandon(run_id)

    assert world.run(Hostile("returns", None, 2)).report.result == 2


def test_a_supervisor_that_does_not_read_is_not_buried(world: World) -> None:
    """4,000 words of progress are one when it reads again."""
    world.run(Hostile("returns"))
    world.settle()
    run_id = world.start(Hostile("tell_progress"))
    grip = world.pool._grips[run_id]
    pid = grip.process.pid
    threading.Event().wait(0.3)

    frames = grip.channel.receive(10_000_000)
    for frame in frames:
        world.pool._take(grip, frame)

    assert alive(pid)
    assert world.ended(run_id).outcome is Outcome.SUCCEEDED


HOSTS = {
    "closed streams": "for fd in (0, 1, 2): os.close(fd)",
    "ignored children": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "blocked signals": "signal.pthread_sigmask(0, signal.valid_signals())",
    "ignored signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "gone directory": "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')",
    "daemonic": "__import__('multiprocessing').current_process()._config['daemon']=1",
}


@pytest.mark.parametrize("host", HOSTS)
def test_an_odd_host_has_ordinary_runs(tmp_path: Path, host: str) -> None:
    """What a host has closed, blocked or ignored survives fork and exec."""
    program = f"""
import os, signal, sys
from pathlib import Path
sys.path[:0] = {[each for each in sys.path if each]!r}
from hostile import Hostile, World
{HOSTS[host]}
place = Path({str(tmp_path)!r})
world = World(place)
end = world.run(Hostile("hard_exit", place, 4))
slow = world.start(Hostile("hang", place))
world.note("hangs")
world.pool.stop(slow, "cancelled", "x", 5.0)
stopped = world.ended(slow)
world.close()
said = f"{{end.outcome}} {{end.report.exit_code}} {{end.log!r}} {{stopped.outcome}} "
(place / "said").write_text(said + str(stopped.seconds < 3))
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=tmp_path, timeout=60
    )

    expected = "exited 4 'before the end\\n' cancelled True"
    assert (tmp_path / "said").read_text() == expected


def test_a_full_disk_costs_the_log_and_not_the_run(world: World) -> None:
    (world.place / "logs" / "run-1.log").symlink_to("/dev/full")
    end = world.run(Hostile("print_both"))

    assert end.outcome is Outcome.SUCCEEDED
    assert end.flags == "output lost: No space left on device"
    assert end.report.output_tail.startswith("to stdout\n")
