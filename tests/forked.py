"""Work in a fork of the test, for what a process cannot take back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(work: Callable[[], Any]) -> Any:
    """Return what `work` says in a fork; its exception as a text."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            said = work()
        except BaseException as fault:  # noqa: BLE001 - told to the test
            said = f"{type(fault).__name__}: {fault}"
        os.write(write, json.dumps(said).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)
