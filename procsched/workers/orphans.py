"""What is left of a run whose keeper was killed: the last resort, by psutil.

A run's process dies with its keeper (prctl(2), PR_SET_PDEATHSIG).  What it
started is known by three marks: what was only forked still shows the keeper's
command line, which bears a name of its own; what has executed a program shows
the run id in its environment; and what has done neither is in the run's session.
A program that was started with an empty environment in a session of its own
bears none, and only a cgroup would hold it.

psutil looks and kills here, and never waits: its `wait()` would take the exit
status that somebody else is waiting for.

Imports: nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psutil

from procsched.workers.tree import start_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "PROCSCHED_RUN_ID"
"""The variable that every program below a run has in its environment."""

ROUNDS: Final = 5
"""Looks at the process table: what was forking during one is found by the next."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What the processes of a run are known by.

    Attributes:
        keeper: Its pid, and the name in its command line.
        goal: The run's own process, by pid and start time; None if it never said
            that it was there.
    """

    run_id: str
    keeper: tuple[int, str]
    goal: tuple[int, int | None] | None


def kill_orphans(traces: Traces) -> int:
    """Kill what is left of a run; return how many processes beside its own."""
    killed: set[int] = set()
    with contextlib.suppress(OSError):
        # No descriptor left to read the process table with: what was found counts.
        for _ in range(ROUNDS):
            found = list(_of_run(traces))
            for each in found:
                with contextlib.suppress(psutil.Error):
                    # Gone since we looked.
                    each.kill()
                    killed.add(each.pid)
            if not found:
                break
    own = None if traces.goal is None else traces.goal[0]
    return len(killed - {own})


def _of_run(traces: Traces) -> Iterator[psutil.Process]:
    session = _session_of(traces.goal)
    for each in psutil.process_iter():
        if each.pid in (os.getpid(), traces.keeper[0]):
            continue
        try:
            if each.status() == psutil.STATUS_ZOMBIE:
                continue
            marked = (
                os.getsid(each.pid) == session
                or traces.keeper[1] in each.cmdline()
                or each.environ().get(MARK) == traces.run_id
            )
        except (psutil.Error, ProcessLookupError, PermissionError):
            # Gone, or another user's and so none of ours.
            continue
        if marked:
            yield each


def _session_of(goal: tuple[int, int | None] | None) -> int | None:
    """Return the run's session, unless its number has gone to a stranger."""
    if goal is None:
        return None
    pid, born = goal
    return pid if start_ticks(pid) in (born, None) else None
