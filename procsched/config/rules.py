"""What a schedule may not say: the rules between two of its words.

Each rule looks at some fields and is left out when one of them could not be
read, so that one mistake is told once.

Imports: constants, config.words, config.timetable.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from procsched.config.timetable import SECONDS_IN, read_time
from procsched.config.words import Complaint, blank, complain, read_words, split_overlap
from procsched.constants import PLURAL_UNITS, SINGLE_UNITS, WEEKDAYS, Sc
from procsched.core.policy import CatchUp, Overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from procsched.config.words import Said

TRIPLE: Final = ("every", "time_unit", "at")

TIME_FIELDS: Final = (*TRIPLE, "cron", "after", "once", "either")
"""The fields that say when; a schedule says one of these ways and no other."""

DATE_FIELDS: Final = ("timezone", "dst_gap", "dst_fold", "start", "end", "exclude")
"""The fields that go with them, also inside `either`."""

FOLLOWERS: Final = {
    "mode": ("recycle",),
    "overlap": ("parallel",),
    "catch_up": ("catch_up_window", "catch_up_max"),
    "breaker": ("breaker_causes", "breaker_probe"),
}
"""Fields that mean something only beside another one."""

Rule = Callable[["Said"], Complaint | None]


def settle(
    said: Said,
    readers: Mapping[str, Callable[[Any, str], Any]],
    unreadable: Iterable[str] = (),
) -> list[Complaint]:
    """Read all words, apply all rules, and return all complaints.

    Args:
        said: Changed in place: canonical values, without the unreadable ones.
        readers: What reads each word.
        unreadable: Words that were said, and refused before.
    """
    for name in TRIPLE:
        if name in said and blank(said[name]):
            del said[name]
    complaints = read_words(said, readers)
    failed = {*unreadable, *(each.field for each in complaints)}
    for fields, rule in RULES:
        if failed.isdisjoint(fields):
            complaint = rule(said)
            if complaint is not None:
                failed.add(complaint.field)
                complaints.append(complaint)
    return complaints


def _one_way(said: Said) -> Complaint | None:
    """Refuse a schedule that names no time, or names it in two ways."""
    ways = [name for name in TIME_FIELDS if name in said]
    if not ways:
        return complain(
            "every",
            "the schedule names no time",
            remedy="Write every=10, time_unit=Sc.MINUTES, or time_unit=Sc.DAY, "
            "at='14:00', or one of `cron`, `after`, `once`, `either`",
        )
    others = [name for name in ways if name not in TRIPLE]
    if not others or len(ways) == 1:
        return None
    first = ways[0]
    return complain(
        others[0] if others[0] != first else others[1],
        f"{first}={said[first]!r} and {others[-1]}={said[others[-1]]!r} are two "
        f"schedules",
        remedy="Keep one of them, or list both in `either`",
    )


def _cap(said: Said) -> Complaint | None:
    if "parallel" in said and said.get("overlap") is not Overlap.PARALLEL:
        overlap = str(said.get("overlap", Overlap.SKIP))
        return complain(
            "parallel",
            f"parallel={said['parallel']} with overlap={overlap!r}, which never has "
            f"two runs at once",
            remedy="Write overlap='parallel' with it, or leave `parallel` out",
        )
    return None


def _sequence(said: Said) -> Complaint | None:
    both = said.get("mode") == Sc.SEQUENTIAL
    if both and said.get("overlap") is Overlap.PARALLEL:
        return complain(
            "overlap",
            "overlap='parallel' with mode='sequential', which runs one job at a time",
            remedy="Write mode=Sc.PARALLEL, or overlap='queue' to lose no firing",
        )
    return None


def _recycle(said: Said) -> Complaint | None:
    mode = said.get("mode", Sc.PARALLEL)
    if "recycle" in said and mode != Sc.SEQUENTIAL:
        return complain(
            "recycle",
            f"recycle with mode={mode!r}, in which each run has a process of its own",
            remedy="Write mode=Sc.SEQUENTIAL with it, or leave `recycle` out",
        )
    return None


def _catch_up(said: Said) -> Complaint | None:
    if said.get("catch_up") is not CatchUp.NONE:
        return None
    for name in FOLLOWERS["catch_up"]:
        if name in said:
            return complain(
                name,
                f"{name}={_plain(said[name])} with catch_up='none', which runs "
                f"nothing late",
                remedy=f"Leave `{name}` out, or write catch_up='latest' or 'all'",
            )
    return None


def _breaker(said: Said) -> Complaint | None:
    for name in FOLLOWERS["breaker"]:
        if name in said and "breaker" not in said:
            return complain(
                name,
                f"{name}={_plain(said[name])} without breaker, so nothing is ever "
                f"suspended",
                remedy=f"Write breaker=5 with it, or leave `{name}` out",
            )
    return None


def _within_period(name: str) -> Rule:
    """Return the rule that a delay stays below the interval it shifts."""

    def rule(said: Said) -> Complaint | None:
        period = _period(said)
        if name not in said or period is None or said[name] < period:
            return None
        return complain(
            name,
            f"{name}={_plain(said[name])} is not less than the interval of "
            f"{_plain(period)}",
            remedy=f"Write a shorter {name}, or a longer interval",
        )

    return rule


def _period(said: Said) -> timedelta | None:
    """Return the shortest time between two firings, where the table says it."""
    unit, every = said.get("time_unit"), said.get("every", 1)
    if unit in SINGLE_UNITS or unit in PLURAL_UNITS:
        plural = f"{unit.removesuffix('s')}s"
        return timedelta(seconds=SECONDS_IN[plural] * every)
    if unit is None:
        return None
    # A day can be as short as 23 hours, yet nobody means that by a day.
    return timedelta(days=every * (7 if unit in WEEKDAYS else 1))


def _span(said: Said) -> Complaint | None:
    """Refuse an end that leaves nothing, and a moment outside of the span."""
    start, end, once = (said.get(name) for name in ("start", "end", "once"))
    if start is not None and end is not None and end < start:
        return complain(
            "end",
            f"end={end.isoformat()} is before start={start.isoformat()}",
            remedy="Exchange the two, or leave one of them out",
        )
    if once is None:
        return None
    for name, edge in (("start", start), ("end", end)):
        if edge is not None and (once < edge if name == "start" else once > edge):
            return complain(
                "once",
                f"once={once.isoformat()} lies outside of {name}={edge.isoformat()}, "
                f"so it never fires",
                remedy=f"Leave `{name}` out: a single moment needs no span",
            )
    return None


def _plain(value: object) -> str:
    """Return a duration in seconds, words as a list, others as they are."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, frozenset):
        return repr(sorted(str(word) for word in value))
    return repr(value)


RULES: Final[tuple[tuple[tuple[str, ...], Rule], ...]] = (
    (TIME_FIELDS, _one_way),
    (TIME_FIELDS, read_time),
    (("overlap", "parallel"), split_overlap),
    (("overlap", "parallel"), _cap),
    (("overlap", "mode"), _sequence),
    (("recycle", "mode"), _recycle),
    (("catch_up", "catch_up_window", "catch_up_max"), _catch_up),
    (("breaker", "breaker_causes", "breaker_probe"), _breaker),
    ((*TIME_FIELDS, "jitter"), _within_period("jitter")),
    ((*TIME_FIELDS, "spread"), _within_period("spread")),
    (("start", "end", "once"), _span),
)
