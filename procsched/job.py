"""What a user writes: a Job with a name and a goal; and what a goal may ask.

`goal()` runs in a process of its own.  Inside it, `current_run()` tells which
run this is and carries word of it back.  This module is all that a child needs
of ours, so it imports next to nothing.

Imports: errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from procsched.errors import JobError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from procsched.core.policy import Limits


class Job:
    """The code to run.  Derive from it, and write `name` and `goal`.

    Attributes:
        limits: The class's own default limits; what a schedule says wins.
    """

    limits: ClassVar[Limits | None] = None

    def name(self) -> str:
        """Return the job's identifier: unique in its scheduler, one line."""
        return type(self).__name__

    def goal(self) -> Any:
        """Do the work, in a process of its own.

        Returns:
            The run's result, if JSON can hold it; anything else is recorded as
            its repr.
        """
        raise NotImplementedError


class CommandJob(Job):
    """A job that is any program: its exit code decides, 0 for success.

    The program takes the place of the child (execvpe(3)), so its pid, its
    signals and its exit code are the run's.

    Args:
        name: The job's identifier.
        command: The program and its arguments; no shell is involved.
        env: Variables beside the ones a run has anyway.
        cwd: The directory to start in; None for the scheduler's own.

    Raises:
        JobError: If the command is empty or not made of texts, or a variable is
            none.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        if (
            isinstance(command, str)
            or not command
            or not all(isinstance(word, str) and "\0" not in word for word in command)
            or not command[0]
        ):
            raise JobError(
                f"{name!r} has the command {command!r}, which is no list of words",
                remedy="Write the program and each argument as one text each: "
                "['df', '-h'], or ['sh', '-c', 'df -h | tail -1'] for a shell",
            )
        for key, value in (env or {}).items():
            if not _is_variable(key, value):
                raise JobError(
                    f"{name!r} has the variable {key!r}={value!r}, which no "
                    "environment can hold",
                    remedy="Write names and values as texts, the names without '='",
                )
        self._name = name
        self.command = tuple(command)
        self.env = dict(env or {})
        self.cwd = None if cwd is None else os.fspath(cwd)

    def name(self) -> str:
        """Return the identifier it was made with."""
        return self._name

    def goal(self) -> None:
        """Become the program; does not return.

        Raises:
            OSError: If there is no such program or directory.
        """
        if self.cwd is not None:
            os.chdir(self.cwd)
        environment = {**os.environ, **self.env}
        os.execvpe(self.command[0], self.command, environment)  # noqa: S606


def _is_variable(key: object, value: object) -> bool:
    """Return whether execve(2) can take it."""
    texts = isinstance(key, str) and isinstance(value, str)
    return texts and key != "" and "=" not in key and "\0" not in key + value  # type: ignore[operator]


class StopRequested(BaseException):
    """Raised in `goal()` by the soft stop, so that `finally` runs.

    Not an Exception: a job's own `except Exception` shall not swallow it.
    """


@dataclass(slots=True)
class CurrentRun:
    """The run this process is: what it may know, and what it may say.

    Attributes:
        run_id: Identifies the run in history, trail and log.
        job: The job's name.
        nominal_time: The time it was due, aware, in UTC.
        attempt: 1, and one more for each retry.
    """

    run_id: str
    job: str
    nominal_time: datetime
    attempt: int
    _tell: Callable[[dict[str, Any]], object]
    _stopping: bool = False
    _cooperative: bool = False

    @property
    def stopping(self) -> bool:
        """Whether the run has been asked to stop.

        A job that reads this is taken at its word: the soft stop then sets the
        flag and raises nothing, and the grace period still ends in a kill.
        """
        self._cooperative = True
        return self._stopping

    def heartbeat(self) -> None:
        """Tell the supervisor that the run is alive."""
        self._tell({"kind": "heartbeat"})

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell how far the run is; only the latest word is kept.

        Args:
            done: Units done, 0 or more.
            total: Units in all; None when unknown.

        Raises:
            JobError: If the numbers make no progress.
        """
        # Written so that a number that is none (nan) is refused as well.
        if not (done >= 0 and (total is None or 0 < total >= done)):
            raise JobError(
                f"progress({done!r}, {total!r}) is not a part of a whole",
                remedy="Pass 0 <= done <= total, with total above 0 or None",
            )
        self._tell({"kind": "progress", "done": done, "total": total})

    def request_stop(self) -> None:
        """Note that a stop was asked for, and raise it unless the job polls.

        Only once: a second request must not break the `finally` of the first.
        """
        if self._stopping:
            return
        self._stopping = True
        if not self._cooperative:
            raise StopRequested


_current: CurrentRun | None = None


def current_run() -> CurrentRun:
    """Return the run that this process is.

    Raises:
        SchedulerError: If this process is not a run.
    """
    if _current is None:
        raise SchedulerError(
            "current_run() was called outside a run",
            remedy="Call it inside goal(), which runs in a process of its own",
        )
    return _current


def enter_run(run: CurrentRun | None) -> None:
    """Make this process the given run, or none; called by the child's entry."""
    global _current  # noqa: PLW0603 - one process is one run
    _current = run
