"""Random worlds for the plan, each under the eyes of the checker.

The rule-based machine of the unit tests and the long sweep draw from the same
acts: jobs of every policy, runs that fail, hang and ignore a stop, a loop that
sleeps too long, a host that does, and a clock that is set to and fro.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from math import exp, log
from typing import TYPE_CHECKING, ClassVar, Final
from zoneinfo import ZoneInfo

from checker import Checker
from truth import Truth

from procsched.core.cron import parse_cron
from procsched.core.messages import (
    CancelRequested,
    PauseRequested,
    ResumeRequested,
    Stage,
    StartRun,
    StopRequested,
    TriggerRequested,
)
from procsched.core.policy import CatchUp, Limits, Overlap, Retry
from procsched.core.schedule import Policy, Schedule
from procsched.core.triggers import After, Cron, Interval, Once, Trigger
from procsched.core.verdict import Report
from procsched.errors import ProcschedError
from procsched.testing import NOON, FakeClock, Fate, PaperWorld

if TYPE_CHECKING:
    from random import Random

UTC_ZONE: Final = ZoneInfo("UTC")
STEPS: Final = (10, 30, 60, 300, 1200, 3600)
CRONS: Final = {
    10: "*/10 * * * * *",
    60: "* * * * *",
    300: "*/5 * * * *",
    3600: "0 * * * *",
}
ENDS: Final = (
    Report(verdict="returned", exit_code=0),
    Report(verdict="returned", exit_code=0),
    Report(verdict="raised", verdict_text="ValueError: no", exit_code=1),
    Report(signal=11),
    Report(),
)
NOT_STARTED: Final = Report(verdict="start_failed", verdict_text="no process left")
GIB: Final = 2**30
PATIENCE: Final = timedelta(minutes=5)


class Moody(Interval):
    """A trigger that sometimes raises; each adventure has a class of its own."""

    rng: ClassVar[Random]

    def _raise_at_times(self) -> None:
        if self.rng.random() < 0.02:
            message = "in a mood"
            raise OSError(message)

    def next_after(self, moment: datetime) -> datetime | None:
        self._raise_at_times()
        return super().next_after(moment)

    def last_before(self, moment: datetime) -> datetime | None:
        self._raise_at_times()
        return super().last_before(moment)

    def describe(self) -> str:
        self._raise_at_times()
        return super().describe()


class WatchedWorld(PaperWorld):
    """A world whose checker looks after each turn of the loop."""

    def __init__(self, checker: Checker, **options: object) -> None:
        super().__init__(watch=checker.watch, **options)  # type: ignore[arg-type]
        self.checker = checker

    def tick(self) -> None:
        super().tick()
        self.checker.settled()


class Adventure:
    """One world and its life.

    Args:
        rng: Draws what the world does by itself; acts bring their own.
        slots: Runs at once.
    """

    def __init__(self, rng: Random, slots: int) -> None:
        self._rng = rng
        self._number = 0
        self._moody = type("Moody", (Moody,), {"rng": rng})
        self._budget = rng.choice((None, 4 * GIB))
        self.checker = Checker(slots, self._budget)
        # Off the full second, as any real clock: a run by hand at noon sharp, and
        # the clock set back, would share its name with the firing at noon.
        clock = FakeClock(NOON + timedelta(microseconds=123_457))
        self.world = WatchedWorld(
            self.checker,
            slots=slots,
            fate=self._fate,
            clock=clock,
            memory_bytes=self._budget,
            senses_pressure=rng.random() < 0.5,
        )

    @property
    def jobs(self) -> list[str]:
        return list(self.checker.books)

    @property
    def nominal_times(self) -> int:
        return self.checker.counts["nominal times"]

    def _fate(self, start: StartRun) -> Fate:
        rng = self._rng
        if rng.random() < 0.05:
            return Fate(reaches_goal=False, report=NOT_STARTED)
        limited = start.limits.wall is not None
        return Fate(
            lasts=spread(rng, 0.05, 2000),
            startup=spread(rng, 0.001, 1),
            report=rng.choice(ENDS),
            heeds_stop=rng.random() < 0.8,
            silent=limited and rng.random() < 0.1,
        )

    def add(self, rng: Random) -> None:
        """Schedule a job of any kind."""
        self._number += 1
        job = f"job-{self._number}"
        step = timedelta(seconds=rng.choice(STEPS))
        policy = random_policy(rng)
        trigger, truth = self._timing(rng, step)
        sequence = None
        if policy.overlap is not Overlap.PARALLEL and rng.random() < 0.3:
            sequence = rng.choice(("left", "right"))
        retry = policy.retry
        self.checker.expect(
            job,
            Truth(
                **truth,  # type: ignore[arg-type]
                at_once=policy.parallel if policy.overlap == "parallel" else 1,
                sequence=sequence,
                memory=policy.limits.bytes("memory") or 0,
                priority=policy.priority,
                catch_up=policy.catch_up,
                catch_up_window=policy.catch_up_window,
                catch_up_max=policy.catch_up_max,
                start_deadline=policy.start_deadline,
                retries=0 if retry is None else retry.count,
                retry_causes=frozenset() if retry is None else retry.causes,
            ),
        )
        schedule = Schedule(
            job=job, trigger=trigger, policy=policy, code=job, sequence=sequence
        )
        again = rng.choice((None, None, None, None, True, True, False))
        self.world.schedule(schedule, True if self._number == 1 else again)

    def _timing(
        self, rng: Random, step: timedelta
    ) -> tuple[Trigger, dict[str, object]]:
        kind, now = rng.random(), self.world.now
        if kind < 0.35:
            return Interval(step, now), {"step": step, "anchor": now}
        if kind < 0.7:
            seconds = rng.choice(list(CRONS))
            cron = Cron(parse_cron(CRONS[seconds]), UTC_ZONE)
            return cron, {"step": timedelta(seconds=seconds)}
        if kind < 0.75:
            moment = now + spread(rng, 1, 10_000)
            return Once(moment), {"once": moment}
        if kind < 0.9:
            return After(step), {"step": step, "follows_end": True}
        return self._moody(step, now), {"step": step, "anchor": now}

    def begin(self) -> None:
        """Start the loop."""
        self.world.begin()

    def live(self, rng: Random) -> None:
        """Let time pass."""
        self.world.live(spread(rng, 0.01, 5000))

    def oversleep(self, rng: Random) -> None:
        """Keep the loop from running."""
        self.world.oversleep(spread(rng, 0.5, 20_000))

    def suspend(self, rng: Random) -> None:
        """Let the host sleep."""
        self.world.suspend(spread(rng, 1, 200_000))

    def set_clock(self, rng: Random) -> None:
        """Set the wall clock, sometimes to the hour."""
        by = spread(rng, 3, 200_000)
        if rng.random() < 0.5:
            by = timedelta(hours=rng.choice((1, 1, 2, 5)))
        self.world.set_wall(self.world.now + rng.choice((-1, 1)) * by)
        # The same instant on the wall is not shown twice to the microsecond.
        self.world.live(timedelta(microseconds=rng.randint(1, 999_999)))

    def ask(self, rng: Random, kind: type) -> None:
        """Ask something of a random job, or of one that does not exist."""
        job = rng.choice([*self.jobs, "nobody"])
        more = (rng.random() < 0.5,) if kind is CancelRequested else ()
        self._try(kind, job, *more)

    def press(self, rng: Random) -> None:
        """Put the host under pressure, or relieve it."""
        self.world.pressure = ("io 99 % over 50 %",) if rng.random() < 0.6 else ()

    def cancel(self, rng: Random) -> None:
        self.ask(rng, CancelRequested)

    def pause(self, rng: Random) -> None:
        self.ask(rng, PauseRequested)

    def resume(self, rng: Random) -> None:
        self.ask(rng, ResumeRequested)

    def trigger(self, rng: Random) -> None:
        self.ask(rng, TriggerRequested)
        self.world.live(timedelta(microseconds=rng.randint(1, 999_999)))

    def stop(self, rng: Random) -> None:
        """Stop a run that has a process, or waits for one."""
        live = [*self.world.running, *self.checker.waiting, "none"]
        self._try(StopRequested, rng.choice(live), "tester")

    def _try(self, kind: type, *args: object) -> None:
        with contextlib.suppress(ProcschedError):
            # A refusal is an answer, too.
            self.world.ask(kind, *args)

    def end(self, rng: Random) -> None:
        """Shut down, with more and more force, and see that nothing is left."""
        world = self.world
        if rng.random() < 0.3:
            # What comes due while the loop is busy is due at the shutdown.
            world.doze(spread(rng, 1, 5000))
        if rng.random() < 0.7:
            world.shut_down(Stage.SAFE)
            world.live_until_finished(spread(rng, 1, 5000))
        if rng.random() < 0.8:
            world.shut_down(Stage.FORCED)
            world.live_until_finished(spread(rng, 0.1, 20))
        world.shut_down(Stage.KILL)
        assert world.live_until_finished(PATIENCE)
        self.checker.finished()


ACTS: Final = (
    (Adventure.add, 6),
    (Adventure.live, 20),
    (Adventure.oversleep, 3),
    (Adventure.suspend, 1),
    (Adventure.set_clock, 2),
    (Adventure.press, 2),
    (Adventure.cancel, 1),
    (Adventure.pause, 2),
    (Adventure.resume, 3),
    (Adventure.trigger, 3),
    (Adventure.stop, 2),
)
"""What can happen, and how often."""


def lived_through(rng: Random, acts: int) -> Adventure:
    """Return an adventure of so many random acts, at its end."""
    adventure = Adventure(rng, slots=rng.choice((1, 2, 3, 8)))
    adventure.add(rng)
    begin_at = rng.randint(0, 3)
    kinds, weights = zip(*ACTS, strict=True)
    for number in range(acts):
        if number == begin_at:
            adventure.begin()
        if adventure.world.plan.finished:
            break
        act = rng.choices(kinds, weights)[0]
        act(adventure, rng)
    if acts <= begin_at:
        adventure.begin()
    adventure.end(rng)
    return adventure


def spread(rng: Random, least_seconds: float, most_seconds: float) -> timedelta:
    """Return a duration; each order of magnitude is as likely."""
    return timedelta(seconds=exp(rng.uniform(log(least_seconds), log(most_seconds))))


def random_policy(rng: Random) -> Policy:
    """Return a policy of any kind."""
    overlap = rng.choice(list(Overlap))
    parallel = rng.choice((None, 1, 2, 5)) if overlap is Overlap.PARALLEL else None
    retry = None
    if rng.random() < 0.3:
        backoff = rng.choice((1, 30, 1000))
        retry = Retry(count=rng.randint(0, 3), backoff=backoff, ceiling=backoff * 2)
    breaker = rng.choice((None, None, 1, 3))
    return Policy(
        overlap=overlap,
        parallel=parallel,
        catch_up=rng.choice(list(CatchUp)),
        catch_up_window=timedelta(seconds=rng.choice((300, 3600, 86_400))),
        catch_up_max=rng.choice((1, 3, 10)),
        start_deadline=rng.choice((None, None, None, timedelta(seconds=90))),
        retry=retry,
        limits=Limits(
            wall=rng.choice((None, 5, 600)),
            grace=rng.choice((0, 1, 10, 100)),
            memory=rng.choice((None, None, GIB, 2 * GIB, 3 * GIB, 4 * GIB)),
        ),
        priority=rng.choice((0, 0, 5, -5)),
        breaker=breaker,
        breaker_probe=rng.choice((None, timedelta(minutes=10))) if breaker else None,
    )
