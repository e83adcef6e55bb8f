"""Jobs that crash, leak, hang and lie, and a pool to run them in.

A job writes what it saw into files of its own (`note`), so that a test need not
take our record's word for it.
"""

# ruff: noqa: T201 - a job prints

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import psutil

from procsched import Auditor, current_run
from procsched.clock import SystemClock
from procsched.core.messages import Event, StartRun, WorkerEnded, WorkerStarted
from procsched.core.policy import Limits
from procsched.core.verdict import Report, judge
from procsched.job import CommandJob, Job
from procsched.workers.payload import Payload, pack
from procsched.workers.pool import KeeperPool, Surroundings
from procsched.workers.tree import is_zombie

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from procsched.core.outcome import Outcome
    from procsched.core.recycle import Recycle

LIMIT_SECONDS: Final = 20.0
"""What any wait may take before the test has failed."""


@dataclass(frozen=True)
class Ending:
    """How a run ended, as the plan would record it."""

    outcome: Outcome
    reason: str
    report: Report
    seconds: float
    log: str

    @property
    def flags(self) -> str:
        return "; ".join(self.report.flags)


class World:
    """A pool in a directory of its own; leaving it checks that nothing is left."""

    def __init__(
        self,
        place: Path,
        *,
        echo: bool = False,
        spawn: bool = False,
        cgroups: bool = True,
    ) -> None:
        self.place = place
        self._before = descriptors()
        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        for name in ("logs", "spools", "reports"):
            (place / name).mkdir(exist_ok=True)
        self.payloads: dict[str, Payload] = {}
        around = Surroundings(
            wake_fd=self._wake[1],
            logs=place / "logs",
            spools=place / "spools",
            reports=place / "reports",
            outlet="procsched.audit.outlet",
            echo=echo,
            spawn=spawn,
            cgroups=cgroups,
        )
        self.pool = KeeperPool(around, payloads=self.payloads, clock=SystemClock())
        self.events: list[Event] = []
        self._numbers = count(1)
        self.prefix = "run"
        self._began: dict[str, float] = {}
        self.names: set[str] = set()

    def start(
        self,
        job: Job | Payload,
        *,
        limits: Limits | None = None,
        sequence: str | None = None,
        recycle: Recycle | None = None,
    ) -> str:
        run_id = f"{self.prefix}-{next(self._numbers)}"
        payload = job if isinstance(job, Payload) else pack(job)
        name = "declared" if isinstance(job, Payload) else job.name()
        self.payloads[run_id] = payload
        self._began[run_id] = time.monotonic()
        order = StartRun(
            run_id=run_id,
            job=name,
            code=run_id,
            nominal_time=datetime(2026, 1, 1, tzinfo=UTC),
            attempt=1,
            limits=limits or Limits(),
            sequence=sequence,
            recycle=recycle,
        )
        self.pool.start(order)
        self.names |= {grip.process.name for grip in self.pool._keepers}
        return run_id

    def until(self, done: Callable[[], Any], what: str) -> Any:
        """Read the pool until `done` is true, and return what it says."""
        end = time.monotonic() + LIMIT_SECONDS
        while True:
            self.events += self.pool.read()
            if found := done():
                return found
            left = end - time.monotonic()
            assert left > 0, f"{what} did not come within {LIMIT_SECONDS:g} s"
            if not self.pool.has_events:
                select.select([self.pool], [], [], min(left, 0.25))

    def started(self, run_id: str) -> int:
        """Wait until a run has reached its goal; return its pid."""
        event = self.until(lambda: self._find(WorkerStarted, run_id), "the start")
        pid: int = event.pid
        return pid

    def ended(self, run_id: str) -> Ending:
        event = self.until(lambda: self._find(WorkerEnded, run_id), "the end")
        outcome, reason = judge(event.report)
        log = self.pool.log_of(run_id)
        return Ending(
            outcome,
            reason,
            event.report,
            time.monotonic() - self._began[run_id],
            log.read_text(errors="replace") if log.is_file() else "",
        )

    def run(self, job: Job | Payload, **given: Any) -> Ending:
        return self.ended(self.start(job, **given))

    def _find(self, kind: type, run_id: str) -> Any:
        for event in self.events:
            if isinstance(event, kind) and event.run_id == run_id:  # type: ignore[attr-defined]
                return event
        return None

    def settle(self) -> None:
        """Wait until the modules are preloaded and a keeper is idle and up."""
        pool = self.pool

        def settled() -> bool:
            importing = getattr(pool._source, "_stage", None) is not None
            up = bool(pool._idle) and all(grip.up for grip in pool._keepers)
            stale = any(grip.stale and not grip.run_id for grip in pool._keepers)
            return up and not (importing or stale or pool._asked)

        self.until(settled, "the end of preparations")

    def note(self, name: str) -> str:
        """Wait for a job's note and return it."""
        path = self.place / name
        self.until(path.is_file, f"the note {name!r}")
        return path.read_text()

    def close(self) -> None:
        self.names |= {grip.process.name for grip in self.pool._keepers}
        self.pool.close()
        for fd in self._wake:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
        if kind is None:
            assert descriptors() == self._before
            assert bearers(self.names) == []


def descriptors() -> dict[int, str]:
    """Return this process's open descriptors and what they stand for."""
    found = {}
    for each in Path("/proc/self/fd").iterdir():
        try:
            found[int(each.name)] = str(each.readlink())
        except FileNotFoundError:
            # The one the folder was read through.
            continue
    return found


def bearers(names: set[str]) -> list[int]:
    """Return the processes that show one of the keepers' names, zombies too."""
    found = []
    for each in psutil.process_iter():
        try:
            words = each.cmdline()
        except psutil.Error:
            continue
        if names & set(words):
            found.append(each.pid)
    mine = [each.pid for each in psutil.Process().children(recursive=True)]
    zombies = [pid for pid in mine if is_zombie(pid)]
    return found + zombies


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and not is_zombie(pid)


def gone(pids: list[int], seconds: float) -> bool:
    """Wait until all are dead, by their pidfds."""
    end = time.monotonic() + seconds
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                return False
        finally:
            os.close(fd)
    return True


def fork_daemon(*, deaf: bool = True) -> int:
    """Fork twice and return the pid of what nobody waits for."""
    read, write = os.pipe()
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        if deaf:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.write(write, str(os.getpid()).encode())
        os.close(write)
        signal_less_sleep()
    os.close(write)
    pid = int(os.read(read, 20))
    os.close(read)
    os.wait()
    return pid


def signal_less_sleep() -> NoReturn:
    while True:
        time.sleep(100)


class Hostile(Job):
    """One of many: `what` names the method that is its goal."""

    def __init__(self, what: str, place: Path | None = None, value: Any = None) -> None:
        self.what = what
        self.place = place
        self.value = value

    def name(self) -> str:
        return self.what.replace("_", "-")

    def goal(self) -> Any:
        return getattr(self, self.what)()

    def write(self, name: str, text: object) -> None:
        assert self.place is not None
        part = self.place / f"{name}.part"
        part.write_text(str(text))
        part.rename(self.place / name)

    def returns(self) -> Any:
        return self.value

    def raises(self) -> None:
        raise self.value

    def raises_class(self) -> None:
        raise ERRORS[self.value]

    def returns_made(self) -> Any:
        return RESULTS[self.value]()

    def exits(self) -> None:
        sys.exit(self.value)

    def exits_by_class(self) -> None:
        raise SystemExit(*self.value)

    def hard_exit(self) -> None:
        print("before the end", flush=True)
        os._exit(self.value)

    def segfault(self) -> None:
        ctypes.string_at(0)

    def abort(self) -> None:
        os.abort()

    def kill_self(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_group(self) -> None:
        os.killpg(0, signal.SIGKILL)

    def close_descriptors(self) -> dict[str, str]:
        os.closerange(3, 300)
        return {"still": "here"}

    def close_all_and_reopen(self) -> str:
        os.closerange(3, 300)
        files = [
            os.open(f"{self.place}/mine-{each}", os.O_RDWR | os.O_CREAT)
            for each in range(8)
        ]
        current_run().heartbeat()
        return str(files)

    def hold_the_gil(self) -> None:
        sum(range(10**12))

    def hang(self) -> None:
        self.write("hangs", os.getpid())
        time.sleep(1000)

    def hang_and_clean_up(self) -> None:
        try:
            self.hang()
        finally:
            self.write("cleaned", "yes")

    def stopped_twice(self) -> None:
        try:
            self.hang()
        finally:
            # Long enough for the second request to come.
            self.write("cleaning", "yes")
            wait_for(Path(f"{self.place}/go-on"))
            self.write("cleaned", "yes")

    def ignore_sigterm(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.hang()

    def swallow_everything(self) -> None:
        self.write("hangs", os.getpid())
        while True:
            try:
                time.sleep(1000)
            except BaseException:  # noqa: BLE001, S112 - as bad jobs do
                continue

    def stop_self(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(1000)

    def poll_for_the_end(self) -> str:
        run = current_run()
        self.write("hangs", run.stopping)
        while not run.stopping:
            time.sleep(0.005)
        return "stopped nicely"

    def daemon(self) -> int:
        return fork_daemon()

    def daemon_then_hang(self) -> None:
        fork_daemon()
        time.sleep(1000)

    def daemon_by_exec(self) -> int:
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        return child.pid

    def tree(self) -> list[int]:
        """Twenty processes: five children with three each."""
        read, write = os.pipe()
        for _ in range(5):
            if not os.fork():
                for _ in range(3):
                    if not os.fork():
                        break
                os.write(write, f"{os.getpid()}\n".encode())
                signal_less_sleep()
        lines = b""
        while lines.count(b"\n") < 20:
            lines += os.read(read, 1000)
        os.close(read)
        os.close(write)
        self.write("tree", lines.decode())
        if self.value == "hang":
            self.hang()
        return [int(line) for line in lines.split()]

    def flood(self) -> None:
        print("the head")
        line = "x" * 99 + "\n"
        for _ in range(200):
            sys.stdout.write(line * 1000)
        print("the tail")

    def drip(self) -> None:
        """One byte at a time, unbuffered."""
        for _ in range(50_000):
            os.write(1, b".")

    def print_both(self) -> None:
        print("to stdout")
        print("to stderr", file=sys.stderr)
        os.write(1, b"to descriptor 1\n")
        print("no newline", end="")

    def eat_memory(self) -> int:
        kept = []
        while True:
            kept.append(bytearray(8 * 1024 * 1024))

    def eat_memory_in_crumbs(self) -> None:
        kept: list[Any] = []
        while True:
            kept.append([None])

    def burn(self) -> None:
        while True:
            pass

    def burn_deaf(self) -> None:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        self.burn()

    def burn_a_little(self) -> None:
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass

    def open_many(self) -> None:
        files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1000)]
        assert files

    def write_much(self) -> None:
        Path(f"{self.place}/big").write_bytes(bytes(1024 * 1024))

    def limits_seen(self) -> dict[str, Any]:
        return {
            name: resource.getrlimit(getattr(resource, name))
            for name in ("RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CPU")
        }

    def leave_thread(self) -> str:
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return "thread left"

    def leave_short_thread(self) -> str:
        threading.Thread(target=lambda: print("from the thread")).start()
        return "waited for"

    def leave_daemon_thread(self) -> int:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        return os.getpid()

    def hang_at_exit(self) -> str:
        # Exit handlers run last first: the note is there when the other hangs.
        atexit.register(time.sleep, 1000)
        atexit.register(self.write, "leaving", "the word has been said")
        return "done"

    def raise_and_hang_at_exit(self) -> None:
        atexit.register(time.sleep, 1000)
        raise ValueError("the real end")

    def say_at_exit(self) -> str:
        atexit.register(lambda: self.write("at-exit", os.getpid()))
        return "done"

    def kill_keeper(self) -> None:
        self.write("daemon", fork_daemon())
        self.write("session", subprocess.Popen(["sleep", "1000"], env={}).pid)
        self.write("keeper", os.getppid())
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1000)

    def stop_keeper(self) -> None:
        os.kill(os.getppid(), signal.SIGSTOP)
        self.write("keeper", f"{os.getppid()} {os.getpid()}")
        time.sleep(1000)

    def term_keeper(self) -> str:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            os.kill(os.getppid(), number)
        return "still here"

    def read_stdin(self) -> str:
        return sys.stdin.read() + repr(os.read(0, 10))

    def fork_comes_back(self) -> str:
        child = os.fork()
        if not child:
            message = "the fork"
            raise ValueError(message)
        os.waitpid(child, 0)
        return "the run"

    def stop_forks(self) -> list[int]:
        # On one processor the child has not taken a step when the signal comes.
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        return [self.stop_a_fork() for _ in range(50)]

    def stop_a_fork(self) -> int:
        child = os.fork()
        if not child:
            # In steps: a signal just before a sleep does not cut it short.
            for _ in range(500):
                time.sleep(0.01)
            os._exit(0)
        os.kill(child, signal.SIGTERM)
        return os.WTERMSIG(os.waitpid(child, 0)[1])

    def look_around(self) -> dict[str, Any]:
        known = {number: signal.getsignal(number) for number in signal.valid_signals()}
        return {
            "descriptors": sorted(descriptors().items()),
            "session": [os.getpid(), os.getsid(0), os.getpgid(0), os.getppid()],
            "handlers": {
                signal.Signals(number).name: str(handler)
                for number, handler in known.items()
                if handler is not signal.SIG_DFL and number in list(signal.Signals)
            },
            "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "variables": {
                key: value
                for key, value in os.environ.items()
                if key.startswith("PROCSCHED_")
            },
            "stdin": str(Path("/proc/self/fd/0").readlink()),
            "threads": threading.active_count(),
            "modules": sorted(sys.modules),
        }

    def look_at_state(self) -> dict[str, Any]:
        mask = os.umask(0)
        os.umask(mask)
        return {
            "pid": os.getpid(),
            "directory": str(Path.cwd()),
            "umask": mask,
            "environ": os.environ.get("LEFT_BEHIND"),
            "path": "/left/behind" in sys.path,
            "hup": str(signal.getsignal(signal.SIGHUP)),
            "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "run": current_run().run_id,
            "stdout": sys.stdout.closed,
        }

    def change_state(self) -> int:
        os.chdir("/")
        os.umask(0o027)
        os.environ["LEFT_BEHIND"] = "yes"
        sys.path.append("/left/behind")
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 100)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(7)[1]))
        sys.stdout.close()
        faulthandler.disable()
        return os.getpid()

    def remove_directory(self) -> int:
        doomed = Path(f"{self.place}") / "doomed"
        doomed.mkdir()
        os.chdir(doomed)
        doomed.rmdir()
        return os.getpid()

    def lower_hard_limit(self) -> int:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        os.setgroups([])
        os.setuid(65534)
        return os.getpid()

    def leave_file_open(self) -> int:
        os.open(os.devnull, os.O_RDONLY)
        return os.getpid()

    def tell_progress(self) -> None:
        for each in range(1, 2001):
            current_run().progress(each, 2000)
            current_run().heartbeat()

    def audit(self) -> int:
        Auditor.audit_params("said", "by", self.value)
        print("printed by", self.value)
        return os.getpid()

    def audit_and_die(self) -> None:
        for each in range(200):
            Auditor.audit_params("said", "ok", each)
        os._exit(3)

    def speak_noise(self) -> str:
        """Write rubbish into every socket that can be found."""
        for fd, target in descriptors().items():
            if target.startswith("socket:"):
                os.write(fd, json.dumps(self.value).encode() * 3)
        return "noise"

    def forge_word(self) -> str:
        body = json.dumps({"kind": "word", **self.value}).encode()
        for fd, target in descriptors().items():
            if target.startswith("socket:"):
                os.write(fd, len(body).to_bytes(4) + body)
        return "the true one"

    def eat_together(self) -> None:
        """Eat in five processes what none of them may alone."""
        for _ in range(4):
            if not os.fork():
                break
        eaten = bytearray(60_000_000)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(20)

    def eat_shared_memory(self) -> None:
        from multiprocessing import shared_memory

        block = shared_memory.SharedMemory(create=True, size=400_000_000)
        block.unlink()
        assert block.buf is not None
        for at in range(0, 400_000_000, 4096):
            block.buf[at] = 1

    def burn_together(self) -> None:
        """Burn in four processes what none of them may alone."""
        for _ in range(3):
            if not os.fork():
                break
        end = time.process_time() + 0.8
        while time.process_time() < end:
            pass
        time.sleep(10)

    def fork_many(self) -> int:
        made = 0
        for _ in range(50):
            try:
                if not os.fork():
                    time.sleep(20)
                    os._exit(0)
            except BlockingIOError:
                break
            made += 1
        return made

    def tell_surroundings(self) -> list[Any]:
        mask = os.umask(0)
        return [
            os.getpriority(os.PRIO_PROCESS, 0),
            mask,
            str(Path.cwd()),
            sorted(os.sched_getaffinity(0)),
            os.environ.get("SAID"),
            os.environ.get("A_SECRET"),
        ]

    def use_multiprocessing(self) -> Any:
        import multiprocessing

        method = multiprocessing.get_context(self.value)
        with method.Pool(2) as pool:
            return pool.map(abs, [-1, -2, -3])

    def leak_shared_memory(self) -> str:
        from multiprocessing import resource_tracker, shared_memory

        block = shared_memory.SharedMemory(create=True, size=4096)
        self.write("memory", block.name)
        tracker = resource_tracker._resource_tracker._pid
        # Until it has executed its program: killed in a fork it is nobody yet.
        while b"resource_tracker" not in Path(f"/proc/{tracker}/cmdline").read_bytes():
            time.sleep(0.001)
        os._exit(5)


class Shouting(Exception):  # noqa: N818 - what a user might write
    def __init__(self, left: str, right: str) -> None:
        super().__init__(left + right)


class Textless(Exception):  # noqa: N818 - what a user might write
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Leaving(Exception):  # noqa: N818 - what a user might write
    def __str__(self) -> str:
        raise SystemExit(9)

    __repr__ = __str__


class Unsendable(Exception):  # noqa: N818 - what a user might write
    def __reduce__(self) -> NoReturn:
        os._exit(77)


class OddBase(BaseException):
    pass


class NotEven(MemoryError):  # noqa: N818 - what a user might write
    pass


class LyingDict(dict[str, Any]):
    """Shows one thing when asked first, and another after."""

    def __init__(self) -> None:
        super().__init__(a=1)
        self.asked = 0

    def items(self) -> Any:
        self.asked += 1
        if self.asked > 1:
            raise RuntimeError("asked twice")
        return super().items()


class Unshowable:
    def __repr__(self) -> str:
        raise KeyboardInterrupt


def _nested() -> Any:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


ERRORS: Final[dict[str, BaseException]] = {
    "two arguments": Shouting("a", "b"),
    "no text": Textless(),
    "exits in its text": Leaving(),
    "unsendable": Unsendable("what"),
    "odd base": OddBase("odd"),
    "keyboard": KeyboardInterrupt(),
    "endless": ValueError("e" * 10_000_000),
    "lines": ValueError("one\ntwo\x00three\ud800"),
    "group": ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
    "memory": NotEven("none left"),
}

RESULTS: Final[dict[str, Callable[[], Any]]] = {
    "object": object,
    "nan": lambda: float("nan"),
    "huge": lambda: "h" * 2_000_000,
    "unsendable": lambda: Unsendable("r"),
    "lying": LyingDict,
    "unshowable": Unshowable,
    "nested": _nested,
    "surrogate": lambda: {"text": "\ud800"},
    "long number": lambda: 10**5000,
    "tuple": lambda: (1, {2: 3}),
    "generator": lambda: (each for each in ()),
}


def wait_for(path: Path) -> None:
    """Wait in a job until a test makes a file; a FIFO would do it for one reader."""
    end = time.monotonic() + LIMIT_SECONDS
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.005)


class CommandLike(CommandJob):
    """A command by inheritance, with nothing of its own."""


class Thoughtful(CommandJob):
    """A command's class with a goal of its own, which is plain Python."""

    def goal(self) -> Any:
        return f"not {self.command[0]}"


class Outer:
    class Inner(Job):
        def goal(self) -> str:
            return "nested"


class NeedsArguments(Job):
    def __init__(self, text: str) -> None:
        self.text = text

    def goal(self) -> str:
        return self.text
