"""Reading cron expressions.

Five fields as in cron(8) of Vixie, six with the second in front, and the marks
of Quartz: `L`, `LW`, `15W`, `5L`, `5#3`.  What cannot be read is refused with
the place of the fault and what was likely meant.

Where crons differ, this one says:

- Day of month OR day of week when neither field starts with `*`; else AND.
- `5/15` is refused: Vixie's cron ignores the step, Quartz runs on to 59.
- `fri-mon` and `50-10` are refused, with the list to write; `fri-sun` is read.
- Sunday is 0 and 7.  `L` alone in the day of week is refused.
- It *repeats within the day* when minute or hour start with `*`.

Imports: cron_expression, cron_fields, errors.  Must not import: anything that
can do I/O or read a clock.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import combinations
from typing import Final

from procsched.core.cron_expression import CronExpression, can_fire
from procsched.core.cron_fields import KINDS, Chosen, Piece, read_field
from procsched.errors import ScheduleConfigError, listed, nearest

__all__ = ["MACROS", "CronExpression", "parse_cron"]

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_SHORT: Final = 5
"""Fields without the second."""


def parse_cron(text: str) -> CronExpression:
    """Return what a cron expression names.

    Args:
        text: Five fields (minute, hour, day of month, month, day of week), six
            with the second in front, or a macro such as `@daily`.

    Raises:
        ScheduleConfigError: If it cannot be read or never fires; the text shows
            the place of the fault and what was likely meant.
    """
    if not isinstance(text, str) or not text.strip():
        raise ScheduleConfigError(
            f"{text!r} is no cron expression",
            remedy="Write five fields, as in '30 2 * * mon-fri'",
        )
    return _parsed(text)


# A thousand jobs share a few dozen expressions.
@lru_cache(maxsize=4096)
def _parsed(text: str) -> CronExpression:
    pieces = _pieces(text)
    try:
        expression = _composed(text, pieces)
    except ScheduleConfigError as fault:
        meant = _swapped(pieces)
        if meant is None:
            raise
        raise ScheduleConfigError(
            fault.problem,
            remedy=f"{fault.remedy}; or, if two fields are swapped, write "
            f"'{meant.text}' for '{meant.describe()}'",
        ) from None
    if not can_fire(expression):
        raise pieces[-3].fault(
            "no month it names has such a day, so it would never fire",
            remedy="Choose a day that the month has, or 'L' for its last",
        )
    return expression


def _pieces(text: str) -> list[Piece]:
    word = text.strip().casefold()
    if word.startswith("@"):
        text = _macro(word)
    pieces = [
        Piece(text, found.start(), found[0]) for found in re.finditer(r"\S+", text)
    ]
    if len(pieces) not in {_SHORT, len(KINDS)}:
        names = ", ".join(kind.name for kind in KINDS[1:])
        year = " (a year cannot be given)" if len(pieces) > len(KINDS) else ""
        raise ScheduleConfigError(
            f"the cron expression '{text.strip()}' has {len(pieces)} "
            f"{'field' if len(pieces) == 1 else 'fields'}{year}",
            remedy=f"Write five: {names}; or six, with the second before them",
        )
    return pieces


def _macro(word: str) -> str:
    if word in MACROS:
        return MACROS[word]
    if word == "@reboot":
        raise ScheduleConfigError(
            "@reboot names no time",
            remedy="Start the job when the scheduler starts, or from a systemd unit",
        )
    close = nearest(word, MACROS)
    raise ScheduleConfigError(
        f"'{word}' is no cron macro",
        remedy=f"Did you mean '{close}'? The macros are {listed(MACROS)}"
        if close
        else f"Choose among {listed(MACROS)}",
    )


def _composed(text: str, pieces: list[Piece]) -> CronExpression:
    kinds = KINDS[-len(pieces) :]
    chosen = [read_field(*pair) for pair in zip(pieces, kinds, strict=True)]
    minute, hour, day, _, weekday = pieces[-_SHORT:]
    seconds, minutes, hours, days, months, weekdays = [Chosen(1), *chosen][-6:]
    return CronExpression(
        text=text,
        seconds=seconds[0],
        minutes=minutes[0],
        hours=hours[0],
        days=days,
        months=months[0],
        weekdays=weekdays,
        either="*" not in {day.text[0], weekday.text[0]},
        repeats="*" in {minute.text[0], hour.text[0]},
        plain=days.plain and weekdays.plain,
    )


def _swapped(pieces: list[Piece]) -> CronExpression | None:
    """Return the expression with two fields exchanged that can be read, if any."""
    texts = [piece.text for piece in pieces]
    pairs = combinations(range(len(texts)), 2)
    for one, other in sorted(pairs, key=lambda pair: pair[1] - pair[0]):
        trial = list(texts)
        trial[one], trial[other] = texts[other], texts[one]
        text = " ".join(trial)
        try:
            found = _composed(text, _pieces(text))
        except ScheduleConfigError:
            # Not what was meant; the next pair may be.
            continue
        if can_fire(found):
            return found
    return None
