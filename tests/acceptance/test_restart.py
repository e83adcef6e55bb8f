"""A state directory that is used again: the grid goes on, what was missed is told."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from procsched import Auditor, CommandJob, Sc, ScheduleConfig, Scheduler
from procsched.config.settings import Settings
from procsched.testing import ListAgent

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_SECONDS = 30.0
HOURLY = ScheduleConfig(every=1, time_unit=Sc.HOURS)


def scheduler(state: Path) -> Scheduler:
    return Scheduler(
        separate_thread=True, settings=Settings.built_in(), state_dir=state
    )


def live_a_moment(state: Path, config: ScheduleConfig = HOURLY) -> datetime:
    """Schedule, start, end; return when the next run would have been."""
    made = scheduler(state)
    made.schedule_job(CommandJob("hourly", ["true"]), config, run_continuous=True)
    made.start()
    following = made.next_run_time("hourly")
    made.shutdown()
    assert following is not None
    return following


def age(state: Path, by: timedelta) -> None:
    """Let the schedule be older than it is."""
    with sqlite3.connect(state / "history.sqlite3") as connection:
        (anchor,) = connection.execute("SELECT anchor FROM schedules").fetchone()
        older = (datetime.fromisoformat(anchor) - by).isoformat()
        connection.execute("UPDATE schedules SET anchor = ?", (older,))
    connection.close()


def test_a_restart_does_not_move_the_grid(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)

    second = live_a_moment(tmp_path)

    assert second == first


def test_other_words_are_another_grid(tmp_path: Path) -> None:
    live_a_moment(tmp_path)
    began = datetime.now(UTC)

    following = live_a_moment(
        tmp_path, ScheduleConfig(every=2, time_unit=Sc.HOURS, priority=1)
    )

    assert following >= began + timedelta(hours=2)


def test_other_policies_are_the_same_grid(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)

    second = live_a_moment(
        tmp_path, ScheduleConfig(every=1, time_unit=Sc.HOURS, priority=1)
    )

    assert second == first


def test_a_cancelled_job_begins_anew(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)
    made = scheduler(tmp_path)
    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)
    made.start()
    made.cancel_job("hourly")

    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY)

    following = made.next_run_time("hourly")
    made.shutdown()
    assert following is not None
    assert following > first


def test_what_was_missed_while_down_is_caught_up_with(tmp_path: Path) -> None:
    """Down for five hours: the latest time runs, one record tells of the others."""
    live_a_moment(tmp_path)
    age(tmp_path, timedelta(hours=5, minutes=30))
    made = scheduler(tmp_path)
    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)

    made.start()
    made.shutdown(timeout=LIMIT_SECONDS)

    newest, left_out = made.runs()
    assert (newest.outcome, newest.trigger) == ("succeeded", "catch-up")
    assert (left_out.outcome, left_out.covers) == ("coalesced", 4)
    assert left_out.until == newest.nominal_time - timedelta(hours=1)


def test_a_job_added_after_the_start_goes_on_as_well(tmp_path: Path) -> None:
    first = live_a_moment(tmp_path)
    made = scheduler(tmp_path)
    made.start()

    made.schedule_job(CommandJob("hourly", ["true"]), HOURLY, run_continuous=True)

    assert made.next_run_time("hourly") == first
    made.shutdown()


@pytest.mark.parametrize("catch_up", ["none", "latest"])
def test_a_job_that_runs_once_has_nothing_to_catch_up_with(
    tmp_path: Path, catch_up: str
) -> None:
    live_a_moment(tmp_path)
    age(tmp_path, timedelta(hours=5, minutes=30))
    made = scheduler(tmp_path)
    config = ScheduleConfig(every=1, time_unit=Sc.HOURS, catch_up=catch_up)
    made.schedule_job(CommandJob("hourly", ["true"]), config, run_continuous=False)

    made.start()
    made.shutdown(timeout=LIMIT_SECONDS)

    assert made.runs() == []


OUTLIVING = """
import time
from pathlib import Path
from procsched import Auditor, Job, Scheduler, ScheduleConfig

class Outliving(Job):
    def goal(self):
        Path("started").touch()
        for _ in range(1000):
            if Path("go").exists():
                break
            time.sleep(0.02)
        Auditor.audit_params("work", "done", {})
        Path("finished").touch()
        return "finished"

if __name__ == "__main__":
    config = ScheduleConfig(time_unit="second", on_supervisor_loss="{choice}")
    scheduler = Scheduler(state_dir="state")
    scheduler.schedule_job(Outliving(), config, run_continuous=False)
    scheduler.start()
"""


def killed_supervisor(place: Path, choice: str) -> None:
    """Have a program's run begin, and kill the program."""
    (place / "program.py").write_text(OUTLIVING.replace("{choice}", choice))
    with subprocess.Popen(
        [sys.executable, "program.py"], cwd=place, stdout=subprocess.DEVNULL
    ) as running:
        await_file(place / "started")
        running.kill()


def await_file(path: Path) -> None:
    pause = threading.Event()
    for _ in range(int(LIMIT_SECONDS * 100)):
        if path.exists():
            return
        pause.wait(0.01)
    raise AssertionError(path)


def test_a_run_that_may_finish_alone_is_on_record_afterwards(tmp_path: Path) -> None:
    """Its outcome and what it said reach the next scheduler of the directory."""
    killed_supervisor(tmp_path, "finish")
    (tmp_path / "go").touch()
    (report,) = [await_report(tmp_path / "state" / "reports")]
    heard = ListAgent()
    Auditor.add_agent("list", heard)
    made = scheduler(tmp_path / "state")
    made.start()
    made.shutdown()
    Auditor.remove_agent("list")

    (run,) = made.runs("Outliving")
    assert (run.outcome, run.result) == ("succeeded", "finished")
    assert run.ended_at is not None
    assert not report.exists()
    said = [(each.operation, each.status) for each in heard.trails]
    assert said.index(("work", "done")) < said.index(("run.ended", "succeeded"))


def await_report(place: Path) -> Path:
    pause = threading.Event()
    for _ in range(int(LIMIT_SECONDS * 100)):
        for path in place.glob("*.json"):
            return path
        pause.wait(0.01)
    raise AssertionError(place)


def test_a_run_ends_with_its_supervisor_unless_it_may_finish(tmp_path: Path) -> None:
    killed_supervisor(tmp_path, "kill")
    threading.Event().wait(1.0)
    (tmp_path / "go").touch()
    threading.Event().wait(0.2)

    assert not (tmp_path / "finished").exists()


def test_a_report_that_is_none_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "r-1.json").write_text("{")

    live_a_moment(tmp_path)

    assert (tmp_path / "reports" / "r-1.bad").exists()
    assert "cannot be read, and is put aside" in caplog.text
