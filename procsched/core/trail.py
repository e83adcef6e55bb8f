"""One line of audit: who did what, how it went, when.

A Trail is a value that JSON can hold.  What a job says about itself and what
the supervisor says about the job have the same shape, so that one agent writes
both and one reader understands both.

Imports: errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Self

from procsched.errors import AuditError

TEXT_LIMIT: Final = 64 * 1024
"""Characters of one field; more is cut and marked (a log line, not a file)."""

CUT: Final = " [... {} characters cut]"

DEPTH_LIMIT: Final = 32
"""Nesting of a JSON value; deeper is written as its repr."""


@dataclass(frozen=True, slots=True)
class Trail:
    """One audit record.

    Args:
        operation: What was done, such as "transfer" or "run.started".
        status: How it went, such as "success" or "failed".
        comments: Anything else: a text, or any value that JSON can hold.
        time: When; None until the record is accepted, then aware, in UTC.
        job: Whose run said it; None outside a run.
        run_id: Which run said it; None outside a run.
        pid: Which process said it; None until the record is accepted.
        number: Its place among the records of its run, from 1; None for what
            the supervisor says and outside a run.

    Raises:
        AuditError: If operation or status is not a text, or operation is empty.
    """

    operation: str
    status: str
    comments: Any = ""
    time: datetime | None = None
    job: str | None = None
    run_id: str | None = None
    pid: int | None = None
    number: int | None = None

    def __post_init__(self) -> None:
        """Refuse what has no meaning; make the rest fit into JSON."""
        for name in ("operation", "status"):
            value = getattr(self, name)
            if not isinstance(value, str) or (name == "operation" and not value):
                raise AuditError(
                    f"{name}={value!r} is not a text that says something",
                    remedy=f"Pass {name} as a non-empty string",
                )
            object.__setattr__(self, name, as_text(value))
        comments = "" if self.comments is None else as_json(self.comments)
        object.__setattr__(self, "comments", comments)

    def accepted(self, **stamps: Any) -> Self:
        """Return the same record with who, when and where filled in."""
        return replace(self, **stamps)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object; times in RFC 3339, UTC."""
        time = None if self.time is None else self.time.astimezone(UTC).isoformat()
        return {
            "time": time,
            "job": self.job,
            "run_id": self.run_id,
            "pid": self.pid,
            "number": self.number,
            "operation": self.operation,
            "status": self.status,
            "comments": self.comments,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Return the record that `to_json` made the object from."""
        fields = dict(raw)
        if fields.get("time") is not None:
            fields["time"] = datetime.fromisoformat(fields["time"])
        return cls(**fields)


def as_text(value: str) -> str:
    """Return a text that UTF-8 can hold, cut at `TEXT_LIMIT`."""
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= TEXT_LIMIT:
        return text
    return text[:TEXT_LIMIT] + CUT.format(len(text) - TEXT_LIMIT)


def as_json(value: object, depth: int = 0) -> Any:
    """Return the value as JSON can hold it; what it cannot becomes its repr.

    A record is never refused for one odd field: a date, a set or an object of
    the job's own is written as Python shows it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return as_text(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth < DEPTH_LIMIT and isinstance(value, dict):
        return {
            as_text(key if isinstance(key, str) else shown(key)): as_json(
                each, depth + 1
            )
            for key, each in value.items()
        }
    if depth < DEPTH_LIMIT and isinstance(value, list | tuple):
        return [as_json(each, depth + 1) for each in value]
    return as_text(shown(value))


def shown(value: object) -> str:
    """Return the value's repr, or its type where the repr itself fails."""
    try:
        return repr(value)
    except Exception as fault:  # noqa: BLE001 - a repr is code of the job
        return f"<{type(value).__name__} whose repr raises {type(fault).__name__}>"
