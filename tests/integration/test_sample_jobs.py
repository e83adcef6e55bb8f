"""The sample jobs on real files, a real database, a real page, a real signal.

Each `goal` runs in this process, as a run of its own, except the one that
crashes.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from jobs.database_backup import DatabaseBackup
from jobs.files import append_row, write_whole
from jobs.host_report import HostReport
from jobs.log_summary import LogSummary, subject
from jobs.page_check import PageCheck, PageError
from jobs.prime_count import PrimeCount
from jobs.segfault import Segfault
from jobs.sqlite_copy import BackupError, copy, verify
from procsched import AuditAgent, Auditor
from procsched.errors import JobError
from procsched.job import CurrentRun, enter_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from procsched import Job, Trail

ROOT = Path(__file__).parents[2]
DPKG = (
    "2026-10-16 23:04:01 startup archives unpack\n"
    "2026-10-16 23:04:01 install libzmq5:amd64 <none> 4.3.4-6\n"
    "2026-10-17 06:00:12 status installed libzmq5:amd64 4.3.4-6\n"
    "2026-10-17 06:00:13 status installed libc-bin:amd64 2.36-9\n"
)


class Run:
    """A run that this process is, and what was told of it."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.told: list[dict[str, Any]] = []
        self.stop_after = stop_after
        self.current = CurrentRun(
            run_id="run-1",
            job="sample",
            nominal_time=datetime(2026, 10, 16, 12, tzinfo=UTC),
            attempt=1,
            _tell=self.tell,
        )

    def tell(self, word: dict[str, Any]) -> None:
        self.told.append(word)
        if len(self.told) == self.stop_after:
            self.current.request_stop()


@contextmanager
def being(run: Run) -> Iterator[Run]:
    enter_run(run.current)
    try:
        yield run
    finally:
        enter_run(None)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Notebook(AuditAgent):
    """Keeps what the auditor hands out."""

    def __init__(self) -> None:
        self.trails: list[Trail] = []

    def capture(self, trail: Trail) -> None:
        self.trails.append(trail)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    agent = Notebook()
    Auditor.add_agent("notebook", agent)
    yield agent
    Auditor.remove_agent("notebook")


@pytest.mark.parametrize(
    "job",
    [
        HostReport(path="host.csv"),
        LogSummary(output="log.json"),
        DatabaseBackup(database="shop.db", backup_dir="backups"),
        PageCheck(output="page.csv", self_test=True),
        PrimeCount(),
        Segfault(),
    ],
    ids=lambda job: job.name(),
)
def test_a_sample_job_can_be_sent_to_a_child(job: Job) -> None:
    sent = pickle.loads(pickle.dumps(job))  # noqa: S301 - we wrote it just now

    assert sent.name() == job.name()
    assert vars(sent) == vars(job)


def test_importing_the_sample_jobs_loads_no_heavy_module() -> None:
    code = (
        "import sys, jobs.host_report, jobs.log_summary, jobs.database_backup,"
        " jobs.page_check, jobs.prime_count, jobs.segfault;"
        "print({'psutil', 'requests', 'http.server', 'ctypes', 'pydantic', 'yaml'}"
        " & set(sys.modules) or 'none')"
    )

    assert in_a_child(code).stdout.strip() == "none"


def in_a_child(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_went_well_is_audited_with_its_figures(
    tmp_path: Path, notebook: Notebook
) -> None:
    with being(Run()):
        HostReport(path=str(tmp_path / "host.csv")).goal()
        PrimeCount(100).goal()
    assert Auditor.flush(timeout=10)

    host, primes = notebook.trails
    assert (host.operation, host.status) == ("host-report", "success")
    assert host.comments["file"] == str(tmp_path / "host.csv")
    assert (primes.operation, primes.status) == ("prime-count", "success")
    assert primes.comments == {"primes": 25, "up_to": 100, "complete": True}


def test_what_went_wrong_is_audited_before_it_is_raised(
    tmp_path: Path, notebook: Notebook
) -> None:
    with being(Run()):
        with pytest.raises(FileNotFoundError):
            backup_of(tmp_path).goal()
        with pytest.raises(PageError):
            PageCheck("nonsense", output=str(tmp_path / "checks.csv")).goal()
    assert Auditor.flush(timeout=10)

    backup, page = notebook.trails
    assert (backup.operation, backup.status) == ("database-backup", "failed")
    assert "There is no database" in backup.comments
    assert (page.operation, page.status) == ("page-check", "failed")
    assert page.comments["url"] == "nonsense"


def test_rows_written_at_once_neither_mix_nor_repeat_the_header(tmp_path: Path) -> None:
    """Eight writers that find no file; 800 rows and one header afterwards."""
    path = tmp_path / "new" / "rows.csv"

    def write(writer: int) -> None:
        for number in range(100):
            append_row(path, {"writer": writer, "number": number, "fill": "x" * 500})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    rows = rows_of(path)
    assert len(rows) == 800
    assert {(row["writer"], row["number"]) for row in rows} == {
        (str(writer), str(number)) for writer in range(8) for number in range(100)
    }


def test_a_row_is_refused_by_a_file_with_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    append_row(path, {"time": 1, "load": 2})

    with pytest.raises(ValueError, match="does not begin with the columns time,disk"):
        append_row(path, {"time": 1, "disk": 2})

    assert path.read_text() == "time,load\n1,2\n"


def test_a_row_that_does_not_fit_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The limit on the file's size stands in for a full disk: ten bytes are left."""
    path = tmp_path / "rows.csv"
    append_row(path, {"text": "before"})
    code = (
        "import sys, resource, pathlib, jobs.files;"
        "path = pathlib.Path(sys.argv[1]); size = path.stat().st_size + 10;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
        "jobs.files.append_row(path, {'text': 'y' * 100})"
    )

    done = in_a_child(code, str(path))

    assert "No space left on device" in done.stderr
    assert path.read_text() == "text\nbefore\n"


def test_a_document_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A lone surrogate is a text that UTF-8 cannot hold."""
    path = tmp_path / "document.json"
    write_whole(path, "old")

    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \udc80")

    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["document.json"]


def test_each_host_report_is_one_row_below_one_header(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "host.csv"

    with being(Run()):
        HostReport(path=str(path)).goal()
        result = HostReport(path=str(path)).goal()

    rows = rows_of(path)
    assert len(rows) == 2
    assert rows[1] == {name: str(value) for name, value in result.items()}


def test_a_host_report_tells_of_this_host(tmp_path: Path) -> None:
    with being(Run()):
        result = HostReport(path=str(tmp_path / "host.csv")).goal()

    assert datetime.fromisoformat(result["time"]).utcoffset() == timedelta(0)
    assert result["boot_time"] < result["time"]
    assert result["processes"] >= 1
    assert 0 < result["memory_percent"] <= 100
    assert 0 <= result["disk_percent"] <= 100
    assert json.loads(json.dumps(result)) == result


def test_a_dpkg_log_is_counted_by_day_and_action(tmp_path: Path) -> None:
    log, output = tmp_path / "dpkg.log", tmp_path / "out" / "dpkg.json"
    log.write_text(DPKG)

    with being(Run()):
        result = LogSummary(path=str(log), output=str(output)).goal()

    summary = json.loads(output.read_text())
    assert summary["days"] == {"2026-10-16": 2, "2026-10-17": 2}
    assert summary["words"] == {"status": 2, "startup": 1, "install": 1}
    assert (result["lines"], result["days"]) == (4, 2)
    assert names_in(output.parent) == ["dpkg.json"]


def test_rotated_and_packed_files_belong_to_the_log(tmp_path: Path) -> None:
    """`dpkg.log.old` and `dpkg.logger` do not."""
    for name in ("dpkg.log", "dpkg.log.1", "dpkg.log-20261016"):
        (tmp_path / name).write_text(DPKG)
    for name in ("dpkg.log.2.gz", "dpkg.log-20261015.gz"):
        (tmp_path / name).write_bytes(gzip.compress(DPKG.encode()))
    for name in ("dpkg.log.old", "dpkg.logger"):
        (tmp_path / name).write_text("something else\n")

    with being(Run()):
        result = LogSummary(
            path=str(tmp_path / "dpkg.log"), output=str(tmp_path / "summary.json")
        ).goal()

    assert len(result["files"]) == 5
    assert result["lines"] == 20


def test_bytes_that_are_no_text_cost_no_line(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(
        b"2026-10-16 01:02:03 gr\xfc\xdfe\n\x00\xff\xfe\n\n2026-10-16 end\n"
    )

    with being(Run()):
        result = LogSummary(path=str(log), output=str(tmp_path / "app.json")).goal()

    assert result["lines"] == 4
    assert result["unread"] == {}


def test_a_file_that_is_cut_short_is_reported_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "dpkg.log").write_text(DPKG)
    (tmp_path / "dpkg.log.1.gz").write_bytes(gzip.compress(DPKG.encode())[:-20])

    with being(Run()):
        result = LogSummary(
            path=str(tmp_path / "dpkg.log"), output=str(tmp_path / "summary.json")
        ).goal()

    assert result["lines"] >= 4
    assert list(result["unread"]) == [str(tmp_path / "dpkg.log.1.gz")]
    assert "EOFError" in result["unread"][str(tmp_path / "dpkg.log.1.gz")]


def test_a_log_of_which_nothing_can_be_read_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "dpkg.log.gz").write_bytes(b"this is no gzip file")
    output = tmp_path / "summary.json"
    job = LogSummary(path=str(tmp_path / "dpkg.log.gz"), output=str(output))

    with being(Run()), pytest.raises(OSError, match=r"No line could be read.*BadGzip"):
        job.goal()

    assert not output.exists()


@pytest.mark.parametrize("name", ["missing.log", "no/such/directory/missing.log"])
def test_a_log_that_is_not_there_fails_the_run(tmp_path: Path, name: str) -> None:
    job = LogSummary(path=str(tmp_path / name), output=str(tmp_path / "out.json"))

    with being(Run()), pytest.raises(FileNotFoundError, match="There is no log"):
        job.goal()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-10-16 23:04:01 install pkg:amd64 1 2", ("2026-10-16", "install")),
        ("2026-10-16 23:04:01,123 ERROR app: lost it", ("2026-10-16", "ERROR")),
        ("2026-10-16T23:04:01.5+00:00 web sshd[77]: hi", ("2026-10-16", "sshd")),
        ("Oct  6 23:04:01 web kernel: [12.3] up", ("Oct  6", "kernel")),
        ("2026/10/16 [error] 77#77: no such file", ("undated", "error")),
        ('::1 - - [16/Oct/2026:23:04:01 +0000] "GET / "', ("16/Oct/2026", "GET")),
        ("update-alternatives 2026-10-16 23:04:01: run with", ("2026-10-16", "run")),
        ("just some words", ("undated", "just")),
        ("", ("undated", "-")),
    ],
)
def test_a_line_has_a_day_and_a_subject(line: str, expected: tuple[str, str]) -> None:
    assert subject(line) == expected


def make_shop(path: Path, *, journal: str = "delete", rows: int = 50) -> None:
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.execute(f"PRAGMA journal_mode={journal}")
        shop.execute('CREATE TABLE "odd ""name" (word TEXT)')
        shop.execute('CREATE INDEX words ON "odd ""name" (word)')
        words = [(f"word {number:04}",) for number in range(rows)]
        shop.executemany('INSERT INTO "odd ""name" VALUES (?)', words)


def backup_of(tmp_path: Path, **options: Any) -> DatabaseBackup:
    return DatabaseBackup(str(tmp_path / "shop.db"), str(tmp_path / "safe"), **options)


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_backup_is_a_database_with_the_same_rows(
    tmp_path: Path, journal: str
) -> None:
    """And nothing lies beside it, no -wal, no -shm, no .part."""
    make_shop(tmp_path / "shop.db", journal=journal)

    with being(Run()):
        result = backup_of(tmp_path).goal()

    assert result["rows"] == {'odd "name': 50}
    assert names_in(tmp_path / "safe") == [Path(result["backup"]).name]
    with closing(sqlite3.connect(result["backup"])) as copied:
        last = copied.execute('SELECT max(word) FROM "odd ""name"').fetchone()
    assert last == ("word 0049",)


def test_a_backup_is_made_while_another_connection_writes(tmp_path: Path) -> None:
    """What is not committed is not in it."""
    make_shop(tmp_path / "shop.db", journal="wal")

    with closing(sqlite3.connect(tmp_path / "shop.db")) as writer, being(Run()):
        writer.execute('INSERT INTO "odd ""name" VALUES (\'open\')')
        assert writer.in_transaction
        result = backup_of(tmp_path).goal()
        writer.rollback()

    assert result["rows"] == {'odd "name': 50}


def test_a_backup_that_fails_verification_is_removed(tmp_path: Path) -> None:
    """One letter differs between a table and its index: a decayed sector, say."""
    make_shop(tmp_path / "shop.db")
    page = (tmp_path / "shop.db").read_bytes()
    assert page.count(b"word 0033") == 2
    first = page.index(b"word 0033")
    (tmp_path / "shop.db").write_bytes(
        page[:first] + b"ward 0033" + page[first + len(b"word 0033") :]
    )

    with (
        being(Run()),
        pytest.raises(BackupError, match=r"The copy is damaged: .*words"),
    ):
        backup_of(tmp_path).goal()

    assert names_in(tmp_path / "safe") == []


def test_a_file_that_is_no_database_makes_no_backup(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("this is a letter, and a long one\n" * 100)

    with being(Run()), pytest.raises(sqlite3.DatabaseError, match="not a database"):
        backup_of(tmp_path).goal()

    assert names_in(tmp_path / "safe") == []


def test_a_copy_with_fewer_rows_is_no_backup(tmp_path: Path) -> None:
    make_shop(tmp_path / "shop.db")
    rows = copy(tmp_path / "shop.db", tmp_path / "copy.part")
    with closing(sqlite3.connect(tmp_path / "copy.part")) as copied, copied:
        copied.execute('DELETE FROM "odd ""name" WHERE rowid = 1')

    with pytest.raises(BackupError, match=r"49} rows for {.*50}\. Run the job"):
        verify(tmp_path / "copy.part", rows)


def test_the_newest_backups_are_kept_and_nothing_else_is_touched(
    tmp_path: Path,
) -> None:
    """Of four backups, two stay; so does what another database calls its own.

    The part of a run that was killed goes with the backups of its age.
    """
    make_shop(tmp_path / "shop.db")
    others = [
        "other.db.20200101T000000.000000Z.backup",
        "shop.db.20200101T000000.000000Z.backup.txt",
        "shop.db.backup",
    ]
    old = [
        "shop.db.20200101T000000.000000Z.backup",
        "shop.db.20200102T000000.000000Z.backup.part",
        "shop.db.20200102T000000.000000Z.backup.part-journal",
        "shop.db.20200103T000000.000000Z.backup",
    ]
    (tmp_path / "safe").mkdir()
    for name in others + old:
        (tmp_path / "safe" / name).touch()

    with being(Run()):
        first = backup_of(tmp_path, keep=2).goal()
        second = backup_of(tmp_path, keep=2).goal()

    made = [Path(first["backup"]).name, Path(second["backup"]).name]
    assert first["removed"] == old[:3]
    assert second["removed"] == old[3:]
    assert names_in(tmp_path / "safe") == sorted(others + made)


def test_a_backup_stays_although_the_clock_was_set_back(tmp_path: Path) -> None:
    """Those from the future sort as newer; the one just made is not the victim."""
    make_shop(tmp_path / "shop.db")
    future = [f"shop.db.2999010{day}T000000.000000Z.backup" for day in (1, 2)]
    (tmp_path / "safe").mkdir()
    for name in future:
        (tmp_path / "safe" / name).touch()

    with being(Run()):
        result = backup_of(tmp_path, keep=1).goal()

    assert Path(result["backup"]).exists()
    assert result["removed"] == future[:1]


def test_a_missing_database_is_not_made_by_backing_it_up(tmp_path: Path) -> None:
    with being(Run()), pytest.raises(FileNotFoundError, match="There is no database"):
        backup_of(tmp_path).goal()

    assert not (tmp_path / "shop.db").exists()
    assert names_in(tmp_path / "safe") == []


def test_a_sample_database_is_made_once_and_then_kept(tmp_path: Path) -> None:
    with being(Run()):
        first = backup_of(tmp_path, sample=True).goal()
        made = (tmp_path / "shop.db").stat()
        backup_of(tmp_path, sample=True).goal()

    assert first["rows"] == {"orders": 1000}
    assert (tmp_path / "shop.db").stat() == made
    assert names_in(tmp_path) == ["safe", "shop.db"]


@pytest.mark.parametrize("keep", [0, -1, 2.5, "5"])
def test_a_backup_job_that_keeps_no_backup_is_refused(keep: Any) -> None:
    with pytest.raises(JobError, match="Pass a whole number, 1 or more"):
        DatabaseBackup("shop.db", "safe", keep=keep)


class Answers(BaseHTTPRequestHandler):
    """`/503` is answered with 503, and so on; `/cut` ends before its length."""

    def do_GET(self) -> None:
        cut = self.path == "/cut"
        self.send_response(200 if cut else int(self.path[1:]))
        self.send_header("Content-Length", "1000" if cut else "5")
        self.end_headers()
        self.wfile.write(b"hello")


@pytest.fixture
def site() -> Iterator[str]:
    """Serve one request on loopback."""
    with TCPServer(("127.0.0.1", 0), Answers) as server:
        server.timeout = 10
        thread = Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        thread.join()


def test_a_page_that_answers_is_recorded(tmp_path: Path, site: str) -> None:
    output = tmp_path / "pages" / "checks.csv"

    with being(Run()):
        result = PageCheck(f"{site}/200", output=str(output)).goal()

    assert (result["status"], result["bytes"], result["error"]) == (200, 5, "")
    assert 0 < result["latency_ms"] < 5_000
    assert [row["status"] for row in rows_of(output)] == ["200"]


@pytest.mark.parametrize("status", [400, 404, 503])
def test_a_page_with_an_error_is_recorded_and_then_raised(
    tmp_path: Path, site: str, status: int
) -> None:
    output = tmp_path / "checks.csv"
    job = PageCheck(f"{site}/{status}", output=str(output))

    with being(Run()), pytest.raises(PageError, match=f"status {status}. See "):
        job.goal()

    (row,) = rows_of(output)
    assert (row["status"], row["error"]) == (str(status), f"status {status}")


def test_a_page_that_is_cut_short_counts_as_no_answer(
    tmp_path: Path, site: str
) -> None:
    output = tmp_path / "checks.csv"

    with being(Run()), pytest.raises(PageError, match="ChunkedEncodingError"):
        PageCheck(f"{site}/cut", output=str(output)).goal()

    assert rows_of(output)[0]["status"] == "200"
    assert "ChunkedEncodingError" in rows_of(output)[0]["error"]


def test_a_page_that_refuses_the_connection_is_recorded_and_then_raised(
    tmp_path: Path,
) -> None:
    with TCPServer(("127.0.0.1", 0), Answers) as gone:
        url = f"http://127.0.0.1:{gone.server_address[1]}/"
    output = tmp_path / "checks.csv"

    with being(Run()), pytest.raises(PageError, match="ConnectionError"):
        PageCheck(url, output=str(output)).goal()

    (row,) = rows_of(output)
    assert (row["status"], row["bytes"]) == ("", "0")


def test_a_page_that_says_nothing_is_down_after_the_timeout(tmp_path: Path) -> None:
    """The kernel takes the connection, nobody takes the request: 0.2 seconds."""
    output = tmp_path / "checks.csv"

    with TCPServer(("127.0.0.1", 0), Answers) as mute:
        url = f"http://127.0.0.1:{mute.server_address[1]}/"
        with being(Run()), pytest.raises(PageError, match="ReadTimeout"):
            PageCheck(url, output=str(output), timeout=0.2).goal()

    assert 200 <= float(rows_of(output)[0]["latency_ms"]) < 5_000


@pytest.mark.parametrize("url", ["nonsense", "http://a..b/", "http://[::1"])
def test_an_address_that_is_none_is_recorded_and_then_raised(
    tmp_path: Path, url: str
) -> None:
    output = tmp_path / "checks.csv"

    with being(Run()), pytest.raises(PageError):
        PageCheck(url, output=str(output)).goal()

    assert rows_of(output)[0]["url"] == url


def test_the_self_test_needs_no_network_and_no_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Port 9 of loopback (discard) answers nobody, should the proxy be asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)

    with being(Run()):
        result = PageCheck(output=str(tmp_path / "checks.csv"), self_test=True).goal()

    assert (result["status"], result["bytes"]) == (200, 54)


@pytest.mark.parametrize("wrong", [{}, {"url": "http://x/", "self_test": True}])
def test_a_page_check_without_one_page_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(JobError, match="Pass either a url or self_test: true"):
        PageCheck(output="checks.csv", **wrong)


def test_a_page_check_without_time_is_refused() -> None:
    with pytest.raises(JobError, match="Pass a number of seconds above 0"):
        PageCheck("http://x/", output="checks.csv", timeout=0)


@pytest.mark.parametrize(
    ("limit", "primes"),
    [(2, 1), (3, 2), (4, 2), (100, 25), (262_145, 23_000), (1_000_000, 78_498)],
)
def test_the_primes_are_counted_up_to_the_limit(limit: int, primes: int) -> None:
    """262,145 is the last number of the first segment; OEIS A000720, A007053."""
    with being(Run()):
        result = PrimeCount(limit).goal()

    assert result == {"primes": primes, "up_to": limit, "complete": True}


def test_the_count_says_how_far_it_is_after_each_segment() -> None:
    with being(Run()) as run:
        PrimeCount(600_000).goal()

    told = [word for word in run.told if word["kind"] == "progress"]
    assert [word["done"] for word in told] == [262_145, 524_289, 600_000]
    assert {word["total"] for word in told} == {600_000}


def test_a_count_that_is_asked_to_stop_returns_what_it_has() -> None:
    """Asked during the second of eight segments."""
    with being(Run(stop_after=2)):
        result = PrimeCount(2_000_000).goal()

    assert result == {"primes": 43_390, "up_to": 524_289, "complete": False}


@pytest.mark.parametrize("limit", [1, 0, -5, 1e6, "many"])
def test_a_limit_below_the_first_prime_is_refused(limit: Any) -> None:
    with pytest.raises(JobError, match="Pass a whole number, 2 or more"):
        PrimeCount(limit)


def test_a_segfault_ends_its_process_by_sigsegv() -> None:
    """No exception is raised, and nothing after it is run."""
    code = (
        "from jobs.segfault import Segfault\n"
        "try:\n    Segfault().goal()\n"
        "finally:\n    print('survived')\n"
    )

    done = in_a_child(code)

    assert done.returncode == -signal.SIGSEGV == -11
    assert "survived" not in done.stdout
