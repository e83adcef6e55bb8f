"""One environment of the file, as Settings or as faults.

Imports: config.  Must not import: yaml.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from procsched.config.body import Words
from procsched.config.document import Spelling
from procsched.config.fault import dotted
from procsched.config.judgement import shape_faults
from procsched.config.schema import JobBody, SectionBody
from procsched.config.settings import (
    EVERY_MINUTE,
    AuditSettings,
    FileAudit,
    HttpAudit,
    JobDeclaration,
    Pressure,
    Settings,
)
from procsched.core.budget import REMEDY, beyond
from procsched.core.policy import duration, size_in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from procsched.config.document import Document
    from procsched.config.fault import Fault, KeyPath
    from procsched.config.schedule import ScheduleConfig

_OF_CLASS: Final = ("job", ("with",))
_OF_PROGRAM: Final = ("command", ("env", "cwd"))


def spelling(path: KeyPath) -> Spelling:
    """Return what the keys of the mapping at a path are, for the document."""
    match path:
        case () | (_, "jobs"):
            return Spelling.NAMES
        case (_, "jobs", _, "with" | "env", *_) | (_, "audit", "http", "headers"):
            return Spelling.EXACT
        case (_, "limits", "env") | (_, "jobs", _, "limits", "env"):
            return Spelling.EXACT
        case _:
            return Spelling.WORDS


@dataclass(slots=True)
class Section:
    """The reading of one environment.

    Attributes:
        document: The file.
        environment: The section's name, as the file has it.
        faults: What was found wrong, in the order of finding.
    """

    document: Document
    environment: str
    faults: list[Fault] = field(default_factory=list)
    _warnings: list[str] = field(default_factory=list)
    _shared: dict[ScheduleConfig, ScheduleConfig] = field(default_factory=dict)
    _budget_bytes: int | None = None

    def settings(self) -> Settings | None:
        """Return what the section means; None when `faults` says why not."""
        path: KeyPath = (self.environment,)
        body = self.document.value[self.environment]
        body = {} if body is None else body
        if not isinstance(body, dict):
            self._fault(
                path, body, "is not a mapping", "Write `key: value` lines below"
            )
            return None
        body = _spelled_out(body)
        bad = self._shape(SectionBody, path, body)
        budget = None if "memory_budget" in bad else body.get("memory_budget")
        if budget is not None:
            self._budget_bytes = size_in_bytes(budget, name="memory_budget")
        words = Words.of(body, bad)
        self._check_memory(words, path)
        # Said by nobody, inherited by all: the time of the built-in default.
        timeless = not words.names_time
        if timeless:
            words.said["time_unit"] = EVERY_MINUTE.time_unit
        schedule, faults = words.schedule(self.document, path)
        self.faults += faults
        jobs = tuple(self._jobs(body.get("jobs"), (*path, "jobs"), words))
        if self.faults or schedule is None:
            return None
        inherited = not jobs or any(job.schedule is None for job in jobs)
        self._warn(path, schedule if inherited else None, timeless=timeless)
        return self._settled(body, self._share(schedule), jobs)

    def _settled(
        self,
        body: dict[str, Any],
        schedule: ScheduleConfig,
        jobs: tuple[JobDeclaration, ...],
    ) -> Settings:
        echo = body.get("echo_output")
        return Settings(
            source=f"{self.document.file}, section {self.environment}",
            environment=self.environment,
            schedule=schedule,
            run_continuous=body.get("run_continuous"),
            jobs=jobs,
            state_dir=Path(body["state_dir"]) if body.get("state_dir") else None,
            max_parallel=body.get("max_parallel"),
            memory_budget=self._budget_bytes,
            pressure=Pressure(**body["pressure"]) if body.get("pressure") else None,
            echo_output=True if echo is None else echo,
            start_method=body.get("start_method") or "forkserver",
            audit=_audit(body.get("audit") or {}),
            warnings=tuple(self._warnings),
        )

    def _fault(self, path: KeyPath, value: object, rule: str, remedy: str) -> None:
        self.faults.append(self.document.fault(path, rule, remedy=remedy, value=value))

    def _shape(
        self, model: type[BaseModel], path: KeyPath, body: dict[str, Any]
    ) -> set[str]:
        """Note what pydantic finds, and return the keys it is in."""
        found = shape_faults(self.document, model, path, body)
        self.faults += [fault for _, fault in found]
        return {key for key, _ in found}

    def _share(self, schedule: ScheduleConfig) -> ScheduleConfig:
        return self._shared.setdefault(schedule, schedule)

    def _warn(
        self, path: KeyPath, schedule: ScheduleConfig | None, *, timeless: bool = False
    ) -> None:
        if schedule is None:
            return
        line, column = self.document.keys.get(path, (1, 1))
        place = f"{self.document.file}:{line}:{column}: {dotted(path)}"
        if timeless:
            self._warnings.append(
                f"{place}: names no time, so it is {schedule.describe()}"
            )
        if schedule not in self._shared:
            self._warnings += [f"{place}: {text}" for text in schedule.warnings()]

    def _jobs(
        self, jobs: Any, path: KeyPath, section: Words
    ) -> Iterator[JobDeclaration]:
        """Yield the jobs without fault; note the faults of the others."""
        if isinstance(jobs, dict):
            entries = [(name, body, (*path, name)) for name, body in jobs.items()]
        elif isinstance(jobs, list):
            entries = [(None, body, (*path, index)) for index, body in enumerate(jobs)]
        else:
            if jobs is not None:
                remedy = "Write a name for each job, and its keys below it"
                self._fault(path, jobs, "is neither a mapping nor a list", remedy)
            return
        taken: dict[str, KeyPath] = {}
        for name, body, where in entries:
            before = len(self.faults)
            if not isinstance(body, dict):
                remedy = "Write `job: package.module:Class` or `command: [...]` below"
                self._fault(where, body, "is no job", remedy)
                continue
            job = self._job(name, _spelled_out(body), where, section)
            self._claim(job.name, where, taken)
            if len(self.faults) == before:
                yield job

    def _job(
        self, name: str | None, body: dict[str, Any], path: KeyPath, section: Words
    ) -> JobDeclaration:
        bad = self._shape(JobBody, path, body)
        if name is not None and "name" in body:
            remedy = "Leave `name` out: in a mapping of jobs the key is the name"
            self._fault((*path, "name"), body["name"], "names the job twice", remedy)
        name = body.get("name") if name is None and "name" not in bad else name
        self._check_kind(body, path, named=name is not None or "name" in bad)
        own = Words.of(body, bad)
        self._check_memory(own, path)
        schedule = None
        if own.said or own.unreadable:
            schedule, faults = own.within(section).schedule(self.document, path)
            self.faults += faults
        if schedule is not None:
            self._warn(path, schedule)
            schedule = self._share(schedule)
        line, column = self.document.keys[path]
        return JobDeclaration(
            name=name,
            position=f"{self.document.file}:{line}:{column}",
            target=body.get("job"),
            arguments=body.get("with") or {},
            command=tuple(body.get("command") or ()) if "command" not in bad else (),
            env=body.get("env") or {},
            cwd=body.get("cwd"),
            schedule=schedule,
        )

    def _check_memory(self, own: Words, path: KeyPath) -> None:
        """Refuse a memory limit that never fits in the budget."""
        memory = (own.said.get("limits") or {}).get("memory")
        if memory is None:
            return
        rule = beyond(size_in_bytes(memory, name="memory"), self._budget_bytes)
        if rule is not None:
            self._fault((*path, "limits", "memory"), memory, rule, REMEDY)

    def _check_kind(self, body: dict[str, Any], path: KeyPath, *, named: bool) -> None:
        """Refuse a job that is no program and no class, or both."""
        said = {key for key in ("job", "command") if body.get(key) is not None}
        if len(said) != 1:
            rule = "is both a class and a program" if said else "says not what to run"
            remedy = (
                "Write one of `job: package.module:Class` and "
                "`command: [program, argument]`"
            )
            self._fault((*path, "job"), body.get("job"), rule, remedy)
            return
        if "command" in said and not named:
            remedy = "Write `name: disk-usage`, say: a program does not know its job"
            self._fault((*path, "name"), None, "is missing", remedy)
        for kind, keys in (_OF_CLASS, _OF_PROGRAM):
            for key in keys:
                if kind not in said and body.get(key) is not None:
                    remedy = f"Leave `{key}` out, or write `{kind}` for this job"
                    rule = f"belongs to `{kind}`, which this job has not"
                    self._fault((*path, key), body[key], rule, remedy)

    def _claim(
        self, name: str | None, path: KeyPath, taken: dict[str, KeyPath]
    ) -> None:
        """Refuse a name that is no name, or another job's."""
        if name is None:
            return
        where = path if path[-1] == name else (*path, "name")
        if not name.strip() or name != name.strip() or not name.isprintable():
            remedy = "Write one line of text without spaces around it"
            self._fault(where, name, "is no name for a job", remedy)
            return
        first = taken.setdefault(name.casefold(), path)
        if first != path:
            line = self.document.keys[first][0]
            rule = f"is the name of another job already, in line {line}"
            self._fault(where, name, rule, "Give each job a name of its own")


def _spelled_out(body: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with `retry: 3` written as the mapping that it means."""
    retry = body.get("retry")
    if retry is None or isinstance(retry, dict):
        return body
    return {**body, "retry": {"count": retry}}


def _audit(body: dict[str, Any]) -> AuditSettings:
    """Return the audit settings of a mapping without faults."""
    file, http = body.get("file"), body.get("http")
    return AuditSettings(
        console=body.get("console", True),
        file=None
        if file is None
        else FileAudit(
            path=Path(file["path"]),
            max_bytes=size_in_bytes(file.get("max_bytes", "10MiB"), name="max_bytes"),
            keep=file.get("keep", 5),
        ),
        http=None
        if http is None
        else HttpAudit(
            url=http["url"],
            timeout=duration(http.get("timeout", 10), name="timeout"),
            headers=http.get("headers", {}),
        ),
    )
