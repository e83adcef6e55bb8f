"""Random schedules at difficult moments, to compare a trigger with the oracle.

Used by the unit tests with hypothesis' randomness and by the long sweep with a
seed of its own, so that both draw from the same world: all IANA zones, 2000 to
2040, most of it around changes of the clock, and wall times in the small hours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, available_timezones

import oracle

from procsched.core.calendar import Fold, Gap
from procsched.core.cron import parse_cron
from procsched.core.triggers import Cron, Daily, Weekly
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from random import Random

ODD_ZONES: Final = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Caracas",
    "America/Havana",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",
    "Antarctica/Casey",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Asia/Pyongyang",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Istanbul",
    "Pacific/Apia",
    "Pacific/Norfolk",
)
ALL_ZONES: Final = tuple(sorted(available_timezones()))

_YEAR: Final = timedelta(days=400)
_HALF_WINDOW: Final = timedelta(hours=30)
TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: a trigger, and what must become of it from start to end."""

    trigger: Cron | Daily | Weekly
    start: datetime
    end: datetime
    matches: oracle.Matches
    rules: oracle.Rules

    @property
    def expected(self) -> list[datetime]:
        """What the oracle says."""
        zone = self.trigger.zone
        return oracle.firings(self.matches, zone, self.start, self.end, self.rules)

    @property
    def forward(self) -> list[datetime]:
        """What the trigger says, asked for the next one again and again."""
        found = []
        moment = self.trigger.next_after(self.start - TICK)
        while moment is not None and moment <= self.end:
            found.append(moment)
            moment = self.trigger.next_after(moment)
            if moment is not None and moment <= found[-1]:
                # Stuck or running backwards: shown as a difference, not a hang.
                return [*found, moment]
        return found

    @property
    def backward(self) -> list[datetime]:
        """What the trigger says, asked for the last one again and again."""
        found = []
        moment = self.trigger.last_before(self.end + TICK)
        while moment is not None and moment >= self.start:
            found.append(moment)
            moment = self.trigger.last_before(moment)
            if moment is not None and moment >= found[-1]:
                return [moment, *found[::-1]]
        return found[::-1]


def draw(rng: Random) -> Case:
    """Return a random comparison."""
    zone = ZoneInfo(rng.choice(ODD_ZONES if rng.random() < 0.5 else ALL_ZONES))
    middle = difficult_moment(rng, zone)
    gap, fold = rng.choice(list(Gap)), rng.choice(list(Fold))
    kind = rng.random()
    if kind < 0.15:
        return _daily(rng, zone, middle, gap, fold)
    if kind < 0.3:
        return _weekly(rng, zone, middle, gap, fold)
    seconds = kind > 0.96
    text = expression(rng, seconds=seconds)
    rules = oracle.Rules(
        repeats=oracle.repeats(text),
        gap=gap,
        fold=fold,
        step=oracle.SECOND if seconds else oracle.MINUTE,
    )
    half = _HALF_WINDOW / 20 if seconds else _HALF_WINDOW
    trigger = Cron(parse_cron(text), zone, gap, fold)
    return Case(trigger, middle - half, middle + half, oracle.cron(text), rules)


def _daily(rng: Random, zone: ZoneInfo, middle: datetime, gap: Gap, fold: Fold) -> Case:
    at, days, anchor = _clock(rng), rng.choice((1, 1, 1, 2, 3)), _anchor(rng, middle)
    trigger = Daily(at, zone, days, anchor, gap, fold)
    matches = oracle.daily(at.hour, at.minute, days=days, anchor=anchor)
    return _fixed(trigger, middle, matches, gap, fold)


def _weekly(
    rng: Random, zone: ZoneInfo, middle: datetime, gap: Gap, fold: Fold
) -> Case:
    at, weeks, anchor = _clock(rng), rng.choice((1, 1, 1, 2)), _anchor(rng, middle)
    weekday = (middle.weekday() + rng.choice((-1, 0, 0, 1))) % 7
    trigger = Weekly(weekday, at, zone, weeks, anchor, gap, fold)
    matches = oracle.weekly(weekday, at.hour, at.minute, weeks=weeks, anchor=anchor)
    return _fixed(trigger, middle, matches, gap, fold)


def fixed_around(rng: Random, zone: ZoneInfo, change: datetime) -> Case:
    """Return a daily schedule at a wall time near a change of the clock."""
    shift = timedelta(minutes=rng.choice((-60, -30, -15, 0, 1, 15, 30, 59)))
    wall = (change + shift).astimezone(zone)
    gap, fold = rng.choice(list(Gap)), rng.choice(list(Fold))
    # In a gap: what the clock would have shown, had nobody set it.
    before = (change - oracle.MINUTE).astimezone(zone).utcoffset()
    if rng.random() < 0.5 and before is not None:
        wall = (change + shift + before).replace(tzinfo=zone)
    trigger = Daily(wall.time(), zone, gap=gap, fold=fold)
    matches = oracle.daily(wall.hour, wall.minute)
    return _fixed(trigger, change, matches, gap, fold)


def _fixed(
    trigger: Daily | Weekly,
    middle: datetime,
    matches: oracle.Matches,
    gap: Gap,
    fold: Fold,
) -> Case:
    rules = oracle.Rules(gap=gap, fold=fold)
    start, end = middle - 2 * _HALF_WINDOW, middle + 2 * _HALF_WINDOW
    return Case(trigger, start, end, matches, rules)


def _clock(rng: Random) -> time:
    hour = rng.choice((0, 1, 2, 3)) if rng.random() < 0.7 else rng.randrange(24)
    return time(hour, rng.choice((0, 1, 15, 30, 45, 59)))


def _anchor(rng: Random, middle: datetime) -> date:
    return middle.date() - timedelta(days=rng.choice((-1, 0, 1, 2, 3, 14, 365, 5000)))


def difficult_moment(rng: Random, zone: ZoneInfo) -> datetime:
    """Return a whole minute from 2000 to 2040, mostly at a change of the clock."""
    minutes = rng.randrange(40 * 365 * 24 * 60)
    moment = datetime(2000, 1, 3, tzinfo=UTC) + timedelta(minutes=minutes)
    if rng.random() < 0.8:
        return change_after(zone, moment.year) or moment
    return moment


@cache
def change_after(zone: ZoneInfo, year: int) -> datetime | None:
    """Return the minute of the first change of the clock from a year's start on.

    Half of the years start in July, to meet the changes of autumn too.
    """
    low = datetime(year, 1 if year % 2 else 7, 3, tzinfo=UTC)
    limit = low + _YEAR
    while _offset(low, zone) == _offset(low + oracle.DAY, zone):
        low += oracle.DAY
        if low > limit:
            return None
    while _offset(low, zone) == _offset(low + oracle.MINUTE, zone):
        low += oracle.MINUTE
    return low + oracle.MINUTE


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def expression(rng: Random, *, seconds: bool = False) -> str:
    """Return a random cron expression that fires at some time."""
    while True:
        fields = [
            _field(rng, 0, 59),
            str(rng.randrange(4)) if rng.random() < 0.4 else _field(rng, 0, 23),
            _day(rng),
            "*" if rng.random() < 0.8 else _field(rng, 1, 12),
            _weekday(rng),
        ]
        if seconds:
            # Few minutes are walked, so they have to be full of firings.
            fields[1:] = [rng.choice(("*", "*/2", "0-23")), "*", "*", "*"]
            fields.insert(0, _field(rng, 0, 59))
        text = " ".join(fields)
        try:
            parse_cron(text)
        except ScheduleConfigError:
            # A date that no year has, such as 31 February: refused, draw again.
            continue
        return text


def _field(rng: Random, low: int, high: int) -> str:
    one, other = sorted((rng.randint(low, high), rng.randint(low, high)))
    step = rng.randint(1, high - low)
    few = rng.choice((2, 3, 5, 10, 15)) % (high - low) + 1
    return rng.choice(
        (
            "*",
            f"*/{step}",
            f"*/{few}",
            f"{one}",
            f"{other},{one}",
            f"{one}-{other}",
            f"{one}-{other}/{few}",
            f"{low},{one}-{other}",
            f"*/{step},{one}",
        )
    )


def _day(rng: Random) -> str:
    if rng.random() < 0.7:
        return "*"
    marks = ("L", "LW", "1W", f"{rng.randint(1, 31)}W", "15,L")
    return rng.choice((*marks, _field(rng, 1, 31), _field(rng, 1, 31)))


def _weekday(rng: Random) -> str:
    if rng.random() < 0.6:
        return "*"
    number = rng.randint(0, 7)
    words = ("1-5", "mon-fri", "Sun", "sat,SUN", "0", "7", "5-7", "0L", "sunL")
    marks = (f"{number}L", f"{number}#{rng.randint(1, 5)}", "fri#2,1#1", "0-7/3")
    return rng.choice((*words, *marks, _field(rng, 0, 6)))
