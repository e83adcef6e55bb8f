"""The process above a run: it outlives the run, and knows how it ended.

One keeper holds one run at a time.  It never runs a job's code and unpickles
nothing, so no job can break it; it adopts what a run leaves behind, so nothing
escapes it; and when the supervisor is gone it ends the run and itself.  It is
single-threaded, which is what makes its forks safe.

Imports: workers.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from procsched.workers import goal
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.holding import Holding
from procsched.workers.linux import become_subreaper
from procsched.workers.tree import Sweep, sweep_descendants

if TYPE_CHECKING:
    from procsched.workers.context import Inherited

LOSS_GRACE_SECONDS: Final = 0.5
"""From the supervisor's death to the kill of the run: a `finally` may still run,
and the run is dead within the second that is promised."""


def main(channel: Inherited, wake: Inherited) -> None:
    """Be a keeper until the supervisor is gone; does not return."""
    os.setsid()  # Ctrl-C in the terminal is for the supervisor alone.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    gc.disable()
    Keeper(Channel(channel.detach()), wake.detach()).run()
    sys.stdout.flush()
    os._exit(0)


class Keeper:
    """One channel to the supervisor, at most one run below.

    Args:
        wake: Written by the run when it has said something to the auditor.
    """

    def __init__(self, channel: Channel, wake: int) -> None:
        self._channel = channel
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ, self._hear)
        self._held: Holding | None = None
        self._worker: Holding | None = None
        self._orphaned = False

    def run(self) -> None:
        """Wait, act; until there is nobody to work for and nothing to hold."""
        while not (self._orphaned and self._held is None):
            held = self._held
            timeout = None
            if held is not None and (at := held.next_deadline()) is not None:
                timeout = max(0.0, at - time.monotonic())
            for key, _ in self._selector.select(timeout):
                key.data()
            if self._held is not None:
                self._look_after(self._held)
        sweep_descendants(Sweep())

    def _hear(self) -> None:
        """Take the supervisor's orders; its silence for ever is one too."""
        try:
            self._channel.flush()
            for frame in self._channel.receive():
                self._obey(frame)
        except ChannelClosed:
            self._lose_supervisor()

    def _lose_supervisor(self) -> None:
        if self._orphaned:
            return
        self._orphaned = True
        self._selector.unregister(self._channel)
        if self._held is not None:
            text = "the supervisor was gone"
            self._held.stop("lost", text, LOSS_GRACE_SECONDS)

    def _obey(self, frame: Frame) -> None:
        held = self._held
        match frame["kind"]:
            case "start":
                self._start(frame)
            case "stop" if held is not None and held.run_id == frame["run_id"]:
                held.stop(frame["cause"], frame["text"], frame["grace"])
            case "kill" if held is not None and held.run_id == frame["run_id"]:
                held.kill(frame["cause"], frame["text"])
            case _:
                # The order crossed the end of its run.
                return

    def _start(self, spec: Frame) -> None:
        worker = self._worker
        if worker is not None and not worker.usable:
            # It died idle; that is no run's fault.
            sweep_descendants(Sweep())
            worker.close()
            worker = self._worker = None
        try:
            if not spec["persistent"]:
                held = Holding.fork(goal.run_once, spec, self._wake, self._selector)
            elif worker is not None:
                held = worker
                held.hand_over(spec)
            else:
                held = Holding.fork(goal.serve, spec, self._wake, self._selector)
                self._worker = held
                held.hand_over(spec)
        except OSError as fault:
            self._say(_not_forked(spec, fault))
            return
        self._held = held

    def _look_after(self, held: Holding) -> None:
        """Carry news upward, keep the deadlines, see the end."""
        held.keep_deadlines(time.monotonic())
        for frame in held.take_news():
            self._say(frame)
        if not held.finished:
            return
        self._held = None
        self._say(held.report())
        if held.gone:
            self._worker = None
            held.close()

    def _say(self, frame: Frame) -> None:
        if self._orphaned:
            return
        try:
            self._channel.send(frame)
        except ChannelClosed:
            self._lose_supervisor()
            return
        events = selectors.EVENT_READ
        if self._channel.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._channel, events, self._hear)


def _not_forked(spec: Frame, fault: OSError) -> Frame:
    return {
        "kind": "ended",
        "run_id": spec["run_id"],
        "verdict": "start_failed",
        "text": f"no process could be made for it: {fault.strerror}",
    }
