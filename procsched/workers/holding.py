"""A keeper's grip on one process: its deadlines, its ladder, its end.

The ladder: the reason is written down first and the first writer wins; then the
soft stop; after the grace period all stacks are dumped and everything is killed,
until nothing is left.

Imports: workers.
"""

from __future__ import annotations

import os
import select
import selectors
import signal
import socket
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from procsched.workers import goal, rlimits
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.linux import open_pidfd, send_signal
from procsched.workers.output import Output
from procsched.workers.tree import Sweep, sweep_descendants

if TYPE_CHECKING:
    import resource
    from collections.abc import Callable

DUMP_SECONDS: Final = 0.2
"""How long a hung run may take to write its stacks before it is killed.

faulthandler needs 2 to 5 ms, also while C code holds the GIL.
"""

LINGER_SECONDS: Final = 10.0
"""From the result to the exit: threads left running, exit handlers that hang."""

DRAIN_BYTES: Final = 16 * 1024 * 1024
"""Output read after the end, at most; a pipe holds 64 KiB (pipe(7))."""

_CHUNK: Final = 65536


class Holding:
    """One process below the keeper, and the run it is at work on.

    Args:
        pid: A child of this process that has not been reaped.
        channel: Where the child's word comes from.
        output: Read end of its stdout and stderr.
        crash: A file its stacks are dumped to.
    """

    def __init__(
        self,
        pid: int,
        channel: Channel,
        output: int,
        crash: int,
        selector: selectors.BaseSelector,
    ) -> None:
        self._pid = pid
        self._pidfd = open_pidfd(pid)
        self._channel = channel
        self._pipe = output
        self._crash = crash
        self._selector = selector
        os.set_blocking(output, False)
        selector.register(channel, selectors.EVENT_READ, self._listen)
        selector.register(output, selectors.EVENT_READ, self._drain)
        if self._pidfd is not None:
            selector.register(self._pidfd, selectors.EVENT_READ, self._see_death)
        self.gone = False
        self._sweep = Sweep()
        self._spec: Frame = {}

    @classmethod
    def fork(
        cls,
        entry: Callable[[Frame, goal.Lines, int], NoReturn],
        spec: Frame,
        wake: int,
        selector: selectors.BaseSelector,
    ) -> Self:
        """Fork a process for a run.

        Raises:
            OSError: If the system has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        crash = _unnamed_file()
        keeper = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            for fd in (read, write, crash):
                os.close(fd)
            raise
        if not pid:
            os.dup2(write, 1)
            os.dup2(write, 2)
            entry(spec, goal.Lines(theirs.detach(), wake, crash), keeper)
        theirs.close()
        os.close(write)
        held = cls(pid, Channel(ours.detach()), read, crash, selector)
        held._begin(spec)
        return held

    @property
    def run_id(self) -> str:
        """The run it is at work on."""
        run_id: str = self._spec["run_id"]
        return run_id

    @property
    def finished(self) -> bool:
        """Whether the run is over and nothing of it is left."""
        return self.gone or (self._persistent and self._word is not None)

    @property
    def usable(self) -> bool:
        """Whether an idle worker can take another run."""
        if not self.gone and self._pidfd is not None:
            dead, _, _ = select.select([self._pidfd], [], [], 0)
            return not dead
        return not self.gone

    def hand_over(self, spec: Frame) -> None:
        """Give a persistent worker its next run."""
        self._begin(spec)
        try:
            self._channel.send(spec)
        except ChannelClosed:
            # It died idle; the pidfd tells, and the run has failed to start.
            return

    def _begin(self, spec: Frame) -> None:
        self._spec = spec
        limits = spec["limits"]
        self._persistent = bool(spec["persistent"])
        self._output = Output(
            spec["log"],
            cap_bytes=limits["output"],
            echo=1 if spec["echo"] else None,
            label=spec["job"],
        )
        self._began = time.monotonic()
        self._news: list[Frame] = []
        self._word: Frame | None = None
        self._ready = False
        self._cause: tuple[str, str] | None = None
        self._soft_at = self._after(limits["startup"])
        self._hard_at: float | None = None
        self._dumped = False
        self._sweep = Sweep()
        os.ftruncate(self._crash, 0)
        # The child shares the offset: it was forked with this description.
        os.lseek(self._crash, 0, os.SEEK_SET)

    def _after(self, seconds: float | None) -> float | None:
        return None if seconds is None else time.monotonic() + seconds

    def next_deadline(self) -> float | None:
        """Return when `keep_deadlines` has something to do; None for never."""
        times = [at for at in (self._soft_at, self._hard_at) if at is not None]
        if self._pidfd is None:
            # No death notice on this system: look every 20 ms while a run goes on.
            times.append(time.monotonic() + 0.02)
        return min(times, default=None)

    def keep_deadlines(self, now: float) -> None:
        """Stop a run that is over its time; kill one that did not stop."""
        if self._pidfd is None:
            self._see_death()
        if self.gone:
            return
        if self._soft_at is not None and now >= self._soft_at:
            self._over_time()
        if self._hard_at is not None and now >= self._hard_at:
            self._strike()

    def _over_time(self) -> None:
        self._soft_at = None
        limits = self._spec["limits"]
        if self._word is not None:
            self._news.append({"kind": "lingered"})
            self._strike()
        elif self._ready:
            text = f"over its time limit of {limits['wall']:g} s"
            self.stop("timed_out", text, limits["grace"])
        else:
            text = f"goal() was not reached within {limits['startup']:g} s"
            self.stop("timed_out", text, limits["grace"])

    def stop(self, cause: str, text: str, grace_seconds: float) -> None:
        """Ask the run to stop, and kill it when the grace period is over."""
        if self._word is None and self._cause is None:
            self._cause = (cause, text)
        self._soft_at = None
        at = time.monotonic() + grace_seconds
        self._hard_at = at if self._hard_at is None else min(at, self._hard_at)
        # A stopped process does not hear (signal(7)).
        send_signal(self._pidfd, self._pid, signal.SIGCONT)
        send_signal(self._pidfd, self._pid, signal.SIGTERM)

    def kill(self, cause: str, text: str) -> None:
        """Kill the run now."""
        if self._word is None and self._cause is None:
            self._cause = (cause, text)
        self._dumped = True
        self._strike()

    def _strike(self) -> None:
        """Dump the stacks, give that a moment, then kill."""
        if not self._dumped and self._spec.get("command") is None:
            self._dumped = True
            self._hard_at = time.monotonic() + DUMP_SECONDS
            send_signal(self._pidfd, self._pid, goal.DUMP_SIGNAL)
            return
        self._hard_at = None
        self._soft_at = None
        send_signal(self._pidfd, self._pid, signal.SIGKILL)

    def take_news(self) -> list[Frame]:
        """Return what is to be told to the supervisor; forget it."""
        taken, self._news = self._news, []
        return [{**frame, "run_id": self.run_id} for frame in taken]

    def _listen(self) -> None:
        try:
            frames = self._channel.receive()
        except ChannelClosed:
            # Closed by the job or by exec; its death is told by the pidfd.
            self._selector.unregister(self._channel)
            return
        for frame in frames:
            self._heed(frame)

    def _heed(self, frame: Frame) -> None:
        match frame.get("kind"):
            case "ready" if not self._ready:
                self._ready = True
                self._news.append({"kind": "started", "pid": self._pid})
                if self._cause is None:
                    self._soft_at = self._after(self._spec["limits"]["wall"])
            case "word" if self._word is None:
                self._word = frame
                if not self._persistent and self._hard_at is None:
                    self._soft_at = self._after(LINGER_SECONDS)
                elif self._persistent:
                    self._rest()
            case "progress" | "heartbeat":
                self._news.append(frame)
            case _:
                # Noise of a job that writes on descriptors it does not own.
                return

    def _rest(self) -> None:
        """End a run whose worker lives on, or end the worker with it."""
        assert self._word is not None  # noqa: S101 - the caller heard it
        sweep_descendants(self._sweep, spare=self._pid)
        self._drain()
        trusted = self._cause is None and (
            self._word["verdict"] in ("returned", "exited", "start_failed")
            or self._word.get("ordinary")
        )
        if trusted and self._pid not in self._sweep.statuses:
            self._soft_at = self._hard_at = None
            self._output.close()
            return
        send_signal(self._pidfd, self._pid, signal.SIGKILL)
        self._finish()

    def _see_death(self) -> None:
        """Notice that the process is dead, and clear away what it left."""
        if self.gone:
            return
        if self._pidfd is None:
            pid, status, usage = os.wait4(self._pid, os.WNOHANG)
            if not pid:
                return
            self._sweep.statuses[pid] = status
            self._sweep.reaped.append(usage)
        self._finish()

    def _finish(self) -> None:
        self._listen_to_the_last()
        sweep_descendants(self._sweep)
        self._drain()
        self._output.close()
        self.gone = True

    def _listen_to_the_last(self) -> None:
        if self._channel.fileno() in self._selector.get_map():
            self._listen()

    def _drain(self) -> None:
        """Read what the run printed; the pipe never fills while we live."""
        room = DRAIN_BYTES
        while room > 0:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                if self._pipe in self._selector.get_map():
                    self._selector.unregister(self._pipe)
                return
            room -= len(data)
            self._output.take(data)

    def report(self) -> Frame:
        """Return everything that is known of the run's end."""
        status = self._sweep.statuses.get(self._pid) if self.gone else None
        limits = self._spec["limits"]
        word = self._word or {}
        flags = [word["note"]] if word.get("note") else []
        flags += self._output.faults
        if self._output.dropped_bytes:
            flags.append(f"{self._output.dropped_bytes} bytes of output left out")
        if self._sweep.unkillable:
            flags.append(f"unkillable: {self._sweep.unkillable}")
        code = None if status is None else os.waitstatus_to_exitcode(status)
        if code is None and self._word is not None:
            code = word["code"]
        memory = limits["memory"]
        over_memory = memory is not None and word.get("type") == "MemoryError"
        return {
            "kind": "ended",
            "run_id": self.run_id,
            "pid": self._pid,
            "cause": self._cause,
            "verdict": word.get("verdict"),
            "text": word.get("text", ""),
            "result": word.get("result"),
            "traceback": word.get("traceback") or self._stacks(),
            "exit_code": code if code is None or code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "memory_limit": memory if over_memory else None,
            "is_command": self._spec.get("command") is not None,
            "usage": self._usage(),
            "output_tail": self._output.last_lines,
            "enforced_by": rlimits.enforceable(limits),
            "leftovers": self._sweep.killed,
            "flags": flags,
        }

    def _stacks(self) -> str | None:
        size = min(os.fstat(self._crash).st_size, _CHUNK)
        text = os.pread(self._crash, size, 0).decode("utf-8", "replace")
        return text or None

    def _usage(self) -> dict[str, Any]:
        wall = time.monotonic() - self._began
        if self._word is not None and self._word.get("usage"):
            return {"wall": wall, **self._word["usage"]}
        reaped: list[resource.struct_rusage] = self._sweep.reaped
        return {
            "wall": wall,
            "cpu_user": sum(each.ru_utime for each in reaped),
            "cpu_system": sum(each.ru_stime for each in reaped),
            # Kilobytes on Linux, bytes on macOS (getrusage(2)).
            "max_rss_bytes": max((each.ru_maxrss for each in reaped), default=0)
            * (1 if os.uname().sysname == "Darwin" else 1024),
            "context_switches": sum(each.ru_nvcsw + each.ru_nivcsw for each in reaped),
            "io_blocks": sum(each.ru_inblock + each.ru_oublock for each in reaped),
        }

    def close(self) -> None:
        """Give back every descriptor."""
        for fd in (self._channel.fileno(), self._pipe, self._pidfd):
            if fd is not None and fd in self._selector.get_map():
                self._selector.unregister(fd)
        self._channel.close()
        os.close(self._pipe)
        os.close(self._crash)
        if self._pidfd is not None:
            os.close(self._pidfd)


def _unnamed_file() -> int:
    """Return a descriptor of a file that no name leads to."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("procsched-stacks")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
