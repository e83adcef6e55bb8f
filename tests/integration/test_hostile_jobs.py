"""What jobs do to us, and what is recorded of it: each is a process that does it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile import Hostile, NeedsArguments, World, alive

from procsched.core.outcome import Outcome
from procsched.core.policy import Limits
from procsched.job import CommandJob
from procsched.workers.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[World]:
    """A host that gives no cgroups."""
    with World(tmp_path, cgroups=False) as made:
        yield made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def hostile(world: World, what: str, value: Any = None) -> Hostile:
    return Hostile(what, world.place, value)


# What it says of itself


def test_what_goal_returns_is_the_result(world: World) -> None:
    end = world.run(hostile(world, "returns", {"rows": [1, 2.5, None, "ü"]}))

    assert (end.outcome, end.reason) == (Outcome.SUCCEEDED, "goal() returned")
    assert end.report.result == {"rows": [1, 2.5, None, "ü"]}
    assert (end.report.exit_code, end.report.signal) == (0, None)
    assert end.report.flags == ()


@pytest.mark.parametrize(
    ("name", "result", "flag"),
    [
        ("object", "<object object at", "its repr is kept"),
        ("nan", "nan", "its repr is kept"),
        ("huge", None, "result of 2000002 bytes was left out"),
        ("unsendable", "Unsendable('r')", "its repr is kept"),
        ("lying", {"a": 1}, ""),
        ("unshowable", "<Unshowable whose repr raises KeyboardInterrupt>", "kept"),
        ("nested", "list", "its repr is kept"),
        ("surrogate", {"text": "\ud800"}, ""),
        ("long number", "int", "its repr is kept"),
        ("tuple", [1, {"2": 3}], ""),
        ("generator", "<generator object", "its repr is kept"),
    ],
)
def test_a_result_never_costs_the_run(
    world: World, name: str, result: Any, flag: str
) -> None:
    end = world.run(hostile(world, "returns_made", name))

    assert end.outcome is Outcome.SUCCEEDED
    if isinstance(result, str):
        assert result in end.report.result
    else:
        assert end.report.result == result
    assert flag in end.flags


@pytest.mark.parametrize(
    ("name", "outcome", "line"),
    [
        ("two arguments", Outcome.FAILED, "Shouting: ab"),
        ("no text", Outcome.FAILED, "Textless: <its text raises RuntimeError>"),
        ("exits in its text", Outcome.FAILED, "Leaving: <its text raises SystemExit>"),
        ("unsendable", Outcome.FAILED, "Unsendable: what"),
        ("odd base", Outcome.FAILED, "OddBase: odd"),
        ("keyboard", Outcome.FAILED, "KeyboardInterrupt"),
        ("endless", Outcome.FAILED, "ValueError: eeee"),
        ("lines", Outcome.FAILED, "ValueError: one two\x00three\\ud800"),
        ("group", Outcome.FAILED, "ExceptionGroup: several (2 sub-exceptions)"),
        ("memory", Outcome.FAILED, "NotEven: none left"),
    ],
)
def test_an_exception_is_told_whatever_its_class_does(
    world: World, name: str, outcome: Outcome, line: str
) -> None:
    end = world.run(hostile(world, "raises_class", name))

    assert end.outcome is outcome
    assert end.reason.startswith(f"goal() raised {line}")
    assert len(end.reason) < 600
    assert end.report.exit_code == 1
    assert len(end.report.traceback or "") < 70_000


def test_a_traceback_begins_with_the_job(world: World) -> None:
    """No frame of ours, neither above goal() nor above the job's own import."""
    end = world.run(hostile(world, "raises", ValueError("bad")))

    lines = (end.report.traceback or "").splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "hostile.py" in lines[1]
    assert lines[-1] == "ValueError: bad"


@pytest.mark.parametrize(
    ("code", "outcome", "status", "printed"),
    [
        (None, Outcome.SUCCEEDED, 0, ""),
        (0, Outcome.SUCCEEDED, 0, ""),
        (3, Outcome.EXITED, 3, ""),
        (True, Outcome.EXITED, 1, ""),
        (False, Outcome.SUCCEEDED, 0, ""),
        (-1, Outcome.EXITED, 255, ""),
        (300, Outcome.EXITED, 44, ""),
        (256, Outcome.SUCCEEDED, 0, ""),
        (2**70, Outcome.EXITED, 255, ""),
        ("text", Outcome.EXITED, 1, "text\n"),
        ("", Outcome.EXITED, 1, "\n"),
        (2.5, Outcome.EXITED, 1, "2.5\n"),
    ],
)
def test_sys_exit_is_read_as_python_reads_it(
    world: World, code: object, outcome: Outcome, status: int, printed: str
) -> None:
    end = world.run(hostile(world, "exits", code))

    assert (end.outcome, end.report.exit_code) == (outcome, status)
    assert end.log == printed
    shown = "" if code is None else repr(code)
    assert end.reason == f"goal() called sys.exit({shown})"


def test_sys_exit_with_several_arguments_prints_them(world: World) -> None:
    end = world.run(hostile(world, "exits_by_class", ("a", 1)))

    assert (end.outcome, end.report.exit_code) == (Outcome.EXITED, 1)
    assert end.log == "('a', 1)\n"


# What the kernel says


def test_os_exit_is_an_exit_before_the_return(world: World) -> None:
    end = world.run(hostile(world, "hard_exit", 4))

    assert (end.outcome, end.report.exit_code) == (Outcome.EXITED, 4)
    assert end.reason == "left with code 4 before goal() returned"
    assert end.report.output_tail == "before the end\n"


@pytest.mark.parametrize(
    ("what", "number", "stacks"),
    [
        ("segfault", signal.SIGSEGV, "Fatal Python error: Segmentation fault"),
        ("abort", signal.SIGABRT, "Fatal Python error: Aborted"),
        ("kill_self", signal.SIGKILL, None),
        ("kill_group", signal.SIGKILL, None),
    ],
)
def test_a_fatal_signal_is_named_and_shows_where(
    world: World, what: str, number: int, stacks: str | None
) -> None:
    end = world.run(hostile(world, what))

    assert (end.outcome, end.report.signal) == (Outcome.CRASHED, number)
    assert signal.Signals(number).name in end.reason
    if stacks is None:
        assert end.report.traceback is None
    else:
        assert stacks in (end.report.traceback or "")
        assert f"in {what}" in (end.report.traceback or "")


def test_closed_descriptors_cost_neither_the_result_nor_a_false_death(
    world: World,
) -> None:
    end = world.run(hostile(world, "close_descriptors"))

    assert end.outcome is Outcome.SUCCEEDED
    assert end.report.result == {"still": "here"}


def test_nothing_of_ours_is_written_into_a_file_that_took_our_descriptor(
    world: World,
) -> None:
    end = world.run(hostile(world, "close_all_and_reopen"))

    assert end.outcome is Outcome.SUCCEEDED
    assert [path.read_bytes() for path in world.place.glob("mine-*")] == [b""] * 8


def test_usage_tells_cpu_and_memory(world: World) -> None:
    end = world.run(hostile(world, "burn_a_little"))

    usage = end.report.usage
    assert usage is not None
    assert 0.19 < usage.cpu_user + usage.cpu_system < 2
    assert 1_000_000 < usage.max_rss_bytes < 500_000_000
    assert usage.wall >= 0.19
    assert usage.context_switches > 0


# What it leaves behind


@pytest.mark.parametrize("what", ["daemon", "daemon_by_exec"])
def test_a_daemon_is_found_and_killed(world: World, what: str) -> None:
    end = world.run(hostile(world, what))

    assert end.outcome is Outcome.SUCCEEDED
    assert end.report.leftovers == 1
    assert not alive(end.report.result)


@pytest.mark.parametrize("limits", [Limits(), Limits(memory="500MiB")])
def test_twenty_processes_below_a_run_are_gone_with_it(
    world: World, limits: Limits
) -> None:
    """And counted, by whatever they were killed."""
    end = world.run(hostile(world, "tree"), limits=limits)

    assert len(end.report.result) == 20
    assert end.report.leftovers == 20
    assert not any(map(alive, end.report.result))


def test_a_killed_tree_goes_at_once(world: World) -> None:
    run_id = world.start(hostile(world, "tree", "hang"))
    pids = [int(line) for line in world.note("tree").split()]
    began = time.monotonic()

    world.pool.kill(run_id, "cancelled", "by a test")
    end = world.ended(run_id)

    assert time.monotonic() - began < 1
    assert (end.outcome, end.reason) == (Outcome.CANCELLED, "by a test")
    assert not any(map(alive, pids))


def test_multiprocessing_works_inside_a_run(world: World) -> None:
    for method in ("fork", "spawn", "forkserver"):
        end = world.run(hostile(world, "use_multiprocessing", method))

        assert end.outcome is Outcome.SUCCEEDED, end.log
        assert end.report.result == [1, 2, 3]


@pytest.mark.parametrize("limits", [Limits(), Limits(memory="500MiB")])
def test_shared_memory_of_a_crashed_run_is_cleared_up(
    world: World, limits: Limits
) -> None:
    """By multiprocessing's own tracker, which is left the time to do it."""
    end = world.run(hostile(world, "leak_shared_memory"), limits=limits)

    name = (world.place / "memory").read_text()
    assert end.report.exit_code == 5
    assert end.report.leftovers == 0
    assert not (Path("/dev") / "shm" / name).exists()


def test_a_thread_left_running_is_waited_for_as_long_as_a_stop(world: World) -> None:
    end = world.run(hostile(world, "leave_thread"), limits=Limits(grace=0.1))

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, "thread left")
    assert end.flags == "its process did not leave after its result: killed"
    assert (end.report.exit_code, end.report.signal) == (0, None)


def test_a_thread_that_ends_is_waited_for(world: World) -> None:
    end = world.run(hostile(world, "leave_short_thread"))

    assert (end.outcome, end.report.flags) == (Outcome.SUCCEEDED, ())
    assert end.log == "from the thread\n"


def test_an_exit_handler_that_hangs_does_not_take_the_result(world: World) -> None:
    end = world.run(hostile(world, "hang_at_exit"), limits=Limits(grace=0.1))

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, "done")
    assert "did not leave after its result" in end.flags


def test_an_exit_handler_that_hangs_does_not_hide_the_exception(world: World) -> None:
    """Our SIGKILL after the word is not the end that the job came to."""
    limits = Limits(grace=0.1)
    end = world.run(hostile(world, "raise_and_hang_at_exit"), limits=limits)

    assert end.outcome is Outcome.FAILED
    assert end.reason == "goal() raised ValueError: the real end"


def test_exit_handlers_of_the_job_run_once_in_its_own_process(world: World) -> None:
    run_id = world.start(hostile(world, "say_at_exit"))
    pid = world.started(run_id)

    world.ended(run_id)

    assert (world.place / "at-exit").read_text() == str(pid)


# What it prints


def test_everything_a_run_prints_is_in_its_log_in_order(world: World) -> None:
    end = world.run(hostile(world, "print_both"))

    assert end.log == "to stdout\nto stderr\nto descriptor 1\nno newline"
    assert end.report.output_tail == end.log


def test_a_flood_keeps_its_head_and_its_tail(world: World) -> None:
    limits = Limits(output="64KiB")
    end = world.run(hostile(world, "flood"), limits=limits)

    assert end.outcome is Outcome.SUCCEEDED
    assert end.log.startswith("the head\nxxx")
    assert end.log.endswith("xxx\nthe tail\n")
    assert len(end.log) < 66_000
    # 200,000 lines of 100 bytes, head and tail line, less 65,536 kept.
    assert end.flags == f"{20_000_000 + 9 + 9 - 65_536} bytes of output left out"


# What it may use


def test_over_its_memory_limit_is_out_of_memory(bare: World) -> None:
    end = bare.run(hostile(bare, "eat_memory"), limits=Limits(memory="200MiB"))

    assert end.outcome is Outcome.OUT_OF_MEMORY
    assert end.reason == "over its memory limit of 200 MiB (MemoryError)"
    assert end.report.enforced_by["memory"] == "rlimit+watchdog"


def test_many_processes_together_are_over_the_memory_limit(bare: World) -> None:
    """Each of them is within it."""
    end = bare.run(hostile(bare, "eat_together"), limits=Limits(memory="200MiB"))

    assert end.outcome is Outcome.OUT_OF_MEMORY
    assert end.reason.startswith("over its memory limit of 200 MiB: ")
    assert end.reason.endswith(" MiB in use")


@pytest.mark.parametrize("what", ["eat_memory", "eat_together", "eat_shared_memory"])
def test_the_kernel_kills_what_is_over_the_limit_of_its_cgroup(
    world: World, what: str
) -> None:
    end = world.run(hostile(world, what), limits=Limits(memory="200MiB"))

    if not end.report.enforced_by["memory"].startswith("cgroup"):
        pytest.skip("this host gives no cgroup with memory")
    assert end.outcome is Outcome.OUT_OF_MEMORY
    assert re.search("killed by the kernel: memory limit 200 MiB, peak", end.reason)
    assert world.run(hostile(world, "returns", 1)).report.result == 1


def test_out_of_memory_by_small_objects_can_still_be_said(world: World) -> None:
    limits = Limits(memory="100MiB")
    end = world.run(hostile(world, "eat_memory_in_crumbs"), limits=limits)

    assert end.outcome is Outcome.OUT_OF_MEMORY


def test_over_its_cpu_limit_is_ended_by_the_kernel(world: World) -> None:
    end = world.run(hostile(world, "burn"), limits=Limits(cpu=1))

    assert end.outcome is Outcome.LIMIT_EXCEEDED
    assert end.reason.startswith("over its CPU time limit of 1 s")


def test_ignoring_sigxcpu_does_not_help(world: World) -> None:
    end = world.run(hostile(world, "burn_deaf"), limits=Limits(cpu=1))

    assert end.outcome is Outcome.LIMIT_EXCEEDED
    assert end.reason.startswith("over its CPU time limit of 1 s")


def test_many_processes_together_are_over_the_cpu_limit(world: World) -> None:
    """Each of them is within it, and nobody waits for them."""
    end = world.run(hostile(world, "burn_together"), limits=Limits(cpu=1, wall=15))

    assert end.outcome is Outcome.LIMIT_EXCEEDED
    assert end.reason.startswith("over its CPU time limit of 1 s: ")
    assert end.report.enforced_by["cpu"] == "rlimit+watchdog"


def test_more_processes_than_allowed_are_refused_and_counted(world: World) -> None:
    end = world.run(hostile(world, "fork_many"), limits=Limits(processes=10))

    if "processes" not in end.report.enforced_by:
        pytest.skip("this host gives no cgroup with pids, and root has no RLIMIT_NPROC")
    assert end.outcome is Outcome.SUCCEEDED
    assert end.report.result < 10
    assert "over its limit of 10 processes: refused" in end.flags


def test_too_many_open_files_show_in_the_job(world: World) -> None:
    end = world.run(hostile(world, "open_many"), limits=Limits(open_files=50))

    assert end.outcome is Outcome.FAILED
    assert "Too many open files" in end.reason


def test_a_file_over_its_size_shows_in_the_job(world: World) -> None:
    limits = Limits(file_size="64KiB")
    end = world.run(hostile(world, "write_much"), limits=limits)

    assert end.outcome is Outcome.FAILED
    assert "File too large" in end.reason
    assert (world.place / "big").stat().st_size == 65_536


def test_the_wall_limit_is_kept(world: World) -> None:
    limits = Limits(wall=0.3, grace=5)
    end = world.run(hostile(world, "hang_and_clean_up"), limits=limits)

    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason == "over its time limit of 0.3 s"
    assert (world.place / "cleaned").read_text() == "yes"
    assert end.report.usage is not None
    assert 0.3 <= end.report.usage.wall < 1


def test_a_limit_nothing_can_enforce_refuses_the_start(bare: World) -> None:
    if os.geteuid():
        pytest.skip("only root is exempt from RLIMIT_NPROC")
    limits = Limits(processes=5, required=True)
    end = bare.run(hostile(bare, "returns"), limits=limits)

    assert end.outcome is Outcome.START_FAILED
    assert end.reason == (
        "limit 'processes' is required, and root is exempt from RLIMIT_NPROC: "
        "give the scheduler a cgroup of its own, with memory and pids (systemd: "
        "Delegate=yes in its unit, or systemd-run --user --scope -p Delegate=yes; in a "
        "container: /sys/fs/cgroup mounted for writing); or set `user`, or drop the "
        "limit"
    )


# What it does to its keeper


def test_a_killed_keeper_is_a_lost_run_and_takes_everything_along(
    world: World,
) -> None:
    """The daemon was only forked, and the other program has no environment."""
    end = world.run(hostile(world, "kill_keeper"))

    assert end.outcome is Outcome.LOST
    assert end.flags == "its keeper was killed"
    for name in ("daemon", "session", "keeper"):
        # Killed, and on a busy host not yet dead.
        pid = int((world.place / name).read_text())
        world.until(lambda pid=pid: not alive(pid), f"the death of the {name}")
    assert world.run(hostile(world, "returns", 1)).outcome is Outcome.SUCCEEDED


def test_a_stopped_keeper_is_abandoned(world: World) -> None:
    run_id = world.start(hostile(world, "stop_keeper"))
    keeper, pid = map(int, world.note("keeper").split())

    world.pool.kill(run_id, "cancelled", "not heard")
    world.pool.abandon(run_id)
    end = world.ended(run_id)

    assert end.outcome is Outcome.LOST
    world.until(lambda: not alive(pid) and not alive(keeper), "the death of both")


def test_soft_signals_do_not_end_a_keeper(world: World) -> None:
    assert world.run(hostile(world, "term_keeper")).report.result == "still here"


@pytest.mark.parametrize("value", ["rubbish", {"kind": "ended"}, [1, 2]])
def test_noise_on_the_channel_costs_the_noisy_run_alone(
    world: World, value: object
) -> None:
    """Its result still comes, by the memory that it shares with its keeper."""
    end = world.run(hostile(world, "speak_noise", value))

    assert end.outcome is Outcome.SUCCEEDED
    assert world.run(hostile(world, "returns", 2)).report.result == 2


@pytest.mark.parametrize(
    "forged",
    [
        {"verdict": "returned"},
        {"verdict": "made up", "code": 0},
        {"verdict": "returned", "code": "0"},
        {"verdict": "returned", "code": 0, "usage": {"cpu": "x"}},
    ],
)
def test_a_forged_word_of_a_wrong_form_is_not_taken(
    world: World, forged: dict[str, Any]
) -> None:
    end = world.run(hostile(world, "forge_word", forged))

    assert (end.outcome, end.report.result) == (Outcome.SUCCEEDED, "the true one")


def test_a_flood_of_progress_is_kept_as_its_latest_word(world: World) -> None:
    run_id = world.start(hostile(world, "tell_progress"))

    assert world.ended(run_id).outcome is Outcome.SUCCEEDED
    assert world.pool.progress == {}


# What it finds around it


def test_a_run_has_a_clean_process_of_its_own(world: World) -> None:
    run_id = world.start(hostile(world, "look_around"))
    pid = world.started(run_id)
    seen = world.ended(run_id).report.result

    own, session, group, parent = seen["session"]
    assert pid == own == session == group
    assert parent in {grip.process.pid for grip in world.pool._keepers}
    assert seen["stdin"] == "/dev/null"
    assert seen["mask"] == []
    assert seen["threads"] == 1
    assert set(seen["handlers"]) == {
        "SIGINT",  # KeyboardInterrupt, as in any Python
        "SIGTERM",  # the soft stop
        "SIGPIPE",  # ignored, as in any Python
        "SIGXFSZ",  # likewise
    }
    assert seen["variables"] == {
        "PROCSCHED_RUN_ID": "run-1",
        "PROCSCHED_JOB": "look-around",
        "PROCSCHED_NOMINAL_TIME": "2026-01-01T00:00:00+00:00",
        "PROCSCHED_ATTEMPT": "1",
    }


def test_a_run_has_no_descriptor_that_it_does_not_need(world: World) -> None:
    """Beside 0, 1, 2: its channel, the auditor's bell, the file for its stacks."""
    seen = world.run(hostile(world, "look_around")).report.result["descriptors"]

    kinds = [target.split(":")[0] for _, target in seen]
    assert kinds[:3] == ["/dev/null", "pipe", "pipe"]
    assert sorted(kinds[3:]) == ["/memfd", "pipe", "socket"]


def test_a_runs_process_carries_nothing_heavy(world: World) -> None:
    end = world.run(hostile(world, "look_around"))

    # The pool's own module is there: this test's module imports it.  What every
    # interpreter here begins with, coverage for one, is not ours either.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    carried = set(end.report.result["modules"]) - set(bare.stdout.split())
    assert not {"sqlite3", "yaml", "pydantic", "http.server"} & carried


def test_a_fork_of_the_run_that_comes_back_is_not_the_run(world: World) -> None:
    """The fork raises and the run returns; the run's word is its own."""
    end = world.run(hostile(world, "fork_comes_back"))

    assert end.outcome is Outcome.SUCCEEDED
    assert end.report.result == "the run"
    assert "ValueError: the fork" in end.log


def test_a_fork_that_is_stopped_dies_of_it(world: World) -> None:
    """Even before its first step, where CPython would forget the signal.

    multiprocessing's Pool ends its workers so, and waits for them for ever.
    """
    end = world.run(hostile(world, "stop_forks"))

    assert end.outcome is Outcome.SUCCEEDED
    assert end.report.result == [signal.SIGTERM] * 50


def test_stdin_is_empty(world: World) -> None:
    assert world.run(hostile(world, "read_stdin")).report.result == "b''"


# How it is found


def test_a_module_that_sleeps_when_imported_is_over_its_start_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.place / "slow_module.py").write_text("import time; time.sleep(1000)")
    monkeypatch.syspath_prepend(world.place)
    limits = Limits(startup=0.3, grace=1)
    end = world.run(Payload(target="slow_module:Job"), limits=limits)

    assert end.outcome is Outcome.TIMED_OUT
    assert end.reason == "goal() was not reached within 0.3 s"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1/0", "the job could not be loaded: ZeroDivisionError: division by zero"),
        ("", "AttributeError: module 'broken_module' has no attribute 'It'"),
        ("It = int", "0, which is no procsched.Job"),
        ("raise SystemExit(3)", "the job could not be loaded: SystemExit: 3"),
        ("raise KeyboardInterrupt", "the job could not be loaded: KeyboardInterrupt"),
    ],
)
def test_what_cannot_be_loaded_says_why(
    world: World, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    (world.place / "broken_module.py").write_text(source)
    monkeypatch.syspath_prepend(world.place)
    end = world.run(Payload(target="broken_module:It"))

    assert end.outcome is Outcome.START_FAILED
    assert reason in end.reason
    assert "procsched/workers" not in (end.report.traceback or "")


def test_a_declared_job_is_made_of_its_arguments(world: World) -> None:
    payload = Payload(target="hostile:NeedsArguments", arguments={"text": "made"})

    assert world.run(payload).report.result == "made"
    assert world.run(NeedsArguments("pickled")).report.result == "pickled"


def test_a_module_found_by_a_later_sys_path_is_found_by_an_older_keeper(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(hostile(world, "returns"))
    (world.place / "late_module.py").write_text(
        "from procsched import Job\n"
        "class Late(Job):\n"
        "    def goal(self): return 'found'\n"
    )
    monkeypatch.syspath_prepend(world.place)

    assert world.run(Payload(target="late_module:Late")).report.result == "found"


# Commands


def test_a_command_is_the_process_of_its_run(world: World) -> None:
    job = CommandJob(
        "cmd",
        ["sh", "-c", 'echo $$ $PROCSCHED_RUN_ID $X; pwd; trap "" PIPE; exit 7'],
        env={"X": "extra"},
        cwd="/usr",
    )
    run_id = world.start(job)
    pid = world.started(run_id)
    end = world.ended(run_id)

    assert (end.outcome, end.report.exit_code) == (Outcome.EXITED, 7)
    assert end.reason == "the command left with code 7"
    assert end.log == f"{pid} run-1 extra\n/usr\n"


def test_a_command_has_only_its_standard_descriptors(world: World) -> None:
    end = world.run(CommandJob("ls", ["sh", "-c", "ls /proc/$$/fd; cat"]))

    assert end.log.split() == ["0", "1", "2"]


def test_a_command_has_the_systems_own_signals(world: World) -> None:
    end = world.run(CommandJob("signals", ["grep", "^Sig[IB]", "/proc/self/status"]))

    # 32 and 33 are the C library's own and out of anybody's reach (signal(7)).
    masks = [int(line.split()[1], 16) & ~(0b11 << 31) for line in end.log.splitlines()]
    assert masks == [0, 0]


@pytest.mark.parametrize(
    ("command", "cwd", "reason"),
    [
        (["no-such-program"], None, "'no-such-program' could not be started: File"),
        (["/etc/passwd"], None, "PermissionError"),
        (["true"], "/no/such/place", "No such file or directory"),
    ],
)
def test_a_command_that_cannot_be_started_says_why(
    world: World, command: list[str], cwd: str | None, reason: str
) -> None:
    end = world.run(CommandJob("bad", command, cwd=cwd))

    assert (end.outcome, end.report.exit_code) == (Outcome.START_FAILED, 127)
    assert reason in end.reason


def test_a_command_killed_by_its_limit_leaves_no_child(world: World) -> None:
    limits = Limits(wall=0.2, grace=0.2)
    job = CommandJob("deaf", ["sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait"])
    end = world.run(job, limits=limits)

    assert end.outcome is Outcome.TIMED_OUT
    assert not alive(int(end.log))


def test_audit_records_before_a_hard_exit_are_all_there(world: World) -> None:
    run_id = world.start(hostile(world, "audit_and_die"))
    world.ended(run_id)

    spool = world.pool.spool_of(run_id).read_bytes()
    assert spool.count(b'"kind":"trail"') == 200


def test_results_cross_as_json_and_stay_json(world: World) -> None:
    end = world.run(hostile(world, "returns_made", "surrogate"))

    assert json.dumps(end.report.result) == '{"text": "\\ud800"}'
