"""The fakes that ship with the package keep to the protocols of what they stand for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenes import NOON, schedule, world

from procsched.core.trail import Trail
from procsched.testing import FakeClock, ListAgent, MemoryAudit, MemoryHistory


def test_a_fake_clock_moves_when_it_is_told_to() -> None:
    clock = FakeClock(monotonic=100.0)

    clock.advance(timedelta(seconds=2.5))
    assert (clock.now().wall, clock.now().monotonic) == (
        NOON + timedelta(seconds=2.5),
        102.5,
    )
    assert clock.set_wall(NOON) == timedelta(seconds=-2.5)
    clock.suspend(timedelta(hours=1))
    assert clock.now().wall == NOON + timedelta(hours=1)
    assert (clock.now().monotonic, clock.slept_seconds()) == (102.5, 3600.0)


def test_a_list_agent_keeps_what_it_is_given_or_raises_what_it_is_told_to() -> None:
    agent = ListAgent()
    agent.capture(Trail("transfer", "success"))
    agent.capture_custom({"rows": 3})
    agent.fault = OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        agent.capture(Trail("transfer", "success"))
    with pytest.raises(OSError, match="disk full"):
        agent.capture_custom({"rows": 4})
    assert ([each.operation for each in agent.trails], agent.customs) == (
        ["transfer"],
        [{"rows": 3}],
    )


def test_a_memory_audit_knows_which_spools_are_open() -> None:
    audit = MemoryAudit()

    audit.open_spool("a-1", "job", "/spools/a-1")
    audit.open_spool("a-2", "job", "/spools/a-2")
    audit.close_spool("a-1")

    assert audit.open_spools == {"a-2": "/spools/a-2"}


def test_a_paper_world_keeps_runs_and_trail_as_history_and_auditor_would() -> None:
    made = world(schedule("a"), schedule("b"))

    made.live(timedelta(minutes=11))

    assert isinstance(made.history, MemoryHistory)
    assert made.history.outcomes() == ["succeeded", "succeeded"]
    assert made.history.outcomes("b") == ["succeeded"]
    assert made.audit.operations("a")[-1] == "run.ended"
