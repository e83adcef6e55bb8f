"""What must hold of any history, told from outside: no code of the core decides here.

The checker sees what the world told the plan and what the plan answered.  It
knows the schedules as arithmetic of its own, adds up which nominal times came,
and refuses a history in which one has no outcome, or two; in which a run starts
early, twice, beside its own kind, without a slot or beyond the memory budget; in
which a retry vanishes; or in which something could have gone on and did not.

After Jepsen's checker for Chronos, but stricter: a run names its nominal time, so
runs that belong to none fail, too.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from door import Door
from truth import SLACK, ZERO, Book

from procsched.core import messages as told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from truth import Truth

    from procsched.core.moment import Moment
    from procsched.core.run import RunRecord

STEP: Final = timedelta(seconds=2)
NEVER_RAN: Final = frozenset({"skipped", "missed", "coalesced"})
FORCE: Final = 2.0 + 10.0 + 0.001
"""Seconds: the grace in a forced shutdown, then those until a keeper is given up."""

CATCH_UP_SLACK: Final = timedelta(minutes=1)
RAISED: Final = "trigger raised"


class BrokenPromiseError(AssertionError):
    """A history that breaks a promise."""


class Checker:
    """Watches a world; raises at the first breach.

    Args:
        slots: Runs at once.
        budget: Bytes that they may reserve together; None for any sum.
    """

    def __init__(self, slots: int, budget: int | None = None) -> None:
        self.truths: dict[str, Truth] = {}
        self.books: dict[str, Book] = {}
        self.counts: Counter[str] = Counter()
        self.runs: dict[str, RunRecord] = {}
        self.alive: dict[str, tuple[str, Truth]] = {}
        self.waiting: dict[str, tuple[str, Truth]] = {}
        self.retries: dict[str, RunRecord] = {}
        self.begun = self.continuous = self.closing = False
        self._keys: set[tuple[str, datetime, int]] = set()
        self._requests: dict[int, Any] = {}
        self._now: Any = None
        self._batch: Counter[str] = Counter()
        self._orders: dict[str, str] = {}
        self._stillborn: set[str] = set()
        self._owned_up: set[str] = set()
        self._closed_at: float | None = None
        self._forced_at: float | None = None
        self._due_at: dict[str, float] = {}
        self._door = Door(slots, budget, self.alive, self.waiting)
        self._told_to_wait: set[str] = set()

    def watch(self, at: Moment, what: Any) -> None:
        """Take note of an event or a command."""
        self._flow(at, suspended=getattr(what, "suspended", False) is True)
        getattr(self, f"_{type(what).__name__}", self._request)(at, what)

    def expect(self, job: str, truth: Truth) -> None:
        """Say what a job's schedule is, before it is scheduled."""
        self.truths[job] = truth

    # What passes.

    def _flow(self, at: Moment, *, suspended: bool) -> None:
        last, self._now = self._now, at
        if last is None:
            return
        passed = timedelta(seconds=at.monotonic - last.monotonic)
        shift = at.wall - last.wall - passed
        set_by = shift if abs(shift) >= STEP and not suspended else ZERO
        for book in self.books.values():
            before = last.wall - book.shift
            if not book.truth.on_the_wall:
                book.shift += set_by
            elif set_by < ZERO:
                # What came is still to come, by the clock as it is now.
                ahead = (n for n in book.pending if book.truth.time_of(n) > at.wall)
                book.pending.difference_update(tuple(ahead))
            came = set(book.truth.between(before, at.wall - book.shift))
            if book.promising:
                book.pending |= came - book.decided - book.void
            else:
                book.void |= came

    # What was asked, and what was answered.

    def _request(self, _at: Moment, event: Any) -> None:
        self._requests[event.ticket] = event

    def _Answer(self, at: Moment, answer: told.Answer) -> None:  # noqa: N802
        event = self._requests.pop(answer.ticket)
        if answer.error is not None:
            return
        match event:
            case told.ScheduleRequested():
                if event.run_continuous is not None:
                    self._switch(at, continuous=event.run_continuous)
                job = event.schedule.job
                truth = self.truths[job]
                book = self.books[job] = Book(truth, self.begun, at.wall, at.wall)
                if job in self._stillborn:
                    self._break(book)
            case told.CancelRequested():
                book = self.books.pop(event.job)
                book.promising = False
                self._settle(event.job, book, at, held=False)
            case told.PauseRequested():
                self.books[event.job].held.add("paused")

    def _switch(self, at: Moment, *, continuous: bool) -> None:
        changed, self.continuous = continuous != self.continuous, continuous
        for book in self.books.values() if changed else ():
            if not book.promising:
                book.base = at.wall - book.shift
            book.promising = self._is_promising(book)
            require(book.promising or not book.pending, "times vanish by a switch")

    def _is_promising(self, book: Book) -> bool:
        wanted = self.continuous or not book.fired
        return wanted and self.begun and not self.closing and "broken" not in book.held

    def _LoopStarted(self, at: Moment, _event: told.LoopStarted) -> None:  # noqa: N802
        self.begun = True
        for book in self.books.values():
            book.promising = self._is_promising(book)
            now = at.wall - book.shift
            if book.base + book.truth.step <= now:
                book.base = now
            once = book.truth.once
            if once is not None and once <= at.wall:
                # It has no other time, so it was promised all the same.
                book.pending.add(0)

    def _ShutdownRequested(  # noqa: N802
        self, at: Moment, event: told.ShutdownRequested
    ) -> None:
        self.closing = event.stage > told.Stage.OPEN
        self._closed_at = self._closed_at or at.monotonic
        if event.stage > told.Stage.SAFE:
            self._forced_at = self._forced_at or at.monotonic
        for book in self.books.values():
            book.promising = False

    def _note(self, _at: Moment, what: Any) -> None:
        self.counts[type(what).__name__] += 1

    _ClockStepped = _WorkerStarted = _RecordOrigin = _note

    def _SensePressure(self, _at: Moment, _command: Any) -> None:  # noqa: N802
        low = any(truth.priority < 0 for _, truth in self.waiting.values())
        require(low, "a look at the pressure for nobody")
        # Until the answer nobody of low priority is late.
        self._door.pressed = True

    def _PressureSensed(self, _at: Moment, event: told.PressureSensed) -> None:  # noqa: N802
        self._door.pressed = bool(event.over)

    def _WorkerEnded(self, at: Moment, event: told.WorkerEnded) -> None:  # noqa: N802
        late = self._forced_at is not None and at.monotonic > self._forced_at + FORCE
        require(not late, f"{event} comes long after the force")
        del self.alive[event.run_id]

    # What was decided.

    def _RecordRun(self, at: Moment, command: told.RecordRun) -> None:  # noqa: N802
        record = command.record
        before = self.runs.get(record.run_id)
        self.runs[record.run_id] = record
        if before is not None:
            require(before.outcome is None, f"{before} ended, and then {record}")
            require(before.nominal_time == record.nominal_time, f"{record} renamed")
            self._orders[record.run_id] = record.state
            if record.outcome is not None:
                self._ended(at, record)
        elif record.outcome is None:
            self._admitted(at, record)
        else:
            self._left_out(record)

    def _admitted(self, at: Moment, record: RunRecord) -> None:
        job, truth = record.job, self.truths[record.job]
        key = (job, record.nominal_time, record.attempt)
        require(key not in self._keys, f"{key} was there before")
        self._keys.add(key)
        self.waiting[record.run_id] = (job, truth)
        closed = self._closed_at is not None and at.monotonic > self._closed_at
        require(not closed, f"{record} comes after the shutdown")
        self.counts[record.trigger] += 1
        if record.trigger == "retry":
            last = self.retries.pop(job + str(record.nominal_time))
            require(record.attempt == last.attempt + 1, f"{record} after {last}")
        if record.trigger in ("retry", "manual"):
            return
        require(record.nominal_time <= at.wall, f"{record} is early at {at.wall}")
        book = self.books[job]
        again = book.fired and not self.continuous
        require(not again, f"{record}, though the job runs once")
        self._decide(book, record, record.nominal_time, record.nominal_time)
        book.fired = True
        book.held.discard("probing")
        self._batch[job] += 1
        age = at.wall - record.nominal_time
        self._due_at[record.run_id] = at.monotonic - age.total_seconds()
        if truth.catch_up == "none":
            require(age <= CATCH_UP_SLACK, f"{record} is late at {at.wall}")
        elif age > CATCH_UP_SLACK:
            require(age <= truth.catch_up_window, f"{record} is old at {at.wall}")

    def _left_out(self, record: RunRecord) -> None:
        require(record.outcome in NEVER_RAN, f"{record} ended without a start")
        book = self.books[record.job]
        self._decide(book, record, record.nominal_time, record.until)
        self.counts[str(record.outcome)] += record.covers
        if RAISED in record.reason:
            self._owned_up.add(record.job)

    def _decide(
        self, book: Book, record: RunRecord, first: datetime, last: datetime | None
    ) -> None:
        first, last = first - book.shift, (last or first) - book.shift
        if book.truth.follows_end:
            require(
                first >= book.ended + book.truth.step - SLACK,
                f"{record} comes too soon after {book.ended}",
            )
            book.base = self._now.wall - book.shift
            self.counts["nominal times"] += 1
            return
        low, high = first - SLACK, last + SLACK
        numbers = {n for n in book.pending if low <= book.truth.time_of(n) <= high}
        void = {n for n in book.void if low <= book.truth.time_of(n) <= high}
        ends = {book.truth.number_of(first), book.truth.number_of(last)}
        require(ends <= numbers | void, f"{record} was not to come, or came before")
        exact = not any("lower bound" in flag for flag in record.flags)
        most = len(numbers | void)
        fits = len(numbers) <= record.covers <= most or not exact
        require(fits and record.covers <= most, f"{record} is for {len(numbers)} times")
        book.pending -= numbers
        book.void -= void
        book.decided |= numbers | void
        self.counts["nominal times"] += len(numbers)

    def _ended(self, at: Moment, record: RunRecord) -> None:
        self.waiting.pop(record.run_id, None)
        require(record.run_id not in self.alive, f"{record} has a process still")
        truth, book = self.truths[record.job], self.books.get(record.job)
        if book is not None:
            book.ended = book.base = at.wall - book.shift
        self.counts[str(record.outcome)] += 1
        left = record.attempt <= truth.retries and record.outcome in truth.retry_causes
        if left and book is not None and not self.closing:
            self.retries[record.job + str(record.nominal_time)] = record

    # What was ordered.

    def _StartRun(self, at: Moment, order: told.StartRun) -> None:  # noqa: N802
        require(
            self._orders.get(order.run_id) == "starting",
            f"{order} before the record of it",
        )
        job, truth = self.waiting.pop(order.run_id)
        due_at = self._due_at.pop(order.run_id, at.monotonic)
        waited = timedelta(seconds=at.monotonic - due_at)
        in_time = waited <= (truth.start_deadline or waited) + SLACK
        require(in_time, f"{order} after its start deadline")
        require(order.run_id not in self.alive, f"{order} twice")
        breach = next(self._door.breaches(job, truth), "")
        require(not breach, f"{order} {breach}")
        flagged = any("waited" in flag for flag in self.runs[order.run_id].flags)
        told_so = order.run_id in self._told_to_wait
        require(told_so or not flagged, f"{order} waited and nobody was told")
        self.counts["waits"] += told_so
        self.alive[order.run_id] = (job, truth)
        self.counts["starts"] += 1

    def _StopRun(self, _at: Moment, order: told.StopRun) -> None:  # noqa: N802
        require(order.run_id in self.alive, f"{order} of no process")

    _KillRun = _AbandonRun = _StopRun

    def _WriteTrail(self, at: Moment, command: told.WriteTrail) -> None:  # noqa: N802
        trail = command.trail
        book = self.books.get(trail.job or "")
        match trail.operation, trail.status:
            case "run.waiting", "memory" | "pressure":
                run_id = trail.run_id or ""
                require(run_id in self.waiting, f"{run_id} does not wait")
                require(run_id not in self._told_to_wait, f"{run_id} waits twice")
                self._told_to_wait.add(run_id)
            case "run.retry", "dropped":
                run = self.runs[trail.run_id or ""]
                self.retries.pop(run.job + str(run.nominal_time), None)
            case "job.suspended", _ if book is None:
                # Before the answer that it is scheduled.
                self._stillborn.add(trail.job or "")
            case "job.suspended", _ if book is not None:
                book.held.add("suspended")
                book.held.discard("probing")
                if RAISED in str(trail.comments):
                    # One record stands for all that had come and was not decided.
                    owned_up = trail.job in self._owned_up
                    self._owned_up.discard(trail.job or "")
                    late = self._late(book)
                    require(owned_up or not late, f"{trail.job}: {late} vanished")
                    self._break(book)
            case "job.probed", _ if book is not None:
                book.held.add("probing")
                book.base = at.wall - book.shift
            case "job.resumed", _ if book is not None:
                by_hand = trail.comments == ""
                book.held -= {"suspended", "probing"}
                book.held -= {"paused", "broken"} if by_hand else set()
                book.promising = self._is_promising(book)
                book.base = at.wall - book.shift

    def _break(self, book: Book) -> None:
        """Expect nothing of a schedule whose trigger raised: nobody knows its times."""
        book.held |= {"suspended", "broken"}
        book.promising, book.pending = False, set()

    # What must hold whenever the plan has had its say.

    def settled(self) -> None:
        """Look whether anything is undone that could have been done."""
        for job, book in self.books.items():
            if book.fired and not self.continuous:
                book.promising = False
            held = "paused" in book.held or (
                "suspended" in book.held and "probing" not in book.held
            )
            self._settle(job, book, self._now, held=held)
        for job, count in self._batch.items():
            all_ = self.truths[job].catch_up == "all"
            most = self.truths[job].catch_up_max if all_ else 1
            # Twice: for a request, and for what came due since.
            require(count <= 2 * most, f"a storm of {count} runs of {job}")
        self._batch.clear()
        idler = next(self._door.idlers(), None)
        free = self.begun and idler is not None
        require(not free, f"{idler} waits beside a free slot")

    def _settle(self, job: str, book: Book, at: Moment, *, held: bool) -> None:
        now = at.wall - book.shift
        late = self._late(book)
        require(held or not late, f"{job}: {len(late)} times have no outcome")
        if book.truth.follows_end and book.promising and not (held or self.closing):
            live = any(self._live(job))
            wait = now - book.base - book.truth.step
            require(live or wait <= SLACK, f"{job} stands still for {wait}")

    def _late(self, book: Book) -> list[int]:
        """Return the numbers of the times that have come and have no outcome."""
        now = self._now.wall - book.shift
        return [n for n in book.pending if now - book.truth.time_of(n) > SLACK]

    def _live(self, job: str) -> Iterator[RunRecord]:
        for run_id in (*self.alive, *self.waiting):
            if self.runs[run_id].job == job:
                yield self.runs[run_id]
        yield from (each for each in self.retries.values() if each.job == job)

    def finished(self) -> None:
        """Look whether nothing is left over."""
        self.settled()
        require(not self.alive, f"{self.alive} have a process still")
        require(not self.waiting, f"{self.waiting} wait still")
        require(not self.retries, f"{self.retries} vanished")
        for record in self.runs.values():
            require(record.outcome is not None, f"{record} has no outcome")


def require(claim: object, breach: str) -> None:
    """Raise unless a claim is true."""
    if not claim:
        raise BrokenPromiseError(breach)
