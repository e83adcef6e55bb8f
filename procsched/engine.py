"""The concrete parts of one running scheduler, made and unmade in order.

Imports: everything below, by name.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procsched.audit.agents import AuditAgent, ConsoleAgent, FileAgent, HttpAgent
from procsched.audit.outlet import central
from procsched.store.directory import StateDirectory
from procsched.store.history import SqliteHistory
from procsched.supervisor import Inbox, Supervisor
from procsched.workers.pool import KeeperPool, Surroundings

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Iterable, Mapping

    from procsched.audit.central import CentralAuditor
    from procsched.clock import Clock
    from procsched.config.settings import AuditSettings, Settings
    from procsched.core.messages import Command
    from procsched.core.plan import Plan
    from procsched.workers.payload import Payload

FLUSH_SECONDS: Final = 5.0
"""How long the end of a scheduler waits for slow audit agents."""

OUTLET: Final = "procsched.audit.outlet"
"""The module a run's process joins its Auditor with, known to it by name."""


class Engine:
    """One owner of a state directory, with everything it needs to run jobs.

    Args:
        state_dir: None for the settings' one, else a private directory that is
            removed with this object.

    Raises:
        StateDirectoryError: If the state directory cannot be used.
        AuditError: If an audit agent of the settings cannot be made.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        settings: Settings,
        state_dir: str | os.PathLike[str] | None,
        payloads: Mapping[str, Payload],
        clock: Clock,
        inbox: Inbox,
    ) -> None:
        self._private: tempfile.TemporaryDirectory[str] | None = None
        place = state_dir or settings.state_dir
        if place is None:
            self._private = tempfile.TemporaryDirectory(
                prefix="procsched-", ignore_cleanup_errors=True
            )
            place = self._private.name
        with ExitStack() as parts:
            directory = StateDirectory(Path(place).absolute())
            parts.callback(directory.release)
            self.history_path = directory.history
            history = SqliteHistory(directory.history)
            parts.callback(history.close)
            auditor = central()
            parts.callback(auditor.flush, FLUSH_SECONDS)
            for name, agent in _agents(settings.audit).items():
                _lend(auditor, name, agent, parts)
            around = Surroundings(
                wake_fd=auditor.wake_fd,
                logs=directory.logs,
                spools=directory.spools,
                outlet=OUTLET,
                echo=settings.echo_output,
            )
            self._pool = KeeperPool(around, payloads=payloads, clock=clock)
            parts.callback(self._pool.close)
            self._supervisor = Supervisor(
                plan,
                clock=clock,
                hands=self._pool,
                audit=auditor,
                history=history,
                inbox=inbox,
            )
            parts.callback(self._supervisor.close)
            self._parts = parts.pop_all()

    def run(self, pending: Iterable[Command], ready: threading.Event) -> None:
        """Be the loop until the plan is finished, then give everything back.

        Args:
            pending: What the plan decided before there was a loop.
            ready: Set when the loop takes events.
        """
        with self._parts:
            self._pool.warm()
            self._supervisor.carry_out(pending)
            ready.set()
            self._supervisor.run()


def _agents(audit: AuditSettings) -> dict[str, AuditAgent | None]:
    """Return the agents a configuration asks for; None to take one away."""
    agents: dict[str, AuditAgent | None] = {}
    if audit.console is False:
        agents["console"] = None
    elif audit.console == "json":
        agents["console"] = ConsoleAgent(json_lines=True)
    if audit.file is not None:
        file = audit.file
        agents[f"file {file.path}"] = FileAgent(
            file.path, max_bytes=file.max_bytes, keep=file.keep
        )
    if audit.http is not None:
        http = audit.http
        agents[f"http {http.url}"] = HttpAgent(
            http.url, timeout=http.timeout.total_seconds(), headers=dict(http.headers)
        )
    return agents


def _lend(
    auditor: CentralAuditor, name: str, agent: AuditAgent | None, parts: ExitStack
) -> None:
    """Give the program's auditor an agent for as long as the engine lives."""
    present = name in {each.name for each in auditor.agents()}
    if present and name == "console":
        auditor.remove_agent(name)
        parts.callback(auditor.add_agent, name, ConsoleAgent())
    elif present:
        # Another scheduler of this program has the same configuration.
        return
    if agent is not None:
        auditor.add_agent(name, agent)
        parts.callback(auditor.remove_agent, name)
