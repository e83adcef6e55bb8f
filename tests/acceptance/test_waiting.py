"""What a run waits for before it starts, seen through the public names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from facade_jobs import Held, Tells
from watching import HOURLY, LIMIT, settings

from procsched import Limits, Outcome, Sc, ScheduleConfig, Scheduler
from procsched.config.settings import Pressure
from procsched.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from watching import Watcher


def sized(memory: str) -> ScheduleConfig:
    return ScheduleConfig(every=1, time_unit=Sc.HOURS, limits=Limits(memory=memory))


def test_a_run_waits_for_memory_and_its_record_says_so(
    trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    sc = Scheduler(True, settings=settings(memory_budget="4GiB"))
    sc.schedule_job(Held("large", fifo), sized("3GiB"), run_continuous=True)
    sc.schedule_job(Tells("second"), sized("2GiB"))
    sc.start()
    sc.trigger("large")
    trail.until("at work")

    sc.trigger("second")
    said = trail.until("run.waiting")
    waiting_for = sc.jobs()[1].waiting_for
    let_go()
    sc.shutdown()

    reason = "memory: 2 GiB asked, 1 GiB left of 4 GiB"
    assert said.status == "memory"
    assert said.comments == {"reason": reason}
    assert waiting_for == (reason,)
    (run,) = sc.runs("second")
    assert run.outcome == Outcome.SUCCEEDED
    assert run.flags[0].startswith("waited ")
    assert run.flags[0].endswith(" s for memory")


def test_a_job_that_never_fits_is_refused_at_once() -> None:
    sc = Scheduler(True, settings=settings(memory_budget="4GiB"))

    with pytest.raises(JobError, match="limit of 5 GiB is more than the memory_budget"):
        sc.schedule_job(Tells("huge"), sized("5GiB"))

    assert sc.jobs() == []


def test_a_run_of_low_priority_waits_until_the_pressure_is_gone(
    trail: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "io"
    told.write_text("some avg10=70.00 avg60=0.00 avg300=0.00 total=0\n")
    monkeypatch.setattr("procsched.engine.PRESSURE", tmp_path)
    low = ScheduleConfig(every=1, time_unit=Sc.HOURS, priority=-1)
    sc = Scheduler(True, settings=settings(pressure=Pressure(io=50)))
    sc.schedule_job(Tells("low"), low, run_continuous=True)
    sc.schedule_job(Tells("ordinary"), HOURLY)
    sc.start()

    sc.trigger("low")
    sc.trigger("ordinary")
    trail.until("run.waiting", "low")
    trail.until("run.ended", "ordinary")
    waiting_for = sc.jobs()[0].waiting_for
    told.write_text("some avg10=7.00 avg60=0.00 avg300=0.00 total=0\n")
    trail.until("run.ended", "low")
    sc.shutdown(timeout=LIMIT)

    assert waiting_for == ("pressure: io 70 % over 50 %",)
    (run,) = sc.runs("low")
    assert run.outcome == Outcome.SUCCEEDED
    assert run.flags[0].endswith(" s for pressure")
