"""What does a crash do to the others?

Nothing; that is what this job is for.  It reads address 0, which the kernel
answers with SIGSEGV: no exception, no `finally`, no exit handler.

The lesson, to be seen with `procsched run`: the run ends as crashed, by
SIGSEGV, with the line of the crash (faulthandler) in its record; its audit
record from before has arrived; the other jobs' runs go on, at their times; and
this job is started again when it is next due.

Imports: procsched.
"""

from __future__ import annotations

from procsched import Job


class Segfault(Job):
    """A crash, on purpose.

    Look for: outcome crashed, signal SIGSEGV, and everything else as ever.
    """

    def name(self) -> str:
        """Return the job's identifier."""
        return "segfault"

    def goal(self) -> None:
        """Crash; does not return."""
        import ctypes
        import resource

        from procsched import Auditor

        # A core file for each crash on purpose would fill the disk (core(5)).
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        Auditor.audit_params(self.name(), "about to crash", "reads address 0")
        ctypes.string_at(0)
