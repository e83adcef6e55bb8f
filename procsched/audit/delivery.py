"""One agent at work: its queue, its thread, its health.

The queue is bounded, so a stuck agent costs a bounded amount of memory; beyond
it the newest records are dropped, counted, and replaced by one record that says
how many are missing at that place.  The thread waits on the queue and nothing
else.

Imports: errors, core.trail, agent, record.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, Final, Literal

from procsched.audit.record import GAP, Record, stamped
from procsched.core.trail import Trail, as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.audit.agent import AuditAgent

_log = logging.getLogger(__name__)

QUEUE_RECORDS: Final = 100_000
"""Records that may wait for one agent: some minutes of a busy host."""

QUEUE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of JSON that may wait for one agent, whatever their number."""

REPORT_PAUSE: Final = timedelta(minutes=1)
"""Between two reports that an agent fails: a dead endpoint must not fill the
other agents with its obituaries."""

DRAIN_WAIT_SECONDS: Final = 5.0
"""What an agent gets to deliver what waits when it is removed."""

CLOSE_WAIT_SECONDS: Final = 1.0
"""What a stuck agent's close() gets to set it free."""


@dataclass(frozen=True, slots=True)
class AgentHealth:
    """How an agent is doing.

    Args:
        name: As it was added.
        state: "degraded" while the last record failed or records are dropped.
        delivered: Records its methods returned from.
        failed: Records its methods raised on.
        dropped: Records that found its queue full.
        lag: Records that wait, the one being delivered included.
        last_error: The latest failure in words; kept after a recovery.
    """

    name: str
    state: Literal["ok", "degraded"]
    delivered: int
    failed: int
    dropped: int
    lag: int
    last_error: str | None


class Latch:
    """Opens when everyone that was expected has passed; one is, from the start."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._expected = 1
        self._opened = Event()

    def expect(self) -> None:
        """Wait for one more."""
        with self._lock:
            self._expected += 1

    def passed(self) -> None:
        """Wait for one less."""
        with self._lock:
            self._expected -= 1
            if self._expected == 0:
                self._opened.set()

    def wait(self, timeout: float | None) -> bool:
        """Return whether it opened within the timeout, in seconds."""
        return self._opened.wait(timeout)


class _Missing:
    """Stands in the queue for records that were dropped there."""

    def __init__(self) -> None:
        self.number = 0


class Delivery:
    """Hands records to one agent, in order, at the agent's own speed.

    `offer` and `mark` are for the auditor's thread alone; the rest is for any.

    Args:
        name: The agent's.
        agent: Called from this delivery's thread.
        on_failure: Told the name and the error, at most once a minute.
        queue_records: Records that may wait.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        name: str,
        agent: AuditAgent,
        *,
        on_failure: Callable[[str, str], None],
        queue_records: int = QUEUE_RECORDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.agent = agent
        self._on_failure = on_failure
        self._queue_records = queue_records
        self._clock = clock
        self._queue: SimpleQueue[Record | _Missing | Latch | None] = SimpleQueue()
        self._lock = Lock()
        self._missing: _Missing | None = None
        self._dropped = 0
        # Each of these has one thread that writes it, so none needs a lock.
        self._accepted = self._accepted_bytes = 0
        self._delivered = self._failed = self._handled_bytes = 0
        self._degraded = False
        self._last_error: str | None = None
        self._reported_at: float | None = None
        self._agent_closed = False
        self._thread = Thread(
            target=self._work, name=f"procsched-audit-{name}", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, record: Record) -> None:
        """Queue the record, or count it as dropped; never waits."""
        waiting_bytes = self._accepted_bytes - self._handled_bytes
        if self._lag() >= self._queue_records or waiting_bytes >= QUEUE_BYTES:
            self._drop()
            return
        if self._missing is not None:
            # A later drop is a hole of its own, behind this record.
            with self._lock:
                self._missing = None
        self._accepted += 1
        self._accepted_bytes += record.size
        self._queue.put(record)

    def mark(self, latch: Latch) -> None:
        """Let the latch know when all offered before has been dealt with."""
        latch.expect()
        self._queue.put(latch)

    def health(self) -> AgentHealth:
        """Return how the agent is doing."""
        degraded = self._degraded or self._missing is not None
        return AgentHealth(
            name=self.name,
            state="degraded" if degraded else "ok",
            delivered=self._delivered,
            failed=self._failed,
            dropped=self._dropped,
            lag=self._lag(),
            last_error=self._last_error,
        )

    def finish(self, timeout: float = DRAIN_WAIT_SECONDS) -> bool:
        """Deliver what waits, close the agent and end the thread.

        Returns:
            False if the agent was stuck for longer than the timeout; what it had
            not delivered is then given up.
        """
        self._queue.put(None)
        if self._thread is current_thread():
            # An agent that removes itself ends when it has done so.
            return True
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        self._give_up()
        # close() may set it free, as it does an HttpAgent that waits to retry.
        # It has a thread of its own, since it may get stuck as well.
        closing = Thread(target=self._close_agent, daemon=True)
        try:
            closing.start()
        except RuntimeError:
            # Python 3.12 starts no thread any more when the program ends.
            return False
        closing.join(CLOSE_WAIT_SECONDS)
        self._thread.join(CLOSE_WAIT_SECONDS)
        return False

    def _lag(self) -> int:
        return self._accepted - self._delivered - self._failed

    def _drop(self) -> None:
        with self._lock:
            self._dropped += 1
            if self._missing is None:
                self._missing = _Missing()
                self._queue.put(self._missing)
            self._missing.number += 1

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Latch):
                item.passed()
            elif isinstance(item, _Missing):
                self._deliver(self._gap(item))
            else:
                delivered = self._deliver(item)
                self._handled_bytes += item.size
                self._delivered += delivered
                self._failed += not delivered
        self._close_agent()

    def _gap(self, missing: _Missing) -> Record:
        with self._lock:
            if self._missing is missing:
                self._missing = None
        comments = {"dropped": missing.number, "agent": self.name}
        return Record(stamped(Trail(GAP, "dropped", comments)))

    def _deliver(self, record: Record) -> bool:
        try:
            self.agent.deliver(record)
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - an agent is code of
            # the user's own and must not end the delivery, whatever it does.
            self._fail(fault)
            return False
        self._degraded = False
        return True

    def _fail(self, fault: BaseException) -> None:
        self._degraded = True
        self._last_error = error = as_text(f"{type(fault).__name__}: {fault}")
        now = self._clock()
        pause = REPORT_PAUSE.total_seconds()
        if self._reported_at is None or now - self._reported_at >= pause:
            self._reported_at = now
            _log.warning("cannot deliver to audit agent %s: %s", self.name, error)
            self._on_failure(self.name, error)

    def _close_agent(self) -> None:
        with self._lock:
            if self._agent_closed:
                return
            self._agent_closed = True
        try:
            self.agent.close()
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - as in _deliver
            _log.warning("cannot close audit agent %s: %s", self.name, fault)

    def _give_up(self) -> None:
        """Drop what waits, and let go who waits for it."""
        try:
            while True:
                item = self._queue.get_nowait()
                if isinstance(item, Latch):
                    item.passed()
                elif isinstance(item, Record):
                    self._dropped += 1
        except Empty:
            self._queue.put(None)
