"""A job's name, its trigger, and what to do in every case: exact, and pure.

A ScheduleConfig is what a person says; this is what it becomes once the zone
and the anchor are known.  Policies are shared between schedules that say the
same, so a hundred thousand of them stay small.

Imports: core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from procsched.core.policy import CatchUp, Limits, Overlap, Retry, SupervisorLoss

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.delay import Delay
    from procsched.core.outcome import Outcome
    from procsched.core.recycle import Recycle
    from procsched.core.triggers import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to do in every case.

    Args:
        overlap: When a firing meets a run of its own job.
        parallel: Runs of the job at once with `Overlap.PARALLEL`; None for
            no cap but the host's slots.
        catch_up: Which of the nominal times that passed unseen are run late.
        catch_up_window: How old a nominal time may be and still be run.
        catch_up_max: How many are run late at the most.
        start_deadline: How long after its nominal time a run may start;
            None for any time.
        retry: None for no second attempt.
        recycle: When the worker of a sequence is replaced; None for never.
        priority: Higher starts first when slots are short.
        breaker: Failures in a row that suspend the schedule; None for never.
        breaker_causes: The ways to fail that count; None for all.
        breaker_probe: Wait before a suspended schedule is tried again; None
            until it is resumed by hand.
        on_supervisor_loss: Whether a run ends with its supervisor, or goes on and
            leaves its report for the next one.
    """

    overlap: Overlap = Overlap.SKIP
    parallel: int | None = None
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window: timedelta = timedelta(days=1)
    catch_up_max: int = 10
    start_deadline: timedelta | None = None
    retry: Retry | None = None
    limits: Limits = field(default_factory=Limits)
    recycle: Recycle | None = None
    priority: int = 0
    breaker: int | None = None
    breaker_causes: frozenset[Outcome] | None = None
    breaker_probe: timedelta | None = None
    on_supervisor_loss: SupervisorLoss = SupervisorLoss.KILL

    def trips(self, outcome: Outcome | None, in_a_row: int) -> bool:
        """Return whether a failure suspends the schedule.

        Args:
            in_a_row: Failures that counted, this one included.
        """
        return (
            self.breaker is not None
            and in_a_row >= self.breaker
            and self.counts(outcome)
        )

    def counts(self, outcome: Outcome | None) -> bool:
        """Return whether a failure counts for the breaker."""
        return self.breaker_causes is None or outcome in self.breaker_causes

    @property
    def at_once(self) -> int | None:
        """How many runs of the job may go on at once; None for any number."""
        return self.parallel if self.overlap is Overlap.PARALLEL else 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What makes a schedule the same one after a restart.

    Args:
        timing: Its time part in words; other words are another schedule.
        anchor: The moment it was first scheduled, aware: the zero of its grid.
    """

    timing: str
    anchor: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a job runs, and under which rules.

    Args:
        job: The job's name.
        code: Names what is run, for the hands; "" where nothing is.
        sequence: Name of the persistent worker whose turn it takes; None for
            a process of its own per run.
        origin: Kept in the history; None for a schedule that is not remembered.
        delay: Jitter and spread, added to the nominal time when starting.
    """

    job: str
    trigger: Trigger
    policy: Policy
    code: str = ""
    sequence: str | None = None
    origin: Origin | None = None
    delay: Delay | None = None
