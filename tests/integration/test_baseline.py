"""What a run may change in its worker: put back, or a reason to replace it.

Each change is made in a fork of the test, which tells by a pipe what it saw.
"""

from __future__ import annotations

import contextlib
import decimal
import faulthandler
import fcntl
import gc
import io
import json
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from procsched.workers import baseline as baseline_module
from procsched.workers import variables
from procsched.workers.baseline import _RUN_VARIABLES, Baseline, reap_children
from procsched.workers.interpreter import streams_are_whole
from procsched.workers.streams import prepare_python

if TYPE_CHECKING:
    from collections.abc import Callable


def in_a_fork(work: Callable[[], Any]) -> Any:
    """Return what `work` returned in a fork of this process, or its fault."""
    read, low = os.pipe()
    # Out of the way of a job that closes what it finds.
    write = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 200)
    os.close(low)
    with warnings.catch_warnings():
        # The test's own watchdog is a thread; the fork takes no lock of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        try:
            gc.enable()
            # As in a worker; pytest has put its own in.
            prepare_python(os.open(os.devnull, os.O_WRONLY))
            found = work()
        except BaseException as fault:  # noqa: BLE001 - told by the parent
            found = repr(fault)
        with contextlib.suppress(BaseException):
            os.write(write, json.dumps(found, default=str).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(text)


def through_a_run(change: Callable[[], object], look: Callable[[], Any]) -> Any:
    """Return what there was to see before, in and after a run, and the reason."""

    def work() -> Any:
        baseline = Baseline()
        before = look()
        change()
        inside = look()
        return before, inside, baseline.put_back(), look()

    return in_a_fork(work)


def reason_for(change: Callable[[], object]) -> Any:
    def work() -> Any:
        baseline = Baseline()
        kept = change()
        return baseline.put_back(), str(kept)[:0]

    return in_a_fork(work)[0]


def no_handler(*_: object) -> None:
    return None


class Importer:
    def find_spec(self, *_: object) -> None:
        return None


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def log_state() -> Any:
    root = logging.getLogger()
    return len(root.handlers), root.level, root.manager.disable


def start_child() -> None:
    """Leave a Process that multiprocessing would wait for."""
    from multiprocessing import get_context, process

    child = get_context("fork").Process(target=time.sleep, args=(0.05,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    assert child in process._children  # type: ignore[attr-defined]


def children_known() -> int:
    from multiprocessing import process

    return len(process._children)  # type: ignore[attr-defined]


def in_a_zone(name: str) -> None:
    os.environ["TZ"] = name
    time.tzset()


def handlers() -> list[str]:
    return [str(signal.getsignal(each)) for each in (signal.SIGHUP, signal.SIGUSR1)]


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(7)[1]))


def ambient(name: str) -> Callable[[], str]:
    return lambda: str(os.environ.get(name))


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], Any]]] = {
    "directory": (lambda: os.chdir("/"), os.getcwd),
    "umask": (lambda: os.umask(0o027), umask),
    "a new variable": (lambda: os.environ.update(NEW="1"), ambient("NEW")),
    "a changed variable": (lambda: os.environ.update(PATH="/"), ambient("PATH")),
    "a lost variable": (lambda: os.environ.pop("PATH"), ambient("PATH")),
    "os.environ": (lambda: setattr(os, "environ", {}), lambda: type(os.environ)),
    "the C library's zone": (lambda: in_a_zone("Asia/Kolkata"), lambda: time.timezone),
    "handlers": (lambda: signal.signal(signal.SIGHUP, no_handler), handlers),
    "ignored signals": (
        lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        handlers,
    ),
    "blocked signals": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]),
        lambda: sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    ),
    "timers": (
        lambda: signal.setitimer(signal.ITIMER_REAL, 100),
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    ),
    "limits": (limit_files, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)),
    "CPUs": (
        lambda: os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]),
        lambda: sorted(os.sched_getaffinity(0)),
    ),
    "sys.path": (lambda: sys.path.append("/left"), lambda: list(sys.path)),
    "another sys.path": (lambda: setattr(sys, "path", ["/left"]), lambda: sys.path),
    "sys.meta_path": (
        lambda: sys.meta_path.insert(0, Importer()),  # type: ignore[arg-type]
        lambda: len(sys.meta_path),
    ),
    "sys.path_hooks": (sys.path_hooks.clear, lambda: len(sys.path_hooks)),
    "sys.excepthook": (
        lambda: setattr(sys, "excepthook", print),
        lambda: sys.excepthook,
    ),
    "sys.displayhook": (
        lambda: setattr(sys, "displayhook", print),
        lambda: sys.displayhook,
    ),
    "sys.breakpointhook": (
        lambda: setattr(sys, "breakpointhook", print),
        lambda: sys.breakpointhook,
    ),
    "threading.excepthook": (
        lambda: setattr(threading, "excepthook", print),
        lambda: threading.excepthook is print,
    ),
    "sys.stdout": (
        lambda: setattr(sys, "stdout", io.StringIO()),
        lambda: sys.stdout is sys.__stdout__,
    ),
    "sys.stderr": (
        lambda: setattr(sys, "stderr", None),
        lambda: sys.stderr is sys.__stderr__,
    ),
    "sys.stdin": (
        lambda: setattr(sys, "stdin", io.StringIO()),
        lambda: sys.stdin is sys.__stdin__,
    ),
    "root handlers": (
        lambda: logging.getLogger().addHandler(logging.NullHandler()),
        log_state,
    ),
    "root level": (lambda: logging.getLogger().setLevel(5), log_state),
    "logging as a whole": (lambda: logging.disable(50), log_state),
    "locale": (
        lambda: locale.setlocale(locale.LC_NUMERIC, "C.UTF-8"),
        lambda: locale.setlocale(locale.LC_NUMERIC),
    ),
    "the decimal context": (
        lambda: setattr(decimal.getcontext(), "prec", 3),
        lambda: str(decimal.Decimal(1) / 3),
    ),
    "warning filters": (
        lambda: warnings.simplefilter("ignore"),
        lambda: len(warnings.filters),
    ),
    "the list of warning filters": (
        lambda: setattr(warnings, "filters", []),
        lambda: len(warnings.filters),
    ),
    "the collector": (gc.disable, gc.isenabled),
    "the collector's thresholds": (lambda: gc.set_threshold(9), gc.get_threshold),
    "the recursion limit": (
        lambda: sys.setrecursionlimit(5000),
        sys.getrecursionlimit,
    ),
    "the sockets' time limit": (
        lambda: socket.setdefaulttimeout(3),
        socket.getdefaulttimeout,
    ),
    "profilers": (lambda: sys.setprofile(no_handler), lambda: str(sys.getprofile())),
    "children that are waited for": (start_child, children_known),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_run_changed_is_put_back(what: str) -> None:
    before, inside, reason, after = through_a_run(*CHANGES[what])

    assert reason is None
    assert inside != before
    assert after == before


def test_a_run_that_changed_nothing_keeps_its_worker() -> None:
    assert reason_for(lambda: None) is None


def test_a_variable_of_the_run_itself_costs_no_comparison() -> None:
    """They change with every run, and the next one sets them before its job."""
    frame = {"run_id": "1", "job": "j", "nominal_time": "now", "attempt": 1}

    assert sorted(map(os.fsdecode, _RUN_VARIABLES)) == sorted(
        variables._variables(frame)
    )


def test_warnings_are_shown_again_after_a_run_that_hid_them() -> None:
    """Python had decided for the place already, and has to forget it."""

    def work() -> list[str]:
        warnings.resetwarnings()
        baseline = Baseline()
        with warnings.catch_warnings():
            pass
        warnings.simplefilter("ignore")
        warn()
        baseline.put_back()
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always")
            warn()
        return [str(each.message) for each in shown]

    def warn() -> None:
        warnings.warn("look", UserWarning, stacklevel=1)

    assert in_a_fork(work) == ["look"]


def test_loggers_forget_the_level_of_the_run_before() -> None:
    def work() -> tuple[bool, bool]:
        logger = logging.getLogger("some.where")
        logging.getLogger().setLevel(logging.WARNING)
        baseline = Baseline()
        logging.getLogger().setLevel(logging.DEBUG)
        inside = logger.isEnabledFor(logging.DEBUG)
        baseline.put_back()
        return inside, logger.isEnabledFor(logging.DEBUG)

    assert in_a_fork(work) == [True, False]


def test_a_log_file_on_the_root_logger_goes_with_its_run(tmp_path: Path) -> None:
    """Without its handler nothing holds it open, so the worker stays."""

    def log_into_a_file() -> None:
        root = logging.getLogger()
        root.addHandler(logging.FileHandler(tmp_path / "log"))
        root.error("said")

    assert reason_for(log_into_a_file) is None
    assert "said" in (tmp_path / "log").read_text()


def test_a_watchdog_of_faulthandler_ends_with_its_run() -> None:
    def work() -> str:
        baseline = Baseline()
        faulthandler.dump_traceback_later(0.05, exit=True)
        baseline.put_back()
        time.sleep(0.15)
        return "alive"

    assert in_a_fork(work) == "alive"


def test_an_importer_that_a_new_module_brought_stays() -> None:
    """Its parts are found through it, in later runs too (six.moves)."""

    def work() -> int:
        baseline = Baseline()
        before = len(sys.meta_path)
        sys.modules["six_like"] = types.ModuleType("six_like")
        sys.meta_path.append(Importer())  # type: ignore[arg-type]
        baseline.put_back()
        return len(sys.meta_path) - before

    assert in_a_fork(work) == 1


def leave_a_thread() -> None:
    threading.Thread(target=time.sleep, args=(10,), daemon=True).start()


def open_a_file() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def lose_the_user() -> None:
    os.setresuid(65534, 65534, 65534)


def lower_the_hard_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lose_the_user()


class Incomparable:
    def __call__(self, *_: object) -> None:
        return None

    def __eq__(self, _other: object) -> bool:
        raise ArithmeticError("not to be compared")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (leave_a_thread, "1 threads were left running"),
        (open_a_file, "1 descriptors were left open"),
        (lambda: os.close(0), "descriptors that are not the job's were closed"),
        (lambda: os.dup2(2, 0), "descriptors that are not the job's were closed"),
        (
            lambda: os.closerange(3, 100),
            "its state could not be put back (OSError: [Errno 9] Bad file descriptor)",
        ),
        (
            lambda: signal.signal(signal.SIGHUP, Incomparable()),
            "its state could not be put back (ArithmeticError: not to be compared)",
        ),
        pytest.param(
            lose_the_user,
            "its state could not be put back (PermissionError: [Errno 1] Operation "
            "not permitted)",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root can"),
        ),
        pytest.param(
            lambda: os.nice(1),
            None
            if os.geteuid() == 0
            else "its state could not be put back "
            "(PermissionError: [Errno 13] Permission denied)",
        ),
    ],
)
def test_what_cannot_be_put_back_is_a_reason(
    change: Callable[[], object], reason: str | None
) -> None:
    assert reason_for(change) == reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: None, None),
        (limit_files, None),
        (open_a_file, "1 descriptors were left open"),
        (lambda: os.dup2(2, 0), "descriptors that are not the job's were closed"),
    ],
)
def test_an_older_kernel_is_asked_in_more_words(
    change: Callable[[], object], reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a count of descriptors (before Linux 6.2), or the file of limits."""
    monkeypatch.setattr(baseline_module, "_count_descriptors", lambda: 0)
    monkeypatch.setattr(baseline_module, "_open_limits", lambda: None)

    before, _, found, after = through_a_run(
        change, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)
    )

    assert (found, after) == (reason, before)


def test_a_file_that_only_waits_for_the_collector_is_no_reason() -> None:
    def open_in_a_ring() -> None:
        ring: list[Any] = [socket.socket()]
        ring.append(ring)
        warnings.simplefilter("ignore")

    assert reason_for(open_in_a_ring) is None


def test_what_importing_a_job_has_set_outlasts_its_run() -> None:
    """Its module is imported once, and would set it no second time."""

    def work() -> Any:
        baseline = Baseline()
        sys.modules["the_job"] = types.ModuleType("the_job")
        logging.getLogger().handlers[:] = [logging.NullHandler()]
        os.environ["BY_IMPORT"] = "1"
        signal.signal(signal.SIGTERM, no_handler)
        signal.signal(signal.SIGHUP, no_handler)
        leave_a_thread()
        fd = open_a_file()
        baseline.settle()
        os.environ["BY_GOAL"] = "1"
        logging.getLogger().addHandler(logging.NullHandler())
        return (
            baseline.put_back(),
            len(logging.getLogger().handlers),
            sorted(each for each in os.environ if each.startswith("BY_")),
            signal.getsignal(signal.SIGHUP) is no_handler,
            signal.getsignal(signal.SIGTERM) is no_handler,
            os.fstat(fd).st_ino > 0,
        )

    assert in_a_fork(work) == [None, 1, ["BY_IMPORT"], True, False, True]


def test_settling_without_an_import_changes_nothing() -> None:
    def work() -> Any:
        baseline = Baseline()
        os.environ["LEFT"] = "1"
        baseline.settle()
        return baseline.put_back(), os.environ.get("LEFT")

    assert in_a_fork(work) == [None, None]


def test_the_dead_children_of_a_run_are_reaped() -> None:
    def work() -> str:
        pids = []
        for _ in range(3):
            if not (pid := os.fork()):
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            # Until it is dead; its status stays.
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        reap_children()
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    assert in_a_fork(work) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: out.close(),
        lambda out: out.detach(),
        lambda out: out.reconfigure(encoding="latin-1"),
        lambda out: out.reconfigure(line_buffering=False),
        lambda _: setattr(sys, "__stdout__", io.StringIO()),
    ],
)
def test_a_spoiled_stream_is_noticed(spoil: Callable[[Any], object]) -> None:
    def work() -> tuple[bool, bool]:
        before = streams_are_whole()
        spoil(sys.stdout)
        return before, streams_are_whole()

    assert in_a_fork(work) == [True, False]
