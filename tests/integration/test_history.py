"""The history on a real disk: it survives a kill, and says what it cannot read."""

from __future__ import annotations

import logging
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from procsched.core.outcome import Outcome
from procsched.core.run import Reason, RunRecord, RunState, Usage
from procsched.errors import StateDirectoryError
from procsched.store import history as store
from procsched.store.history import SqliteHistory, from_json, read_runs, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)


def record(number: int = 1, job: str = "job", **facts: Any) -> RunRecord:
    nominal = NOON + timedelta(seconds=number)
    return RunRecord(run_id=f"p-{number}", job=job, nominal_time=nominal, **facts)


FULL = record(
    attempt=3,
    trigger=Reason.CATCH_UP,
    state=RunState.ENDED,
    outcome=Outcome.TIMED_OUT,
    reason="over its time limit of 3 s",
    started_at=NOON,
    ended_at=NOON + timedelta(microseconds=1),
    pid=4000,
    exit_code=1,
    signal=15,
    usage=Usage(wall=1.5, cpu_user=0.25, max_rss_bytes=2**40),
    result={"a": [1, None, "\ud800 \0 ü", 1e300]},
    traceback="Traceback",
    output_tail="last\nlines\0",
    enforced_by={"wall": "keeper"},
    leftovers=2,
    covers=7,
    until=NOON + timedelta(days=1),
    flags=("output truncated", "x"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


@pytest.fixture
def history(path: Path) -> Iterator[SqliteHistory]:
    found = SqliteHistory(path)
    yield found
    found.close()


def test_a_record_comes_back_as_it_was(history: SqliteHistory, path: Path) -> None:
    defaults = {each.name: each.default for each in fields(RunRecord)}
    assert all(getattr(FULL, name) != value for name, value in defaults.items())

    history.write(FULL)
    history.write(record(2))

    assert read_runs(path, None, 10) == [record(2), FULL]
    assert from_json(to_json(FULL)) == FULL


def test_a_later_word_takes_the_place_of_the_earlier(
    history: SqliteHistory, path: Path
) -> None:
    """And the run keeps its place among the others."""
    for number in (1, 2):
        history.write(record(number))
    ended = record(1, state=RunState.ENDED, outcome=Outcome.SUCCEEDED)

    history.write(ended)

    assert read_runs(path, None, 10) == [record(2), ended]


def test_runs_are_newest_first_of_one_job_and_so_many(
    history: SqliteHistory, path: Path
) -> None:
    for number in range(6):
        history.write(record(number, job="ab"[number % 2]))

    ids = [run.run_id for run in read_runs(path, "b", 2)]

    assert ids == ["p-5", "p-3"]
    assert len(read_runs(path, None, 2**63 - 1)) == 6
    assert read_runs(path, "c", 10) == []


def test_a_history_that_is_not_there_is_empty(path: Path) -> None:
    assert read_runs(path, None, 10) == []
    assert not path.exists()


def test_it_is_opened_again_after_it_was_closed(path: Path) -> None:
    for number in (1, 2):
        history = SqliteHistory(path)
        history.write(record(number))
        history.close()

    assert [run.run_id for run in read_runs(path, None, 10)] == ["p-2", "p-1"]


KILLED = """\
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from procsched.core.run import RunRecord
from procsched.store.history import SqliteHistory
history = SqliteHistory(Path(sys.argv[1]))
for number in range(1000):
    now = datetime.now(UTC)
    history.write(RunRecord(run_id=f"p-{number}", job="j", nominal_time=now))
    print(number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_survives_a_kill(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        check=False,
        capture_output=True,
        timeout=60,
    )

    assert done.returncode == -signal.SIGKILL
    assert len(read_runs(path, None, 10_000)) == 1000
    history = SqliteHistory(path)
    history.write(record(5000))
    history.close()
    assert len(read_runs(path, None, 10_000)) == 1001


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is no database, " * 50, "file is not a database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, ""),
    ],
)
def test_a_corrupt_file_is_told_with_its_name_and_a_remedy(
    path: Path, content: bytes, says: str
) -> None:
    path.write_bytes(content)

    for call in (lambda: SqliteHistory(path), lambda: read_runs(path, None, 1)):
        with pytest.raises(
            StateDirectoryError,
            match=rf"the history '{path}' cannot be used: .*{says}.*\. Make it "
            "readable and writable, or move it away and a new one is made",
        ):
            call()

    assert path.read_bytes() == content


def test_a_directory_in_its_place_is_told(path: Path) -> None:
    path.mkdir()

    with pytest.raises(StateDirectoryError, match="cannot be used: unable to open"):
        SqliteHistory(path)


def test_a_database_of_somebody_else_is_told(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (number INTEGER, run_id, job TEXT)")
    connection.close()

    with pytest.raises(StateDirectoryError, match="cannot be used: no such column"):
        SqliteHistory(path)


class Full:
    """A connection whose disk is full until there is room again."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real
        self.full = True

    def execute(self, sql: str, row: dict[str, Any]) -> object:
        if self.full:
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)
        return self._real.execute(sql, row)

    def close(self) -> None:
        self._real.close()


def fill_up(history: SqliteHistory) -> Full:
    full = Full(history._connection)
    history._connection = full  # type: ignore[assignment]
    return full


def test_a_full_disk_stops_nothing_and_loses_nothing(
    history: SqliteHistory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = fill_up(history)
    for number in (1, 2, 1):
        history.write(record(number, attempt=number))
    assert read_runs(path, None, 10) == []
    assert (
        "cannot write run p-1 to the history: database or disk is full" in caplog.text
    )

    disk.full = False
    history.write(record(3))

    ids = [run.run_id for run in read_runs(path, None, 10)]
    assert sorted(ids) == ["p-1", "p-2", "p-3"]


def test_what_waits_for_a_full_disk_is_written_when_it_closes(path: Path) -> None:
    history = SqliteHistory(path)
    disk = fill_up(history)
    history.write(record(1))
    disk.full = False

    history.close()

    assert [run.run_id for run in read_runs(path, None, 10)] == ["p-1"]


def test_a_disk_that_stays_full_costs_bounded_memory_and_is_told(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "UNWRITTEN_LIMIT", 3)
    history = SqliteHistory(path)
    fill_up(history)
    for number in range(5):
        history.write(record(number))
    history.close()

    assert "gave up writing run p-1 to the history" in caplog.text
    assert "3 records never reached the history: database or disk" in caplog.text


def test_somebody_who_holds_the_database_delays_a_write_and_loses_none(
    history: SqliteHistory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A person with a shell open stops the loop for half a second at most."""
    caplog.set_level(logging.ERROR)
    person = sqlite3.connect(path, isolation_level=None)
    person.execute("BEGIN IMMEDIATE")
    history.write(record(1))
    assert "database is locked" in caplog.text
    person.execute("COMMIT")
    person.close()

    history.write(record(2))

    assert len(read_runs(path, None, 10)) == 2


def test_a_reader_never_waits_for_the_writer(
    history: SqliteHistory, path: Path
) -> None:
    history.write(record(1))
    history._connection.execute("BEGIN IMMEDIATE")
    history.write(replace(record(2)))

    assert [run.run_id for run in read_runs(path, None, 10)] == ["p-1"]
    history._connection.execute("COMMIT")


def test_its_files_are_nobody_elses_in_a_state_directory(tmp_path: Path) -> None:
    from procsched.store.directory import StateDirectory

    directory = StateDirectory(tmp_path)
    history = SqliteHistory(directory.history)
    history.write(record(1))
    files = list(tmp_path.glob("history.sqlite3*"))
    modes = {stat.S_IMODE(each.stat().st_mode) for each in files}
    history.close()
    directory.release()

    assert len(files) == 3
    assert modes == {0o600}
