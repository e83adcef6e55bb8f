"""What tests of the whole share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from watching import Watcher

from procsched import Auditor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def trail() -> Iterator[Watcher]:
    """Watch the trail of this process."""
    watcher = Watcher()
    Auditor.add_agent("watcher", watcher)
    yield watcher
    Auditor.remove_agent("watcher")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Give a FIFO that a job waits on; `let_go` writes to it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def let_go(fifo: Path) -> Callable[[], None]:
    """Write to the FIFO; blocks until the job reads."""

    def write() -> None:
        fifo.write_text("let go")

    return write
