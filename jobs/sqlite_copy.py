"""A copy of a SQLite database, and the proof that it is one.

The rows are counted in the transaction that copies, so that the copy can be
held against the database although others go on writing to it.

Imports: jobs.files.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from jobs.files import put_in_place

if TYPE_CHECKING:
    from pathlib import Path


class BackupError(Exception):
    """A copy that is not what it was copied from."""


def copy(database: Path, part: Path) -> dict[str, int]:
    """Copy the database as it is at one moment; return its rows per table.

    Raises:
        FileNotFoundError: If there is no database.
    """
    if not database.is_file():
        raise FileNotFoundError(
            f"There is no database {database}. Pass its path, or sample: true."
        )
    # rw and not ro, so that a journal left by a crash is rolled back as for any
    # reader; and not rwc, which makes an empty database of a mistyped name.
    with (
        closing(_connect(database, "mode=rw")) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        # One read transaction for both: a row that another process adds now is
        # in neither (sqlite3_backup_step uses the transaction that is open).
        source.execute("BEGIN")
        rows = count_rows(source)
        source.backup(target)
    return rows


def verify(part: Path, rows: dict[str, int]) -> None:
    """Open the copy anew and compare.

    Raises:
        BackupError: If its structure is damaged or its rows are not these.
    """
    # Immutable, because the copy of a WAL database is one too, and opening it
    # otherwise would leave -wal and -shm files beside the backup.
    with closing(_connect(part, "mode=ro&immutable=1")) as copied:
        problems = [line for (line,) in copied.execute("PRAGMA integrity_check(5)")]
        found = count_rows(copied)
    if problems != ["ok"]:
        raise BackupError(
            f"The copy is damaged: {'; '.join(problems)}. The database is probably "
            f"damaged too: look at it with PRAGMA integrity_check."
        )
    if found != rows:
        raise BackupError(f"The copy has {found} rows for {rows}. Run the job again.")


def count_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of each table; virtual ones keep theirs in others."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        " AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    ).fetchall()
    quoted = {name: '"' + name.replace('"', '""') + '"' for (name,) in tables}
    return {
        # A table's name cannot be a parameter; it comes from the database itself.
        name: connection.execute(f"SELECT count(*) FROM {quote}").fetchone()[0]  # noqa: S608
        for name, quote in quoted.items()
    }


def make_sample(database: Path) -> None:
    """Make a database of a thousand orders."""
    database.parent.mkdir(parents=True, exist_ok=True)
    part = database.with_name(database.name + ".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(part)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INT)")
        orders = ((number, number * 7 % 10_000) for number in range(1, 1001))
        connection.executemany("INSERT INTO orders VALUES (?, ?)", orders)
    put_in_place(part, database)


def _connect(database: Path, how: str) -> sqlite3.Connection:
    uri = f"{database.resolve().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)
