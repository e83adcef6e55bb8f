"""One execution of a job: where it is, and why it left.

State says where a run is, outcome says why it left.  The moves are a table:
a pair without a row is our own fault and says so with the run's name.

Imports: errors, core.outcome.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from procsched.errors import StateError

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.outcome import Outcome


class RunState(StrEnum):
    """Where a run is."""

    WAITING = "waiting"
    """For a slot, for its turn, or for the run before it."""
    STARTING = "starting"
    """Its process is being made and its module imported."""
    RUNNING = "running"
    """In `goal()`."""
    STOPPING = "stopping"
    """Asked to stop; the grace period runs."""
    KILLING = "killing"
    """Being killed, with everything below it."""
    ENDED = "ended"


class Step(StrEnum):
    """What can happen to a run."""

    DISPATCHED = "dispatched"
    STARTED = "started"
    STOP_ASKED = "stop asked"
    KILL_ASKED = "kill asked"
    EXITED = "exited"
    DROPPED = "dropped"


TRANSITIONS: Final[dict[tuple[RunState, Step], RunState]] = {
    (RunState.WAITING, Step.DISPATCHED): RunState.STARTING,
    (RunState.WAITING, Step.DROPPED): RunState.ENDED,
    (RunState.STARTING, Step.STARTED): RunState.RUNNING,
    (RunState.STARTING, Step.STOP_ASKED): RunState.STOPPING,
    (RunState.STARTING, Step.KILL_ASKED): RunState.KILLING,
    (RunState.STARTING, Step.EXITED): RunState.ENDED,
    (RunState.RUNNING, Step.STOP_ASKED): RunState.STOPPING,
    (RunState.RUNNING, Step.KILL_ASKED): RunState.KILLING,
    (RunState.RUNNING, Step.EXITED): RunState.ENDED,
    # The word of the start may cross the order to stop.
    (RunState.STOPPING, Step.STARTED): RunState.STOPPING,
    (RunState.STOPPING, Step.KILL_ASKED): RunState.KILLING,
    (RunState.STOPPING, Step.EXITED): RunState.ENDED,
    (RunState.KILLING, Step.STARTED): RunState.KILLING,
    (RunState.KILLING, Step.EXITED): RunState.ENDED,
}


def advance(run_id: str, state: RunState, step: Step) -> RunState:
    """Return the state that follows.

    Raises:
        StateError: If the table has no row for the pair.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise StateError(
            f"run {run_id} is {state.value} and cannot take '{step.value}'",
            remedy="Report this with the run's trail; core/run.py lacks a row or "
            "the supervisor was told something twice",
        ) from None


class Reason(StrEnum):
    """What brought a run about."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    RETRY = "retry"
    CATCH_UP = "catch-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a run used, its waited-for descendants included (wait4(2)).

    What a cgroup counted is of all its processes, waited for or not.

    Args:
        wall: Seconds from fork to the last process gone.
        cpu_user: Seconds.
        cpu_system: Seconds.
        max_rss_bytes: Peak resident memory of its largest process.
        context_switches: Voluntary and involuntary.
        io_blocks: Block input and output operations.
        peak_memory_bytes: Most memory of all its processes together, page cache
            included, as its cgroup counted it; None without one.
        cpu_all: Seconds of CPU time of all its processes, likewise.
    """

    wall: float = 0.0
    cpu_user: float = 0.0
    cpu_system: float = 0.0
    max_rss_bytes: int = 0
    context_switches: int = 0
    io_blocks: int = 0
    peak_memory_bytes: int | None = None
    cpu_all: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What is known of one run, or of nominal times that never ran.

    Attributes:
        trigger: "schedule", "manual", "retry" or "catch-up".
        outcome: None while the run has not ended.
        reason: One sentence; empty while the run has not ended.
        started_at: When `goal()` was reached, or its process was to be made.
        exit_code: Of the run's first process; None if a signal ended it.
        signal: Number of the signal that ended it; None if none did.
        result: What `goal()` returned, as JSON holds it.
        output_tail: The last lines of stdout and stderr together.
        enforced_by: Mechanism per limit, such as {"wall": "keeper"}.
        leftovers: Processes the run left behind, found and killed.
        covers: Nominal times this record speaks for; above 1 only where a
            stretch of them was skipped, missed or coalesced.
        until: The last of them; None when it is one.
        flags: Anything out of the ordinary, such as "output truncated".
    """

    run_id: str
    job: str
    nominal_time: datetime
    attempt: int = 1
    trigger: Reason = Reason.SCHEDULE
    state: RunState = RunState.WAITING
    outcome: Outcome | None = None
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    usage: Usage | None = None
    result: Any = None
    traceback: str | None = None
    output_tail: str = ""
    enforced_by: dict[str, str] = field(default_factory=dict)
    leftovers: int = 0
    covers: int = 1
    until: datetime | None = None
    flags: tuple[str, ...] = ()

    @property
    def late_seconds(self) -> float | None:
        """From the nominal time to `goal()`; None if it was never started.

        Whatever kept it counts: a slot, memory, jitter, the start of its process.
        """
        if self.started_at is None:
            return None
        return (self.started_at - self.nominal_time).total_seconds()
