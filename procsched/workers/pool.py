"""The supervisor's side of the keepers: who is at work, who is idle, who died.

A keeper is started when a run finds none idle, and stays for the next one; a
sequence has a keeper of its own for as long as the pool lives.  The pool sends
orders and turns what keepers say into events.  It waits for nothing.

Imports: core, errors, clock, workers.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from procsched.core.messages import Event, StartRun, WorkerEnded, WorkerStarted
from procsched.core.run import Usage
from procsched.core.verdict import Report
from procsched.workers import keeper
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.context import Inherited, KeeperContext
from procsched.workers.orphans import identify, kill_orphans

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from procsched.clock import Clock
    from procsched.workers.payload import Payload

log = logging.getLogger(__name__)

CLOSE_SECONDS: Final = 10.0
"""How long idle keepers may take to leave when the pool closes.

They leave within milliseconds; the rest is a host under heavy load.
"""

SPARE_KEEPERS: Final = 4
"""Idle keepers kept for the next runs; each is an interpreter of some 10 MB."""


class _Grip:
    """One keeper, as the supervisor holds it.

    Attributes:
        run_id: The run it is at work on; None while it is idle.
    """

    def __init__(self, process: Any, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.run_id: str | None = None
        self.sequence: str | None = None
        # Pins pid and start time: the number alone may go to a stranger.
        self.identity = psutil.Process(process.pid)
        self.goal: psutil.Process | None = None
        self.dismissed = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every run of a pool has around it.

    Args:
        wake_fd: Written by runs that have said something to the auditor.
        logs: Directory of the runs' logs.
        spools: Directory of the runs' audit spools.
        outlet: Module with `open_outlet`, joined to the job's Auditor.
        echo: Copy what runs print to our own standard output.
    """

    wake_fd: int
    logs: Path
    spools: Path
    outlet: str
    echo: bool


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
        self._context = KeeperContext()
        self._selector = selectors.DefaultSelector()
        self._grips: dict[str, _Grip] = {}
        self._sequences: dict[str, _Grip] = {}
        self._keepers: set[_Grip] = set()
        self._idle: list[_Grip] = []
        self._events: list[Event] = []
        self.progress: dict[str, Frame] = {}

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
        try:
            grip = self._grip_for(run)
        except OSError as fault:
            self._not_started(run.run_id, f"no keeper could be made: {fault.strerror}")
            return
        grip.run_id = run.run_id
        self._grips[run.run_id] = grip
        self._send(grip, self._spec(run))

    def _grip_for(self, run: StartRun) -> _Grip:
        if run.sequence is None:
            return self._idle.pop() if self._idle else self._new_grip()
        grip = self._sequences.get(run.sequence)
        if grip is None:
            grip = self._sequences[run.sequence] = self._new_grip()
            grip.sequence = run.sequence
        return grip

    def warm(self) -> None:
        """Have one keeper ready before the first run is due."""
        try:
            self._idle.append(self._new_grip())
        except OSError as fault:
            log.warning("cannot make a keeper ahead of time: %s", fault)

    def _new_grip(self) -> _Grip:
        """Start a keeper; it takes orders at once and acts when it is up.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        try:
            process = self._context.Process(
                target=keeper.main,
                name="procsched-keeper",
                args=(Inherited(theirs.fileno()), Inherited(self._around.wake_fd)),
            )
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        grip = _Grip(process, Channel(ours.detach()))
        self._keepers.add(grip)
        self._selector.register(
            grip.channel, selectors.EVENT_READ, lambda: self._hear(grip)
        )
        self._selector.register(
            process.sentinel, selectors.EVENT_READ, lambda: self._bury(grip)
        )
        return grip

    def _spec(self, run: StartRun) -> Frame:
        payload = self._payloads[run.code]
        limits = run.limits
        spec = {
            "kind": "start",
            "run_id": run.run_id,
            "job": run.job,
            "nominal_time": run.nominal_time.isoformat(),
            "attempt": run.attempt,
            "log": str(self.log_of(run.run_id)),
            "spool": str(self.spool_of(run.run_id)),
            "outlet": self._around.outlet,
            "echo": self._around.echo,
            # A command takes the place of its process, so it has one of its own.
            "persistent": run.sequence is not None and payload.command is None,
            "limits": {
                **{name: limits.seconds(name) for name in ("wall", "cpu", "startup")},
                **{
                    name: limits.bytes(name)
                    for name in ("memory", "file_size", "output")
                },
                "grace": limits.seconds("grace"),
                "processes": limits.processes,
                "open_files": limits.open_files,
                "required": limits.required,
            },
        }
        return {**spec, **payload.to_frame()}

    def stop(self, run_id: str, cause: str, text: str, grace_seconds: float) -> None:
        """Have a run climb the stop ladder."""
        order = {"kind": "stop", "run_id": run_id, "cause": cause, "text": text}
        self._order(run_id, {**order, "grace": grace_seconds})

    def kill(self, run_id: str, cause: str, text: str) -> None:
        """Have a run's whole tree killed now."""
        order = {"kind": "kill", "run_id": run_id, "cause": cause, "text": text}
        self._order(run_id, order)

    def _order(self, run_id: str, frame: Frame) -> None:
        grip = self._grips.get(run_id)
        if grip is not None:
            self._send(grip, frame)

    def abandon(self, run_id: str) -> None:
        """Kill a run whose keeper does not answer, and the keeper first."""
        grip = self._grips.get(run_id)
        if grip is None:
            return
        log.warning("the keeper of run %s does not answer: killed", run_id)
        self._kill_grip(grip)
        self._lose(grip)

    def _send(self, grip: _Grip, frame: Frame) -> None:
        try:
            grip.channel.send(frame)
        except ChannelClosed:
            self._lose(grip)
            return
        self._watch(grip)

    def _watch(self, grip: _Grip) -> None:
        events = selectors.EVENT_READ
        if grip.channel.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(grip.channel, events, lambda: self._hear(grip))

    def read(self) -> list[Event]:
        """Return what keepers have said since the last call."""
        for key, _ in self._selector.select(0):
            key.data()
        events, self._events = self._events, []
        return events

    @property
    def has_events(self) -> bool:
        """Whether `read` has something that no descriptor tells."""
        return bool(self._events)

    def _hear(self, grip: _Grip) -> None:
        try:
            grip.channel.flush()
            frames = grip.channel.receive()
        except ChannelClosed:
            self._lose(grip)
            return
        self._watch(grip)
        for frame in frames:
            self._take(grip, frame)

    def _take(self, grip: _Grip, frame: Frame) -> None:
        run_id = frame.get("run_id")
        if run_id is None or run_id != grip.run_id:
            # The word of a run that has been settled already.
            return
        match frame["kind"]:
            case "started":
                grip.goal = identify(frame["pid"])
                now = self._clock.now()
                self._events.append(WorkerStarted(now, run_id, frame["pid"]))
            case "progress" | "heartbeat" | "lingered":
                self.progress[run_id] = frame
            case "ended":
                self._settle(grip, _report(frame))
            case kind:
                log.warning("keeper of run %s says %r: not understood", run_id, kind)

    def _settle(self, grip: _Grip, report: Report) -> None:
        run_id = grip.run_id
        assert run_id is not None  # noqa: S101 - only a grip with a run is settled
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))
        del self._grips[run_id]
        self.progress.pop(run_id, None)
        grip.run_id = grip.goal = None
        if grip.sequence is not None:
            return
        if len(self._idle) < SPARE_KEEPERS:
            self._idle.append(grip)
        else:
            self._dismiss(grip)

    def _not_started(self, run_id: str, text: str) -> None:
        report = Report(verdict="start_failed", verdict_text=text)
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))

    def _lose(self, grip: _Grip) -> None:
        """Settle the run of a keeper that is gone, and clear away its tree."""
        self._dismiss(grip)
        if grip in self._idle:
            self._idle.remove(grip)
        if self._sequences.get(grip.sequence or "") is grip:
            del self._sequences[grip.sequence or ""]
        run_id = grip.run_id
        if run_id is None:
            return
        killed = kill_orphans(run_id, grip.goal)
        log.warning("the keeper of run %s is gone; %d orphans killed", run_id, killed)
        flags = ("its keeper was killed",)
        pid = None if grip.goal is None else grip.goal.pid
        report = Report(pid=pid, leftovers=killed, flags=flags)
        self._events.append(WorkerEnded(self._clock.now(), run_id, report))
        del self._grips[run_id]
        grip.run_id = None

    def _dismiss(self, grip: _Grip) -> None:
        """Let go of a keeper: the end of its channel sends it away."""
        if not grip.dismissed:
            grip.dismissed = True
            self._selector.unregister(grip.channel)
            grip.channel.close()

    def _bury(self, grip: _Grip) -> None:
        """Reap a keeper that is dead."""
        if not grip.dismissed:
            self._hear(grip)
        if not grip.dismissed:
            self._lose(grip)
        self._selector.unregister(grip.process.sentinel)
        self._keepers.discard(grip)
        grip.process.join()
        grip.process.close()

    def close(self) -> None:
        """Send every keeper away and wait until all are gone."""
        for grip in tuple(self._keepers):
            self._dismiss(grip)
        end = time.monotonic() + CLOSE_SECONDS
        while self._keepers:
            left = end - time.monotonic()
            if left <= 0:
                for grip in self._keepers:
                    log.warning("keeper %d does not leave: killed", grip.process.pid)
                    self._kill_grip(grip)
            for key, _ in self._selector.select(left if left > 0 else None):
                key.data()
        self._selector.close()

    def _kill_grip(self, grip: _Grip) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            # Gone already: its burial follows.
            grip.identity.send_signal(signal.SIGKILL)


def _report(frame: Frame) -> Report:
    """Return a keeper's word as the value the judge reads."""
    cause = frame.get("cause") or (None, "")
    usage = frame.get("usage")
    memory = frame.get("memory_limit")
    return Report(
        cause=cause[0],
        cause_text=cause[1],
        verdict=frame.get("verdict"),
        verdict_text=frame.get("text", ""),
        result=frame.get("result"),
        traceback=frame.get("traceback"),
        pid=frame.get("pid"),
        exit_code=frame.get("exit_code"),
        signal=frame.get("signal"),
        memory_limit_bytes=memory,
        is_command=frame.get("is_command", False),
        usage=None if usage is None else Usage(**usage),
        output_tail=frame.get("output_tail", ""),
        enforced_by=frame.get("enforced_by", {}),
        leftovers=frame.get("leftovers", 0),
        flags=tuple(frame.get("flags", ())),
    )
