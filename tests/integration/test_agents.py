"""The agents that ship: real streams, real files, a real web server."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING, Any

import pytest

from procsched.audit import http
from procsched.audit.agents import AuditAgent, ConsoleAgent, FileAgent, HttpAgent
from procsched.audit.central import CentralAuditor
from procsched.audit.record import Record
from procsched.core.trail import Trail
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2025, 3, 1, 12, 0, 0, 250_000, UTC)
SECRET = "hunter2-canary"  # noqa: S105
LIMIT = 30.0


def trail(operation: str = "transfer", comments: Any = "", **stamps: Any) -> Trail:
    known = {"time": NOON, "job": "nightly", "run_id": "a1b2c3-7", "pid": 4242}
    return Trail(operation, "success", comments).accepted(**(known | stamps))


def refused(*arguments: Any, **options: Any) -> str:
    agent, *rest = arguments
    with pytest.raises(AuditError) as caught:
        agent(*rest, **options)
    return str(caught.value)


# The base class.


def test_an_agent_that_knows_only_trails_gets_custom_values_as_trails() -> None:
    class Plain(AuditAgent):
        def capture(self, trail: Trail) -> None:
            seen.append(trail)

    seen: list[Trail] = []
    origin = trail("custom", number=3)
    Plain().deliver(Record(origin, is_custom=True, value={"a": 1}))
    Plain().capture_custom([2])
    Plain().close()

    assert seen[0] == trail("custom", {"a": 1}, number=3)
    assert (seen[1].operation, seen[1].comments) == ("custom", [2])


# The console.


@pytest.fixture
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lines(*trails: Trail, **options: Any) -> list[str]:
    stream = io.StringIO()
    agent = ConsoleAgent(stream, **options)
    for each in trails:
        agent.capture(each)
    return stream.getvalue().splitlines()


@pytest.mark.usefixtures("_utc")
def test_a_line_has_time_job_operation_status_comments_and_origin() -> None:
    assert lines(trail("transfer", {"rows": 12, "to": "a b", "in": [1]}, number=3)) == [
        (
            "2025-03-01T12:00:00.250+00:00  nightly   transfer      success  "
            'rows=12 to="a b" in=[1]  [run a1b2c3-7 #3 pid 4242]'
        )
    ]


@pytest.mark.usefixtures("_utc")
def test_columns_stay_where_the_widest_word_has_put_them() -> None:
    shown = lines(
        trail("a-rather-long-operation"),
        trail("short", job=None, time=None, run_id=None, pid=None, comments="end"),
    )

    assert shown[0].index("success") == shown[1].index("success") + 17
    assert shown[1] == ("--:--:--.---  -         short                    success  end")


@pytest.mark.parametrize(
    "attack",
    ["\x1b[2J", "a\nfake line", "\r", "\x9b31m", "\x7f", "\u202egnp", "\u2028", "\0"],
)
@pytest.mark.parametrize("json_lines", [False, True])
def test_nothing_in_a_record_controls_the_terminal(
    attack: str, *, json_lines: bool
) -> None:
    everywhere = trail(
        f"op{attack}", {f"key{attack}": attack}, job=f"j{attack}", run_id=f"r{attack}"
    )
    plain = trail(f"op{attack}", f"text {attack}")

    stream = io.StringIO()
    agent = ConsoleAgent(stream, json_lines=json_lines)
    agent.capture(everywhere)
    agent.capture(plain)

    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().replace("\n", "").isprintable()
    assert attack not in stream.getvalue()


def test_a_json_line_is_the_whole_record() -> None:
    said = trail("transfer", {"text": "caf\u00e9\n" * 3000}, number=1)

    (line,) = lines(said, json_lines=True)

    assert Trail.from_json(json.loads(line)) == said


def test_long_comments_are_cut_on_a_line_for_people() -> None:
    (line,) = lines(trail("transfer", "x" * 5000))

    assert "x [... 3000 characters more]  [run" in line


def test_the_stream_is_what_stdout_is_at_that_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = ConsoleAgent()
    agent.capture(trail("one"))
    assert "one" in capsys.readouterr().out

    other = io.StringIO()
    monkeypatch.setattr("sys.stdout", other)
    agent.capture(trail("two"))
    assert "two" in other.getvalue()

    monkeypatch.setattr("sys.stdout", None)
    agent.capture(trail("three"))


def test_a_stream_that_knows_only_ascii_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    ConsoleAgent(stream).capture(trail("transfer", "caf\u00e9 \U0001f600"))

    assert b"caf\\xe9 \\U0001f600" in raw.getvalue()


def test_a_closed_stdout_raises_into_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    stream.close()
    central = CentralAuditor({"console": ConsoleAgent(stream)})

    central.record(trail())

    assert central.flush(LIMIT)
    (health,) = central.agents()
    assert health.last_error == "ValueError: I/O operation on closed file."
    assert len(caplog.messages) == 1
    central.close()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_colours_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, no_color: str, *, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    keyboard, screen = pty.openpty()
    with open(screen, "w", encoding="utf-8") as stream:  # noqa: PTH123
        agent = ConsoleAgent(stream)
        agent.capture(trail())
        agent.capture(Trail("run.ended", "crashed").accepted(time=NOON))
        agent.capture(Trail("run.ended", "started").accepted(time=NOON))
        # A terminal hands over what it has, which need not be all that was written.
        shown = ""
        while shown.count("\n") < 3:
            shown += os.read(keyboard, 10_000).decode()
    os.close(keyboard)

    assert ("\x1b[32msuccess\x1b[0m" in shown) is coloured
    assert ("\x1b[31mcrashed\x1b[0m" in shown) is coloured
    assert ("\x1b" in shown) is coloured
    assert re.match(r"\d\d:\d\d:\d\d\.250  nightly", shown)


# The file.


def told(path: Path) -> list[Any]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def test_a_file_gets_one_json_line_a_record_at_once(tmp_path: Path) -> None:
    path = tmp_path / "made" / "for it" / "audit.jsonl"
    agent = FileAgent(path)
    agent.capture(trail("one", "caf\u00e9\n\u2028", number=1))
    agent.capture_custom(["as", {"it": "is"}])

    first, second = told(path)

    assert Trail.from_json(first) == trail("one", "caf\u00e9\n\u2028", number=1)
    assert second == ["as", {"it": "is"}]
    assert "caf\u00e9" in path.read_text("utf-8")
    assert len(path.read_text("utf-8").splitlines()) == 2
    agent.close()


def test_a_file_is_added_to_and_a_torn_line_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"whole": 1}\n{"torn": ')

    agent = FileAgent(path)
    agent.capture_custom({"next": 2})

    assert path.read_text() == '{"whole": 1}\n{"torn": \n{"next":2}\n'
    agent.close()


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    agent = FileAgent(path)
    agent.capture_custom(1)
    path.rename(tmp_path / "moved")
    agent.capture_custom(2)
    path.unlink()
    path.write_text("0\n")
    agent.capture_custom(3)

    assert told(tmp_path / "moved") == [1]
    assert told(path) == [0, 3]
    agent.close()
    agent.capture_custom(4)
    assert told(path) == [0, 3, 4]
    agent.close()


def test_a_file_is_rotated_by_size_and_as_many_kept_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    agent = FileAgent(path, max_bytes=10, keep=2)
    for number in range(10, 27):
        agent.capture_custom(number)

    assert told(path) == [25, 26]
    assert told(tmp_path / "audit.jsonl.1") == [22, 23, 24]
    assert told(tmp_path / "audit.jsonl.2") == [19, 20, 21]
    assert len(list(tmp_path.iterdir())) == 3
    agent.close()


def test_with_none_to_keep_the_old_file_goes(tmp_path: Path) -> None:
    agent = FileAgent(tmp_path / "a", max_bytes=10, keep=0)
    for number in range(10, 15):
        agent.capture_custom(number)
    agent.capture_custom("longer than the whole file may be")

    assert told(tmp_path / "a") == ["longer than the whole file may be"]
    assert len(list(tmp_path.iterdir())) == 1
    agent.close()


def test_a_full_disk_is_a_failure_of_the_agent() -> None:
    agent = FileAgent("/dev/full")

    with pytest.raises(OSError, match="No space left on device"):
        agent.capture(trail())

    agent.close()


SHORT_WRITE = """
import resource, sys
from procsched import FileAgent
agent = FileAgent(sys.argv[1])
endless = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20, endless[1]))
try:
    agent.capture_custom("x" * 50)
except OSError as fault:
    print(fault)
resource.setrlimit(resource.RLIMIT_FSIZE, endless)
agent.capture_custom("next")
"""


def test_after_a_short_write_the_next_record_has_a_line_of_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.jsonl"
    command = [sys.executable, "-c", SHORT_WRITE, str(path)]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "only 20 of 53 bytes fit on the disk\n"
    assert path.read_text() == '"' + "x" * 19 + '\n"next"\n'


def test_files_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert refused(FileAgent, tmp_path) == (
        f"The audit file {tmp_path} cannot be written: Is a directory. "
        "Choose a file in a directory that this user may write to."
    )
    assert "cannot be written: " in refused(FileAgent, tmp_path / "file" / "below")
    assert refused(FileAgent, tmp_path / "a", max_bytes=0) == (
        "FileAgent was given max_bytes=0. "
        "Pass the size in bytes at which to begin a new file, or None."
    )
    assert refused(FileAgent, tmp_path / "a", keep=-1) == (
        "FileAgent was given keep=-1. Pass the number of old files to keep, 0 for none."
    )


# The web.


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Service:
    """Answers as it is told, then 200; remembers what it was asked."""

    url: str = ""
    answers: deque[tuple[int, dict[str, str]]] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    asked: Event = field(default_factory=Event)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    known = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, dict(self.headers), json.loads(data))
            known.requests.append(request)
            known.asked.set()
            status, headers = known.answers.popleft() if known.answers else (200, {})
            if status == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}/audit"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", timedelta(milliseconds=1))


def test_a_record_is_posted_as_json_with_a_key_of_its_place(service: Service) -> None:
    agent = HttpAgent(service.url, token=SECRET, headers={"X-Host": "batch-3"})
    agent.capture(trail("one", {"caf\u00e9": 1}, number=3))
    agent.capture_custom(["as", {"it": "is"}])
    agent.close()

    first, second = service.requests
    assert first.body == trail("one", {"caf\u00e9": 1}, number=3).to_json()
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Idempotency-Key"] == "a1b2c3-7:3"
    assert first.headers["Authorization"] == f"Bearer {SECRET}"
    assert first.headers["X-Host"] == "batch-3"
    assert second.body == ["as", {"it": "is"}]
    assert len(second.headers["Idempotency-Key"]) == 32


@pytest.mark.usefixtures("_no_pause")
def test_what_may_pass_is_tried_again_with_the_same_key(service: Service) -> None:
    """A broken connection, 500 and 429; the fourth try succeeds."""
    service.answers += [(0, {}), (500, {}), (429, {"Retry-After": "0"})]
    agent = HttpAgent(service.url)

    agent.capture(trail("one"))
    agent.capture(trail("two"))
    agent.close()

    keys = [request.headers["Idempotency-Key"] for request in service.requests]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 2
    assert {request.body["operation"] for request in service.requests[:4]} == {"one"}


@pytest.mark.usefixtures("_no_pause")
def test_after_the_last_try_the_failure_names_answer_and_remedy(
    service: Service,
) -> None:
    service.answers += [(503, {})] * 3
    agent = HttpAgent(f"{service.url}?token={SECRET}", attempts=3)

    assert refused(agent.capture, trail()) == (
        f"{service.url}, tried 3 times, answered 503 Service Unavailable. "
        "Look into the log of that service; records go on being offered to it."
    )
    assert len(service.requests) == 3
    agent.close()


def test_a_client_error_is_not_tried_again(service: Service) -> None:
    service.answers.append((401, {}))
    agent = HttpAgent(service.url)

    assert refused(agent.capture, trail()) == (
        f"{service.url}, tried once, answered 401 Unauthorized. "
        "Check the URL, the token and what the service expects."
    )
    assert len(service.requests) == 1
    agent.close()


def test_a_redirect_is_not_followed_and_says_where_to(service: Service) -> None:
    place = f"{service.url}/elsewhere?token={SECRET}"
    service.answers.append((307, {"Location": place}))
    agent = HttpAgent(service.url, token=SECRET)

    assert refused(agent.capture, trail()) == (
        f"{service.url}, tried once, answered 307 and points to "
        f"{service.url}/elsewhere. "
        "Configure that address if you trust it; redirects are not followed."
    )
    assert len(service.requests) == 1
    agent.close()


@pytest.mark.usefixtures("_no_pause")
def test_a_port_where_nobody_listens_is_named_without_secrets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    agent = HttpAgent(f"http://user:{SECRET}@127.0.0.1:{port}/a?key={SECRET}")

    message = refused(agent.capture, trail())

    assert message.startswith(
        f"http://127.0.0.1:{port}/a, tried 4 times, did not answer:"
    )
    assert "Connection refused" in message
    assert SECRET not in message
    agent.close()


def test_closing_ends_a_pause_between_two_tries(service: Service) -> None:
    """The service asks for a minute; the agent is removed at once."""
    service.answers.append((503, {"Retry-After": "60"}))
    central = CentralAuditor({"http": HttpAgent(service.url)})
    central.record(trail())
    assert service.asked.wait(LIMIT)

    central.remove_agent("http", timeout=0.1)

    assert len(service.requests) == 1
    assert "procsched-audit-http" not in [thread.name for thread in enumerate_threads()]
    central.close()


def test_pauses_are_a_random_part_of_a_doubling_span_of_at_most_a_minute() -> None:
    transient = http._Refusal("problem", "remedy")
    for attempt, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (30, 60.0)):
        pauses = [http._pause(attempt, transient).total_seconds() for _ in range(300)]
        assert 0 <= min(pauses) < longest / 4
        assert longest * 3 / 4 < max(pauses) <= longest


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("0", 0, 0), ("7", 7, 7), ("3600", 60, 60), ("9" * 400, 60, 60)],
)
def test_a_pause_is_as_asked_and_at_most_a_minute(
    value: str, least: float, most: float
) -> None:
    refusal = http._Refusal("problem", "remedy", pause=http._retry_after(value))

    assert least <= http._pause(1, refusal).total_seconds() <= most


def test_a_pause_may_be_asked_for_as_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    refusal = http._Refusal("problem", "remedy", pause=http._retry_after(soon))

    assert 25 <= http._pause(1, refusal).total_seconds() <= 30
    past = http._retry_after("Sat, 01 Mar 2025 12:00:00 GMT")
    refusal = http._Refusal("problem", "remedy", pause=past)
    assert http._pause(1, refusal) == timedelta(0)
    assert http._retry_after("tomorrow") is None
    assert http._retry_after("Sat, 01 Mar 2025 12:00:00") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("audit.example.org", "audit.example.org"),
        ("ftp://example.org/a", "ftp://example.org/a"),
        ("https://", "https://"),
        ("https://example.org:port/a", "https://example.org:port/a"),
        ("https://example.org:0/a", "https://example.org:0/a"),
        ("https://ex ample.org/a", "https://ex ample.org/a"),
        (f"gopher://me:{SECRET}@example.org/?t={SECRET}", "gopher://example.org/"),
        (None, "None"),
    ],
)
def test_a_url_that_cannot_be_posted_to_is_refused(url: Any, shown: str) -> None:
    assert refused(HttpAgent, url) == (
        f"HttpAgent cannot post to {shown}. "
        "Pass a whole URL, such as 'https://audit.example.org/records'."
    )


def test_numbers_and_tokens_that_make_no_sense_are_refused() -> None:
    url = "https://example.org/a"

    assert refused(HttpAgent, url, timeout=0) == (
        "HttpAgent for https://example.org/a was given timeout=0, attempts=4. "
        "Pass seconds above 0 and at least one attempt."
    )
    assert "attempts=0" in refused(HttpAgent, url, attempts=0)
    message = refused(HttpAgent, url, token=f"{SECRET}\n")
    assert message == (
        "The token of HttpAgent for https://example.org/a holds what a header cannot. "
        "Pass it without the line end of the file it was read from."
    )
