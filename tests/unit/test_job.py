"""What a user writes, and what a goal may ask, without any process."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from procsched.errors import JobError, SchedulerError
from procsched.job import (
    CommandJob,
    CurrentRun,
    Job,
    StopRequested,
    current_run,
    enter_run,
)


def a_run(told: list[dict[str, Any]] | None = None) -> CurrentRun:
    said = [] if told is None else told
    return CurrentRun("r1", "job", datetime(2026, 1, 1, tzinfo=UTC), 1, said.append)


def test_a_job_is_called_like_its_class_unless_it_says_otherwise() -> None:
    class Nightly(Job): ...

    assert Nightly().name() == "Nightly"
    with pytest.raises(NotImplementedError):
        Nightly().goal()


def test_a_command_keeps_what_it_was_given() -> None:
    job = CommandJob("df", ["df", "-h"], env={"A": "1"}, cwd="/usr")

    assert (job.name(), job.command) == ("df", ("df", "-h"))
    assert (job.env, job.cwd) == ({"A": "1"}, "/usr")


@pytest.mark.parametrize("command", ["df -h", [], [""], ["df", 1], ["a\0b"], None, 5])
def test_a_command_that_is_no_list_of_words_is_refused(command: Any) -> None:
    with pytest.raises((JobError, TypeError)) as refused:
        CommandJob("df", command)

    if isinstance(refused.value, JobError):
        assert str(refused.value) == (
            f"'df' has the command {command!r}, which is no list of words. Write the "
            "program and each argument as one text each: ['df', '-h'], or ['sh', '-c', "
            "'df -h | tail -1'] for a shell."
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [("A", 1), ("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0"), (1, "x")],
)
def test_a_variable_that_no_environment_holds_is_refused(key: Any, value: Any) -> None:
    with pytest.raises(JobError) as refused:
        CommandJob("df", ["df"], env={key: value})

    assert str(refused.value) == (
        f"'df' has the variable {key!r}={value!r}, which no environment can hold. "
        "Write names and values as texts, the names without '='."
    )


def test_outside_a_run_there_is_no_current_run() -> None:
    with pytest.raises(SchedulerError) as refused:
        current_run()

    assert str(refused.value) == (
        "current_run() was called outside a run. Call it inside goal(), which runs in "
        "a process of its own."
    )


def test_inside_a_run_it_is_the_one_that_was_entered() -> None:
    run = a_run()
    enter_run(run)
    try:
        assert current_run() is run
    finally:
        enter_run(None)


def test_progress_and_heartbeats_are_told() -> None:
    told: list[dict[str, Any]] = []
    run = a_run(told)

    run.progress(0)
    run.progress(1.5, 3)
    run.heartbeat()

    assert told == [
        {"kind": "progress", "done": 0, "total": None},
        {"kind": "progress", "done": 1.5, "total": 3},
        {"kind": "heartbeat"},
    ]


@pytest.mark.parametrize(
    ("done", "total"),
    [(-1, None), (2, 1), (0, 0), (1, -1), (float("nan"), None), (1, float("nan"))],
)
def test_progress_that_is_no_part_of_a_whole_is_refused(
    done: float, total: float | None
) -> None:
    told: list[dict[str, Any]] = []
    with pytest.raises(JobError) as refused:
        a_run(told).progress(done, total)

    assert str(refused.value) == (
        f"progress({done!r}, {total!r}) is not a part of a whole. Pass 0 <= done <= "
        "total, with total above 0 or None."
    )
    assert told == []


def test_a_stop_raises_once() -> None:
    """A second one must not break the `finally` of the first."""
    run = a_run()
    with pytest.raises(StopRequested):
        run.request_stop()

    run.request_stop()

    assert run.stopping


def test_a_job_that_polls_is_not_interrupted() -> None:
    run = a_run()
    assert not run.stopping

    run.request_stop()

    assert run.stopping


def test_no_except_exception_swallows_a_stop() -> None:
    assert not issubclass(StopRequested, Exception)
