"""Jobs for tests of the whole: importable by a run's process, and light there.

A job that has to go on until the test has seen something reads from a FIFO,
which ends when the test writes to it: nobody sleeps.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

from procsched import Auditor, Job, Limits, current_run

if TYPE_CHECKING:
    from pathlib import Path


class Named(Job):
    """A job that is told its name."""

    def __init__(self, name: str = "job") -> None:
        self._name = name

    def name(self) -> str:
        return self._name

    def goal(self) -> Any:
        return {"pid": os.getpid()}


class Tells(Named):
    """Says what it is in the trail."""

    def goal(self) -> str:
        Auditor.audit_params("told", "success", {"job": current_run().job})
        return "told"


class Held(Named):
    """Goes on until somebody writes to its FIFO."""

    def __init__(self, name: str, fifo: Path) -> None:
        super().__init__(name)
        self.fifo = fifo

    def goal(self) -> str:
        Auditor.audit_params("at work", "success", os.getpid())
        return self.fifo.read_text()


class Sleeps(Named):
    """Goes on for longer than any test."""

    def goal(self) -> None:
        Auditor.audit_params("at work", "success", os.getpid())
        time.sleep(600)


class Stubborn(Named):
    """Heeds no soft stop."""

    def goal(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Auditor.audit_params("at work", "success", os.getpid())
        while True:
            time.sleep(600)


class Grows(Named):
    """Has a tree of 20 processes below it: children, grandchildren, daemons."""

    COUNT: ClassVar[int] = 20

    def goal(self) -> None:
        pids = []
        for number in range(self.COUNT // 2):
            # A shell with a child of its own: two processes.
            shell = subprocess.Popen(
                ["sh", "-c", "sleep 600 & echo $!; wait"],
                stdout=subprocess.PIPE,
                start_new_session=number % 2 == 0,
            )
            assert shell.stdout is not None
            pids += [shell.pid, int(shell.stdout.readline())]
        Auditor.audit_params("at work", "success", pids)
        time.sleep(600)


class Daemon(Named):
    """Leaves a double-forked daemon in a session of its own."""

    def goal(self) -> None:
        ours, theirs = os.pipe()
        if not os.fork():
            os.setsid()
            if not os.fork():
                os.write(theirs, str(os.getpid()).encode())
                time.sleep(600)
            os._exit(0)
        Auditor.audit_params("at work", "success", [int(os.read(ours, 32))])
        time.sleep(600)


class Crashes(Named):
    """Dies by a signal of its own making."""

    def goal(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)


class Raises(Named):
    def goal(self) -> None:
        message = "on purpose"
        raise ValueError(message)


class Printing(Named):
    def goal(self) -> dict[str, Any]:
        print("one line")  # noqa: T201 - a job prints
        return {"answer": 42}


class Limited(Named):
    limits = Limits(wall=17, memory="512MiB")


class NotJson(Named):
    """Cannot be sent: it holds an open file."""

    def __init__(self) -> None:
        super().__init__("holder")
        self.file = sys.stdout


class Wanted(Named):
    """Declared in a configuration with an argument."""

    def __init__(self, greeting: str) -> None:
        super().__init__(f"wanted-{greeting}")
        self.greeting = greeting

    def goal(self) -> str:
        return self.greeting


class Picky(Named):
    def __init__(self, *, colour: str) -> None:
        super().__init__("picky")
        self.colour = colour


class Nameless(Named):
    def name(self) -> str:
        return ""


class Unlimited(Named):
    limits = {"wall": 3}  # type: ignore[assignment]  # noqa: RUF012 - the fault


no_job = "a text"
