"""`procsched simulate`: a whole configuration over any period, without waiting.

Imports: config, core, store, cli.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from procsched.cli.next import moment, name_of
from procsched.cli.options import load, settings_options, state_of
from procsched.clock import local_zone
from procsched.core.outcome import Outcome
from procsched.core.policy import duration
from procsched.core.schedule import Schedule
from procsched.core.simulation import Peak, Simulation, Simulator
from procsched.errors import ScheduleConfigError, UnknownJobError, listed, nearest
from procsched.host import processors
from procsched.store.history import read_runs, to_json

if TYPE_CHECKING:
    from procsched.config.settings import Settings
    from procsched.core.run import RunRecord

ASSUMED = timedelta(seconds=1)
"""How long a run takes of which nobody knows better."""

HISTORY_RUNS = 100
"""Of a job, the newest runs whose median tells how long it takes."""


@click.command("simulate")
@click.option("--from", "start", type=moment, help="Default: now.")
@click.option("--to", "end", type=moment, help="Default: a day later.")
@click.option(
    "--duration",
    "durations",
    multiple=True,
    metavar="JOB=30s",
    help="How long a run of a job takes; else the median of its history, else 1s.",
)
@click.option("--each", is_flag=True, help="Every nominal time, not only the sums.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@settings_options
def command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    start: datetime | None,
    end: datetime | None,
    durations: tuple[str, ...],
    each: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    environment: str,
    config: str | None,
) -> None:
    r"""Say what a configuration would do over a period: runs, skips, peaks.

    \b
    Examples:
      procsched simulate --from 2027-03-27 --to 2027-03-30
      procsched simulate --env PROD --duration database-backup=20m --each
    """
    settings = load(environment, config)
    since = _aware(start or datetime.now(UTC))
    until = _aware(end) if end is not None else since + timedelta(days=1)
    schedules = _schedules(settings, since)
    lasts = _durations(settings, [each.job for each in schedules], durations)
    slots = settings.max_parallel or processors()
    simulator = Simulator(
        slots, lambda job: lasts[job], memory_bytes=settings.budget_bytes
    )
    found = simulator.live(schedules, since.astimezone(UTC), until.astimezone(UTC))
    if as_json:
        for record in found.records:
            click.echo(json.dumps({"kind": "run", **to_json(record)}))
    elif each:
        for record in found.records:
            click.echo(_line(record))
    _sum_up(found, list(lasts), as_json=as_json)


def _aware(said: datetime) -> datetime:
    return said if said.tzinfo else said.replace(tzinfo=local_zone())


def _schedules(settings: Settings, anchor: datetime) -> list[Schedule]:
    found = []
    for declared in settings.jobs:
        config = declared.schedule or settings.schedule
        name = name_of(declared)
        sequence = repr(config) if config.mode == "sequential" else None
        found.append(
            Schedule(
                job=name,
                trigger=config.trigger(anchor),
                policy=config.policy(),
                sequence=sequence,
                delay=config.delay(name),
            )
        )
    return found


def _durations(
    settings: Settings, names: list[str], said: tuple[str, ...]
) -> dict[str, timedelta]:
    lasts = {name: _remembered(settings, name) or ASSUMED for name in names}
    for word in said:
        name, equals, text = word.rpartition("=")
        if not equals:
            raise ScheduleConfigError(
                f"--duration {word!r} says no time",
                remedy="Write --duration JOB=30s",
            )
        if name not in lasts:
            close = nearest(name, lasts)
            raise UnknownJobError(
                f"--duration names {name!r}, which is no job",
                remedy=f"Did you mean '{close}'? Declared are {listed(lasts)}"
                if close
                else f"Declared are {listed(lasts)}",
            )
        lasts[name] = duration(text, name="duration")
    return lasts


def _remembered(settings: Settings, job: str) -> timedelta | None:
    """Return the median of what the job's newest runs took; None without any."""
    runs = read_runs(state_of(settings) / "history.sqlite3", job, HISTORY_RUNS)
    took = [run.usage.wall for run in runs if run.usage is not None]
    return timedelta(seconds=statistics.median(took)) if took else None


def _line(record: RunRecord) -> str:
    nominal = record.nominal_time.astimezone(local_zone())
    began = record.started_at or record.nominal_time
    late = (began - record.nominal_time).total_seconds()
    note = record.reason
    if record.outcome is Outcome.SUCCEEDED:
        note = f"started {late:g} s late" if late else ""
    word = "runs" if record.outcome is Outcome.SUCCEEDED else record.outcome
    return f"{nominal:%Y-%m-%d %H:%M:%S %z}  {record.job}  {word}  {note}".rstrip()


def _sum_up(found: Simulation, jobs: list[str], *, as_json: bool) -> None:
    counts: dict[str, Counter[str]] = {job: Counter() for job in jobs}
    for record in found.records:
        word = "ran" if record.outcome and record.outcome.ran else str(record.outcome)
        counts[record.job][word] += record.covers
    if as_json:
        peak = {"runs": found.peak.runs, "at": _iso(found.peak.at)}
        click.echo(json.dumps({"kind": "summary", "jobs": counts, "peak": peak}))
        return
    width = max([len(job) for job in jobs] + [3])
    click.echo(f"{'JOB':<{width}}  {'RAN':>8}  {'SKIPPED':>8}  {'MISSED':>8}  PEAK")
    for job in jobs:
        of, most = counts[job], found.peaks.get(job, Peak())
        rest = of["missed"] + of["coalesced"]
        row = f"{job:<{width}}  {of['ran']:>8}  {of['skipped']:>8}  {rest:>8}"
        click.echo(f"{row}  {most.runs:>4}")
    if found.peak.at is not None:
        at = found.peak.at.astimezone(local_zone())
        click.echo(f"At most {found.peak.runs} runs at once, first at {at:%c %z}.")


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
