"""What is allowed and yet may surprise is said when it is scheduled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from procsched import CommandJob, ScheduleConfig, Scheduler
from procsched.config.settings import Settings

if TYPE_CHECKING:
    import pytest

NIGHTLY = ScheduleConfig(cron="30 2 * * *", timezone="Europe/Berlin")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= 30]


def test_a_time_that_a_clock_change_leaves_out_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler(separate_thread=True, settings=Settings.built_in())

    with caplog.at_level(logging.WARNING, "procsched"):
        scheduler.schedule_job(CommandJob("nightly", ["true"]), NIGHTLY)

    gap, fold = sorted(warnings(caplog), key=len)
    told = {gap, fold}
    assert any("02:30 does not exist and fires at 03:00" in text for text in told)
    assert any("02:30 comes twice and fires the first time" in text for text in told)
    assert all(text.startswith("job nightly: ") for text in told)


def test_it_is_told_once_for_all_jobs_of_a_schedule(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler(separate_thread=True, settings=Settings.built_in())

    with caplog.at_level(logging.WARNING, "procsched"):
        for number in range(3):
            job = CommandJob(f"nightly-{number}", ["true"])
            scheduler.schedule_job(job, NIGHTLY)

    assert len(warnings(caplog)) == 2


def test_an_ordinary_schedule_is_told_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler(separate_thread=True, settings=Settings.built_in())

    with caplog.at_level(logging.WARNING, "procsched"):
        scheduler.schedule_job(
            CommandJob("noon", ["true"]), ScheduleConfig(every="12:00", time_unit="day")
        )

    assert warnings(caplog) == []


def test_a_hundred_schedules_are_looked_at_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler(separate_thread=True, settings=Settings.built_in())

    with caplog.at_level(logging.WARNING, "procsched"):
        for number in range(110):
            cron = f"{number % 60} 2 {number // 60 + 1}-28 * *"
            config = ScheduleConfig(cron=cron, timezone="Europe/Berlin")
            scheduler.schedule_job(CommandJob(f"job-{number}", ["true"]), config)

    assert {text.split(":")[0] for text in warnings(caplog)} <= {
        f"job job-{number}" for number in range(100)
    }
    assert warnings(caplog)
