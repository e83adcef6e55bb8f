"""The audit as a program and a job see it.

The calls are the same everywhere: in the program that owns the scheduler they
reach the agents directly, inside `goal()` through the spool of the run.

Imports: errors, core.trail, outlet.  Must not import: what only agents need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procsched.audit import outlet
from procsched.core.trail import Trail

if TYPE_CHECKING:
    from procsched.audit.agent import AuditAgent
    from procsched.audit.delivery import AgentHealth


class Auditor:
    """Takes audit records and hands them to every agent, in order.

    No call waits for an agent: a record is accepted when it is queued here, or
    within a run when it is in the kernel, and a slow or failing agent delays
    neither the caller nor another agent.
    """

    @classmethod
    def audit_params(cls, operation: str, status: str, comments: Any = "") -> None:
        """Record that something was done, and how it went.

        Args:
            operation: What was done, such as "transfer".
            status: How it went, such as "success".
            comments: Anything else; what JSON cannot hold is shown as its repr.

        Raises:
            AuditError: If operation or status is not a text.
        """
        cls.audit_trail(Trail(operation, status, comments))

    @classmethod
    def audit_trail(cls, trail: Trail) -> None:
        """Record a Trail; its time and pid are those of this call.

        Raises:
            AuditError: If it is not a Trail.
        """
        outlet.take(trail)

    @classmethod
    def audit_custom(cls, json_object: Any) -> None:
        """Record any JSON value; agents get it unchanged.

        Raises:
            AuditError: If JSON cannot hold it; the message names the place.
        """
        outlet.take_custom(json_object)

    @classmethod
    def add_agent(cls, name: str, agent: AuditAgent) -> None:
        """Hand every record accepted from now on to this agent as well.

        Raises:
            AuditError: If the name is empty or taken, if it is not an agent, or
                inside a run.
        """
        outlet.central().add_agent(name, agent)

    @classmethod
    def remove_agent(cls, name: str) -> None:
        """Let the agent finish what was accepted so far, and close it.

        Returns within seconds even if the agent is stuck; what it still had to
        deliver is then given up.

        Raises:
            AuditError: If there is no such agent, or inside a run.
        """
        outlet.central().remove_agent(name)

    @classmethod
    def agents(cls) -> list[AgentHealth]:
        """Return how each agent is doing.

        Raises:
            AuditError: Inside a run.
        """
        return outlet.central().agents()

    @classmethod
    def flush(cls, timeout: float | None = None) -> bool:
        """Wait until all accepted so far has been offered to every agent.

        Inside a run it returns True at once: what was accepted is in the kernel.

        Args:
            timeout: In seconds; None waits as long as it takes.

        Returns:
            Whether it was done in time.
        """
        return outlet.inside_run() or outlet.central().flush(timeout)
