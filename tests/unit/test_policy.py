"""What a policy takes, and what it refuses with which words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from procsched.core.outcome import Outcome
from procsched.core.policy import (
    LIMIT_NAMES,
    RETRYABLE,
    Limits,
    Overlap,
    Retry,
    count,
    duration,
    size_in_bytes,
)
from procsched.core.schedule import Policy
from procsched.errors import ScheduleConfigError


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (90, timedelta(seconds=90)),
        (0.25, timedelta(milliseconds=250)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        (" 1.5 h ", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("2d", timedelta(days=2)),
        (timedelta(hours=1), timedelta(hours=1)),
    ],
)
def test_a_duration_is_seconds_a_timedelta_or_a_text(
    said: object, meant: timedelta
) -> None:
    assert duration(said, name="wall") == meant


@pytest.mark.parametrize("said", ["ten minutes", "10", "-5s", None, True, [1], "1e3s"])
def test_what_is_no_duration_is_refused_with_three_examples(said: object) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        duration(said, name="wall")

    assert refusal.value.problem == f"wall={said!r} is not a duration"
    assert refusal.value.remedy == (
        "Write seconds as a number, a timedelta, or a text such as '90s', '10m' or "
        "'1.5h'"
    )


@pytest.mark.parametrize(
    "said",
    [0, -1, float("nan"), float("inf"), 10**400, "0s", "9" * 400 + "d", timedelta(-1)],
)
def test_a_duration_that_is_not_positive_or_has_no_end_is_refused(said: object) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        duration(said, name="wall")

    assert refusal.value.problem == f"wall={said!r} is not a positive duration"
    assert refusal.value.remedy == (
        "Write wall=None for no limit, or a number of seconds above 0"
    )


def test_a_duration_below_a_microsecond_is_not_quietly_zero() -> None:
    with pytest.raises(ScheduleConfigError, match="is not a positive duration"):
        duration(1e-9, name="grace", zero=True)


def test_zero_is_a_duration_where_it_is_said_to_be() -> None:
    assert duration(0, name="grace", zero=True) == timedelta(0)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("64KiB", 65_536),
        ("1.5 kB", 1500),
        ("512MiB", 536_870_912),
        ("2g", 2_147_483_648),
        ("1TB", 10**12),
    ],
)
def test_a_size_is_bytes_or_a_text_with_a_unit(said: object, meant: int) -> None:
    assert size_in_bytes(said, name="memory") == meant


@pytest.mark.parametrize(
    "said",
    [0, -1, 1.5, True, None, "", "much", "5 parsecs", "0.1", 2**63, "9" * 400 + "GiB"],
)
def test_what_is_no_size_is_refused_with_three_examples(said: object) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        size_in_bytes(said, name="memory")

    assert refusal.value.problem == f"memory={said!r} is not a size"
    assert refusal.value.remedy == (
        "Write bytes as a whole number above 0, or a text such as '64KiB', '512MiB' "
        "or '2GB'"
    )


@pytest.mark.parametrize("said", [0, -3, 1.0, True, "2", None])
def test_what_is_no_count_is_refused_with_the_least(said: object) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        count(said, name="parallel")

    assert refusal.value.problem == (
        f"parallel={said!r} is not a whole number of at least 1"
    )
    assert refusal.value.remedy == "Write parallel=1 or more"


def test_limits_are_kept_as_timedeltas_and_bytes() -> None:
    limits = Limits(wall=30, cpu="2m", memory="512MiB", processes=20, open_files=64)

    assert limits.wall == timedelta(seconds=30)
    assert limits.seconds("wall") == 30.0
    assert limits.seconds("cpu") == 120.0
    assert limits.bytes("memory") == 536_870_912
    assert (limits.processes, limits.open_files) == (20, 64)


def test_a_limit_of_none_is_no_limit() -> None:
    limits = Limits(startup=None, output=None)

    assert limits.seconds("wall") is None
    assert limits.seconds("startup") is None
    assert limits.bytes("output") is None
    assert limits.bytes("memory") is None


def test_without_a_word_a_run_has_ten_seconds_of_grace_and_a_minute_to_start() -> None:
    limits = Limits()

    assert limits.seconds("grace") == 10.0
    assert limits.seconds("startup") == 60.0
    assert limits.bytes("output") == 10 * 2**20


def test_a_grace_of_zero_is_a_kill_at_once() -> None:
    assert Limits(grace=0).seconds("grace") == 0.0


def test_a_limit_is_refused_by_its_own_name() -> None:
    with pytest.raises(ScheduleConfigError, match="open_files=0 is not a whole"):
        Limits(open_files=0)


def test_required_is_true_or_false() -> None:
    wrong: Any = "yes"

    with pytest.raises(ScheduleConfigError) as refusal:
        Limits(required=wrong)

    assert refusal.value.problem == "required='yes' is neither true nor false"
    assert refusal.value.remedy == "Write required=True or required=False"


def test_the_names_of_limits_are_those_of_the_fields() -> None:
    assert set(LIMIT_NAMES) == set(Limits.__slots__)


def test_a_retry_waits_twice_as_long_each_time_up_to_its_ceiling() -> None:
    retry = Retry(count=9, backoff=1, ceiling=10, jitter=False)

    waits = [retry.wait_seconds(attempt, chance=0.5) for attempt in range(1, 7)]

    assert waits == [1, 2, 4, 8, 10, 10]


def test_full_jitter_draws_between_zero_and_the_wait() -> None:
    retry = Retry(backoff="8s", ceiling="1m")

    assert retry.wait_seconds(2, chance=0.0) == 0.0
    assert retry.wait_seconds(2, chance=0.25) == 4.0


def test_the_wait_of_the_thousandth_attempt_is_the_ceiling() -> None:
    assert Retry(jitter=False).wait_seconds(1000, chance=0.0) == 60.0


def test_neither_a_fatal_signal_nor_a_kill_for_memory_is_retried_unasked() -> None:
    assert {
        Outcome.FAILED,
        Outcome.EXITED,
        Outcome.TIMED_OUT,
        Outcome.START_FAILED,
    } == RETRYABLE


def test_causes_may_be_words() -> None:
    words: Any = ["crashed", "lost"]

    assert Retry(causes=words).causes == {Outcome.CRASHED, Outcome.LOST}


def test_a_cause_that_is_misspelt_gets_the_nearest_word() -> None:
    words: Any = ["timedout"]

    with pytest.raises(ScheduleConfigError) as refusal:
        Retry(causes=words)

    assert refusal.value.problem == (
        "causes names 'timedout', which is no way for a run to fail"
    )
    assert refusal.value.remedy.startswith("Did you mean 'timed_out'? The ways are 'c")


@pytest.mark.parametrize("word", ["succeeded", "skipped", 7])
def test_a_run_cannot_fail_by_succeeding_or_never_starting(word: object) -> None:
    words: Any = [word]

    with pytest.raises(ScheduleConfigError) as refusal:
        Retry(causes=words)

    assert f"causes names {word!r}" in refusal.value.problem
    assert "'timed_out'" in refusal.value.remedy


@pytest.mark.parametrize("causes", ["failed", None, 3])
def test_causes_that_are_no_list_are_refused(causes: Any) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        Retry(causes=causes)

    assert refusal.value.problem == f"causes={causes!r} is no list of outcomes"
    assert refusal.value.remedy == "Write causes=['failed', 'timed_out']"


def test_jitter_is_true_or_false() -> None:
    wrong: Any = 0.5

    with pytest.raises(ScheduleConfigError) as refusal:
        Retry(jitter=wrong)

    assert refusal.value.problem == "jitter=0.5 is neither true nor false"
    assert refusal.value.remedy == "Write jitter=True or jitter=False"


def test_only_parallel_lets_two_runs_of_a_job_go_on_at_once() -> None:
    assert [Policy(overlap=each).at_once for each in Overlap] == [1, 1, 1, None]
    assert Policy(overlap=Overlap.PARALLEL, parallel=3).at_once == 3
