"""What is scheduled, as the hands will need it: who is what, and goes with whom.

The plan knows jobs by name and code; what a code stands for is here, for as long
as the job is scheduled and no longer.

Imports: core, clock, config, errors, life, workers.
"""

from __future__ import annotations

import logging
import os
from itertools import count
from typing import TYPE_CHECKING, Final

from procsched.constants import Sc
from procsched.core.messages import (
    CancelRequested,
    ScheduleRecalled,
    ScheduleRequested,
)
from procsched.core.schedule import Origin, Schedule
from procsched.errors import ProcschedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from procsched.clock import Clock
    from procsched.config.schedule import ScheduleConfig
    from procsched.config.settings import Settings
    from procsched.core.policy import Limits
    from procsched.engine import Engine
    from procsched.life import Life
    from procsched.workers.payload import Payload


log = logging.getLogger(__name__)


WARNED_LIMIT: Final = 100
"""Schedules looked at for surprises: each takes a millisecond, which nobody who
schedules a hundred thousand wants to wait for, nor read the answers."""


class Register:
    """The scheduled jobs.

    Args:
        settings: For what a job does not say itself.
        zone: For schedules that name none.

    Attributes:
        payloads: What crosses to a child, by the schedule's code.
    """

    def __init__(
        self, life: Life, *, settings: Settings, clock: Clock, zone: tzinfo
    ) -> None:
        self._life = life
        self._settings = settings
        self._clock = clock
        self._zone = zone
        self.payloads: dict[str, Payload] = {}
        self._codes: dict[str, str] = {}
        self._configs: dict[str, ScheduleConfig] = {}
        self._warned: set[ScheduleConfig] = set()
        self._sequences: dict[ScheduleConfig, str] = {}
        self._said_continuous = False
        self._numbers = count(1)

    def add(
        self,
        name: str,
        payload: Payload,
        config: ScheduleConfig | None,
        limits: Limits | None,
        *,
        continuous: bool | None = None,
    ) -> str:
        """Schedule a job; return its name.

        Args:
            config: None for the settings' schedule.
            limits: The job's own; what the schedule says wins.
            continuous: None inherits: what was said last, at first the settings.

        Raises:
            DuplicateJobError: If its name is taken.
            SchedulerError: If the scheduler is shutting down or has ended.
        """
        config = config or self._settings.schedule
        # Not the name alone: a job of that name may have been here before, and a
        # run of it may still be going on.
        code = f"{name}\0{next(self._numbers)}"
        with self._life.turn():
            anchor = self._clock.now().wall
            schedule = Schedule(
                job=name,
                trigger=config.trigger(anchor, self._zone),
                policy=config.policy(limits),
                code=code,
                sequence=self._sequence_of(config),
                origin=Origin(config.timing(self._zone), anchor),
                delay=config.delay(f"{name}@{os.uname().nodename}"),
            )
            if continuous is None and not self._said_continuous:
                continuous = self._settings.run_continuous
            self.payloads[code] = payload
            try:
                self._life.ask(
                    lambda at, ticket: ScheduleRequested(
                        at, ticket, schedule, continuous
                    )
                )
            except ProcschedError:
                del self.payloads[code]
                raise
            self._said_continuous = True
            self._warn(name, config)
            self._codes[name] = code
            self._configs[name] = config
            if self._life.engine is not None:
                self._life.tell(self._recalled(self._life.engine, name))
        return name

    def recalled(self, engine: Engine) -> Iterator[ScheduleRecalled]:
        """Return what the history knows of each schedule from before a restart.

        Raises:
            StateDirectoryError: If it cannot be read.
        """
        for name in tuple(self._configs):
            yield from self._recalled(engine, name)

    def _recalled(self, engine: Engine, name: str) -> Iterator[ScheduleRecalled]:
        config = self._configs[name]
        known = engine.recall(name, config.timing(self._zone))
        if known is not None:
            trigger = config.trigger(known.anchor, self._zone)
            yield ScheduleRecalled(self._clock.now(), name, trigger, known.decided)

    def _warn(self, name: str, config: ScheduleConfig) -> None:
        """Say what is allowed and yet may surprise, once for each schedule."""
        if config is self._settings.schedule or config in self._warned:
            # The settings' own has been warned of with the settings.
            return
        if len(self._warned) == WARNED_LIMIT:
            return
        self._warned.add(config)
        for warning in config.warnings(self._zone):
            log.warning("job %s: %s", name, warning)

    def _sequence_of(self, config: ScheduleConfig) -> str | None:
        """Return the worker that the jobs of one sequential schedule share."""
        if config.mode != Sc.SEQUENTIAL:
            return None
        number = len(self._sequences) + 1
        return self._sequences.setdefault(config, f"sequence-{number}")

    def remove(self, name: str, *, stop_run: bool) -> None:
        """Let a job fire no more.

        Raises:
            UnknownJobError: If there is no such job.
        """
        with self._life.turn():
            self._life.ask(
                lambda at, ticket: CancelRequested(at, ticket, name, stop_run)
            )
            # Its waiting runs are dropped, and those that go on have read theirs.
            del self.payloads[self._codes.pop(name)]
            del self._configs[name]
