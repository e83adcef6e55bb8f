"""Limits that the kernel keeps for each process of a run.

rlimits are per process, not per run (getrlimit(2)); who enforced what is
recorded with the run, so nobody takes one for the other.

Imports: nothing of ours.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from typing import Any, Final

_KINDS: Final = {
    "memory": resource.RLIMIT_DATA,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
    "file_size": resource.RLIMIT_FSIZE,
}


_ALL: Final = frozenset(
    getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
)


class LimitRefused(Exception):  # noqa: N818 - becomes a start_failed, not an error
    """A required limit that nothing here can enforce."""


def enforceable(limits: dict[str, Any]) -> dict[str, str]:
    """Return the mechanism per limit; a limit without one is left out."""
    by = dict.fromkeys(("wall", "startup", "output"), "keeper")
    by |= dict.fromkeys(("cpu", *_KINDS), "rlimit")
    if os.geteuid() == 0:
        # Root is exempt from RLIMIT_NPROC (getrlimit(2)).
        del by["processes"]
    return {name: how for name, how in by.items() if limits.get(name) is not None}


def check(limits: dict[str, Any]) -> None:
    """Refuse limits that are required and have no mechanism.

    Raises:
        LimitRefused: With one sentence that names them.
    """
    by = enforceable(limits)
    names = [name for name in ("processes",) if limits.get(name) and name not in by]
    if limits.get("required") and names:
        raise LimitRefused(
            f"limit '{names[0]}' is required, and root is exempt from RLIMIT_NPROC: "
            "run the scheduler as another user, or drop the limit"
        )


def apply(limits: dict[str, Any]) -> None:
    """Put the limits on this process, for good.

    Raises:
        LimitRefused: If the kernel refuses one.
    """
    for name, kind in _KINDS.items():
        value = limits.get(name)
        if value is not None:
            _set(name, kind, value, value)
    cpu = limits.get("cpu")
    if cpu is not None:
        soft = math.ceil(cpu)
        # The hard limit a second later is SIGKILL for who ignores SIGXCPU.
        _set("cpu", resource.RLIMIT_CPU, soft, soft + 1)


def apply_softly(limits: dict[str, Any]) -> None:
    """Put the limits on this process for one run, so that they can be put back.

    Raises:
        LimitRefused: If the kernel refuses one.
    """
    soft = {kind: limits.get(name) for name, kind in _KINDS.items()}
    if limits.get("cpu") is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = used.ru_utime + used.ru_stime
        soft[resource.RLIMIT_CPU] = math.ceil(spent + limits["cpu"])
    names = {kind: name for name, kind in _KINDS.items()}
    for kind, value in soft.items():
        if value is not None:
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                value = min(value, hard)  # noqa: PLW2901 - no more than there is
            _set(names.get(kind, "cpu"), kind, value, hard)


def snapshot() -> dict[int, tuple[int, int]]:
    """Return this process's limits, to be put back."""
    return {kind: resource.getrlimit(kind) for kind in _ALL}


def put_back(limits: dict[int, tuple[int, int]]) -> None:
    """Make this process's limits what they were.

    Raises:
        OSError, ValueError: If one was lowered for good.
    """
    for kind, values in limits.items():
        if resource.getrlimit(kind) != values:
            resource.setrlimit(kind, values)


def cause_of_kill(
    limits: dict[str, Any], code: int | None, usage: dict[str, Any]
) -> tuple[str, str] | None:
    """Return the cause of a kill that the kernel made for one of the limits."""
    cpu = limits["cpu"]
    used = usage["cpu_user"] + usage["cpu_system"]
    if cpu is not None and code == -signal.SIGKILL and used >= cpu:
        # The hard limit, of a job that ignores SIGXCPU (setrlimit(2)).
        return "limit_exceeded", f"over its CPU time limit of {cpu:g} s (SIGKILL)"
    return None


def _set(name: str, kind: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(kind)[1]
    if ceiling != resource.RLIM_INFINITY and os.geteuid() != 0:
        soft = min(soft, ceiling)
        hard = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (OSError, ValueError) as fault:
        raise LimitRefused(
            f"limit '{name}' was refused by the kernel: {fault}"
        ) from None
