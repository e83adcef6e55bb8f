"""The process of a run: made safe, then `goal()`, then its word, then gone.

Everything up to the `ready` frame is ours and everything after it is the job's;
the limits stand before the first line of the job's module is read.

Imports: core.trail, job, workers.  What runs here loads no sqlite, yaml or http.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import sys
import traceback
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from procsched.core.trail import shown
from procsched.job import CommandJob, CurrentRun, Job, enter_run
from procsched.workers import confinement, preload, rlimits, word
from procsched.workers.baseline import Baseline, reap_children
from procsched.workers.channel import Frame, Mailbox, Voice
from procsched.workers.interpreter import streams_are_whole
from procsched.workers.linux import die_with_parent, open_descriptors
from procsched.workers.softstop import SoftStop, guard_forks
from procsched.workers.streams import (
    flush,
    prepare_python,
    watch_crashes,
)
from procsched.workers.variables import remember_host, settle_environment
from procsched.workers.wear import Wear

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.workers.word import Word

EX_SOFTWARE: Final = 70
"""Exit code of a child whose fault is ours (sysexits(3))."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What joins a run's process to others: descriptors beside 0, 1 and 2, memory."""

    channel: int
    wake: int
    crash: int
    mailbox: Mailbox


def main(lines: Lines, keeper_pid: int) -> NoReturn:
    """Be the process of a run, or of a sequence's runs; wait for the first."""
    with _never_returning():
        voice = Voice(lines.channel)
        _settle_in(lines, keeper_pid)
        if not select.select([lines.channel], [], [], 0)[0]:
            # Nobody waits for it yet.
            _rehearse(lines)
        spec = voice.hear()
        if spec is None:
            os._exit(0)
        lines.mailbox.sign(*_spent())
        if spec["persistent"]:
            _serve(spec, lines, voice)
        _leave(lines, voice, _attempt(spec, lines, voice, _limit_for_good))
    raise AssertionError  # the block above never ends here


class _Rehearsal(Job):
    def goal(self) -> None:
        return None


class _Mute(Voice):
    def say(self, frame: Frame) -> bool:
        json.loads(json.dumps(frame))
        return True


_REHEARSED: Final[Frame] = {
    "run_id": "rehearsal",
    "job": "rehearsal",
    "nominal_time": "2000-01-01T00:00:00+00:00",
    "attempt": 1,
    "held": {},
    "remedy": "",
    "limits": dict.fromkeys(("memory", "processes", "open_files", "file_size", "cpu")),
    "payload": base64.b64encode(pickle.dumps(_Rehearsal())).decode(),
}


def _rehearse(lines: Lines) -> None:
    """Go through a run that does nothing, while there is time.

    A fork shares its memory until it writes to it, and every object that is used is
    written to (its reference count): some 300 pages are copied here that would be
    copied between the order and the end of a short run.
    """
    lines.mailbox.clear()
    mute = _Mute(lines.channel)
    spec = {**_REHEARSED, **preload.surroundings(), "spool": ""}
    said = _attempt(spec, lines, mute, _limit_for_good)
    mute.say(said.to_frame())
    flush()


class _never_returning:  # noqa: N801 - reads as what it does
    """Ends the process whatever happens: the keeper's frames are not its own."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *fault: object) -> NoReturn:
        try:
            traceback.print_exc()
        finally:
            os._exit(EX_SOFTWARE)


def _serve(first: Frame, lines: Lines, voice: Voice) -> NoReturn:
    """Be the worker of a sequence, one run after another."""
    limits, wear = _WorkersLimits(first["limits"]), Wear()
    spec: Frame | None = first
    while spec is not None:
        # The keeper has killed what the run before left; its zombies are ours.
        reap_children()
        used = _used()
        said = _attempt(spec, lines, voice, limits.apply, limits.settle)
        flush()
        leaving = limits.put_back() or wear.after_run(spec["recycle"])
        said = replace(said, leaving=leaving, usage=_used_since(used))
        if leaving is not None or not _say(lines, voice, said):
            _leave(lines, voice, said)
        watch_crashes(lines.crash)
        if not streams_are_whole():
            prepare_python(lines.crash)
        if (spec := voice.hear()) is not None:
            lines.mailbox.sign(*_spent())
    _leave(lines, voice, None)


def _limit_for_good(limits: Frame, held: dict[str, str]) -> None:
    """Give the process of one run its limits and surroundings.

    Raises:
        LimitRefused: If one cannot be had.
    """
    # Its keeper's death is its own, whoever it becomes.
    confinement.apply(limits, os.getppid())
    rlimits.apply(limits, held)


class _WorkersLimits:
    """The limits of the runs of a worker, and what it is without them.

    Args:
        first: Those of its first run.  The keeper gives a worker no run that asks
            for other surroundings, of those that cannot be put back.
    """

    def __init__(self, first: Frame) -> None:
        self._refusal: rlimits.LimitRefused | None = None
        try:
            confinement.confine(first, os.getppid())
        except rlimits.LimitRefused as refusal:
            self._refusal = refusal
        self._baseline = Baseline()

    def apply(self, limits: Frame, held: dict[str, str]) -> None:
        """Put the limits of a run on it.

        Raises:
            LimitRefused: If one cannot be had.
        """
        if self._refusal is not None:
            raise self._refusal
        confinement.place(limits)
        rlimits.apply_softly(limits, held)

    def settle(self) -> None:
        """Keep what the job's modules have set as they were imported."""
        self._baseline.settle()

    def put_back(self) -> str | None:
        """Undo what the run and its limits changed; return what could not be."""
        if self._refusal is not None:
            return "its surroundings could not be had"
        return self._baseline.put_back()


def _settle_in(lines: Lines, keeper_pid: int) -> None:
    """Become a process of its own: session, signals, descriptors, exit handlers."""
    os.setsid()
    die_with_parent(keeper_pid)
    # Closed first, so that there is room: the keeper may have had its last one.
    _close_all_but({1, 2, lines.channel, lines.wake, lines.crash})
    os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(0, True)
    remember_host()
    # All others have their defaults since the keeper was made.
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    # A stop that came before this line was held back, and ends the run here.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    guard_forks()
    gc.enable()


def _close_all_but(kept: set[int]) -> None:
    numbers = open_descriptors()
    if numbers is None:
        numbers = list(range(os.sysconf("SC_OPEN_MAX")))
    for fd in set(numbers) - kept:
        with contextlib.suppress(OSError):
            # Not open, or the one that the numbers were read through.
            os.close(fd)


def _attempt(
    spec: Frame,
    lines: Lines,
    voice: Voice,
    apply: Callable[[Frame, dict[str, str]], None],
    settle: Callable[[], None] = lambda: None,
) -> Word:
    """Run the job and return the word of it; nothing the job raises escapes."""
    run = CurrentRun(
        run_id=spec["run_id"],
        job=spec["job"],
        nominal_time=datetime.fromisoformat(spec["nominal_time"]),
        attempt=spec["attempt"],
        _tell=voice.say,
    )
    stop = SoftStop(run)
    outlet: Any = None
    try:
        signal.signal(signal.SIGTERM, stop)
        rlimits.check(spec["limits"], spec["held"], spec["remedy"])
        outlet = _open_outlet(spec, lines)
        apply(spec["limits"], spec["held"])
        settle_environment(spec)
        enter_run(run)
        job = _load(spec)
        settle()
        voice.say({"kind": "ready"})
    except BaseException as fault:  # noqa: BLE001 - the border of the child's entry
        stop.deaf = True
        said = word.start_failed(fault)
    else:
        here = os.getpid()
        said = _reach_goal(job, stop, voice)
        if os.getpid() != here:
            _leave_fork(said)
    # From here on a stop is the plain signal: there is nothing left to clean up.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    enter_run(None)
    if outlet is not None:
        said = replace(said, dropped=outlet.close_outlet())
    return said


def _open_outlet(spec: Frame, lines: Lines) -> Any:
    """Join the job's Auditor to this run's spool; the room is known by name."""
    if spec.get("outlet") is None:
        return None
    module: Any = importlib.import_module(spec["outlet"])
    who = (spec["run_id"], spec["job"])
    # While it may still be made: another user may not, nor who has a /tmp of its own.
    limits = spec["limits"]
    early = limits.get("user") is not None or bool(limits.get("private_tmp"))
    module.open_outlet(spec["spool"], lines.wake, *who, at_once=early)
    return module


def _load(spec: Frame) -> Job:
    """Return the job: from its pickle, its `module:Class`, or its command."""
    # The keeper may be older than what the program has added since.
    preload.settle_path(spec["path"])
    if spec.get("command") is None:
        confinement.check_library(spec["limits"])
    if spec.get("main") is not None:
        preload.settle_main(spec["main"])
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
    made: Any = importlib.import_module(module)
    for part in name.split("."):
        made = getattr(made, part)
    return made(**arguments)


def _reach_goal(job: Job, stop: SoftStop, voice: Voice) -> Word:
    if isinstance(job, CommandJob) and type(job).goal is CommandJob.goal:
        return _become(job, voice)
    try:
        try:
            result = job.goal()
        finally:
            # Inside the outer block: a stop in this very moment is caught as well.
            stop.deaf = True
    except SystemExit as leaving:
        return word.exited(leaving)
    except BaseException as fault:  # noqa: BLE001 - the border of the child's entry
        return word.raised(fault)
    return word.returned(result)


def _become(job: CommandJob, voice: Voice) -> Word:
    """Turn into the program; the word is why that was not possible."""
    # After exec there is nobody to say a word: the exit code is the outcome.
    voice.say({"kind": "becoming"})
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        # A program is not Python: it expects the system's own defaults.
        signal.signal(number, signal.SIG_DFL)
    try:
        job.goal()
    except Exception as fault:  # noqa: BLE001 - the border of the child's entry
        return word.not_a_program(job.command[0], fault)
    raise AssertionError  # execvpe(3) returns only by raising


def _spent() -> tuple[float, float]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime, own.ru_stime


def _used() -> dict[str, float]:
    """Return what this process and its children have used so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    both = (own, below)
    return {
        "cpu_user": own.ru_utime + below.ru_utime,
        "cpu_system": own.ru_stime + below.ru_stime,
        "context_switches": sum(each.ru_nvcsw + each.ru_nivcsw for each in both),
        "io_blocks": sum(each.ru_inblock + each.ru_oublock for each in both),
    }


def _used_since(before: dict[str, float]) -> dict[str, float]:
    # The peak of the worker's life: the kernel keeps no other.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        **{name: now - before[name] for name, now in _used().items()},
        "max_rss_bytes": peak * (1 if sys.platform == "darwin" else 1024),
    }


def _say(lines: Lines, voice: Voice, said: Word) -> bool:
    """Say the word twice: what closing or noise has done to the channel is its own."""
    if not lines.mailbox.post(said.to_frame()):
        short = replace(said, result=None, note="result was left out")
        lines.mailbox.post(short.to_frame())
    return voice.say(said.to_frame())


def _leave_fork(said: Word) -> NoReturn:
    """Be gone: a fork of the run came back from `goal()`, and is not the run."""
    with contextlib.suppress(Exception):
        # As an interpreter shows what nobody catches; the streams are the job's.
        sys.stderr.write(said.traceback or "")
    flush()
    os._exit(said.code)


def _leave(lines: Lines, voice: Voice, said: Word | None) -> NoReturn:
    """Say the word, let threads and exit handlers finish, and be gone."""
    code = 0
    try:
        if said is not None:
            code = said.code
            _say(lines, voice, said)
        if (threading := sys.modules.get("threading")) is not None:
            threading._shutdown()  # noqa: SLF001 - as the interpreter does
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit runs none
    finally:
        flush()
        os._exit(code)
