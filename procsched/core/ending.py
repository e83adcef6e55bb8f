"""The end of a run on record: from the report to the record and its trail line.

The same for a run whose supervisor saw it end, and for one whose report was left
for the next supervisor.

Imports: core.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from procsched.core.run import RunState
from procsched.core.trail import Trail
from procsched.core.verdict import judge

if TYPE_CHECKING:
    from datetime import datetime

    from procsched.core.run import RunRecord
    from procsched.core.verdict import Report


def settled(record: RunRecord, report: Report, at: datetime) -> RunRecord:
    """Return the record of a run that has ended as the report says."""
    outcome, reason = judge(report)
    return replace(
        record,
        state=RunState.ENDED,
        outcome=outcome,
        reason=reason,
        ended_at=at,
        pid=report.pid if record.pid is None else record.pid,
        exit_code=report.exit_code,
        signal=report.signal,
        usage=report.usage,
        result=report.result,
        traceback=report.traceback,
        output_tail=report.output_tail,
        enforced_by=report.enforced_by,
        leftovers=report.leftovers,
        flags=(*record.flags, *report.flags),
    )


def trail_of_end(record: RunRecord, at: datetime) -> Trail:
    """Return what the auditor is told of a run's end."""
    assert record.outcome is not None  # noqa: S101 - it has just been judged
    facts: dict[str, object] = {"reason": record.reason}
    if record.usage is not None:
        facts["wall_seconds"] = round(record.usage.wall, 3)
    for name in ("exit_code", "signal", "leftovers"):
        if getattr(record, name):
            facts[name] = getattr(record, name)
    operation = "run.ended" if record.outcome.ran else f"run.{record.outcome}"
    return trail_of(record, operation, record.outcome.value, facts, at)


def trail_of(
    record: RunRecord, operation: str, status: str, facts: object, at: datetime
) -> Trail:
    """Return a line of the trail about a run."""
    return Trail(
        operation,
        status,
        facts,
        time=at,
        job=record.job,
        run_id=record.run_id,
        pid=record.pid,
    )
