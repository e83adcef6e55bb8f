"""One keeper, as the supervisor holds it.

Imports: workers.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import TYPE_CHECKING, Any, Self

from procsched.workers import keeper
from procsched.workers.channel import Channel
from procsched.workers.context import Inherited

if TYPE_CHECKING:
    import psutil

    from procsched.workers.context import KeeperContext


class Grip:
    """A keeper's process, its channel, and what it is at.

    Attributes:
        run_id: The run it is at work on; None while it is idle.
        sequence: The sequence it belongs to; None for a keeper of any run.
        goal: The run's own process.
        up: It has said a word.
        idle_since: On the monotonic clock; counts while it is idle.
        dismissed: Its channel is closed, and it is on its way out.
    """

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.run_id: str | None = None
        self.sequence: str | None = None
        self.goal: psutil.Process | None = None
        self.up = False
        self.idle_since = 0.0
        self.dismissed = False

    @classmethod
    def launch(cls, context: KeeperContext, wake_fd: int) -> Self:
        """Start a keeper; it takes orders at once and acts when it is up.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = context.Process(
                target=keeper.main,
                # Everything the keeper forks shows it too, wherever it hides.
                name=f"procsched-keeper-{secrets.token_hex(8)}",
                args=(Inherited(theirs.fileno()), Inherited(wake_fd), os.getpid()),
            )
            process.start()
            return cls(process, Channel(ours.detach()))

    @property
    def mark(self) -> tuple[int, str]:
        """The pid, and what all that is forked below it shows."""
        return self.process.pid, self.process.name
