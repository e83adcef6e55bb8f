"""What a Trail takes, and how it makes the rest fit into JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from procsched.core.trail import (
    DEPTH_LIMIT,
    TEXT_LIMIT,
    Trail,
    as_json,
    as_text,
    shown,
)
from procsched.errors import AuditError

NOON = datetime(2025, 3, 1, 12, 0, 0, 250_000, UTC)


class Grumpy:
    def __repr__(self) -> str:
        raise OSError


def test_a_trail_goes_through_json_and_comes_back_the_same() -> None:
    trail = Trail("transfer", "success", {"rows": [1, 2.5, None, True]}).accepted(
        time=NOON, job="nightly", run_id="a1-7", pid=4242, number=3
    )

    assert Trail.from_json(json.loads(json.dumps(trail.to_json()))) == trail


def test_json_of_a_trail_has_its_time_in_utc_and_all_its_fields() -> None:
    cet = timezone(timedelta(hours=1))
    trail = Trail("transfer", "success").accepted(time=NOON.astimezone(cet))

    assert trail.to_json() == {
        "time": "2025-03-01T12:00:00.250000+00:00",
        "job": None,
        "run_id": None,
        "pid": None,
        "number": None,
        "operation": "transfer",
        "status": "success",
        "comments": "",
    }


def test_a_trail_that_nobody_accepted_has_no_time() -> None:
    raw = Trail("transfer", "success").to_json()

    assert raw["time"] is None
    assert Trail.from_json(raw) == Trail("transfer", "success")


@pytest.mark.parametrize(
    ("operation", "status", "says"),
    [
        (
            "",
            "success",
            (
                "operation='' is not a text that says something. "
                "Pass operation as a non-empty string."
            ),
        ),
        (
            7,
            "success",
            (
                "operation=7 is not a text that says something. "
                "Pass operation as a non-empty string."
            ),
        ),
        (
            "transfer",
            None,
            (
                "status=None is not a text that says something. "
                "Pass status as a non-empty string."
            ),
        ),
    ],
)
def test_an_operation_or_status_that_is_no_text_is_refused(
    operation: Any, status: Any, says: str
) -> None:
    with pytest.raises(AuditError) as caught:
        Trail(operation, status)

    assert str(caught.value) == says


def test_comments_that_are_none_are_empty() -> None:
    assert Trail("transfer", "success", None).comments == ""


def test_comments_that_json_cannot_hold_are_shown_as_python_shows_them() -> None:
    trail = Trail("transfer", "failed", {"day": date(2025, 3, 1), 7: {1}, "x": (1, 2)})

    assert trail.comments == {
        "day": "datetime.date(2025, 3, 1)",
        "7": "{1}",
        "x": [1, 2],
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_has_no_word_for_is_written_as_text(number: float) -> None:
    assert as_json(number) == repr(number)


def test_a_repr_that_raises_is_named_instead() -> None:
    assert shown(Grumpy()) == "<Grumpy whose repr raises OSError>"


def test_a_list_that_holds_itself_ends_at_the_depth_limit() -> None:
    loop: list[Any] = []
    loop.append(loop)

    text = json.dumps(as_json(loop))

    assert text.count("[") == DEPTH_LIMIT + 2  # the repr shows [[...]]


def test_a_dict_deeper_than_the_limit_becomes_a_text() -> None:
    value: Any = "end"
    for _ in range(DEPTH_LIMIT + 1):
        value = {"in": value}

    deepest = as_json(value)
    for _ in range(DEPTH_LIMIT):
        deepest = deepest["in"]

    assert deepest == "{'in': 'end'}"


def test_a_text_over_the_limit_is_cut_and_says_by_how_much() -> None:
    assert as_text("x" * TEXT_LIMIT) == "x" * TEXT_LIMIT
    assert as_text("x" * (TEXT_LIMIT + 5)) == "x" * TEXT_LIMIT + (
        " [... 5 characters cut]"
    )


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert Trail("transfer", "success", "caf\ud800").comments == "caf\\ud800"
