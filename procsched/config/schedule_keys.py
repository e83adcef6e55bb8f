"""The keys of a schedule in the file: types, units, defaults, descriptions.

pydantic judges keys and the parts of limits and retry.  What the words of a
schedule mean, alone and together, is ScheduleConfig's to judge; so its keys are
described here and not validated.

Imports: constants, core.policy, config.words, pydantic.
"""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003 - pydantic reads them
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SkipValidation,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from procsched.config.words import moment
from procsched.constants import MODES, TIME_UNITS
from procsched.core.policy import Limits, Retry
from procsched.core.recycle import read_part

Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$")]
Count = Annotated[int, Field(ge=1)]
Length = (
    Annotated[float, Field(gt=0)]
    | Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)\s*$")]
)
Amount = Count | Annotated[str, Field(pattern=r"^\s*\d+(\.\d+)?\s*[A-Za-z]*\s*$")]
Unit = Literal[TIME_UNITS]  # type: ignore[valid-type]
Mode = Literal[MODES]  # type: ignore[valid-type]


def key(default: Any, description: str, *examples: Any) -> Any:
    """Return a key that may be left out."""
    return Field(default=default, description=description, examples=list(examples))


class Body(BaseModel):
    """A mapping whose keys are words of ours."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=False)


class LimitsBody(Body):
    """What one run may use before it is ended, and its surroundings; blank for none."""

    wall: Length | None = key(None, "From the first line of the job to its end.", "5m")
    cpu: Length | None = key(None, "CPU time of the run, all its processes.", "60s")
    memory: Amount | None = key(None, "Memory of the run, all its processes.", "512MiB")
    processes: Count | None = key(None, "Processes of the run at once.", 64)
    open_files: Count | None = key(None, "Descriptors of each process.", 256)
    file_size: Amount | None = key(None, "Size of any file it writes.", "1GiB")
    output: Amount | None = key("10MiB", "What is kept of its output.", "1MiB")
    startup: Length | None = key("60s", "From fork to the job's first line.", "30s")
    grace: Length = key("10s", "From the soft stop (SIGTERM) to the kill.", "5s")
    required: bool = key(
        False, "Refuse to start a run whose limits cannot all be enforced.", True
    )
    nice: Annotated[int, Field(ge=-20, le=19)] | None = key(
        None, "19 yields to all others; below 0 needs root.", 10
    )
    io_class: (
        Annotated[str, Field(pattern=r"^(idle|(best-effort|realtime)(\([0-7]\))?)$")]
        | None
    ) = key(None, "idle, best-effort or realtime; a level as best-effort(7).", "idle")
    cpu_affinity: (
        Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None
    ) = key(None, "Numbers of the CPUs it may run on.", [0, 1])
    cwd: Annotated[str, Field(pattern="^/")] | None = key(
        None, "The directory it starts in, an absolute path.", "/srv/reports"
    )
    umask: Annotated[str, Field(pattern="^(0o?)?[0-7]{1,3}$")] | int | None = key(
        None, "Permissions that its files do not get, octal, in quotes.", "027"
    )
    env: dict[str, str] | None = key(
        {}, "Variables set for it, name to text.", {"LANG": "C"}
    )
    pass_env: list[str] | Literal["*"] | None = key(
        [],
        "Variables of the scheduler that it gets beside the safe ones; '*' for all.",
        ["AWS_PROFILE"],
    )
    user: str | Annotated[int, Field(ge=0)] | None = key(
        None, "Whom it runs as, a name or number; needs root.", "nobody"
    )
    group: str | Annotated[int, Field(ge=0)] | None = key(
        None, "Its group, a name or number; blank for the user's own.", "nogroup"
    )
    no_new_privs: bool | None = key(
        None, "Never gains privileges by exec; blank for yes where user is set.", True
    )
    network: bool | None = key(None, "false for no network but a loopback.", False)
    private_tmp: bool = key(False, "A /tmp of its own, gone at its end.", True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _judged_by_limits(
        cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any
    ) -> Any:
        Limits(**{info.field_name: value})
        return value


class RetryBody(Body):
    """How often, how long after, and after which ends a run is tried again."""

    count: Annotated[int, Field(ge=0)] = key(3, "Attempts after the first.", 3)
    backoff: Length = key("1s", "Longest wait before the second; it doubles.", "5s")
    ceiling: Length = key("60s", "The longest wait of all.", "10m")
    jitter: bool = key(True, "Wait a random part of it.", True)
    causes: list[str] = key(
        ["failed", "exited", "timed_out", "start_failed"],
        "Outcomes that are tried again.",
        ["failed", "timed_out"],
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _judged_by_retry(
        cls, value: Any, handler: ValidatorFunctionWrapHandler, info: Any
    ) -> Any:
        if info.field_name in {"jitter", "causes"}:
            value = handler(value)
        Retry(**{info.field_name: value})
        return value


class RecycleBody(Body):
    """After what the worker of a sequence is replaced, whichever comes first."""

    runs: Count | None = key(None, "Runs it has served.", 1000)
    memory_growth: Amount | None = key(
        None, "Resident memory beyond that after its first run.", "300MiB"
    )
    age: Length | None = key(None, "Time from its start.", "12h")
    jitter: Length | Literal[0] | None = key(
        None, "Longest random time added to the age; blank: a tenth of it.", "1h"
    )

    @field_validator("*", mode="wrap")
    @classmethod
    def _judged_by_recycle(
        cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any
    ) -> Any:
        read_part(value, name=info.field_name)
        return value


class SpanBody(Body):
    """From one moment to another."""

    start: datetime = Field(alias="from", description="First moment of it.")
    end: datetime = Field(alias="to", description="First moment after it.")

    @field_validator("*", mode="wrap")
    @classmethod
    def _judged_by_moment(
        cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any
    ) -> datetime:
        return moment(value, {"start": "from", "end": "to"}[info.field_name])


class TimesBody(Body):
    """When: one of the seed's triple, cron, after, once, either."""

    every: SkipValidation[Count | Clock | None] = key(
        None, "A number of time_unit, or a clock time for a day or weekday.", 10
    )
    time_unit: SkipValidation[Unit | None] = key(
        None,
        "second, minute, hour; with a number seconds, minutes, hours, day; "
        "monday to sunday.",
        "minutes",
    )
    at: SkipValidation[Clock | None] = key(
        None, "Clock time HH:MM or HH:MM:SS, for a day or weekday.", "14:00"
    )
    cron: SkipValidation[str | None] = key(
        None,
        "Five fields, six with seconds first, or @daily and friends.",
        "*/10 6-22 * * mon-fri",
    )
    after: SkipValidation[Length | None] = key(
        None, "Delay from the end of the last run; seconds or a text.", "10m"
    )
    once: SkipValidation[datetime | None] = key(
        None, "A single moment with its offset.", "2027-01-31T14:00:00+01:00"
    )
    either: SkipValidation[list[TimesBody] | None] = key(
        None, "Several of these; any of them fires."
    )
    start: SkipValidation[datetime | None] = key(
        None,
        "Nothing fires before it; an interval fires first at it.",
        "2027-01-01T00:00:00+00:00",
    )
    end: SkipValidation[datetime | None] = key(
        None, "Nothing fires after it.", "2027-12-31T23:59:59+00:00"
    )
    exclude: SkipValidation[list[date | str | SpanBody] | None] = key(
        (),
        "Dates, hours ('sat,sun 22:00-06:00') and spans (from, to) without firings.",
        ["2027-12-25", "22:00-06:00"],
    )
    timezone: SkipValidation[str | None] = key(
        None, "IANA name; blank for the zone of the host.", "Europe/Berlin"
    )
    dst_gap: SkipValidation[Literal["run", "skip"] | None] = key(
        "run", "A wall time that the clock leaves out.", "skip"
    )
    dst_fold: SkipValidation[Literal["first", "second", "both"] | None] = key(
        "first", "A wall time that comes twice.", "both"
    )


class ScheduleBody(TimesBody):
    """When, and what to do in every case."""

    jitter: SkipValidation[Length | None] = key(
        None, "Each start is delayed by a random time below it.", "30s"
    )
    spread: SkipValidation[Length | None] = key(
        None, "All starts are delayed by one time below it, fixed per job.", "5m"
    )
    mode: SkipValidation[Mode | None] = key(
        "parallel",
        "A process per run, or one worker for the jobs of a schedule.",
        "sequential",
    )
    recycle: RecycleBody | None = key(
        None,
        "When the worker of a sequence is replaced; blank: when a job has harmed it.",
        {"runs": 1000, "age": "12h"},
    )
    overlap: SkipValidation[str | None] = key(
        "skip",
        "When a run is still going: skip, queue, replace, parallel, or parallel(3).",
        "queue",
    )
    parallel: SkipValidation[Count | None] = key(
        None, "Runs of a job at once with overlap parallel.", 3
    )
    catch_up: SkipValidation[Literal["latest", "none", "all"] | None] = key(
        "latest", "Which missed times are run late.", "none"
    )
    catch_up_window: SkipValidation[Length | None] = key(
        "1d", "How old a missed time may be.", "2h"
    )
    catch_up_max: SkipValidation[Count | None] = key(
        10, "How many are run late at the most.", 3
    )
    start_deadline: SkipValidation[Length | None] = key(
        None, "How long after its time a run may start.", "5m"
    )
    retry: RetryBody | None = key(
        None, "Further attempts: a number, or a mapping.", {"count": 3}
    )
    limits: LimitsBody | None = key(
        None, "What one run may use.", {"wall": "5m", "memory": "512MiB"}
    )
    priority: SkipValidation[Annotated[int, Field(ge=-100, le=100)] | None] = key(
        0, "Higher starts first when slots are short.", 10
    )
    breaker: SkipValidation[Count | None] = key(
        None, "Failures in a row that suspend the schedule.", 5
    )
    breaker_causes: list[str] | None = key(
        None, "Outcomes that count for it; blank: every failure.", ["crashed"]
    )
    breaker_probe: SkipValidation[Length | None] = key(
        None, "Wait before a suspended schedule is tried; blank: by hand.", "10m"
    )
    on_supervisor_loss: SkipValidation[Literal["kill", "finish"] | None] = key(
        "kill", "A run whose supervisor was killed.", "finish"
    )
