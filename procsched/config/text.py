"""The bytes of a configuration file, taken for text or refused with a reason.

Nothing here can hang or fill the memory: a pipe, a device, a directory and a
file of a gigabyte are refused before they are read.

Imports: errors, config.fault.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, Final

from procsched.config.fault import Fault, FaultyFileError, shown
from procsched.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILE_BYTES: Final = 10_000_000
"""A hundred thousand jobs fit; a log file given by mistake does not."""

_UNPRINTABLE: Final = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\U0010ffff]")
"""What YAML 1.1 does not take for text (section 5.1)."""


def read_text(path: Path) -> str:
    """Return the text of a configuration file.

    Raises:
        ConfigError: If it is missing, no plain file, too large or unreadable.
        FaultyFileError: If it is not UTF-8, or holds what is no text.
    """
    try:
        data = _bytes(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise ConfigError(
                f"there is no configuration file {str(path)!r}",
                remedy="Write one (configs/config.yaml of the project is a model), "
                "or give the path of yours",
            ) from None
        raise ConfigError(
            f"the configuration file {str(path)!r} cannot be read: {error.strerror}",
            remedy="Make it a file that this user may read",
        ) from None
    _refuse_too_large(path, len(data))
    return _decoded(str(path), data)


def _bytes(path: Path) -> bytes:
    # Without O_NONBLOCK a pipe by that name would be waited for (fifo(7)).
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        _refuse_unless_plain(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)


def _refuse_unless_plain(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a plain file"
        raise ConfigError(
            f"the configuration file {str(path)!r} is {kind}",
            remedy="Give the path of a YAML file",
        )
    _refuse_too_large(path, status.st_size)


def _refuse_too_large(path: Path, size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise ConfigError(
            f"the configuration file {str(path)!r} is larger than "
            f"{MAX_FILE_BYTES // 10**6} MB",
            remedy="Check that it is the file you mean, or schedule so many jobs "
            "from Python",
        )


def _decoded(file: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        value, rule = data[error.start : error.start + 1], "is not UTF-8"
    else:
        found = _UNPRINTABLE.search(text)
        if found is None:
            return text
        before, value = text[: found.start()], found[0].encode()
        rule = "is a control character, which is no text"
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    fault = Fault(
        file,
        line,
        column,
        "document",
        shown(value),
        rule,
        "Save the file as UTF-8 text",
    )
    raise FaultyFileError((fault,))
