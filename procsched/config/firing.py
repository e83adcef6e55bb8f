"""When the words of a schedule fire: as a trigger, and in a line for people.

Imports: constants, core, config.timetable, config.windows.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final

from procsched.config.timetable import SECONDS_IN, clock_text
from procsched.config.windows import window_in, window_words
from procsched.constants import PLURAL_UNITS, SINGLE_UNITS, WEEKDAYS, Sc
from procsched.core.calendar import Fold, Gap
from procsched.core.cron import parse_cron
from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Either,
    Excluding,
    Interval,
    Once,
    Trigger,
    Weekly,
    lasting,
)

if TYPE_CHECKING:
    from procsched.config.schedule import ScheduleConfig

_ELAPSED: Final = frozenset({*SINGLE_UNITS, *PLURAL_UNITS})
"""Units that count time and look at no clock."""


def trigger_of(config: ScheduleConfig, anchor: datetime, zone: tzinfo) -> Trigger:
    """Return the trigger of a schedule.

    Args:
        config: Read and checked, so its values are canonical.
        anchor: When the job was first scheduled, aware.
        zone: Whose clock it follows.
    """
    says: Any = config
    trigger = _unbound(says, anchor, zone)
    if says.start is not None or says.end is not None:
        trigger = Between(trigger, says.start, says.end)
    if says.exclude:
        windows = tuple(window_in(item, zone) for item in says.exclude)
        trigger = Excluding(trigger, windows)
    return trigger


def _unbound(says: Any, anchor: datetime, zone: tzinfo) -> Trigger:
    """Return the trigger before start, end and exclude have their say."""
    gap, fold = Gap(says.dst_gap), Fold(says.dst_fold)
    if says.cron is not None:
        return Cron(parse_cron(says.cron), zone, gap, fold)
    if says.after is not None:
        return After(says.after)
    if says.once is not None:
        return Once(says.once)
    if says.either is not None:
        return Either(
            tuple(each.trigger(anchor, each.zone(zone)) for each in says.either)
        )
    if says.time_unit in _ELAPSED:
        step = _step(says)
        # The first firing is one step after the zero: with a start, at the start.
        return Interval(step, anchor if says.start is None else says.start - step)
    number = says.every or 1
    first = (says.start or anchor).astimezone(zone).date() if number > 1 else None
    if says.time_unit == Sc.DAY:
        return Daily(says.at, zone, number, first, gap, fold)
    weekday = WEEKDAYS.index(says.time_unit)
    return Weekly(weekday, says.at, zone, number, first, gap, fold)


def _step(says: Any) -> timedelta:
    plural = f"{says.time_unit.removesuffix('s')}s"
    return timedelta(seconds=SECONDS_IN[plural] * (says.every or 1))


def described(config: ScheduleConfig, zone: tzinfo) -> str:
    """Return a schedule in one line."""
    says: Any = config
    words = [_when(says, zone)]
    if says.start is not None:
        words.append(f"from {says.start.isoformat(' ')}")
    if says.end is not None:
        words.append(f"until {says.end.isoformat(' ')}")
    if says.exclude:
        windows = " or ".join(window_words(item) for item in says.exclude)
        words.append(f"except {windows}")
    return " ".join(words)


def _when(says: Any, zone: tzinfo) -> str:
    if says.cron is not None:
        words = parse_cron(says.cron).describe()
        return f"cron '{says.cron}' ({words}) {zone}"
    if says.after is not None:
        return f"{lasting(says.after)} after the end of the last run"
    if says.once is not None:
        return f"once at {says.once.isoformat(' ')}"
    if says.either is not None:
        return ", or ".join(described(each, each.zone(zone)) for each in says.either)
    if says.time_unit in SINGLE_UNITS:
        return f"every {says.time_unit}"
    if says.time_unit in PLURAL_UNITS:
        return f"every {_counted(says.every, says.time_unit.removesuffix('s'))}"
    at: time = says.at
    return f"{_days(says)} at {clock_text(at)} {zone}"


def _days(says: Any) -> str:
    if says.time_unit == Sc.DAY:
        return f"every {_counted(says.every or 1, 'day')}"
    day = says.time_unit.capitalize()
    if (says.every or 1) == 1:
        return f"every {day}"
    return f"every {_counted(says.every, 'week')} on {day}"


def _counted(number: int, unit: str) -> str:
    return unit if number == 1 else f"{number} {unit}s"
