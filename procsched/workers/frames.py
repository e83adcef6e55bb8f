"""What crosses between the supervisor and a keeper, from and to the core's values.

Imports: core, workers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from procsched.core.limits import LIMIT_NAMES, Limits
from procsched.core.run import Usage
from procsched.core.verdict import Report
from procsched.workers.payload import search_path

if TYPE_CHECKING:
    from pathlib import Path

    from procsched.core.messages import StartRun
    from procsched.workers.channel import Frame
    from procsched.workers.payload import Payload
    from procsched.workers.pool import Surroundings


def surroundings_frame(around: Surroundings) -> Frame:
    """Return what every keeper of a scheduler takes on, as it is now."""
    return {
        "kind": "surroundings",
        "directory": _directory(),
        "environment": dict(os.environ),
        "path": search_path(),
        "outlet": around.outlet,
        "cgroups": around.cgroups,
    }


def _directory() -> str:
    """Return where the scheduler is; the root, if that has been removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - a text is sent
    except OSError:
        return "/"


def start_frame(
    run: StartRun, payload: Payload, *, log: Path, spool: Path, around: Surroundings
) -> Frame:
    """Return the order to start a run."""
    return {
        "kind": "start",
        "run_id": run.run_id,
        "job": run.job,
        "nominal_time": run.nominal_time.isoformat(),
        "attempt": run.attempt,
        "log": str(log),
        "spool": str(spool),
        "report": str(around.reports / f"{run.run_id}.json") if run.outlives else None,
        "outlet": around.outlet,
        "echo": around.echo,
        # A command takes the place of its process, so it has one of its own.
        "persistent": run.sequence is not None and payload.command is None,
        "limits": _limits(run.limits),
        "recycle": None if run.recycle is None else run.recycle.to_frame(),
        **payload.to_frame(),
    }


def _limits(limits: Limits) -> Frame:
    """Return them in seconds, bytes and plain words; None where there is none."""
    seconds = ("wall", "cpu", "startup", "grace")
    sizes = ("memory", "file_size", "output")
    words = frozenset(LIMIT_NAMES).difference(seconds, sizes)
    return {
        **{name: getattr(limits, name) for name in words},
        **{name: limits.seconds(name) for name in seconds},
        **{name: limits.bytes(name) for name in sizes},
        "umask": None if limits.umask is None else int(str(limits.umask), 8),
        "env": dict(limits.env),
    }


def report_of(frame: Frame) -> Report:
    """Return a keeper's word as the value the judge reads."""
    cause = frame.get("cause") or (None, "")
    usage = frame.get("usage")
    return Report(
        cause=cause[0],
        cause_text=cause[1],
        verdict=frame.get("verdict"),
        verdict_text=frame.get("text", ""),
        result=frame.get("result"),
        traceback=frame.get("traceback"),
        pid=frame.get("pid"),
        exit_code=frame.get("exit_code"),
        signal=frame.get("signal"),
        out_of_memory=frame.get("oom_kills", 0) > 0,
        host_out_of_memory=frame.get("host_oom", False),
        memory_limit_bytes=frame.get("memory_limit"),
        cpu_limit_seconds=frame.get("cpu_limit"),
        is_command=frame.get("is_command", False),
        usage=None if usage is None else Usage(**usage),
        output_tail=frame.get("output_tail", ""),
        enforced_by=frame.get("enforced_by", {}),
        leftovers=frame.get("leftovers", 0),
        flags=tuple(frame.get("flags", ())),
    )
