"""When the worker of a sequence has served its time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from procsched.core.recycle import Recycle
from procsched.errors import ScheduleConfigError

MIB = 2**20
HOUR = 3600


def due(recycle: Recycle, **given: Any) -> str | None:
    fresh = {"runs": 1, "grown_bytes": 0, "age_seconds": 0.0, "chance": 0.0}
    return recycle.due(**(fresh | given))


def test_parts_are_kept_as_counts_bytes_and_timedeltas() -> None:
    recycle = Recycle(runs=1000, memory_growth="300MiB", age="12h", jitter=0)

    assert (recycle.runs, recycle.memory_growth) == (1000, 314_572_800)
    assert (recycle.age, recycle.jitter) == (timedelta(hours=12), timedelta(0))


@pytest.mark.parametrize(
    ("recycle", "served", "reason"),
    [
        (Recycle(runs=1000), {"runs": 999}, None),
        (Recycle(runs=1000), {"runs": 1000}, "1000 runs"),
        (Recycle(runs=1000), {"grown_bytes": 9**20, "age_seconds": 9e9}, None),
        (Recycle(memory_growth="300MiB"), {"grown_bytes": 300 * MIB}, None),
        (
            Recycle(memory_growth="300MiB"),
            {"grown_bytes": 310 * MIB},
            "memory grew by 310 MiB",
        ),
        (Recycle(memory_growth=1), {"grown_bytes": -5 * MIB}, None),
        (Recycle(age="12h"), {"age_seconds": 12 * HOUR - 1}, None),
        (Recycle(age="12h"), {"age_seconds": 12 * HOUR}, "12 h old"),
        (Recycle(age=90), {"age_seconds": 100.0}, "1.7 min old"),
        (Recycle(age=5), {"age_seconds": 5.04}, "5 s old"),
        (Recycle(age="2d"), {"age_seconds": 60 * HOUR}, "2.5 d old"),
        (
            Recycle(runs=2, memory_growth=1, age=1),
            {"runs": 2, "grown_bytes": 9 * MIB, "age_seconds": 9.0},
            "2 runs",
        ),
    ],
)
def test_the_first_thing_that_is_due_is_the_reason(
    recycle: Recycle, served: dict[str, Any], reason: str | None
) -> None:
    assert due(recycle, **served) == reason


def test_a_worker_lives_longer_by_its_own_part_of_the_jitter() -> None:
    """Half of an hour's chance: twelve and a half hours."""
    recycle = Recycle(age="12h", jitter="1h")

    assert due(recycle, age_seconds=12.4 * HOUR, chance=0.5) is None
    assert due(recycle, age_seconds=12.5 * HOUR, chance=0.5) == "12.5 h old"


def test_without_a_word_the_jitter_is_a_tenth_of_the_age() -> None:
    assert due(Recycle(age="10h"), age_seconds=10.9 * HOUR, chance=1.0) is None
    assert due(Recycle(age="10h"), age_seconds=11 * HOUR, chance=1.0) == "11 h old"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {},
            (
                "recycle names nothing after which a worker is replaced. Write one or "
                "more of runs=1000, memory_growth='300MiB', age='12h', or leave "
                "`recycle` out."
            ),
        ),
        (
            {"runs": 5, "jitter": "1m"},
            (
                "jitter=60 s without age, which is all that it is added to. Write "
                "age='12h' with it, or leave `jitter` out."
            ),
        ),
        (
            {"runs": 0},
            "runs=0 is not a whole number of at least 1. Write runs=1 or more.",
        ),
        (
            {"memory_growth": "much"},
            (
                "memory_growth='much' is not a size. Write bytes as a whole number "
                "above 0, or a text such as '64KiB', '512MiB' or '2GB'."
            ),
        ),
        (
            {"age": 0},
            (
                "age=0 is not a positive duration. Write age=None for no limit, or a "
                "number of seconds above 0."
            ),
        ),
        (
            {"age": 5, "jitter": -1},
            (
                "jitter=-1 is not a positive duration. Write jitter=0 for none, or a "
                "number of seconds above 0."
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        Recycle(**words)

    assert str(refusal.value) == message


def test_it_crosses_to_the_worker_in_plain_numbers() -> None:
    recycle = Recycle(runs=10, memory_growth="1MiB", age="1m", jitter=5)
    frame = recycle.to_frame()

    assert frame == {"runs": 10, "memory_growth": MIB, "age": 60.0, "jitter": 5.0}
    assert Recycle.from_frame(frame) == recycle
