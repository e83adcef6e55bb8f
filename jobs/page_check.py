"""Does the page answer, and how fast?

Fetches a page and appends status and latency to a CSV file.

The lesson: record first, then fail.  The row of a bad check is the one that
will be looked for, and the exception makes the run itself count as failed.

Imports: procsched, jobs.files; requests and http.server in the run.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from jobs.files import append_row
from procsched import Job
from procsched.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES: Final = 64 * 1024
BAD_REQUEST: Final = 400
"""The first status that says it went wrong (RFC 9110, section 15)."""

PAGE: Final = b"<!doctype html><title>procsched</title><p>It answers.\n"


class PageError(Exception):
    """A page that did not answer, or answered with an error."""


class PageCheck(Job):
    """One GET of a page: time, status, latency, bytes.

    Args:
        url: The page; None with `self_test`. It is recorded and audited as it
            is, so a password has no place in it.
        output: The CSV file.
        timeout: Seconds without a byte after which the page counts as down. A
            page that trickles is ended by the schedule's wall limit.
        self_test: Whether the job serves a page itself, on loopback, and checks
            that one: the whole way without a network.

    Raises:
        JobError: If there is not exactly one page, or the timeout is no time.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        output: str,
        timeout: float = 5,
        self_test: bool = False,
    ) -> None:
        if (url is None) is not self_test:
            raise JobError(
                f"page-check has url={url!r} and self_test={self_test!r}",
                remedy="Pass either a url or self_test: true",
            )
        if not timeout > 0:
            raise JobError(
                f"page-check has timeout={timeout!r}, which no page can meet",
                remedy="Pass a number of seconds above 0",
            )
        self.url = url
        self.output = Path(output)
        self.timeout = timeout
        self.self_test = self_test

    def name(self) -> str:
        """Return the job's identifier."""
        return "page-check"

    def goal(self) -> dict[str, Any]:
        """Fetch, record, judge.

        Returns:
            The row: the time in UTC, the latency to the last byte in ms.

        Raises:
            PageError: If there was no answer, or its status is 400 or above.
        """
        from procsched import Auditor

        page = own_page(self.timeout) if self.url is None else nullcontext(self.url)
        with page as url:
            row = self._fetch(url)
        append_row(self.output, row)
        Auditor.audit_params(self.name(), "failed" if row["error"] else "success", row)
        if row["error"]:
            raise PageError(f"{url}: {row['error']}. See {self.output} for since when.")
        return row

    def _fetch(self, url: str) -> dict[str, Any]:
        import requests

        status, size, error = None, 0, ""
        time, start = datetime.now(UTC), perf_counter()
        with requests.Session() as session:
            # A proxy from the environment cannot reach this host's loopback.
            session.trust_env = not self.self_test
            try:
                with session.get(url, timeout=self.timeout, stream=True) as answer:
                    status = answer.status_code
                    # Counted and let go: the page may be larger than our memory.
                    size = sum(len(piece) for piece in answer.iter_content(CHUNK_BYTES))
                    error = f"status {status}" if status >= BAD_REQUEST else ""
            # ValueError, because what urllib3 says of a host like "a..b" slips
            # through requests as it is.
            except (requests.RequestException, ValueError) as fault:
                error = f"{type(fault).__name__}: {fault}"
        return {
            "time": time.isoformat(timespec="seconds"),
            "url": url,
            "status": status,
            "latency_ms": round((perf_counter() - start) * 1000, 1),
            "bytes": size,
            "error": error,
        }


@contextmanager
def own_page(seconds: float) -> Iterator[str]:
    """Serve a page on loopback, for one request; yields its address.

    Args:
        seconds: How long the request may take to come.
    """
    from http.server import BaseHTTPRequestHandler
    from socketserver import TCPServer
    from threading import Thread

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

    # Not HTTPServer, which asks the resolver for its own name: seconds where
    # there is no network.
    with TCPServer(("127.0.0.1", 0), Page) as server:
        server.timeout = seconds
        thread = Thread(target=server.handle_request, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        thread.join(seconds)
