"""The process above a run: it outlives the run, and knows how it ended.

One keeper holds one run at a time.  It never runs a job's code and unpickles
nothing, so no job can break it; it adopts what a run leaves behind, so nothing
escapes it; and when the supervisor is gone it ends the run and itself.  It is
single-threaded, which is what makes its forks safe.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import select
import selectors
import signal
import sys
import time
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Final, NoReturn

from procsched.workers import goal
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.child import Child
from procsched.workers.holding import Holding
from procsched.workers.linux import become_subreaper, open_pidfd
from procsched.workers.stacks import Stacks
from procsched.workers.tree import Sweep, sweep_descendants

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.workers.context import Inherited

LOSS_GRACE_SECONDS: Final = 0.5
"""From the supervisor's death to the kill of the run: a `finally` may still run,
and the run is dead within the second that is promised."""

_STANDARD: Final = 3
"""Descriptors below are stdin, stdout and stderr."""


def main(channel: Inherited, wake: Inherited, supervisor_pid: int) -> None:
    """Be a keeper until the supervisor is gone; does not return."""
    os.setsid()  # Ctrl-C in the terminal is for the supervisor alone.
    given = (channel.detach(), wake.detach())
    lines = [_above_standard(fd) for fd in given]
    _fill_standard(set(given))
    become_subreaper()
    _settle_signals()
    keeper = Keeper(Channel(lines[0]), lines[1])
    keeper.watch_supervisor(supervisor_pid)
    keeper.run()
    os._exit(0)


def _above_standard(fd: int) -> int:
    """Return a descriptor for the same that is no standard stream.

    A host that runs with its standard streams closed gives their numbers away.
    """
    if fd >= _STANDARD:
        # It was made inheritable on its way here, and a program that a run becomes
        # has no use for it.
        os.set_inheritable(fd, False)
        return fd
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STANDARD)


def _fill_standard(taken: set[int]) -> None:
    """Read nothing; write where the host writes, or nowhere if it is closed.

    Args:
        taken: Descriptors that have other uses, whatever their number.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(_STANDARD):
        try:
            inherited = fd > 0 and fd not in taken and os.get_inheritable(fd)
        except OSError:
            inherited = False
        if not inherited:
            os.dup2(null, fd)
    if null >= _STANDARD:
        os.close(null)


def _settle_signals() -> None:
    """Set what a run has, and ignore what only a run shall hear.

    Undoes what the host had set: ignored and blocked signals survive exec.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # An ignored SIGCHLD would throw every exit status away (wait4(2)).
        if signal.getsignal(number) is not signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    # SIGXFSZ ignored shows as OSError in a job, as Python means it (EFBIG).
    ignored = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    # Blocked and not ignored: a stop that comes between the fork of a run and its
    # handler is kept for it (signal(7)).
    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGTERM])


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
        self._stacks = Stacks()
        self._supervisor: int | None = None
        self._held: Holding | None = None
        self._worker: Holding | None = None
        self._orphaned = False
        goal.prepare_python(self._stacks.fileno())

    def watch_supervisor(self, pid: int) -> None:
        """Take its death for the end of the channel.

        A process that the host has forked holds the channel open for as long as
        it lives; the pidfd speaks of the supervisor alone.
        """
        self._supervisor = open_pidfd(pid)
        if os.getppid() != pid:
            self._lose_supervisor()
        elif self._supervisor is not None:
            self._selector.register(
                self._supervisor, selectors.EVENT_READ, self._see_supervisor_dead
            )

    def _see_supervisor_dead(self) -> None:
        assert self._supervisor is not None  # noqa: S101 - it is what was heard
        self._selector.unregister(self._supervisor)
        self._lose_supervisor()

    def _has_supervisor(self) -> bool:
        """Whether there is somebody to start a run for: its order may outlive it."""
        if self._supervisor is None:
            return not self._orphaned
        poll = select.poll()
        poll.register(self._supervisor, select.POLLIN)
        return not self._orphaned and not poll.poll(0)

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
        if self._held is not None:
            text = "the supervisor was gone"
            self._held.stop("lost", text, LOSS_GRACE_SECONDS)
            self._stacks.waive()

    def _obey(self, frame: Frame) -> None:
        held = self._held
        match frame["kind"]:
            case "surroundings":
                _settle_in(frame)
                self._say({"kind": "up"})
            case "start" if self._has_supervisor():
                self._start(frame)
            case "stop" if held is not None and held.run_id == frame["run_id"]:
                held.stop(frame["cause"], frame["text"], frame["grace"])
            case "kill" if held is not None and held.run_id == frame["run_id"]:
                held.kill(frame["cause"], frame["text"])
            case _:
                # The order crossed the end of its run, or of who gave it.
                return

    def _start(self, spec: Frame) -> None:
        if self._worker is not None and not self._worker.usable:
            # It died idle; that is no run's fault.
            self._worker.close()
            self._worker = None
            sweep_descendants(Sweep())
        try:
            self._held = self._hold(spec)
        except OSError as fault:
            self._say(_not_forked(spec, fault))

    def _hold(self, spec: Frame) -> Holding:
        """Return a process for the run.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        worker = self._worker
        self._stacks.clear()
        if not spec["persistent"]:
            spare = None if worker is None else worker.pid
            return self._fork(goal.run_once, spec, spare)
        if worker is None:
            worker = self._worker = self._fork(goal.serve, spec)
        worker.hand_over(spec)
        return worker

    def _fork(
        self,
        entry: Callable[[Frame, goal.Lines, int], NoReturn],
        spec: Frame,
        spare: int | None = None,
    ) -> Holding:
        child = Child.fork(entry, spec, self._wake, self._stacks.fileno())
        return Holding(child, spec, self._selector, stacks=self._stacks, spare=spare)

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
        if held.gone:
            # Closed first: who hears of the end finds nothing open.
            held.close()
        self._say(report)

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


def _settle_in(frame: Frame) -> None:
    """Take on the scheduler's directory and environment, and get ready to fork.

    Sent and not inherited: a keeper made later than another is the same.
    """
    with contextlib.suppress(OSError):
        # The scheduler's directory has been removed; a run is told by its job.
        os.chdir(frame["directory"])
    os.environ.clear()
    os.environ.update(frame["environment"])
    # Done once, here, and not in every run: the import, and the reading of every
    # directory that modules are found in.
    importlib.import_module(frame["outlet"])
    sys.path[:] = frame["path"]
    PathFinder.find_spec("no module has this name")
    gc.collect()
    gc.freeze()
    gc.disable()


def _not_forked(spec: Frame, fault: OSError) -> Frame:
    return {
        "kind": "ended",
        "run_id": spec["run_id"],
        "verdict": "start_failed",
        "text": f"no process could be made for it: {fault.strerror}",
    }
