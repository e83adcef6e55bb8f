"""Where this host lets us make cgroups, and what they can do there.

A controller lives in one hierarchy: in the one of version 2, or in one of its
own of version 1.  On a hybrid host version 2 has none left and still counts CPU
time and kills a whole group at once (cgroups(7)).  Found once, before any fork.

Imports: nothing of ours.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LEAF: Final = "procsched-scheduler"
"""Where the scheduler's own processes go: a group of version 2 that hands
controllers down may hold no process itself (cgroups(7))."""

WANTED: Final = ("memory", "pids")

_NONE_GIVEN: Final = (
    "give the scheduler a cgroup of its own, with memory and pids (systemd: "
    "Delegate=yes in its unit, or systemd-run --user --scope -p Delegate=yes; in a "
    "container: /sys/fs/cgroup mounted for writing)"
)


@dataclass(frozen=True, slots=True)
class Ground:
    """Directories below which cells can be made; None where they cannot.

    Attributes:
        unified: Of version 2.
        controllers: What version 2 hands down to a cell.
        memory: Of version 1, where it has this controller.
        pids: Likewise.
        cpuacct: Likewise.
        missing: How to get what is not there; empty if all is.
    """

    unified: str | None = None
    controllers: frozenset[str] = frozenset()
    memory: str | None = None
    pids: str | None = None
    cpuacct: str | None = None
    missing: str = _NONE_GIVEN

    @classmethod
    def find(
        cls, may_move: Collection[int] = (), *, wanted: Collection[str] = WANTED
    ) -> Ground:
        """Return what this process is given, of its own cgroups.

        Args:
            may_move: Processes that may be put into `LEAF`, if that lets version 2
                hand controllers down; all that share our cgroup must be among them.
            wanted: Controllers.
        """
        own = {}
        with contextlib.suppress(OSError):
            # No cgroups in this kernel.
            own = dict(_own_directories())
        unified = _writable(own.get(""))
        given = frozenset(wanted) & _hand_down(unified, may_move, wanted)
        first = {
            name: None if name in given else _writable(own.get(name))
            for name in ("memory", "pids", "cpuacct")
        }
        lacking = [name for name in WANTED if name not in given and not first[name]]
        return cls(unified, given, **first, missing=_NONE_GIVEN if lacking else "")

    def version(self, controller: str) -> str | None:
        """Return "cgroup1" or "cgroup2", whichever has a controller for us."""
        if controller in self.controllers:
            return "cgroup2"
        first = self.memory if controller == "memory" else self.pids
        return None if first is None else "cgroup1"

    def directories(self) -> tuple[str, ...]:
        """Return each directory below which a cell has one."""
        every = (self.unified, self.memory, self.pids, self.cpuacct)
        return tuple(dict.fromkeys(each for each in every if each is not None))


def _own_directories() -> Iterator[tuple[str, str]]:
    """Yield controller, or "" for version 2, and the directory of our own cgroup."""
    paths: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8") as lines:  # noqa: PTH123 - cheap
        for line in lines:
            _, names, path = line.rstrip("\n").split(":", 2)
            paths |= dict.fromkeys(names.split(","), path)
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:  # noqa: PTH123
        for line in lines:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split()
            root, place = before.split()[3:5]
            if kind not in {"cgroup", "cgroup2"}:
                continue
            for name in [""] if kind == "cgroup2" else options.split(","):
                if name in paths:
                    yield name, _below(place, root, paths[name])


def _below(place: str, root: str, path: str) -> str:
    """Return where a cgroup is: the mount may show a part of the tree only."""
    if root != "/" and f"{path}/".startswith(f"{root}/"):
        path = path[len(root) :]
    return f"{place}{path}".rstrip("/")


def _writable(directory: str | None) -> str | None:
    """Return the directory if cgroups can be made in it."""
    if directory is None:
        return None
    trial = f"{directory}/procsched-trial-{os.getpid()}"
    try:
        os.mkdir(trial)  # noqa: PTH102 - paths are texts here
        os.rmdir(trial)  # noqa: PTH106
    except OSError:
        return None
    return directory


def _hand_down(
    directory: str | None, may_move: Collection[int], wanted: Collection[str]
) -> frozenset[str]:
    """Let a cgroup of version 2 hand controllers down, and return those it does."""
    if directory is None:
        return frozenset()
    given = frozenset(_words(f"{directory}/cgroup.subtree_control"))
    offered = frozenset(_words(f"{directory}/cgroup.controllers"))
    lacking = sorted(offered.intersection(wanted) - given)
    if not lacking:
        return given
    order = " ".join(f"+{name}" for name in lacking)
    control = f"{directory}/cgroup.subtree_control"
    if _write(control, order) or (
        _move_into_leaf(directory, may_move) and _write(control, order)
    ):
        return given.union(lacking)
    return given


def _move_into_leaf(directory: str, may_move: Collection[int]) -> bool:
    """Empty a cgroup of the scheduler's processes, if it has no others."""
    present = [int(word) for word in _words(f"{directory}/cgroup.procs")]
    if not present or not frozenset(present) <= frozenset(may_move):
        return False
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{directory}/{LEAF}")  # noqa: PTH102 - paths are texts here
    return all(_write(f"{directory}/{LEAF}/cgroup.procs", str(pid)) for pid in present)


def _words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as text:  # noqa: PTH123 - cheap
            return text.read().split()
    except OSError:
        return []


def _write(path: str, text: str) -> bool:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - cheap
            file.write(text)
    except OSError:
        return False
    return True
