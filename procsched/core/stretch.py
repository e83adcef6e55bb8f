"""The row of stretches that a time zone is: constant offsets, one after another.

A zone comes in as any `tzinfo`; its changes are found by looking at the offset
every two days and halving where two looks differ, and kept in pages.  All
arithmetic is in whole seconds since 1970: of UTC ("second") or of the zone's
own clock face ("wall").

Imports: errors.  Must not import: zoneinfo, or anything that reads a clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from procsched.errors import ScheduleConfigError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL: Final = EPOCH.toordinal()
EPOCH_WEEKDAY: Final = EPOCH.weekday()
DAY_SECONDS: Final = 86_400
MICROSECOND: Final = timedelta(microseconds=1)

EARLIEST_SECOND: Final = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())
LATEST_SECOND: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
"""Calendar schedules fire from 1900 until 2200 and nowhere else."""

SEARCH_SECONDS: Final = 41 * 366 * DAY_SECONDS
"""How far a search goes before it says never.

A given weekday on 29 February returns after 28 years, and after 40 across 2100,
which is no leap year.  No cron expression waits longer.
"""

_PAGE_BITS: Final = 25
"""Stretches are found and kept in pages of 2**25 seconds, about 13 months."""

_PROBE_SECONDS: Final = 2 * DAY_SECONDS
"""Distance between two looks at a zone's offset.

The shortest time that any IANA zone stayed on an offset before it went back is
four days (Africa/Freetown 1939), so no change hides between two looks.
"""

_PAGES_KEPT: Final = 4096
"""All 599 zones over six years; a page takes about half a kilobyte."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of constant offset, cut at the borders of its page.

    Args:
        start: First second of UTC in it.
        end: First second of UTC after it.
        offset: Wall time minus UTC, in seconds.
        shown: The wall time that the clock had reached when it began.  Later
            than its first wall time, the difference is shown a second time;
            earlier, the difference was left out.
        again: The wall time from which the next stretch repeats this one; its
            own end when nothing is repeated.
    """

    start: int
    end: int
    offset: int
    shown: int
    again: int


def stretch_at(zone: tzinfo, second: int) -> Stretch:
    """Return the stretch of `zone` that holds a second of UTC.

    Args:
        zone: Hashable, as all zones of the standard library are.
        second: From EARLIEST_SECOND to LATEST_SECOND.
    """
    ends, stretches = _page(zone, second >> _PAGE_BITS)
    return stretches[bisect_right(ends, second)]


@lru_cache(maxsize=_PAGES_KEPT)
def _page(zone: tzinfo, number: int) -> tuple[tuple[int, ...], tuple[Stretch, ...]]:
    low, high = number << _PAGE_BITS, (number + 1) << _PAGE_BITS
    # No clock is set by more than two days, so a change further away from the
    # page cannot repeat or leave out anything in it.
    changes = changes_between(zone, low - _PROBE_SECONDS, high + _PROBE_SECONDS)
    starts = [low - _PROBE_SECONDS, *(second for second, _, _ in changes)]
    ends = [*starts[1:], high + _PROBE_SECONDS]
    offsets = [offset_at(zone, second) for second in starts]
    before = [offsets[0], *offsets[:-1]]
    after = [*offsets[1:], offsets[-1]]
    stretches = tuple(
        Stretch(
            start=max(start, low),
            end=min(end, high),
            offset=offset,
            shown=max(start + old, max(start, low) + offset)
            if start < low
            else start + old,
            again=min(end + new, min(end, high) + offset),
        )
        for start, end, offset, old, new in zip(
            starts, ends, offsets, before, after, strict=True
        )
        if end > low and start < high
    )
    return tuple(stretch.end for stretch in stretches), stretches


def changes_between(zone: tzinfo, low: int, high: int) -> list[tuple[int, int, int]]:
    """Return each change of the offset after `low` and up to `high`.

    Returns:
        Second of UTC from which the new offset holds, old and new offset.
    """
    found = []
    second, offset = low, offset_at(zone, low)
    while second < high:
        probe = min(second + _PROBE_SECONDS, high)
        if offset_at(zone, probe) != offset:
            probe = _first_other(zone, second, probe, offset)
            new = offset_at(zone, probe)
            found.append((probe, offset, new))
            offset = new
        second = probe
    return found


def _first_other(zone: tzinfo, low: int, high: int, offset: int) -> int:
    def other(second: int) -> bool:
        return offset_at(zone, second) != offset

    return low + bisect_left(range(low, high), True, key=other)


def offset_at(zone: tzinfo, second: int) -> int:
    """Return wall time minus UTC in seconds at a second of UTC.

    Raises:
        ScheduleConfigError: If the zone has none, or a fraction of a second.
    """
    offset = moment_of(second).astimezone(zone).utcoffset()
    if offset is None or offset.microseconds:
        raise ScheduleConfigError(
            f"the zone {zone} is {offset} away from UTC, which is no whole second",
            remedy="Use an IANA zone, such as zoneinfo.ZoneInfo('Europe/Berlin')",
        )
    return offset.days * DAY_SECONDS + offset.seconds


def moment_of(second: int) -> datetime:
    """Return the aware moment, in UTC, of a second since 1970."""
    return EPOCH + timedelta(0, second)


def whole_second(moment: datetime) -> int:
    """Return the second since 1970 in which `moment` lies.

    Raises:
        ScheduleConfigError: If the moment names no offset from UTC.
    """
    require_aware(moment)
    since = moment - EPOCH
    return since.days * DAY_SECONDS + since.seconds


def require_aware(moment: datetime) -> None:
    """Refuse a moment without an offset from UTC.

    Raises:
        ScheduleConfigError: If it has none.
    """
    if moment.utcoffset() is None:
        raise ScheduleConfigError(
            f"the moment {moment.isoformat()} names no time zone",
            remedy="Add one, as in datetime(2027, 1, 31, 12, tzinfo=UTC)",
        )


def require_zone(zone: object) -> None:
    """Refuse what is no time zone.

    Raises:
        ScheduleConfigError: If it is no `tzinfo`.
    """
    if not isinstance(zone, tzinfo):
        raise ScheduleConfigError(
            f"zone={zone!r} is no time zone",
            remedy="Pass a tzinfo, such as zoneinfo.ZoneInfo('Europe/Berlin')",
        )
