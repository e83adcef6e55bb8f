"""The process of a run: made safe, then `goal()`, then its word, then gone.

Everything up to the `ready` frame is ours and everything after it is the job's;
the limits stand before the first line of the job's module is read.

Imports: core.trail, job, workers.  What runs here loads no sqlite, yaml or http.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import faulthandler
import gc
import json
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from multiprocessing import process as mp_process
from multiprocessing import util as mp_util
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from procsched.core.trail import as_json, shown
from procsched.job import CommandJob, CurrentRun, Job, StopRequested, enter_run
from procsched.workers import rlimits
from procsched.workers.channel import Frame, read_frame, write_frame
from procsched.workers.linux import die_with_parent
from procsched.workers.mainmodule import make_main

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT_LIMIT: Final = 1024 * 1024
"""Bytes of a result as JSON; a larger one belongs into a file."""

EX_SOFTWARE: Final = 70
"""Exit code of a child whose fault is ours (sysexits(3))."""

DUMP_SIGNAL: Final = signal.SIGUSR2
"""Asks the process to write all its stacks (faulthandler.register)."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The descriptors a run's process keeps, beside 0, 1 and 2."""

    channel: int
    wake: int
    crash: int


def run_once(spec: Frame, lines: Lines, keeper_pid: int) -> NoReturn:
    """Be the process of one run."""
    with _never_returning():
        _settle_in(lines, keeper_pid)
        _leave(lines, _attempt(spec, lines, rlimits.apply))
    raise AssertionError  # the block above never ends here


def serve(_spec: Frame, lines: Lines, keeper_pid: int) -> NoReturn:
    """Be the worker of a sequence, one run after another."""
    with _never_returning():
        _settle_in(lines, keeper_pid)
        _serve(lines)
    raise AssertionError  # the block above never ends here


class _never_returning:  # noqa: N801 - reads as what it does
    """Ends the process whatever happens: the keeper's frames are not its own."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *fault: object) -> NoReturn:
        traceback.print_exc()
        os._exit(EX_SOFTWARE)


def _serve(lines: Lines) -> None:
    while (spec := read_frame(lines.channel)) is not None:
        before, used = _State.now(), _used()
        limits = rlimits.ForOneRun()
        word = _attempt(spec, lines, limits.apply)
        limits.restore()
        before.put_back()
        _flush()
        word["usage"] = _used_since(used)
        write_frame(lines.channel, word)
    _leave(lines, None)


def _settle_in(lines: Lines, keeper_pid: int) -> None:
    """Become a process of its own: session, signals, descriptors, exit handlers."""
    os.setsid()
    die_with_parent(keeper_pid)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    keep = sorted({lines.channel, lines.wake, lines.crash})
    low = 3
    for fd in (*keep, os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, fd)
        low = fd + 1
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # SIGXFSZ ignored shows as OSError in the job, as Python means it (EFBIG).
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    faulthandler.enable(lines.crash)
    faulthandler.register(DUMP_SIGNAL, lines.crash, all_threads=True)
    sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[misc, assignment]
    gc.enable()
    # What the keeper registered is the keeper's.
    atexit._clear()  # noqa: SLF001 - what multiprocessing does in its own children
    mp_util._finalizer_registry.clear()  # type: ignore[attr-defined]  # noqa: SLF001
    mp_process._children = set()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit.register(mp_util._exit_function)  # type: ignore[attr-defined]  # noqa: SLF001


def _stream(fd: int) -> TextIO:
    """Return a text stream whose lines reach the log even if a kill follows."""
    return open(
        fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def _attempt(
    spec: Frame, lines: Lines, apply: Callable[[dict[str, Any]], None]
) -> Frame:
    """Run the job and return the word of it; nothing the job raises escapes."""
    run = CurrentRun(
        run_id=spec["run_id"],
        job=spec["job"],
        nominal_time=datetime.fromisoformat(spec["nominal_time"]),
        attempt=spec["attempt"],
        _tell=lambda frame: write_frame(lines.channel, frame),
    )
    close_outlet: Callable[[], None] | None = None
    try:
        signal.signal(signal.SIGTERM, lambda _number, _frame: run.request_stop())
        rlimits.check(spec["limits"])
        apply(spec["limits"])
        os.environ.update(_variables(spec))
        close_outlet = _open_outlet(spec, lines)
        enter_run(run)
        job = _load(spec)
    except BaseException as fault:  # noqa: BLE001 - the border of the child's entry
        return _start_failed(fault)
    write_frame(lines.channel, {"kind": "ready"})
    word = _reach_goal(job)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    enter_run(None)
    if close_outlet is not None:
        close_outlet()
    return word


def _variables(spec: Frame) -> dict[str, str]:
    return {
        "PROCSCHED_RUN_ID": spec["run_id"],
        "PROCSCHED_JOB": spec["job"],
        "PROCSCHED_NOMINAL_TIME": spec["nominal_time"],
        "PROCSCHED_ATTEMPT": str(spec["attempt"]),
    }


def _open_outlet(spec: Frame, lines: Lines) -> Callable[[], None] | None:
    """Join the job's Auditor to this run's spool; the room is known by name."""
    outlet = spec.get("outlet")
    if outlet is None:
        return None
    module = import_module(outlet)
    module.open_outlet(spec["spool"], lines.wake, spec["run_id"], spec["job"])
    close: Callable[[], None] = module.close_outlet
    return close


def _load(spec: Frame) -> Job:
    """Return the job: from its pickle, its `module:Class`, or its command."""
    if spec.get("main") is not None:
        make_main(spec["main"])
    if spec.get("payload") is not None:
        job = pickle.loads(base64.b64decode(spec["payload"]))  # noqa: S301 - its own
    elif spec.get("command") is not None:
        job = CommandJob(**spec["command"])
    else:
        job = load_target(spec["target"], spec.get("arguments") or {})
    if not isinstance(job, Job):
        message = f"{spec.get('target')} made {shown(job)}, which is no procsched.Job"
        raise TypeError(message)
    return job


def load_target(target: str, arguments: dict[str, Any]) -> Any:
    """Return what `module:Class` makes of the arguments."""
    module, _, name = target.partition(":")
    made: Any = import_module(module)
    for part in name.split("."):
        made = getattr(made, part)
    return made(**arguments)


def _start_failed(fault: BaseException) -> Frame:
    if isinstance(fault, rlimits.LimitRefused):
        text = str(fault)
    elif isinstance(fault, StopRequested):
        text = "stopped before goal() was reached"
    else:
        text = f"the job could not be loaded: {_one_line(fault)}"
    return {
        "kind": "word",
        "verdict": "start_failed",
        "text": text,
        "traceback": _traceback(fault),
        "code": 1,
    }


def _reach_goal(job: Job) -> Frame:
    if isinstance(job, CommandJob):
        return _become(job)
    try:
        result = job.goal()
    except SystemExit as leaving:
        return _exited(leaving)
    except BaseException as fault:  # noqa: BLE001 - the border of the child's entry
        return {
            "kind": "word",
            "verdict": "raised",
            "text": _one_line(fault),
            "type": type(fault).__name__,
            "ordinary": isinstance(fault, Exception),
            "traceback": _traceback(fault),
            "code": 1,
        }
    return {"kind": "word", "verdict": "returned", "code": 0, **_as_result(result)}


def _become(job: CommandJob) -> Frame:
    """Turn into the program; the word is why that was not possible."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # A program is not Python: it expects the system's own defaults.
        signal.signal(number, signal.SIG_DFL)
    try:
        job.goal()
    except OSError as fault:
        return {
            "kind": "word",
            "verdict": "start_failed",
            "text": f"{job.command[0]!r} could not be started: {_one_line(fault)}",
            "code": 127,
        }
    raise AssertionError  # execvpe(3) returns only by raising


def _exited(leaving: SystemExit) -> Frame:
    """Take `sys.exit(code)` as the interpreter does: None is 0, a text is 1."""
    code = leaving.code
    if code is None:
        status = 0
    elif isinstance(code, int):
        status = code & 0xFF
    else:
        status = 1
    text = "" if code is None else shown(code)
    if status and not isinstance(code, int):
        print(shown(code), file=sys.stderr)  # noqa: T201 - as the interpreter does
    return {"kind": "word", "verdict": "exited", "text": text, "code": status}


def _as_result(result: object) -> Frame:
    try:
        text = json.dumps(result, allow_nan=False)
        plain, note = result, None
    except Exception:  # noqa: BLE001 - a result is made by the job, like its repr
        plain = as_json(shown(result))
        text, note = str(plain), "result was not JSON: its repr is kept"
    if len(text) > RESULT_LIMIT:
        return {"result": None, "note": f"result of {len(text)} bytes was left out"}
    return {"result": plain, "note": note}


def _one_line(fault: BaseException) -> str:
    """Return "Type: message"; a message that cannot be made says so."""
    name = type(fault).__name__
    try:
        text = str(fault)
    except Exception as worse:  # noqa: BLE001 - __str__ is the job's code
        text = f"<its text raises {type(worse).__name__}>"
    line = " ".join(text.split())
    return as_json(f"{name}: {line[:500]}" if line else name)  # type: ignore[no-any-return]


def _traceback(fault: BaseException) -> str:
    try:
        lines = traceback.format_exception(fault)
    except Exception as worse:  # noqa: BLE001 - formatting calls the job's code
        lines = traceback.format_tb(fault.__traceback__)
        lines.append(f"<the exception cannot be shown: {type(worse).__name__}>")
    return as_json("".join(lines))  # type: ignore[no-any-return]


@dataclass(slots=True)
class _State:
    """What a run may change in a worker, and the next must not see."""

    directory: str
    umask: int
    environment: dict[str, str]
    path: list[str]

    @classmethod
    def now(cls) -> _State:
        mask = os.umask(0o077)
        os.umask(mask)
        return cls(os.getcwd(), mask, dict(os.environ), list(sys.path))  # noqa: PTH109

    def put_back(self) -> None:
        with contextlib.suppress(OSError):
            # The directory may be gone; the next run finds out for itself.
            os.chdir(self.directory)
        os.umask(self.umask)
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        sys.path[:] = self.path


def _used() -> tuple[float, float, int, int]:
    """Return CPU user and system seconds, switches and I/O blocks so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        own.ru_utime + below.ru_utime,
        own.ru_stime + below.ru_stime,
        sum(each.ru_nvcsw + each.ru_nivcsw for each in (own, below)),
        sum(each.ru_inblock + each.ru_oublock for each in (own, below)),
    )


def _used_since(before: tuple[float, float, int, int]) -> dict[str, float]:
    names = ("cpu_user", "cpu_system", "context_switches", "io_blocks")
    used = zip(names, before, _used(), strict=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **{name: now - then for name, then, now in used},
        # The peak of the worker's life: the kernel keeps no other.
        "max_rss_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            # The job may have closed it; what it wrote before is out.
            stream.flush()


def _leave(lines: Lines, word: Frame | None) -> None:
    """Say the word, let threads and exit handlers finish, and be gone."""
    code = 0
    if word is not None:
        code = word["code"]
        with contextlib.suppress(OSError):
            # A job that closed its descriptors still has its exit code.
            write_frame(lines.channel, word)
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none
    finally:
        _flush()
        os._exit(code)
