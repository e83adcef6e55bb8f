"""`procsched explain`: a cron expression in words, and over the next clock changes.

Imports: config, core, cli.next.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from procsched.cli.next import moment
from procsched.config.schedule import ScheduleConfig
from procsched.core.clock_changes import dst_effects

SHOWN = 3
"""Times that show what the words mean."""


@click.command("explain")
@click.argument("expression", metavar="EXPR")
@click.option("--tz", "zone", metavar="ZONE", help="Default: the zone of this host.")
@click.option("--after", type=moment, help="As seen from then; default: now.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def command(
    expression: str,
    zone: str | None,
    after: datetime | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    r"""Say in words when a cron expression fires, and what clock changes do to it.

    \b
    Examples:
      procsched explain "30 2 * * mon-fri" --tz Europe/Berlin
      procsched explain "0 0 L * *"
    """
    schedule = ScheduleConfig(cron=expression, timezone=zone)
    tz = schedule.zone()
    now = after or datetime.now(UTC)
    if now.tzinfo is None:
        now = now.replace(tzinfo=tz)
    times = [each.isoformat(" ") for each in schedule.upcoming(SHOWN, now)]
    effects = [each.text for each in dst_effects(schedule.trigger(now, tz), now)]
    words = schedule.describe()
    if as_json:
        found = {"expression": expression, "words": words, "times": times}
        click.echo(json.dumps({**found, "clock_changes": effects}))
        return
    click.echo(words)
    click.echo(f"  next: {times[0] if times else 'never'}")
    for each in times[1:]:
        click.echo(f"        {each}")
    for each in effects or [f"the clock of {tz} does not change"]:
        click.echo(f"  {each}")
