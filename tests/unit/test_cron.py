"""Cron expressions: what they name, what they say, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import oracle
import pytest
from cases import expression
from hypothesis import given, settings
from hypothesis import strategies as st

from procsched.core.cron import MACROS, parse_cron
from procsched.core.triggers import Cron, upcoming
from procsched.errors import ScheduleConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def days_of(text: str, n: int = 6) -> list[str]:
    """Return the next dates of an expression in 2027, which starts on a Friday."""
    found = upcoming(Cron(parse_cron(text), UTC), n, NEW_YEAR - timedelta(seconds=1))
    return [f"{moment:%m-%d}" for moment in found]


def refusal(text: object) -> str:
    with pytest.raises(ScheduleConfigError) as caught:
        parse_cron(text)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "at minute 0 of every hour"),
        ("5,35 * * * *", "at minutes 5 and 35 of every hour"),
        ("30 2 * * 1-5", "at 02:30 on Monday to Friday"),
        ("0 0 1 * *", "at 00:00 on day 1 of the month"),
        ("0 0 1,15-17 * *", "at 00:00 on days 1 and 15 to 17 of the month"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour from midnight on every day"),
        (
            "*/15 9-17 * * mon-fri",
            "every 15 minutes of hours 9 to 17 on Monday to Friday",
        ),
        ("0 9,12,18 * * *", "at 09:00, 12:00 and 18:00 every day"),
        ("30 */6 * * *", "at 00:30, 06:30, 12:30 and 18:30 every day"),
        ("* 5 * * *", "every minute of hour 5 every day"),
        ("0-30 */4 * * *", "at minutes 0 to 30 of every 4th hour from midnight on "),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("30 * * * * *", "at second 30 of every minute"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("*/30 5 * * * *", "every 30 seconds of minute 5 of every hour"),
        ("* 0 2 * * *", "every second of minute 0 of hour 2 every day"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        (
            "0 0 LW,15W * *",
            (
                "at 00:00 on the working day nearest to day 15 of the month and the "
                "last working day of the month"
            ),
        ),
        ("0 0 * * 5L", "at 00:00 on the last Friday of the month"),
        (
            "0 0 * * fri#2,3",
            "at 00:00 on Wednesday and the second Friday of the month",
        ),
        ("0 0 13 * 5", "at 00:00 on day 13 of the month or on Friday"),
        ("0 0 */15 * 1", "at 00:00 on Monday if also on days 1, 16 and 31 of the mon"),
        ("0 0 1-31 * 5", "at 00:00 every day"),
        ("0 0 29 2 *", "at 00:00 on day 29 of the month in February"),
        ("0 0 1 jan,mar-may *", "at 00:00 on day 1 of the month in January and March"),
        ("* * * 12 *", "every minute every day in December"),
    ],
)
def test_an_expression_is_told_in_words(text: str, words: str) -> None:
    told = parse_cron(text).describe()

    assert told == words or (len(words) > 45 and told.startswith(words))


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 0 L * *", ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30"]),
        ("0 0 LW * *", ["01-29", "02-26", "03-31", "04-30", "05-31", "06-30"]),
        ("0 0 15W * *", ["01-15", "02-15", "03-15", "04-15", "05-14", "06-15"]),
        ("0 0 1W * *", ["01-01", "02-01", "03-01", "04-01", "05-03", "06-01"]),
        ("0 0 31W * *", ["01-29", "03-31", "05-31", "07-30", "08-31", "10-29"]),
        ("0 0 10W * *", ["01-11", "02-10", "03-10", "04-09", "05-10", "06-10"]),
        ("0 0 * * 5L", ["01-29", "02-26", "03-26", "04-30", "05-28", "06-25"]),
        ("0 0 * * fri#5", ["01-29", "04-30", "07-30", "10-29", "12-31"]),
        ("0 0 13 * 5", ["01-01", "01-08", "01-13", "01-15", "01-22", "01-29"]),
        ("0 0 29 2 *", ["02-29", "02-29", "02-29"]),
        ("0 0 * * fri-sun", ["01-01", "01-02", "01-03", "01-08", "01-09", "01-10"]),
        ("0 0 * * 0", ["01-03", "01-10", "01-17"]),
        ("0 0 * * 7", ["01-03", "01-10", "01-17"]),
        ("0 0 * * SUNDAY", ["01-03", "01-10", "01-17"]),
        ("0 0 3 JAN-March *", ["01-03", "02-03", "03-03", "01-03"]),
    ],
)
def test_marks_and_names_choose_these_days(text: str, days: list[str]) -> None:
    assert days_of(text, len(days)) == days


def test_a_day_and_a_weekday_are_both_needed_when_one_starts_with_a_star() -> None:
    """Vixie's rule; 14, 27 and 1 are of */13, and Fridays."""
    assert days_of("0 0 */13 * 5", 4) == ["01-01", "05-14", "08-27", "10-01"]


def test_the_second_comes_first_of_six_fields() -> None:
    moment = Cron(parse_cron("15 30 2 * * *"), UTC).next_after(NEW_YEAR)

    assert moment == datetime(2027, 1, 1, 2, 30, 15, tzinfo=UTC)


def test_seconds_are_found_backwards_in_the_same_and_in_an_earlier_minute() -> None:
    trigger = Cron(parse_cron("10,40 * * * * *"), UTC)

    same = trigger.last_before(NEW_YEAR + timedelta(seconds=30))
    minute = trigger.last_before(NEW_YEAR + timedelta(seconds=65))
    hour = trigger.last_before(NEW_YEAR + timedelta(hours=1, seconds=5))

    assert same == NEW_YEAR + timedelta(seconds=10)
    assert minute == NEW_YEAR + timedelta(seconds=40)
    assert hour == NEW_YEAR + timedelta(minutes=59, seconds=40)


@pytest.mark.parametrize("word", sorted(MACROS))
def test_a_macro_is_what_it_stands_for(word: str) -> None:
    macro = Cron(parse_cron(f" {word.upper()} "), UTC)

    written = Cron(parse_cron(MACROS[word]), UTC)
    assert upcoming(macro, 3, NEW_YEAR) == upcoming(written, 3, NEW_YEAR)


@pytest.mark.parametrize(
    ("text", "repeats"),
    [
        ("*/5 1 * * *", True),
        ("0 * * * *", True),
        ("0 */2 * * *", True),
        ("0-59 1 * * *", False),
        ("* 0 2 * * *", False),
        ("0 * 2 * * *", True),
        ("30 2 * * *", False),
    ],
)
def test_minute_or_hour_with_a_star_repeats_within_the_day(
    text: str,
    repeats: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    """The second plays no role in it."""
    assert parse_cron(text).repeats is repeats


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_date_that_no_year_has_is_refused(text: str) -> None:
    assert refusal(text) == (
        f"cannot read the cron expression\n    {text}\n        ^^\n"
        "no month it names has such a day, so it would never fire. "
        "Choose a day that the month has, or 'L' for its last."
    )


def test_a_day_outside_the_week_it_should_be_in_is_refused() -> None:
    """`*/30` is days 1 and 31, and no second Monday is one of them."""
    assert "would never fire" in refusal("0 0 */30 * 1#2")


@pytest.mark.parametrize(
    ("text", "caret", "rule", "remedy"),
    [
        (
            "14 30 * * *",
            "   ^^",
            "hour 30 is not between 0 and 23",
            (
                "Write 0 to 23; or, if two fields are swapped, write '30 14 * * *' for "
                "'at 14:30 every day'"
            ),
        ),
        (
            "0 0 1 13 *",
            "      ^^",
            "month 13 is not between 1 and 12",
            (
                "Write 1 to 12; or, if two fields are swapped, write '0 0 13 1 *' for "
                "'at 00:00 on day 13 of the month in January'"
            ),
        ),
        (
            "60 * * * *",
            "^^",
            "minute 60 is not between 0 and 59",
            "Write 0 to 59 (after 59 comes 0)",
        ),
        (
            "0 0 * * mno",
            "        ^^^",
            "'mno' is no day of week",
            "Did you mean 'mon'? The numbers are 0 to 7",
        ),
        (
            "0 xyz * * *",
            "  ^^^",
            "'xyz' is no hour",
            "Write 0 to 23, '*', a list '1,3', a range '1-3' or a step '*/2'",
        ),
        (
            "5/15 * * * *",
            "^^^^",
            (
                "5 is a single value, and a step needs a range; some crons ignore the "
                "step and others run on to the end"
            ),
            "Write '5-59/15' to run on to the end",
        ),
        (
            "*/90 * * * *",
            "  ^^",
            (
                "a step of 90 is longer than the minute field, where counting starts "
                "anew each time"
            ),
            "Write 1 to 60, or use an interval for every 90 of them",
        ),
        (
            "*/0 * * * *",
            "  ^",
            "the step in the minute is not a number above 0",
            "Write 1 to 60, as in '*/2'",
        ),
        (
            "*/2/2 * * * *",
            "^^^^^",
            "a step is given twice",
            "Write one step, as in '10-40/10'",
        ),
        (
            "1-2-3 * * * *",
            "^^^^^",
            "a range has more than two ends",
            "Write it as in '1-5'",
        ),
        (
            "0 0 * * fri-mon",
            "        ^^^^^^^",
            "the range fri-mon runs backwards",
            "Write '5,6,0,1'",
        ),
        (
            "50-10 * * * *",
            "^^^^^",
            "the range 50-10 runs backwards",
            "Write '50-59,0-10'",
        ),
        (
            "0 0 1 nov-feb/2 *",
            "      ^^^^^^^",
            "the range nov-feb runs backwards",
            "Write '11,1'",
        ),
        (
            "1,,2 * * * *",
            "  ^",
            "a value is missing in the minute",
            "Write one, or take the comma away",
        ),
        (
            "1- * * * *",
            "  ^",
            "a value is missing in the minute",
            "Write one, as in '1-5'",
        ),
        (
            "0 0 ? * *",
            "    ^",
            "'?' is no value of the day of month",
            "Write '*' for a",
        ),
        (
            "0 0 * * fri#6",
            "        ^^^^^",
            "after '#' stands which one of the month is meant",
            "Write 1 to 5, as in 'fri#2' for the second",
        ),
        ("0 0 * * L", "        ^", "'L' is no day of week", "Write 0 to 7"),
    ],
)
def test_a_fault_is_shown_with_its_place_its_rule_and_what_to_write(
    text: str, caret: str, rule: str, remedy: str
) -> None:
    shown = refusal(text)

    start = (
        f"cannot read the cron expression\n    {text}\n    {caret}\n{rule}. {remedy}"
    )
    assert shown.startswith(start)


def test_tabs_do_not_move_the_caret() -> None:
    assert "\n    0 90 * * *\n      ^^\n" in refusal("0\t90 * * *")


def test_a_swap_that_no_year_has_is_not_proposed() -> None:
    """'0 30 0 2 *' could only be read as 30 February."""
    assert "0 0 30 2" not in refusal("0 30 0 2 *")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "0 0 * *",
            (
                "the cron expression '0 0 * *' has 4 fields. Write five: minute, hour, "
                "day of month, month, day of week; or six, with the second before them."
            ),
        ),
        (
            "0 0 0 1 1 ? 2027",
            (
                "the cron expression '0 0 0 1 1 ? 2027' has 7 fields (a year cannot be "
                "given). Write five: minute, hour, day of month, month, day of week; "
                "or "
                "six, with the second before them."
            ),
        ),
        (
            "daily",
            (
                "the cron expression 'daily' has 1 field. Write five: minute, hour, "
                "day of month, month, day of week; or six, with the second before them."
            ),
        ),
        (
            "@reboot",
            (
                "@reboot names no time. Start the job when the scheduler starts, or "
                "from "
                "a systemd unit."
            ),
        ),
        (
            "@dayly",
            (
                "'@dayly' is no cron macro. Did you mean '@daily'? The macros are "
                "'@annually', '@daily', '@hourly', '@midnight', '@monthly', '@weekly', "
                "'@yearly'."
            ),
        ),
        (
            "@x",
            (
                "'@x' is no cron macro. Choose among '@annually', '@daily', '@hourly', "
                "'@midnight', '@monthly', '@weekly', '@yearly'."
            ),
        ),
        (
            "  ",
            "'  ' is no cron expression. Write five fields, as in '30 2 * * mon-fri'.",
        ),
        (
            [],
            "[] is no cron expression. Write five fields, as in '30 2 * * mon-fri'.",
        ),
    ],
)
def test_what_is_no_expression_is_refused(text: object, message: str) -> None:
    assert refusal(text) == message


def test_a_weekday_on_the_leap_day_is_found_across_2100() -> None:
    """Every 28 years, but 40 from 2088 on, because 2100 has no 29 February."""
    trigger = Cron(parse_cron("0 0 29 2 */7"), UTC)

    found = upcoming(trigger, 5, NEW_YEAR)

    assert [moment.year for moment in found] == [2032, 2060, 2088, 2128, 2156]
    assert trigger.last_before(found[3]) == found[2]


def first_days(text: str, days: Iterable[date]) -> list[date]:
    matches = oracle.cron(text)
    midnights = (datetime(day.year, day.month, day.day) for day in days)  # noqa: DTZ001 - wall times
    return [wall.date() for wall in midnights if matches(wall)]


@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_dates_are_those_of_the_oracle_over_nine_years(rng: Random) -> None:
    """Any expression, put at midnight, over 3,300 days forward and backward."""
    text = "0 0 " + expression(rng).split(maxsplit=2)[2]
    begin = date(2000 + rng.randrange(31), 1, 1)
    start = datetime(begin.year, 1, 1, tzinfo=UTC)
    end = start + timedelta(days=3300)
    trigger = Cron(parse_cron(text), UTC)

    forward, moment = [], trigger.next_after(start - timedelta(seconds=1))
    while moment is not None and moment < end:
        forward.append(moment)
        moment = trigger.next_after(moment)
    backward, moment = [], trigger.last_before(end)
    while moment is not None and moment >= start:
        backward.append(moment)
        moment = trigger.last_before(moment)

    days = (begin + timedelta(days=n) for n in range(3300))
    assert [each.date() for each in forward] == first_days(text, days)
    assert backward[::-1] == forward


@given(
    st.sampled_from(["*", "*/30", "29", "30", "31", "31W", "30,31", "*/29"]),
    st.sampled_from(["2", "2,4", "4,6,9,11", "*", "1"]),
    st.sampled_from(["*", "*/7", "1#2", "5#5", "*/6,1#4"]),
)
@settings(max_examples=40, deadline=None)
def test_refused_are_exactly_the_dates_that_a_cycle_of_28_years_lacks(
    day: str, month: str, weekday: str
) -> None:
    text = f"0 0 {day} {month} {weekday}"
    days = (date(2001, 1, 1) + timedelta(days=n) for n in range(28 * 366))
    fires = bool(first_days(text, days))

    try:
        parse_cron(text)
    except ScheduleConfigError:
        assert not fires
    else:
        assert fires
