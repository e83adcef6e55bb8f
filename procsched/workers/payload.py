"""What crosses to a child so that it can make the job again.

Checked when the job is scheduled, not when it first runs: a job that cannot be
sent is refused with the reason and the remedy while somebody is looking.

Imports: errors, job, workers.mainmodule.
"""

from __future__ import annotations

import base64
import pickle
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from typing import TYPE_CHECKING, Any

from procsched.errors import JobError
from procsched.job import CommandJob, Job
from procsched.workers.mainmodule import describe_main

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procsched.workers.channel import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A job as it travels.

    Attributes:
        pickled: The job, base64 of a pickle; made and read by the user's own
            code on both sides, never by the supervisor or a keeper.
        main: How to find the script again, if the pickle needs it.
        target: "module:Class" of a job declared in the configuration.
        arguments: What the class is made of.
        command: What a CommandJob is made of.
    """

    pickled: str | None = None
    main: Mapping[str, str] | None = None
    target: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    command: Mapping[str, Any] | None = None

    def to_frame(self) -> Frame:
        """Return it as part of a start frame."""
        return {
            "payload": self.pickled,
            "main": None if self.main is None else dict(self.main),
            "target": self.target,
            "arguments": dict(self.arguments),
            "command": None if self.command is None else dict(self.command),
        }


def pack(job: Job) -> Payload:
    """Return the job as it travels.

    Raises:
        JobError: If a child could not make it again.
    """
    if type(job) is CommandJob:
        command = {"name": job.name(), "command": list(job.command)}
        return Payload(command={**command, "env": job.env, "cwd": job.cwd})
    name = job.name()
    kind = type(job)
    if "<locals>" in kind.__qualname__:
        raise JobError(
            f"job {name!r} cannot be sent to a child: its class {kind.__qualname__} "
            "is defined inside a function",
            remedy="Move the class to the top level of its module",
        )
    try:
        pickled = pickle.dumps(job)
    except Exception as fault:
        raise JobError(
            f"job {name!r} cannot be sent to a child: {_cause(fault)}",
            remedy="Keep in the job only what pickle can take (texts, numbers, paths), "
            "and open files, locks and connections inside goal()",
        ) from fault
    return Payload(
        pickled=base64.b64encode(pickled).decode(),
        main=_main_if_needed(name, kind, pickled),
    )


def _cause(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


def _main_if_needed(name: str, kind: type, pickled: bytes) -> dict[str, str] | None:
    if b"__main__" in pickled or b"__mp_main__" in pickled:
        main = describe_main()
        if main is None:
            raise JobError(
                f"job {name!r} cannot be sent to a child: it is defined in "
                "__main__, and this program has no file a child could read it from",
                remedy="Move the class into a module that can be imported, or run "
                "the script from a file",
            )
        return main
    if not _importable(kind.__module__, tuple(sys.path)):
        raise JobError(
            f"job {name!r} cannot be sent to a child: its module "
            f"{kind.__module__!r} is not found on sys.path",
            remedy="Install the package, or add its directory to sys.path or "
            "PYTHONPATH before scheduling",
        )
    return None


@lru_cache(maxsize=1024)
def _importable(module: str, path: tuple[str, ...]) -> bool:
    """Return whether a fresh interpreter with this path would find the module.

    Asks the path and not `sys.modules`: a module can be loaded here from a place
    that no child will ever look at.
    """
    parts = module.split(".")
    places: list[str] | None = list(path)
    for depth in range(len(parts)):
        name = ".".join(parts[: depth + 1])
        spec = PathFinder.find_spec(name, places)
        if spec is None and depth == 0:
            spec = BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
        if spec is None:
            return _found_by_other_finder(module)
        places = spec.submodule_search_locations
        if places is not None:
            places = list(places)
        elif depth + 1 < len(parts):
            return False
    return True


def _found_by_other_finder(module: str) -> bool:
    """Ask the finders an editable install puts on the meta path."""
    top = module.partition(".")[0]
    own = (PathFinder, BuiltinImporter, FrozenImporter)
    for finder in sys.meta_path:
        name = getattr(finder, "__name__", type(finder).__name__)
        if finder in own or not name.startswith("__editable__"):
            continue
        if finder.find_spec(top, None) is not None:
            return True
    return False
