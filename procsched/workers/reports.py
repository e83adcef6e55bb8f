"""Reports of runs that have outlived their supervisor, left for the next one.

Imports: core, workers.frames.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from procsched.workers.frames import report_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from procsched.core.verdict import Report

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftReport:
    """The report of a run whose end no supervisor saw.

    Attributes:
        path: Its file, to be removed once it is on record.
        ended_at: When everything of the run was gone, aware.
    """

    path: Path
    run_id: str
    report: Report
    ended_at: datetime


def left_reports(directory: Path) -> Iterator[LeftReport]:
    """Yield the reports that keepers have left, and put aside what is none."""
    for path in sorted(directory.glob("*.json")):
        try:
            frame = json.loads(path.read_text("utf-8"))
            ended_at = datetime.fromtimestamp(frame["ended_at"], UTC)
            yield LeftReport(path, frame["run_id"], report_of(frame), ended_at)
        except (OSError, ValueError, KeyError, TypeError) as fault:
            log.warning(
                "the report %s cannot be read, and is put aside: %s", path, fault
            )
            path.replace(path.with_suffix(".bad"))
