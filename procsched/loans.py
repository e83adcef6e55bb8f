"""Audit agents that a configuration lends to the program's one auditor.

A program has one auditor and may have several schedulers.  What their
configurations ask for in common is there once, from the first that begins to the
last that ends.

Imports: errors, audit, config.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from procsched.audit.agents import AuditAgent, ConsoleAgent, FileAgent, HttpAgent
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from procsched.audit.central import CentralAuditor
    from procsched.config.settings import AuditSettings

    Maker = Callable[[], AuditAgent]

CONSOLE: Final = "console"
"""The agent that is there by default, and that a configuration may take away."""


@dataclass(slots=True)
class _Loan:
    """One agent that is lent, or taken away.

    Attributes:
        borrowers: Schedulers that want it so.
        given: An agent was added.
        taken: The program's own one was taken away for it.
    """

    borrowers: int = 0
    given: bool = False
    taken: bool = False


_loans: dict[str, _Loan] = {}
_lock = threading.Lock()


def lend(auditor: CentralAuditor, audit: AuditSettings, parts: ExitStack) -> None:
    """Give an auditor the agents of a configuration until the parts are unmade.

    Raises:
        AuditError: If one cannot be made.
    """
    for name, make in _wanted(audit).items():
        with _lock:
            loan = _loans.get(name) or _begin(auditor, name, make)
            loan.borrowers += 1
            _loans[name] = loan
        parts.callback(_take_back, auditor, name)


def _wanted(audit: AuditSettings) -> dict[str, Maker | None]:
    """Return how to make each agent; None to take one away."""
    wanted: dict[str, Maker | None] = {}
    if audit.console is False:
        wanted[CONSOLE] = None
    elif audit.console == "json":
        wanted[CONSOLE] = partial(ConsoleAgent, json_lines=True)
    if (file := audit.file) is not None:
        wanted[f"file {file.path}"] = partial(
            FileAgent, file.path, max_bytes=file.max_bytes, keep=file.keep
        )
    if (http := audit.http) is not None:
        wanted[f"http {http.url}"] = partial(
            HttpAgent,
            http.url,
            timeout=http.timeout.total_seconds(),
            headers=dict(http.headers),
        )
    return wanted


def _begin(auditor: CentralAuditor, name: str, make: Maker | None) -> _Loan:
    loan = _Loan()
    present = name in {each.name for each in auditor.agents()}
    if present and name != CONSOLE:
        # The program has added one of that name itself: its own stands.
        return loan
    agent = None if make is None else make()
    if present:
        auditor.remove_agent(name)
        loan.taken = True
    if agent is not None:
        auditor.add_agent(name, agent)
        loan.given = True
    return loan


def _take_back(auditor: CentralAuditor, name: str) -> None:
    with _lock:
        loan = _loans[name]
        loan.borrowers -= 1
        if loan.borrowers:
            return
        del _loans[name]
        with suppress(AuditError):
            # The program removed it, or added one, in the meantime: as it wants.
            if loan.given:
                auditor.remove_agent(name)
            if loan.taken:
                auditor.add_agent(name, ConsoleAgent())
