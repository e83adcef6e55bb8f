"""Events in, commands out: the two closed unions between mind and hands.

An event reports what happened and brings its own time.  A command says what
must now be done.  Neither holds anything that can act.

Imports: core.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from procsched.core.moment import Moment
    from procsched.core.policy import Limits
    from procsched.core.recycle import Recycle
    from procsched.core.run import RunRecord
    from procsched.core.schedule import Origin, Schedule
    from procsched.core.trail import Trail
    from procsched.core.triggers import Trigger
    from procsched.core.verdict import Report
    from procsched.errors import ProcschedError


@dataclass(frozen=True, slots=True)
class LoopStarted:
    """The timing loop begins; what was due before it was never promised."""

    at: Moment


@dataclass(frozen=True, slots=True)
class ScheduleRequested:
    """Somebody wants a job scheduled.

    Args:
        ticket: Answered by an `Answer` with the same number.
        run_continuous: For the whole scheduler; None inherits.
    """

    at: Moment
    ticket: int
    schedule: Schedule
    run_continuous: bool | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants no further firing of a job; its runs too with `stop_run`."""

    at: Moment
    ticket: int
    job: str
    stop_run: bool = False


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """Somebody wants a job's firings skipped until it is resumed."""

    at: Moment
    ticket: int
    job: str


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """Somebody wants a paused or suspended job to fire again."""

    at: Moment
    ticket: int
    job: str


@dataclass(frozen=True, slots=True)
class TriggerRequested:
    """Somebody wants a run now; answered with its run id."""

    at: Moment
    ticket: int
    job: str


class Question(StrEnum):
    """What may be asked of the plan."""

    NEXT_RUN = "next run"
    JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants to know.

    Args:
        job: Which one; None for all.
    """

    at: Moment
    ticket: int
    question: Question
    job: str | None = None


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants one run ended.

    Args:
        by: Who, for the record.
    """

    at: Moment
    ticket: int
    run_id: str
    by: str


class Stage(IntEnum):
    """How much of a hurry the end is in; it only ever grows."""

    OPEN = 0
    SAFE = 1
    """No new firings; what is due, queued or running is completed."""
    FORCED = 2
    """The stop ladder for every run, at once."""
    KILL = 3
    """No more asking."""


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """Somebody wants the end."""

    at: Moment
    stage: Stage
    by: str


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A run's process reached `goal()`."""

    at: Moment
    run_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A run's process and everything below it is gone."""

    at: Moment
    run_id: str
    report: Report


@dataclass(frozen=True, slots=True)
class ScheduleRecalled:
    """The history knows a schedule from before a restart.

    Args:
        trigger: Its trigger, on the grid it had then.
        decided: The latest nominal time that was decided then; what came due
            since is caught up with, as the policy says.
    """

    at: Moment
    job: str
    trigger: Trigger
    decided: datetime


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock was set, or the host was suspended.

    Args:
        shift: How far the wall clock moved beyond the time that passed.
        suspended: The host slept; nobody set the clock.
    """

    at: Moment
    shift: timedelta
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class PressureSensed:
    """How hard the host is pressed, as `SensePressure` asked.

    Args:
        over: The thresholds that are exceeded, each in words; empty for none.
    """

    at: Moment
    over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Runs from now on shall have the jobs' code as it is now."""

    at: Moment
    ticket: int


Request = (
    ScheduleRequested
    | CancelRequested
    | PauseRequested
    | ResumeRequested
    | TriggerRequested
    | StopRequested
    | ReloadRequested
    | Asked
)

Event = (
    LoopStarted
    | ScheduleRecalled
    | Request
    | ShutdownRequested
    | WorkerStarted
    | WorkerEnded
    | ClockStepped
    | PressureSensed
)


@dataclass(frozen=True, slots=True)
class RecordRun:
    """Write what is known of a run; a start is written before it is made."""

    record: RunRecord


@dataclass(frozen=True, slots=True)
class RecordOrigin:
    """Remember a schedule beyond a restart; forget the job's without an origin."""

    job: str
    origin: Origin | None


@dataclass(frozen=True, slots=True)
class StartRun:
    """Make the run's process.

    Args:
        code: Names what is run, as the schedule did.
        outlives: It is not ended with its supervisor.
        recycle: When the worker of its sequence is replaced; None for never.
    """

    run_id: str
    job: str
    code: str
    nominal_time: datetime
    attempt: int
    limits: Limits
    sequence: str | None
    outlives: bool = False
    recycle: Recycle | None = None


@dataclass(frozen=True, slots=True)
class StopRun:
    """Climb the stop ladder.

    Args:
        cause: An `Outcome` word, recorded before the first signal.
        grace_seconds: From the soft stop to the kill.
    """

    run_id: str
    cause: str
    text: str
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class KillRun:
    """Kill the run's whole tree now."""

    run_id: str
    cause: str
    text: str


@dataclass(frozen=True, slots=True)
class AbandonRun:
    """Its keeper does not answer: kill both and report what is left."""

    run_id: str


@dataclass(frozen=True, slots=True)
class SensePressure:
    """Tell how hard the host is pressed, by a `PressureSensed`, at once."""


@dataclass(frozen=True, slots=True)
class ReloadCode:
    """Have runs from now on read their code anew."""


@dataclass(frozen=True, slots=True)
class WriteTrail:
    """Hand an audit record to the auditor."""

    trail: Trail


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request: a value, or the error to raise."""

    ticket: int
    value: Any = None
    error: ProcschedError | None = None


Command = (
    RecordRun
    | RecordOrigin
    | StartRun
    | StopRun
    | KillRun
    | AbandonRun
    | SensePressure
    | ReloadCode
    | WriteTrail
    | Answer
)


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the plan wants to be asked again, on either clock; None for never."""

    wall: datetime | None
    monotonic: float | None
