"""The part of a trigger that follows one rule, taken out of the whole.

What counts from the end of a run, what counts elapsed time and what names wall
times differ in what a run, or a step of the clock, means to them; a choice among
several triggers may hold all three.

Imports: core.triggers.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Final, assert_never

from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Either,
    Excluding,
    Interval,
    Once,
    Trigger,
    Weekly,
)

FROM_THE_END: Final = (After,)
"""Counts from the end of the last run."""

ON_THE_WALL: Final = (Daily, Weekly, Cron, Once)
"""Names wall times, or one moment."""

OF_THEMSELVES: Final = (Interval, *ON_THE_WALL)
"""All that have times without a run."""


def part_of(trigger: Trigger, kinds: tuple[type[Trigger], ...]) -> Trigger | None:
    """Return the part of a trigger that is made of some kinds.

    Returns:
        The very same object if it is all of that kind; None if nothing is.
    """
    match trigger:
        case Between() | Excluding():
            inner = part_of(trigger.trigger, kinds)
            if inner is None or inner is trigger.trigger:
                return None if inner is None else trigger
            return replace(trigger, trigger=inner)
        case Either():
            found = [part_of(each, kinds) for each in trigger.triggers]
            if all(map(operator.is_, found, trigger.triggers)):
                return trigger
            parts = tuple(each for each in found if each is not None)
            return Either(parts) if parts else None
        case Interval() | After() | Daily() | Weekly() | Cron() | Once():
            return trigger if isinstance(trigger, kinds) else None
        case _:
            assert_never(trigger)
