"""One field of a cron expression: from text to the values it chooses.

A `Piece` is text that remembers where in the expression it stands, so that
every refusal can put a caret under the fault.  What a field chooses is a set of
bit masks (`Chosen`); lists are their union.

Imports: errors, constants.  Must not import: the rest of the core.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Final, NamedTuple

from procsched.constants import WEEKDAYS
from procsched.errors import ScheduleConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

MONTHS: Final = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)

_RANGES_SHOWN: Final = 12
"""The longest list of single values that a remedy spells out."""


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What a field may hold.

    Args:
        low: Smallest number.
        high: Largest number; 7 for the day of week, where 0 and 7 are Sunday.
        size: How many different values there are.
        names: Words that stand for numbers, in small letters.
    """

    name: str
    low: int
    high: int
    size: int
    names: Mapping[str, int]


def _named(words: tuple[str, ...], first: int) -> dict[str, int]:
    return {
        word[:length]: number
        for number, word in enumerate(words, first)
        for length in (3, len(word))
    }


SECOND: Final = Kind("second", 0, 59, 60, {})
MINUTE: Final = Kind("minute", 0, 59, 60, {})
HOUR: Final = Kind("hour", 0, 23, 24, {})
DAY: Final = Kind("day of month", 1, 31, 31, {})
MONTH: Final = Kind("month", 1, 12, 12, _named(MONTHS, 1))
WEEKDAY: Final = Kind("day of week", 0, 7, 7, _named((WEEKDAYS[6], *WEEKDAYS[:6]), 0))

KINDS: Final = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class Chosen(NamedTuple):
    """What a field chooses, as bit masks.

    Args:
        values: Bit n for the number n; of weekdays bit 0 is Monday.
        last_day: 1 for `L`, the last day of the month.
        last_workday: 1 for `LW`, its last day from Monday to Friday.
        nearest: Bit n for `nW`, the working day nearest to day n.
        last_weekdays: Bit w for `5L`, the last such weekday of the month.
        nth: Bit 7 * (n - 1) + w for `5#n`, the n-th such weekday.
    """

    values: int = 0
    last_day: int = 0
    last_workday: int = 0
    nearest: int = 0
    last_weekdays: int = 0
    nth: int = 0

    def __or__(self, other: Chosen) -> Chosen:
        """Choose what either chooses."""
        return Chosen(*(mine | its for mine, its in zip(self, other, strict=True)))

    @property
    def plain(self) -> bool:
        """Whether it chooses by number alone, the same in every month."""
        return not any(self[1:])


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an expression that knows its place.

    Args:
        whole: The expression.
        start: Where in it `text` begins.
        text: The part.
    """

    whole: str
    start: int
    text: str

    def split(self, separator: str) -> list[Piece]:
        """Return the parts between separators, each with its place."""
        parts, start = [], self.start
        for text in self.text.split(separator):
            parts.append(Piece(self.whole, start, text))
            start += len(text) + len(separator)
        return parts

    def fault(self, rule: str, *, remedy: str) -> ScheduleConfigError:
        """Return the refusal of this part, with a caret under it.

        Args:
            rule: What is wrong, as a full clause.
            remedy: What to write, as an imperative.
        """
        shown = re.sub(r"\s", " ", self.whole)
        caret = " " * self.start + "^" * max(len(self.text), 1)
        return ScheduleConfigError(
            f"cannot read the cron expression\n    {shown}\n    {caret}\n{rule}",
            remedy=remedy,
        )


def read_field(piece: Piece, kind: Kind) -> Chosen:
    """Return what one field chooses.

    Raises:
        ScheduleConfigError: If the field cannot be read; the text shows where.
    """
    try:
        return _known(piece.text, kind)
    except ScheduleConfigError:
        # Read again where it stands, for a caret under the right place.
        return _union(piece, kind)


# Expressions differ, but their fields are the same few: "*", "0", "1-5".
@lru_cache(maxsize=4096)
def _known(text: str, kind: Kind) -> Chosen:
    return _union(Piece(text, 0, text), kind)


def _union(piece: Piece, kind: Kind) -> Chosen:
    return reduce(Chosen.__or__, [_item(part, kind) for part in piece.split(",")])


def _item(piece: Piece, kind: Kind) -> Chosen:
    if not piece.text:
        raise piece.fault(
            f"a value is missing in the {kind.name}",
            remedy="Write one, or take the comma away",
        )
    if piece.text == "?":
        raise piece.fault(
            f"'?' is no value of the {kind.name}", remedy="Write '*' for any"
        )
    mark = _mark(piece, kind)
    if mark is not None:
        return mark
    body, *steps = piece.split("/")
    if len(steps) > 1:
        raise piece.fault(
            "a step is given twice", remedy="Write one step, as in '10-40/10'"
        )
    step = _step(steps[0], kind) if steps else 1
    if body.text == "*":
        return _values(range(kind.low, kind.low + kind.size, step), kind)
    low, *highs = body.split("-")
    if len(highs) > 1:
        raise body.fault(
            "a range has more than two ends", remedy="Write it as in '1-5'"
        )
    if highs:
        return _range(body, low, highs[0], step, kind)
    number = _number(low, kind)
    if steps:
        raise piece.fault(
            f"{body.text} is a single value, and a step needs a range; some crons "
            "ignore the step and others run on to the end",
            remedy=f"Write '{body.text}-{kind.high}/{step}' to run on to the end",
        )
    return _values((number,), kind)


def _range(body: Piece, low: Piece, high: Piece, step: int, kind: Kind) -> Chosen:
    first, last = _number(low, kind), _number(high, kind)
    # "fri-sun" reads well although Sunday is 0: at the end of a range it is 7.
    if kind is WEEKDAY and last == 0 < first and not high.text.isdigit():
        last = kind.high
    if first > last:
        raise body.fault(
            f"the range {body.text} runs backwards",
            remedy=f"Write '{_unrolled(first, last, step, kind)}'",
        )
    return _values(range(first, last + 1, step), kind)


def _unrolled(first: int, last: int, step: int, kind: Kind) -> str:
    """Return the list that a range across the end of its field stands for."""
    numbers = list(range(first, last + kind.size + 1, step))
    numbers = [(each - kind.low) % kind.size + kind.low for each in numbers]
    if step == 1 and len(numbers) > _RANGES_SHOWN:
        end = kind.low + kind.size - 1
        return f"{first}-{end},{kind.low}-{last}"
    return ",".join(map(str, numbers))


def _step(piece: Piece, kind: Kind) -> int:
    step = int(piece.text) if re.fullmatch("[0-9]{1,9}", piece.text) else 0
    if not step:
        raise piece.fault(
            f"the step in the {kind.name} is not a number above 0",
            remedy=f"Write 1 to {kind.size}, as in '*/2'",
        )
    if step > kind.size:
        raise piece.fault(
            f"a step of {step} is longer than the {kind.name} field, "
            "where counting starts anew each time",
            remedy=f"Write 1 to {kind.size}, or use an interval for every {step} "
            "of them",
        )
    return step


def _number(piece: Piece, kind: Kind) -> int:
    if re.fullmatch("[0-9]{1,9}", piece.text):
        number = int(piece.text)
        if kind.low <= number <= kind.high:
            return number
        wraps = number == kind.size and not kind.low
        raise piece.fault(
            f"{kind.name} {number} is not between {kind.low} and {kind.high}",
            remedy=f"Write {kind.low} to {kind.high}"
            f"{f' (after {kind.high} comes {kind.low})' if wraps else ''}",
        )
    if not piece.text:
        raise piece.fault(
            f"a value is missing in the {kind.name}", remedy="Write one, as in '1-5'"
        )
    found = kind.names.get(piece.text.casefold())
    if found is not None:
        return found
    close = nearest(piece.text, kind.names)
    raise piece.fault(
        f"'{piece.text}' is no {kind.name}",
        remedy=f"Did you mean '{close}'? The numbers are {kind.low} to {kind.high}"
        if close
        else f"Write {kind.low} to {kind.high}, '*', a list '1,3', a range '1-3' "
        "or a step '*/2'",
    )


def _values(numbers: range | tuple[int, ...], kind: Kind) -> Chosen:
    # Cron counts from Sunday, `datetime.weekday()` from Monday.
    shift = 6 if kind is WEEKDAY else 0
    if shift:
        return Chosen(sum({1 << (number + shift) % 7 for number in numbers}))
    return Chosen(sum(1 << number for number in numbers))


def _mark(piece: Piece, kind: Kind) -> Chosen | None:
    """Return what `L`, `LW`, `15W`, `5L` and `5#3` choose; None for other text."""
    text = piece.text.upper()
    if kind is DAY:
        if text == "L":
            return Chosen(last_day=1)
        if text in {"LW", "WL"}:
            return Chosen(last_workday=1)
        if text.endswith("W"):
            day = Piece(piece.whole, piece.start, piece.text[:-1])
            return Chosen(nearest=1 << _number(day, kind))
    if kind is WEEKDAY and text != "L":
        if "#" in text:
            return _nth(piece)
        if text.endswith("L"):
            weekday = Piece(piece.whole, piece.start, piece.text[:-1])
            values = _values((_number(weekday, kind),), kind).values
            return Chosen(last_weekdays=values)
    return None


def _nth(piece: Piece) -> Chosen:
    weekday, *orders = piece.split("#")
    mask = _values((_number(weekday, WEEKDAY),), WEEKDAY).values
    if len(orders) == 1 and orders[0].text in {"1", "2", "3", "4", "5"}:
        return Chosen(nth=mask << 7 * (int(orders[0].text) - 1))
    raise piece.fault(
        "after '#' stands which one of the month is meant",
        remedy=f"Write 1 to 5, as in '{weekday.text}#2' for the second",
    )
