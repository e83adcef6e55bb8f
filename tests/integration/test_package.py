"""The public names, and what importing them costs: every run of a script pays it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import procsched

NAMES = [
    "AuditAgent",
    "Auditor",
    "CommandJob",
    "ConfigLoader",
    "ConsoleAgent",
    "FileAgent",
    "HttpAgent",
    "Job",
    "Limits",
    "Outcome",
    "ProcschedError",
    "Recycle",
    "Retry",
    "Sc",
    "ScheduleConfig",
    "Scheduler",
    "Trail",
    "current_run",
]

HEAVY = {"yaml", "pydantic", "sqlite3", "requests", "psutil", "click", "urllib3"}

SEEDS = (
    "from procsched import "
    "Auditor, ConfigLoader, Job, Sc, ScheduleConfig, Scheduler, Trail"
)


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has only because of a statement."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return set(done.stdout.split())


def heavy(modules: set[str]) -> set[str]:
    return {each.partition(".")[0] for each in modules} & HEAVY


def test_the_public_names_are_these() -> None:
    assert sorted(procsched.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_public_name_is_there_under_its_own_name(name: str) -> None:
    value = getattr(procsched, name)

    assert value.__name__ == name
    assert value.__module__.startswith("procsched.")
    assert name in dir(procsched)


def test_the_type_checker_sees_the_names_the_interpreter_has() -> None:
    """They are written twice in the module: once for each."""
    source = procsched.__spec__.loader.get_source("procsched")  # type: ignore[union-attr]
    assert source is not None

    assert sorted(NAMES) == sorted(
        line.split(" as ")[1]
        for line in source.splitlines()
        if line.startswith("    from procsched.")
    )


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(
        AttributeError, match="module 'procsched' has no attribute 'Schedular'"
    ):
        procsched.Schedular  # noqa: B018


def test_importing_the_package_loads_no_heavy_module() -> None:
    """And few others: thirty modules of the interpreter's own, and no thread."""
    modules = loaded_by("import procsched")

    assert not heavy(modules)
    assert {each for each in modules if each.startswith("procsched")} == {"procsched"}
    assert len(modules) <= 35


def test_the_seeds_names_load_no_heavy_module() -> None:
    """A script without a guard is executed again in each of its runs."""
    modules = loaded_by(SEEDS)

    assert not heavy(modules)
    assert not {each for each in modules if each.startswith("procsched.store")}
    assert not modules & {"procsched.engine", "procsched.life", "procsched.core.plan"}
    assert not modules & {"multiprocessing", "socket", "asyncio", "subprocess", "email"}
    assert len(modules) <= 140


def test_a_job_needs_next_to_nothing() -> None:
    modules = loaded_by("from procsched import Job, Sc, current_run")

    assert len({each for each in modules if each.startswith("procsched")}) <= 4
    assert len(modules) <= 55


def test_no_thread_is_started_by_an_import() -> None:
    names = ", ".join(NAMES)

    loaded_by(
        f"from procsched import {names}\n"
        "import threading; assert threading.active_count() == 1"
    )


def test_its_version_is_a_version() -> None:
    assert procsched.__version__.count(".") == 2


def test_what_runs_are_forked_from_has_none_of_the_modules_that_make_forks_slow() -> (
    None
):
    """Each of them has something done in every child after a fork."""
    program = (
        "import sys\n"
        "import procsched.workers.boot, procsched.workers.forkserver\n"
        "import procsched.audit.outlet\n"
        "heavy = {'logging', 'multiprocessing', 'random', 'subprocess', 'threading'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env=environment,
    )

    assert done.stdout == "\n"
