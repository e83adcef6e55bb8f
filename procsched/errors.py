"""The error tree: what is wrong, then what to do about it.

    ProcschedError
    ├── ScheduleConfigError      a schedule that says nothing, or two things
    ├── ConfigError              a configuration file, with all its faults
    ├── JobError                 a job that cannot be scheduled
    │   └── DuplicateJobError    its name is taken
    ├── UnknownJobError          no such job
    ├── UnknownRunError          no such run
    ├── SchedulerError           a call that does not fit the scheduler's state
    ├── StateDirectoryError      a state directory that cannot be used
    ├── AuditError               a record or an agent that cannot be taken
    ├── StartError               a child that could not be started
    └── StateError               our own fault: an event without a row

Every message ends in what to do next; the signature demands it.

Imports: nothing of ours.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


class ProcschedError(Exception):
    """Base of the tree.

    Args:
        problem: What is wrong, as a full clause without a full stop.
        remedy: What the reader can do about it, as an imperative.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}.")
        self.problem = problem
        self.remedy = remedy

    # Without this a keyword-only argument makes the error fail to unpickle, and
    # errors do travel between processes.
    def __reduce__(self) -> tuple[partial[Self], tuple[str]]:
        return partial(type(self), remedy=self.remedy), (self.problem,)


class ScheduleConfigError(ProcschedError, ValueError):
    """A schedule that says nothing, or two things."""


class ConfigError(ProcschedError, ValueError):
    """A configuration file that cannot be used; `str` lists every fault."""


class JobError(ProcschedError, ValueError):
    """A job that cannot be scheduled."""


class DuplicateJobError(JobError):
    """A job whose name is taken."""


class UnknownJobError(ProcschedError, LookupError):
    """A job id that the scheduler does not know."""


class UnknownRunError(ProcschedError, LookupError):
    """A run id that the scheduler does not know."""


class SchedulerError(ProcschedError, RuntimeError):
    """A call that does not fit the state the scheduler is in."""


class StateDirectoryError(ProcschedError, OSError):
    """A state directory that cannot be used."""


class AuditError(ProcschedError, ValueError):
    """An audit record or agent that cannot be taken."""


class StartError(ProcschedError, RuntimeError):
    """A child process that could not be started."""


class StateError(ProcschedError, RuntimeError):
    """Our own fault: something happened that no row of a table foresees."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, or None when none is close."""
    # On use: it is more code than a whole run of ours has beside it.
    from difflib import get_close_matches

    by_fold = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def listed(names: Iterable[str]) -> str:
    """Return names for a message: sorted, quoted, or "none" without any."""
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
