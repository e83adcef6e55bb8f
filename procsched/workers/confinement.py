"""A run's surroundings as the kernel keeps them: priority, CPUs, user, namespaces.

Done by the process of a run itself, single-threaded and in a session of its
own, before any of the job's code.  What is asked for is there, or the run does
not start: a job that ran as root because its user was misspelt is worse than none.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from procsched.workers import linux
from procsched.workers.identity import Identity, look_up
from procsched.workers.rlimits import LimitRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

LASTING: Final = (
    "nice",
    "io_class",
    "cpu_affinity",
    "user",
    "group",
    "no_new_privs",
    "network",
    "private_tmp",
)
"""Limits that a process cannot put back: a worker with others is another worker."""

_MECHANISMS: Final = {
    "nice": "setpriority",
    "io_class": "ioprio_set",
    "cpu_affinity": "sched_setaffinity",
    "user": "setresuid",
    "group": "setresgid",
}

_IO_CLASSES: Final = {"realtime": 1, "best-effort": 2, "idle": 3}
_IO_LEVEL: Final = 4  # What the kernel gives who says none (ioprio_set(2)).
_IO_CLASS_SHIFT: Final = 13

_NEW_MOUNTS: Final = 0x00020000  # CLONE_NEWNS (unshare(2)).
_NEW_USER: Final = 0x10000000
_NEW_NETWORK: Final = 0x40000000

_NOSUID_NODEV: Final = 0x2 | 0x4  # MS_NOSUID, MS_NODEV (mount(2)).
_SLAVE: Final = 0x80000 | 0x4000  # MS_SLAVE, MS_REC: mounts come in, none goes out.

_PRIVATE: Final = ("/tmp", "/var/tmp")  # noqa: S108 - names, nothing is put there

_SET_FLAGS: Final = 0x8914  # SIOCSIFFLAGS (netdevice(7)).
_UP: Final = 0x1 | 0x40  # IFF_UP, IFF_RUNNING.

_AUTOGROUP_PAUSE_SECONDS: Final = 0.1
"""What the kernel wants between two changes by those who are not root."""

_AUTOGROUP_TRIES: Final = 5


def lasting(limits: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a persistent worker must have in common with its next run."""
    values = (limits.get(name) for name in LASTING)
    return tuple(tuple(each) if isinstance(each, list) else each for each in values)


def enforceable(limits: Mapping[str, Any]) -> dict[str, str]:
    """Return the mechanism per surrounding that limits name."""
    by = {
        name: how for name, how in _MECHANISMS.items() if limits.get(name) is not None
    }
    if _wants_no_new_privileges(limits):
        by["no_new_privs"] = "prctl"
    if limits.get("network") is False:
        by["network"] = "namespace"
    if limits.get("private_tmp"):
        by["private_tmp"] = "namespace"
    return by


def apply(limits: Mapping[str, Any], parent_pid: int | None = None) -> None:
    """Give this process the surroundings that limits name; see `confine`, `place`.

    Raises:
        LimitRefused: With one sentence that says what is missing, and how to get it.
    """
    confine(limits, parent_pid)
    place(limits)


def confine(limits: Mapping[str, Any], parent_pid: int | None = None) -> None:
    """Do what lasts as long as this process; call it once, in a session of its own.

    Args:
        limits: Those of a start frame.
        parent_pid: Whose death is ours; said again here, for a change of user
            makes the kernel forget it (prctl(2), PR_SET_PDEATHSIG).

    Raises:
        LimitRefused: If one cannot be had.
    """
    # First, for a name that is not there must leave nothing half done.
    identity = look_up(limits)
    if limits.get("nice") is not None:
        _be_nice(limits["nice"])
    if limits.get("io_class") is not None:
        _set_io_class(limits["io_class"])
    if limits.get("cpu_affinity") is not None:
        _bind(frozenset(limits["cpu_affinity"]))
    _separate(limits)
    if not identity.is_ours:
        _become(identity, limits)
        if parent_pid is not None:
            linux.die_with_parent(parent_pid)
    if _wants_no_new_privileges(limits) and not linux.forbid_new_privileges():
        raise LimitRefused(
            "no_new_privs is not to be had on this system, which has no such flag: "
            "write no_new_privs=False"
        )


def place(limits: Mapping[str, Any]) -> None:
    """Set umask and directory, which can be put back; after `confine`.

    Raises:
        LimitRefused: If the directory cannot be entered.
    """
    if limits.get("umask") is not None:
        os.umask(limits["umask"])
    cwd = limits.get("cwd")
    if cwd is None:
        return
    try:
        os.chdir(cwd)
    except FileNotFoundError:
        raise LimitRefused(
            f"the directory {cwd!r} does not exist: make it, or correct `cwd`"
        ) from None
    except NotADirectoryError:
        raise LimitRefused(f"{cwd!r} is no directory: correct `cwd`") from None
    except OSError as fault:
        raise LimitRefused(
            f"the directory {cwd!r} cannot be entered by the run's user, number "
            f"{os.geteuid()} ({fault.strerror}): let him, or correct `cwd`"
        ) from None


def check_library(limits: Mapping[str, Any]) -> None:
    """Refuse a user who cannot read Python's library; after `confine`, for a class.

    An import of his would say "unknown encoding: idna", and not why.  A command
    needs no library of ours.

    Raises:
        LimitRefused: If he cannot.
    """
    if limits.get("user") is not None and not os.access(os.__file__, os.R_OK):
        raise LimitRefused(
            f"user={limits['user']!r} may not read Python's library in "
            f"{os.path.dirname(os.__file__)}: install Python where every user can "  # noqa: PTH120
            "read it, or make the job a command"
        )


def _wants_no_new_privileges(limits: Mapping[str, Any]) -> bool:
    said = limits.get("no_new_privs")
    return limits.get("user") is not None if said is None else bool(said)


def _be_nice(value: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    except OSError:
        now = os.getpriority(os.PRIO_PROCESS, 0)
        raise LimitRefused(
            f"nice={value} is less than the scheduler's own {now}, which needs root: "
            f"run it as root, set LimitNICE={value} in its systemd unit, or write "
            f"{now} or more"
        ) from None
    if os.getsid(0) == os.getpid():
        _be_nice_as_a_session(value)


def _be_nice_as_a_session(value: int) -> None:
    """Set the autogroup's value: between sessions only that counts (sched(7))."""
    for _ in range(_AUTOGROUP_TRIES):
        try:
            with open("/proc/self/autogroup", "w", encoding="utf-8") as group:  # noqa: PTH123
                group.write(str(value))
        except OSError as fault:
            if fault.errno != errno.EAGAIN:
                # There are no autogroups; then the process's own value counts.
                return
            # One change in 0.1 s on the whole host, for all but root.
            time.sleep(_AUTOGROUP_PAUSE_SECONDS)
        else:
            return


def _set_io_class(word: str) -> None:
    name, _, level = word.rstrip(")").partition("(")
    number = 0 if name == "idle" else int(level or _IO_LEVEL)
    try:
        linux.set_io_priority(_IO_CLASSES[name] << _IO_CLASS_SHIFT | number)
    except OSError as fault:
        remedy = (
            "write 'best-effort(0)', or run the scheduler as root"
            if fault.errno == errno.EPERM
            else "drop `io_class`"
        )
        raise LimitRefused(
            f"io_class={word!r} was refused by the kernel ({fault.strerror}): {remedy}"
        ) from None


def _bind(wanted: frozenset[int]) -> None:
    if not hasattr(os, "sched_setaffinity"):
        raise LimitRefused(
            "cpu_affinity is not to be had on this system: drop `cpu_affinity`"
        )
    there = os.sched_getaffinity(0)
    with contextlib.suppress(OSError, ValueError, OverflowError):
        # None of them is there; seen below.
        os.sched_setaffinity(0, wanted)
        there |= os.sched_getaffinity(0)
    lacking = wanted - os.sched_getaffinity(0)
    if lacking:
        raise LimitRefused(
            f"CPU {min(lacking)} is not there for the scheduler, which may use "
            f"{', '.join(map(str, sorted(there)))}: correct `cpu_affinity`"
        )


def _separate(limits: Mapping[str, Any]) -> None:
    """Leave the host's network and /tmp for new ones, where limits say so."""
    offline = limits.get("network") is False
    private = bool(limits.get("private_tmp"))
    flags = (_NEW_NETWORK if offline else 0) | (_NEW_MOUNTS if private else 0)
    if not flags:
        return
    what = "network=False" if offline else "private_tmp"
    try:
        _unshare(flags)
        if offline:
            _raise_loopback()
        if private:
            what = "private_tmp"
            _mount_private(limits.get("memory"))
    except OSError as fault:
        raise LimitRefused(
            f"{what} needs a namespace, which was refused by the kernel "
            f"({fault.strerror}): run the scheduler as root, or let users make them "
            f"(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            f"kernel.apparmor_restrict_unprivileged_userns)"
        ) from None


def _unshare(flags: int) -> None:
    try:
        linux.unshare(flags)
    except PermissionError:
        # Who is not root may, in a namespace of users in which he is himself.
        user, group = os.geteuid(), os.getegid()
        linux.unshare(flags | _NEW_USER)
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{file}", "w", encoding="utf-8") as map_:  # noqa: PTH123
                map_.write(text)


def _raise_loopback() -> None:
    """Let the run talk to itself: a new network has its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _mount_private(memory_bytes: int | None) -> None:
    """Mount memory over /tmp and /var/tmp: nothing to clear up when it ends."""
    size = "" if memory_bytes is None else f",size={memory_bytes}"
    linux.mount("none", "/", "", _SLAVE)
    for place in filter(os.path.isdir, _PRIVATE):
        linux.mount("tmpfs", place, "tmpfs", _NOSUID_NODEV, f"mode=1777{size}")


def _become(identity: Identity, limits: Mapping[str, Any]) -> None:
    """Give up being who we are; the streams become the user's, by any name."""
    who = ", ".join(
        f"{name}={limits[name]!r}"
        for name in ("user", "group")
        if limits.get(name) is not None
    )
    try:
        if identity.group is not None:
            if identity.name is not None:
                os.initgroups(identity.name, identity.group)
            elif identity.user is not None:
                os.setgroups([identity.group])
            os.setresgid(identity.group, identity.group, identity.group)
        if identity.user is not None:
            for stream in (1, 2):
                if stat.S_ISFIFO(os.fstat(stream).st_mode):
                    # /dev/stderr is opened anew, as a file of the run's user is.
                    os.fchown(stream, identity.user, -1)
            os.setresuid(identity.user, identity.user, identity.user)
    except OSError as fault:
        raise LimitRefused(
            f"{who} needs root, and the scheduler is user number {os.geteuid()} "
            f"({fault.strerror}): run it as root, or drop them"
        ) from None
    linux.become_dumpable()
