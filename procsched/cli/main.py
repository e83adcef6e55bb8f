"""The command line: verbs found by name, errors told in one line.

A verb's module is imported when the verb is used, so that `--help` and the
light verbs do not pay for the heavy ones.

Imports: errors; the verbs by name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import click

from procsched import __version__
from procsched.errors import (
    ConfigError,
    ProcschedError,
    ScheduleConfigError,
    UnknownJobError,
    UnknownRunError,
    nearest,
)

VERBS: Final = {
    "run": "Run the jobs of a configuration until it is told to stop.",
    "validate": "Check a configuration whole, and say every fault.",
    "next": "Say when jobs, or a cron expression, fire next.",
    "explain": "Say a cron expression in words, and what clock changes do to it.",
    "simulate": "Say what a configuration would do over a period.",
}
"""Each lives in the module of its name; the line is shown by `--help`."""

EXIT_FAILED: Final = 1
EXIT_NOT_FOUND: Final = 3
EXIT_CONFIG: Final = 5

_EXIT_CODES: Final[tuple[tuple[type[ProcschedError], int], ...]] = (
    (ConfigError, EXIT_CONFIG),
    (ScheduleConfigError, EXIT_CONFIG),
    (UnknownJobError, EXIT_NOT_FOUND),
    (UnknownRunError, EXIT_NOT_FOUND),
)

EXAMPLES: Final = """\b
Examples:
  procsched run                          the section DEV of configs/config.yaml
  procsched run --env PROD --config /etc/procsched.yaml
  procsched validate                     every fault of the file, with its place
  procsched next -n 3                    the next three times of each job
  procsched next "*/15 9-17 * * mon-fri" --tz Europe/Berlin

\b
Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 not found, 5 faulty configuration.
"""


class Verbs(click.Group):
    """Finds a verb's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the verbs, in the order a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """Import a verb by its name; None for one that there is not."""
        if name not in VERBS:
            return None
        module = import_module(f"procsched.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the verbs without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an unknown one gets the nearest that is known."""
        word = args[0]
        if word not in VERBS and not word.startswith("-"):
            close = nearest(word, VERBS)
            hint = f" Did you mean '{close}'?" if close else ""
            ctx.fail(f"There is no command '{word}'.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(__version__, prog_name="procsched")
def procsched() -> None:
    """Schedule jobs that crash, leak, hang or burn the CPU: each run is a process."""


def main() -> None:
    """Run the command line; errors of ours are one message, not a traceback."""
    try:
        procsched(prog_name="procsched")
    except ProcschedError as fault:
        click.echo(f"procsched: {fault}", err=True)
        sys.exit(exit_code(fault))


def exit_code(fault: ProcschedError) -> int:
    """Return the exit code that tells a script what went wrong."""
    for kind, code in _EXIT_CODES:
        if isinstance(fault, kind):
            return code
    return EXIT_FAILED
