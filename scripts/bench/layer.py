"""procsched's process layer, driven without plan and history.

A supervisor's side of the keepers and nothing else, as scripts/bench/isolation
measures it.

Imports: nothing of ours until a Layer is made.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent

MOST_SECONDS = 20.0
"""What anything here may take."""

JOBS = '''
"""What the runs of the benchmark do."""

import os
import signal
import struct
import time

from procsched.job import Job


def tell(path, place, *numbers):
    """Write numbers where the benchmark looks for them."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.pwrite(fd, struct.pack(f"{len(numbers)}d", *numbers), place * 8)
    os.close(fd)


class Task(Job):
    def __init__(self, what, path="", place=0):
        self.what, self.path, self.place = what, path, place

    def goal(self):
        getattr(self, self.what)()

    def nothing(self):
        pass

    def nap(self):
        time.sleep(0.3)

    def leave(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, struct.pack("d", time.monotonic()), 0)
        os._exit(0)

    def hang(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        tell(self.path, self.place, time.monotonic(), os.getpid())
        while True:
            time.sleep(100)

    def tree(self):
        """Ten processes that heed no signal."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pids = [os.getpid()]
        for _ in range(9):
            pid = os.fork()
            if not pid:
                while True:
                    time.sleep(100)
            pids.append(pid)
        tell(self.path, self.place, *pids)
        while True:
            time.sleep(100)
'''


class Layer:
    """procsched's process layer: a pool of keepers, without plan and history."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT))
        from procsched.clock import SystemClock
        from procsched.workers.pool import KeeperPool, Surroundings

        self._folder = tempfile.TemporaryDirectory()
        self.place = Path(self._folder.name)
        (self.place / "bench_jobs.py").write_text(JOBS)
        sys.path.insert(0, str(self.place))
        self._wake = os.pipe()
        around = Surroundings(
            wake_fd=self._wake[1],
            logs=self.place,
            spools=self.place,
            reports=self.place,
            outlet="procsched.audit.outlet",
            echo=False,
        )
        self._payloads: dict[str, Any] = {}
        self._count = 0
        self.pool = KeeperPool(around, payloads=self._payloads, clock=SystemClock())

    def start(
        self,
        what: str,
        *,
        sequence: str | None = None,
        limits: Any = None,
        **given: Any,
    ) -> str:
        """Order a run; return its id.

        Args:
            given: Arguments of the Task.
        """
        from datetime import UTC, datetime

        from procsched.core.messages import StartRun
        from procsched.core.policy import Limits
        from procsched.workers.payload import Payload

        self._count += 1
        run_id = f"run-{self._count}"
        code = f"{what} {given}"
        if code not in self._payloads:
            self._payloads[code] = Payload(
                target="bench_jobs:Task", arguments={"what": what, **given}
            )
        now = datetime.now(UTC)
        self.pool.start(
            StartRun(
                run_id=run_id,
                job=what,
                code=code,
                nominal_time=now,
                attempt=1,
                limits=limits or Limits(),
                sequence=sequence,
            )
        )
        return run_id

    def events(self) -> list[tuple[float, Any]]:
        """Wait for events and return them, each with when it came (monotonic)."""
        if not self.pool.has_events:
            select.select([self.pool], [], [], MOST_SECONDS)
        found = self.pool.read()
        now = time.monotonic()
        return [(now, each) for each in found]

    def wait(self, kind: str, run_ids: set[str]) -> dict[str, float]:
        """Return when `WorkerStarted` or `WorkerEnded` came for each of the runs."""
        came: dict[str, float] = {}
        end = time.monotonic() + 3 * MOST_SECONDS
        while len(came) < len(run_ids):
            for now, event in self.events():
                if type(event).__name__ == kind and event.run_id in run_ids:
                    came[event.run_id] = now
            if time.monotonic() > end:
                message = f"{len(run_ids) - len(came)} runs told no {kind}"
                raise TimeoutError(message)
        return came

    def run(self, what: str, **given: Any) -> float:
        """Make a run; return when its end was known."""
        run_id = self.start(what, **given)
        return self.wait("WorkerEnded", {run_id})[run_id]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()
        for fd in self._wake:
            os.close(fd)
        self._folder.cleanup()
