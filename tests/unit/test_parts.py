"""Taking a trigger apart by what its times count from."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenes import at, cron, every

from procsched.core.parts import FROM_THE_END, OF_THEMSELVES, ON_THE_WALL, part_of
from procsched.core.triggers import (
    After,
    Between,
    Either,
    Excluding,
    Once,
    Span,
    Trigger,
)

AFTER = After(timedelta(minutes=5))
GRID = every(10)
WALL = cron("0 * * * *")
ONCE = Once(at("15:00"))
LUNCH = (Span(at("12:00"), at("13:00")),)


@pytest.mark.parametrize(
    ("trigger", "from_the_end", "of_themselves", "on_the_wall"),
    [
        (AFTER, AFTER, None, None),
        (GRID, None, GRID, None),
        (WALL, None, WALL, WALL),
        (ONCE, None, ONCE, ONCE),
        (
            Either((AFTER, GRID, WALL)),
            Either((AFTER,)),
            Either((GRID, WALL)),
            Either((WALL,)),
        ),
        (
            Between(Either((AFTER, WALL)), end=at("20:00")),
            Between(Either((AFTER,)), end=at("20:00")),
            Between(Either((WALL,)), end=at("20:00")),
            Between(Either((WALL,)), end=at("20:00")),
        ),
        (Excluding(GRID, LUNCH), None, Excluding(GRID, LUNCH), None),
        (Either((AFTER, AFTER)), Either((AFTER, AFTER)), None, None),
    ],
)
def test_each_part_keeps_what_is_around_it(
    trigger: Trigger,
    from_the_end: Trigger | None,
    of_themselves: Trigger | None,
    on_the_wall: Trigger | None,
) -> None:
    assert part_of(trigger, FROM_THE_END) == from_the_end
    assert part_of(trigger, OF_THEMSELVES) == of_themselves
    assert part_of(trigger, ON_THE_WALL) == on_the_wall


@pytest.mark.parametrize(
    "trigger", [WALL, Either((WALL, ONCE)), Excluding(Between(WALL), LUNCH)]
)
def test_the_part_that_is_the_whole_is_the_very_same_object(trigger: Trigger) -> None:
    assert part_of(trigger, ON_THE_WALL) is trigger


def test_every_kind_is_in_one_part_and_no_other() -> None:
    assert not set(FROM_THE_END) & set(OF_THEMSELVES)
    assert set(ON_THE_WALL) < set(OF_THEMSELVES)
    assert {*FROM_THE_END, *OF_THEMSELVES, Between, Either, Excluding} == set(
        Trigger.__args__  # type: ignore[attr-defined]
    )
