"""The end: safe, forced, killed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from scenes import (
    DEAF,
    FAILS,
    HANGS,
    MINUTES_10,
    every,
    fates,
    lasting,
    records,
    schedule,
    world,
)

from procsched.core.messages import (
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    ShutdownRequested,
    Stage,
    StopRequested,
    StopRun,
    TriggerRequested,
)
from procsched.core.policy import Limits, Retry
from procsched.core.triggers import After
from procsched.errors import SchedulerError
from procsched.testing import Fate, PaperWorld

HOUR = timedelta(hours=1)


def test_safe_shutdown_completes_what_is_due_queued_and_running_and_no_more() -> None:
    """Slots are one: a runs, b waits for the slot, and a waits once more."""
    busy = world(
        schedule("a", overlap="queue"),
        schedule("b"),
        slots=1,
        fate=fates(a=lasting(minutes=15)),
    )
    busy.live(timedelta(minutes=19, seconds=59))
    busy.clock.advance(timedelta(seconds=2))

    busy.shut_down(Stage.SAFE)

    assert busy.live_until_finished(HOUR)
    assert records(busy, "a") == [("12:10", "succeeded"), ("12:20", "succeeded")]
    assert records(busy, "b") == [("12:10", "succeeded"), ("12:20", "skipped")]


def test_an_idle_plan_is_finished_by_the_word() -> None:
    idle = world(schedule())

    idle.shut_down(Stage.SAFE)

    assert idle.plan.finished
    assert idle.plan.next_deadline().wall is None


def test_safe_shutdown_writes_who_asked() -> None:
    idle = world(schedule())

    idle.shut_down(Stage.SAFE, by="SIGTERM")

    told = idle.audit.trails[-1]
    assert (told.operation, told.status) == ("scheduler.stopping", "safe")
    assert told.comments == {"by": "SIGTERM"}


def test_a_pending_attempt_is_dropped_with_a_word_and_not_waited_for() -> None:
    retry = Retry(count=1, backoff=3600, ceiling=3600, jitter=False)
    failed = world(schedule(retry=retry), fate=fates(job=FAILS))
    failed.live(timedelta(minutes=11))

    failed.shut_down(Stage.SAFE)

    assert failed.plan.finished
    dropped = failed.audit.trails[-2]
    assert (dropped.operation, dropped.status) == ("run.retry", "dropped")
    assert dropped.comments == {
        "attempt": 2,
        "reason": "the scheduler is shutting down",
    }


def test_a_run_that_fails_while_the_plan_closes_is_not_tried_again() -> None:
    retry = Retry(count=1, backoff=1, jitter=False)
    failing = Fate(report=FAILS.report, lasts=timedelta(minutes=3))
    failed = world(schedule(retry=retry), fate=fates(job=failing))
    failed.live(timedelta(minutes=11))

    failed.shut_down(Stage.SAFE)

    assert failed.live_until_finished(HOUR)
    assert len(failed.starts) == 1
    assert failed.audit.trails[-1].status == "dropped"


def test_the_last_attempt_has_none_after_it_to_drop() -> None:
    retry = Retry(count=0)
    failing = Fate(report=FAILS.report, lasts=timedelta(minutes=3))
    failed = world(schedule(retry=retry), fate=fates(job=failing))
    failed.live(timedelta(minutes=11))

    failed.shut_down(Stage.SAFE)

    assert failed.live_until_finished(HOUR)
    assert "run.retry" not in failed.audit.operations()


def test_nothing_new_comes_of_a_run_that_ends_while_the_plan_closes() -> None:
    """Neither the next time after its end, nor a probe, nor a restored schedule."""
    busy = world(
        schedule("after", After(timedelta(minutes=1))),
        schedule("probed", every(2), breaker=1, breaker_probe=timedelta(minutes=1)),
        schedule("healed", every(2), overlap="parallel", breaker=1),
        schedule("long", every(2)),
        slots=9,
        fate=fates(
            after=lasting(minutes=2),
            probed=FAILS,
            healed=[lasting(minutes=3), FAILS],
            long=lasting(minutes=30),
        ),
    )
    busy.live(timedelta(minutes=4, seconds=30))
    before = len(busy.starts)

    busy.shut_down(Stage.SAFE)

    assert busy.live_until_finished(HOUR)
    assert len(busy.starts) == before


def test_a_paused_job_gets_its_record_before_the_end() -> None:
    paused = world(schedule())
    paused.ask(PauseRequested, "job")
    paused.live(timedelta(minutes=25))

    paused.shut_down(Stage.SAFE)

    assert paused.plan.finished
    assert records(paused) == [("12:10", "skipped")]
    assert paused.history.runs()[0].covers == 2


@pytest.mark.parametrize("kind", [TriggerRequested, PauseRequested, ResumeRequested])
def test_a_closing_plan_takes_no_request_that_would_bring_runs(kind: type) -> None:
    closing = world(schedule(), fate=fates(job=HANGS))
    closing.live(MINUTES_10)
    closing.shut_down(Stage.SAFE)

    with pytest.raises(SchedulerError) as refusal:
        closing.ask(kind, "job")

    word = {TriggerRequested: "run", PauseRequested: "pause", ResumeRequested: "resume"}
    assert refusal.value.problem == (
        f"cannot {word[kind]} 'job': the scheduler is shutting down"
    )
    assert refusal.value.remedy == "Start a new Scheduler"


def test_a_closing_plan_takes_no_new_job() -> None:
    closing = world(schedule(), fate=fates(job=HANGS))
    closing.live(MINUTES_10)
    closing.shut_down(Stage.SAFE)

    with pytest.raises(SchedulerError, match="cannot schedule 'b': the scheduler is"):
        closing.schedule(schedule("b"))


def test_a_closing_plan_still_stops_a_run_that_is_asked_for() -> None:
    closing = world(schedule(), fate=fates(job=HANGS))
    closing.live(MINUTES_10)
    closing.shut_down(Stage.SAFE)

    closing.ask(CancelRequested, "job", True)

    assert closing.live_until_finished(timedelta(minutes=1))


def test_forced_shutdown_cancels_what_waits_and_asks_what_runs() -> None:
    busy = world(
        schedule("a", limits=Limits(grace=30)),
        schedule("b", limits=Limits(grace=1)),
        schedule("c"),
        slots=2,
        fate=fates(a=HANGS, b=HANGS),
    )
    seen: list[object] = []
    busy._watch = lambda _at, what: seen.append(what)
    busy.live(timedelta(minutes=11))

    busy.shut_down(Stage.FORCED, by="me")

    orders = {each.run_id: each for each in seen if isinstance(each, StopRun)}
    assert {each.grace_seconds for each in orders.values()} == {2.0, 1.0}
    assert orders["p-1"].text == "ended by a forced shutdown (me)"
    assert records(busy, "c") == [("12:10", "cancelled")]
    assert busy.live_until_finished(timedelta(seconds=3))
    assert records(busy, "a") == [("12:10", "cancelled")]


def test_forced_shutdown_starts_no_run_that_was_due() -> None:
    late = world(schedule())
    late.clock.advance(timedelta(minutes=11))

    late.shut_down(Stage.FORCED)

    assert late.starts == []
    assert records(late) == [("12:10", "cancelled")]


def test_a_run_that_ignores_a_forced_stop_ends_within_two_seconds() -> None:
    deaf = world(schedule(), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))

    deaf.shut_down(Stage.FORCED)
    deaf.live(timedelta(seconds=2))

    assert deaf.plan.finished


def test_force_shortens_the_grace_of_a_run_that_is_stopping_already() -> None:
    """Without a second SIGTERM, which would break into its `finally`."""
    deaf = world(schedule(limits=Limits(grace=3600)), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))
    deaf.ask(StopRequested, "p-1", "me")
    deaf.live(timedelta(seconds=5))

    deaf.shut_down(Stage.FORCED)
    deaf.live(timedelta(seconds=3))

    assert deaf.log[1:] == [(660.0, "stop", "job"), (667.0, "kill", "job")]
    assert deaf.plan.finished
    assert deaf.history.runs()[0].reason == "stopped by me"


def test_force_does_not_lengthen_the_grace_of_a_run_that_is_stopping() -> None:
    deaf = world(schedule(limits=Limits(grace=1)), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))
    deaf.ask(StopRequested, "p-1", "me")

    deaf.shut_down(Stage.FORCED)
    deaf.live(timedelta(seconds=5))

    assert [what for _, what, _ in deaf.log] == ["start", "stop"]


def test_the_kill_stage_kills_at_once_whatever_was_asked_before() -> None:
    deaf = world(
        schedule("a"), schedule("b", every(11)), slots=2, fate=fates(a=DEAF, b=DEAF)
    )
    deaf.live(timedelta(minutes=11))
    deaf.ask(StopRequested, "p-1", "me")

    deaf.shut_down(Stage.KILL)
    deaf.live(timedelta(0))

    assert deaf.plan.finished
    assert [what for _, what, _ in deaf.log].count("kill") == 2


def test_stages_only_grow_and_asking_twice_changes_nothing() -> None:
    deaf = world(schedule(), fate=fates(job=DEAF))
    deaf.live(timedelta(minutes=11))
    for stage in (Stage.FORCED, Stage.FORCED, Stage.SAFE, Stage.KILL, Stage.KILL):
        deaf.tell(ShutdownRequested(deaf.clock.now(), stage, "me"))

    words = [
        each.status
        for each in deaf.audit.trails
        if each.operation == "scheduler.stopping"
    ]
    assert words == ["forced", "kill"]
    assert [what for _, what, _ in deaf.log] == ["start", "stop", "kill"]


def test_a_run_being_killed_is_not_killed_again_when_patience_ends() -> None:
    silent = Fate(lasts=timedelta(days=9), silent=True)
    stuck = world(schedule(limits=Limits(grace=60)), fate=fates(job=silent))
    stuck.live(timedelta(minutes=11))
    stuck.ask(StopRequested, "p-1", "me")

    stuck.shut_down(Stage.FORCED)
    stuck.live(timedelta(seconds=3))
    stuck.shut_down(Stage.KILL)

    assert [what for _, what, _ in stuck.log] == ["start", "stop", "kill"]


def test_a_shutdown_before_the_loop_began_ends_it_as_it_begins() -> None:
    early = PaperWorld()
    early.schedule(schedule())
    early.ask(TriggerRequested, "job")
    early.clock.advance(timedelta(minutes=15))
    early.shut_down(Stage.SAFE)
    assert not early.plan.finished

    early.begin()

    assert early.live_until_finished(timedelta(minutes=1))
    assert records(early) == [("12:00", "succeeded")]


def test_a_forced_shutdown_before_the_loop_began_cancels_what_waits() -> None:
    early = PaperWorld()
    early.schedule(schedule())
    early.ask(TriggerRequested, "job")
    early.shut_down(Stage.FORCED)

    early.begin()

    assert early.plan.finished
    assert records(early) == [("12:00", "cancelled")]
