"""Is there a backup that can be trusted?

Copies a SQLite database while others use it, proves the copy before it is
called a backup, and keeps the newest few.

The lesson: a result gets its name last.  Until it is verified it is a `.part`,
so a run that is killed halfway leaves nothing that looks like a backup.

Imports: procsched, jobs.files, jobs.sqlite_copy.
"""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.files import put_in_place
from jobs.sqlite_copy import BackupError, copy, make_sample, verify
from procsched import Job
from procsched.errors import JobError


class DatabaseBackup(Job):
    """A verified copy of a SQLite database, and the removal of old ones.

    Args:
        database: The database's file.
        backup_dir: Where the copies go, named `database.TIME.backup`, in UTC;
            databases of one file name need directories of their own.
        keep: How many copies stay, the newest; 1 or more.
        sample: Whether to make a small database if there is none.

    Raises:
        JobError: If `keep` is not such a number.
    """

    def __init__(
        self, database: str, backup_dir: str, keep: int = 5, *, sample: bool = False
    ) -> None:
        if not isinstance(keep, int) or keep < 1:
            raise JobError(
                f"database-backup has keep={keep!r}, which keeps no backup",
                remedy="Pass a whole number, 1 or more",
            )
        self.database = Path(database)
        self.backup_dir = Path(backup_dir)
        self.keep = keep
        self.sample = sample

    def name(self) -> str:
        """Return the job's identifier."""
        return "database-backup"

    def goal(self) -> dict[str, Any]:
        """Copy, verify, name, and remove what is too old.

        Returns:
            The backup, its size, its rows per table and the names removed.

        Raises:
            FileNotFoundError: If there is no database.
            BackupError: If the copy is not sound; it is removed.
        """
        from procsched import Auditor

        if self.sample and not self.database.exists():
            make_sample(self.database)
        try:
            backup, rows = self._back_up()
        except (BackupError, OSError, sqlite3.Error) as fault:
            Auditor.audit_params(self.name(), "failed", str(fault))
            raise
        result = {
            "backup": str(backup),
            "bytes": backup.stat().st_size,
            "rows": rows,
            "removed": self._remove_old(backup),
        }
        Auditor.audit_params(self.name(), "success", result)
        return result

    def _back_up(self) -> tuple[Path, dict[str, int]]:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        backup = self.backup_dir / f"{self.database.name}.{time}.backup"
        part = backup.with_name(backup.name + ".part")
        try:
            rows = copy(self.database, part)
            verify(part, rows)
            put_in_place(part, backup)
        finally:
            part.unlink(missing_ok=True)
        return backup, rows

    def _remove_old(self, newest: Path) -> list[str]:
        ours = re.compile(
            re.escape(self.database.name) + r"\.\d{8}T\d{6}\.\d{6}Z\.backup(\.part.*)?"
        )
        files = sorted(f for f in self.backup_dir.iterdir() if ours.fullmatch(f.name))
        backups = [f for f in files if f.suffix == ".backup"]
        # Parts go by age as well: a younger one may be of a run that still works.
        # The newest stays even if the clock was set back and it sorts as old.
        kept = backups[-self.keep :]
        removed = [f for f in files if f < kept[0] and f != newest]
        for old in removed:
            old.unlink(missing_ok=True)
        return [old.name for old in removed]
