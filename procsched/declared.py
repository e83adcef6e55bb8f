"""The jobs that a configuration file declares, tried before any is scheduled.

Imports: admission, config, core, errors, job, workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from procsched.core.policy import Limits
from procsched.errors import ConfigError, JobError
from procsched.job import CommandJob
from procsched.workers.payload import Payload, pack
from procsched.workers.probe import Finding, probe

if TYPE_CHECKING:
    from procsched.config.settings import JobDeclaration, Settings


class Declared(NamedTuple):
    """A declared job, ready to be scheduled."""

    name: str
    payload: Payload
    declaration: JobDeclaration
    limits: Limits | None


def payloads_of(settings: Settings) -> list[Declared]:
    """Return the declared jobs, in the order of the file.

    Raises:
        ConfigError: If any cannot be made; it names them all.
    """
    classes = [each for each in settings.jobs if each.target is not None]
    found = probe([(each.target or "", each.arguments) for each in classes])
    findings = dict(zip(map(id, classes), found, strict=True))
    faults: list[str] = []
    declared = [
        _declared(each, findings.get(id(each)), faults) for each in settings.jobs
    ]
    names: set[str] = set()
    for each in filter(None, declared):
        if each.name in names:
            position = each.declaration.position
            faults.append(f"{position}: name: {each.name!r}: is taken by another job")
        names.add(each.name)
    if faults:
        raise ConfigError("\n".join(faults), remedy="Correct these jobs")
    return [each for each in declared if each is not None]


def _declared(
    said: JobDeclaration, finding: Finding | None, faults: list[str]
) -> Declared | None:
    if finding is None:
        try:
            job = CommandJob(said.name or "", said.command, env=said.env, cwd=said.cwd)
        except JobError as fault:
            faults.append(f"{said.position}: command: {fault}")
            return None
        return Declared(said.name or "", pack(job), said, None)
    if finding.fault is not None:
        faults.append(
            f"{said.position}: job: {said.target!r}: cannot be made: {finding.fault}"
        )
        return None
    limits = None if finding.limits is None else Limits(**finding.limits)
    payload = Payload(target=said.target, arguments=said.arguments)
    return Declared(said.name or finding.name or "", payload, said, limits)
