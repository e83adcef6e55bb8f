"""The agents that ship with the package.

Imports: agent, console, file, http.
"""

from procsched.audit.agent import AuditAgent
from procsched.audit.console import ConsoleAgent
from procsched.audit.file import FileAgent
from procsched.audit.http import HttpAgent

__all__ = ["AuditAgent", "ConsoleAgent", "FileAgent", "HttpAgent"]
