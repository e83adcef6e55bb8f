"""The agent that shows records to people, one line each.

    14:03:07.123  host-report  measured     success  load=0.4  [run a1b2c3-7 #3 pid 99]

On a terminal the time stands alone; in a file or a journal it has its date and
offset.  Columns grow to the widest word seen, so the eye finds them again.
Nothing in a record can move the cursor, colour the screen or start a new line.

Imports: agent, core.trail.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.agent import UNSAFE, AuditAgent

if TYPE_CHECKING:
    from datetime import datetime
    from re import Match
    from typing import TextIO

    from procsched.core.trail import Trail

LINE_LIMIT: Final = 2000
"""Characters of comments on a line for people; `json_lines` shows all of them."""

LEAST_COMMENTS: Final = 24
"""Characters of comments shown on a terminal too narrow for more."""

BAD: Final = frozenset(
    {
        "failed",
        "failure",
        "error",
        "crashed",
        "exited",
        "timed_out",
        "out_of_memory",
        "limit_exceeded",
        "start_failed",
        "lost",
        "corrupt",
        "unreadable",
    }
)
"""Outcomes of core.outcome and words jobs use; the rest keeps its colour."""

POOR: Final = frozenset(
    {"cancelled", "skipped", "missed", "coalesced", "dropped", "dropping", "torn"}
)
GOOD: Final = frozenset(("success", "succeeded", "ok"))

RED, YELLOW, GREEN, FAINT = "31", "33", "32", "2"
"""Parameters of SGR, the colours every terminal has (ECMA-48 8.3.117)."""


class ConsoleAgent(AuditAgent):
    """Writes a line per record; present from the start as "console".

    Args:
        stream: Where to; None for what sys.stdout is at that moment.
        json_lines: Whether a line is a JSON object instead of words for people.
    """

    def __init__(
        self, stream: TextIO | None = None, *, json_lines: bool = False
    ) -> None:
        self._stream = stream
        self._json_lines = json_lines
        self._widths = [8, 12, 7]

    def capture(self, trail: Trail) -> None:
        """Write the line; raises what the stream raises."""
        stream = sys.stdout if self._stream is None else self._stream
        if stream is None:
            # A daemon without descriptors has no standard output (sys.__stdout__).
            return
        if self._json_lines:
            # ASCII alone, so no terminal can take a character for a command.
            line = json.dumps(trail.to_json()).replace("\x7f", "\\u007f")
        else:
            line = self._line(trail, columns=_columns_of(stream))
        encoding = stream.encoding or "utf-8"
        line = line.encode(encoding, "backslashreplace").decode(encoding)
        stream.write(line + "\n")
        stream.flush()

    def _line(self, trail: Trail, *, columns: int | None) -> str:
        """Return the line; on a terminal, with `columns`, as long as it is wide."""
        coloured = columns is not None and not os.environ.get("NO_COLOR")
        job, operation, status = self._columns(
            trail.job or "-", trail.operation, trail.status
        )
        time = _time(trail.time, with_date=columns is None)
        comments, origin = _comments(trail.comments), _origin(trail)
        if columns is not None:
            taken = len(f"{time}  {job}  {operation}  {status}    {origin}")
            comments = _fitted(comments, max(columns - taken, LEAST_COMMENTS))
        if coloured:
            status = _paint(status, _colour(trail.status))
            origin = _paint(origin, FAINT)
        parts = (time, job, operation, status, comments, origin)
        return "  ".join(part for part in parts if part)

    def _columns(self, *words: str) -> list[str]:
        shown = [_safe(word) for word in words]
        limits = (24, 24, 16)
        for place, word in enumerate(shown):
            width = min(len(word), limits[place])
            self._widths[place] = max(self._widths[place], width)
        return [
            word.ljust(width) for word, width in zip(shown, self._widths, strict=True)
        ]


def _columns_of(stream: TextIO) -> int | None:
    """Return how wide the terminal is; None for what is no terminal."""
    isatty = getattr(stream, "isatty", None)
    if isatty is None or not isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or LINE_LIMIT
    except OSError:
        return LINE_LIMIT


def _fitted(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _time(time: datetime | None, *, with_date: bool) -> str:
    if time is None:
        return "--:--:--.---"
    local = time.astimezone()
    if with_date:
        return local.isoformat(timespec="milliseconds")
    return local.time().isoformat(timespec="milliseconds")


def _origin(trail: Trail) -> str:
    run = None if trail.run_id is None else f"run {_safe(trail.run_id)}"
    number = None if trail.number is None else f"#{trail.number}"
    pid = None if trail.pid is None else f"pid {trail.pid}"
    words = " ".join(word for word in (run, number, pid) if word)
    return f"[{words}]" if words else ""


def _comments(comments: Any) -> str:
    if isinstance(comments, dict):
        text = " ".join(f"{key}={_value(value)}" for key, value in comments.items())
    else:
        text = comments if isinstance(comments, str) else _value(comments)
    cut = len(text) - LINE_LIMIT
    shown = _safe(text[:LINE_LIMIT])
    return shown if cut <= 0 else f"{shown} [... {cut} characters more]"


def _value(value: Any) -> str:
    is_word = isinstance(value, str) and value and not set(value) & set(' "=')
    if is_word:
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _safe(text: str) -> str:
    return UNSAFE.sub(_escape, text)


def _escape(found: Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _colour(status: str) -> str | None:
    word = status.casefold()
    for words, colour in ((BAD, RED), (POOR, YELLOW), (GOOD, GREEN)):
        if word in words:
            return colour
    return None


def _paint(text: str, colour: str | None) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if text and colour else text
