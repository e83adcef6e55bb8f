"""The auditor of a program: gathers records and hands them to every agent.

Nothing here waits or delivers: a call is checked, turned into an order for the
gatherer's thread, and returns.  The order of the calls is the order of the
records.

Imports: errors, core.trail, record, intake, orders, delivery, gatherer; console
on first use.
"""

from __future__ import annotations

import json
from contextlib import suppress
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.agent import AuditAgent
from procsched.audit.delivery import (
    CLOSE_WAIT_SECONDS,
    DRAIN_WAIT_SECONDS,
    Delivery,
    Latch,
)
from procsched.audit.gatherer import Gatherer
from procsched.audit.intake import Intake
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
from procsched.audit.record import (
    CUSTOM,
    Record,
    refuse_other_than_json,
    refuse_other_than_trail,
    stamped,
)
from procsched.core.trail import Trail
from procsched.errors import AuditError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procsched.audit.delivery import AgentHealth

AGENT_FAILED: Final = "agent.failed"
"""The operation of the record that tells the other agents of a failing one."""


class CentralAuditor:
    """Gathers the records of this program and of all its runs.

    Every call is safe from any thread and returns at once, except those that
    say they wait.  Each agent sees the records of one run in order; what was
    recorded before a spool was opened comes before that spool's records, and
    what was recorded after it was closed comes after them.

    Args:
        agents: By name; None for a ConsoleAgent named "console".
    """

    def __init__(self, agents: Mapping[str, AuditAgent] | None = None) -> None:
        if agents is None:
            from procsched.audit.console import ConsoleAgent

            agents = {"console": ConsoleAgent()}
        # Re-entrant, for a signal handler may record something while the thread
        # it interrupted is in here.
        self._lock = RLock()
        self._deliveries: dict[str, Delivery] = {}
        self._runs: set[str] = set()
        self._gatherer = Gatherer()
        self._closed = False
        for name, agent in agents.items():
            self._deliveries[name] = self._delivery(name, agent)

    @property
    def wake_fd(self) -> int:
        """Return the end of the pipe that children inherit and write a byte to."""
        return self._gatherer.wake_fd

    def record(self, trail: Trail) -> None:
        """Hand a Trail to every agent; a missing time or pid is filled in.

        Raises:
            AuditError: If it is not a Trail.
        """
        refuse_other_than_trail(trail)
        trail = stamped(trail)
        size = len(trail.comments) if isinstance(trail.comments, str) else 0
        self._order(Say(Record(trail, size=size)))

    def record_custom(self, value: Any) -> None:
        """Hand a JSON value to every agent as it is now.

        Raises:
            AuditError: If JSON cannot hold it.
        """
        refuse_other_than_json(value)
        # A copy, for the caller may change it before an agent has seen it.
        text = json.dumps(value)
        trail = stamped(Trail(CUSTOM, "recorded"))
        self._order(Say(Record(trail, True, json.loads(text), len(text))))

    def open_spool(self, run_id: str, job: str, path: str) -> None:
        """Read a run's spool from now on; the file need not be there yet.

        Raises:
            AuditError: If a spool of this run is open.
        """
        with self._lock:
            if run_id in self._runs:
                raise AuditError(
                    f"The spool of run {run_id} is open already",
                    remedy="Give every run an id of its own",
                )
            self._runs.add(run_id)
            self._order(OpenSpool(Intake(run_id, job, path)))

    def close_spool(self, run_id: str) -> None:
        """Read a run's spool to its end, say what is missing, delete the file.

        For when nobody writes any more; what had been accepted until then is
        handed to the agents before anything that is recorded after this call.

        Raises:
            AuditError: If no spool of this run is open.
        """
        with self._lock:
            if run_id not in self._runs:
                raise AuditError(
                    f"No spool of run {run_id} is open",
                    remedy="Call open_spool() once and close_spool() once for a run",
                )
            self._runs.remove(run_id)
            self._order(CloseSpool(run_id))

    def add_agent(self, name: str, agent: AuditAgent) -> None:
        """Hand every record accepted from now on to this agent as well.

        Raises:
            AuditError: If the name is empty or taken, or it is not an agent.
        """
        _refuse_other_than_agent(name, agent)
        with self._lock:
            if name in self._deliveries:
                raise AuditError(
                    f"There is an audit agent named '{name}' already",
                    remedy="Choose another name, or call remove_agent() first",
                )
            self._start()
            delivery = self._delivery(name, agent)
            delivery.start()
            self._deliveries[name] = delivery
            self._gatherer.order(Attach(delivery))

    def remove_agent(self, name: str, timeout: float = DRAIN_WAIT_SECONDS) -> None:
        """Wait until the agent has what was accepted so far, and close it.

        Args:
            name: As it was added.
            timeout: In seconds; a stuck agent is then given up.

        Raises:
            AuditError: If there is no such agent.
        """
        with self._lock:
            if name not in self._deliveries:
                raise self._unknown(name)
            self._start()
            delivery = self._deliveries.pop(name)
            latch = Latch()
            self._order(Detach(delivery, latch))
        deadline = monotonic() + timeout
        latch.wait(timeout)
        delivery.finish(max(0.0, deadline - monotonic()))

    def agents(self) -> list[AgentHealth]:
        """Return how each agent is doing, in the order they were added."""
        with self._lock:
            return [delivery.health() for delivery in self._deliveries.values()]

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all accepted so far has been offered to every agent.

        Args:
            timeout: In seconds; None waits as long as it takes.

        Returns:
            Whether it was done in time.
        """
        with self._lock:
            if self._closed or not self._gatherer.started:
                return True
            latch = Latch()
            self._order(Flush(latch))
        return latch.wait(timeout)

    def close(self, timeout: float = DRAIN_WAIT_SECONDS) -> None:
        """Flush, remove every agent and end the thread, within the timeout.

        The files of open spools stay where they are.
        """
        deadline = monotonic() + timeout
        self.flush(timeout)
        for health in self.agents():
            # Even the last one in line gets a moment to end properly.
            rest = max(CLOSE_WAIT_SECONDS / 5, deadline - monotonic())
            with suppress(AuditError):  # Somebody else has just removed it.
                self.remove_agent(health.name, rest)
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._gatherer.order(Stop())
        self._gatherer.join()

    def forked(self) -> dict[str, AuditAgent]:
        """Return the agents for a new auditor; for a child after fork alone.

        The parent's threads do not exist here, and one of them may have held the
        lock, so nothing else may be asked of this auditor any more.
        """
        if not self._closed:
            self._gatherer.close()
        return {name: each.agent for name, each in self._deliveries.items()}

    def _delivery(self, name: str, agent: AuditAgent) -> Delivery:
        return Delivery(name, agent, on_failure=self._report_failure)

    def _report_failure(self, name: str, error: str) -> None:
        trail = Trail(AGENT_FAILED, "failed", {"agent": name, "error": error})
        with suppress(AuditError):  # The program ends, and nobody is left to tell.
            self._order(Say(Record(stamped(trail)), not_to=name))

    def _unknown(self, name: str) -> AuditError:
        close = nearest(str(name), self._deliveries)
        return AuditError(
            f"There is no audit agent named {name!r}",
            remedy=f"Did you mean '{close}'"
            if close
            else f"Use one of those there are: {listed(self._deliveries)}",
        )

    def _order(self, order: Order) -> None:
        with self._lock:
            if self._closed:
                raise AuditError(
                    "The auditor is closed, for the program ends",
                    remedy="Record it before the program's last line",
                )
            self._start()
            self._gatherer.order(order)

    def _start(self) -> None:
        """Start the threads if they are not there; only what is used needs them."""
        if self._closed or self._gatherer.started:
            return
        for delivery in self._deliveries.values():
            delivery.start()
            self._gatherer.order(Attach(delivery))
        self._gatherer.start()


def _refuse_other_than_agent(name: object, agent: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise AuditError(
            f"An audit agent was added with the name {name!r}",
            remedy="Name it with a text that says what it is, such as 'syslog'",
        )
    if isinstance(agent, type):
        raise AuditError(
            f"The audit agent '{name}' is the class {agent.__name__}, not an instance",
            remedy=f"Call it: add_agent({name!r}, {agent.__name__}(...))",
        )
    if not isinstance(agent, AuditAgent):
        raise AuditError(
            f"The audit agent '{name}' is of type {type(agent).__name__}, which is no "
            "AuditAgent",
            remedy="Derive its class from procsched.AuditAgent and implement "
            "capture(trail)",
        )
