"""The keys of the configuration file, and their JSON Schema.

This tree of models is the only list of keys: pydantic judges a file by it, and
writes the schema by which editors complete and check it.

Imports: core.policy, config.schedule_keys, config.settings, pydantic.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    Field,
    SkipValidation,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from procsched.config.schedule_keys import (
    Amount,
    Body,
    Count,
    Length,
    ScheduleBody,
    key,
)
from procsched.config.settings import Pressure
from procsched.core.policy import duration, size_in_bytes

Percent = Annotated[float, Field(ge=0, lt=100)]


class JobBody(ScheduleBody):
    """A job: a class or a command, and what of its schedule is its own."""

    name: Annotated[str, Field(min_length=1)] | None = key(
        None, "In a list of jobs: its name.", "backup"
    )
    job: (
        Annotated[
            str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$")
        ]
        | None
    ) = key(None, "package.module:Class.", "jobs.host_report:HostReport")
    arguments: dict[str, Any] | None = Field(
        None,
        alias="with",
        description="Arguments of its constructor, by name.",
        examples=[{"path": "report.csv"}],
    )
    command: Annotated[list[str], Field(min_length=1)] | None = key(
        None, "A program and its arguments, one text each.", ["df", "-h"]
    )
    env: dict[str, str] | None = key(None, "Variables for the program.", {"LANG": "C"})
    cwd: Annotated[str, Field(min_length=1)] | None = key(
        None, "Directory in which the program starts.", "/srv"
    )


class FileBody(Body):
    """An audit trail in a file."""

    path: Annotated[str, Field(min_length=1)] = Field(
        description="The file.", examples=["audit.jsonl"]
    )
    max_bytes: Amount = key("10MiB", "Size at which a new one is begun.", "10MiB")
    keep: Annotated[int, Field(ge=0)] = key(5, "How many old ones are kept.", 5)

    @field_validator("max_bytes", mode="wrap")
    @classmethod
    def _size(cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any) -> Any:
        size_in_bytes(value, name=info.field_name)
        return value


class HttpBody(Body):
    """An audit trail that is posted to a server."""

    url: Annotated[str, Field(pattern=r"^https?://[^/\s]+\S*$")] = Field(
        description="Where to.", examples=["https://audit.example/trail"]
    )
    timeout: Length = key("10s", "How long one request may take.", "10s")
    headers: dict[str, str] = key({}, "Sent with each request.", {"X-Host": "a"})

    @field_validator("timeout", mode="wrap")
    @classmethod
    def _length(cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any) -> Any:
        duration(value, name=info.field_name)
        return value


class AuditBody(Body):
    """Where the audit trail goes."""

    console: Literal[True, False, "json"] = key(
        True, "Lines of text (true), of JSON (json), or none.", True
    )
    file: FileBody | None = key(None, "A file beside it.", {"path": "audit.jsonl"})
    http: HttpBody | None = key(
        None, "A server beside it.", {"url": "https://audit.example/trail"}
    )


class PressureBody(Body):
    """How hard the host may be pressed before runs of priority below 0 wait."""

    cpu: Percent | None = key(None, "Percent of time a task waits for a CPU.", 80)
    memory: Percent | None = key(None, "Percent of time one waits for memory.", 10)
    io: Percent | None = key(None, "Percent of time one waits for a disk.", 50)

    @field_validator("*", mode="wrap")
    @classmethod
    def _percent(cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any) -> Any:
        if value is not None:
            Pressure(**{info.field_name: value})
        return value

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        Pressure(**self.model_dump())
        return self


class SectionBody(ScheduleBody):
    """One environment; its schedule is for jobs that say nothing else."""

    run_continuous: bool | None = key(
        None, "Whether jobs go on; false: each runs once.", True
    )
    max_parallel: Count | None = key(
        None, "Runs at once on this host; blank for its number of CPUs.", 4
    )
    memory_budget: Amount | None = key(
        None, "What runs may reserve together by their memory limits.", "4GiB"
    )
    pressure: PressureBody | None = key(
        None, "Above which runs of priority below 0 wait.", {"cpu": 80}
    )
    state_dir: Annotated[str, Field(min_length=1)] | None = key(
        None, "Directory of history, logs and trail.", ".procsched"
    )
    echo_output: bool | None = key(
        True, "Whether what jobs print is shown on the console.", False
    )
    start_method: Literal["forkserver", "spawn"] | None = key(
        "forkserver", "How the processes above runs are made.", "spawn"
    )
    audit: AuditBody | None = key(None, "Where the audit trail goes.", {})
    jobs: SkipValidation[dict[str, JobBody] | list[JobBody] | None] = key(
        None, "Name to job, or a list of jobs with their names."
    )

    @field_validator("memory_budget", mode="wrap")
    @classmethod
    def _size(cls, value: Any, _: ValidatorFunctionWrapHandler, info: Any) -> Any:
        if value is not None:
            size_in_bytes(value, name=info.field_name)
        return value


DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, for editors (draft 2020-12).

    Keys are there in lower and in upper case; the loader takes any mixture.
    """
    root = SectionBody.model_json_schema(ref_template="#/$defs/{model}")
    definitions = root.pop("$defs")
    definitions["SectionBody"] = root
    for name, body in definitions.items():
        retry = body["properties"].get("retry")
        if retry:
            retry["anyOf"].append({"type": "integer", "minimum": 0})
        for word in tuple(body["properties"]):
            twin = f"#/$defs/{name}/properties/{word}"
            body["properties"][word.upper()] = {"$ref": twin}
    return {
        "$schema": DIALECT,
        "title": "procsched configuration",
        "description": "Environments by name: DEV, TEST, PROD and any other.",
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "anyOf": [{"$ref": "#/$defs/SectionBody"}, {"type": "null"}]
        },
        "$defs": definitions,
    }


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(f"{json.dumps(json_schema(), indent=2)}\n")
