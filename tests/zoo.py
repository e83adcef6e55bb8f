"""Every hostile job that we know, and the exact end that each must come to.

One table, for sweeps through all of them: in a pool, in a sequence's worker, in a
scheduler beside jobs that behave.  Why each ends as it does is told, one by one,
in test_hostile_jobs.py; what no test there needs is a method of `Beast` here.
"""

# ruff: noqa: T201 - a job prints

from __future__ import annotations

import atexit
import builtins
import contextlib
import ctypes
import faulthandler
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hostile import Hostile, fork_daemon, signal_less_sleep

from procsched import Auditor
from procsched.core.outcome import Outcome
from procsched.core.policy import Limits
from procsched.workers import linux

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ANY: Final = object()
"""A result that the table says nothing about."""

HOG_BYTES: Final = 200_000_000
"""What a memory hog eats at most, should nothing stop it."""

BOMB: Final = 50
"""Processes of a fork bomb at most, should nothing stop it."""


class Beast(Hostile):
    """Hostile in more ways, and known by a name of its own.

    It notes each process that it makes by `leave`, one a file.
    """

    def __init__(self, name: str, what: str, place: Path, value: Any = None) -> None:
        super().__init__(what, place, value)
        self._name = name

    def name(self) -> str:
        return self._name

    def leave(self, pid: int) -> None:
        self.write(f"pid-{pid}", pid)

    # By the kernel

    def bus_error(self) -> None:
        with Path(f"{self.place}/short").open("w+b") as file:
            file.truncate(4096)
            seen = mmap.mmap(file.fileno(), 4096)
            file.truncate(0)
            print(seen[0])

    def segfault_in_silence(self) -> None:
        faulthandler.disable()
        self.segfault()

    def segfault_in_a_thread(self) -> None:
        thread = threading.Thread(target=self.segfault)
        thread.start()
        thread.join()

    def exit_in_a_thread(self) -> None:
        threading.Thread(target=os._exit, args=(6,)).start()
        signal_less_sleep()

    def alarm_itself(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        signal_less_sleep()

    def break_a_pipe(self) -> None:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        read, write = os.pipe()
        os.close(read)
        os.write(write, b"x")

    def recurse(self) -> None:
        self.recurse()

    def recurse_in_c(self) -> None:
        """Deeper than the C stack is, by calls that go through C each time."""
        sys.setrecursionlimit(10**9)
        deep: Iterable[Any] = ()
        for _ in range(500_000):
            deep = map(abs, deep)
        list(deep)

    # By what it says

    def hang_in_text(self) -> None:
        class Endless(Exception):  # noqa: N818 - what a user might write
            def __str__(self) -> str:  # noqa: PLE0307 - it never returns
                signal_less_sleep()

        raise Endless

    def hang_in_repr(self) -> Any:
        class Endless:
            def __repr__(self) -> str:
                signal_less_sleep()

        return Endless()

    def endless_result(self) -> Any:
        class Endless(dict[str, Any]):
            def items(self) -> Any:
                return repeat(("a", "b"))

        return Endless(a=1)

    def reduce_to_murder(self) -> Any:
        class Murderer:
            def __reduce__(self) -> Any:
                return os.kill, (os.getppid(), signal.SIGKILL)

            def __repr__(self) -> str:
                return "<innocent>"

        return Murderer()

    # By what it breaks

    def close_standard(self) -> str:
        os.closerange(0, 3)
        with contextlib.suppress(OSError):
            print("nobody hears")
        return "closed"

    def break_json(self) -> str:
        json.dumps = json.loads = None  # type: ignore[assignment]
        return "unsaid"

    def break_builtins(self) -> str:
        for name in ("len", "isinstance", "BaseException", "open", "str"):
            delattr(builtins, name)
        return "unsaid"

    def break_exit(self) -> str:
        """Come back where it was forked, by what its keeper expects there."""

        def refuse(*_: object) -> NoReturn:
            raise OSError

        os._exit = sys.exit = refuse
        return "stays"

    def break_stdout(self) -> str:
        sys.stdout = sys.stderr = object()  # type: ignore[assignment]
        return "mute"

    def trace_everything(self) -> str:
        def refuse(frame: Any, *_: object) -> None:
            if "procsched/workers" in frame.f_code.co_filename:
                raise KeyboardInterrupt

        sys.setprofile(refuse)
        return "traced"

    def forget_modules(self) -> str:
        sys.modules.clear()
        sys.path.clear()
        return "forgotten"

    # By what it eats

    def map_memory(self) -> None:
        eaten = mmap.mmap(-1, HOG_BYTES)
        for at in range(0, HOG_BYTES, 4096):
            eaten[at] = 1
        signal_less_sleep()

    def fill_tmpfs(self) -> None:
        fd = os.memfd_create("hog")
        for _ in range(HOG_BYTES // 1_000_000):
            os.write(fd, bytes(1_000_000))

    def eat_by_many(self) -> None:
        """Eat in twenty processes what none of them may alone."""
        for _ in range(19):
            if not os.fork():
                break
        eaten = bytearray(HOG_BYTES // 20)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(20)

    def fork_bomb(self) -> int:
        """Each forks, and so does what it forked, until that is refused."""
        made = 0
        for _ in range(5):
            try:
                if not os.fork():
                    made = 0
            except BlockingIOError:
                break
            made += 1
        # 32 of them without a limit.
        if os.getpid() != os.getsid(0):
            time.sleep(20)
            os._exit(0)
        time.sleep(0.2)
        return made

    def full_disk(self) -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    def full_filesystem(self) -> None:
        """In a tmpfs of a megabyte, in a namespace of its own."""
        linux.unshare(0x00020000)
        linux.mount("none", "/", "", 0x80000 | 0x4000)
        linux.mount("tmpfs", str(self.place), "tmpfs", 0, "size=1m")
        Path(f"{self.place}/big").write_bytes(bytes(2_000_000))

    def audit_flood(self) -> int:
        for each in range(20_000):
            Auditor.audit_params("said", "ok", {"number": each, "text": "x" * 100})
        return 20_000

    def print_in_a_loop(self) -> None:
        while True:
            os.write(1, b"y" * 65536)

    # By what it leaves

    def zombies(self) -> int:
        for _ in range(BOMB):
            if not os.fork():
                os._exit(0)
        return BOMB

    def adopt_daemon(self) -> None:
        linux.become_subreaper()
        self.leave(fork_daemon())

    def relay(self) -> None:
        """Leave a daemon that has forked its heir and is gone when looked at."""
        if os.fork():
            return
        os.setsid()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            time.sleep(0.001)

    def stopped_daemon(self) -> None:
        pid = fork_daemon()
        self.leave(pid)
        os.kill(pid, signal.SIGSTOP)

    def nameless(self) -> None:
        """Leave a program that has no environment, in a session of its own."""
        child = subprocess.Popen(["sleep", "100"], env={}, start_new_session=True)
        self.leave(child.pid)

    def kill_keeper_and_live(self) -> None:
        """With the leash to the keeper cut first (prctl(2), PR_SET_PDEATHSIG)."""
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        self.leave(os.getpid())
        self.leave(fork_daemon())
        os.kill(os.getppid(), signal.SIGKILL)
        signal_less_sleep()

    def raise_at_exit(self) -> str:
        atexit.register(self.raises)
        return "done"

    def leave_at_exit(self) -> str:
        atexit.register(os._exit, 9)
        return "done"

    def fork_at_exit(self) -> str:
        atexit.register(lambda: self.leave(fork_daemon()))
        return "done"

    def threads_that_fork(self) -> str:
        """Leave threads that fork as long as they are there."""

        def fork() -> None:
            for _ in range(BOMB):
                if not os.fork():
                    signal_less_sleep()
                time.sleep(0.01)

        for _ in range(2):
            threading.Thread(target=fork, daemon=True).start()
        time.sleep(0.05)
        return "forking"


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A hostile job and its end.

    ANY stands where the kernel, the keeper and the job race for who ends it.

    Attributes:
        what: The method of `Beast`.
        reason: A pattern of the whole of it, as are flags and notes.
        traceback: To be found in it; None if there must be none.
        worker: What is otherwise in the worker of a sequence.
        bare: What is otherwise where no cgroup holds the run.
        notes: What it wrote, by name.
        rootly: It takes root.
    """

    what: str
    outcome: Outcome
    reason: str
    value: Any = None
    limits: Limits = field(default_factory=lambda: Limits(wall=15, grace=5))
    exit_code: Any = None
    signal: Any = None
    result: Any = ANY
    flags: str = ""
    traceback: Any = None
    leftovers: Any = 0
    worker: dict[str, Any] = field(default_factory=dict)
    bare: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    rootly: bool = False
    number: int = 0

    def seen(self, kind: str) -> Specimen:
        """Return it as it is in one of the kinds of a sweep."""
        other = {"worker": self.worker, "bare": self.bare}.get(kind, {})
        return replace(self, **other)

    @property
    def name(self) -> str:
        return f"{self.number:02}-{self.what.replace('_', '-')}"

    def job(self, place: Path) -> Beast:
        home = place / self.name
        home.mkdir(exist_ok=True)
        return Beast(self.name, self.what, home, self.value)

    def faults(
        self, seen: Any, outcome: Outcome, reason: str, place: Path
    ) -> list[str]:
        """Return what is not as the table says.

        Args:
            seen: A Report or a RunRecord.
        """
        found = list(self._told(seen, outcome, reason))
        for name, pattern in self.notes.items():
            path = place / self.name / name
            text = path.read_text() if path.is_file() else "<no such note>"
            found += _unlike(f"the note {name}", pattern, text)
        return [f"{self.name}: {fault}" for fault in found]

    def _told(self, seen: Any, outcome: Outcome, reason: str) -> Iterator[str]:
        expected = {
            "outcome": (self.outcome, outcome),
            "exit code": (self.exit_code, seen.exit_code),
            "signal": (self.signal, seen.signal),
            "result": (self.result, seen.result),
            "leftovers": (self.leftovers, seen.leftovers),
        }
        for what, (wanted, got) in expected.items():
            if wanted is not ANY and wanted != got:
                yield f"{what} is {got!r}, not {wanted!r}"
        yield from _unlike("the reason", self.reason, reason)
        # That a worker is replaced is told of one in a sequence.
        flags = [each for each in seen.flags if "worker was replaced" not in each]
        yield from _unlike("the flags", self.flags, "; ".join(flags))
        trace = seen.traceback or ""
        if self.traceback is ANY:
            return
        if self.traceback is None and trace:
            yield f"there is a traceback: {trace}"
        elif self.traceback and not re.search(self.traceback, trace):
            yield f"the traceback lacks {self.traceback!r}: {trace}"


def _unlike(what: str, pattern: str, text: str) -> list[str]:
    if re.fullmatch(pattern, text, re.DOTALL):
        return []
    return [f"{what} is {text!r}, not like {pattern!r}"]


def _succeeds(what: str, value: Any = None, **more: Any) -> Specimen:
    given = {"reason": r"goal\(\) returned", "exit_code": 0, **more}
    return Specimen(what=what, value=value, outcome=Outcome.SUCCEEDED, **given)


def _fails(what: str, value: Any, line: str, **more: Any) -> Specimen:
    given = {
        "reason": rf"goal\(\) raised {line}",
        "exit_code": 1,
        "traceback": "",
        **more,
    }
    return Specimen(what=what, value=value, outcome=Outcome.FAILED, **given)


def _exits(value: Any, code: int, shown: str) -> Specimen:
    return Specimen(
        what="exits",
        value=value,
        outcome=Outcome.EXITED if code else Outcome.SUCCEEDED,
        reason=rf"goal\(\) called sys\.exit\({shown}\)",
        exit_code=code,
    )


def _leaves(what: str, value: Any, code: Any, **more: Any) -> Specimen:
    return Specimen(
        what=what,
        value=value,
        outcome=Outcome.EXITED,
        reason=rf"left with code {'[0-9]+' if code is ANY else code} before .*",
        exit_code=code,
        **more,
    )


def _crashes(what: str, number: int, trace: str | None = None, **more: Any) -> Specimen:
    name = signal.Signals(number).name
    by_hand = f"{name}: killed by a signal that procsched did not send"
    text = by_hand if number == signal.SIGKILL else f"crashed by {name}: .+"
    given = {"reason": text, "signal": number, "traceback": trace, **more}
    return Specimen(what=what, outcome=Outcome.CRASHED, **given)


def _times_out(what: str, trace: str | None = "", **more: Any) -> Specimen:
    given = {
        "reason": r"over its time limit of 0\.4 s",
        "limits": Limits(wall=0.4, grace=0.2),
        "exit_code": 1,
        "traceback": trace,
        **more,
    }
    return Specimen(what=what, outcome=Outcome.TIMED_OUT, **given)


def _eats(what: str, memory: str = "64MiB", **more: Any) -> Specimen:
    by_kernel = r"(killed by the kernel: |a process was killed by the kernel: )"
    text = rf"{by_kernel}memory limit \d+ MiB(, peak \d+ MiB)?"
    text += r"|over its memory limit of \d+ MiB(: \d+ MiB in use| \(MemoryError\))"
    given = {
        "reason": text,
        "limits": Limits(memory=memory, wall=15, grace=0.1),
        **_RACED,
        **more,
    }
    return Specimen(what=what, outcome=Outcome.OUT_OF_MEMORY, **given)


def _burns(what: str, **more: Any) -> Specimen:
    given = {
        "reason": r"over its CPU time limit of 1 s.*",
        "limits": Limits(cpu=1, wall=15, grace=0.2),
        **_RACED,
        **more,
    }
    return Specimen(what=what, outcome=Outcome.LIMIT_EXCEEDED, **given)


_KEPT: Final = "result was not JSON: its repr is kept"
_LINGERS: Final = "its process did not leave after its result: killed"
_DEAF: Final[dict[str, Any]] = {"exit_code": None, "signal": int(signal.SIGKILL)}
_RACED: Final[dict[str, Any]] = dict.fromkeys(
    ("exit_code", "signal", "traceback", "leftovers"), ANY
)
_LOST: Final = {
    "outcome": Outcome.LOST,
    "reason": "ended unseen: nobody can tell how",
    "flags": "its keeper was killed",
    "leftovers": ANY,
}

_UNEATEN: Final[dict[str, Any]] = {
    "outcome": Outcome.SUCCEEDED,
    "reason": r"goal\(\) returned",
}

_ROWS: Final = (
    # By the kernel
    _crashes("segfault", signal.SIGSEGV, "in segfault"),
    _crashes("segfault_in_a_thread", signal.SIGSEGV, "in segfault"),
    _crashes("segfault_in_silence", signal.SIGSEGV),
    _crashes("abort", signal.SIGABRT, "in abort"),
    _crashes("bus_error", signal.SIGBUS, "in bus_error"),
    _crashes("recurse_in_c", signal.SIGSEGV, "in recurse_in_c"),
    _crashes("kill_self", signal.SIGKILL),
    _crashes("kill_group", signal.SIGKILL),
    _crashes("alarm_itself", signal.SIGALRM),
    _crashes("break_a_pipe", signal.SIGPIPE),
    # By leaving
    _leaves("hard_exit", 4, 4),
    _leaves("hard_exit", 0, 0),
    _leaves("exit_in_a_thread", None, 6),
    _leaves("audit_and_die", None, 3),
    _leaves("leak_shared_memory", None, 5),
    _leaves("leak_shared_memory", None, 5, limits=Limits(memory="256MiB", wall=15)),
    _exits(None, 0, ""),
    _exits(3, 3, "3"),
    _exits(2**70, 255, r"\d+"),
    _exits("text", 1, "'text'"),
    # By what it says
    _fails("raises_class", "two arguments", "Shouting: ab"),
    _fails("raises_class", "no text", "Textless: <its text raises RuntimeError>"),
    _fails("raises_class", "exits in its text", "Leaving: <its text raises SystemE.*"),
    _fails("raises_class", "unsendable", "Unsendable: what"),
    _fails("raises_class", "odd base", "OddBase: odd"),
    _fails("raises_class", "keyboard", "KeyboardInterrupt"),
    _fails("raises_class", "endless", "ValueError: e+"),
    _fails("raises_class", "group", r"ExceptionGroup: several \(2 sub-exceptions\)"),
    _fails("recurse", None, "RecursionError: maximum recursion.*"),
    _succeeds("returns_made", "huge", result=None, flags=r"result of \d+ bytes was .*"),
    _succeeds("returns_made", "unsendable", result="Unsendable('r')", flags=_KEPT),
    _succeeds("returns_made", "lying", result={"a": 1}),
    _succeeds("returns_made", "unshowable", flags=_KEPT),
    _succeeds("returns_made", "nested", flags=_KEPT),
    _succeeds("reduce_to_murder", result="<innocent>", flags=_KEPT),
    _times_out("hang_in_text", **_DEAF),
    _times_out("hang_in_repr", **_DEAF),
    _eats("endless_result", bare=_UNEATEN | {"flags": _KEPT}),
    # By what it breaks
    _succeeds("close_descriptors", result={"still": "here"}),
    _succeeds("close_all_and_reopen"),
    _succeeds("close_standard", result="closed"),
    _succeeds("break_stdout", result="mute"),
    _succeeds("change_state"),
    _succeeds("remove_directory"),
    _succeeds("lower_hard_limit", rootly=True),
    _succeeds("speak_noise", "rubbish"),
    _succeeds("forge_word", {"verdict": "made up", "code": 0}, result="the true one"),
    _succeeds("tell_progress"),
    _succeeds("term_keeper", result="still here"),
    _succeeds("read_stdin", result="b''"),
    # By not ending
    _times_out("hang", "in hang"),
    _times_out("hang_and_clean_up", notes={"cleaned": "yes"}),
    _times_out("ignore_sigterm", **_DEAF, trace="in hang"),
    _times_out("swallow_everything", **_DEAF, trace="in swallow_everything"),
    _times_out("hold_the_gil", **_DEAF, trace="in hold_the_gil"),
    _times_out("stop_self"),
    _times_out("daemon_then_hang", leftovers=1),
    _times_out("tree", value="hang", leftovers=20),
    # By what it eats
    _eats("eat_memory"),
    _eats("eat_memory_in_crumbs"),
    _eats("eat_together", "100MiB"),
    _eats("eat_shared_memory", "100MiB"),
    _eats("eat_by_many", "100MiB"),
    _eats("map_memory"),
    # Mapped by nobody, it is no process's memory.
    _eats("fill_tmpfs", bare=_UNEATEN),
    _burns("burn"),
    _burns("burn_deaf"),
    _burns("burn_together"),
    _succeeds(
        "fork_bomb",
        limits=Limits(processes=10, wall=15, grace=0.1),
        flags=r"(over its limit of 10 processes: refused .*)?",
        leftovers=ANY,
    ),
    _succeeds("zombies", leftovers=ANY),
    _fails("open_many", None, ".*Too many open files.*", limits=Limits(open_files=50)),
    _fails("write_much", None, ".*File too large.*", limits=Limits(file_size="64KiB")),
    _fails("full_disk", None, ".*No space left on device.*"),
    _fails("full_filesystem", None, ".*No space left on device.*", rootly=True),
    _succeeds("flood", limits=Limits(output="64KiB"), flags=r"\d+ bytes of output .*"),
    _times_out("print_in_a_loop", flags=r"\d+ bytes of output left out"),
    _succeeds("audit_flood"),
    # By what it leaves
    _succeeds("daemon", leftovers=1),
    _succeeds("adopt_daemon", leftovers=1),
    _succeeds("stopped_daemon", leftovers=1),
    _succeeds("nameless", leftovers=1),
    _succeeds("relay", leftovers=ANY),
    _succeeds("tree", leftovers=20),
    _succeeds("threads_that_fork", leftovers=ANY),
    _succeeds("fork_comes_back", result="the run"),
    _succeeds("use_multiprocessing", "fork", result=[1, 2, 3]),
    _succeeds(
        "leave_thread",
        limits=Limits(grace=0.1),
        flags=_LINGERS,
        traceback="_shutdown",
    ),
    _succeeds("leave_daemon_thread"),
    _succeeds(
        "hang_at_exit",
        limits=Limits(grace=0.1),
        flags=_LINGERS,
        traceback="_leave",
        worker={"flags": "", "traceback": None},
    ),
    _succeeds("raise_at_exit", result="done"),
    _succeeds("leave_at_exit", result="done", exit_code=9, worker={"exit_code": 0}),
    _succeeds("fork_at_exit", result="done", leftovers=1, worker={"leftovers": 0}),
    # By what it does to its keeper
    Specimen(what="kill_keeper", **_LOST),
    Specimen(what="kill_keeper_and_live", **_LOST),
    # By what it does to the interpreter
    _leaves("break_json", None, ANY),
    _leaves("break_builtins", None, ANY),
    _succeeds("break_exit", exit_code=ANY),
    _leaves("trace_everything", None, ANY),
    _succeeds("forget_modules"),
)

ZOO: Final = tuple(
    replace(each, number=number)
    for number, each in enumerate(_ROWS)
    if not (each.rootly and os.geteuid())
)
