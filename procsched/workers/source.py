"""Where the pool's keepers come from: a fork server, or each spawned by itself.

Asked for a keeper, a source answers later, with a keeper or with why there is
none.  The fork server is asked to import the jobs' modules too; when it has, its
successor takes over, and keepers of before are replaced as they become idle.

Imports: workers.
"""

from __future__ import annotations

import logging
import os
import secrets
import selectors
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from procsched.workers import forkserver, keeper, preload
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.context import ForkedProcess, Inherited, KeeperContext
from procsched.workers.grip import Grip
from procsched.workers.hatch import Hatch, pair

if TYPE_CHECKING:
    from procsched.workers.payload import Payload

log = logging.getLogger(__name__)

DEATHS: Final = 3
"""Fork servers that died in a row without a keeper, until runs are told."""

MODULES_AT_ONCE: Final = 100
"""Asked for in one frame."""


class Taker(Protocol):
    """Who is told of keepers: the pool."""

    def welcome(self, grip: Grip) -> None:
        """Take a keeper that was asked for."""

    def refuse(self, text: str) -> None:
        """Hear why there is none for one request."""

    def renew(self) -> None:
        """Hear that keepers from now on have more modules than before."""


class Source(Protocol):
    """Makes keepers."""

    @property
    def processes(self) -> set[Any]:
        """Its own processes that live."""

    def ask(self, count: int = 1) -> None:
        """Have keepers made; the taker is told of each."""

    def preload(self, payload: Payload) -> None:
        """Have a job's modules imported before its first run."""

    def reload(self) -> None:
        """Have every module read anew by keepers from now on."""

    def forked(self) -> None:
        """Let go of everything in a fork of this process."""

    def close(self) -> None:
        """Send its own processes away."""


def _new_name(kind: str) -> str:
    # Of one length, so that a keeper can put its own over the server's.
    return f"procsched-{kind}-{secrets.token_hex(8)}"


class SpawnSource:
    """Each keeper is an interpreter of its own, which takes 100 ms to be up."""

    def __init__(self, taker: Taker, wake_fd: int, surroundings: Frame) -> None:
        self._taker = taker
        self._wake_fd = wake_fd
        self._surroundings = surroundings
        self._context = KeeperContext()
        self.processes: set[Any] = set()

    def ask(self, count: int = 1) -> None:
        """Start keepers; they take orders at once and act when they are up."""
        for _ in range(count):
            try:
                grip = self._launch()
            except OSError as fault:
                self._taker.refuse(f"no keeper could be made: {fault.strerror}")
            else:
                self._taker.welcome(grip)

    def _launch(self) -> Grip:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            given = (
                Inherited(theirs.fileno()),
                Inherited(self._wake_fd),
                os.getpid(),
                self._surroundings,
            )
            process = self._context.Process(
                target=keeper.main, name=_new_name("keeper"), args=given
            )
            process.start()
            return Grip(process, Channel(ours.detach()))

    def preload(self, payload: Payload) -> None:
        """Do nothing: nothing is forked from a spawned keeper but its runs."""

    def reload(self) -> None:
        """Do nothing: a new keeper has read nothing."""

    def forked(self) -> None:
        """Do nothing: there is nothing of its own."""

    def close(self) -> None:
        """Do nothing: there is nothing of its own."""


@dataclass(eq=False, slots=True)
class _Server:
    """One fork server, as the pool sees it.

    Attributes:
        asked: Requests for keepers that it has not answered.
        modules: Imported there, or being imported.
        importing: What it is at, until it is ready.
    """

    hatch: Hatch
    modules: set[str] = field(default_factory=set)
    asked: int = 0
    importing: str | None = None
    process: Any = None


class ForkSource:
    """Keepers forked from a server that has the jobs' modules.

    Args:
        selector: Calls back when a server has said something.
    """

    def __init__(
        self,
        taker: Taker,
        wake_fd: int,
        surroundings: Frame,
        selector: selectors.BaseSelector,
    ) -> None:
        self._taker = taker
        self._wake_fd = wake_fd
        self._surroundings = surroundings
        self._selector = selector
        self._context = KeeperContext()
        self.processes: set[Any] = set()
        self._base: _Server | None = None
        self._current: _Server | None = None
        self._stage: _Server | None = None
        self._servers: set[_Server] = set()
        self._wanted: dict[str, None] = {}
        self._unfit: set[str] = set()
        self._path: list[str] = []
        self._main: dict[str, str] | None = None
        self._deaths = 0
        self._closed = False

    def ask(self, count: int = 1) -> None:
        """Ask the server for keepers; start one if there is none."""
        for _ in range(count):
            try:
                server = self._current or self._begin()
            except OSError as fault:
                self._taker.refuse(f"no fork server could be made: {fault.strerror}")
                continue
            server.asked += 1
            try:
                server.hatch.send({"kind": "keeper", "name": _new_name("keeper")})
            except ChannelClosed:
                self._lose(server)

    def _begin(self) -> _Server:
        """Start a fork server by exec.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        ours, theirs = pair()
        with ours, theirs:
            name = _new_name("server")
            given = (
                Inherited(theirs.fileno()),
                Inherited(self._wake_fd),
                os.getpid(),
                name,
                self._surroundings,
            )
            process = self._context.Process(
                target=forkserver.main, name=name, args=given
            )
            process.start()
            server = _Server(Hatch(ours.detach()))
        self._tend(server)
        self._know(server, process)
        self._base = self._current = server
        self._advance()
        return server

    def _tend(self, server: _Server) -> None:
        self._servers.add(server)
        self._selector.register(
            server.hatch, selectors.EVENT_READ, lambda: self._hear(server)
        )

    def _know(self, server: _Server, process: Any) -> None:
        server.process = process
        self.processes.add(process)
        self._selector.register(
            process.sentinel, selectors.EVENT_READ, lambda: self._bury(process)
        )

    def _bury(self, process: Any) -> None:
        self._selector.unregister(process.sentinel)
        self.processes.discard(process)
        process.join()
        process.close()

    def preload(self, payload: Payload) -> None:
        """Have a job's modules imported before its first run."""
        new = [each for each in payload.modules if each not in self._wanted]
        if not new and self._stage is not None:
            return
        if new:
            self._wanted.update(dict.fromkeys(new))
            self._path = list(payload.path)
        if payload.main is not None:
            self._main = dict(payload.main)
        self._advance()

    def _advance(self) -> None:
        """Have a successor import what the server lacks, one at a time."""
        server = self._current
        if server is None or self._stage is not None or self._closed:
            return
        lacking = [
            each
            for each in self._wanted
            if each not in server.modules and each not in self._unfit
        ][:MODULES_AT_ONCE]
        if not lacking:
            return
        try:
            ours, theirs = pair()
        except OSError as fault:
            log.warning("modules are not preloaded: %s", fault)
            return
        with ours, theirs:
            frame: Frame = {"kind": "stage", "modules": lacking}
            frame |= {"path": self._path, "main": self._main}
            self._stage = _Server(Hatch(ours.detach()))
            self._stage.modules = {*server.modules, *lacking}
            self._tend(self._stage)
            try:
                server.hatch.send(frame, theirs.fileno())
            except ChannelClosed:
                self._lose(server)

    def _hear(self, server: _Server) -> None:
        while server in self._servers:
            try:
                message = server.hatch.receive()
            except ChannelClosed:
                self._lose(server)
                return
            if message is None:
                return
            self._take(server, *message)

    def _take(self, server: _Server, frame: Frame, fds: list[int]) -> None:
        match frame["kind"]:
            case "forked" if len(fds) == 2:  # noqa: PLR2004 - channel and pidfd
                self._deaths = 0
                process = ForkedProcess(frame["name"], frame["pid"], fds[1])
                grip = Grip(process, Channel(fds[0]))
                # Asked for before there was a successor, and without its modules.
                grip.stale = server is not self._current
                self._answered(server)
                self._taker.welcome(grip)
                return
            case "forked":
                self._answered(server)
                self._taker.refuse("no keeper could be made: no descriptor was left")
            case "refused":
                self._answered(server)
                self._taker.refuse(f"no keeper could be made: {frame['text']}")
            case "staging" if fds:
                self._know(server, ForkedProcess("successor", 0, fds.pop()))
            case "importing":
                server.importing = frame["module"]
            case "unfit":
                self._exclude(frame["module"], frame["text"])
            case "ready":
                self._succeed(server)
            case kind:
                log.warning("the fork server says %r: not understood", kind)
        for fd in fds:
            os.close(fd)

    def _answered(self, server: _Server) -> None:
        server.asked -= 1
        if server is not self._current:
            self._dismiss(server)

    def _exclude(self, module: str, text: str) -> None:
        self._unfit.add(module)
        what = "the script" if module == preload.SCRIPT else f"module {module!r}"
        log.warning(
            "%s is not preloaded: importing it %s; each run imports it by itself",
            what,
            text,
        )

    def _succeed(self, server: _Server) -> None:
        """Let a server that has imported its modules take over."""
        before, self._current, self._stage = self._current, server, None
        server.importing = None
        if before is not None:
            self._dismiss(before)
        self._taker.renew()
        self._advance()

    def _dismiss(self, server: _Server) -> None:
        """Let go of a server that owes nothing; the first one reaps for the others."""
        if not server.asked and server is not self._base:
            self._drop(server)

    def _drop(self, server: _Server) -> None:
        if server in self._servers:
            self._servers.discard(server)
            self._selector.unregister(server.hatch)
            server.hatch.close()

    def _lose(self, server: _Server) -> None:
        """Go on without a server that is gone."""
        self._drop(server)
        owed, server.asked = server.asked, 0
        if server is self._base:
            self._base = None
        if server is self._stage:
            self._lose_stage(server.importing)
        elif server is self._current:
            self._current = None
            self._deaths += 1
            log.warning("the fork server is gone; another is made when it is needed")
        if self._closed:
            return
        if owed and self._deaths >= DEATHS:
            self._deaths = 0
            for _ in range(owed):
                self._taker.refuse("no keeper could be made: its fork server died")
            owed = 0
        self.ask(owed)

    def _lose_stage(self, module: str | None) -> None:
        """Go on without a successor that died at its imports."""
        self._stage = None
        if module is None:
            # Not yet at them: no process was left, or its parent was killed.  The
            # next run or job brings about the next try.
            return
        if module not in self._unfit:
            limit = preload.IMPORT_SECONDS
            self._exclude(module, f"ends the interpreter, or takes over {limit:g} s")
        self._advance()

    def reload(self) -> None:
        """Begin again with a server that has read nothing yet."""
        owed = sum(server.asked for server in self._servers)
        for server in tuple(self._servers):
            self._drop(server)
        self._base = self._current = self._stage = None
        self._unfit.clear()
        self.ask(owed)

    def forked(self) -> None:
        """Let go of every server in a fork of this process."""
        for server in self._servers:
            server.hatch.close()

    def close(self) -> None:
        """Send the servers away; they leave when their keepers have."""
        self._closed = True
        for server in tuple(self._servers):
            self._drop(server)
