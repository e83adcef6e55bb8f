"""Schedule jobs that crash, leak, hang or burn the CPU, each run a process.

The names below are the public interface.  They are resolved on first use, so
that a child process does not pay for the parts that only the scheduler needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procsched.audit.agents import AuditAgent as AuditAgent
    from procsched.audit.agents import ConsoleAgent as ConsoleAgent
    from procsched.audit.agents import FileAgent as FileAgent
    from procsched.audit.agents import HttpAgent as HttpAgent
    from procsched.audit.auditor import Auditor as Auditor
    from procsched.config.loader import ConfigLoader as ConfigLoader
    from procsched.config.schedule import ScheduleConfig as ScheduleConfig
    from procsched.constants import Sc as Sc
    from procsched.core.outcome import Outcome as Outcome
    from procsched.core.policy import Limits as Limits
    from procsched.core.policy import Retry as Retry
    from procsched.core.recycle import Recycle as Recycle
    from procsched.core.trail import Trail as Trail
    from procsched.errors import ProcschedError as ProcschedError
    from procsched.job import CommandJob as CommandJob
    from procsched.job import Job as Job
    from procsched.job import current_run as current_run
    from procsched.scheduler import Scheduler as Scheduler

_HOMES = {
    "AuditAgent": "audit.agents",
    "Auditor": "audit.auditor",
    "CommandJob": "job",
    "ConfigLoader": "config.loader",
    "ConsoleAgent": "audit.agents",
    "FileAgent": "audit.agents",
    "HttpAgent": "audit.agents",
    "Job": "job",
    "Limits": "core.policy",
    "Outcome": "core.outcome",
    "ProcschedError": "errors",
    "Recycle": "core.recycle",
    "Retry": "core.policy",
    "Sc": "constants",
    "ScheduleConfig": "config.schedule",
    "Scheduler": "scheduler",
    "Trail": "core.trail",
    "current_run": "job",
}

__all__ = [  # noqa: PLE0604 - a tuple of literals would be a second list
    *_HOMES,
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    try:
        home = _HOMES[name]
    except KeyError:
        message = f"module 'procsched' has no attribute {name!r}"
        raise AttributeError(message) from None
    value = getattr(import_module(f"procsched.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, resolved or not."""
    return sorted({*globals(), *_HOMES})
