"""How a nominal time ended: the words of the record, the CLI and the database.

Imports: nothing of ours.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Why a run left, or why it never came."""

    SUCCEEDED = "succeeded"
    """`goal()` returned, or the command left with code 0."""
    FAILED = "failed"
    """`goal()` raised."""
    EXITED = "exited"
    """It left with an exit code of its own."""
    CRASHED = "crashed"
    """A signal that we did not send ended it."""
    TIMED_OUT = "timed_out"
    """Its wall-clock limit ended it."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel ended it for memory."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """Another of its limits ended it; the reason says which."""
    CANCELLED = "cancelled"
    """Somebody ended it; the reason says who."""
    START_FAILED = "start_failed"
    """It never reached `goal()`; the reason says why."""
    LOST = "lost"
    """Nobody can tell any more."""
    SKIPPED = "skipped"
    """Not started: the policy said so."""
    MISSED = "missed"
    """Not started: it was found due too late."""
    COALESCED = "coalesced"
    """Not started: a later nominal time stands for it."""

    @property
    def ran(self) -> bool:
        """Whether a process was meant to be started for it."""
        return self not in _NEVER_STARTED


_NEVER_STARTED = frozenset({Outcome.SKIPPED, Outcome.MISSED, Outcome.COALESCED})
