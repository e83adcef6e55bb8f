"""When the worker of a sequence has served its time.

A worker lives through many runs, and what none of them gave back gathers in it:
memory, pools of connections, caches.  Replaced between two runs, it takes that
with it; no run fails by it, and the next finds a new worker.  What is due is
decided from numbers alone; whoever holds the worker measures them.

Imports: core.policy, errors.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from procsched.core.policy import Duration, Size, count, duration, size_in_bytes
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

JITTER_PART: Final = 0.1
"""Of the age, added at random unless a jitter is said.

Workers that one start of the host brought up together would all go together,
and their jobs' modules be imported at the same moment.  gunicorn adds a random
part likewise (max_requests_jitter).
"""

_MIB: Final = 2**20

_UNITS: Final[tuple[tuple[str, int], ...]] = (("d", 86400), ("h", 3600), ("min", 60))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycle:
    """After what the worker of a sequence is replaced, whichever comes first.

    Args:
        runs: Runs it has served; None for any number.
        memory_growth: Resident memory beyond what it held after its first run,
            when the job's modules were imported; None for any.
        age: From its start; None for any.
        jitter: The longest time that is added to the age of each worker at
            random, so that not all go together; 0 for none, None for a tenth
            of the age.

    Raises:
        ScheduleConfigError: If a value is not of its kind, if none of the first
            three is said, or a jitter without an age.
    """

    runs: int | None = None
    memory_growth: Size | None = None
    age: Duration | None = None
    jitter: Duration | None = None

    def __post_init__(self) -> None:
        """Normalise: durations to `timedelta`, sizes to bytes."""
        for each in fields(self):
            value = read_part(getattr(self, each.name), name=each.name)
            object.__setattr__(self, each.name, value)
        if self.jitter is not None and self.age is None:
            raise ScheduleConfigError(
                f"jitter={_seconds(self.jitter):g} s without age, which is all that it "
                "is added to",
                remedy="Write age='12h' with it, or leave `jitter` out",
            )
        if self.runs is None and self.memory_growth is None and self.age is None:
            raise ScheduleConfigError(
                "recycle names nothing after which a worker is replaced",
                remedy="Write one or more of runs=1000, memory_growth='300MiB', "
                "age='12h', or leave `recycle` out",
            )

    def due(
        self,
        *,
        runs: int,
        grown_bytes: int,
        age_seconds: float,
        chance: float,
    ) -> str | None:
        """Return in words why a worker is to be replaced now; None if it stays.

        Args:
            runs: What it has served.
            grown_bytes: Its resident memory less that after its first run; 0
                where nobody can say.
            chance: Between 0 and 1; drawn once for the worker.
        """
        if self.runs is not None and runs >= self.runs:
            return f"{runs} runs"
        if isinstance(self.memory_growth, int) and grown_bytes > self.memory_growth:
            return f"memory grew by {grown_bytes / _MIB:.0f} MiB"
        if self.age is not None and age_seconds >= self._lifetime(chance):
            return f"{_length(age_seconds)} old"
        return None

    def _lifetime(self, chance: float) -> float:
        assert self.age is not None  # noqa: S101 - whoever calls has looked
        age = _seconds(self.age)
        jitter = JITTER_PART * age if self.jitter is None else _seconds(self.jitter)
        return age + chance * jitter

    def to_frame(self) -> dict[str, float | None]:
        """Return it in plain numbers: what crosses to the worker."""
        return {
            each.name: value.total_seconds() if isinstance(value, timedelta) else value
            for each in fields(self)
            for value in (getattr(self, each.name),)
        }

    @classmethod
    def from_frame(cls, frame: Mapping[str, Any]) -> Self:
        """Return what `to_frame` made plain."""
        return cls(**frame)


def read_part(value: Any, *, name: str) -> Any:
    """Return one part of a Recycle in its canonical form.

    Raises:
        ScheduleConfigError: If it is not of its kind.
    """
    if value is None:
        return None
    match name:
        case "runs":
            return count(value, name=name)
        case "memory_growth":
            return size_in_bytes(value, name=name)
        case _:
            return duration(value, name=name, zero=name == "jitter")


def _seconds(value: Duration) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


def _length(seconds: float) -> str:
    """Return a length of time as people say it: "12 h", "1.5 d"."""
    unit, size = next((each for each in _UNITS if seconds >= each[1]), ("s", 1))
    return f"{round(seconds / size, 1):g} {unit}"
