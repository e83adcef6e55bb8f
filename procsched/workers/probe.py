"""Whether the classes a configuration names can be loaded, tried in a process.

A module that kills the interpreter when it is imported must not kill the
scheduler, so the trial is made by a child.  It reads its questions from standard
input and answers each with a line of JSON.

Imports: admission, core.verdict, workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from procsched.core.verdict import signal_name
from procsched.workers.linux import open_pidfd
from procsched.workers.payload import search_path
from procsched.workers.word import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROBE_SECONDS: Final = 60.0
"""For one module to be imported: what a run itself is given."""

_PROGRAM: Final = (
    "import sys; sys.path[:] = {path!r}; "
    "from procsched.workers.probe import main; main({answers})"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a trial found.

    Attributes:
        name: What the job calls itself; None if it could not be made.
        limits: Its class's own limits, by name; None without any.
        fault: Why it could not be made; None if it could.
    """

    name: str | None
    limits: dict[str, Any] | None
    fault: str | None


def probe(wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Finding]:
    """Try to make each job; return a finding for each, in order.

    Args:
        wanted: "module:Class" and the arguments of its constructor.
    """
    findings: list[Finding] = []
    while len(findings) < len(wanted):
        rest = wanted[len(findings) :]
        found, fault = _ask([[target, dict(given)] for target, given in rest])
        findings += found
        if len(found) < len(rest):
            # The one it stopped at; the others are tried by another child.
            findings.append(Finding(None, None, fault))
    return findings


def _ask(questions: list[list[Any]]) -> tuple[list[Finding], str]:
    """Ask one process; return its answers and why there are no more."""
    with tempfile.TemporaryFile() as asked, ExitStack() as opened:
        asked.write(json.dumps(questions).encode())
        asked.seek(0)
        read, write = os.pipe()
        opened.callback(os.close, read)
        program = _PROGRAM.format(path=list(search_path()), answers=write)
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", program],
                stdin=asked,
                stdout=subprocess.DEVNULL,
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        try:
            found, why = _hear(child, read, len(questions))
        finally:
            # With all that an import may have started in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            code = child.wait()
    return found, why or _left(code)


def _left(code: int) -> str:
    if code < 0:
        return f"importing it ended the interpreter by {signal_name(-code)}"
    return f"importing it ended the interpreter with code {code}"


def _hear(
    child: subprocess.Popen[bytes], answers: int, expected: int
) -> tuple[list[Finding], str]:
    """Read answers until all are there, the child is dead, or one takes too long."""
    found: list[Finding] = []
    rest = b""
    with ExitStack() as opened:
        ends = [answers]
        if (pidfd := open_pidfd(child.pid)) is not None:
            opened.callback(os.close, pidfd)
            ends.append(pidfd)
        deadline = time.monotonic() + PROBE_SECONDS
        while len(found) < expected:
            left = deadline - time.monotonic()
            if left <= 0:
                return found, f"its import took over {PROBE_SECONDS:g} s"
            ready, _, _ = select.select(ends, [], [], left)
            # A process that an import has started may hold the answers' other end,
            # so the end of the child is the end of the answers.
            data = os.read(answers, 65536) if answers in ready else b""
            if ready and not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            found += [Finding(**json.loads(line)) for line in lines]
            if lines:
                deadline = time.monotonic() + PROBE_SECONDS
    return found, ""


def _try(target: str, arguments: dict[str, Any]) -> Finding:
    from procsched.admission import check_job
    from procsched.workers.goal import load_target

    try:
        job = load_target(target, arguments)
        name = check_job(job)
        return Finding(name, _plain(type(job).limits), None)
    except BaseException as fault:  # noqa: BLE001 - importing runs the user's code
        return Finding(None, None, one_line(fault))


def _plain(limits: Any) -> dict[str, Any] | None:
    if not is_dataclass(limits):
        return None
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in asdict(limits).items()  # type: ignore[arg-type]
    }


def main(answers: int) -> None:
    """Answer the questions on standard input, a line each.

    Args:
        answers: Where to write; what a module prints when it is imported is no
            answer, and goes to standard error.
    """
    os.set_inheritable(answers, False)
    questions = json.load(sys.stdin)
    os.dup2(2, 1)
    for target, arguments in questions:
        found = json.dumps(asdict(_try(target, arguments))) + "\n"
        os.write(answers, found.encode())
    # Exit handlers and threads of the modules are nobody's concern here.
    os._exit(0)
