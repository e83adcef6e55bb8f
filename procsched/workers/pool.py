"""The supervisor's side of the keepers: who is at work, who is idle, who died.

A keeper is asked for when a run finds none idle, and stays for the next one; a
sequence has a keeper of its own for as long as the pool lives.  The pool sends
orders and turns what keepers say into events.  It waits for nothing: a run that
finds no keeper stands in a line until one has come.

Imports: core, errors, clock, workers.
"""

from __future__ import annotations

import logging
import os
import selectors
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from procsched.core.messages import Event, StartRun, WorkerEnded, WorkerStarted
from procsched.core.verdict import Report
from procsched.workers.channel import ChannelClosed, Frame
from procsched.workers.frames import report_of, start_frame, surroundings_frame
from procsched.workers.orphans import Traces, kill_orphans
from procsched.workers.source import ForkSource, SpawnSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from procsched.clock import Clock
    from procsched.workers.grip import Grip
    from procsched.workers.payload import Payload
    from procsched.workers.source import Source

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 10.0
"""How long keepers may take to leave when the pool closes.

They leave within milliseconds; the rest is a host under heavy load.
"""

SPARE_KEEPERS: Final = 4
"""Idle keepers that stay for good; each is an interpreter of some 10 MB."""

IDLE_SECONDS: Final = 60.0
"""After this, idle keepers beyond the spare ones leave.

Not at once, or a burst of runs every few seconds would start as many keepers
every time.  Looked at whenever somebody calls `read`: nothing ticks for it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every run of a pool has around it.

    Args:
        wake_fd: Written by runs that have said something to the auditor.
        logs: Directory of the runs' logs.
        spools: Directory of the runs' audit spools.
        reports: Directory of the reports of runs that outlive their supervisor.
        outlet: Module with `open_outlet`, joined to the job's Auditor.
        echo: Copy what runs print to our own standard output.
        spawn: Spawn each keeper, without a fork server.
        cgroups: Hold runs by cgroups where the host gives any.
    """

    wake_fd: int
    logs: Path
    spools: Path
    reports: Path
    outlet: str
    echo: bool
    spawn: bool = False
    cgroups: bool = True


@dataclass(slots=True)
class _Order:
    """A run that has no keeper yet."""

    run_id: str
    sequence: str | None
    spec: Frame


class KeeperPool:
    """Starts, stops and hears of runs.

    Args:
        payloads: What crosses to a child, by the schedule's `code`.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        payloads: Mapping[str, Payload],
        clock: Clock,
    ) -> None:
        self._around = around
        self._clock = clock
        self._payloads = payloads
        self._selector = selectors.DefaultSelector()
        self._line: deque[_Order] = deque()
        self._asked = 0
        self._grips: dict[str, Grip] = {}
        self._sequences: dict[str, Grip] = {}
        self._keepers: set[Grip] = set()
        self._idle: list[Grip] = []
        self._events: list[Event] = []
        self.progress: dict[str, Frame] = {}
        given = (self, around.wake_fd, surroundings_frame(around))
        # Forking without a pidfd to tell of the end is not worth a second way.
        spawn = around.spawn or not hasattr(os, "pidfd_open")
        self._source: Source = (
            SpawnSource(*given) if spawn else ForkSource(*given, self._selector)
        )

    def fileno(self) -> int:
        """Return a descriptor that is readable when `read` has something."""
        return self._selector.fileno()

    def spool_of(self, run_id: str) -> Path:
        """Return where a run's audit records go."""
        return self._around.spools / f"{run_id}.spool"

    def log_of(self, run_id: str) -> Path:
        """Return where a run's output goes."""
        return self._around.logs / f"{run_id}.log"

    def start(self, run: StartRun) -> None:
        """Have a run started; its events tell how that went."""
        payload = self._payloads[run.code]
        spec = start_frame(
            run,
            payload,
            log=self.log_of(run.run_id),
            spool=self.spool_of(run.run_id),
            around=self._around,
        )
        self._source.preload(payload)
        self._place(_Order(run.run_id, run.sequence, spec))

    def _place(self, order: _Order) -> None:
        """Give a run to a keeper, or let it stand in line for one."""
        grip = self._free(order.sequence)
        while grip is not None and not self._hand(grip, order):
            grip = self._free(order.sequence)
        if grip is None:
            self._line.append(order)
        self._stock()

    def _free(self, sequence: str | None) -> Grip | None:
        """Return a keeper for a run; a sequence has its own."""
        if sequence is not None and sequence in self._sequences:
            return self._sequences[sequence]
        if not self._idle:
            return None
        # The two used last by turns: the one has time to fork its next process.
        return self._idle.pop(-2 if len(self._idle) > 1 else -1)

    def _hand(self, grip: Grip, order: _Order) -> bool:
        """Send a run to a keeper; return whether that is alive."""
        try:
            grip.channel.send(order.spec)
        except ChannelClosed:
            # It died idle, and has not read a word of this run.
            self._lose(grip)
            return False
        if order.sequence is not None:
            grip.sequence = order.sequence
            self._sequences[order.sequence] = grip
        grip.run_id = order.run_id
        self._grips[order.run_id] = grip
        self._watch(grip)
        return True

    def _stock(self) -> None:
        """Ask for a keeper for each run in line, and one for the next run."""
        spare = 0 if self._idle else 1
        lacking = len(self._line) + spare - self._asked
        if lacking > 0:
            self._asked += lacking
            self._source.ask(lacking)

    def warm(self) -> None:
        """Have one keeper ready before the next run is due."""
        self._stock()

    def preload(self, payloads: Iterable[Payload]) -> None:
        """Have the modules of jobs imported before their first runs."""
        for payload in payloads:
            self._source.preload(payload)

    def reload(self) -> None:
        """Have the jobs' code read anew; runs that go on end in their old keepers."""
        self.renew()
        for name, grip in tuple(self._sequences.items()):
            grip.stale = True
            if grip.run_id is None:
                del self._sequences[name]
                self._dismiss(grip)
        self._source.reload()
        self._stock()

    def renew(self) -> None:
        """Replace the keepers of before, as they become idle."""
        for grip in self._keepers:
            grip.stale = grip.stale or grip.sequence is None
        for grip in self._idle:
            self._dismiss(grip)
        self._idle.clear()
        self._stock()

    def refuse(self, text: str) -> None:
        """Hear why there is no keeper; the longest in line is not started."""
        self._asked -= 1
        if self._line:
            self._not_started(self._line.popleft().run_id, text)
        else:
            log.warning("no keeper is ready for the next run: %s", text)

    def welcome(self, grip: Grip) -> None:
        """Take a keeper that was asked for; the first in line has it."""
        self._asked -= 1
        self._keepers.add(grip)
        self._selector.register(
            grip.channel, selectors.EVENT_READ, lambda: self._hear(grip)
        )
        self._selector.register(
            grip.process.sentinel, selectors.EVENT_READ, lambda: self._bury(grip)
        )
        grip.idle_since = self._clock.now().monotonic
        if not self._line and grip.stale:
            self._dismiss(grip)
            self._stock()
        elif not self._line:
            self._idle.append(grip)
        elif not self._hand(grip, order := self._line.popleft()):
            self._line.appendleft(order)
            self._stock()

    def stop(self, run_id: str, cause: str, text: str, grace_seconds: float) -> None:
        """Have a run climb the stop ladder."""
        if self._recall(run_id, cause, text):
            return
        order = {"kind": "stop", "run_id": run_id, "cause": cause, "text": text}
        self._order(run_id, {**order, "grace": grace_seconds})

    def kill(self, run_id: str, cause: str, text: str) -> None:
        """Have a run's whole tree killed now."""
        if self._recall(run_id, cause, text):
            return
        order = {"kind": "kill", "run_id": run_id, "cause": cause, "text": text}
        self._order(run_id, order)

    def _recall(self, run_id: str, cause: str, text: str) -> bool:
        """End a run that stands in line; return whether it did."""
        for order in self._line:
            if order.run_id == run_id:
                self._line.remove(order)
                report = Report(cause=cause, cause_text=text)
                self._events.append(WorkerEnded(self._clock.now(), run_id, report))
                return True
        return False

    def _order(self, run_id: str, frame: Frame) -> None:
        grip = self._grips.get(run_id)
        if grip is not None:
            self._send(grip, frame)

    def abandon(self, run_id: str) -> None:
        """Kill a run whose keeper does not answer, and the keeper first."""
        if self._recall(run_id, "start_failed", "no keeper came for it in time"):
            return
        grip = self._grips.get(run_id)
        if grip is None:
            return
        log.warning("the keeper of run %s does not answer: killed", run_id)
        self._lose(grip)

    def _send(self, grip: Grip, frame: Frame) -> None:
        try:
            grip.channel.send(frame)
        except ChannelClosed:
            self._lose(grip)
            return
        self._watch(grip)

    def _watch(self, grip: Grip) -> None:
        events = selectors.EVENT_READ
        if grip.channel.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(grip.channel, events, lambda: self._hear(grip))

    def read(self) -> list[Event]:
        """Return what keepers have said since the last call."""
        for key, _ in self._selector.select(0):
            key.data()
        self._retire()
        events, self._events = self._events, []
        return events

    @property
    def has_events(self) -> bool:
        """Whether `read` has something that no descriptor tells."""
        return bool(self._events)

    def _hear(self, grip: Grip) -> None:
        if grip.dismissed:
            return
        try:
            grip.channel.flush()
            frames = grip.channel.receive()
        except ChannelClosed:
            self._lose(grip)
            return
        self._watch(grip)
        for frame in frames:
            self._take(grip, frame)

    def _take(self, grip: Grip, frame: Frame) -> None:
        grip.up = True
        run_id = frame.get("run_id")
        if run_id is None or run_id != grip.run_id:
            # The word of a run that has been settled already.
            return
        match frame["kind"]:
            case "started":
                grip.goal = (frame["pid"], frame["born"])
                now = self._clock.now()
                self._events.append(WorkerStarted(now, run_id, frame["pid"]))
            case "progress" | "heartbeat":
                self.progress[run_id] = frame
            case "ended":
                self._settle(grip, report_of(frame))
            case kind:
                log.warning("keeper of run %s says %r: not understood", run_id, kind)

    def _settle(self, grip: Grip, report: Report) -> None:
        run_id = grip.run_id
        assert run_id is not None  # noqa: S101 - only a grip with a run is settled
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))
        del self._grips[run_id]
        self.progress.pop(run_id, None)
        grip.run_id = grip.goal = None
        if grip.stale:
            if self._sequences.get(grip.sequence or "") is grip:
                del self._sequences[grip.sequence or ""]
            self._dismiss(grip)
        elif grip.sequence is None:
            grip.idle_since = self._clock.now().monotonic
            self._idle.append(grip)

    def _retire(self) -> None:
        """Let keepers go that have been idle for long; the last used stay."""
        if len(self._idle) <= SPARE_KEEPERS:
            return
        long_ago = self._clock.now().monotonic - IDLE_SECONDS
        extra = self._idle[:-SPARE_KEEPERS]
        for grip in extra:
            if grip.idle_since <= long_ago:
                self._idle.remove(grip)
                self._dismiss(grip)

    def _not_started(self, run_id: str, reason: str) -> None:
        report = Report(verdict="start_failed", verdict_text=reason)
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))

    def _lose(self, grip: Grip) -> None:
        """Settle the run of a keeper that is gone, and clear away its tree."""
        self._dismiss(grip)
        if grip in self._idle:
            self._idle.remove(grip)
        if self._sequences.get(grip.sequence or "") is grip:
            del self._sequences[grip.sequence or ""]
        run_id = grip.run_id
        if run_id is None:
            return
        # It may live, and only be out of order.
        grip.process.kill()
        del self._grips[run_id]
        grip.run_id = None
        self.progress.pop(run_id, None)
        if not grip.up:
            # It has not read a word of its run, which another may have.
            self._not_started(run_id, "its keeper died before it was up")
            return
        killed = kill_orphans(Traces(run_id, grip.mark, grip.goal))
        log.warning("the keeper of run %s is gone; %d orphans killed", run_id, killed)
        flags = ("its keeper was killed",)
        pid = None if grip.goal is None else grip.goal[0]
        report = Report(pid=pid, leftovers=killed, flags=flags)
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))

    def _dismiss(self, grip: Grip) -> None:
        """Let go of a keeper: the end of its channel sends it away."""
        if not grip.dismissed:
            grip.dismissed = True
            self._selector.unregister(grip.channel)
            grip.channel.close()

    def _bury(self, grip: Grip) -> None:
        """Reap a keeper that is dead."""
        while not grip.dismissed:
            # To the last word, which is the end of the channel.
            self._hear(grip)
        self._selector.unregister(grip.process.sentinel)
        self._keepers.discard(grip)
        grip.process.join()
        grip.process.close()

    def forked(self) -> None:
        """Let go of every keeper in a fork of this process; they are not its own."""
        self._selector.close()
        self._source.forked()
        for grip in self._keepers:
            if not grip.dismissed:
                grip.channel.close()

    def close(self) -> None:
        """Send every keeper away and wait until all are gone."""
        self._source.close()
        for grip in tuple(self._keepers):
            self._dismiss(grip)
            if grip in self._idle:
                # It holds nothing, and may still be on its way up.
                grip.process.kill()
        self._await_burials(CLOSE_SECONDS)
        for process in self._processes():
            log.warning("%s does not leave: killed", process)
            process.kill()
        self._await_burials(CLOSE_SECONDS)
        for process in self._processes():
            log.error("%s survives SIGKILL: left behind", process)
        self._selector.close()

    def _processes(self) -> list[Any]:
        """Return every process of ours that lives."""
        return [*(grip.process for grip in self._keepers), *self._source.processes]

    def _await_burials(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self._processes() and (left := end - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                key.data()
