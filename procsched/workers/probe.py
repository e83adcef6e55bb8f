"""Whether the classes a configuration names can be loaded, tried in a process.

A module that kills the interpreter when it is imported must not kill the
scheduler, so the trial is made by a child.  Run as `python -m`, it reads its
questions from standard input and answers each with a line of JSON.

Imports: job, admission's rules by way of the caller; workers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROBE_SECONDS: Final = 60.0
"""For one module to be imported: what a run itself is given."""


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
            findings.append(Finding(None, None, fault))
    return findings


def _ask(questions: list[list[Any]]) -> tuple[list[Finding], str]:
    """Ask one process; return its answers and why there are no more."""
    asked = json.dumps({"path": sys.path, "questions": questions})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "procsched.workers.probe"],
            input=asked.encode(),
            stdout=subprocess.PIPE,
            timeout=PROBE_SECONDS * len(questions),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        answered, why = late.stdout or b"", f"its import took over {PROBE_SECONDS:g} s"
    else:
        answered = done.stdout
        why = f"importing it ended the interpreter with code {done.returncode}"
    lines = [line for line in answered.split(b"\n") if line.startswith(b"{")]
    return [Finding(**json.loads(line)) for line in lines], why


def _try(target: str, arguments: dict[str, Any]) -> Finding:
    from procsched.admission import check_job
    from procsched.workers.goal import load_target

    try:
        job = load_target(target, arguments)
        name = check_job(job)
    except BaseException as fault:  # noqa: BLE001 - importing runs the user's code
        text = " ".join(str(fault).split())
        return Finding(None, None, f"{type(fault).__name__}: {text}")
    return Finding(name, _plain(type(job).limits), None)


def _plain(limits: Any) -> dict[str, Any] | None:
    if not is_dataclass(limits):
        return None
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in asdict(limits).items()  # type: ignore[arg-type]
    }


def main() -> None:
    """Answer the questions on standard input, a line each."""
    asked = json.load(sys.stdin)
    sys.path[:] = asked["path"]
    answers = sys.stdout
    # What a module prints when it is imported is no answer.
    sys.stdout = sys.stderr
    for target, arguments in asked["questions"]:
        print(json.dumps(asdict(_try(target, arguments))), file=answers, flush=True)


if __name__ == "__main__":
    main()
