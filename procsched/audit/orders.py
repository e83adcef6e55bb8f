"""What can be asked of the auditor's thread; a closed union.

Imports: record, intake, delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procsched.audit.delivery import Delivery, Latch
    from procsched.audit.intake import Intake
    from procsched.audit.record import Record


@dataclass(frozen=True, slots=True)
class Say:
    """Hand a record to every agent, but not to the one it is about."""

    record: Record
    not_to: str | None = None


@dataclass(frozen=True, slots=True)
class OpenSpool:
    """Read a run's spool from now on."""

    intake: Intake


@dataclass(frozen=True, slots=True)
class CloseSpool:
    """Read a run's spool to its end and delete it."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Attach:
    """Hand records to this agent from now on."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Detach:
    """Hand it no more, and say when that holds."""

    delivery: Delivery
    latch: Latch


@dataclass(frozen=True, slots=True)
class Flush:
    """Say when all that has been accepted was offered to every agent."""

    latch: Latch


@dataclass(frozen=True, slots=True)
class Stop:
    """End the thread."""


Order = Say | OpenSpool | CloseSpool | Attach | Detach | Flush | Stop
