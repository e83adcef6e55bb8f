"""Triggers as values: intervals, days, weeks, bounds, windows, and their words."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procsched.core.calendar import Fold, Gap
from procsched.core.cron import parse_cron
from procsched.core.triggers import (
    After,
    Between,
    Cron,
    Daily,
    Day,
    Either,
    Excluding,
    Hours,
    Interval,
    Once,
    Span,
    Trigger,
    Weekly,
    shifted,
    upcoming,
)
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
"""A Sunday."""
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
NAIVE = datetime(2027, 1, 31)  # noqa: DTZ001 - the fault on trial
END_OF_TIME = datetime.max.replace(tzinfo=UTC)

moments = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)).map(  # noqa: DTZ001 - zone added
    lambda moment: moment.replace(tzinfo=UTC)
)
steps = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(ScheduleConfigError) as caught:
        make()
    return str(caught.value)


def hours(trigger: Trigger, n: int, after: datetime = NOON) -> list[float]:
    """Return the next firings in hours after NOON."""
    return [(each - NOON) / HOUR for each in upcoming(trigger, n, after)]


def test_an_interval_fires_one_step_after_its_anchor_and_not_at_it() -> None:
    assert hours(Interval(HOUR, NOON), 3, NOON - 10 * HOUR) == [1, 2, 3]


def test_a_late_question_does_not_push_the_grid_back() -> None:
    late = NOON + 90 * MINUTE + timedelta(microseconds=1)

    assert hours(Interval(HOUR, NOON), 2, late) == [2, 3]


def test_an_interval_has_no_firing_before_its_first() -> None:
    interval = Interval(HOUR, NOON)

    assert interval.last_before(NOON + HOUR) is None
    assert interval.last_before(NOON + HOUR + MINUTE) == NOON + HOUR


def test_an_interval_does_not_feel_a_change_of_the_clock() -> None:
    """In the night to 28 March 2027 an hour is left out in Berlin."""
    anchor = datetime(2027, 3, 28, 0, tzinfo=BERLIN)

    found = upcoming(Interval(HOUR, anchor), 3, anchor)

    assert found == [datetime(2027, 3, 28, hour, tzinfo=UTC) for hour in (0, 1, 2)]
    assert {moment.tzinfo for moment in found} == {UTC}


def test_an_interval_ends_with_the_calendar() -> None:
    assert Interval(HOUR, NOON).next_after(END_OF_TIME) is None


@given(steps, moments, moments)
def test_an_interval_never_drifts(
    step: timedelta, anchor: datetime, moment: datetime
) -> None:
    """Later by at most one step, and a whole number of them from the anchor."""
    interval = Interval(step, anchor)

    found = interval.next_after(moment)

    assert found is not None
    assert moment < found
    assert found <= max(moment, anchor) + step
    assert (found - anchor) % step == timedelta(0)
    earlier = interval.last_before(found)
    assert earlier == (found - step if found > anchor + step else None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Interval(timedelta(0), NOON),
            (
                "step=0:00:00 is not above 0. Write a duration, as in "
                "step=timedelta(minutes=10)."
            ),
        ),
        (
            lambda: After(-HOUR),
            (
                "delay=-1 day, 23:00:00 is not above 0. Write a duration, as in "
                "delay=timedelta(minutes=10)."
            ),
        ),
        (
            lambda: Interval(HOUR, NAIVE),
            (
                "the moment 2027-01-31T00:00:00 names no time zone. Add one, as in "
                "datetime(2027, 1, 31, 12, tzinfo=UTC)."
            ),
        ),
        (
            lambda: Daily(time(2, 30, tzinfo=UTC), BERLIN),
            (
                "at=02:30:00+00:00 has a zone or a fraction of a second. Write whole "
                "seconds, as in at=time(2, 30), and put the zone into `zone`."
            ),
        ),
        (
            lambda: Daily(time(2), "Europe/Berlin"),  # type: ignore[arg-type]
            (
                "zone='Europe/Berlin' is no time zone. Pass a tzinfo, such as "
                "zoneinfo.ZoneInfo('Europe/Berlin')."
            ),
        ),
        (
            lambda: Daily(time(2), BERLIN, gap="shift"),  # type: ignore[arg-type]
            (
                "gap='shift' is no rule for changes of the clock. Choose among run, "
                "skip, as Gap.RUN."
            ),
        ),
        (
            lambda: Daily(time(2), BERLIN, fold="run"),  # type: ignore[arg-type]
            (
                "fold='run' is no rule for changes of the clock. Choose among first, "
                "second, both, as Fold.FIRST."
            ),
        ),
        (
            lambda: Daily(time(2), BERLIN, days=0),
            "days=0 is not a whole number above 0. Write days=1 for each of them.",
        ),
        (
            lambda: Weekly(0, time(2), BERLIN, weeks=2),
            (
                "weeks=2 has no day to count from. Add anchor, as in "
                "anchor=date(2027, 1, 4), so that a restart does not move it."
            ),
        ),
        (
            lambda: Weekly(7, time(2), BERLIN),
            "weekday=7 is no day of the week. Write 0 for Monday to 6 for Sunday.",
        ),
        (
            lambda: Cron("* * * * *", BERLIN),  # type: ignore[arg-type]
            (
                "expression='* * * * *' is not a parsed expression. Pass "
                "parse_cron('30 2 * * *')."
            ),
        ),
        (
            lambda: Either(()),
            "either of no triggers never fires. Name at least one.",
        ),
        (
            lambda: Between(Once(NOON), NOON, NOON - HOUR),
            (
                "the schedule ends at 2027-01-31T11:00:00+00:00, before it starts at "
                "2027-01-31T12:00:00+00:00. Exchange start and end."
            ),
        ),
        (
            lambda: Span(NOON, NOON),
            (
                "the window from 2027-01-31T12:00:00+00:00 to "
                "2027-01-31T12:00:00+00:00 is empty. Exchange its ends, or "
                "make the end later than the start."
            ),
        ),
        (
            lambda: Hours(time(22), time(6), BERLIN, frozenset({7})),
            (
                "weekdays=frozenset({7}) holds no days of the week. Write "
                "frozenset({5, 6}) for Saturday and Sunday, or None."
            ),
        ),
        (
            lambda: Hours(time(22), time(6, microsecond=1), BERLIN),
            (
                "end=06:00:00.000001 has a zone or a fraction of a second. Write whole "
                "seconds, as in end=time(2, 30), and put the zone into `zone`."
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    make: Callable[[], object], message: str
) -> None:
    assert refusal(make) == message


@pytest.mark.parametrize(
    "trigger",
    [
        Interval(HOUR, NOON),
        Daily(time(2), BERLIN),
        Once(NOON),
        After(HOUR),
        Either((Once(NOON),)),
        Between(After(HOUR), None, NOON),
        Excluding(Once(NOON), ()),
    ],
)
def test_a_naive_moment_is_refused_by_every_trigger(trigger: Trigger) -> None:
    assert "names no time zone" in refusal(lambda: trigger.next_after(NAIVE))
    assert "names no time zone" in refusal(lambda: trigger.last_before(NAIVE))


def test_every_second_day_counts_from_its_anchor() -> None:
    daily = Daily(time(2), BERLIN, days=2, anchor=date(2027, 3, 27))

    found = upcoming(daily, 3, NOON)

    assert [f"{each.astimezone(BERLIN):%m-%d %H:%M}" for each in found] == [
        "03-27 02:00",
        "03-29 02:00",
        "03-31 02:00",
    ]
    assert daily.last_before(found[0]) is None


def test_every_second_week_counts_from_the_first_such_day() -> None:
    """The first Wednesday from Sunday 31 January on is 3 February."""
    weekly = Weekly(2, time(2), BERLIN, weeks=2, anchor=date(2027, 1, 31))

    found = upcoming(weekly, 2, datetime(2026, 1, 1, tzinfo=UTC))

    assert [each.date() for each in found] == [date(2027, 2, 3), date(2027, 2, 17)]


def test_once_is_once() -> None:
    once = Once(NOON.astimezone(BERLIN))

    assert upcoming(once, 3, NOON - HOUR) == [NOON]
    assert once.moment.tzinfo is UTC
    assert once.next_after(NOON) is None
    assert once.last_before(NOON) is None
    assert once.last_before(NOON + HOUR) == NOON


def test_a_delay_counts_from_the_end_of_the_last_run() -> None:
    after = After(HOUR)

    assert after.follows_end
    assert after.next_after(NOON.astimezone(BERLIN)) == NOON + HOUR
    assert after.last_before(NOON) is None
    assert after.next_after(END_OF_TIME) is None


def test_only_what_holds_a_delay_follows_the_end_of_a_run() -> None:
    delay, hourly = After(HOUR), Interval(HOUR, NOON)
    others = (hourly, Once(NOON), Daily(time(2), BERLIN), Weekly(0, time(2), BERLIN))

    assert not any(trigger.follows_end for trigger in others)
    assert Either((hourly, delay)).follows_end
    assert Between(delay).follows_end
    assert Excluding(delay, ()).follows_end
    assert not Between(Cron(parse_cron("@daily"), UTC)).follows_end


def test_either_fires_once_where_two_of_its_triggers_meet() -> None:
    both = Either((Interval(2 * HOUR, NOON), Interval(3 * HOUR, NOON)))

    assert hours(both, 5) == [2, 3, 4, 6, 8]
    assert both.last_before(NOON + 6 * HOUR) == NOON + 4 * HOUR


def test_either_goes_on_when_one_of_its_triggers_has_ended() -> None:
    both = Either((Once(NOON + HOUR), Once(NOON + 2 * HOUR)))

    assert hours(both, 9) == [1, 2]
    assert both.last_before(NOON) is None


@given(moments, st.lists(steps, min_size=1, max_size=3))
@settings(max_examples=50)
def test_either_is_the_union(moment: datetime, lengths: list[timedelta]) -> None:
    parts = tuple(Interval(step + MINUTE, moment) for step in lengths)

    found = upcoming(Either(parts), 10, moment)

    union = {each for part in parts for each in upcoming(part, 10, moment)}
    assert found == sorted(union)[:10]


def test_both_bounds_are_included() -> None:
    bounded = Between(Interval(HOUR, NOON), NOON + 3 * HOUR, NOON + 5 * HOUR)

    assert hours(bounded, 9) == [3, 4, 5]
    assert bounded.last_before(NOON + 99 * HOUR) == NOON + 5 * HOUR
    assert bounded.last_before(NOON + 5 * HOUR) == NOON + 4 * HOUR
    assert bounded.last_before(NOON + 3 * HOUR) is None


def test_the_last_moment_there_is_can_be_a_bound() -> None:
    bounded = Between(Once(END_OF_TIME), None, END_OF_TIME)

    assert bounded.next_after(NOON) == END_OF_TIME
    assert bounded.last_before(END_OF_TIME) is None


def test_a_delay_that_would_end_before_the_start_ends_with_it() -> None:
    assert Between(After(HOUR), NOON + 9 * HOUR).next_after(NOON) == NOON + 9 * HOUR


def test_a_firing_in_an_excluded_span_is_left_out() -> None:
    """From the third hour up to, not including, the fifth."""
    span = Span(NOON + 3 * HOUR, NOON + 5 * HOUR)
    trigger = Excluding(Interval(HOUR, NOON), (span,))

    assert hours(trigger, 4) == [1, 2, 5, 6]
    assert trigger.last_before(NOON + 5 * HOUR) == NOON + 2 * HOUR


def test_a_delay_that_would_end_in_a_window_ends_with_it() -> None:
    span = Span(NOON, NOON + 5 * HOUR)

    assert Excluding(After(HOUR), (span,)).next_after(NOON) == NOON + 5 * HOUR


def test_excluded_hours_may_pass_midnight() -> None:
    night = Hours(time(22), time(6), UTC)
    trigger = Excluding(Interval(HOUR, NOON), (night,))

    assert hours(trigger, 11)[8:] == [9, 18, 19]
    assert trigger.last_before(NOON + 18 * HOUR) == NOON + 9 * HOUR


def test_excluded_hours_belong_to_the_day_on_which_they_begin() -> None:
    """Sunday's night lasts until Monday at six; Monday's night is free."""
    night = Hours(time(22), time(6), UTC, frozenset({6}))
    trigger = Excluding(Interval(4 * HOUR, NOON), (night,))

    assert hours(trigger, 6) == [4, 8, 20, 24, 28, 32]


def test_excluded_hours_with_equal_ends_last_a_day() -> None:
    weekend = Hours(time(0), time(0), UTC, frozenset({5, 6}))
    trigger = Excluding(Interval(HOUR, NOON), (weekend,))

    assert hours(trigger, 2) == [12, 13]


def test_excluded_hours_follow_the_clock_through_both_passes() -> None:
    """02:00 to 03:00 is two hours on 31 October 2027 in Berlin, none in March."""
    window = Hours(time(2), time(3), BERLIN)
    autumn = datetime(2027, 10, 30, 23, tzinfo=UTC)
    spring = datetime(2027, 3, 28, 0, tzinfo=UTC)

    in_autumn = Excluding(Interval(HOUR / 2, autumn), (window,))
    in_spring = Excluding(Interval(HOUR / 2, spring), (window,))

    assert [each.hour for each in upcoming(in_autumn, 3, autumn)] == [23, 2, 2]
    assert upcoming(in_spring, 3, spring)[1:] == [
        spring + HOUR,
        spring + 3 * HOUR / 2,
    ]
    assert in_autumn.last_before(autumn + 3 * HOUR) == autumn + HOUR / 2


def test_an_excluded_date_is_the_one_on_the_clock_of_its_zone() -> None:
    """1 May 2027 in Berlin is from 22:00 UTC the day before."""
    trigger = Excluding(
        Interval(HOUR, datetime(2027, 4, 30, 20, tzinfo=UTC)),
        (Day(date(2027, 5, 1), BERLIN),),
    )

    found = upcoming(trigger, 2, NOON)

    assert found == [
        datetime(2027, 4, 30, 21, tzinfo=UTC),
        datetime(2027, 5, 1, 22, tzinfo=UTC),
    ]


def test_what_is_always_excluded_never_fires() -> None:
    always = (Hours(time(0), time(0), BERLIN),)
    daily = Excluding(Daily(time(3), BERLIN), always)
    every_second = Excluding(Interval(timedelta(seconds=1), NOON), always)

    assert daily.next_after(NOON) is None
    assert daily.last_before(NOON) is None
    assert every_second.next_after(NOON) is None


def test_a_long_exclusion_is_stepped_over_at_once() -> None:
    """A billion firings lie in the span of forty years."""
    span = Span(NOON, NOON + timedelta(days=40 * 365))
    trigger = Excluding(Interval(timedelta(seconds=1), NOON - HOUR), (span,))

    assert trigger.next_after(NOON - timedelta(seconds=1)) == span.end


def test_hours_and_dates_cover_nothing_outside_the_calendar() -> None:
    trigger = Excluding(
        Once(END_OF_TIME), (Hours(time(0), time(0), UTC), Day(date.max, UTC))
    )

    assert trigger.next_after(NOON) == END_OF_TIME


def test_after_a_step_of_the_clock_only_elapsed_time_moves() -> None:
    hourly, daily = Interval(HOUR, NOON), Daily(time(2), BERLIN)
    moved = Interval(HOUR, NOON + MINUTE)

    assert shifted(hourly, MINUTE) == moved
    assert shifted(daily, MINUTE) is daily
    assert shifted(Between(hourly, NOON), MINUTE) == Between(moved, NOON)
    assert shifted(Excluding(hourly, ()), MINUTE) == Excluding(moved, ())
    assert shifted(Either((daily, hourly)), MINUTE) == Either((daily, moved))
    for same in (Between(daily), Excluding(daily, ()), Either((daily,)), Once(NOON)):
        assert shifted(same, MINUTE) is same


def test_upcoming_stops_where_nothing_follows() -> None:
    assert upcoming(Once(NOON), 5, NOON) == []
    assert upcoming(Interval(HOUR, NOON), 0, NOON) == []


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (Interval(timedelta(hours=1, minutes=30), NOON), "every 1 hour 30 minutes"),
        (After(timedelta(seconds=1)), "1 second after the end of the last run"),
        (Once(NOON), "once at 2027-01-31 12:00:00 UTC"),
        (Daily(time(2, 30, 5), BERLIN), "at 02:30:05 every day, Europe/Berlin"),
        (
            Daily(time(2), UTC, 3, date(2027, 1, 4)),
            "at 02:00 every 3 days from 2027-01-04 on, UTC",
        ),
        (Weekly(0, time(2), BERLIN), "at 02:00 every Monday, Europe/Berlin"),
        (
            Weekly(6, time(2), BERLIN, 2, date(2027, 1, 4), Gap.SKIP, Fold.BOTH),
            "at 02:00 every 2 weeks on Sunday from 2027-01-04 on, Europe/Berlin",
        ),
        (Cron(parse_cron("30 2 * * 1-5"), UTC), "at 02:30 on Monday to Friday, UTC"),
        (
            Either((Once(NOON), After(HOUR))),
            "once at 2027-01-31 12:00:00 UTC or 1 hour after the end of the last run",
        ),
        (
            Between(After(HOUR), NOON, NOON + HOUR),
            (
                "1 hour after the end of the last run from 2027-01-31 12:00:00 UTC "
                "until 2027-01-31 13:00:00 UTC"
            ),
        ),
        (Between(After(HOUR)), "1 hour after the end of the last run"),
        (Excluding(After(HOUR), ()), "1 hour after the end of the last run"),
        (
            Excluding(
                After(HOUR),
                (
                    Span(NOON, NOON + HOUR),
                    Hours(time(22), time(6), UTC),
                    Hours(time(0), time(0), UTC, frozenset({6, 5})),
                    Day(date(2027, 5, 1), BERLIN),
                ),
            ),
            (
                "1 hour after the end of the last run, but not from 2027-01-31 12:00 "
                "to 2027-01-31 13:00 UTC, from 22:00 to 06:00, UTC, from 00:00 to "
                "00:00 on "
                "Saturday and Sunday, UTC or on 2027-05-01, Europe/Berlin"
            ),
        ),
    ],
)
def test_a_trigger_is_told_in_words(trigger: Trigger, words: str) -> None:
    assert trigger.describe() == words
