"""The variables of a run: built from a list of safe ones, not inherited.

A scheduler is started by hand, by systemd, by a web server; a job that works
under one must work under all, and secrets of the host are not its to read.

Imports: workers.identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from procsched.workers.identity import look_up

if TYPE_CHECKING:
    from collections.abc import Mapping

SAFE: Final = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "REQUESTS_CA_BUNDLE",
        *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    }
)
"""Where programs, modules, libraries and certificates are, who and where one is."""

SAFE_PREFIXES: Final = ("LC_", "PYTHON", "SSL_CERT_", "XDG_")
"""Locale, interpreter, certificates, directories of a session."""

_OF_THE_SCHEDULERS_USER: Final = ("XDG_",)
"""Prefixes that another user has no use for, nor a right to."""

ALL: Final = "*"


def build_environment(
    host: Mapping[str, str], limits: Mapping[str, Any]
) -> dict[str, str]:
    """Return the variables of a run, without those by which it is told what it is.

    Args:
        host: The scheduler's own.
        limits: Those of its start frame; `env` outweighs all, and a `user`'s home
            outweighs the scheduler's.

    Raises:
        LimitRefused: If they name a user that this host does not have.
    """
    asked = frozenset(limits.get("pass_env") or ())
    if ALL in asked:
        found = dict(host)
    else:
        found = {
            name: value
            for name, value in host.items()
            if name in SAFE or name.startswith(SAFE_PREFIXES) or name in asked
        }
    if limits.get("private_tmp") and "TMPDIR" not in asked:
        # Its own /tmp is where its files shall go.
        found.pop("TMPDIR", None)
    if limits.get("user") is not None:
        found = {
            name: value
            for name, value in found.items()
            if name in asked or not name.startswith(_OF_THE_SCHEDULERS_USER)
        }
        found |= look_up(limits).variables
    return {**found, **(limits.get("env") or {})}
