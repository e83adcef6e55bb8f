"""Fakes that let a test live through a day in milliseconds.

They implement the protocols of the parts they stand for, so a test needs neither
mocks nor sleep: the clock moves when it is told to, runs take the time they were
given, and what would have been written can be read.

    world = PaperWorld(slots=2)
    world.schedule(Schedule(job="report", trigger=..., policy=Policy()))
    world.begin()
    world.live(timedelta(days=1))
    assert world.history.outcomes("report") == ["succeeded"] * 24

Imports: fakes, paperworld.
"""

from __future__ import annotations

from procsched.testing.fakes import (
    NOON,
    FakeClock,
    ListAgent,
    MemoryAudit,
    MemoryHistory,
)
from procsched.testing.paperworld import Fate, PaperWorld

__all__ = [
    "NOON",
    "FakeClock",
    "Fate",
    "ListAgent",
    "MemoryAudit",
    "MemoryHistory",
    "PaperWorld",
]
