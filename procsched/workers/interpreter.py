"""What the interpreter itself keeps for a process, to be put back between runs.

Hooks, streams, import paths, contexts and the root logger belong to no job.
What a job's modules set while they are imported is another matter: a module is
imported once and stays, so what it set has to stay too (`settle`).

Imports: nothing of ours.
"""

from __future__ import annotations

import _locale
import faulthandler
import gc
import io
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

Dial = tuple["Callable[[], Any]", "Callable[[Any], object]"]

_NAMES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("sys", ("excepthook", "displayhook", "unraisablehook", "breakpointhook")),
    ("threading", ("excepthook",)),
    ("warnings", ("showwarning",)),
    ("os", ("environ",)),
)
"""Names that a job may bind to something else, and their modules, where a job has
imported them: threading does work after each fork once it is there."""

_DIALS: Final[tuple[Dial, ...]] = (
    (sys.gettrace, sys.settrace),
    (sys.getprofile, sys.setprofile),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (sys.getswitchinterval, sys.setswitchinterval),
    (gc.get_threshold, lambda values: gc.set_threshold(*values)),
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    (socket.getdefaulttimeout, socket.setdefaulttimeout),
    (
        lambda: _locale.setlocale(_locale.LC_ALL, None),
        lambda text: _locale.setlocale(_locale.LC_ALL, text),
    ),
)
"""How to read a setting, and how to set it."""

_ENCODING: Final = "utf-8"


class Interpreter:
    """The state of this process's Python when it was made, or settled."""

    def __init__(self) -> None:
        self._take()

    def settle(self) -> None:
        """Take what has been imported since, and what that set, as the state."""
        if len(sys.modules) != self._modules:
            self._take()

    def _take(self) -> None:
        self._modules = len(sys.modules)
        self._names = [
            (vars(sys.modules[module]), name, getattr(sys.modules[module], name))
            for module, names in _NAMES
            if module in sys.modules
            for name in names
        ]
        self._dials = [(read, turn, read()) for read, turn in _DIALS]
        self._path = (sys.path, list(sys.path))
        self._take_importers()
        self._filters = (warnings.filters, list(warnings.filters))
        self._logging = _root_logger() or _UNTOUCHED
        decimal = sys.modules.get("decimal")
        self._decimal = None if decimal is None else decimal.getcontext().copy()

    def _take_importers(self) -> None:
        self._importers: list[tuple[str, Any, list[Any]]] = [
            (name, kept, list(kept))
            for name, kept in (
                ("meta_path", sys.meta_path),
                ("path_hooks", sys.path_hooks),
            )
        ]

    def put_back(self) -> None:
        """Undo what a run changed.

        Raises:
            Exception: Whatever objects that the job left in odd places raise.
        """
        for space, name, value in self._names:
            if space.get(name) is not value:
                space[name] = value
        for read, turn, value in self._dials:
            if read() != value:
                turn(value)
        # streams.prepare_python sets both, and a job replaces the ones without bars.
        sys.stdin, sys.stdout = sys.__stdin__, sys.__stdout__
        sys.stderr = sys.__stderr__
        sys.path, sys.path[:] = self._path
        # A watchdog thread of C that would end a later run.
        faulthandler.cancel_dump_traceback_later()
        # The keeper kills them: who waits for them later would wait for others.
        mp_process: Any = sys.modules.get("multiprocessing.process")
        if mp_process is not None:
            mp_process._children.clear()  # noqa: SLF001 - nobody has a name for it
        self._put_back_importers()
        self._put_back_filters()
        self._put_back_logging()
        self._put_back_decimal()

    def _put_back_importers(self) -> None:
        if len(sys.modules) != self._modules:
            # A module may find its parts through an importer of its own (six.moves),
            # and it stays imported.
            self._modules = len(sys.modules)
            self._take_importers()
            return
        for name, kept, content in self._importers:
            kept[:] = content
            setattr(sys, name, kept)

    def _put_back_filters(self) -> None:
        filters, content = self._filters
        if warnings.filters is filters and _same(filters, content):
            return
        filters[:] = content  # type: ignore[index]
        warnings.filters = filters
        with warnings.catch_warnings():
            # Entering and leaving makes Python forget what it had decided already
            # by the filters of before; there is no public name for that alone.
            pass

    def _put_back_logging(self) -> None:
        found = _root_logger()
        if found is None:
            return
        handlers, level, disabled = self._logging
        if _same(found[0], handlers) and found[1:] == (level, disabled):
            return
        logging: Any = sys.modules["logging"]
        for added in set(found[0]) - set(handlers):
            # As logging.shutdown would at the end of a process; not closed, for
            # the job may keep it and add it again.
            added.flush()
        logging.root.handlers[:] = handlers
        # The setters forget what loggers had decided by the level of before.
        logging.root.setLevel(level)
        logging.disable(disabled)

    def _put_back_decimal(self) -> None:
        decimal: Any = sys.modules.get("decimal")
        if decimal is not None:
            kept = self._decimal or decimal.DefaultContext
            # A copy: operations raise flags in the context itself.
            decimal.setcontext(kept.copy())


_UNTOUCHED: Final[tuple[list[Any], int, int]] = ([], 30, 0)
"""Of the root logger: no handler, level WARNING, nothing disabled."""


def _root_logger() -> tuple[list[Any], int, int] | None:
    """Return handlers, level and what is disabled; None if nobody logs here."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return None
    root = logging.root
    return list(root.handlers), root.level, root.manager.disable


def _same(left: Any, right: Any) -> bool:
    # By identity: what a job puts there need not be fit for comparison.
    return list(map(id, left)) == list(map(id, right))


def streams_are_whole() -> bool:
    """Whether the standard streams still are what streams.prepare_python makes.

    Not so when a job has closed, detached or reconfigured one, or has put one of
    its own into `sys.__stdout__`.
    """
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    try:
        return all(
            type(each) is io.TextIOWrapper
            and not each.closed
            and each.fileno() == number
            and each.encoding == _ENCODING
            and (number == 0 or (each.line_buffering and each.errors != "strict"))
            for number, each in enumerate(streams)
        )
    except ValueError:
        # Detached: it has nothing that could be asked.
        return False
