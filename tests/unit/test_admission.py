"""What may be scheduled or asked; the messages are read in the acceptance tests."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from procsched import Job, Limits, Sc, ScheduleConfig
from procsched.admission import (
    NAME_LIMIT,
    ROWS_LIMIT,
    check_id,
    check_job,
    check_limit,
    check_limits,
    check_name,
    check_run_continuous,
    check_schedule_config,
    check_settings,
    check_state_dir,
)
from procsched.config.settings import Settings
from procsched.errors import JobError, SchedulerError


class Plain(Job):
    def goal(self) -> None:
        """Do nothing."""


def test_a_job_is_known_by_its_class_unless_it_says_otherwise() -> None:
    assert check_job(Plain()) == "Plain"


@pytest.mark.parametrize(
    "name", ["x", "x" * NAME_LIMIT, "größe", "日本", "a b", "a/b", "'; DROP TABLE runs"]
)
def test_any_visible_line_is_a_name(name: str) -> None:
    assert check_name(name, "Plain") == name


@pytest.mark.parametrize(
    "name", ["", " ", "\t", "a\nb", "a\0b", "a\x1b[0m", "a\u2028b"]
)
def test_what_would_spoil_a_line_of_the_trail_is_no_name(name: str) -> None:
    with pytest.raises(JobError, match="which is no name"):
        check_name(name, "Plain")


def test_a_name_of_a_derived_text_is_stored_as_a_plain_one() -> None:
    class Text(str):
        __slots__ = ()

    assert type(check_name(Text("a"), "Plain")) is str


class Optional(Job):
    def goal(self, times: int = 1, **_rest: Any) -> None:
        """Needs nothing, and may be given something."""


class Wrapped(Job):
    @functools.lru_cache  # noqa: B019 - whatever people do
    def goal(self) -> None:
        """A wrapper without a function's attributes."""


class Inherits(Plain):
    """Has its goal from above."""


class Shared(Job):
    goal = staticmethod(print)  # type: ignore[assignment]


class ByClass(Job):
    @classmethod
    def goal(cls) -> None:
        """Bound to the class."""


@pytest.mark.parametrize("kind", [Optional, Wrapped, Inherits, Shared, ByClass])
def test_whatever_can_be_called_is_a_goal(kind: type[Job]) -> None:
    assert check_job(kind()) == kind.__name__


def test_a_goal_that_an_instance_was_given_counts() -> None:
    job = Job()
    job.goal = print  # type: ignore[method-assign]

    assert check_job(job) == "Job"


def test_a_name_that_raises_is_told_with_its_cause() -> None:
    class Odd(Plain):
        def name(self) -> str:
            return str(1 // 0)

    with pytest.raises(JobError, match="ZeroDivisionError") as caught:
        check_job(Odd())

    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_job_whose_repr_raises_is_still_told_to_be_none() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise LookupError

    with pytest.raises(JobError, match=r"Mute.*is no procsched\.Job"):
        check_job(Mute())


def test_limits_are_limits_or_none() -> None:
    job = Plain()
    assert check_limits(job) is None
    job.limits = Limits(wall=1)  # type: ignore[misc]
    assert check_limits(job) == Limits(wall=1)


@pytest.mark.parametrize("said", [True, False, None])
def test_run_continuous_is_taken_as_said(said: bool | None) -> None:  # noqa: FBT001
    assert check_run_continuous(said) is said


def test_what_fits_is_returned() -> None:
    config = ScheduleConfig(time_unit=Sc.DAY)
    settings = Settings.built_in()

    assert check_schedule_config("a", config) is config
    assert check_schedule_config("a", None) is None
    assert check_settings(settings) is settings
    assert check_state_dir(None) is None
    assert check_state_dir("here") == "here"
    assert check_state_dir(Path("here")) == Path("here")
    assert check_id("a") == "a"
    assert check_limit(1) == 1
    assert check_limit(2**70) == ROWS_LIMIT


def test_a_state_directory_is_no_number_of_bytes() -> None:
    with pytest.raises(SchedulerError, match=r"state_dir=b'here' is no path"):
        check_state_dir(b"here")
