"""`procsched run`: the scheduler in the foreground.

Imports: scheduler, cli.options.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import click

from procsched import __version__
from procsched.cli.options import load, settings_options, state_of
from procsched.errors import ConfigError
from procsched.scheduler import Scheduler


@click.command("run")
@settings_options
@click.option(
    "--state-dir",
    metavar="DIR",
    help="History, logs and spools; default: the section's, else .procsched/ENV.",
)
def command(environment: str, config: str | None, state_dir: str | None) -> None:
    r"""Run the jobs of a configuration until it is told to stop.

    Ctrl-C (or SIGTERM) completes what is due, queued or running; a second one
    ends every run within its grace period, a third one at once.

    \b
    Examples:
      procsched run
      procsched run --env PROD --config /etc/procsched.yaml
    """
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    settings = load(environment, config)
    if settings.run_continuous is None:
        # Whoever starts a server wants it to stay.
        settings = replace(settings, run_continuous=True)
    place = state_dir or state_of(settings)
    scheduler = Scheduler(settings=settings, state_dir=place)
    names = scheduler.schedule_declared()
    if not names:
        raise ConfigError(
            f"{settings.source} declares no jobs, so there is nothing to run",
            remedy="Add them under `jobs:`, as `job: module:Class` or `command: [...]`",
        )
    _greet(settings.source, names, settings.warnings)
    began = datetime.now(UTC)
    scheduler.start()
    _sum_up(scheduler, began)


def _greet(source: str, names: list[str], warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        click.echo(f"procsched: note: {warning}", err=True)
    click.echo(
        f"procsched {__version__}, process {os.getpid()}: {source}, "
        f"{len(names)} job{'s' * (len(names) != 1)}. "
        "Ctrl-C ends it safely, twice by force.",
        err=True,
    )


def _sum_up(scheduler: Scheduler, began: datetime) -> None:
    """Say how the runs since the beginning ended."""
    ended = Counter(
        record.outcome.value
        for record in scheduler.runs(limit=100_000)
        if record.outcome is not None
        and record.ended_at is not None
        and record.ended_at >= began
    )
    counts = ", ".join(f"{number} {word}" for word, number in ended.most_common())
    click.echo(f"procsched: ended; {counts or 'no run was due'}", err=True)
