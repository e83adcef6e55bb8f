"""The agent that posts each record to a web address.

A record is sent until the other side has taken it or refused it for good.  The
key in its header stays the same from try to try, so a receiver that stored the
record before the line broke can drop the copy.

`requests` is imported with the first record.  Its habits hold: a proxy from the
environment is used unless NO_PROXY names the host.  Certificates are verified,
and a redirect is not followed, for it could send the trail anywhere.

Imports: errors, agent; requests on first use.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from procsched.audit.agent import AuditAgent
from procsched.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest, Response, Session

    from procsched.core.trail import Trail

FIRST_PAUSE: Final = timedelta(seconds=0.5)
"""Longest pause before the second try; it doubles with every further one."""

LONGEST_PAUSE: Final = timedelta(seconds=60)
"""Between two tries, whatever Retry-After says: the queue behind it is bounded."""

TRANSIENT: Final = frozenset({408, 425, 429})
"""Client errors that say "later": timeout, too early, too many (RFC 9110, 6585)."""

BODY_BYTES: Final = 65536
"""Of an answer that is read to keep the connection; a longer one closes it."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    problem: str
    remedy: str
    is_final: bool = False
    pause: timedelta | None = None


class HttpAgent(AuditAgent):
    """Posts each record as JSON; custom values as they are.

    Args:
        url: Where to; http or https.
        timeout: In seconds, for the connection and for each wait for an answer.
        headers: Sent along with each record.
        token: Sent as a bearer token; shown nowhere.
        attempts: Tries for one record, the first included.

    Raises:
        AuditError: If the URL, the token or a number makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        attempts: int = 4,
    ) -> None:
        self._shown_url = _shown(url)
        _refuse_senseless(self._shown_url, timeout, attempts, token)
        self._url = url
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._token = token
        self._attempts = attempts
        self._closed = Event()
        self._session: Session | None = None
        self._pid = 0

    def capture(self, trail: Trail) -> None:
        """Post the record.

        Raises:
            AuditError: If it was refused, or every try failed.
        """
        has_place = trail.run_id is not None and trail.number is not None
        key = f"{trail.run_id}:{trail.number}" if has_place else None
        self._post(trail.to_json(), key)

    def capture_custom(self, obj: Any) -> None:
        """Post the value.

        Raises:
            AuditError: If it was refused, or every try failed.
        """
        self._post(obj, None)

    def close(self) -> None:
        """End a wait between two tries and close the connections."""
        self._closed.set()
        if self._session is not None and self._pid == os.getpid():
            self._session.close()

    def _post(self, body: Any, key: str | None) -> None:
        data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "Idempotency-Key": key or os.urandom(16).hex(),
        }
        attempt = 1
        while (refusal := self._try(data, headers)) is not None:
            if refusal.is_final or attempt == self._attempts:
                raise self._failure(attempt, refusal)
            if self._closed.wait(_pause(attempt, refusal).total_seconds()):
                raise self._failure(attempt, refusal)
            attempt += 1

    def _failure(self, attempt: int, refusal: _Refusal) -> AuditError:
        tries = "once" if attempt == 1 else f"{attempt} times"
        return AuditError(
            f"{self._shown_url}, tried {tries}, {refusal.problem}",
            remedy=refusal.remedy,
        )

    def _try(self, data: bytes, headers: Mapping[str, str]) -> _Refusal | None:
        """Send it once; return why it was not taken."""
        from requests import RequestException

        try:
            with self._own_session().post(
                self._url,
                data=data,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                length = response.headers.get("Content-Length", "")
                if length.isdecimal() and int(length) <= BODY_BYTES:
                    # Read to its end, a connection can be used again.
                    _ = response.content
                return _judged(response)
        except RequestException as fault:
            return _Refusal(
                f"did not answer: {_reason(fault)}",
                "Check that the service runs and can be reached from this host",
            )

    def _own_session(self) -> Session:
        # A forked child must not talk on its parent's connections.
        if self._session is None or self._pid != os.getpid():
            from requests import Session

            self._session = Session()
            self._pid = os.getpid()
            if self._token is not None:
                # As a header alone it would give way to ~/.netrc.
                self._session.auth = _bearer(self._token)
        return self._session


def _bearer(token: str) -> Callable[[PreparedRequest], PreparedRequest]:
    def with_token(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return with_token


def _judged(response: Response) -> _Refusal | None:
    status = response.status_code
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of RFC 9110, 15
        return None
    if 300 <= status < 400:  # noqa: PLR2004
        place = _without_secrets(response.headers.get("Location", "nowhere"))
        return _Refusal(
            f"answered {status} and points to {place}",
            "Configure that address if you trust it; redirects are not followed",
            is_final=True,
        )
    problem = f"answered {status} {response.reason or ''}".rstrip()
    if status in TRANSIENT or status >= 500:  # noqa: PLR2004
        remedy = "Look into the log of that service; records go on being offered to it"
        pause = _retry_after(response.headers.get("Retry-After"))
        return _Refusal(problem, remedy, pause=pause)
    remedy = "Check the URL, the token and what the service expects"
    return _Refusal(problem, remedy, is_final=True)


def _retry_after(value: str | None) -> timedelta | None:
    """Return the pause that was asked for, in seconds or until a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = int(value.strip()[:9])
        return timedelta(seconds=seconds)
    from email.utils import parsedate_to_datetime

    try:
        date: datetime = parsedate_to_datetime(value)
        return date - datetime.now(UTC)
    except (ValueError, TypeError):
        # Neither, or a date without a zone: as if it were not there.
        return None


def _pause(attempt: int, refusal: _Refusal) -> timedelta:
    """Return how long to wait: as asked, else a random part of a doubling span.

    Full jitter keeps the clients of a service that comes back from arriving all
    at once (AWS Architecture Blog, Exponential Backoff And Jitter, 2015).
    """
    if refusal.pause is not None:
        return min(max(refusal.pause, timedelta(0)), LONGEST_PAUSE)
    span = min(FIRST_PAUSE * (1 << min(attempt - 1, 16)), LONGEST_PAUSE)
    return span * random.random()  # noqa: S311 - jitter is no secret


def _reason(fault: Exception) -> str:
    """Return what went wrong without the URL, whose query may hold a secret."""
    inner = getattr(fault.args[0] if fault.args else None, "reason", None)
    return type(fault).__name__ if inner is None else str(inner)


def _refuse_senseless(
    url: str, timeout: float, attempts: int, token: str | None
) -> None:
    if timeout <= 0 or attempts < 1:
        raise AuditError(
            f"HttpAgent for {url} was given timeout={timeout}, attempts={attempts}",
            remedy="Pass seconds above 0 and at least one attempt",
        )
    if token is not None and (not token.isascii() or not token.isprintable()):
        raise AuditError(
            f"The token of HttpAgent for {url} holds what a header cannot",
            remedy="Pass it without the line end of the file it was read from",
        )


def _shown(url: object) -> str:
    """Return the URL for messages.

    Raises:
        AuditError: If it is none.
    """
    shown = _without_secrets(url) if isinstance(url, str) else repr(url)
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        # Reading a port that is none raises.
        usable = usable and parts.port != 0
    except ValueError:
        usable = False
    if not usable or (isinstance(url, str) and set(url) & set(" \t\r\n")):
        raise AuditError(
            f"HttpAgent cannot post to {shown}",
            remedy="Pass a whole URL, such as 'https://audit.example.org/records'",
        )
    return shown


def _without_secrets(url: str) -> str:
    """Return the URL without user, password, query and fragment."""
    bare = url.partition("?")[0].partition("#")[0]
    scheme, separator, rest = bare.partition("//")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
