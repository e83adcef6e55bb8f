"""What is wrong in a file: where, what, which rule, and what to do about it.

A person who corrects a file wants to hear of all its faults, so a fault is a
value that is collected, and the error of a file is made of its faults.

Imports: errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final, Self

from procsched.errors import ConfigError

VALUE_WIDTH: Final = 60
"""Characters of a value in a message."""

KeyPath = tuple[str | int, ...]
"""Keys and indexes from the top of a file to a value."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a file: where, what, which rule, and what to do."""

    file: str
    line: int
    column: int
    key: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        """Return the one line that editors can jump to."""
        return (
            f"{self.file}:{self.line}:{self.column}: {self.key}: {self.value}: "
            f"{self.rule}. {self.remedy}."
        )


class FaultyFileError(ConfigError):
    """A file with faults: one line for each, in the order of the file."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(
            "\n".join(str(each) for each in faults), remedy=faults[0].remedy
        )
        self.faults = faults

    def __str__(self) -> str:
        """Return the faults and nothing else."""
        return self.problem

    # Not the base's: this error is made of its faults.
    def __reduce__(self) -> tuple[partial[Self], tuple[()]]:  # type: ignore[override]
        return partial(type(self), self.faults), ()


def dotted(path: KeyPath) -> str:
    """Return a path for people: `DEV.jobs[2].every`."""
    text = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in path
    )
    return text.lstrip(".") or "document"


def shown(value: object) -> str:
    """Return a value for a message: its repr, cut at 60 characters."""
    text = value.isoformat() if isinstance(value, date) else repr(value)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 1]}…"
