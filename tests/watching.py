"""Waiting for what a scheduler does: by its trail, with a limit, never by time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any, Final

from procsched import AuditAgent, Sc, ScheduleConfig, Trail
from procsched.config.settings import AuditSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).absolute().parents[1]

LIMIT: Final = 15.0
"""Seconds any wait may take before the test has failed."""

HOURLY: Final = ScheduleConfig(every=1, time_unit=Sc.HOURS)
"""Fires in no test by itself; `trigger` does."""

SECONDLY: Final = ScheduleConfig(time_unit=Sc.SECOND)


def settings(**said: Any) -> Settings:
    """Return settings that print nothing."""
    return Settings(
        source="a test",
        environment="TEST",
        **{
            "schedule": HOURLY,
            "echo_output": False,
            "audit": AuditSettings(console=False),
            "max_parallel": 4,
            **said,
        },
    )


class Watcher(AuditAgent):
    """Remembers the trail, and waits for what it is to say."""

    def __init__(self) -> None:
        self.trails: list[Trail] = []
        self._changed = Condition()

    def capture(self, trail: Trail) -> None:
        with self._changed:
            self.trails.append(trail)
            self._changed.notify_all()

    def find(self, operation: str, job: str | None = None) -> list[Trail]:
        """Return the records of an operation, those of one job or of all."""
        return [
            each
            for each in self.trails
            if each.operation == operation and job in (None, each.job)
        ]

    def until(self, operation: str, job: str | None = None, times: int = 1) -> Trail:
        """Wait for a record, or for so many, and return the last."""

        def seen() -> bool:
            return len(self.find(operation, job)) >= times

        with self._changed:
            assert self._changed.wait_for(seen, LIMIT), (
                f"no {operation!r} of {job!r} in {LIMIT} s: {self.trails}"
            )
            return self.find(operation, job)[times - 1]

    def until_true(self, claim: Callable[[Watcher], bool]) -> None:
        """Wait until the records make the claim true."""
        with self._changed:
            assert self._changed.wait_for(lambda: claim(self), LIMIT)


def start_script(text: str, directory: Path, **said: Any) -> subprocess.Popen[str]:
    """Start a program of its own from its text; warnings are errors there too."""
    script = directory / "script.py"
    script.write_text(text)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    environment.pop("PROCSCHED_CONFIG", None)
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", str(script)],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **said,
    )


def run_script(text: str, directory: Path) -> str:
    """Run a program to its end; return what it printed.

    Raises:
        AssertionError: If it failed, or wrote to its standard error.
    """
    with start_script(text, directory) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err + out
    assert not err, err
    return out


def read_until(process: subprocess.Popen[str], *words: str) -> str:
    """Read lines of a program's output until one holds all the words."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if all(word in line for word in words):
            return line
    assert process.stderr is not None
    message = f"ended without {words}: {''.join(seen)}{process.stderr.read()}"
    raise AssertionError(message)
