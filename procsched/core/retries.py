"""Second attempts that wait for their time.

Imports: core.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from procsched.core.timers import RetryElapsed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from procsched.core.chronicle import Chronicle
    from procsched.core.entry import LiveRun
    from procsched.core.moment import Moment
    from procsched.core.policy import Retry
    from procsched.core.run import RunRecord
    from procsched.core.timers import Ring, Timers


class Retries:
    """Runs that have ended and will be tried again, by job."""

    def __init__(self, timers: Timers, chronicle: Chronicle) -> None:
        self._timers = timers
        self._chronicle = chronicle
        self._pending: dict[str, dict[str, tuple[LiveRun, Ring]]] = {}

    def __bool__(self) -> bool:
        """Return whether any is waited for."""
        return bool(self._pending)

    def of(self, job: str) -> bool:
        """Return whether one of a job is waited for."""
        return job in self._pending

    def put(self, run: LiveRun, now: Moment) -> bool:
        """Plan another attempt, if the policy has one left for such an end."""
        record, retry = run.record, run.schedule.policy.retry
        if retry is None or not _is_left(retry, record):
            return False
        wait = retry.wait_seconds(record.attempt, _chance(record))
        ring = self._timers.set(now.monotonic + wait, RetryElapsed(run))
        self._pending.setdefault(record.job, {})[record.run_id] = (run, ring)
        said = {"attempt": record.attempt + 1, "wait_seconds": round(wait, 3)}
        self._say(record, "waiting", said, now)
        return True

    def refuse(self, run: LiveRun, why: str, now: Moment) -> None:
        """Say that an attempt which the policy has left will not be made."""
        retry = run.schedule.policy.retry
        if retry is not None and _is_left(retry, run.record):
            self._drop(run, why, now)

    def take(self, run: LiveRun) -> None:
        """Forget one whose time has come."""
        job = run.record.job
        del self._pending[job][run.record.run_id]
        if not self._pending[job]:
            del self._pending[job]

    def drop(self, job: str, why: str, now: Moment) -> None:
        """Give up those of a job, and say so."""
        for run, ring in self._pending.pop(job, {}).values():
            self._timers.call_off(ring)
            self._drop(run, why, now)

    def drop_all(self, why: str, now: Moment) -> None:
        """Give up every one, and say so."""
        for job in tuple(self._pending):
            self.drop(job, why, now)

    def _drop(self, run: LiveRun, why: str, now: Moment) -> None:
        said = {"attempt": run.record.attempt + 1, "reason": why}
        self._say(run.record, "dropped", said, now)

    def _say(
        self, record: RunRecord, status: str, said: Mapping[str, object], now: Moment
    ) -> None:
        self._chronicle.say(
            record.job, "run.retry", status, said, now, run_id=record.run_id
        )


def _is_left(retry: Retry, record: RunRecord) -> bool:
    """Whether another attempt may follow such an end."""
    return record.attempt <= retry.count and record.outcome in retry.causes


def _chance(record: RunRecord) -> float:
    """Return a number in [0, 1) that depends on the attempt alone."""
    key = f"{record.job}\0{record.nominal_time.isoformat()}\0{record.attempt}"
    digest = blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
