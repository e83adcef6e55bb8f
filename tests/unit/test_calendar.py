"""Wall times and instants: stretches, gaps, folds, and what is said of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest

from procsched.core.calendar import Fold, Gap
from procsched.core.clock_changes import dst_effects, offset_changes
from procsched.core.cron import parse_cron
from procsched.core.stretch import LATEST_SECOND, offset_at, stretch_at, whole_second
from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Either,
    Excluding,
    Interval,
    Once,
    Weekly,
    upcoming,
)
from procsched.errors import ScheduleConfigError

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2027, 3, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)
AUTUMN = datetime(2027, 10, 30, tzinfo=UTC)


def walls(
    text: str, zone: str, after: datetime, n: int, *rules: Gap | Fold
) -> list[str]:
    """Return the next firings as the zone's clock shows them."""
    gap = next((rule for rule in rules if isinstance(rule, Gap)), Gap.RUN)
    fold = next((rule for rule in rules if isinstance(rule, Fold)), Fold.FIRST)
    trigger = Cron(parse_cron(text), ZoneInfo(zone), gap, fold)
    found = upcoming(trigger, n, after)
    back, moment = [], found[-1]
    for _ in found[1:]:
        earlier = trigger.last_before(moment)
        assert earlier is not None
        back.append(earlier)
        moment = earlier
    assert back[::-1] == found[:-1]
    return [f"{each.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for each in found]


def test_a_fixed_time_in_the_gap_fires_once_at_its_end() -> None:
    """28 March 2027 has no 02:30 in Berlin; 03:00 +0200 is the gap's end."""
    assert walls("30 2 * * *", "Europe/Berlin", SPRING, 3) == [
        "27 02:30 +0100",
        "28 03:00 +0200",
        "29 02:30 +0200",
    ]


def test_a_fixed_time_in_the_gap_is_left_out_on_request() -> None:
    assert walls("30 2 * * *", "Europe/Berlin", SPRING, 2, Gap.SKIP) == [
        "27 02:30 +0100",
        "29 02:30 +0200",
    ]


def test_times_in_the_gap_and_one_due_at_its_end_are_one_firing() -> None:
    assert walls("0,20,40 2,3 * * sun", "Europe/Berlin", SPRING, 4) == [
        "28 03:00 +0200",
        "28 03:20 +0200",
        "28 03:40 +0200",
        "04 02:00 +0200",
    ]


@pytest.mark.parametrize(
    ("fold", "shown"),
    [
        (Fold.FIRST, ["30 02:30 +0200", "31 02:30 +0200", "01 02:30 +0100"]),
        (Fold.SECOND, ["30 02:30 +0200", "31 02:30 +0100", "01 02:30 +0100"]),
        (Fold.BOTH, ["30 02:30 +0200", "31 02:30 +0200", "31 02:30 +0100"]),
    ],
)
def test_a_repeated_fixed_time_fires_in_the_pass_that_is_wanted(
    fold: Fold, shown: list[str]
) -> None:
    """31 October 2027 has 02:30 twice in Berlin."""
    before = AUTUMN - timedelta(hours=1)

    assert walls("30 2 * * *", "Europe/Berlin", before, 3, fold) == shown


def test_what_repeats_within_the_day_follows_the_real_clock() -> None:
    """It leaves the gap out and fires in both passes of the fold."""
    spring = walls("30 * * * *", "Europe/Berlin", SPRING + timedelta(days=1), 2)
    autumn = walls("30 * * * *", "Europe/Berlin", AUTUMN + timedelta(days=1), 2)

    assert spring == ["28 01:30 +0100", "28 03:30 +0200"]
    assert autumn == ["31 02:30 +0200", "31 02:30 +0100"]


def test_rules_of_fixed_times_do_not_touch_what_repeats() -> None:
    rules = (Gap.RUN, Fold.SECOND)

    autumn = walls("30 * * * *", "Europe/Berlin", AUTUMN + timedelta(days=1), 2, *rules)

    assert autumn == ["31 02:30 +0200", "31 02:30 +0100"]


def test_lord_howe_changes_by_half_an_hour() -> None:
    """The gap is 02:00 to 02:30 on 3 October 2027, the fold 01:30 to 02:00."""
    zone = "Australia/Lord_Howe"
    spring, autumn = datetime(2027, 10, 2, tzinfo=UTC), datetime(2027, 4, 2, tzinfo=UTC)

    assert walls("15 2 * * *", zone, spring, 2) == ["03 02:30 +1100", "04 02:15 +1100"]
    assert walls("0 */2 * * *", zone, spring + timedelta(hours=13), 3) == [
        "03 00:00 +1030",
        "03 04:00 +1100",
        "03 06:00 +1100",
    ]
    assert walls("45 1 * * *", zone, autumn, 2) == ["03 01:45 +1100", "04 01:45 +1100"]


def test_apia_had_no_30_december_2011() -> None:
    """A whole day in the gap: what was due then fires as the 31st begins."""
    before = datetime(2011, 12, 29, tzinfo=UTC)

    assert walls("0 12 * * *", "Pacific/Apia", before, 3) == [
        "29 12:00 -1000",
        "31 00:00 +1400",
        "31 12:00 +1400",
    ]


def test_st_johns_changed_the_clock_at_one_minute_past_midnight() -> None:
    before = datetime(2010, 11, 6, 12, tzinfo=UTC)

    assert walls("30 23 * * *", "America/St_Johns", before, 3, Fold.BOTH) == [
        "06 23:30 -0230",
        "06 23:30 -0330",
        "07 23:30 -0330",
    ]


def test_dublin_counts_winter_time_as_the_saving() -> None:
    assert walls("30 1 * * *", "Europe/Dublin", SPRING, 3) == [
        "27 01:30 +0000",
        "28 02:00 +0100",
        "29 01:30 +0100",
    ]


def test_an_offset_with_seconds_is_kept() -> None:
    """Monrovia was 44:30 behind UTC until 7 January 1972, then at UTC."""
    trigger = Daily(time(0, 20), ZoneInfo("Africa/Monrovia"))

    found = upcoming(trigger, 2, datetime(1972, 1, 6, tzinfo=UTC))

    assert found == [
        datetime(1972, 1, 6, 1, 4, 30, tzinfo=UTC),
        datetime(1972, 1, 7, 0, 44, 30, tzinfo=UTC),
    ]


def test_a_stretch_that_crosses_a_page_is_cut_there() -> None:
    """A fold at a page's border is the same from both of its sides."""
    page = 1 << 25
    change = datetime.fromtimestamp(page * 54, UTC)

    class Set(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta:
            assert moment is not None
            wall = moment.replace(tzinfo=UTC)
            late = wall - timedelta(hours=1) >= change or (
                wall >= change and moment.fold
            )
            return timedelta(0) if late else timedelta(hours=1)

        def dst(self, moment: datetime | None) -> timedelta | None:
            del moment

        def fromutc(self, moment: datetime) -> datetime:
            if moment.replace(tzinfo=UTC) >= change:
                return moment.replace(
                    fold=int(moment.replace(tzinfo=UTC) < change + HOUR)
                )
            return moment + HOUR

    zone = Set()
    at = (change + timedelta(minutes=30)).time()

    first = Daily(at, zone).next_after(change - HOUR)
    second = Daily(at, zone, fold=Fold.SECOND).next_after(change - HOUR)

    assert first == change - timedelta(minutes=30)
    assert second == change + timedelta(minutes=30)
    assert stretch_at(zone, page * 54 - 1).end == page * 54


def test_nothing_fires_before_1900_or_from_2200_on() -> None:
    trigger = Daily(time(12), UTC)
    first = datetime(1900, 1, 1, 12, tzinfo=UTC)
    last = datetime(2199, 12, 31, 12, tzinfo=UTC)

    assert trigger.next_after(datetime.min.replace(tzinfo=UTC)) == first
    assert trigger.last_before(datetime.max.replace(tzinfo=UTC)) == last
    assert trigger.next_after(last) is None
    assert trigger.last_before(first) is None
    assert trigger.next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert trigger.last_before(datetime.min.replace(tzinfo=UTC)) is None


def test_a_firing_past_the_last_second_is_none() -> None:
    """The page that holds 2200 goes on into it; the calendar does not."""
    trigger = Daily(time(0, 30), UTC, days=2, anchor=date(2200, 1, 1))

    assert trigger.next_after(datetime(2199, 12, 1, tzinfo=UTC)) is None
    assert whole_second(datetime(2200, 1, 1, tzinfo=UTC)) == LATEST_SECOND


def test_a_firing_before_the_first_second_is_none() -> None:
    trigger = Cron(parse_cron("0 0 31 12 *"), UTC)

    assert trigger.last_before(datetime(1900, 6, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("offset", [timedelta(microseconds=1), None])
def test_a_zone_without_a_whole_offset_is_refused(offset: timedelta | None) -> None:
    class Odd(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta | None:
            del moment
            return offset

        def fromutc(self, moment: datetime) -> datetime:
            return moment

        def __str__(self) -> str:
            return "Odd"

    with pytest.raises(ScheduleConfigError) as caught:
        offset_at(Odd(), 0)

    assert str(caught.value) == (
        f"the zone Odd is {offset} away from UTC, which is no whole second. "
        "Use an IANA zone, such as zoneinfo.ZoneInfo('Europe/Berlin')."
    )


def test_a_zone_of_a_fixed_offset_never_changes() -> None:
    assert offset_changes(timezone(timedelta(hours=5, minutes=45)), SPRING, 2) == []


def test_changes_of_the_clock_are_told_in_order() -> None:
    first, second, third = offset_changes(BERLIN, SPRING, 3)

    assert first.at == datetime(2027, 3, 28, 1, tzinfo=UTC)
    assert (first.before, first.after) == (timedelta(hours=1), timedelta(hours=2))
    assert first.skips
    assert not second.skips
    assert [each.at.year for each in (second, third)] == [2027, 2028]


def test_a_change_at_the_moment_asked_for_is_not_after_it() -> None:
    first = offset_changes(BERLIN, datetime(2027, 3, 28, 1, tzinfo=UTC), 1)

    assert first[0].at == datetime(2027, 10, 31, 1, tzinfo=UTC)


def test_a_change_is_found_after_years_without_one() -> None:
    """Pyongyang set its clock back half an hour in 2015 and forward in 2018."""
    found = offset_changes(
        ZoneInfo("Asia/Pyongyang"), datetime(1980, 1, 1, tzinfo=UTC), 5
    )

    assert [each.describe() for each in found] == [
        "on 2015-08-15 clocks go from 00:00 to 2015-08-14 23:30",
        "on 2018-05-04 clocks go from 23:30 to 2018-05-05 00:00",
    ]


@pytest.mark.parametrize(
    ("text", "gap", "fold", "spring", "autumn"),
    [
        (
            "30 2 * * *",
            Gap.RUN,
            Fold.FIRST,
            "02:30 does not exist and fires at 03:00",
            "02:30 comes twice and fires the first time only",
        ),
        (
            "30 2 * * *",
            Gap.SKIP,
            Fold.SECOND,
            "02:30 does not exist and is left out",
            "02:30 comes twice and fires the second time only",
        ),
        (
            "0,30 2 * * *",
            Gap.RUN,
            Fold.BOTH,
            "02:00 and 02:30 do not exist and fire once at 03:00",
            "02:00 and 02:30 come twice and fire both times",
        ),
        (
            "*/15 * * * *",
            Gap.RUN,
            Fold.FIRST,
            "02:00, 02:15, 02:30 and others do not exist and are left out",
            "02:00, 02:15, 02:30 and others come twice and fire both times",
        ),
        (
            "0 12 * * *",
            Gap.RUN,
            Fold.FIRST,
            "no time of the schedule is touched",
            "no time of the schedule is touched",
        ),
    ],
)
def test_what_the_next_two_changes_do_is_a_sentence(
    text: str, gap: Gap, fold: Fold, spring: str, autumn: str
) -> None:
    trigger = Cron(parse_cron(text), BERLIN, gap, fold)

    effects = dst_effects(trigger, SPRING)

    assert [effect.text for effect in effects] == [
        f"on 2027-03-28 clocks go from 02:00 to 03:00; {spring}",
        f"on 2027-10-31 clocks go from 03:00 to 02:00; {autumn}",
    ]
    assert [effect.affected for effect in effects] == [not spring.startswith("no ")] * 2


def test_effects_are_those_of_what_is_wrapped() -> None:
    daily = Daily(time(2, 30), BERLIN)
    weekly = Weekly(6, time(2), BERLIN)
    wrapped = Excluding(Between(Either((weekly, daily)), SPRING), ())

    effects = dst_effects(wrapped, SPRING, 1)

    assert effects == [*dst_effects(weekly, SPRING, 1), *dst_effects(daily, SPRING, 1)]


@pytest.mark.parametrize(
    "trigger",
    [Interval(timedelta(hours=1), SPRING), Once(SPRING), After(timedelta(hours=1))],
)
def test_elapsed_time_knows_no_change_of_the_clock(
    trigger: Interval | Once | After,
) -> None:
    assert dst_effects(trigger, SPRING) == []
