"""What may be asked of the plan, and how it answers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenes import (
    FAILS,
    MINUTES_10,
    at,
    clock_times,
    every,
    fates,
    lasting,
    moment,
    records,
    schedule,
    world,
)

from procsched.core.messages import (
    Answer,
    Asked,
    CancelRequested,
    PauseRequested,
    Question,
    ReloadCode,
    ReloadRequested,
    ScheduleRequested,
    StopRequested,
    TriggerRequested,
)
from procsched.core.plan import NAMES_TOLD, Plan
from procsched.core.run import Reason
from procsched.errors import (
    DuplicateJobError,
    SchedulerError,
    UnknownJobError,
    UnknownRunError,
)


def test_a_run_by_hand_starts_now_and_is_answered_with_its_id() -> None:
    idle = world(schedule())
    idle.live(timedelta(minutes=3))

    run_id = idle.ask(TriggerRequested, "job")
    idle.live(timedelta(minutes=1))

    record = idle.history.records[run_id]
    assert (record.trigger, record.nominal_time) == (Reason.MANUAL, at("12:03"))
    assert record.outcome == "succeeded"


def test_a_run_by_hand_at_the_very_time_of_a_firing_is_not_taken_for_it() -> None:
    """A start is known by job, nominal time and attempt."""
    busy = world(schedule(overlap="parallel"))
    busy.live(MINUTES_10)

    for _ in range(2):
        busy.ask(TriggerRequested, "job")

    nominal = [run.nominal_time for run in busy.history.runs()]
    assert len(set(nominal)) == 3
    assert max(nominal) == at("12:10")


def test_a_job_is_known_by_one_name() -> None:
    idle = world(schedule())

    with pytest.raises(DuplicateJobError) as refusal:
        idle.schedule(schedule())

    assert refusal.value.problem == "a job named 'job' is already scheduled"
    assert refusal.value.remedy == (
        "Give this one another name(), or cancel_job the first"
    )


def test_an_unknown_job_is_answered_with_the_nearest_name() -> None:
    idle = world(schedule("nightly-report"), schedule("backup"))

    for kind in (TriggerRequested, CancelRequested, PauseRequested):
        with pytest.raises(UnknownJobError) as refusal:
            idle.ask(kind, "nightly-raport")

        assert refusal.value.problem == (
            "no job is scheduled under the name 'nightly-raport'"
        )
        assert refusal.value.remedy == (
            "Did you mean 'nightly-report'? Scheduled are 'backup', 'nightly-report'"
        )


def test_an_unknown_job_that_resembles_none_gets_the_list() -> None:
    idle = world(schedule("backup"))

    with pytest.raises(UnknownJobError) as refusal:
        idle.ask(CancelRequested, "xyz")

    assert refusal.value.remedy == "Scheduled are 'backup'"


def test_the_list_of_a_hundred_jobs_stays_readable() -> None:
    idle = world(*(schedule(f"job-{number}") for number in range(100)))

    with pytest.raises(UnknownJobError) as refusal:
        idle.ask(CancelRequested, "xyz")

    assert refusal.value.remedy.endswith(f" and {100 - NAMES_TOLD} more")
    assert len(refusal.value.remedy) < 300


def test_a_cancelled_job_fires_no_more_and_its_run_goes_on() -> None:
    busy = world(schedule(), schedule("other"), fate=fates(job=lasting(minutes=5)))
    busy.live(timedelta(minutes=12))

    busy.ask(CancelRequested, "job")
    busy.live(timedelta(hours=1))

    assert records(busy, "job") == [("12:10", "succeeded")]


def test_cancelling_with_its_run_stops_the_run() -> None:
    busy = world(schedule(), fate=fates(job=lasting(minutes=5)))
    busy.live(timedelta(minutes=12))

    busy.ask(CancelRequested, "job", True)
    busy.live(timedelta(minutes=1))

    run = busy.history.runs()[0]
    assert (run.outcome, run.reason) == ("cancelled", "cancelled by cancel_job")


def test_cancelling_drops_the_runs_that_wait_without_a_process() -> None:
    full = world(schedule("long"), schedule("job"), slots=1, fate=fates(long=FAILS))
    full.live(MINUTES_10)

    full.ask(CancelRequested, "job")

    assert records(full, "job") == [("12:10", "cancelled")]
    assert [each.job for each in full.starts] == ["long"]


def test_what_came_due_before_it_was_cancelled_has_a_record() -> None:
    """The loop was kept from running; the request is heard before the time is."""
    late = world(schedule(), schedule("other"))
    late.clock.advance(timedelta(minutes=11))

    late.ask(CancelRequested, "job")

    assert records(late, "job") == [("12:10", "cancelled")]


def test_a_name_may_be_used_again_and_the_old_run_counts_as_its_own() -> None:
    """Overlap is judged by name; retries and ends of the old one are not the new's."""
    again = world(schedule(), schedule("other"), fate=fates(job=lasting(minutes=15)))
    again.live(timedelta(minutes=11))
    again.ask(CancelRequested, "job")

    again.schedule(schedule(trigger=every(10)))
    again.live(timedelta(minutes=10))

    assert records(again, "job")[1][1] == "skipped"


def test_the_next_run_is_the_earliest_of_all_or_that_of_one() -> None:
    idle = world(schedule("slow", every(30)), schedule("fast", every(5)))

    assert idle.ask(Asked, Question.NEXT_RUN) == at("12:05")
    assert idle.ask(Asked, Question.NEXT_RUN, "slow") == at("12:30")
    idle.ask(PauseRequested, "fast")
    assert idle.ask(Asked, Question.NEXT_RUN) == at("12:30")
    assert idle.ask(Asked, Question.NEXT_RUN, "fast") is None


def test_the_next_run_is_asked_in_vain_of_jobs_that_run_once() -> None:
    idle = world(schedule(), continuous=False)

    with pytest.raises(SchedulerError) as refusal:
        idle.ask(Asked, Question.NEXT_RUN)

    assert refusal.value.problem == (
        "next_run_time needs jobs that repeat, and each runs once here"
    )
    assert refusal.value.remedy == "Pass run_continuous=True to schedule_job"


def test_jobs_are_told_in_the_order_they_were_added() -> None:
    busy = world(
        schedule("a", overlap="queue"),
        schedule("b", every(60)),
        slots=1,
        fate=fates(a=lasting(minutes=15)),
    )
    busy.live(timedelta(minutes=21))

    told = busy.ask(Asked, Question.JOBS)

    assert [(each.job, each.schedule) for each in told] == [
        ("a", "every 10 minutes"),
        ("b", "every 1 hour"),
    ]
    assert clock_times([told[0].next_run_time, told[1].next_run_time]) == [
        "12:30",
        "13:00",
    ]
    assert (told[0].running, told[0].waiting) == (("p-1",), ("p-2",))
    assert (told[0].paused, told[0].suspended) == (False, None)


def test_a_run_is_stopped_by_its_id() -> None:
    busy = world(schedule(), fate=fates(job=lasting(minutes=5)))
    busy.live(timedelta(minutes=12))

    busy.ask(StopRequested, "p-1", "process 77")
    busy.live(timedelta(minutes=1))

    run = busy.history.runs()[0]
    assert (run.outcome, run.reason) == ("cancelled", "stopped by process 77")


def test_a_run_that_does_not_go_on_cannot_be_stopped() -> None:
    idle = world(schedule())

    with pytest.raises(UnknownRunError) as refusal:
        idle.ask(StopRequested, "p-9", "me")

    assert refusal.value.problem == "no run with the id 'p-9' is going on"
    assert refusal.value.remedy == (
        "Look it up with runs(); a run that has ended needs no stop"
    )


def test_an_answer_bears_the_number_of_its_request() -> None:
    plan = Plan(run_prefix="a", slots=1)

    answers = [
        each
        for each in plan.handle(ScheduleRequested(moment(), 41, schedule()))
        if isinstance(each, Answer)
    ]

    assert answers == [Answer(41, "job")]


def test_a_reload_is_ordered_before_it_is_answered() -> None:
    plan = Plan(run_prefix="a", slots=1)

    assert plan.handle(ReloadRequested(moment(), 7)) == [ReloadCode(), Answer(7)]
