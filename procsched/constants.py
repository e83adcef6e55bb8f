"""The words of the house: units, weekdays, modes, environments.

Plain strings, so that the YAML file, the database and the code say the same.

Imports: nothing of ours.
"""

from __future__ import annotations

from typing import Final


class Sc:
    """The scheduler's constants, as `Sc.MINUTES`."""

    SECOND: Final = "second"
    SECONDS: Final = "seconds"
    MINUTE: Final = "minute"
    MINUTES: Final = "minutes"
    HOUR: Final = "hour"
    HOURS: Final = "hours"
    DAY: Final = "day"
    MONDAY: Final = "monday"
    TUESDAY: Final = "tuesday"
    WEDNESDAY: Final = "wednesday"
    THURSDAY: Final = "thursday"
    FRIDAY: Final = "friday"
    SATURDAY: Final = "saturday"
    SUNDAY: Final = "sunday"

    PARALLEL: Final = "parallel"
    """A fresh child per run, jobs side by side."""
    SEQUENTIAL: Final = "sequential"
    """The jobs of one schedule one after another in one persistent worker."""

    ENV_DEV: Final = "DEV"
    ENV_TEST: Final = "TEST"
    ENV_PROD: Final = "PROD"


SINGLE_UNITS: Final = (Sc.SECOND, Sc.MINUTE, Sc.HOUR)
"""Units that take no number: every second, minute, hour."""

PLURAL_UNITS: Final = (Sc.SECONDS, Sc.MINUTES, Sc.HOURS)
"""Units that need a number: every n seconds, minutes, hours."""

WEEKDAYS: Final = (
    Sc.MONDAY,
    Sc.TUESDAY,
    Sc.WEDNESDAY,
    Sc.THURSDAY,
    Sc.FRIDAY,
    Sc.SATURDAY,
    Sc.SUNDAY,
)
"""In the order of `datetime.weekday()`: Monday is 0."""

TIME_UNITS: Final = (*SINGLE_UNITS, *PLURAL_UNITS, Sc.DAY, *WEEKDAYS)

MODES: Final = (Sc.PARALLEL, Sc.SEQUENTIAL)
