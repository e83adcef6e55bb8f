"""`procsched validate`: every fault of a configuration, at once.

Imports: config, declared, cli.
"""

from __future__ import annotations

import sys

import click

from procsched.cli.main import EXIT_CONFIG
from procsched.cli.options import look_here
from procsched.config.loader import ConfigLoader
from procsched.declared import payloads_of
from procsched.errors import ConfigError


@click.command("validate")
@click.argument("file", required=False)
@click.option("--config", metavar="FILE", help="The same as the argument FILE.")
@click.option("--env", "environment", metavar="ENV", help="Check this section alone.")
def command(file: str | None, config: str | None, environment: str | None) -> None:
    r"""Check a configuration whole, and say every fault.

    Each fault is a line `file:line:column: key: value: rule. remedy`, which
    editors can jump to.  The classes it names are tried in a process of their own.

    \b
    Examples:
      procsched validate
      procsched validate /etc/procsched.yaml --env PROD
    """
    look_here()
    path = ConfigLoader.find(file or config)
    faults = [str(fault) for fault in ConfigLoader.check(path, environment)]
    sections = [] if faults else ConfigLoader.sections(path, environment)
    jobs = 0
    for settings in sections:
        for warning in settings.warnings:
            click.echo(f"procsched: note: {warning}", err=True)
        try:
            jobs += len(payloads_of(settings))
        except ConfigError as fault:
            faults += fault.problem.splitlines()
    if faults:
        click.echo("\n".join(faults))
        sys.exit(EXIT_CONFIG)
    names = ", ".join(each.environment for each in sections)
    plural = "s" * (jobs != 1)
    click.echo(f"{path}: {names}: no faults, {jobs} job{plural}")
