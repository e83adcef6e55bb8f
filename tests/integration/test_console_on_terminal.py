"""The console agent on a real terminal: lines as long as it is wide."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from datetime import UTC, datetime

import pytest

from procsched import ConsoleAgent, Trail

LONG = Trail(
    "run.ended",
    "succeeded",
    {"reason": "goal() returned", "result": "x" * 300},
    datetime(2027, 1, 31, 14, 0, tzinfo=UTC),
    "host-report",
    "a1b2c3-7",
    99,
)


def shown_on_terminal(columns: int) -> str:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        ConsoleAgent(stream).capture(LONG)
        shown = os.read(ours, 65536).decode()
    os.close(ours)
    return shown


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


def test_a_long_record_is_one_row_of_the_terminal() -> None:
    line = shown_on_terminal(120).rstrip("\r\n")

    assert len(line) == 120
    assert line.endswith("…  [run a1b2c3-7 pid 99]")


def test_a_narrow_terminal_still_shows_how_the_comments_begin() -> None:
    line = shown_on_terminal(40)

    assert 'reason="goal() returned"' in line.replace("…", '"')


def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR")

    assert "\x1b[32msucceeded" in shown_on_terminal(120)
