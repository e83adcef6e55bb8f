"""Whom a run is: the user and group that its limits name, looked up on this host.

Imports: errors, workers.rlimits.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from procsched.errors import nearest
from procsched.workers.rlimits import LimitRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as a process needs him.

    Attributes:
        user: Number; None to stay who we are.
        group: Number; None to stay in ours.
        name: Of the user, for his further groups; None for one without an entry.
        variables: HOME, USER, LOGNAME and SHELL of the user; empty without one.
    """

    user: int | None
    group: int | None
    name: str | None
    variables: Mapping[str, str]

    @property
    def is_ours(self) -> bool:
        """Whether this process is all of that already."""
        return self.user in {None, os.geteuid()} and self.group in {None, os.getegid()}


def look_up(limits: Mapping[str, Any]) -> Identity:
    """Return whom limits name.

    Raises:
        LimitRefused: If there is no such user or group here.
    """
    user, group = limits.get("user"), limits.get("group")
    gid = None if group is None else _group(group)
    if user is None:
        return Identity(None, gid, None, {})
    entry = _user(user)
    if entry is None:
        if gid is None:
            raise LimitRefused(
                f"user {user} has no entry on this host, so nobody knows its group: "
                "write `group` as well"
            )
        return Identity(int(user), gid, None, {"HOME": "/"})
    variables = {
        "HOME": entry.pw_dir,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
    }
    gid = entry.pw_gid if gid is None else gid
    return Identity(entry.pw_uid, gid, entry.pw_name, variables)


def _user(user: str | int) -> pwd.struct_passwd | None:
    """Return the entry of a user; None for a number without one."""
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, int) or user.isdigit():
            return None if isinstance(user, int) else _user(int(user))
    raise _unknown("user", user, lambda: [each.pw_name for each in pwd.getpwall()])


def _group(group: str | int) -> int:
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        if group.isdigit():
            return int(group)
    raise _unknown("group", group, lambda: [each.gr_name for each in grp.getgrall()])


def _unknown(kind: str, name: str, known: Callable[[], list[str]]) -> LimitRefused:
    close = nearest(name, known())
    advice = f"did you mean {close!r}?" if close else f"add it, or correct `{kind}`"
    return LimitRefused(f"there is no {kind} {name!r} on this host: {advice}")
