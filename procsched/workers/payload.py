"""What crosses to a child so that it can make the job again.

Checked when the job is scheduled, not when it first runs: a job that cannot be
sent is refused with the reason and the remedy while somebody is looking.

Imports: errors, job, workers.mainmodule.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pickle
import sys
from dataclasses import dataclass, field
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from typing import TYPE_CHECKING, Any, Final, Self

from procsched.errors import JobError
from procsched.job import CommandJob, Job
from procsched.workers.mainmodule import describe_main

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procsched.workers.channel import Frame

PICKLE_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a job's pickle, which is sent for every run."""


def search_path() -> tuple[str, ...]:
    """Return sys.path as it means the same in another directory."""
    with contextlib.suppress(OSError):
        # The working directory has been removed, and nothing is found in it.
        return tuple(os.path.abspath(each) for each in sys.path)  # noqa: PTH100 - ""
    return tuple(each for each in sys.path if os.path.isabs(each))  # noqa: PTH117 - ""


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
        modules: What its child imports to make it.
        path: Where modules are found, as it was when the job was scheduled.
    """

    pickled: str | None = None
    main: Mapping[str, str] | None = None
    target: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    command: Mapping[str, Any] | None = None
    modules: tuple[str, ...] = ()
    path: tuple[str, ...] = field(default_factory=search_path)

    def __post_init__(self) -> None:
        """Name the module of a class that is declared."""
        if self.target is not None:
            object.__setattr__(self, "modules", (self.target.partition(":")[0],))

    def to_frame(self) -> Frame:
        """Return it as part of a start frame."""
        return {
            "payload": self.pickled,
            "main": None if self.main is None else dict(self.main),
            "target": self.target,
            "arguments": dict(self.arguments),
            "command": None if self.command is None else dict(self.command),
            "path": list(self.path),
        }


def pack(job: Job) -> Payload:
    """Return the job as it travels.

    Raises:
        JobError: If a child could not make it again.
    """
    if isinstance(job, CommandJob) and type(job).goal is CommandJob.goal:
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
    if len(pickled) > PICKLE_LIMIT:
        raise JobError(
            f"job {name!r} cannot be sent to a child: it is {len(pickled)} bytes as a "
            f"pickle, and {PICKLE_LIMIT} are allowed",
            remedy="Keep in the job where its data is, and read the data in goal()",
        )
    modules = _modules_in(pickled)
    return Payload(
        pickled=base64.b64encode(pickled).decode(),
        main=_main_if_needed(name, modules),
        modules=tuple(sorted("__main__" if "main__" in m else m for m in modules)),
    )


def _cause(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


class _Anything:
    """Stands for whatever a pickle makes, while it is only looked through."""

    def __new__(cls, *_arguments: object, **_named: object) -> Self:
        return object.__new__(cls)

    def __call__(self, *_arguments: object, **_named: object) -> _Anything:
        return self

    def __setstate__(self, _state: object) -> None: ...

    def __setitem__(self, _key: object, _value: object) -> None: ...

    def __hash__(self) -> int:
        return id(self)

    def append(self, _value: object) -> None: ...

    def extend(self, _values: object) -> None: ...

    def add(self, _value: object) -> None: ...


class _Looking(pickle.Unpickler):
    """Reads a pickle for the modules it names, and runs nothing of them."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.modules: set[str] = set()

    def find_class(self, module: str, _name: str) -> Any:
        """Note the module."""
        self.modules.add(module)
        return _Anything


def _modules_in(pickled: bytes) -> set[str]:
    looking = _Looking(pickled)
    # What a stand-in cannot take ends the look: the job's own class came first.
    with contextlib.suppress(Exception):
        looking.load()
    return looking.modules


def _main_if_needed(name: str, modules: set[str]) -> dict[str, str] | None:
    """Return how to find the script, if the job needs it to be made again.

    Raises:
        JobError: If a child would not find a module that the job needs.
    """
    main = None
    for module in sorted(modules):
        if module in ("__main__", "__mp_main__"):
            main = describe_main()
            if main is None:
                raise JobError(
                    f"job {name!r} cannot be sent to a child: it is defined in "
                    "__main__, and this program has no file a child could read it from",
                    remedy="Move the class into a module that can be imported, or run "
                    "the script from a file",
                )
        elif not _importable(module):
            raise JobError(
                f"job {name!r} cannot be sent to a child: its module "
                f"{module!r} is not found on sys.path",
                remedy="Install the package, or add its directory to sys.path or "
                "PYTHONPATH before scheduling",
            )
    return main


def _importable(module: str) -> bool:
    """Return whether a fresh interpreter with this path would find the module.

    Asks the path and not `sys.modules`: a module can be loaded here from a place
    that no child will ever look at.
    """
    parts = module.split(".")
    places: list[str] | None = list(sys.path)
    for depth in range(len(parts)):
        name = ".".join(parts[: depth + 1])
        spec = PathFinder.find_spec(name, places)
        if spec is None and depth == 0:
            spec = BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name)
        if spec is None and depth > 0:
            # A package may have changed its own path (pkgutil.extend_path).
            parent = sys.modules.get(name.rpartition(".")[0])
            spec = PathFinder.find_spec(name, list(getattr(parent, "__path__", ())))
        if spec is None:
            return depth == 0 and _found_by_other_finder(name)
        places = list(spec.submodule_search_locations or ())
    return True


def _found_by_other_finder(top: str) -> bool:
    """Ask the finders that an editable install puts on the meta path."""
    for finder in sys.meta_path:
        kind = finder if isinstance(finder, type) else type(finder)
        editable = "editable" in f"{kind.__module__}.{kind.__qualname__}".casefold()
        if editable and finder.find_spec(top, None) is not None:
            return True
    return False
