"""What a run used, from what the kernel tells of the processes that ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from procsched.workers.account import Account


def usage(user: float, system: float = 0.0) -> Any:
    return SimpleNamespace(
        ru_utime=user,
        ru_stime=system,
        ru_nvcsw=1,
        ru_nivcsw=0,
        ru_inblock=0,
        ru_oublock=0,
        ru_maxrss=1,
    )


def test_a_run_is_not_charged_for_what_came_before_it() -> None:
    """Its process was forked, and had rehearsed, before there was an order."""
    account = Account(7)
    account.before({"cpu_user": 0.002, "cpu_system": 0.001})

    used = account.of_run([(7, usage(0.012, 0.004)), (8, usage(1.0))], None)

    assert used["cpu_user"] == pytest.approx(1.01)
    assert used["cpu_system"] == pytest.approx(0.003)


def test_nothing_is_less_than_nothing() -> None:
    """What the kernel tells at two times is rounded in two ways."""
    account = Account(7)
    account.before({"cpu_user": 0.002, "cpu_system": 0.001})

    assert account.of_run([(7, usage(0.0019, 0.001))], None)["cpu_user"] == 0


def test_the_runs_of_a_worker_are_told_apart() -> None:
    account = Account(7)
    first = dict.fromkeys(("cpu_user", "cpu_system"), 0.1)
    first |= {"context_switches": 1, "io_blocks": 0, "max_rss_bytes": 1}
    account.of_run([], first)

    assert account.of_run([(7, usage(0.3, 0.1))], None)["cpu_user"] == pytest.approx(
        0.2
    )
