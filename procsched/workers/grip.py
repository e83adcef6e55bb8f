"""One keeper, as the supervisor holds it.

Imports: workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procsched.workers.channel import Channel


class Grip:
    """A keeper's process, its channel, and what it is at.

    Attributes:
        run_id: The run it is at work on; None while it is idle.
        sequence: The sequence it belongs to; None for a keeper of any run.
        goal: The run's own process: its pid, and when it was born in ticks.
        up: It has said a word.
        idle_since: On the monotonic clock; counts while it is idle.
        stale: It is older than the code that runs shall have.
        dismissed: Its channel is closed, and it is on its way out.
    """

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.run_id: str | None = None
        self.sequence: str | None = None
        self.goal: tuple[int, int | None] | None = None
        self.up = False
        self.idle_since = 0.0
        self.dismissed = False
        self.stale = False

    @property
    def mark(self) -> tuple[int, str]:
        """The pid, and what all that is forked below it shows."""
        return self.process.pid, self.process.name
