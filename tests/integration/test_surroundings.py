"""The surroundings of whole runs: what limits name is there, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hostile import Hostile, World

from procsched.core.limits import Limits
from procsched.core.outcome import Outcome
from procsched.job import CommandJob

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


@pytest.mark.parametrize("sequence", [None, "one"])
def test_a_run_has_the_surroundings_that_its_limits_name(
    world: World, monkeypatch: pytest.MonkeyPatch, sequence: str | None
) -> None:
    """What the host says of itself is no variable of a run, unless it is passed."""
    monkeypatch.setenv("A_SECRET", "x")
    limits = Limits(
        nice=5, umask="027", cwd=str(world.place), env={"SAID": "y"}, cpu_affinity=[0]
    )
    seen = world.run(
        Hostile("tell_surroundings"), limits=limits, sequence=sequence
    ).report.result
    after = world.run(Hostile("tell_surroundings"), sequence=sequence).report.result

    assert seen == [5, 0o027, str(world.place), [0], "y", None]
    assert after[0] == os.getpriority(os.PRIO_PROCESS, 0)
    assert after[2:] == [str(Path.cwd()), sorted(os.sched_getaffinity(0)), None, None]


def test_a_variable_that_is_passed_reaches_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    with World(tmp_path) as world:
        one = world.run(
            Hostile("tell_surroundings"), limits=Limits(pass_env=["A_SECRET"])
        )
        none = world.run(Hostile("tell_surroundings"))

    assert [each.report.result[5] for each in (one, none)] == ["x", None]


@pytest.mark.skipif(bool(os.geteuid()), reason="only root may become another user")
def test_a_command_of_another_user_runs_as_that_user_and_is_audited(
    world: World,
) -> None:
    job = CommandJob("who", ["id", "-un"])
    end = world.run(job, limits=Limits(user="nobody", cwd="/"))

    assert end.outcome is Outcome.SUCCEEDED, end.reason
    assert end.log == "nobody\n"


def test_a_user_that_is_not_there_fails_the_start_with_the_nearest(
    world: World,
) -> None:
    end = world.run(Hostile("returns"), limits=Limits(user="nobdoy"))

    assert end.outcome is Outcome.START_FAILED
    assert "'nobody'" in end.reason
