"""Every run on record, in SQLite: one connection writes, the others only read.

One writing connection, because SQLite before 3.51.3 can corrupt a WAL database
that two connections write or checkpoint at once (the WAL-reset bug).

Imports: core, errors.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from procsched.core.outcome import Outcome
from procsched.core.run import Reason, RunRecord, RunState, Usage

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

_UPSERT = """
INSERT INTO runs (run_id, job, nominal_time, record)
VALUES (:run_id, :job, :nominal_time, :record)
ON CONFLICT (run_id) DO UPDATE SET record = excluded.record
"""

_NEWEST = """
SELECT record FROM runs
WHERE :job IS NULL OR job = :job
ORDER BY number DESC LIMIT :limit
"""


class SqliteHistory:
    """The history of one state directory.

    Args:
        path: The database; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode = WAL")
        # Survives every kill of ours; only a power cut may take the last commits.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        schema = files("procsched.store").joinpath("schema.sql").read_text("utf-8")
        self._connection.executescript(schema)

    def write(self, record: RunRecord) -> None:
        """Keep what is known of a run, in place of what was."""
        row = {
            "run_id": record.run_id,
            "job": record.job,
            "nominal_time": record.nominal_time.timestamp(),
            "record": json.dumps(to_json(record)),
        }
        try:
            self._connection.execute(_UPSERT, row)
        except sqlite3.Error as fault:
            # Scheduling goes on: a full disk must not stop the host's work.
            log.error("cannot write run %s to the history: %s", record.run_id, fault)  # noqa: TRY400

    def close(self) -> None:
        """Close the writing connection."""
        self._connection.close()


def read_runs(path: Path, job: str | None, limit: int) -> list[RunRecord]:
    """Return records, newest first; from any thread or process."""
    if not path.exists():
        return []
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        rows = connection.execute(_NEWEST, {"job": job, "limit": limit})
        return [from_json(json.loads(text)) for (text,) in rows]


def to_json(record: RunRecord) -> dict[str, Any]:
    """Return a record as a JSON object; times in RFC 3339, UTC."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(record).items()
    }


def from_json(raw: dict[str, Any]) -> RunRecord:
    """Return the record that `to_json` made the object from."""
    record = RunRecord(**raw)
    usage: Any = raw["usage"]
    return replace(
        record,
        nominal_time=datetime.fromisoformat(raw["nominal_time"]),
        trigger=Reason(raw["trigger"]),
        state=RunState(raw["state"]),
        outcome=None if raw["outcome"] is None else Outcome(raw["outcome"]),
        started_at=_time(raw["started_at"]),
        ended_at=_time(raw["ended_at"]),
        until=_time(raw["until"]),
        usage=None if usage is None else Usage(**usage),
        flags=tuple(raw["flags"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
