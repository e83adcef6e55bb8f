"""The auditor's thread: the one place where the order of records is made.

Whatever anybody wants of it (a record, a spool opened or closed, an agent added)
goes through one queue, and it waits for that queue and for the children's spools
at one place: a pipe whose bytes mean no more than "look".  Nothing wakes it when
nothing happens.

Imports: intake, orders, delivery.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Final, assert_never

from procsched.audit.orders import (
    Attach,
    CloseSpool,
    Detach,
    Flush,
    OpenSpool,
    Order,
    Say,
    Stop,
)

if TYPE_CHECKING:
    from procsched.audit.delivery import Delivery
    from procsched.audit.intake import Intake
    from procsched.audit.record import Record

_log = logging.getLogger(__name__)

BELL_BYTES: Final = 65536
"""A pipe's whole content at once (pipe(7)); the bytes are not counted."""


class Gatherer:
    """Carries out orders one by one, and between them reads what runs have said."""

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self._bell, self.wake_fd = os.pipe()
        # Only this end: the thread reads the other one and is to wait there.
        os.set_blocking(self.wake_fd, False)
        self._thread = Thread(target=self._work, name="procsched-audit", daemon=True)
        self._attached: list[Delivery] = []
        self._intakes: dict[str, Intake] = {}

    @property
    def started(self) -> bool:
        """Return whether the thread has been started."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def order(self, order: Order) -> None:
        """Have it done after all that was ordered before; never waits."""
        self._orders.append(order)
        # EAGAIN: the pipe is full of bells that the thread has yet to hear.
        with suppress(BlockingIOError):
            os.write(self.wake_fd, b"\0")

    def join(self) -> None:
        """Wait for the thread, which a Stop ends, and close the pipe."""
        if self.started:
            self._thread.join()
        self.close()

    def close(self) -> None:
        """Close the pipe; in a forked child this closes the child's copy."""
        os.close(self._bell)
        os.close(self.wake_fd)

    def _work(self) -> None:
        busy = True
        while True:
            if not busy:
                os.read(self._bell, BELL_BYTES)
            while self._orders:
                order = self._orders.popleft()
                self._carry_out(order)
                if isinstance(order, Stop):
                    return
            busy = False
            # One turn each, so that a flooding run keeps no other one waiting.
            for intake in self._intakes.values():
                for record in intake.some():
                    busy = True
                    self._hand_on(record)

    def _carry_out(self, order: Order) -> None:
        match order:
            case Say(record, not_to):
                self._hand_on(record, not_to)
            case OpenSpool(intake):
                self._intakes[intake.run_id] = intake
            case CloseSpool(run_id):
                self._finish(self._intakes.pop(run_id))
            case Attach(delivery):
                self._attached.append(delivery)
            case Detach(delivery, latch):
                self._take_all()
                self._attached.remove(delivery)
                latch.passed()
            case Flush(latch):
                self._take_all()
                for delivery in self._attached:
                    delivery.mark(latch)
                latch.passed()
            case Stop():
                for intake in self._intakes.values():
                    intake.close()
            case _:
                assert_never(order)

    def _hand_on(self, record: Record, not_to: str | None = None) -> None:
        for delivery in self._attached:
            if delivery.name != not_to:
                delivery.offer(record)

    def _take_all(self) -> None:
        for intake in self._intakes.values():
            for record in intake.all_so_far():
                self._hand_on(record)

    def _finish(self, intake: Intake) -> None:
        try:
            for record in intake.last():
                self._hand_on(record)
        except OSError as fault:
            # It is read, so nothing is lost; it merely stays on the disk.
            _log.warning("cannot delete the spool of run %s: %s", intake.run_id, fault)
