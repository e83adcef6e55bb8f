"""The promises, on real processes and in real time.

Fifty jobs go on for PROCSCHED_FIFTY_SECONDS, 10 by default; `scripts/fifty_jobs`
runs the full minute and prints what came of it.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import psutil
from facade_jobs import Crashes, Grows, Held, Named, Tells
from watching import LIMIT, SECONDLY, settings

from procsched import Outcome, Sc, ScheduleConfig, Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from watching import Watcher

    from procsched.core.run import RunRecord

FIFTY_SECONDS = int(os.environ.get("PROCSCHED_FIFTY_SECONDS", "10"))


def nominal_times(runs: list[RunRecord]) -> list[datetime]:
    """Return every nominal time that the records speak for, in order."""
    second = timedelta(seconds=1)
    return sorted(
        run.nominal_time + number * second
        for run in runs
        for number in range(run.covers)
    )


def test_fifty_jobs_every_second_have_one_outcome_for_each_nominal_time(
    trail: Watcher, tmp_path: Path
) -> None:
    """P1: it ran, or it was skipped, missed or coalesced; nothing twice or never."""
    names = [f"job-{number}" for number in range(50)]
    with Scheduler(
        True, settings=settings(schedule=SECONDLY), state_dir=tmp_path / "state"
    ) as sc:
        for name in names:
            sc.schedule_job(Named(name), run_continuous=True)
        sc.start()
        for number in range(1, FIFTY_SECONDS + 1):
            trail.until_true(
                lambda seen, number=number: (
                    sum(  # type: ignore[misc]
                        len(seen.find(f"run.{word}", "job-0"))
                        for word in ("ended", "skipped", "missed", "coalesced")
                    )
                    >= number
                )
            )

    records = sc.runs(limit=1_000_000)
    outcomes = Counter(run.outcome for run in records)
    print(f"{FIFTY_SECONDS} s: {dict(outcomes)}")  # noqa: T201 - what came of it
    assert None not in outcomes
    for name in names:
        times = nominal_times([run for run in records if run.job == name])
        assert len(times) >= FIFTY_SECONDS - 1, name
        steps = {after - before for before, after in pairwise(times)}
        assert steps == {timedelta(seconds=1)}, name
    ran = [run for run in records if run.outcome is not None and run.outcome.ran]
    assert {run.outcome for run in ran} == {Outcome.SUCCEEDED}
    for run in ran:
        assert run.started_at is not None
        assert run.started_at >= run.nominal_time
    assert not psutil.Process().children()


def test_a_forced_shutdown_leaves_none_of_twenty_processes(trail: Watcher) -> None:
    """P5, P12: half of them in sessions of their own, all below one job."""
    sc = Scheduler(True, settings=settings())
    sc.schedule_job(Grows("grows"), run_continuous=True)
    sc.start()
    sc.trigger("grows")
    family = [psutil.Process(pid) for pid in trail.until("at work").comments]
    assert len(family) == 20

    assert sc.shutdown(force=True, timeout=LIMIT)

    assert psutil.wait_procs(family, timeout=LIMIT)[1] == []
    assert not psutil.Process().children()
    (run,) = sc.runs()
    assert run.outcome == Outcome.CANCELLED
    assert run.leftovers == 20


def test_a_safe_shutdown_completes_what_is_due_queued_and_running(
    trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    """P12: one slot, one run in it, five behind it."""
    config = ScheduleConfig(every=1, time_unit=Sc.HOURS, overlap="queue")
    sc = Scheduler(True, settings=settings(schedule=config, max_parallel=1))
    sc.schedule_job(Held("running", fifo), run_continuous=True)
    sc.schedule_job(Tells("queued"))
    sc.start()
    ids = [sc.trigger("running")]
    trail.until("at work")
    ids += [sc.trigger("queued") for _ in range(5)]

    assert not sc.shutdown(timeout=0)
    let_go()
    assert sc.wait(LIMIT)

    assert [run.run_id for run in sc.runs()[::-1]] == ids
    assert [run.outcome for run in sc.runs()] == [Outcome.SUCCEEDED] * 6
    assert len(trail.find("told")) == 5


def test_a_safe_shutdown_drops_what_is_not_due(trail: Watcher) -> None:
    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Named("hourly"), run_continuous=True)
        sc.start()

    assert sc.runs() == []
    assert not trail.find("run.started")


def test_a_crash_touches_no_other_run(
    trail: Watcher, fifo: Path, let_go: Callable[[], None]
) -> None:
    """P6: a segfault beside a run, again and again, and in the same second."""
    with Scheduler(True, settings=settings()) as sc:
        sc.schedule_job(Held("held", fifo), run_continuous=True)
        sc.schedule_job(Crashes("crashes"))
        sc.schedule_job(Tells("tells"))
        sc.start()
        sc.trigger("held")
        trail.until("at work")
        for number in range(1, 4):
            sc.trigger("crashes")
            sc.trigger("tells")
            trail.until("run.ended", "crashes", times=number)
            trail.until("run.ended", "tells", times=number)
        let_go()

    outcomes = Counter((run.job, run.outcome, run.signal) for run in sc.runs())
    assert outcomes == {
        ("held", Outcome.SUCCEEDED, None): 1,
        ("crashes", Outcome.CRASHED, int(signal.SIGSEGV)): 3,
        ("tells", Outcome.SUCCEEDED, None): 3,
    }
