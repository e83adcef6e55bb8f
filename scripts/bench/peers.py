"""The competitors of scripts/bench/isolation, each in a process of its own.

    python -c "...; import peers; peers.serve('pebble')"

One process per competitor, so that each has the small heap it would have alone;
nothing is imported that the competitor does not need.  It is told over its stdin
how often to run nothing, and answers with how long each time took.  Started with
-c: a method that executes `__main__` again in its children then finds none.

Imports: nothing of ours until procsched itself is asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Work = Callable[[], object]

ROOT = Path(__file__).resolve().parent.parent.parent
WORKERS = os.cpu_count() or 1
"""Of the pools that keep some: as many as procsched would use."""

MOST_SECONDS = 20.0
"""What anything here may take."""

BLOCK_SECONDS = 1.0
"""What a block of turns may take."""

FORK = "os.fork + waitpid"

BARE = """
import os, sys, time
def fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
def note(file):
    pid = os.fork()
    if not pid:
        os.pwrite(file, b"%.9f" % time.monotonic(), 0)
        os._exit(0)
    os.waitpid(pid, 0)
    return 1e6 * (time.monotonic() - float(os.pread(file, 40, 0)))
for line in sys.stdin:
    turns, pause, seconds, path = line.split()
    file = os.open(path, os.O_RDWR | os.O_CREAT) if path != "-" else None
    fork()
    took = []
    end = time.perf_counter() + float(seconds)
    while len(took) < int(turns) and time.perf_counter() < end:
        if float(pause):
            time.sleep(float(pause))
        began = time.perf_counter()
        noticed = note(file) if file else fork()
        took.append(noticed or 1e6 * (time.perf_counter() - began))
    print(took, flush=True)
"""
"""The reference: an interpreter that has imported nothing."""


def serve(name: str) -> None:
    """Be a competitor until stdin ends."""
    orders = os.fdopen(os.dup(0))
    answers = os.fdopen(os.dup(1), "w")
    # What the competitors print is not for the one who asks.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    with COMPETITORS[name]() as work:
        for line in orders:
            took = times(work, **json.loads(line))
            answers.write(json.dumps(took) + "\n")
            answers.flush()


def times(work: Work, turns: int, pause: float, seconds: float) -> list[float]:
    """Return how long each turn took, in us; as many as the seconds allow."""
    work()
    took = []
    end = time.perf_counter() + seconds
    while len(took) < turns and time.perf_counter() < end:
        if pause:
            time.sleep(pause)
        began = time.perf_counter()
        work()
        took.append(1e6 * (time.perf_counter() - began))
    return took


@contextlib.contextmanager
def of_multiprocessing(method: str) -> Iterator[Work]:
    """Start and join a stock Process."""
    import multiprocessing

    context: Any = multiprocessing.get_context(method)

    def work() -> None:
        process = context.Process(target=os.getpid)
        process.start()
        process.join()

    yield work


@contextlib.contextmanager
def pipe() -> Iterator[Work]:
    """Send a small object to a process and get it back."""
    import multiprocessing

    ours, theirs = multiprocessing.Pipe()

    def echo() -> None:
        ours.close()
        with contextlib.suppress(EOFError):
            while True:
                theirs.send(theirs.recv())

    process = multiprocessing.get_context("fork").Process(target=echo)
    process.start()
    theirs.close()

    def work() -> None:
        ours.send({"run": 1})
        ours.recv()

    yield work
    ours.close()
    process.join()


@contextlib.contextmanager
def executor() -> Iterator[Work]:
    """Use the standard library's pool, with one task per process."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(
        WORKERS,
        mp_context=multiprocessing.get_context("forkserver"),
        max_tasks_per_child=1,
    ) as pool:
        yield lambda: pool.submit(os.getpid).result(MOST_SECONDS)


@contextlib.contextmanager
def pebble() -> Iterator[Work]:
    """Use Pebble's pool, with one task per process."""
    import multiprocessing

    from pebble import ProcessPool

    context = multiprocessing.get_context("fork")
    with ProcessPool(WORKERS, max_tasks=1, context=context) as pool:
        yield lambda: pool.schedule(os.getpid).result(MOST_SECONDS)


@contextlib.contextmanager
def apscheduler() -> Iterator[Work]:
    """Have APScheduler 3 run a job now, in its process pool."""
    import logging
    import multiprocessing
    import threading

    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
    from apscheduler.executors.pool import ProcessPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.disable()
    context = multiprocessing.get_context("forkserver")
    kwargs = {"max_tasks_per_child": 1, "mp_context": context}
    scheduler = BackgroundScheduler(
        executors={"default": ProcessPoolExecutor(WORKERS, pool_kwargs=kwargs)},
        timezone="UTC",
    )
    done = threading.Event()
    scheduler.add_listener(lambda _: done.set(), EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.start()

    def work() -> None:
        done.clear()
        scheduler.add_job("posix:getpid", misfire_grace_time=None)
        if not done.wait(MOST_SECONDS):
            message = "the run did not end"
            raise TimeoutError(message)

    yield work
    scheduler.shutdown()


@contextlib.contextmanager
def procsched(sequence: str | None = None) -> Iterator[Work]:
    """Make a run in a warm pool of keepers."""
    from layer import Layer

    with Layer() as layer:
        yield lambda: layer.run("nothing", sequence=sequence)


@contextlib.contextmanager
def baseline() -> Iterator[Work]:
    """Compare a worker whose run has changed nothing."""
    sys.path.insert(0, str(ROOT))
    from procsched.workers import goal
    from procsched.workers.baseline import Baseline

    goal.prepare_python(os.open(os.devnull, os.O_WRONLY))
    kept = Baseline()
    yield kept.put_back


COMPETITORS: dict[str, Callable[[], contextlib.AbstractContextManager[Work]]] = {
    "multiprocessing fork": lambda: of_multiprocessing("fork"),
    "multiprocessing forkserver": lambda: of_multiprocessing("forkserver"),
    "multiprocessing spawn": lambda: of_multiprocessing("spawn"),
    "ProcessPoolExecutor, 1 task": executor,
    "pebble ProcessPool, 1 task": pebble,
    "APScheduler 3 pool, 1 task": apscheduler,
    "procsched, process layer": procsched,
    "multiprocessing.Pipe": pipe,
    "procsched, a sequence": lambda: procsched("one"),
    "of it: put back": baseline,
}


class Competitor:
    """One of them, as the one who asks holds it."""

    def __init__(self, name: str, python: str = sys.executable) -> None:
        self.name = name
        self._bare = name == FORK
        import subprocess

        here = str(Path(__file__).parent)
        code = f"import sys; sys.path.insert(0, {here!r}); import peers; "
        command = [python, "-c", f"{code}peers.serve({name!r})"]
        if self._bare:
            command = [sys.executable, "-I", "-S", "-c", BARE]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(
        self, turns: int, pause: float, seconds: float = BLOCK_SECONDS, path: str = "-"
    ) -> None:
        """Have it run nothing a number of times."""
        order = {"turns": turns, "pause": pause, "seconds": seconds}
        line = f"{turns} {pause} {seconds} {path}" if self._bare else json.dumps(order)
        assert self._process.stdin is not None  # noqa: S101 - piped above
        with contextlib.suppress(BrokenPipeError):
            # It has died, which its answer tells.
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def answer(self) -> list[float]:
        """Return how long each turn took, in us; none if it has died."""
        assert self._process.stdout is not None  # noqa: S101 - piped above
        line = self._process.stdout.readline()
        took: list[float] = json.loads(line) if line else []
        return took

    def close(self) -> None:
        """Send it away."""
        import subprocess

        assert self._process.stdin is not None  # noqa: S101 - piped above
        with contextlib.suppress(BrokenPipeError):
            # As above: what it was last told is still in the buffer.
            self._process.stdin.close()
        try:
            self._process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def python_of_others() -> str | None:
    """Return the interpreter that has the others, made if need be."""
    import shutil
    import subprocess

    lock = (ROOT / "requirements" / "bench.lock").read_text()
    venv = ROOT / ".venv-bench"
    python, stamp = venv / "bin" / "python", venv / "tools"
    if stamp.is_file() and stamp.read_text() == lock + sys.version:
        return str(python)
    print("making .venv-bench, once", file=sys.stderr)
    shutil.rmtree(venv, ignore_errors=True)
    base = [sys.executable, "-m", "venv", str(venv)]
    pip = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
    for command in (base, [*pip, "-r", str(ROOT / "requirements" / "bench.lock")]):
        if subprocess.run(command, check=False).returncode:
            print("no .venv-bench: without pebble and APScheduler", file=sys.stderr)
            return None
    stamp.write_text(lock + sys.version)
    return str(python)
