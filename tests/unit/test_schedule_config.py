"""What a schedule may say, and each sentence for what it may not."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from procsched.config.schedule import DEFAULTS, ScheduleConfig
from procsched.constants import Sc
from procsched.core.delay import Delay
from procsched.core.exclusion import Span
from procsched.core.policy import CatchUp, Limits, Overlap, Retry
from procsched.core.recycle import Recycle
from procsched.core.triggers import Daily, Interval
from procsched.errors import ScheduleConfigError

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2027, 1, 4, 10, 0, tzinfo=UTC)


def refusal(**words: Any) -> str:
    with pytest.raises(ScheduleConfigError) as caught:
        ScheduleConfig(**words)
    return str(caught.value)


SEED_TABLE = [
    # Nothing, or half of it.
    (
        {},
        (
            "the schedule names no time. Write every=10, time_unit=Sc.MINUTES, or "
            "time_unit=Sc.DAY, at='14:00', or one of `cron`, `after`, `once`, `either`."
        ),
    ),
    (
        {"every": "", "time_unit": None, "at": " "},
        (
            "the schedule names no time. Write every=10, time_unit=Sc.MINUTES, or "
            "time_unit=Sc.DAY, at='14:00', or one of `cron`, `after`, `once`, `either`."
        ),
    ),
    (
        {"every": 5},
        (
            "every=5 stands without time_unit. Write time_unit=Sc.SECONDS, Sc.MINUTES "
            "or Sc.HOURS with it."
        ),
    ),
    (
        {"every": "14:00"},
        (
            "every='14:00' stands without time_unit. Write time_unit=Sc.DAY, or a "
            "weekday such as Sc.FRIDAY, with it."
        ),
    ),
    (
        {"at": "14:00"},
        (
            "at='14:00' stands without time_unit. Write time_unit=Sc.DAY, or a weekday "
            "such as Sc.FRIDAY, with it."
        ),
    ),
    # second, minute, hour: neither.
    (
        {"every": 5, "time_unit": "second"},
        (
            "every=5 with time_unit='second', which takes no number. Write "
            "time_unit=Sc.SECONDS for every 5 seconds, or leave `every` out for every "
            "second."
        ),
    ),
    (
        {"every": 1, "time_unit": "minute"},
        (
            "every=1 with time_unit='minute', which takes no number. Leave `every` "
            "out: time_unit=Sc.MINUTE alone is every minute."
        ),
    ),
    (
        {"every": "14:00", "time_unit": "hour"},
        (
            "every='14:00' with time_unit='hour', which takes no number. Write "
            "time_unit=Sc.DAY, at='14:00', or leave `every` out."
        ),
    ),
    (
        {"time_unit": "minute", "at": "14:00"},
        (
            "at='14:00' with time_unit='minute', which takes no clock time. Leave `at` "
            "out, or write time_unit=Sc.DAY, at='14:00'."
        ),
    ),
    (
        {"time_unit": "hour", "at": 9},
        (
            "at=9 with time_unit='hour', which takes no clock time. Leave `at` out, or "
            "write time_unit=Sc.DAY, at='09:00'."
        ),
    ),
    # seconds, minutes, hours: a whole number.
    (
        {"time_unit": "seconds"},
        (
            "time_unit='seconds' stands without a number. Write every=5 with it, or "
            "time_unit=Sc.SECOND for every second."
        ),
    ),
    (
        {"every": 0, "time_unit": "seconds"},
        (
            "every=0 with time_unit='seconds' is not above 0. Write a whole number "
            "from 1 up."
        ),
    ),
    (
        {"every": -3, "time_unit": "hours"},
        (
            "every=-3 with time_unit='hours' is not above 0. Write a whole number from "
            "1 up."
        ),
    ),
    (
        {"every": True, "time_unit": "minutes"},
        (
            "every=True with time_unit='minutes' is no whole number. Write one, as in "
            "every=5, time_unit=Sc.MINUTES."
        ),
    ),
    (
        {"every": 5.0, "time_unit": "seconds"},
        (
            "every=5.0 with time_unit='seconds' is no whole number. Write every=5 "
            "without a fraction."
        ),
    ),
    (
        {"every": 1.5, "time_unit": "minutes"},
        (
            "every=1.5 with time_unit='minutes' is no whole number. Write every=90, "
            "time_unit=Sc.SECONDS."
        ),
    ),
    (
        {"every": 0.3, "time_unit": "seconds"},
        (
            "every=0.3 with time_unit='seconds' is no whole number. Write one, as in "
            "every=5, time_unit=Sc.SECONDS."
        ),
    ),
    (
        {"every": 1.0001, "time_unit": "hours"},
        (
            "every=1.0001 with time_unit='hours' is no whole number. Write one, as in "
            "every=5, time_unit=Sc.HOURS."
        ),
    ),
    (
        {"every": "5", "time_unit": "minutes"},
        (
            "every='5' with time_unit='minutes' is no whole number. Write every=5 "
            "without quotes."
        ),
    ),
    (
        {"every": "often", "time_unit": "minutes"},
        (
            "every='often' with time_unit='minutes' is no whole number. Write one, as "
            "in every=5, time_unit=Sc.MINUTES."
        ),
    ),
    (
        {"every": "14:00", "time_unit": "hours"},
        (
            "every='14:00' with time_unit='hours', which takes no clock time. Write "
            "time_unit=Sc.DAY, at='14:00', or a number."
        ),
    ),
    (
        {"every": 5, "time_unit": "minutes", "at": "2pm"},
        (
            "at='2pm' with time_unit='minutes', which takes no clock time. Leave `at` "
            "out, or write time_unit=Sc.DAY, at='14:00'."
        ),
    ),
    (
        {"every": 10**9, "time_unit": "hours"},
        (
            "every=1000000000 with time_unit='hours' is more than a hundred years. "
            "Write 876600 or less, or once= for a single run."
        ),
    ),
    # day and weekdays: one clock time, and perhaps a number.
    (
        {"every": "14:00", "time_unit": "day", "at": "14:00"},
        "every='14:00' and at='14:00' both name a clock time. Keep one: at='14:00'.",
    ),
    (
        {"every": "14:00", "time_unit": "friday", "at": "late"},
        "every='14:00' and at='late' both name a clock time. Keep one: at='14:00'.",
    ),
    (
        {"every": 0, "time_unit": "day"},
        "every=0 with time_unit='day' is not above 0. Write a whole number from 1 up.",
    ),
    (
        {"every": False, "time_unit": "sunday"},
        (
            "every=False with time_unit='sunday' is no whole number. Write one, as in "
            "every=5, time_unit=Sc.SUNDAY."
        ),
    ),
    (
        {"every": 0.5, "time_unit": "day"},
        (
            "every=0.5 with time_unit='day' is no whole number. Write one, as in "
            "every=5, time_unit=Sc.DAY."
        ),
    ),
    (
        {"every": 5300, "time_unit": "monday"},
        (
            "every=5300 with time_unit='monday' is more than a hundred years. Write "
            "5217 or less, or once= for a single run."
        ),
    ),
    (
        {"every": "2", "time_unit": "friday"},
        (
            "every='2' with time_unit='friday' is no clock time, and no number either. "
            "Write every=2 without quotes for a number of weeks."
        ),
    ),
    (
        {"every": "noon", "time_unit": "day"},
        (
            "every='noon' with time_unit='day' is no clock time. Write HH:MM or "
            "HH:MM:SS, such as '14:00' or '06:30:15'."
        ),
    ),
    (
        {"time_unit": "day", "at": "9:00"},
        "at='9:00' with time_unit='day' is no clock time. Write at='09:00'.",
    ),
    (
        {"time_unit": "day", "at": "24:00"},
        "at='24:00' with time_unit='day' is no clock time. Write at='00:00'.",
    ),
    (
        {"time_unit": "day", "at": "25:00"},
        (
            "at='25:00' with time_unit='day' is no clock time. Write HH:MM or "
            "HH:MM:SS, such as '14:00' or '06:30:15'."
        ),
    ),
    (
        {"time_unit": "monday", "at": "12:30 am"},
        "at='12:30 am' with time_unit='monday' is no clock time. Write at='00:30'.",
    ),
    (
        {"time_unit": "day", "at": 1400},
        "at=1400 with time_unit='day' is no clock time. Write at='14:00'.",
    ),
    (
        {"time_unit": "day", "at": True},
        (
            "at=True with time_unit='day' is no clock time. Write HH:MM or HH:MM:SS, "
            "such as '14:00' or '06:30:15'."
        ),
    ),
    (
        {"time_unit": "day", "at": "1\u0664:00"},
        (
            "at='1\u0664:00' with time_unit='day' is no clock time. Write HH:MM or "
            "HH:MM:SS, such as '14:00' or '06:30:15'."
        ),
    ),
    (
        {"time_unit": "day", "at": time(14, 0, tzinfo=UTC)},
        (
            "at=datetime.time(14, 0, tzinfo=datetime.timezone.utc) with "
            "time_unit='day' is no clock time in whole seconds without a zone. Write "
            "timezone= for the zone, and no fraction of a second."
        ),
    ),
    # No unit at all.
    (
        {"every": 5, "time_unit": "day s"},
        "time_unit='day s' is no unit of time. Write time_unit=Sc.DAY.",
    ),
    (
        {"time_unit": "days"},
        "time_unit='days' is no unit of time. Write time_unit=Sc.DAY.",
    ),
    (
        {"time_unit": "minuts"},
        "time_unit='minuts' is no unit of time. Write time_unit=Sc.MINUTES.",
    ),
    (
        {"time_unit": "Fri"},
        "time_unit='Fri' is no unit of time. Write time_unit=Sc.FRIDAY.",
    ),
    ({"time_unit": "h"}, "time_unit='h' is no unit of time. Write time_unit=Sc.HOURS."),
    (
        {"time_unit": "weeks"},
        (
            "time_unit='weeks' is no unit of time. Name the weekday, as in "
            "time_unit=Sc.MONDAY, with every=2 for every second week."
        ),
    ),
    (
        {"time_unit": "monthly"},
        (
            "time_unit='monthly' is no unit of time. Write cron='0 0 1 * *' instead, "
            "for midnight on the first of each month."
        ),
    ),
    (
        {"time_unit": "year"},
        (
            "time_unit='year' is no unit of time. Write cron='0 0 1 1 *' instead, for "
            "midnight on each 1 January."
        ),
    ),
    (
        {"time_unit": "ms"},
        (
            "time_unit='ms' is no unit of time. Write time_unit=Sc.SECOND, which is "
            "the shortest."
        ),
    ),
    (
        {"time_unit": "fortnight"},
        (
            "time_unit='fortnight' is no unit of time. Choose among second, minute, "
            "hour, seconds, minutes, hours, day, monday, tuesday, wednesday, thursday, "
            "friday, saturday, sunday."
        ),
    ),
    (
        {"time_unit": 5},
        "time_unit=5 is no unit of time. Write one as in time_unit=Sc.MINUTES.",
    ),
]


@pytest.mark.parametrize(("words", "message"), SEED_TABLE)
def test_a_wrong_triple_is_refused_with_the_sentence_to_write_instead(
    words: dict[str, Any], message: str
) -> None:
    assert refusal(**words) == message


OTHER_WORDS = [
    (
        {"cron": "0 2 * * *", "after": 10},
        (
            "cron='0 2 * * *' and after=datetime.timedelta(seconds=10) are two "
            "schedules. Keep one of them, or list both in `either`."
        ),
    ),
    (
        {"every": 5, "time_unit": "seconds", "cron": "0 2 * * *"},
        (
            "every=5 and cron='0 2 * * *' are two schedules. Keep one of them, or list "
            "both in `either`."
        ),
    ),
    (
        {"cron": 5},
        "cron=5 is no text. Write five fields in quotes, such as '30 2 * * 1-5'.",
    ),
    (
        {"cron": "99 * * * *"},
        (
            "cannot read the cron expression\n    99 * * * *\n    ^^\nminute 99 is not "
            "between 0 and 59. Write 0 to 59."
        ),
    ),
    (
        {"after": "soon"},
        (
            "after='soon' is not a duration. Write seconds as a number, a timedelta, "
            "or a text such as '90s', '10m' or '1.5h'."
        ),
    ),
    (
        {"once": datetime(2027, 1, 1, 12)},  # noqa: DTZ001 - naive is the point
        (
            "once=2027-01-01T12:00:00 has no offset from UTC. Add one, as in "
            "2027-01-01T12:00:00+00:00, or tzinfo= in Python."
        ),
    ),
    (
        {"once": "tomorrow"},
        (
            "once='tomorrow' is no moment. Write date, time and offset, such as "
            "'2027-01-31T14:00:00+01:00'."
        ),
    ),
    (
        {"once": date(2027, 1, 1)},
        (
            "once=2027-01-01 is no moment. Write date, time and offset, such as "
            "'2027-01-31T14:00:00+01:00'."
        ),
    ),
    (
        {"once": datetime(9999, 1, 1, tzinfo=UTC)},
        (
            "once=9999-01-01T00:00:00+00:00 lies outside of the calendar. Write a year "
            "from 1901 to 2198."
        ),
    ),
    (
        {"either": []},
        (
            "either is no list of schedules. Write either=[ScheduleConfig(...), "
            "ScheduleConfig(...)]."
        ),
    ),
    (
        {"either": [ScheduleConfig(time_unit="day", priority=3)]},
        (
            "either[0] says priority=3, yet of its schedules only the times count. "
            "Write `priority` beside `either`, for all of them."
        ),
    ),
]


@pytest.mark.parametrize(("words", "message"), OTHER_WORDS)
def test_other_ways_to_say_when_are_checked_and_exclude_one_another(
    words: dict[str, Any], message: str
) -> None:
    assert refusal(**words) == message


POLICIES = [
    (
        {"timezone": "Europe/Berln"},
        (
            "timezone='Europe/Berln' is no zone. Write 'Europe/Berlin', if that is the "
            "one you mean."
        ),
    ),
    (
        {"timezone": "Berlin"},
        (
            "timezone='Berlin' is no zone. Write 'Europe/Berlin', if that is the one "
            "you mean."
        ),
    ),
    (
        {"timezone": "../etc/passwd!"},
        (
            "timezone='../etc/passwd!' is no zone. Write an IANA name such as "
            "'Europe/Berlin' or 'UTC'."
        ),
    ),
    (
        {"timezone": timezone(timedelta(hours=1))},
        (
            "timezone=datetime.timezone(datetime.timedelta(seconds=3600)) is no zone "
            "with a name. Write an IANA name such as 'Europe/Berlin', or leave it out "
            "for the zone of this host."
        ),
    ),
    (
        {"overlap": "skipp"},
        "overlap='skipp' is none of its choices. Write overlap='skip'.",
    ),
    (
        {"catch_up": 3},
        "catch_up=3 is none of its choices. Choose among 'all', 'latest', 'none'.",
    ),
    (
        {"parallel": 3},
        (
            "parallel=3 with overlap='skip', which never has two runs at once. Write "
            "overlap='parallel' with it, or leave `parallel` out."
        ),
    ),
    (
        {"overlap": "parallel(0)"},
        (
            "overlap='parallel(0)' is no cap of its own, or contradicts parallel=None. "
            "Write overlap='parallel' and parallel=3, each once, from 1 up."
        ),
    ),
    (
        {"overlap": "parallel(3)", "parallel": 4},
        (
            "overlap='parallel(3)' is no cap of its own, or contradicts parallel=4. "
            "Write overlap='parallel' and parallel=3, each once, from 1 up."
        ),
    ),
    (
        {"mode": "sequential", "overlap": "parallel"},
        (
            "overlap='parallel' with mode='sequential', which runs one job at a time. "
            "Write mode=Sc.PARALLEL, or overlap='queue' to lose no firing."
        ),
    ),
    (
        {"catch_up": "none", "catch_up_max": 3},
        (
            "catch_up_max=3 with catch_up='none', which runs nothing late. Leave "
            "`catch_up_max` out, or write catch_up='latest' or 'all'."
        ),
    ),
    (
        {"catch_up": "none", "catch_up_window": "2h"},
        (
            "catch_up_window=7200 s with catch_up='none', which runs nothing late. "
            "Leave `catch_up_window` out, or write catch_up='latest' or 'all'."
        ),
    ),
    (
        {"breaker_causes": ["crashed"]},
        (
            "breaker_causes=['crashed'] without breaker, so nothing is ever suspended. "
            "Write breaker=5 with it, or leave `breaker_causes` out."
        ),
    ),
    (
        {"breaker": 3, "breaker_causes": "crashed"},
        (
            "breaker_causes='crashed' is no list of outcomes. Write "
            "breaker_causes=['failed', 'timed_out']."
        ),
    ),
    (
        {"breaker": 3, "breaker_causes": ["chrashed"]},
        (
            "breaker_causes names 'chrashed', which is no way for a run to fail. Did "
            "you mean 'crashed'? The ways are 'cancelled', 'crashed', 'exited', "
            "'failed', 'limit_exceeded', 'lost', 'out_of_memory', 'start_failed', "
            "'timed_out'."
        ),
    ),
    (
        {"breaker_probe": 60},
        (
            "breaker_probe=60 s without breaker, so nothing is ever suspended. Write "
            "breaker=5 with it, or leave `breaker_probe` out."
        ),
    ),
    (
        {"breaker": 0},
        "breaker=0 is not a whole number of at least 1. Write breaker=1 or more.",
    ),
    (
        {"jitter": 60},
        (
            "jitter=60 s is not less than the interval of 60 s. Write a shorter "
            "jitter, or a longer interval."
        ),
    ),
    (
        {"spread": "2m"},
        (
            "spread=120 s is not less than the interval of 60 s. Write a shorter "
            "spread, or a longer interval."
        ),
    ),
    (
        {"recycle": 1000, "mode": "sequential"},
        (
            "recycle=1000 does not say when a worker is replaced. Write it as in "
            "recycle=Recycle(runs=1000, age='12h')."
        ),
    ),
    (
        {"recycle": Recycle(runs=9)},
        (
            "recycle with mode='parallel', in which each run has a process of its own. "
            "Write mode=Sc.SEQUENTIAL with it, or leave `recycle` out."
        ),
    ),
    (
        {"retry": -1},
        "retry=-1 is not a whole number of at least 0. Write retry=0 or more.",
    ),
    (
        {"limits": {"wall": 3}},
        (
            "limits={'wall': 3} are no limits. Write them as in limits=Limits(wall=30, "
            "memory='512MiB')."
        ),
    ),
    (
        {"priority": 101},
        (
            "priority=101 is no whole number from -100 to 100. Write 0 for an ordinary "
            "job, more for one that starts first."
        ),
    ),
    (
        {"priority": False},
        (
            "priority=False is no whole number from -100 to 100. Write 0 for an "
            "ordinary job, more for one that starts first."
        ),
    ),
    (
        {"start": MONDAY, "end": MONDAY - timedelta(days=1)},
        (
            "end=2027-01-03T10:00:00+00:00 is before start=2027-01-04T10:00:00+00:00. "
            "Exchange the two, or leave one of them out."
        ),
    ),
    (
        {"exclude": ["always"]},
        (
            "exclude='always' is no date, hours or span. Write a date, '22:00-06:00', "
            "'sat,sun 08:00-20:00', 'sat,sun', or two aware moments."
        ),
    ),
    (
        {"exclude": 5},
        (
            "exclude=5 is no date, hours or span. Write a date, '22:00-06:00', "
            "'sat,sun 08:00-20:00', 'sat,sun', or two aware moments."
        ),
    ),
]


@pytest.mark.parametrize(("words", "message"), POLICIES)
def test_contradictory_policies_are_refused(
    words: dict[str, Any], message: str
) -> None:
    assert refusal(time_unit="minute", **words) == message


def test_a_schedule_that_never_fires_is_refused() -> None:
    assert refusal(time_unit="day", at="14:00", exclude=["13:00-15:00"]) == (
        "the schedule, every day at 14:00 UTC except 13:00-15:00, never fires. Give "
        "it a longer time between start and end, or exclude less."
    )
    assert "never fires" in refusal(
        cron="0 0 29 2 *", start=MONDAY, end=MONDAY + timedelta(days=60)
    )
    assert refusal(once=MONDAY, end=MONDAY - timedelta(days=1)) == (
        "once=2027-01-04T10:00:00+00:00 lies outside of "
        "end=2027-01-03T10:00:00+00:00, so it never fires. Leave `end` out: a single "
        "moment needs no span."
    )


def test_the_error_keeps_problem_and_remedy_apart() -> None:
    with pytest.raises(ScheduleConfigError) as caught:
        ScheduleConfig(every=5, time_unit="days")

    assert caught.value.problem == "time_unit='days' is no unit of time"
    assert caught.value.remedy == "Write time_unit=Sc.DAY"


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        ({"time_unit": "SECOND"}, "10:00:01", "10:00:02"),
        ({"time_unit": Sc.MINUTE}, "10:01:00", "10:02:00"),
        ({"every": "", "time_unit": Sc.HOUR, "at": ""}, "11:00:00", "12:00:00"),
        ({"every": 10, "time_unit": Sc.SECONDS}, "10:00:10", "10:00:20"),
        ({"every": 10, "time_unit": Sc.MINUTES}, "10:10:00", "10:20:00"),
        ({"every": 2, "time_unit": Sc.HOURS}, "12:00:00", "14:00:00"),
        ({"after": "90s"}, "10:01:30", "10:03:00"),
    ],
)
def test_elapsed_time_counts_from_the_anchor(
    words: dict[str, Any], first: str, second: str
) -> None:
    found = ScheduleConfig(**words, timezone="UTC").upcoming(2, MONDAY)

    assert [f"{moment:%H:%M:%S}" for moment in found] == [first, second]


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        ({"time_unit": "day"}, "2027-01-05 00:00", "2027-01-06 00:00"),
        (
            {"every": "14:00", "time_unit": "day"},
            "2027-01-04 14:00",
            "2027-01-05 14:00",
        ),
        ({"time_unit": "day", "at": "09:30"}, "2027-01-05 09:30", "2027-01-06 09:30"),
        ({"every": 3, "time_unit": "day"}, "2027-01-07 00:00", "2027-01-10 00:00"),
        (
            {"every": 2, "time_unit": "day", "at": "14:00"},
            "2027-01-04 14:00",
            "2027-01-06 14:00",
        ),
        ({"time_unit": "friday"}, "2027-01-08 00:00", "2027-01-15 00:00"),
        (
            {"every": "14:00", "time_unit": Sc.FRIDAY},
            "2027-01-08 14:00",
            "2027-01-15 14:00",
        ),
        (
            {"every": 2, "time_unit": "sunday", "at": time(6, 15)},
            "2027-01-10 06:15",
            "2027-01-24 06:15",
        ),
        ({"cron": "@monthly"}, "2027-02-01 00:00", "2027-03-01 00:00"),
        (
            {
                "either": [
                    ScheduleConfig(time_unit="friday"),
                    ScheduleConfig(after=3600),
                ]
            },
            "2027-01-04 11:00",
            "2027-01-04 12:00",
        ),
        (
            {
                "time_unit": "day",
                "exclude": ["sat,sun", "2027-01-05", date(2027, 1, 6)],
            },
            "2027-01-07 00:00",
            "2027-01-08 00:00",
        ),
    ],
)
def test_calendar_times_are_wall_times_of_the_zone(
    words: dict[str, Any], first: str, second: str
) -> None:
    found = ScheduleConfig(**words, timezone="UTC").upcoming(2, MONDAY)

    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in found] == [first, second]


def test_a_clock_time_means_the_same_in_every_and_in_at() -> None:
    assert ScheduleConfig(every="14:00", time_unit="day") == ScheduleConfig(
        time_unit=Sc.DAY, at=time(14, 0)
    )


def test_upcoming_ends_with_the_schedule() -> None:
    assert ScheduleConfig(once=MONDAY).upcoming(5, MONDAY) == []
    assert len(ScheduleConfig(once=MONDAY).upcoming(5, MONDAY - timedelta(1))) == 1
    assert ScheduleConfig(time_unit="day").upcoming(0) == []


def test_upcoming_defaults_to_now() -> None:
    before = datetime.now(UTC)

    (first,) = ScheduleConfig(time_unit="hour").upcoming(1)

    assert timedelta(hours=1) <= first - before < timedelta(hours=1, minutes=1)


def test_upcoming_refuses_a_naive_moment_and_a_strange_number() -> None:
    schedule = ScheduleConfig(time_unit="day")
    with pytest.raises(ScheduleConfigError, match=r"^after=2027-01-01T00:00:00 has no"):
        schedule.upcoming(1, datetime(2027, 1, 1))  # noqa: DTZ001 - naive is the point
    with pytest.raises(ScheduleConfigError, match=r"^n=True is not a whole number"):
        schedule.upcoming(True)
    with pytest.raises(ScheduleConfigError, match=r"^n=-1 is not a whole number"):
        schedule.upcoming(-1)


def test_upcoming_is_told_in_the_zone_of_the_schedule() -> None:
    schedule = ScheduleConfig(every="14:00", time_unit="friday", timezone=BERLIN)

    (first,) = schedule.upcoming(1, MONDAY)

    assert first == datetime(2027, 1, 8, 13, 0, tzinfo=UTC)
    assert first.isoformat() == "2027-01-08T14:00:00+01:00"


def test_with_a_start_an_interval_fires_first_at_it() -> None:
    start = datetime(2027, 2, 1, 8, 0, tzinfo=UTC)
    schedule = ScheduleConfig(
        every=45, time_unit="minutes", start=start, timezone="UTC"
    )

    found = schedule.upcoming(3, MONDAY)

    assert [f"{moment:%H:%M}" for moment in found] == ["08:00", "08:45", "09:30"]


def test_the_end_is_the_last_moment_at_which_it_fires() -> None:
    schedule = ScheduleConfig(
        time_unit="day", end="2027-01-06T00:00:00Z", timezone="UTC"
    )

    assert [moment.day for moment in schedule.upcoming(9, MONDAY)] == [5, 6]


def test_a_span_and_hours_exclude_what_lies_in_them() -> None:
    span = (MONDAY, MONDAY + timedelta(hours=20))
    schedule = ScheduleConfig(
        time_unit="hour", timezone="UTC", exclude=[span, "tue 06:00-24:00"]
    )

    assert [f"{m:%d %H}" for m in schedule.upcoming(2, MONDAY)] == ["06 00", "06 01"]


def test_it_is_described_in_one_line() -> None:
    def line(**words: Any) -> str:
        return ScheduleConfig(**words).describe(UTC)

    assert line(every=10, time_unit="minutes") == "every 10 minutes"
    assert line(every=1, time_unit="hours") == "every hour"
    assert line(time_unit="second") == "every second"
    assert (
        line(every="14:00", time_unit="friday", timezone="Europe/Berlin")
        == "every Friday at 14:00 Europe/Berlin"
    )
    assert line(every=2, time_unit="sunday") == "every 2 weeks on Sunday at 00:00 UTC"
    assert (
        line(every=2, time_unit="day", at="06:30:15") == "every 2 days at 06:30:15 UTC"
    )
    assert line(after="10m") == "10 minutes after the end of the last run"
    assert line(once=MONDAY) == "once at 2027-01-04 10:00:00+00:00"
    assert line(cron="30 2 * * *") == "cron '30 2 * * *' (at 02:30 every day) UTC"
    assert (
        line(
            either=[ScheduleConfig(time_unit="day"), ScheduleConfig(time_unit="hour")],
            start=MONDAY,
            end=MONDAY + timedelta(days=9),
            exclude=["sat,sun", (MONDAY, MONDAY + timedelta(hours=1))],
        )
        == "every day at 00:00 UTC, or every hour from 2027-01-04 10:00:00+00:00 until "
        "2027-01-13 10:00:00+00:00 except sat,sun or from 2027-01-04 10:00 to "
        "2027-01-04 11:00 UTC"
    )


def test_a_time_that_a_change_of_the_clock_touches_is_warned_about() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    early = ScheduleConfig(time_unit="day", at="02:30", timezone="Europe/Berlin")

    assert early.warnings(now=now) == [
        (
            "every day at 02:30 Europe/Berlin: on 2027-03-28 clocks go from 02:00 to "
            "03:00; 02:30 does not exist and fires at 03:00"
        ),
        (
            "every day at 02:30 Europe/Berlin: on 2027-10-31 clocks go from 03:00 to "
            "02:00; 02:30 comes twice and fires the first time only"
        ),
    ]
    assert replace(early, at="14:00").warnings(now=now) == []
    assert replace(early, timezone="UTC").warnings(now=now) == []
    assert ScheduleConfig(either=[early]).warnings(now=now) == early.warnings(now=now)


def test_a_cron_that_repeats_within_the_day_needs_no_warning() -> None:
    schedule = ScheduleConfig(cron="*/10 * * * *", timezone="Europe/Berlin")

    assert schedule.warnings(now=MONDAY) == []


def test_a_moment_that_has_passed_is_warned_about() -> None:
    later = MONDAY + timedelta(days=1)

    assert ScheduleConfig(once=MONDAY).warnings(UTC, now=later) == [
        "once at 2027-01-04 10:00:00+00:00: that moment has passed"
    ]
    assert ScheduleConfig(once=later).warnings(UTC, now=MONDAY) == []


def test_the_trigger_is_made_of_anchor_and_zone() -> None:
    each_minute = ScheduleConfig(time_unit="minute")
    each_third_day = ScheduleConfig(every=3, time_unit="day", at="14:00")
    late = datetime(2027, 1, 4, 23, 30, tzinfo=UTC)

    assert each_minute.trigger(MONDAY) == Interval(timedelta(minutes=1), MONDAY)
    # In Berlin it is the 5th already.
    assert each_third_day.trigger(late, BERLIN) == Daily(
        time(14, 0), BERLIN, 3, date(2027, 1, 5)
    )
    with pytest.raises(
        ScheduleConfigError, match=r"^anchor=2027-01-01T00:00:00 has no"
    ):
        each_minute.trigger(datetime(2027, 1, 1))  # noqa: DTZ001 - naive is the point


def test_the_zone_is_the_schedules_then_the_given_then_the_hosts() -> None:
    assert ScheduleConfig(time_unit="day", timezone="Europe/Berlin").zone(UTC) == BERLIN
    assert ScheduleConfig(time_unit="day").zone(BERLIN) is BERLIN
    assert ScheduleConfig(time_unit="day").zone() is not None


def test_words_take_their_canonical_form() -> None:
    schedule = ScheduleConfig(
        every=10,
        time_unit=" Minutes ",
        overlap="Parallel( 3 )",
        catch_up="ALL",
        jitter="10s",
        retry=2,
        start_deadline=None,
    )

    assert schedule.time_unit == "minutes"
    assert (schedule.overlap, schedule.parallel) == (Overlap.PARALLEL, 3)
    assert schedule.catch_up is CatchUp.ALL
    assert schedule.jitter == timedelta(seconds=10)
    assert schedule.retry == Retry(count=2)
    assert schedule.catch_up_window == timedelta(days=1)


def test_policy_and_delay_are_for_the_core() -> None:
    schedule = ScheduleConfig(
        time_unit="hour", overlap="queue", retry=1, breaker=5, breaker_probe="10m",
        spread="5m",
    )  # fmt: skip

    policy = schedule.policy(Limits(wall=30))

    assert (policy.overlap, policy.retry) == (Overlap.QUEUE, Retry(count=1))
    assert (policy.breaker, policy.breaker_probe) == (5, timedelta(minutes=10))
    assert policy.limits == Limits(wall=30)
    assert replace(schedule, limits=Limits(wall=9)).policy(
        Limits(wall=30)
    ).limits == Limits(wall=9)
    assert schedule.delay("job") == Delay(spread=timedelta(minutes=5), key="job")
    assert replace(schedule, spread=None).delay("job") is None


def test_a_sequence_tells_the_core_when_its_worker_is_replaced() -> None:
    recycle = Recycle(runs=1000, age="12h")
    schedule = ScheduleConfig(time_unit="hour", mode="sequential", recycle=recycle)

    assert schedule.policy().recycle == recycle
    assert ScheduleConfig(time_unit="hour").policy().recycle is None


@pytest.mark.parametrize(
    "words",
    [
        {"every": "14:00", "time_unit": "friday", "timezone": "Europe/Berlin"},
        {"cron": "*/5 * * * *", "exclude": ["sat,sun", date(2027, 1, 1)]},
        {"after": 30, "overlap": "parallel(3)", "retry": 2, "limits": Limits(wall=3)},
        {"either": [ScheduleConfig(time_unit="day"), ScheduleConfig(once=MONDAY)]},
    ],
)
def test_it_is_a_value(words: dict[str, Any]) -> None:
    """Equal when it says the same; it can be sent, hashed, and made again."""
    schedule = ScheduleConfig(**words)

    assert schedule == ScheduleConfig(**words)
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301 - our own
    assert replace(schedule) == schedule
    assert len({schedule, ScheduleConfig(**words)}) == 1


def test_unsaid_words_are_as_documented() -> None:
    assert ScheduleConfig(**{**DEFAULTS, "time_unit": "day"}) == ScheduleConfig(
        time_unit="day"
    )


def test_equal_words_are_shared() -> None:
    one = ScheduleConfig(every="14:00", time_unit="day", retry=3, timezone="UTC")
    other = ScheduleConfig(at="14:00", time_unit="Day", retry=3, timezone="UTC")

    assert one.at is other.at
    assert one.retry is other.retry
    assert one.timezone is other.timezone
    assert one.time_unit is other.time_unit


def test_none_is_as_good_as_unsaid() -> None:
    assert ScheduleConfig(
        time_unit="day",
        catch_up_max=None,
        mode=None,  # type: ignore[arg-type]
    ) == ScheduleConfig(time_unit="day")


def test_what_is_excluded_is_read_in_all_its_forms() -> None:
    def read(item: Any) -> Any:
        return ScheduleConfig(time_unit="hour", exclude=item).exclude

    span = Span(MONDAY, MONDAY + timedelta(hours=1))
    assert read("Sat, Sun  22:00-06:00") == ("sat, sun 22:00-06:00",)
    assert read("mon-fri") == ("mon-fri",)
    assert read(["00:00-12:00"]) == ("00:00-12:00",)
    assert read(date(2027, 1, 1)) == (date(2027, 1, 1),)
    assert read((MONDAY, MONDAY + timedelta(hours=1))) == (span,)
    assert read([span]) == (span,)


@pytest.mark.parametrize(
    "text", ["25:00-26:00", "someday", "mon-tue-wed", "", "funday 08:00-09:00", "8-9"]
)
def test_hours_that_are_none_are_refused(text: str) -> None:
    assert "is no date, hours or span" in refusal(time_unit="hour", exclude=[text])


def test_a_schedule_with_an_end_alone_is_not_searched_for_a_firing() -> None:
    """There is no first moment to search from."""
    schedule = ScheduleConfig(
        time_unit="day", timezone="UTC", end=MONDAY, exclude="00:00-01:00"
    )

    assert schedule.upcoming(1, MONDAY - timedelta(days=2)) == []


def test_a_text_is_no_list_of_schedules() -> None:
    assert refusal(either="day").startswith("either is no list of schedules. ")
    assert refusal(either=ScheduleConfig(time_unit="day")).startswith("either is no")


def test_a_fraction_of_a_second_is_no_clock_time() -> None:
    assert refusal(time_unit="minute", at=time(1, 2, 3, 4)).startswith(
        "at=datetime.time(1, 2, 3, 4) with time_unit='minute', which takes no clock"
    )
    assert refusal(every="14:00", time_unit="day", at=time(1, 2, 3, 4)).endswith(
        "both name a clock time. Keep one: at='14:00'."
    )


def test_what_a_run_does_without_its_supervisor_is_one_of_two() -> None:
    policy = ScheduleConfig(time_unit="day", on_supervisor_loss="finish").policy()
    assert policy.on_supervisor_loss == "finish"

    with pytest.raises(ScheduleConfigError, match="on_supervisor_loss='wait'"):
        ScheduleConfig(time_unit="day", on_supervisor_loss="wait")
