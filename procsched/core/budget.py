"""How much memory the runs of a host may reserve together.

A reservation is a sum on paper, taken before a run starts: its own limit is what
holds the run to it.  A run without a memory limit promises nothing and reserves
nothing.

Imports: core.policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from procsched.core.policy import Limits

REMEDY: Final = "Lower this limit, or raise `memory_budget`"
"""For whoever asks for more than there ever is."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB")
_STEP: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a host has for runs.

    Args:
        slots: Runs at once, at least 1.
        memory_bytes: What they may reserve together; None for no budget.
        senses_pressure: Whether runs of low priority wait while the host is
            under pressure.
    """

    slots: int
    memory_bytes: int | None = None
    senses_pressure: bool = False


def reserved_bytes(limits: Limits) -> int:
    """Return what a run under some limits reserves; 0 without a memory limit."""
    return limits.bytes("memory") or 0


def beyond(asked_bytes: int, budget_bytes: int | None) -> str | None:
    """Return what is wrong with a memory limit that never fits; None if it does.

    Args:
        budget_bytes: None for no budget.
    """
    if budget_bytes is None or asked_bytes <= budget_bytes:
        return None
    total = in_words(budget_bytes)
    return f"is more than the memory_budget of {total}, so no run could ever start"


def in_words(size_bytes: float) -> str:
    """Return a size for people: "512 MiB", "1.5 GiB"."""
    size, unit = float(size_bytes), 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    # Two digits, but none that say nothing: 4 GiB, 1.5 GiB, 0.33 GiB.
    return f"{round(size, 2):g} {_UNITS[unit]}"
