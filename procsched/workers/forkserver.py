"""The process that keepers are forked from: warm, small, single-threaded.

It was started by exec, so it may be forked; it runs nothing but imports, and those
not even itself: asked to preload modules it forks its successor, which imports
them and takes over when they have turned out fit to be shared.  A module that
kills, hangs or starts threads therefore costs a successor and nothing else.

It adopts what a dead keeper leaves behind, and kills it.

Imports: workers.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Final, NoReturn

from procsched.workers import keeper, preload
from procsched.workers.channel import ChannelClosed, Frame
from procsched.workers.footing import (
    Lifeline,
    find_footing,
    find_ground,
    find_name,
    freeze,
    rename,
    settle_in,
)
from procsched.workers.goal import EX_SOFTWARE
from procsched.workers.hatch import Hatch
from procsched.workers.linux import open_pidfd, send_signal
from procsched.workers.stale import cell_name, remove_directory
from procsched.workers.tree import children, descendants

if TYPE_CHECKING:
    from procsched.workers.ground import Ground

ORPHAN_SECONDS: Final = 5.0
"""How long it goes on killing what a dead keeper left."""


def main(
    line: int,
    wake: int,
    supervisor_pid: int,
    name: str,
    surroundings: Frame,
) -> None:
    """Be the fork server until the pool lets go of it; does not return."""
    hatch, wake_fd = find_footing(line, wake)
    lifeline = Lifeline(supervisor_pid)
    find_name(name)
    settle_in(surroundings)
    ForkServer(Hatch(hatch), wake_fd, lifeline, find_ground(surroundings)).run()


class ForkServer:
    """Forks keepers and a successor, on request.

    Args:
        line: To the pool; its end dismisses the server, which leaves when the
            keepers it has forked are gone.
        wake: Handed on to runs.
    """

    def __init__(
        self, line: Hatch, wake: int, lifeline: Lifeline, ground: Ground
    ) -> None:
        self._line = line
        self._ground = ground
        self._wake = wake
        self._lifeline = lifeline
        self._dismissed = False
        self._keepers: dict[int, str] = {}
        self._successors: set[int] = set()
        # A successor that died may have left keepers of its own to us.
        self._adopted = False
        self._deaths = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll = select.poll()
        self._hear_deaths()

    def _hear_deaths(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._deaths[1], warn_on_full_buffer=False)
        self._poll.register(self._line, select.POLLIN)
        self._poll.register(self._deaths[0], select.POLLIN)
        if self._lifeline.fileno() is not None:
            self._poll.register(self._lifeline.fileno() or 0, select.POLLIN)

    def run(self) -> NoReturn:
        """Wait, fork, reap; until nobody needs it any more."""
        while True:
            self._reap()
            if self._dismissed and not children(os.getpid()):
                os._exit(0)
            ready = {fd for fd, _ in self._poll.poll()}
            if self._deaths[0] in ready:
                os.read(self._deaths[0], 4096)
            if not self._dismissed and self._line.fileno() in ready:
                self._hear()
            if self._lifeline.fileno() in ready:
                self._dismiss()

    def _dismiss(self) -> None:
        if not self._dismissed:
            self._dismissed = True
            self._poll.unregister(self._line)
            self._line.close()
        with contextlib.suppress(KeyError):
            # It stays readable, and has been seen.
            self._poll.unregister(self._lifeline.fileno() or 0)

    def _hear(self) -> None:
        try:
            message = self._line.receive()
            if message is not None:
                self._obey(*message)
        except ChannelClosed:
            self._dismiss()

    def _obey(self, frame: Frame, fds: list[int]) -> None:
        if frame["kind"] == "keeper":
            try:
                self._fork_keeper(frame["name"])
            except OSError as fault:
                self._line.send({"kind": "refused", "text": fault.strerror})
        elif fds:
            # Its failure shows in the end of the line that came with it.
            with contextlib.suppress(OSError):
                self._fork_successor(frame, fds[0])

    def _fork_keeper(self, name: str) -> None:
        near, far = socket.socketpair()
        with near, far:
            pid = os.fork()
            if not pid:
                self._become_keeper(name, near, far)
            self._keepers[pid] = cell_name(pid)
            pidfd = open_pidfd(pid)
            with open(pidfd or 0, "rb", closefd=pidfd is not None):
                # By descriptor: its number may be another's when this is read.
                fds = [near.fileno()] + ([] if pidfd is None else [pidfd])
                self._line.send({"kind": "forked", "name": name, "pid": pid}, *fds)

    def _become_keeper(
        self, name: str, near: socket.socket, far: socket.socket
    ) -> NoReturn:
        try:
            self._leave_server()
            rename(name)
            near.close()
            keeper.live(far.detach(), self._wake, self._lifeline, self._ground)
        finally:
            # Whatever happened: the server's frames are not the keeper's.
            os._exit(EX_SOFTWARE)

    def _leave_server(self) -> None:
        """Give up, in a fork, what is the server's own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        self._line.close()
        for fd in self._deaths:
            os.close(fd)

    def _fork_successor(self, frame: Frame, line: int) -> None:
        try:
            pid = os.fork()
            if not pid:
                self._become_successor(frame, line)
            self._successors.add(pid)
        finally:
            os.close(line)

    def _become_successor(self, frame: Frame, line: int) -> NoReturn:
        try:
            self._leave_server()
            hatch = Hatch(line)
            _load_all(hatch, frame)
            ForkServer(hatch, self._wake, self._lifeline, self._ground).run()
        except ChannelClosed:
            # The pool has closed in the meantime.
            os._exit(0)
        finally:
            os._exit(EX_SOFTWARE)

    def _reap(self) -> None:
        """Take the status of every child that is dead; clear up after keepers."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self._successors:
                self._successors.discard(pid)
                self._adopted = True
            elif pid in self._keepers:
                cell = self._keepers.pop(pid)
                self._kill_orphans()
                # Empty now, unless the keeper was killed and something hides there.
                for base in self._ground.directories():
                    remove_directory(f"{base}/{cell}", kill=True)

    def _kill_orphans(self) -> None:
        """Kill what a dead keeper has left: it is a child of ours now."""
        end = time.monotonic() + ORPHAN_SECONDS
        while not self._adopted and time.monotonic() < end:
            known = self._keepers.keys() | self._successors
            orphans = [pid for pid in children(os.getpid()) if pid not in known]
            if not orphans:
                return
            for pid in [*orphans, *(p for each in orphans for p in descendants(each))]:
                send_signal(None, pid, signal.SIGKILL)
            for pid in orphans:
                # Dead within moments: SIGKILL was sent, and it is our child.
                self._await(pid)

    def _await(self, pid: int) -> None:
        pidfd = open_pidfd(pid)
        if pidfd is not None:
            with open(pidfd, "rb"):  # noqa: PTH123 - a descriptor
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                poll.poll(100)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _load_all(line: Hatch, frame: Frame) -> None:
    """Import what is asked for, and say so; end this process if it is spoiled.

    Raises:
        ChannelClosed: If nobody listens any more.
    """
    pidfd = open_pidfd(os.getpid())
    line.send({"kind": "staging"}, *([] if pidfd is None else [pidfd]))
    if pidfd is not None:
        os.close(pidfd)
    preload.settle_path(frame["path"])
    for module in frame["modules"]:
        line.send({"kind": "importing", "module": module})
        try:
            preload.load(module, frame["main"])
        except preload.Unfit as found:
            line.send({"kind": "unfit", "module": module, "text": str(found)})
            os._exit(0)
    freeze()
    line.send({"kind": "ready"})
