"""What the interpreter of a run writes to: its streams, and faulthandler's file.

Imports: workers.word.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
from typing import Final, TextIO

from procsched.workers import word

DUMP_SIGNAL: Final = signal.SIGUSR2
"""Asks the process to write all its stacks (faulthandler.register)."""


def prepare_python(crash: int) -> None:
    """Give the interpreter its streams, and faulthandler its file.

    Done by the keeper for all that it forks, and by a worker after each run.
    """
    watch_crashes(crash)
    # multiprocessing opens its own at whatever number is free.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115 - for life
    sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[misc, assignment]
    sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[misc, assignment]
    word.reserve_memory()


def watch_crashes(crash: int) -> None:
    """Have faulthandler write into the file that the keeper reads."""
    faulthandler.enable(crash)
    faulthandler.register(DUMP_SIGNAL, crash, all_threads=True)


def _stream(fd: int) -> TextIO:
    """Return a text stream whose lines reach the log even if a kill follows."""
    return open(
        fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )


def flush() -> None:
    """Flush what stands for the standard streams, whatever that is by now."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001, S112 - whatever the job has put there
            # What it wrote before is out.
            continue
