"""A time zone by its IANA name, with the nearest one for a name that is none.

Imports: errors.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from zoneinfo import ZoneInfo, available_timezones

from procsched.errors import ScheduleConfigError, nearest


@lru_cache(maxsize=1024)
def zone_named(key: str) -> ZoneInfo:
    """Return an IANA zone.

    Raises:
        ScheduleConfigError: If there is none of that name; it suggests one.
    """
    try:
        return ZoneInfo(key)
    except (OSError, ValueError, KeyError):
        # A folder, a path out of the tree, no such zone (PEP 615).
        close = nearest(key, available_timezones()) or _by_city(key)
    raise ScheduleConfigError(
        f"timezone={key!r} is no zone",
        remedy=f"Write '{close}', if that is the one you mean"
        if close
        else "Write an IANA name such as 'Europe/Berlin' or 'UTC'",
    )


def _by_city(key: str) -> str | None:
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(available_timezones())}
    city = nearest(key.rpartition("/")[2].strip().replace(" ", "_"), cities)
    return cities[city] if city else None


def read_zone(value: object, name: str) -> str:
    """Return the IANA name of a zone.

    Raises:
        ScheduleConfigError: If there is none of that name, or the zone has none.
    """
    if isinstance(value, ZoneInfo) and value.key and value.key != "localtime":
        return intern(value.key)
    if isinstance(value, str):
        zone_named(value)
        return intern(value)
    raise ScheduleConfigError(
        f"{name}={value!r} is no zone with a name",
        remedy="Write an IANA name such as 'Europe/Berlin', or leave it out for the "
        "zone of this host",
    )
