"""The fork of a run's process, and the lines that join it to its keeper.

Imports: workers.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from procsched.workers import goal
from procsched.workers.channel import Mailbox
from procsched.workers.tree import start_ticks

if TYPE_CHECKING:
    from procsched.workers.cell import Cell


@dataclass(frozen=True, slots=True)
class Child:
    """A process that has not been reaped, and our ends of its lines.

    Attributes:
        channel: Where its word comes from.
        output: Read end of its stdout and stderr.
        mailbox: Where its word is if it has closed its channel.
        born: When, in ticks; with the pid that names it for good.
    """

    pid: int
    channel: int
    output: int
    mailbox: Mailbox
    born: int | None

    @classmethod
    def fork(cls, wake: int, crash: int, door: Cell | None) -> Self:
        """Fork a process that waits for its run.

        Args:
            wake: Stays ours, as `crash` does; the process has its copies.
            door: What it joins; None for nothing.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        keeper = os.getpid()
        with ExitStack() as theirs, ExitStack() as ours:
            near, far = socket.socketpair()
            ours.callback(near.close)
            theirs.callback(far.close)
            read, write = os.pipe()
            ours.callback(os.close, read)
            theirs.callback(os.close, write)
            mailbox = Mailbox()
            ours.callback(mailbox.close)
            pid = os.fork()
            if not pid:
                try:
                    if door is not None:
                        door.join()
                    os.dup2(write, 1)
                    os.dup2(write, 2)
                    lines = goal.Lines(far.fileno(), wake, crash, mailbox)
                    goal.main(lines, keeper)
                finally:
                    # Whatever happened: the keeper's frames are not the child's.
                    os._exit(goal.EX_SOFTWARE)
            ours.pop_all()
            return cls(pid, near.detach(), read, mailbox, start_ticks(pid))
