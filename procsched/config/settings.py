"""What a configuration means once it is checked: plain values, no file, no YAML.

Imports: errors, constants, core.policy, config.schedule.  Must not import: yaml,
pydantic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from procsched.config.schedule import ScheduleConfig
from procsched.constants import Sc
from procsched.core.policy import Size, size_in_bytes
from procsched.errors import ConfigError, ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUILT_IN: Final = "the built-in default"
"""What `Settings.source` says when there is no file."""

_ALL_PERCENT: Final = 100

EVERY_MINUTE: Final = ScheduleConfig(time_unit=Sc.MINUTE)
"""The schedule of those who name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAudit:
    """An audit trail in a file.

    Args:
        path: Of the file that is written to.
        max_bytes: Size at which it is put aside and a new one begun.
        keep: How many are kept aside.
    """

    path: Path
    max_bytes: int = 10 * 2**20
    keep: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAudit:
    """An audit trail that is posted to a server.

    Args:
        url: Where to.
        timeout: How long one request may take.
        headers: Sent with each request.
    """

    url: str
    timeout: timedelta = timedelta(seconds=10)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Where the audit trail goes.

    Args:
        console: True for lines of text, "json" for lines of JSON.
        file: None for no file.
        http: None for no server.
    """

    console: bool | Literal["json"] = True
    file: FileAudit | None = None
    http: HttpAudit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How hard the host may be pressed before runs of low priority wait.

    Args:
        cpu: Percent of the last ten seconds in which a task waited for a CPU; the
            `some avg10` of /proc/pressure (psi.rst).  None for any.
        memory: Likewise for memory.
        io: Likewise for input and output.

    Raises:
        ConfigError: If one is no percentage below 100, or none is named.
    """

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no host can exceed."""
        for name, value in self.thresholds().items():
            known = isinstance(value, int | float) and not isinstance(value, bool)
            if not known or not 0 <= value < _ALL_PERCENT:
                raise ConfigError(
                    f"{name}={value!r} is no percentage from 0 to below 100",
                    remedy=f"Write {name}=50 for half of the time, or leave it out",
                )
        if not self.thresholds():
            raise ConfigError(
                "pressure names no threshold",
                remedy="Name one of cpu, memory and io, such as cpu=80, or leave "
                "`pressure` out",
            )

    def thresholds(self) -> dict[str, float]:
        """Return percent by resource."""
        named = {"cpu": self.cpu, "memory": self.memory, "io": self.io}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDeclaration:
    """A job that a file names.  Either `target` or `command` is there.

    Args:
        name: None for the name that the class gives itself.
        target: "package.module:Class".
        arguments: For the class's constructor, by name.
        command: A program and its arguments; empty for a class.
        env: Variables for the program beside the ones a run has anyway.
        cwd: Directory in which the program starts; None for the scheduler's.
        schedule: None for the section's.
        position: "file:line:column" of the declaration.
    """

    name: str | None
    position: str
    target: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    schedule: ScheduleConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One environment's configuration.

    Args:
        source: Where it comes from, for people: "configs/config.yaml, section
            DEV", or "the built-in default".
        environment: The section's name, as the file writes it.
        schedule: For jobs that say nothing else.
        run_continuous: None when it was not said.
        jobs: Those the file declares, in its order.
        state_dir: None for the scheduler's own choice.
        max_parallel: Runs at once on this host; None for its number of CPUs.
        memory_budget: Bytes, or "4GiB": what runs may reserve together, each its
            own memory limit; None for any sum.
        pressure: Above which runs of priority below 0 wait; None for no such wait.
        echo_output: Whether what jobs print is shown on the console too.
        start_method: "forkserver" imports the jobs' modules once and forks;
            "spawn" starts an interpreter for each process above a run.
        audit: Where the audit trail goes.
        warnings: What is allowed and yet may surprise, a line each.

    Raises:
        ConfigError: If `memory_budget` is no size.
    """

    source: str
    environment: str
    schedule: ScheduleConfig = EVERY_MINUTE
    run_continuous: bool | None = None
    jobs: tuple[JobDeclaration, ...] = ()
    state_dir: Path | None = None
    max_parallel: int | None = None
    memory_budget: Size | None = None
    pressure: Pressure | None = None
    echo_output: bool = True
    start_method: Literal["forkserver", "spawn"] = "forkserver"
    audit: AuditSettings = field(default_factory=AuditSettings)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Normalise: a size to bytes."""
        if self.memory_budget is not None:
            try:
                size = size_in_bytes(self.memory_budget, name="memory_budget")
            except ScheduleConfigError as error:
                raise ConfigError(error.problem, remedy=error.remedy) from None
            object.__setattr__(self, "memory_budget", size)

    @property
    def budget_bytes(self) -> int | None:
        """What runs may reserve together; None for any sum."""
        return self.memory_budget if isinstance(self.memory_budget, int) else None

    @classmethod
    def built_in(cls, environment: str = Sc.ENV_DEV) -> Self:
        """Return what holds without any file: every job each minute."""
        return cls(source=BUILT_IN, environment=environment)
