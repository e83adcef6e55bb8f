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
import time
from typing import TYPE_CHECKING, Final

from procsched.workers import rlimits
from procsched.workers.account import Account
from procsched.workers.channel import Channel, ChannelClosed, Frame
from procsched.workers.ladder import Ladder
from procsched.workers.linux import open_pidfd
from procsched.workers.output import Output
from procsched.workers.tree import Sweep, sweep_descendants
from procsched.workers.word import Word

if TYPE_CHECKING:
    from collections.abc import Callable

    from procsched.workers.child import Child
    from procsched.workers.enclosure import Enclosure
    from procsched.workers.stacks import Stacks

LINGER_LEAST_SECONDS: Final = 1.0
"""From the result to the exit; longer where the grace period is, for threads left
running and exit handlers may take as long as a stop may."""

OUTPUT_BYTES: Final = 1024 * 1024
"""Output read at once, at most: what a flood may hold up a deadline."""

LAST_BYTES: Final = 16 * 1024 * 1024
"""Output and frames read after the end, at most: whatever the pipes held."""

_CHUNK: Final = 65536  # What a pipe holds (pipe(7)).


_NO_RUN: Final[Frame] = {
    "limits": {"output": 0, "startup": None},
    "persistent": True,
    "log": None,
    "echo": False,
    "job": "",
    "run_id": "",
}


class Holding:
    """One process below the keeper, and the run it is at work on.

    Made before there is a run for it: whatever need not wait for one is done then.

    Args:
        child: The process and what joins it to us; owned from now on.
        stacks: Where it dumps its stacks; empty when a run begins.
        enclosure: What holds its runs as a whole.
        inside: Its process has joined the enclosure's cell.
        spare: Returns what is beside it below the keeper and not the run's.
    """

    def __init__(
        self,
        child: Child,
        selector: selectors.BaseSelector,
        *,
        stacks: Stacks,
        enclosure: Enclosure,
        inside: bool,
        spare: Callable[[], int | None],
    ) -> None:
        self.pid = child.pid
        self._pidfd = open_pidfd(child.pid)
        self._channel = Channel(child.channel)
        self._pipe = child.output
        self._stacks = stacks
        self._mailbox = child.mailbox
        self._enclosure = enclosure
        self.inside = inside
        self._spare = spare
        self._selector = selector
        self._ladder = Ladder(self._pidfd, child.pid, stacks)
        self._account = Account(child.pid)
        self._born = child.born
        self._fresh = True
        self.gone = False
        os.set_blocking(child.output, False)
        selector.register(self._channel, selectors.EVENT_READ, self._listen)
        selector.register(child.output, selectors.EVENT_READ, self._drain)
        if self._pidfd is not None:
            selector.register(self._pidfd, selectors.EVENT_READ, self._see_death)
        self._begin(_NO_RUN)
        self._resting = True

    def _begin(self, spec: Frame) -> None:
        limits = spec["limits"]
        self.spec = spec
        self._persistent = bool(spec["persistent"])
        self._is_command = spec.get("command") is not None
        self._output = Output(
            spec["log"],
            cap_bytes=limits["output"],
            echo=1 if spec["echo"] else None,
            label=spec["job"],
        )
        self._began = time.monotonic()
        self._news: list[Frame] = []
        self._progress: Frame | None = None
        self._word: Word | None = None
        self._ready = self._resting = self._ending = False
        self._lingered = self._struck_after_word = False
        self._cause: tuple[str, str] | None = None
        self._ladder.begin(limits["startup"])
        self._sweep = Sweep()

    def hand_over(self, spec: Frame, *, waited: bool) -> None:
        """Give it a run: the first and only one, or a worker's next.

        Args:
            waited: It was not forked for this run; its death before it knows of the
                run is nobody's.

        Raises:
            OSError: If what shall hold the run cannot.
        """
        if waited:
            self._mailbox.clear()
        self._waited = waited
        self.inside = self._enclosure.enter(spec, self.pid, inside=self.inside)
        self._begin(spec)
        try:
            self._channel.send(spec)
        except ChannelClosed:
            return  # It is dead; its pidfd tells.
        if self._channel.wants_to_write:
            self._watch()
        self._enclosure.began()

    @property
    def run_id(self) -> str:
        """The run it is at work on."""
        return str(self.spec["run_id"])

    @property
    def report_path(self) -> str | None:
        """Where its report goes if nobody is left to hear it; None: it ends then."""
        path: str | None = self.spec.get("report")
        return path

    @property
    def used(self) -> bool:
        """Whether it has had a run."""
        return self.spec is not _NO_RUN

    @property
    def finished(self) -> bool:
        """Whether the run is over and nothing of it is left."""
        return self.gone or self._resting

    @property
    def died_idle(self) -> bool:
        """Whether it was dead before it knew of its run, having waited for it."""
        heard = self._mailbox.signed or self._cause is not None
        return self.gone and self._waited and not heard

    @property
    def usable(self) -> bool:
        """Whether an idle worker can take another run."""
        if self.gone or self._pidfd is None:
            return not self.gone
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def next_deadline(self) -> float | None:
        """Return when `keep_deadlines` has something to do; None for never."""
        alarms = (self._ladder.next_at, self._enclosure.next_look)
        times = [at for at in alarms if at is not None]
        if self._pidfd is None:
            # No death notice on this system: look every 20 ms while a run goes on.
            times.append(time.monotonic() + 0.02)
        return min(times, default=None)

    def keep_deadlines(self, now: float) -> None:
        """Stop a run that is over its time; kill one that did not stop."""
        if self._pidfd is None:
            self._see_death()
        if self.finished:
            return
        if (over := self._enclosure.look(now)) is not None:
            if over.at_once:
                self.kill(over.cause, over.text)
            else:
                self.stop(over.cause, over.text, self.spec["limits"]["grace"])
        if self._ladder.over_time(now):
            self._over_time()
        if self._ladder.climb(now, has_stacks=not self._is_command):
            self._kill()

    def _over_time(self) -> None:
        limits = self.spec["limits"]
        if self._word is not None:
            self._lingered = True
            self._ladder.end()
            return
        if self._ready:
            text = f"over its time limit of {limits['wall']:g} s"
        else:
            text = f"goal() was not reached within {limits['startup']:g} s"
        self.stop("timed_out", text, limits["grace"])

    def stop(self, cause: str, text: str, grace_seconds: float) -> None:
        """Ask the run to stop, and kill it when the grace period is over."""
        self._note(cause, text)
        if self.finished:
            return
        self._ladder.stop(grace_seconds)
        self._struck_after_word = self._word is not None

    def kill(self, cause: str, text: str) -> None:
        """Kill the run now."""
        self._note(cause, text)
        if not self.finished:
            self._kill()

    def _note(self, cause: str, text: str) -> None:
        """Write the cause down, unless another or a result came first."""
        # A result may have come and not been read.
        self._listen()
        if self._word is None and self._cause is None:
            self._cause = (cause, text)

    def _kill(self) -> None:
        self._struck_after_word = self._word is not None
        self._ladder.kill()

    def take_news(self, *, with_progress: bool) -> list[Frame]:
        """Return what is to be told to the supervisor; forget it.

        Args:
            with_progress: The latest word of progress as well; it can wait, and
                only the latest is kept.
        """
        taken, self._news = self._news, []
        if with_progress and self._progress is not None:
            taken.append(self._progress)
            self._progress = None
        return [{**frame, "run_id": self.run_id} for frame in taken]

    def _watch(self) -> None:
        events = selectors.EVENT_READ
        if self._channel.wants_to_write:
            events |= selectors.EVENT_WRITE
        self._selector.modify(self._channel, events, self._listen)

    def _listen(self, at_most_bytes: int = _CHUNK) -> None:
        if self._channel not in self._selector.get_map():
            return
        try:
            self._channel.flush()
            frames = self._channel.receive(at_most_bytes)
        except ChannelClosed:
            # Closed by the job or by exec, or noise of a job that writes where it
            # should not.  Its death is told by the pidfd.
            self._selector.unregister(self._channel)
            self._channel.cut()
            return
        self._watch()
        for frame in frames:
            self._heed(frame)

    def _heed(self, frame: Frame) -> None:
        match frame.get("kind"):
            case "ready" if not self._ready:
                self._ready = True
                self._news.append(
                    {"kind": "started", "pid": self.pid, "born": self._born}
                )
                if self._cause is None:
                    self._ladder.allow(self.spec["limits"]["wall"])
            case "becoming":
                self._is_command = True
                self._persistent = False
            case "word" if self._word is None:
                self._word = Word.from_frame(frame)
                if self._word is not None:
                    self._take_word(self._word)
            case "progress" | "heartbeat":
                kept = {name: frame.get(name) for name in ("kind", "done", "total")}
                self._progress = kept
            case _:
                return  # Noise of a job that writes on descriptors it does not own.

    def _take_word(self, word: Word) -> None:
        if self._persistent and word.leaving is None:
            if not self._ending:
                self._rest(word)
        elif not self._ladder.climbing:
            grace = max(LINGER_LEAST_SECONDS, self.spec["limits"]["grace"])
            self._ladder.allow(grace)

    def _rest(self, word: Word) -> None:
        """End a run whose worker lives on, or end the worker with it."""
        sweep_descendants(self._sweep, spare=self.pid)
        trusted = self._cause is None and word.ordinary and not word.memory
        if trusted and self.pid not in self._sweep.statuses:
            self._ladder.rest()
            self._drain(LAST_BYTES)
            self._output.close()
            self._resting = True
        else:
            self._kill()
            self._finish()

    def _see_death(self) -> None:
        """Notice that the process is dead, and clear away what it left."""
        if self.gone:
            return
        if (self._pidfd is None or self._resting) and not self._reap():
            return
        if self._resting:
            # Its last run is over and swept; what is below us now is another's.
            self._release()
        else:
            self._finish()

    def _reap(self) -> bool:
        """Take its exit status, without waiting; return whether it is dead."""
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            return True  # A sweep has taken its status already.
        if pid:
            self._sweep.statuses[pid] = status
            self._sweep.reaped.append((pid, usage))
        return bool(pid)

    def _finish(self) -> None:
        self._ending = True
        self._listen(LAST_BYTES)
        if (left := self._mailbox.take()) is not None:
            self._heed(left)
        self._sweep.struck |= self._enclosure.kill(inside=self.inside)
        sweep_descendants(self._sweep, spare=self._spare())
        self._drain(LAST_BYTES)
        self._output.close()
        self._release()

    def _release(self) -> None:
        self.gone = True
        for each in (self._channel, self._pipe, self._pidfd):
            if each is not None and each in self._selector.get_map():
                self._selector.unregister(each)

    def _drain(self, at_most_bytes: int = OUTPUT_BYTES) -> None:
        """Read what the run printed; the pipe never fills while we live."""
        while at_most_bytes > 0:
            try:
                data = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                if self._pipe in self._selector.get_map():
                    self._selector.unregister(self._pipe)
                return
            at_most_bytes -= len(data)
            self._output.take(data)

    def report(self) -> Frame:
        """Return everything that is known of the run's end."""
        word = self._word
        wall = time.monotonic() - self._began
        if self._fresh:
            self._fresh = False
            self._account.before(self._mailbox.spent_before)
        said = None if word is None else word.usage
        usage = {"wall": wall, **self._account.of_run(self._sweep.reaped, said)}
        status = self._sweep.statuses.get(self.pid) if self.gone else None
        code = None if status is None else os.waitstatus_to_exitcode(status)
        if word is not None and (code is None or self._struck_after_word):
            # It had said its word; what ended its process after that was us.
            code = word.code
        limits = self.spec["limits"]
        told = self._enclosure.told(code, inside=self.inside)
        if word is not None and word.memory and told["memory_limit"] is None:
            told["memory_limit"] = limits["memory"]
        return {
            "kind": "ended",
            "run_id": self.run_id,
            "pid": self.pid,
            "cause": self._cause or rlimits.cause_of_kill(limits, code, usage),
            "verdict": None if word is None else word.verdict,
            "text": "" if word is None else word.text,
            "result": None if word is None else word.result,
            "traceback": (word and word.traceback) or self._stacks.text(),
            "exit_code": code if code is None or code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "is_command": self._is_command,
            "usage": usage | self._enclosure.counted(inside=self.inside),
            "output_tail": self._output.last_lines,
            "leftovers": len(self._sweep.struck - {self.pid}),
            "flags": [*self._flags(), *(() if word is None else word.flags())],
            **told,
        }

    def _flags(self) -> list[str]:
        flags = [*self._output.faults, *self._enclosure.flags(inside=self.inside)]
        if self._output.dropped_bytes:
            flags.append(f"{self._output.dropped_bytes} bytes of output left out")
        if self._lingered:
            flags.append("its process did not leave after its result: killed")
        if self._sweep.unkillable:
            flags.append(f"unkillable: {self._sweep.unkillable}")
        return flags

    def close(self) -> None:
        """Give back every descriptor."""
        self._release()
        self._channel.close()
        os.close(self._pipe)
        self._mailbox.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
