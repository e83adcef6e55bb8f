"""The jobs that a configuration file declares, tried before any is scheduled.

Imports: admission, config, core, errors, job, workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from procsched.admission import check_name
from procsched.core.budget import beyond, in_words, reserved_bytes
from procsched.core.policy import Limits
from procsched.errors import ConfigError, JobError
from procsched.job import CommandJob
from procsched.workers.payload import Payload, pack
from procsched.workers.probe import Finding, probe

if TYPE_CHECKING:
    from collections.abc import Collection

    from procsched.config.settings import JobDeclaration, Settings


class Declared(NamedTuple):
    """A declared job, ready to be scheduled."""

    name: str
    payload: Payload
    declaration: JobDeclaration
    limits: Limits | None


def payloads_of(settings: Settings, taken: Collection[str] = ()) -> list[Declared]:
    """Return the declared jobs, in the order of the file.

    Args:
        taken: Names that are scheduled already.

    Raises:
        ConfigError: If any cannot be made; it names them all.
    """
    classes = [each for each in settings.jobs if each.target is not None]
    found = probe([(each.target or "", each.arguments) for each in classes])
    findings = iter(found)
    names = set(taken)
    declared: list[Declared] = []
    faults: list[str] = []
    for said in settings.jobs:
        finding = None if said.target is None else next(findings)
        try:
            made = _declared(said, finding)
            _check_memory(made, settings)
            if made.name in names:
                raise _fault(said, "name", made.name, "is taken by another job")
        except ConfigError as fault:
            faults.append(fault.problem)
        else:
            names.add(made.name)
            declared.append(made)
    if faults:
        raise ConfigError("\n".join(faults), remedy="Correct these jobs")
    return declared


def _declared(said: JobDeclaration, finding: Finding | None) -> Declared:
    """Make one job ready.

    Raises:
        ConfigError: If it cannot be made.
    """
    if finding is None:
        name = _named(said, said.name)
        try:
            job = CommandJob(name, said.command, env=said.env, cwd=said.cwd)
        except JobError as fault:
            raise _fault(said, "command", list(said.command), fault.problem) from None
        return Declared(name, pack(job), said, None)
    if finding.fault is not None:
        raise _fault(said, "job", said.target, f"cannot be made: {finding.fault}")
    limits = None if finding.limits is None else Limits(**finding.limits)
    payload = Payload(target=said.target, arguments=said.arguments)
    name = _named(said, said.name or finding.name)
    return Declared(name, payload, said, limits)


def _check_memory(made: Declared, settings: Settings) -> None:
    """Refuse a class's own memory limit that never fits in the budget.

    What the file itself says has been judged with the file.

    Raises:
        ConfigError: If it does not.
    """
    schedule = made.declaration.schedule or settings.schedule
    if made.limits is None or schedule.limits is not None:
        return
    asked = reserved_bytes(made.limits)
    rule = beyond(asked, settings.budget_bytes)
    if rule is not None:
        whose = f"the memory limit of its class, {in_words(asked)}, {rule}"
        target = made.declaration.target
        raise _fault(made.declaration, "job", target, whose)


def _named(said: JobDeclaration, name: str | None) -> str:
    try:
        return check_name(name, "the job")
    except JobError as fault:
        raise _fault(said, "name", name, fault.remedy) from None


def _fault(said: JobDeclaration, key: str, value: object, rule: str) -> ConfigError:
    return ConfigError(
        f"{said.position}: {key}: {value!r}: {rule}", remedy="Correct this job"
    )
