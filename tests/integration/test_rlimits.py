"""Limits on real processes, each in a fork of its own."""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

import pytest
from forked import in_child

from procsched.workers import rlimits
from procsched.workers.ground import Ground

NONE: dict[str, Any] = {
    "wall": None,
    "startup": None,
    "cpu": None,
    "memory": None,
    "processes": None,
    "open_files": None,
    "file_size": None,
    "output": None,
    "required": False,
}


def test_all_limits_are_set_for_good() -> None:
    limits = NONE | {
        "memory": 500_000_000,
        "processes": 1000,
        "open_files": 60,
        "file_size": 1000,
        "cpu": 1.2,
    }

    def work() -> Any:
        rlimits.apply(limits)
        kinds = ("DATA", "NPROC", "NOFILE", "FSIZE", "CPU")
        return [resource.getrlimit(getattr(resource, f"RLIMIT_{k}")) for k in kinds]

    assert in_child(work) == [
        [500_000_000, 500_000_000],
        [1000, 1000],
        [60, 60],
        [1000, 1000],
        [2, 3],
    ]


def test_soft_limits_are_put_back() -> None:
    limits = NONE | {"memory": 500_000_000, "open_files": 60, "cpu": 5}

    def work() -> Any:
        before = rlimits.snapshot()
        rlimits.apply_softly(limits)
        changed = rlimits.snapshot() != before
        rlimits.put_back(before)
        return [changed, rlimits.snapshot() == before]

    assert in_child(work) == [True, True]


def test_a_soft_limit_above_the_hard_one_is_the_hard_one() -> None:
    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        rlimits.apply_softly(NONE | {"open_files": 1000})
        return resource.getrlimit(resource.RLIMIT_NOFILE)

    assert in_child(work) == [200, 200]


def test_a_limit_above_what_a_user_may_have_is_what_he_may_have() -> None:
    if os.geteuid():
        pytest.skip("becomes another user")

    def work() -> Any:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        os.setuid(65534)
        rlimits.apply(NONE | {"open_files": 1000, "cpu": 3})
        return [
            resource.getrlimit(resource.RLIMIT_NOFILE),
            resource.getrlimit(resource.RLIMIT_CPU),
        ]

    assert in_child(work) == [[200, 200], [3, 4]]


def test_what_the_kernel_refuses_is_named() -> None:
    if os.geteuid():
        pytest.skip("the number is refused to root alone")
    limits = NONE | {"open_files": 2**40}

    said = in_child(lambda: rlimits.apply(limits))

    assert said.startswith("LimitRefused: limit 'open_files' was refused by the kernel")


def test_who_enforces_is_told_for_each_limit_that_is_set() -> None:
    limits = NONE | {"wall": 1, "cpu": 1, "memory": 1, "output": 1}

    assert rlimits.enforceable(limits) == {
        "wall": "keeper",
        "output": "keeper",
        "cpu": "rlimit",
        "memory": "rlimit",
    }
    assert rlimits.enforceable(NONE) == {}


def test_what_a_cgroup_holds_is_not_put_on_each_process_as_well() -> None:
    limits = NONE | {"memory": 500_000_000, "processes": 5, "cpu": 2, "open_files": 60}
    held = {"memory": "cgroup2", "processes": "cgroup1", "cpu": "watchdog"}

    def work() -> Any:
        rlimits.apply(limits, held)
        data = resource.getrlimit(resource.RLIMIT_DATA)[0] == 500_000_000
        return [data, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]

    assert in_child(work) == [False, 60]
    assert rlimits.enforceable(limits, held) == {
        "memory": "cgroup2",
        "processes": "cgroup1",
        "cpu": "rlimit+watchdog",
        "open_files": "rlimit",
    }
    rlimits.check(limits | {"required": True}, held)

    def softly() -> Any:
        rlimits.apply_softly(limits, held)
        return resource.getrlimit(resource.RLIMIT_DATA)[0] == 500_000_000

    assert in_child(softly) is False


def test_a_user_who_is_not_root_is_limited_in_processes() -> None:
    limits = NONE | {"processes": 5, "required": True, "user": "nobody"}

    assert rlimits.enforceable(limits) == {"processes": "rlimit"}
    rlimits.check(limits)


def test_what_is_required_and_not_to_be_had_says_how_to_get_it() -> None:
    if os.geteuid():
        pytest.skip("root alone is exempt")
    limits = NONE | {"processes": 5, "required": True}

    with pytest.raises(rlimits.LimitRefused) as refused:
        rlimits.check(limits, {"memory": "watchdog"}, Ground().missing)

    assert str(refused.value) == (
        "limit 'processes' is required, and root is exempt from RLIMIT_NPROC: give "
        "the scheduler a cgroup of its own, with memory and pids (systemd: "
        "Delegate=yes in its unit, or systemd-run --user --scope -p Delegate=yes; in "
        "a container: /sys/fs/cgroup mounted for writing); or set `user`, or drop the "
        "limit"
    )


def test_processes_are_enforced_for_all_but_root() -> None:
    if os.geteuid():
        pytest.skip("becomes another user")
    limits = NONE | {"processes": 5, "required": True}

    assert rlimits.enforceable(limits) == {}
    with pytest.raises(rlimits.LimitRefused) as refused:
        rlimits.check(limits)
    assert str(refused.value) == (
        "limit 'processes' is required, and root is exempt from RLIMIT_NPROC: "
        "let the scheduler make cgroups; or set `user`, or drop the limit"
    )
    rlimits.check(limits | {"required": False})

    def work() -> Any:
        os.setuid(65534)
        rlimits.check(limits)
        return rlimits.enforceable(limits)

    assert in_child(work) == {"processes": "rlimit"}


@pytest.mark.parametrize(
    ("limit", "code", "used", "cause"),
    [
        (2, -signal.SIGKILL, 2.1, "over its CPU time limit of 2 s (SIGKILL)"),
        (2, -signal.SIGKILL, 1.9, None),
        (2, -signal.SIGXCPU, 2.1, None),
        (None, -signal.SIGKILL, 9, None),
        (2, 0, 2.1, None),
    ],
)
def test_a_kill_is_the_cpu_limits_only_if_the_cpu_was_used(
    limit: float | None, code: int, used: float, cause: str | None
) -> None:
    usage = {"cpu_user": used, "cpu_system": 0}
    found = rlimits.cause_of_kill(NONE | {"cpu": limit}, code, usage)

    assert found == (None if cause is None else ("limit_exceeded", cause))
