"""The process above a run: it outlives the run, and knows how it ended.

One keeper holds one run at a time.  It never runs a job's code and unpickles
nothing, so no job can break it; it adopts what a run leaves behind, so nothing
escapes it; and when the supervisor is gone it ends the run and itself.  It is
single-threaded, which is what makes its forks safe.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn

from procsched.workers import confinement
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.child import Child
from procsched.workers.enclosure import Enclosure
from procsched.workers.footing import Lifeline, find_footing, find_ground, settle_in
from procsched.workers.holding import Holding
from procsched.workers.linux import become_subreaper
from procsched.workers.stacks import Stacks
from procsched.workers.streams import prepare_python
from procsched.workers.tree import Sweep, sweep_descendants

if TYPE_CHECKING:
    from procsched.workers.ground import Ground

LOSS_GRACE_SECONDS: Final = 0.5
"""From the supervisor's death to the kill of the run: a `finally` may still run,
and the run is dead within the second that is promised."""


def main(channel: int, wake: int, supervisor_pid: int, surroundings: Frame) -> None:
    """Be a keeper that was spawned, until the supervisor is gone; does not return."""
    line, wake_fd = find_footing(channel, wake)
    lifeline = Lifeline(supervisor_pid)
    settle_in(surroundings)
    live(line, wake_fd, lifeline, find_ground(surroundings))


def live(channel: int, wake: int, lifeline: Lifeline, ground: Ground) -> NoReturn:
    """Be a keeper until the supervisor is gone."""
    become_subreaper()
    Keeper(Channel(channel), wake, lifeline, ground).run()
    os._exit(0)


LULL_SECONDS: Final = 0.001
"""Without anything to do, until the next process is forked: while a run goes on, or
after it.  The least that epoll_wait(2) can wait."""


class Keeper:
    """One channel to the supervisor, at most one run below.

    Args:
        wake: Written by the run when it has said something to the auditor.
    """

    def __init__(
        self, channel: Channel, wake: int, lifeline: Lifeline, ground: Ground
    ) -> None:
        self._channel = channel
        self._wake = wake
        self._lifeline = lifeline
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ, self._hear)
        self._stacks = Stacks()
        self._enclosure = Enclosure(ground, self._spare)
        self._ahead: Holding | None = None
        self._held: Holding | None = None
        self._worker: Holding | None = None
        self._orphaned = False
        prepare_python(self._stacks.fileno())
        if lifeline.fileno() is not None:
            self._selector.register(
                lifeline.fileno() or 0, selectors.EVENT_READ, self._see_supervisor_dead
            )

    def _see_supervisor_dead(self) -> None:
        self._selector.unregister(self._lifeline.fileno() or 0)
        self._lose_supervisor()

    def run(self) -> None:
        """Wait, act; until there is nobody to work for and nothing to hold."""
        if self._lifeline.cut:
            self._lose_supervisor()
        self._say({"kind": "up"})
        while not (self._orphaned and self._held is None):
            held = self._held
            timeout = None
            if held is not None and (at := held.next_deadline()) is not None:
                timeout = max(0.0, at - time.monotonic())
            for key, _ in self._wait(timeout):
                key.data()
            if self._held is not None:
                self._look_after(self._held)
        sweep_descendants(Sweep())
        self._enclosure.remove()

    def _hear(self) -> None:
        """Take the supervisor's orders; its silence for ever is one too."""
        if self._orphaned:
            return
        try:
            self._channel.flush()
            frames = self._channel.receive()
        except ChannelClosed:
            self._lose_supervisor()
            return
        self._watch()
        for frame in frames:
            self._obey(frame)

    def _lose_supervisor(self) -> None:
        if self._orphaned:
            return
        self._orphaned = True
        self._selector.unregister(self._channel)
        if self._held is not None and self._held.report_path is None:
            text = "the supervisor was gone"
            self._held.stop("lost", text, LOSS_GRACE_SECONDS)
            self._stacks.waive()

    def _obey(self, frame: Frame) -> None:
        held = self._held
        match frame["kind"]:
            case "start" if not self._lifeline.cut:
                self._start(frame)
            case "stop" if held is not None and held.run_id == frame["run_id"]:
                held.stop(frame["cause"], frame["text"], frame["grace"])
            case "kill" if held is not None and held.run_id == frame["run_id"]:
                held.kill(frame["cause"], frame["text"])
            case _:
                # The order crossed the end of its run, or of who gave it.
                return

    def _start(self, spec: Frame) -> None:
        try:
            self._held = self._hold(spec)
        except OSError as fault:
            self._say(_not_forked(spec, fault))

    def _hold(self, spec: Frame) -> Holding:
        """Return a process for the run.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        self._stacks.clear()
        held = self._worker if spec["persistent"] else None
        if held is None:
            held, self._ahead = self._ahead, None
        waited = held is not None and held.usable and _fits(held, spec)
        if held is None or not waited:
            if held is not None:
                # It died idle, which is no run's fault, or is another user's.
                held.close()
                self._worker = None if held is self._worker else self._worker
                sweep_descendants(Sweep(), spare=self._spare())
            held = self._fork()
        if spec["persistent"]:
            self._worker = held
        try:
            held.hand_over(spec, waited=waited)
        except OSError:
            held.close()
            self._worker = None if held is self._worker else self._worker
            sweep_descendants(Sweep(), spare=self._spare())
            raise
        return held

    def _fork(self) -> Holding:
        door = self._enclosure.door
        return Holding(
            Child.fork(self._wake, self._stacks.fileno(), door),
            self._selector,
            stacks=self._stacks,
            enclosure=self._enclosure,
            inside=door is not None,
            spare=self._spare,
        )

    def _wait(self, timeout: float | None) -> Any:
        """Wait for something to happen; use a quiet moment for the next fork.

        Forking at once would keep whoever has just been told something waiting for
        this processor.
        """
        if self._lacks_ahead:
            soon = LULL_SECONDS if timeout is None else min(timeout, LULL_SECONDS)
            if ready := self._selector.select(soon):
                return ready
            self._fork_ahead()
        return self._selector.select(timeout)

    @property
    def _lacks_ahead(self) -> bool:
        have = self._ahead is not None or self._worker is not None
        return not (have or self._orphaned or self._enclosure.crowded)

    def _spare(self) -> int | None:
        """Return what is below this keeper and not the run's."""
        if self._worker is not None:
            return None if self._worker is self._held else self._worker.pid
        return None if self._ahead is None else self._ahead.pid

    def _fork_ahead(self) -> None:
        """Have the next run's process forked before there is an order for it."""
        # No process left now may be one when the run is due, which then says so.
        with contextlib.suppress(OSError):
            self._ahead = self._fork()

    def _look_after(self, held: Holding) -> None:
        """Carry news upward, keep the deadlines, see the end."""
        held.keep_deadlines(time.monotonic())
        # A supervisor that does not read is not buried in words of progress.
        free = not self._channel.wants_to_write
        for frame in held.take_news(with_progress=free):
            self._say(frame)
        if not held.finished:
            return
        self._held = None
        if held.gone and held is self._worker:
            self._worker = None
        if held.died_idle:
            held.close()
            self._start(held.spec)
            return
        report = held.report()
        self._enclosure.leave()
        if held.gone:
            # Closed first: who hears of the end finds nothing open.
            held.close()
        if self._orphaned and held.report_path is not None:
            _leave(report, held.report_path)
        self._say(report)
        if held.gone and held.inside and self._ahead is None and self._worker is None:
            self._enclosure.renew()

    def _say(self, frame: Frame) -> None:
        if self._orphaned:
            return
        try:
            self._channel.send(frame)
        except ChannelClosed:
            self._lose_supervisor()
            return
        self._watch()

    def _watch(self) -> None:
        events = selectors.EVENT_READ
        if self._channel.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._channel, events, self._hear)


def _fits(held: Holding, spec: Frame) -> bool:
    """Whether a worker has the surroundings that a run asks for."""
    if not held.used:
        return True
    before = confinement.lasting(held.spec["limits"])
    return before == confinement.lasting(spec["limits"])


def _leave(report: Frame, path: str) -> None:
    """Leave a report for the next supervisor: whole, or not at all (rename(2))."""
    report["ended_at"] = time.time()
    try:
        fd = os.open(f"{path}.part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            json.dump(report, file)
            file.flush()
            os.fsync(fd)
        os.replace(f"{path}.part", path)  # noqa: PTH105 - every child loads this
    except OSError:
        # The state directory is gone, or full: the run stays without an outcome,
        # as one whose keeper was killed.
        return


def _not_forked(spec: Frame, fault: OSError) -> Frame:
    return {
        "kind": "ended",
        "run_id": spec["run_id"],
        "verdict": "start_failed",
        "text": f"no process could be made for it: {fault.strerror}",
    }
