"""Limits that the kernel keeps for each process of a run, and who keeps the others.

rlimits are per process, not per run (getrlimit(2)); who enforced what is
recorded with the run, so nobody takes one for the other.

Imports: nothing of ours.
"""

from __future__ import annotations

import math
import os
import resource
import signal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = {
    "memory": resource.RLIMIT_DATA,
    "processes": resource.RLIMIT_NPROC,
    "open_files": resource.RLIMIT_NOFILE,
    "file_size": resource.RLIMIT_FSIZE,
}


_ALL: Final = frozenset(
    getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")
)


_ALL_LIMITS: Final = ("wall", "startup", "output", "cpu", *_KINDS)

_ROOT: Final = (None, 0, "0", "root")
"""Users that limits name, of a scheduler that is root, who are root as well."""

_NOBODY: Final[Mapping[str, str]] = {}


class LimitRefused(Exception):  # noqa: N818 - becomes a start_failed, not an error
    """A required limit that nothing here can enforce."""


def enforceable(
    limits: Mapping[str, Any], held: Mapping[str, str] = _NOBODY
) -> dict[str, str]:
    """Return the mechanism per limit; a limit without one is left out.

    Args:
        limits: Those of a start frame.
        held: Who holds a limit for the run as a whole; see `watchdog.held`.
    """
    by = dict.fromkeys(("wall", "startup", "output"), "keeper")
    by |= dict.fromkeys(("cpu", *_KINDS), "rlimit")
    if os.geteuid() == 0 and limits.get("user") in _ROOT:
        # Root is exempt from RLIMIT_NPROC (getrlimit(2)).
        del by["processes"]
    for name, how in held.items():
        beside = name in by and not _by_cgroup(how)
        by[name] = f"{by[name]}+{how}" if beside else how
    return {name: how for name, how in by.items() if limits.get(name) is not None}


def check(
    limits: Mapping[str, Any], held: Mapping[str, str] = _NOBODY, remedy: str = ""
) -> None:
    """Refuse limits that are required and have no mechanism.

    Args:
        limits: Those of a start frame.
        held: Who holds a limit for the run as a whole.
        remedy: How to get cgroups; see `Ground.missing`.

    Raises:
        LimitRefused: With one sentence that names the first.
    """
    if not limits.get("required"):
        return
    by = enforceable(limits, held)
    names = [each for each in _ALL_LIMITS if limits.get(each) and each not in by]
    if names:
        raise LimitRefused(
            f"limit '{names[0]}' is required, and root is exempt from RLIMIT_NPROC: "
            f"{remedy or 'let the scheduler make cgroups'}; or set `user`, or drop "
            f"the limit"
        )


def apply(limits: Mapping[str, Any], held: Mapping[str, str] = _NOBODY) -> None:
    """Put the limits on this process, for good.

    A limit that a cgroup holds is not put on each process as well: what counts
    as data is more than what is used, thread stacks for one.

    Raises:
        LimitRefused: If the kernel refuses one.
    """
    for name, kind in _KINDS.items():
        value = limits.get(name)
        if value is not None and not _by_cgroup(held.get(name)):
            _set(name, kind, value, value)
    cpu = limits.get("cpu")
    if cpu is not None:
        soft = math.ceil(cpu)
        # The hard limit a second later is SIGKILL for who ignores SIGXCPU.
        _set("cpu", resource.RLIMIT_CPU, soft, soft + 1)


def apply_softly(limits: Mapping[str, Any], held: Mapping[str, str] = _NOBODY) -> None:
    """Put the limits on this process for one run, so that they can be put back.

    Raises:
        LimitRefused: If the kernel refuses one.
    """
    soft = {
        kind: limits.get(name)
        for name, kind in _KINDS.items()
        if not _by_cgroup(held.get(name))
    }
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


def _by_cgroup(how: str | None) -> bool:
    return how is not None and how.startswith("cgroup")


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
