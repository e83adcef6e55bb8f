"""Whatever order the world chooses: the checker finds nothing to say.

Hypothesis chooses the acts and shrinks what fails; `scripts/sweep_plan` goes on
where this stops.  The draws of each act come from a seed of its own.
"""

from __future__ import annotations

from random import Random

import adventures
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

SEEDS = st.integers(0, 2**32).map(Random)


class PlanMachine(RuleBasedStateMachine):
    """Jobs, time and misfortune, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.life: adventures.Adventure | None = None
        self.begun = False

    @property
    def it(self) -> adventures.Adventure:
        assert self.life is not None
        return self.life

    @initialize(rng=SEEDS, slots=st.integers(1, 4))
    def arrive(self, rng: Random, slots: int) -> None:
        self.life = adventures.Adventure(rng, slots)
        self.life.add(rng)

    def going(self) -> bool:
        return self.life is not None and not self.life.world.plan.finished

    @precondition(lambda self: not self.going())
    @rule(rng=SEEDS)
    def start_anew(self, rng: Random) -> None:
        """A plan that is finished leaves nothing, and another world begins."""
        self.it.checker.finished()
        self.begun = False
        self.arrive(rng, slots=2)

    @precondition(lambda self: self.going() and not self.begun)
    @rule()
    def begin(self) -> None:
        self.begun = True
        self.it.begin()

    @precondition(going)
    @rule(rng=SEEDS)
    def add(self, rng: Random) -> None:
        self.it.add(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def live(self, rng: Random) -> None:
        self.it.live(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def oversleep(self, rng: Random) -> None:
        self.it.oversleep(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def suspend(self, rng: Random) -> None:
        self.it.suspend(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def set_clock(self, rng: Random) -> None:
        self.it.set_clock(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def press(self, rng: Random) -> None:
        self.it.press(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def cancel(self, rng: Random) -> None:
        self.it.cancel(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def pause(self, rng: Random) -> None:
        self.it.pause(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def resume(self, rng: Random) -> None:
        self.it.resume(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def trigger(self, rng: Random) -> None:
        self.it.trigger(rng)

    @precondition(going)
    @rule(rng=SEEDS)
    def stop(self, rng: Random) -> None:
        self.it.stop(rng)

    @invariant()
    def the_plan_never_asks_to_be_woken_for_what_is_past(self) -> None:
        if self.life is None:
            return
        until, now = self.it.world.plan.next_deadline(), self.it.world.clock.now()
        assert until.wall is None or until.wall > now.wall
        assert until.monotonic is None or until.monotonic > now.monotonic

    def teardown(self) -> None:
        """Shut down: nothing is left."""
        if self.life is None:
            return
        if not self.begun:
            self.it.begin()
        self.it.end(Random(0))  # noqa: S311 - replayable, not secret


PlanMachine.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestPlanMachine = PlanMachine.TestCase


def test_a_hundred_thousand_nominal_times_have_one_outcome_each() -> None:
    """Some sixty random worlds of up to sixty acts; a few seconds."""
    seen = seed = 0
    while seen < 100_000:
        seed += 1
        rng = Random(seed)  # noqa: S311 - replayable, not secret
        seen += adventures.lived_through(rng, acts=60).nominal_times

    assert seed > 10
