"""The jobs' modules, imported once for all that is forked.

What an import leaves behind in the process must not differ from what it would
leave in each run's own: one that starts a thread or a process, or opens a file, is
no good for all, and every run imports it for itself.

Imports: workers.mainmodule.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from procsched.workers.linux import open_descriptors
from procsched.workers.mainmodule import make_main
from procsched.workers.tree import children

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPORT_SECONDS: Final = 60.0
"""For one module: what a run itself is given to reach its goal."""

SCRIPT: Final = "__main__"
"""What the script is called among the modules."""


@dataclass(slots=True)
class _Preloaded:
    """What is here already.

    Attributes:
        path: The sys.path that modules were looked for in.
        outlet: The module that joins a run to its auditor.
        main: The script that was made; None if none was.
        environment: What imports have changed in the environment; None for
            variables that they took away.
    """

    path: list[str] = field(default_factory=list)
    outlet: str | None = None
    main: dict[str, str] | None = None
    environment: dict[str, str | None] = field(default_factory=dict)


_here = _Preloaded()


def surroundings() -> dict[str, Any]:
    """Return what is said of these of a run that is like all others."""
    return {"path": _here.path, "outlet": _here.outlet}


def settle_outlet(module: str) -> None:
    """Have here what joins a run to its auditor."""
    importlib.import_module(module)
    _here.outlet = module


def settle_path(path: Sequence[str]) -> None:
    """Look for modules here from now on, unless that is what holds already.

    What imports have added to the path since stays.
    """
    wanted = list(path)
    if wanted != _here.path:
        _here.path = wanted
        sys.path[:] = wanted


def settle_main(description: dict[str, str]) -> None:
    """Make the script, unless it is here.

    Raises:
        BaseException: Whatever the script raises.
    """
    if _here.main != description:
        make_main(description)


def imported_environment() -> dict[str, str | None]:
    """Return what imports have changed; None for what they took away."""
    return _here.environment


class Unfit(Exception):  # noqa: N818 - a finding, not an error
    """What is wrong with a module that was imported for all."""


def load(module: str, main: dict[str, str] | None) -> None:
    """Import a module, or make the script.

    Raises:
        Unfit: If it cannot be shared; this process is spoiled then.
    """
    descriptors = set(open_descriptors() or ())
    environment = dict(os.environ)
    directory = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    # Ends an import that has no end: nobody else can.
    signal.setitimer(signal.ITIMER_REAL, IMPORT_SECONDS)
    try:
        _load(module, main)
    except Exception:  # noqa: BLE001 - importing runs the user's code
        # Its runs fail in the same way, each with the traceback.
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(OSError):
            os.fchdir(directory)
            os.close(directory)
    _compare(descriptors, environment)


def _load(module: str, main: dict[str, str] | None) -> None:
    if module == SCRIPT and main is not None:
        # What it prints has been printed by the program itself.
        with (
            open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123
            contextlib.redirect_stdout(nowhere),
        ):
            make_main(main)
        _here.main = main
    else:
        importlib.import_module(module)


def _compare(descriptors: set[int], environment: dict[str, str]) -> None:
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - fast
    if threads > 1:
        raise Unfit("starts threads")
    if children(os.getpid()):
        raise Unfit("starts a process")
    if set(open_descriptors() or ()) - descriptors:
        raise Unfit("opens files")
    changed: dict[str, Any] = {
        name: os.environ.get(name)
        for name in {*environment, *os.environ}
        if os.environ.get(name) != environment.get(name)
    }
    _here.environment.update(changed)
