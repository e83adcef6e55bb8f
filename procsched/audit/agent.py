"""What every agent is: one medium that keeps audit records.

Each agent is called from one thread of its own, one record at a time and in
order, so an implementation needs no lock and may take its time.

Imports: core.trail, record.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.record import CUSTOM, Record
from procsched.core.trail import Trail

if TYPE_CHECKING:
    from re import Pattern

UNSAFE: Final[Pattern[str]] = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""Characters that move a cursor, colour, hide or turn text round on a terminal:
C0, DEL, C1, line and paragraph separators, bidirectional controls."""


class AuditAgent(ABC):
    """Base class of a medium that keeps audit records.

    Raise from `capture` what cannot be delivered: it is counted, shown by
    `Auditor.agents()` and reported to the other agents, and hurts nobody.
    """

    @abstractmethod
    def capture(self, trail: Trail) -> None:
        """Keep one record."""

    def capture_custom(self, obj: Any) -> None:
        """Keep a JSON value of the user's own; as a Trail unless overridden."""
        self.capture(Trail(CUSTOM, "recorded", obj))

    def deliver(self, record: Record) -> None:
        """Hand a record to the method that is for it.

        An agent that does not treat custom values in its own way gets them as a
        Trail that says whose they are.
        """
        if not record.is_custom:
            self.capture(record.trail)
        elif type(self).capture_custom is AuditAgent.capture_custom:
            self.capture(record.as_trail())
        else:
            self.capture_custom(record.value)

    def close(self) -> None:  # noqa: B027 - nothing to give back is the usual case
        """Give everything back; interrupts a wait if another thread is in one."""
