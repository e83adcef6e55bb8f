"""What a run says of its own end: a value, made in the child, read by the keeper.

Whatever a job returns or raises is the job's code down to its `repr`, so every
step that shows it is guarded; and whatever arrives may have been written by the
job itself, so the keeper takes only what has the right form.

Imports: core.trail, job, workers.
"""

from __future__ import annotations

import json
import sys
import traceback
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

from procsched.core.trail import as_json, as_text, shown
from procsched.job import StopRequested
from procsched.workers.rlimits import LimitRefused

if TYPE_CHECKING:
    from types import TracebackType

    from procsched.workers.channel import Frame

RESULT_LIMIT: Final = 1024 * 1024
"""Characters of a result as JSON; a larger one belongs into a file."""

LINE_LIMIT: Final = 500
"""Characters of the one line that says what was raised."""

VERDICTS: Final = ("returned", "raised", "exited", "start_failed")

_EXIT_CODES: Final = 256
"""What exit(3) keeps of a code."""

_RESERVE_BYTES: Final = 1024 * 1024
"""Given back when a job fails, so that one out of memory can still say so."""

_reserve = bytearray()


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """How `goal()` ended, as its own process saw it.

    Attributes:
        code: The exit code that belongs to it.
        note: What was left out or changed, for the record's flags.
        ordinary: It was an Exception; anything else spoils a worker.
        memory: It was a MemoryError.
        leaving: The worker of a sequence goes with this run, and why.
        usage: What the run used, from a worker that lives on.
        dropped: Audit records that found no place.
    """

    verdict: str
    code: int
    text: str = ""
    result: Any = None
    note: str | None = None
    traceback: str | None = None
    ordinary: bool = True
    memory: bool = False
    leaving: str | None = None
    usage: dict[str, float] | None = None
    dropped: int = 0

    def to_frame(self) -> Frame:
        """Return it as a frame."""
        return {"kind": "word", **asdict(self)}

    @classmethod
    def from_frame(cls, frame: Frame) -> Self | None:
        """Return what a frame says; None if a job made it up, and badly."""
        given: dict[str, Any] = {
            each.name: frame.get(each.name) for each in fields(cls)
        }
        fitting = all(isinstance(given[name], kind) for name, kind in _KINDS.items())
        if not fitting or given["verdict"] not in VERDICTS:
            return None
        usage = given["usage"]
        if usage is not None and not _is_usage(usage):
            return None
        return cls(**given)

    def flags(self) -> list[str]:
        """Return what is out of the ordinary, for the record."""
        flags = [] if self.note is None else [self.note]
        if self.dropped:
            flags.append(f"{self.dropped} audit records dropped")
        if self.leaving is not None:
            flags.append(f"its worker was replaced: {self.leaving}")
        return flags


_KINDS: Final[dict[str, Any]] = {
    "verdict": str,
    "code": int,
    "text": str,
    "note": str | None,
    "traceback": str | None,
    "ordinary": bool,
    "memory": bool,
    "leaving": str | None,
    "usage": dict | None,
    "dropped": int,
}

USAGE: Final = (
    "cpu_user",
    "cpu_system",
    "context_switches",
    "io_blocks",
    "max_rss_bytes",
)


def _is_usage(usage: dict[str, Any]) -> bool:
    return set(usage) == set(USAGE) and all(
        isinstance(value, int | float) for value in usage.values()
    )


def reserve_memory() -> None:
    """Lay memory by for the word of a run that has none left."""
    global _reserve  # noqa: PLW0603 - one process has one reserve
    _reserve = bytearray(_RESERVE_BYTES)


def returned(result: object) -> Word:
    """Return the word of a goal that returned."""
    try:
        text = json.dumps(result, allow_nan=False)
        if len(text) <= RESULT_LIMIT:
            # Read back: what is sent is plain, whatever class the job made it of.
            return Word(verdict="returned", code=0, result=json.loads(text))
        note = f"result of {len(text)} bytes was left out"
        return Word(verdict="returned", code=0, note=note)
    except BaseException:  # noqa: BLE001 - a result is made of the job's code
        note = "result was not JSON: its repr is kept"
        return Word(verdict="returned", code=0, result=_shown(result), note=note)


def exited(leaving: SystemExit) -> Word:
    """Return the word of a goal that called `sys.exit`, read as Python reads it.

    None is 0, a number is itself as far as exit(3) keeps it, and anything else is
    printed and is 1.
    """
    code = leaving.code
    if code is None:
        return Word(verdict="exited", code=0)
    if isinstance(code, int):
        # A number that does not fit into a C long is -1 to the interpreter.
        fits = -sys.maxsize - 1 <= code <= sys.maxsize
        status = code % _EXIT_CODES if fits else _EXIT_CODES - 1
    else:
        status = 1
        try:
            print(code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        except BaseException:  # noqa: BLE001 - its text is made by the job
            print(_shown(code), file=sys.stderr)  # noqa: T201 - what can be said
    return Word(verdict="exited", code=status, text=_shown(code)[:LINE_LIMIT])


def raised(fault: BaseException) -> Word:
    """Return the word of a goal that raised."""
    _reserve.clear()
    traits: dict[str, Any] = {
        "ordinary": isinstance(fault, Exception),
        "memory": isinstance(fault, MemoryError),
    }
    try:
        return Word(
            verdict="raised",
            code=1,
            text=one_line(fault),
            traceback=traceback_of(fault),
            **traits,
        )
    except BaseException:  # noqa: BLE001 - memory is short, or the job's code is odd
        name = type(fault).__name__
        return Word(verdict="raised", code=1, text=name, **traits)


def start_failed(fault: BaseException) -> Word:
    """Return the word of a run that did not reach `goal()`."""
    word = raised(fault)
    if isinstance(fault, LimitRefused):
        text, trace = str(fault), None
    elif isinstance(fault, StopRequested):
        text, trace = "stopped before goal() was reached", None
    else:
        text, trace = f"the job could not be loaded: {word.text}", word.traceback
    return Word(
        verdict="start_failed",
        code=1,
        text=text,
        traceback=trace,
        ordinary=word.ordinary,
    )


def not_a_program(name: str, fault: Exception) -> Word:
    """Return the word of a command that could not be become."""
    text = f"{name!r} could not be started: {one_line(fault)}"
    # 127 is what a shell says of a command that is not there (POSIX sh, 2.8.2).
    return Word(verdict="start_failed", code=127, text=as_text(text))


def one_line(fault: BaseException) -> str:
    """Return "Type: message"; a message that cannot be made says so."""
    name = type(fault).__name__
    try:
        # The text may be endless; what stands in a line is at its beginning.
        text = str(fault)[: 4 * LINE_LIMIT]
    except BaseException as worse:  # noqa: BLE001 - __str__ is the job's code
        text = f"<its text raises {type(worse).__name__}>"
    line = " ".join(text.split())[:LINE_LIMIT]
    return as_text(f"{name}: {line}" if line else name)


def traceback_of(fault: BaseException) -> str:
    """Return the traceback, from the job's first line on."""
    trace = _theirs(fault.__traceback__)
    try:
        lines = traceback.format_exception(type(fault), fault, trace)
    except BaseException as worse:  # noqa: BLE001 - formatting calls the job's code
        lines = traceback.format_tb(trace)
        lines.append(f"<the exception cannot be shown: {type(worse).__name__}>")
    return as_text("".join(lines))


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that are ours, and importlib's above the module's."""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if not name.startswith(("procsched.workers.", "importlib")):
            break
        trace = trace.tb_next
    return trace


def _shown(value: object) -> str:
    try:
        return str(as_json(shown(value)))
    except BaseException as worse:  # noqa: BLE001 - a repr is code of the job
        return f"<{type(value).__name__} whose repr raises {type(worse).__name__}>"
