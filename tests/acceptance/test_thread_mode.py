"""The loop in a thread of its own: a guest that changes nothing in its host."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sqlite3
import stat
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from facade_jobs import Held, Named, Tells
from watching import (
    LIMIT,
    SECONDLY,
    Watcher,
    read_until,
    run_script,
    settings,
    start_script,
)

from procsched import Auditor, Outcome, ScheduleConfig, Scheduler
from procsched.config.settings import AuditSettings, FileAudit, HttpAudit
from procsched.errors import AuditError, SchedulerError, StateDirectoryError
from procsched.store.directory import StateDirectory
from procsched.store.history import read_runs

if TYPE_CHECKING:
    from collections.abc import Callable

PR_GET_CHILD_SUBREAPER = 37

HEAD = """\
import os, signal, sys, threading
from facade_jobs import *
from watching import *
from procsched import Scheduler
"""


def process_wide() -> dict[str, object]:
    """Return what a library must leave alone."""
    subreaper = ctypes.c_int(-1)
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(subreaper), 0, 0, 0)
    mask = os.umask(0)
    os.umask(mask)
    return {
        "handlers": [signal.getsignal(each) for each in signal.valid_signals()],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "wakeup": signal.set_wakeup_fd(-1),
        "subreaper": subreaper.value,
        "directory": Path.cwd(),
        "umask": mask,
        "children": multiprocessing.active_children(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "session": os.getsid(0),
        "group": os.getpgrp(),
        "environment": dict(os.environ),
    }


def test_it_changes_nothing_process_wide(trail: Watcher) -> None:
    before = process_wide()

    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Tells("job"), run_continuous=True)
        sc.start()
        sc.trigger("job")
        trail.until("run.ended")
        during = process_wide()

    assert during == before
    assert process_wide() == before


def test_the_host_may_still_choose_its_start_method(tmp_path: Path) -> None:
    """And so may a job; both are errors once anybody has asked which one it is."""
    text = HEAD + (
        "import multiprocessing\n"
        "class Chooses(Named):\n"
        "    def goal(self):\n"
        "        multiprocessing.set_start_method('spawn')\n"
        "if __name__ == '__main__':\n"
        "    with Scheduler(True, settings=settings()) as sc:\n"
        "        sc.schedule_job(Chooses('job'), run_continuous=True)\n"
        "        sc.start()\n"
        "        multiprocessing.set_start_method('spawn')\n"
        "        sc.trigger('job')\n"
        "    print(sc.runs()[0].reason)\n"
    )

    assert run_script(text, tmp_path) == "goal() returned\n"


def test_start_returns_when_the_loop_is_ready(tmp_path: Path) -> None:
    with Scheduler(True, settings=settings(), state_dir=tmp_path / "state") as sc:
        sc.start()

        assert (tmp_path / "state/history.sqlite3").exists()
        assert not sc.wait(0)
    assert sc.wait(0)


def test_a_second_start_is_refused() -> None:
    with Scheduler(True, settings=settings()) as sc:
        sc.start()

        with pytest.raises(SchedulerError, match=r"called before.*wait for this one"):
            sc.start()


def descriptors() -> list[str]:
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            # The listing's own.
            found.append(str(fd.readlink()).split(":")[0])
    return sorted(found)


def test_start_raises_that_the_state_directory_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = descriptors()
    sc = Scheduler(True, settings=settings(), state_dir=tmp_path / "file/below")

    with pytest.raises(
        StateDirectoryError, match=r"cannot be used: Not a directory\. Make it writable"
    ):
        sc.start()

    assert sc.wait(0)
    assert sc.shutdown()
    assert descriptors() == before
    with pytest.raises(SchedulerError, match="this Scheduler has ended"):
        sc.schedule_job(Named())


def test_start_raises_that_the_history_is_none(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").write_text("no database at all" * 100)
    before = descriptors()
    sc = Scheduler(True, settings=settings(), state_dir=tmp_path)

    with pytest.raises(
        StateDirectoryError,
        match=r"history\.sqlite3' cannot be used: file is not a database\. Make it",
    ):
        sc.start()

    assert descriptors() == before
    StateDirectory(tmp_path).release()


@pytest.mark.parametrize(
    "audit",
    [
        AuditSettings(console=False, file=FileAudit(path=Path("/proc/no/such/file"))),
        AuditSettings(console=False, http=HttpAudit(url="no address")),
    ],
)
def test_start_raises_that_an_audit_agent_cannot_be_made(audit: AuditSettings) -> None:
    agents = [each.name for each in Auditor.agents()]
    sc = Scheduler(True, settings=settings(audit=audit))

    with pytest.raises(AuditError):
        sc.start()

    assert [each.name for each in Auditor.agents()] == agents
    assert sc.shutdown()


def test_a_thread_that_cannot_be_started_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    before = descriptors()
    sc = Scheduler(True, settings=settings())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            sc.start()

    assert sc.shutdown(timeout=5)
    assert descriptors() == before


def test_two_schedulers_run_side_by_side(trail: Watcher) -> None:
    with (
        Scheduler(True, settings=settings(schedule=SECONDLY)) as one,
        Scheduler(True, settings=settings(schedule=SECONDLY)) as other,
    ):
        for sc, name in ((one, "a"), (other, "b")):
            sc.schedule_job(Named(name), run_continuous=True)
            sc.start()
        trail.until("run.ended", "a")
        trail.until("run.ended", "b")

        assert {run.job for run in one.runs()} == {"a"}
        assert {run.job for run in other.runs()} == {"b"}


def test_a_state_directory_has_one_owner(tmp_path: Path) -> None:
    with Scheduler(True, settings=settings(), state_dir=tmp_path) as first:
        first.start()
        second = Scheduler(True, settings=settings(), state_dir=tmp_path)

        with pytest.raises(
            StateDirectoryError,
            match=rf"has an owner: the scheduler of process {os.getpid()}\. Shut that",
        ):
            second.start()

    with Scheduler(True, settings=settings(), state_dir=tmp_path) as third:
        third.start()


def test_a_private_state_directory_is_private_and_goes_with_its_scheduler() -> None:
    sc = Scheduler(True, settings=settings())
    sc.start()
    assert sc._life.engine is not None
    place = sc._life.engine._history_path.parent
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (place, *place.iterdir())]
    sc.shutdown()

    assert place.is_dir()
    assert sc.runs() == []
    assert all(mode & 0o077 == 0 for mode in modes)
    del sc
    gc.collect()
    assert not place.exists()


def test_an_agent_two_configurations_share_stays_until_the_last_ends(
    tmp_path: Path, trail: Watcher
) -> None:
    file = tmp_path / "audit.jsonl"
    audit = AuditSettings(console=False, file=FileAudit(path=file))
    with Scheduler(True, settings=settings(audit=audit)) as one:
        one.start()
        with Scheduler(True, settings=settings(audit=audit)) as other:
            other.start()
        one.schedule_job(Tells("late"), run_continuous=True)
        one.trigger("late")
        trail.until("run.ended")

    assert file.read_text().count('"operation":"told"') == 1
    assert f"file {file}" not in {each.name for each in Auditor.agents()}
    assert "console" in {each.name for each in Auditor.agents()}


def test_no_descriptor_or_thread_is_left_after_twenty(trail: Watcher) -> None:
    def live() -> tuple[list[str], set[str]]:
        with Scheduler(True, settings=settings()) as sc:
            sc.schedule_job(Named("job"), run_continuous=True)
            sc.start()
            sc.trigger("job")
            trail.until_true(
                lambda seen: (
                    bool(seen.trails) and seen.trails[-1].operation == "run.ended"
                )
            )
        del sc
        gc.collect()
        return descriptors(), {each.name for each in threading.enumerate()}

    first = live()
    for _ in range(18):
        live()

    assert live() == first
    assert not psutil.Process().children()


def test_a_program_that_simply_ends_ends_safely(tmp_path: Path) -> None:
    """Its last line is behind it; the runs that go on are completed."""
    state = tmp_path / "state"
    text = HEAD + (
        f"sc = Scheduler(True, settings=settings(), state_dir={str(state)!r})\n"
        "sc.schedule_job(Tells('job'), run_continuous=True)\n"
        "sc.start()\n"
        "for _ in range(5): sc.trigger('job')\n"
    )

    run_script(text, tmp_path)

    runs = read_runs(state / "history.sqlite3", None, 100)
    assert [run.outcome for run in runs] == [Outcome.SUCCEEDED] * 5


def test_ctrl_c_at_the_end_of_the_program_forces(tmp_path: Path) -> None:
    state = tmp_path / "state"
    text = HEAD + (
        "sc = Scheduler(True, settings=settings(audit=AuditSettings()),\n"
        f"               state_dir={str(state)!r})\n"
        "sc.schedule_job(Sleeps('job'), run_continuous=True)\n"
        "sc.start()\n"
        "sc.trigger('job')\n"
    )
    with start_script(text, tmp_path) as process:
        read_until(process, "at work")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert "Ctrl-C at the end of the program" in out
    (run,) = read_runs(state / "history.sqlite3", None, 100)
    assert run.outcome == Outcome.CANCELLED


FORK = (
    HEAD
    + """\
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
sc = Scheduler(True, settings=settings())
sc.schedule_job(Named("job"), run_continuous=True)
sc.start()
pid = os.fork()
if not pid:
    for call in (sc.jobs, sc.wait, sc.shutdown, lambda: sc.trigger("job"), sc.start,
                 lambda: sc.schedule_job(Named("other"))):
        try:
            call()
        except Exception as fault:
            assert f"was started by process {os.getppid()}" in str(fault), fault
        else:
            sys.exit(3)
    with Scheduler(True, settings=settings()) as own:
        own.schedule_job(Named("own"), run_continuous=True)
        own.start()
        own.trigger("own")
    assert own.runs()[0].outcome == "succeeded"
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
run_id = sc.trigger("job")
assert sc.shutdown()
assert [(run.run_id, run.outcome.value) for run in sc.runs()] == [(run_id, "succeeded")]
print("parent done")
"""
)


def test_a_fork_of_the_host_ends_cleanly_and_disturbs_nobody(tmp_path: Path) -> None:
    """It is told whose the scheduler is, may have one of its own, and leaves."""
    assert "parent done" in run_script(FORK, tmp_path)


FORK_THAT_STAYS = (
    HEAD
    + """\
state = sys.argv[0] + ".d"
sc = Scheduler(True, settings=settings(audit=AuditSettings()), state_dir=state)
sc.schedule_job(Sleeps("job"), run_continuous=True)
sc.start()
sc.trigger("job")
read, write = os.pipe()
if not os.fork():
    os.read(read, 1)  # for ever: it holds the other end itself
    os._exit(0)
print("forked", flush=True)
threading.Event().wait()
"""
)


def test_a_fork_that_outlives_its_host_keeps_nothing_alive(tmp_path: Path) -> None:
    """Not a keeper, which would miss the host's death, and not the directory's lock."""
    with start_script(FORK_THAT_STAYS, tmp_path) as process:
        read_until(process, "at work")
        family = psutil.Process(process.pid).children(recursive=True)
        fork = [each for each in family if "script.py" in " ".join(each.cmdline())]
        runs = [each for each in family if each not in fork]
        assert len(fork) == 1
        assert len(runs) >= 2

        process.kill()
        gone, alive = psutil.wait_procs(runs, timeout=LIMIT)

        assert fork[0].is_running()
        StateDirectory(tmp_path / "script.py.d").release()
        fork[0].kill()
        process.communicate(timeout=60)
    assert len(gone) >= 2
    assert not alive


def test_the_history_survives_a_kill_of_the_host(tmp_path: Path, fifo: Path) -> None:
    """What was known at the kill is there: the run had started."""
    state = tmp_path / "state"
    text = HEAD + (
        "sc = Scheduler(settings=settings(audit=AuditSettings()),\n"
        f"               state_dir={str(state)!r})\n"
        f"sc.schedule_job(Held('held', Path({str(fifo)!r})), run_continuous=True)\n"
        "sc.trigger('held')\n"
        "sc.start()\n"
    )
    with start_script(text, tmp_path) as process:
        read_until(process, "at work")
        process.kill()
        process.communicate(timeout=60)

    (run,) = read_runs(state / "history.sqlite3", None, 100)
    assert (run.job, run.outcome) == ("held", None)
    assert run.pid is not None
    with sqlite3.connect(state / "history.sqlite3") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_held_run_holds_nobody_else(
    trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Held("held", fifo), run_continuous=True)
        sc.schedule_job(Tells("tells"))
        sc.start()
        sc.trigger("held")
        trail.until("at work")
        sc.trigger("tells")
        trail.until("run.ended", "tells")
        let_go()


UNGUARDED = """\
from facade_jobs import *
from watching import *
from procsched import Scheduler
from procsched.config.settings import JobDeclaration

class Mine(Named):
    def goal(self):
        return "mine"

declared = JobDeclaration(name="declared", position="here:1:1", command=("true",))
sc = Scheduler(True, settings=settings(jobs=(declared,)))
sc.schedule_job(Mine("mine"), run_continuous=True)
sc.schedule_declared()
print(sc.next_run_time("mine").isoformat(), len(sc.jobs()), len(sc.runs()))
sc.pause("mine")
sc.resume("mine")
run_id = sc.trigger("mine")
sc.cancel_job("declared")
if not run_id:
    assert sc.wait(0) and sc.shutdown()
    sc.stop_run(run_id)
with sc:
    sc.start()
print([(run.result, run.outcome.value, run.output_tail) for run in sc.runs()])
"""


def test_a_script_without_a_guard_may_call_anything_before_the_start(
    tmp_path: Path,
) -> None:
    """In its runs each call says something harmless, and start() ends the script."""
    last = run_script(UNGUARDED, tmp_path).splitlines()[-1]

    assert last.startswith("[('mine', 'succeeded', '20")
    assert last.endswith(" 0 0\\n')]")


def test_the_history_is_closed_at_the_end(tmp_path: Path) -> None:
    """Its write-ahead log has gone into it: one file to copy or to keep."""
    with Scheduler(True, settings=settings(), state_dir=tmp_path) as sc:
        sc.start()
        assert (tmp_path / "history.sqlite3-wal").exists()

    assert not (tmp_path / "history.sqlite3-wal").exists()


def test_a_reload_gives_the_next_run_the_code_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from procsched import Job\nclass It(Job):\n    def goal(self): return {}"
    module = tmp_path / "reloaded_job.py"
    module.write_text(source.format("'old'"))
    monkeypatch.syspath_prepend(tmp_path)
    job = import_module("reloaded_job").It()
    with Scheduler(separate_thread=True, settings=settings()) as scheduler:
        scheduler.schedule_job(job, ScheduleConfig(every="00:00", time_unit="day"))
        scheduler.start()
        results = []
        for text in ("'old'", "'newer'"):
            module.write_text(source.format(text))
            scheduler.reload()
            run_id = scheduler.trigger("It")
            results.append(_result_of(scheduler, run_id))
        scheduler.cancel_job("It")

    assert results == ["old", "newer"]


def _result_of(scheduler: Scheduler, run_id: str) -> object:
    ended = threading.Event()
    for _ in range(int(LIMIT * 100)):
        for run in scheduler.runs():
            if run.run_id == run_id and run.outcome is not None:
                return run.result
        ended.wait(0.01)
    raise AssertionError(run_id)
