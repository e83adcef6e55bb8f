"""One accepted record on its way to the agents, and what may become one.

A record is a Trail, or a JSON value of the user's own with a Trail that says who
handed it in and when.  A Trail makes its comments fit into JSON; a custom value
is handed on unchanged, so what JSON cannot hold is refused here, with its place.

Imports: errors, core.trail.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from procsched.core.trail import Trail
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

GAP: Final = "audit.gap"
"""The operation of a record that stands for records which are missing."""

CUSTOM: Final = "custom"
"""The operation of a Trail that stands for a custom value."""

DEPTH_LIMIT: Final = 100
"""Nesting of a custom value; a value that holds itself ends here too."""

WHOLE_NUMBER_BITS: Final = 14_000
"""More are more than the 4,300 digits that Python turns into text (int max str
digits, CVE-2020-10735)."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Trail, or a custom value with the Trail that says whose it is.

    Args:
        trail: Stamped with time and pid, and with job, run and number if it
            came from a run.
        is_custom: Whether `value` is what was said.
        value: The custom value; None for a Trail.
        size: Bytes it takes as JSON, as far as known; what queues count.
    """

    trail: Trail
    is_custom: bool = False
    value: Any = None
    size: int = 0

    def as_trail(self) -> Trail:
        """Return the record as one Trail, a custom value as its comments."""
        return (
            replace(self.trail, comments=self.value) if self.is_custom else self.trail
        )


def stamped(trail: Trail) -> Trail:
    """Return the Trail with time and pid filled in where they are missing."""
    if trail.time is not None and trail.pid is not None:
        return trail
    pid = os.getpid() if trail.pid is None else trail.pid
    return trail.accepted(time=trail.time or datetime.now(UTC), pid=pid)


def refuse_other_than_trail(trail: object) -> None:
    """Say what was given instead of a Trail.

    Raises:
        AuditError: If it is not a Trail.
    """
    if not isinstance(trail, Trail):
        raise AuditError(
            f"audit_trail() was given {_kind(trail)}, not a Trail",
            remedy="Pass Trail(operation=..., status=..., comments=...), or hand a "
            "JSON object of your own to audit_custom()",
        )


def refuse_other_than_json(value: object) -> None:
    """Say where a custom value holds what JSON cannot.

    Raises:
        AuditError: If it does; the message names the place as a JSON path.
    """
    for place, fault in _faults(value, "$", 0):
        raise AuditError(
            f"The custom record holds {fault} at {place}, which JSON cannot hold",
            remedy="Convert it first (str, list, isoformat()), or use audit_params(), "
            "which shows what it cannot convert",
        )


def _faults(value: object, place: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH_LIMIT:
        yield place[:200], f"more than {DEPTH_LIMIT} levels or itself"
    elif isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                yield place, f"the key {key!r} ({_kind(key)})"
            else:
                yield from _faults(key, f"{place} (a key)", depth)
                yield from _faults(each, f"{place}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _faults(each, f"{place}[{index}]", depth + 1)
    else:
        fault = _scalar_fault(value)
        if fault is not None:
            yield place, fault


def _scalar_fault(value: object) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if _has_utf8(value) else "a text with half a surrogate pair"
    if isinstance(value, int):
        fits = value.bit_length() <= WHOLE_NUMBER_BITS
        return None if fits else "a whole number of more than 4,200 digits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"the number {value}"
    return _kind(value)


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
