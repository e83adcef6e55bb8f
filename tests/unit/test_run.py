"""The life of a run: each row of its table, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from procsched.core.outcome import Outcome
from procsched.core.run import TRANSITIONS, RunRecord, RunState, Step, advance
from procsched.errors import StateError

LIFE = """
waiting    dispatched   starting
waiting    dropped      ended
starting   started      running
starting   stop asked   stopping
starting   kill asked   killing
starting   exited       ended
running    stop asked   stopping
running    kill asked   killing
running    exited       ended
stopping   started      stopping
stopping   kill asked   killing
stopping   exited       ended
killing    started      killing
killing    exited       ended
"""


def test_the_table_is_the_life_as_it_is_written_here() -> None:
    rows = {tuple(line.replace(" asked", "_asked").split()) for line in _lines()}

    assert {
        (state.value, step.value.replace(" ", "_"), following.value)
        for (state, step), following in TRANSITIONS.items()
    } == rows


def _lines() -> list[str]:
    return LIFE.strip().splitlines()


@pytest.mark.parametrize(
    ("state", "step"),
    sorted(set(product(RunState, Step)) - set(TRANSITIONS)),
)
def test_a_pair_without_a_row_says_which_run_and_what_to_do(
    state: RunState, step: Step
) -> None:
    with pytest.raises(StateError) as refusal:
        advance("a1-7", state, step)

    assert refusal.value.problem == (
        f"run a1-7 is {state.value} and cannot take '{step.value}'"
    )
    assert refusal.value.remedy == (
        "Report this with the run's trail; core/run.py lacks a row or the supervisor "
        "was told something twice"
    )


def test_nothing_leaves_ended() -> None:
    assert not [step for (state, step) in TRANSITIONS if state is RunState.ENDED]


def test_every_state_leads_to_ended() -> None:
    reaching = {RunState.ENDED}
    for _ in RunState:
        reaching |= {
            here for (here, _), there in TRANSITIONS.items() if there in reaching
        }

    assert reaching == set(RunState)


def test_the_word_of_the_start_may_cross_the_order_to_stop() -> None:
    assert advance("r", RunState.STOPPING, Step.STARTED) is RunState.STOPPING
    assert advance("r", RunState.KILLING, Step.STARTED) is RunState.KILLING


def test_only_three_outcomes_say_that_no_process_was_meant_to_be() -> None:
    assert [each.value for each in Outcome if not each.ran] == [
        "skipped",
        "missed",
        "coalesced",
    ]


def test_a_run_is_late_by_what_passed_from_its_time_to_its_start() -> None:
    due = datetime(2026, 1, 1, tzinfo=UTC)
    record = RunRecord(run_id="1", job="job", nominal_time=due)
    started = replace(record, started_at=due + timedelta(seconds=1.5))

    assert (record.late_seconds, started.late_seconds) == (None, 1.5)
