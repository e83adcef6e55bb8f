"""Every run on record, in SQLite: one connection writes, the others only read.

One writing connection, because SQLite before 3.51.3 can corrupt a WAL database
that two connections write or checkpoint at once (the WAL-reset bug).

Imports: core, errors.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from procsched.core.outcome import Outcome
from procsched.core.run import Reason, RunRecord, RunState, Usage
from procsched.errors import StateDirectoryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from procsched.core.schedule import Origin

log = logging.getLogger(__name__)

BUSY_SECONDS: Final = 0.5
"""How long a write waits for somebody who holds the database, while the loop
stands still; then it is put off."""

UNWRITTEN_LIMIT: Final = 10_000
"""Runs that wait in memory for a disk with room: some tens of megabytes."""

# Not asdict: it copies results of a megabyte, and stands before every start.
_FIELDS: Final = tuple(each.name for each in fields(RunRecord))
_TIMES: Final = ("nominal_time", "started_at", "ended_at", "until")

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


_ONE = "SELECT record FROM runs WHERE run_id = :run_id"

# The first anchor stays for as long as the words are the same.
_REMEMBER = """
INSERT INTO schedules (job, timing, anchor) VALUES (:job, :timing, :anchor)
ON CONFLICT (job) DO UPDATE SET timing = excluded.timing, anchor = excluded.anchor
WHERE timing <> excluded.timing
"""

_FORGET = "DELETE FROM schedules WHERE job = :job"

_RECALL = "SELECT anchor FROM schedules WHERE job = :job AND timing = :timing"

# Among the newest only: a nominal time is decided in order, a run by hand is none.
_DECIDED = """
SELECT max(coalesce(json_extract(record, '$.until'),
                    json_extract(record, '$.nominal_time')))
FROM (SELECT record FROM runs WHERE job = :job ORDER BY number DESC LIMIT 1000)
WHERE json_extract(record, '$.trigger') <> 'manual'
"""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the history knows of a schedule from before a restart.

    Attributes:
        anchor: When it was first scheduled, aware.
        decided: The latest nominal time that was decided; the anchor, if none was.
    """

    anchor: datetime
    decided: datetime


class SqliteHistory:
    """The history of one state directory.

    Args:
        path: The database; made when it is not there.

    Raises:
        StateDirectoryError: If the file is no history, or cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._unwritten: dict[str, dict[str, Any]] = {}
        with _readable(path), ExitStack() as opened:
            connection = sqlite3.connect(
                path,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_SECONDS,
            )
            opened.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            # Survives every kill of ours; only a power cut may take the last commits.
            connection.execute("PRAGMA synchronous = NORMAL")
            schema = files("procsched.store").joinpath("schema.sql").read_text("utf-8")
            connection.executescript(schema)
            connection.execute(_NEWEST, {"job": None, "limit": 0})
            opened.pop_all()
        self._connection = connection

    def write(self, record: RunRecord) -> None:
        """Keep what is known of a run, in place of what was.

        What cannot be written is kept in memory and tried again with the next
        record: scheduling goes on, for a full disk must not stop the host's work.
        """
        self._unwritten[record.run_id] = {
            "run_id": record.run_id,
            "job": record.job,
            "nominal_time": record.nominal_time.timestamp(),
            "record": json.dumps(to_json(record)),
        }
        try:
            self._write_all()
        except sqlite3.Error as fault:
            log.error(  # noqa: TRY400 - the fault is SQLite's, its traceback says less
                "cannot write run %s to the history: %s; %d records wait",
                record.run_id,
                fault,
                len(self._unwritten),
            )
            self._bound()

    def remember(self, job: str, origin: Origin | None) -> None:
        """Keep a schedule beyond a restart; forget the job's without an origin."""
        try:
            if origin is None:
                self._connection.execute(_FORGET, {"job": job})
            else:
                words = {"job": job, "timing": origin.timing}
                anchor = origin.anchor.astimezone(UTC).isoformat()
                self._connection.execute(_REMEMBER, {**words, "anchor": anchor})
        except sqlite3.Error as fault:
            # A restart would then begin a new grid; today's schedule is unharmed.
            log.error("cannot remember the schedule of %s: %s", job, fault)  # noqa: TRY400

    def _write_all(self) -> None:
        while self._unwritten:
            run_id = next(iter(self._unwritten))
            self._connection.execute(_UPSERT, self._unwritten[run_id])
            del self._unwritten[run_id]

    def _bound(self) -> None:
        """Forget the oldest records when too many wait, and say so."""
        while len(self._unwritten) > UNWRITTEN_LIMIT:
            run_id = next(iter(self._unwritten))
            del self._unwritten[run_id]
            log.error("gave up writing run %s to the history", run_id)

    def close(self) -> None:
        """Try once more to write what waits, and close the writing connection."""
        try:
            self._write_all()
        except sqlite3.Error as fault:
            waiting = len(self._unwritten)
            log.error("%d records never reached the history: %s", waiting, fault)  # noqa: TRY400
        self._connection.close()


def read_runs(path: Path, job: str | None, limit: int) -> list[RunRecord]:
    """Return records, newest first; from any thread or process.

    Raises:
        StateDirectoryError: If the file is no history, or cannot be read.
    """
    if not path.exists():
        return []
    address = f"{path.absolute().as_uri()}?mode=ro"
    with _readable(path), closing(sqlite3.connect(address, uri=True)) as connection:
        rows = connection.execute(_NEWEST, {"job": job, "limit": limit})
        return [from_json(json.loads(text)) for (text,) in rows]


def read_run(path: Path, run_id: str) -> RunRecord | None:
    """Return the record of a run; None if it is not known.

    Raises:
        StateDirectoryError: If the file is no history, or cannot be read.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    with _readable(path), closing(sqlite3.connect(address, uri=True)) as connection:
        row = connection.execute(_ONE, {"run_id": run_id}).fetchone()
        return None if row is None else from_json(json.loads(row[0]))


def recall(path: Path, job: str, timing: str) -> Remembered | None:
    """Return what is known of a schedule with these words; None if it is new.

    Raises:
        StateDirectoryError: If the file is no history, or cannot be read.
    """
    address = f"{path.absolute().as_uri()}?mode=ro"
    with _readable(path), closing(sqlite3.connect(address, uri=True)) as connection:
        words = {"job": job, "timing": timing}
        row = connection.execute(_RECALL, words).fetchone()
        if row is None:
            return None
        anchor = datetime.fromisoformat(row[0])
        (decided,) = connection.execute(_DECIDED, {"job": job}).fetchone()
        return Remembered(anchor, max(anchor, _time(decided) or anchor))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn SQLite's word that it cannot use the file into ours."""
    try:
        yield
    except sqlite3.Error as fault:
        raise StateDirectoryError(
            f"the history {str(path)!r} cannot be used: {fault}",
            remedy="Make it readable and writable, or move it away and a new one is "
            "made",
        ) from fault


def to_json(record: RunRecord) -> dict[str, Any]:
    """Return a record as a JSON object; times in RFC 3339, UTC."""
    found = {name: getattr(record, name) for name in _FIELDS}
    for name in _TIMES:
        value = found[name]
        found[name] = None if value is None else value.isoformat()
    if record.usage is not None:
        found["usage"] = asdict(record.usage)
    return found


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
