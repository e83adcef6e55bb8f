"""The environment of a run, set in its process, and the variables that name it.

Imports: workers.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from procsched.workers import preload
from procsched.workers.environment import build_environment

if TYPE_CHECKING:
    from procsched.workers.channel import Frame

_host: dict[str, str] = {}
"""The scheduler's own environment, of which a run gets a part."""


def settle_environment(spec: Frame) -> None:
    """Make the environment what this run's shall be, and no more."""
    wanted: dict[str, str | None] = {
        **build_environment(_host, spec["limits"]),
        # Had its modules been imported here, they would have come last.
        **preload.imported_environment(),
        **_variables(spec),
    }
    now = dict(os.environ)
    for name in {*now, *wanted}:
        value = wanted.get(name)
        if value is None:
            os.environ.pop(name, None)
        elif now.get(name) != value:
            os.environ[name] = value


def _variables(spec: Frame) -> dict[str, str]:
    return {
        "PROCSCHED_RUN_ID": spec["run_id"],
        "PROCSCHED_JOB": spec["job"],
        "PROCSCHED_NOMINAL_TIME": spec["nominal_time"],
        "PROCSCHED_ATTEMPT": str(spec["attempt"]),
    }


def remember_host() -> None:
    """Take what this process has now for the scheduler's own environment."""
    _host.update(os.environ)
