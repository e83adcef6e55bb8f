"""What do the logs say?

Counts the lines of a log and of its rotated files, by day and by what they are
about, into a JSON document.  Made for dpkg.log, fit for most logs of text.

The lesson: input from the world is never clean.  A byte that is no UTF-8, a
file cut short or one that may not be read costs that piece, and is reported.

Imports: procsched, jobs.files.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Final

from jobs.files import write_whole
from procsched import Job

HEAD: Final = 120
"""Characters of a line that are looked at; its date and level stand in front."""

TOP: Final = 20
"""Words in the summary; a log of free text has thousands, most of them once."""

DAY: Final = re.compile(
    r"(\d{4}-\d\d-\d\d|\d\d/[A-Z][a-z]{2}/\d{4}|\b[A-Z][a-z]{2} [ \d]\d(?= \d\d:))"
    r"[T :]*(?:\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?)?\s*(?:Z|[+-]\d\d:?\d\d)?[\]:]*\s*"
)
"""A day with the time behind it: ISO 8601, web server, syslog."""

LEVEL: Final = re.compile(
    r"\b(DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b"
    r"|\[((?i:debug|info|notice|warn(?:ing)?|error|crit(?:ical)?))\]"
)

PROGRAM: Final = re.compile(r"(?:\S+\s+)?([\w./@-]+)(?:\[\d+\])?:\s")
"""The writer of a syslog line, behind the host: `web1 sshd[77]: ...`."""

WORD: Final = re.compile(r"[\w./-]+")


class LogSummary(Job):
    """Lines per day and the most frequent levels, programs or first words.

    Args:
        path: The log; `path.1`, `path.2.gz` and `path-20261016` belong to it.
        output: The JSON file; replaced as a whole.
    """

    def __init__(self, path: str = "/var/log/dpkg.log", *, output: str) -> None:
        self.path = Path(path)
        self.output = Path(output)

    def name(self) -> str:
        """Return the job's identifier."""
        return "log-summary"

    def goal(self) -> dict[str, Any]:
        """Count, and write the summary.

        Returns:
            The summary without its days, which may be many.

        Raises:
            FileNotFoundError: If there is no such log.
            OSError: If not one line of it could be read.
        """
        from procsched import Auditor

        summary = summarise(log_files(self.path))
        write_whole(self.output, json.dumps(summary, indent=2) + "\n")
        status = "partial" if summary["unread"] else "success"
        result = {**summary, "days": len(summary["days"]), "output": str(self.output)}
        Auditor.audit_params(self.name(), status, result)
        return result


def log_files(path: Path) -> list[Path]:
    """Return the log and its rotated files, as far as they exist.

    Raises:
        FileNotFoundError: If there is none.
    """
    family = re.compile(re.escape(path.name) + r"([.-]\d+)?(\.gz)?")
    siblings = path.parent.iterdir() if path.parent.is_dir() else ()
    files = sorted(f for f in siblings if family.fullmatch(f.name) and f.is_file())
    if not files:
        raise FileNotFoundError(f"There is no log {path}. Pass the path of one.")
    return files


def summarise(files: list[Path]) -> dict[str, Any]:
    """Return the counts over all files, and what could not be read and why.

    Raises:
        OSError: If not one line could be read, for the reasons it gives.
    """
    days: Counter[str] = Counter()
    words: Counter[str] = Counter()
    unread: dict[str, str] = {}
    for path in files:
        try:
            _count(path, days, words)
        except (OSError, EOFError, zlib.error) as fault:
            unread[str(path)] = f"{type(fault).__name__}: {fault}"
    if unread and not days:
        raise OSError(f"No line could be read: {unread}. Mend them or their rights.")
    return {
        "files": [str(path) for path in files],
        "unread": unread,
        "lines": days.total(),
        "days": dict(sorted(days.items())),
        "words": dict(words.most_common(TOP)),
    }


def subject(line: str) -> tuple[str, str]:
    """Return the day of a line as it is written there, and what it is about."""
    head = line[:HEAD]
    day = DAY.search(head)
    said = head[day.end() :] if day else head
    level = LEVEL.search(head)
    about = level or PROGRAM.match(said) or WORD.search(said)
    word = (about[1] if about.re is PROGRAM else about[0].strip("[]")) if about else "-"
    return (day[1] if day else "undated"), word


def _count(path: Path, days: Counter[str], words: Counter[str]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            day, word = subject(line)
            days[day] += 1
            words[word] += 1
