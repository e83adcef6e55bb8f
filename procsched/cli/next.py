"""`procsched next`: when something fires.

Imports: config, errors, cli.options.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from procsched.cli.options import load, settings_options
from procsched.config.schedule import ScheduleConfig
from procsched.errors import ConfigError, UnknownJobError, listed, nearest

if TYPE_CHECKING:
    from procsched.config.settings import JobDeclaration, Settings

COUNT_LIMIT = 10_000
"""Times shown for one schedule: more is a question for a program, not a person."""


def moment(value: str) -> datetime:
    """Return a moment as ISO 8601 writes it; without an offset it is the zone's."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a moment. Write it as 2027-01-31T14:00:00+01:00, or "
            "2027-01-31 for midnight."
        ) from None


@click.command("next")
@click.argument("what", required=False, metavar="[JOB|EXPR]")
@click.option(
    "-n",
    "count",
    type=click.IntRange(1, COUNT_LIMIT),
    default=5,
    show_default=True,
    help="How many times of each.",
)
@click.option("--tz", "zone", metavar="ZONE", help="Zone of a cron expression.")
@click.option("--after", type=moment, help="Times after this; default: now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@settings_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    what: str | None,
    count: int,
    zone: str | None,
    after: datetime | None,
    as_json: bool,  # noqa: FBT001
    environment: str,
    config: str | None,
) -> None:
    r"""Say when jobs, or a cron expression, fire next.

    \b
    Examples:
      procsched next                        each job of the section DEV
      procsched next database-backup -n 10
      procsched next "30 2 * * *" --tz Europe/Berlin --after 2027-03-27
    """
    wanted = _wanted(what, zone, environment, config)
    width = max(len(name) for name, _ in wanted)
    for name, schedule in wanted:
        times = schedule.upcoming(count, _aware(after, schedule))
        if as_json:
            words = {"job": name, "schedule": schedule.describe()}
            found = [each.isoformat() for each in times]
            click.echo(json.dumps({**words, "times": found}))
            continue
        click.echo(f"{name:<{width}}  {schedule.describe()}")
        for each in times:
            click.echo(f"{'':<{width}}  {each:%a %Y-%m-%d %H:%M:%S %z}")
        if len(times) < count:
            click.echo(f"{'':<{width}}  and never again")


def _wanted(
    what: str | None, zone: str | None, environment: str, config: str | None
) -> list[tuple[str, ScheduleConfig]]:
    """Return what is asked for, by name: an expression, a job, or all jobs."""
    if what is not None and (what.startswith("@") or len(what.split()) > 1):
        return [(what, ScheduleConfig(cron=what, timezone=zone))]
    settings = load(environment, config)
    jobs = {name_of(each): each.schedule or settings.schedule for each in settings.jobs}
    if what is None:
        if not jobs:
            raise ConfigError(
                f"{settings.source} declares no jobs",
                remedy='Name an expression: procsched next "*/5 * * * *"',
            )
        return list(jobs.items())
    return [(what, _schedule_of(what, jobs, settings))]


def _schedule_of(
    what: str, jobs: dict[str, ScheduleConfig], settings: Settings
) -> ScheduleConfig:
    if what in jobs:
        return jobs[what]
    close = nearest(what, jobs)
    there = f"{settings.source} declares {listed(jobs)}"
    raise UnknownJobError(
        f"{what!r} is no job, and no cron expression of five or six fields",
        remedy=f"Did you mean '{close}'? {there}" if close else there,
    )


def name_of(declared: JobDeclaration) -> str:
    """Return the name of a declared job; its class, where that names itself."""
    return declared.name or declared.target or ""


def _aware(moment: datetime | None, schedule: ScheduleConfig) -> datetime:
    if moment is None:
        return datetime.now(UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=schedule.zone())
