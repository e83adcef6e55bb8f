"""What is left of a run whose keeper was killed: the last resort, by psutil.

A run's process dies with its keeper (prctl(2), PR_SET_PDEATHSIG); what it
started is known by its session, and by the run id in the environment of every
program it has executed.  psutil looks and kills here, and never waits: its
`wait()` would take the exit status that somebody else is waiting for.

Imports: nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "PROCSCHED_RUN_ID"
"""The variable that every program below a run has in its environment."""

ROUNDS: Final = 5
"""Looks at the process table: what was forking during one is found by the next."""


def identify(pid: int) -> psutil.Process | None:
    """Return a process by pid and start time; None if it is gone."""
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def kill_orphans(run_id: str, goal: psutil.Process | None) -> int:
    """Kill what is left of a run; return how many processes that were."""
    killed: set[int] = set()
    for _ in range(ROUNDS):
        found = list(_of_run(run_id, goal))
        if not found:
            break
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                # Gone since we looked.
                each.kill()
                killed.add(each.pid)
    return len(killed)


def _of_run(run_id: str, goal: psutil.Process | None) -> Iterator[psutil.Process]:
    for each in psutil.process_iter():
        try:
            if each.status() == psutil.STATUS_ZOMBIE or each.pid == os.getpid():
                continue
            in_session = goal is not None and os.getsid(each.pid) == goal.pid
            if in_session or each.environ().get(MARK) == run_id:
                yield each
        except (psutil.Error, ProcessLookupError, PermissionError):
            # Gone, or another user's and so none of ours.
            continue
