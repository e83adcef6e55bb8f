"""The script's own module, made anew in a run's process.

A job defined in a script is pickled as `__main__.Name`, so its run needs that
script as `__main__`.  Executing it again must not start a second scheduler: a
script without an `if __name__ == "__main__"` guard is executed up to the call
that would start one, and what it has defined by then is what the run needs.

Imports: nothing of ours.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import types
from typing import Any, Final

CHILD_NAME: Final = "__mp_main__"
"""What multiprocessing calls the script in a child, so guards hold there too."""


class SchedulerReached(BaseException):
    """Raised where a script being made anew would start its scheduler."""


_making = False


def making_main() -> bool:
    """Whether this process is executing the script for a run right now."""
    return _making


def describe_main() -> dict[str, str] | None:
    """Return how to find this program's `__main__` again; None if nobody can.

    A session at the prompt, `python -c` and a notebook have no file to go to.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    # A directory or an archive that is run has the name "__main__", which no
    # child could find: its file can be read, or nothing.
    if spec is not None and spec.name and spec.name != "__main__":
        return {"name": spec.name}
    path = getattr(main, "__file__", None)
    # Not pathlib: every child loads this module.
    if path is None or not os.path.isfile(path):  # noqa: PTH113
        return None
    return {"path": os.path.realpath(path)}


def make_main(description: dict[str, str]) -> None:
    """Execute the script as this process's `__main__`.

    Raises:
        BaseException: Whatever the script raises.
    """
    global _making  # noqa: PLW0603 - one process makes its main once
    code, attributes = _code_of(description)
    module = types.ModuleType(CHILD_NAME)
    module.__dict__.update(attributes)
    sys.modules["__main__"] = sys.modules[CHILD_NAME] = module
    _making = True
    try:
        exec(code, module.__dict__)  # noqa: S102 - the script, as Python runs it
    except SchedulerReached:
        # What the jobs need stands above this line.
        return
    finally:
        _making = False


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - every child loads this module
        return file.read()


def _code_of(description: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    if "path" in description:
        path = description["path"]
        source = _read(path)
        # Not inherited: this file's own `from __future__` is not the script's.
        code = compile(source, path, "exec", dont_inherit=True)
        return code, {"__file__": path}
    spec = importlib.util.find_spec(description["name"])
    if spec is None or spec.loader is None or not hasattr(spec.loader, "get_code"):
        message = f"no module named {description['name']!r} to run as __main__"
        raise ModuleNotFoundError(message)
    return spec.loader.get_code(spec.name), {
        "__file__": spec.origin,
        "__package__": spec.parent,
        "__spec__": spec,
    }
