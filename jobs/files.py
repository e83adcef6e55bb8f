"""Files that a run leaves whole, whenever it is ended.

A run can be killed between any two system calls, and two runs can meet at one
file.  So a row is one write(2) at the end of the file, under a lock that dies
with its holder; and a document is written beside its place, then renamed.

Imports: nothing of ours.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append the row to a CSV file, with its names as header if the file is new.

    Args:
        path: Made if missing, with its directories.
        row: The columns in their order; None is written as an empty cell.

    Raises:
        ValueError: If the file has other columns.
        OSError: If the row does not fit on the disk; the file is then as before.
    """
    header, line = _csv_line(row), _csv_line(row.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        # The append alone keeps rows apart; the lock is for the header, which
        # two runs that both find the file empty would write twice (flock(2)).
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        if size:
            _expect_header(path, file, header)
        block = line if size else header + line
        if file.write(block) != len(block):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def write_whole(path: Path, text: str) -> None:
    """Put a text at the path so that a reader sees the old or the new, never half.

    Args:
        path: Replaced if there; its directories are made if missing.
        text: Written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two runs apart until the rename, where the last wins.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished file its name; once this returns, a power cut is survived.

    Args:
        part: In the directory of `path`, closed, complete; gone afterwards.
        path: Replaced if there.
    """
    _sync(part)
    part.replace(path)
    # The new name is in the directory, which is a file of its own (fsync(2)).
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _csv_line(cells: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()


def _expect_header(path: Path, file: io.FileIO, header: bytes) -> None:
    file.seek(0)
    if file.read(len(header)) != header:
        raise ValueError(
            f"{path} does not begin with the columns {header.decode().strip()}. "
            f"Move it away, or let the job write to another file."
        )
