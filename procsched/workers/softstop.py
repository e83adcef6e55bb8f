"""The soft stop: the signal that asks a run to end, and whom it is meant for.

Imports: job.
"""

from __future__ import annotations

import _thread
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procsched.job import CurrentRun


class SoftStop:
    """The handler of SIGTERM: asks the run, while there is one to be asked."""

    def __init__(self, run: CurrentRun) -> None:
        self._run = run
        self._pid = os.getpid()
        self.deaf = False

    def __call__(self, number: int, _frame: object) -> None:
        """Hear the signal: in the run, or in a fork that is not the run."""
        if os.getpid() != self._pid:
            # A fork of the run that nobody has given a handler of its own yet.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self.deaf:
            self._run.request_stop()


class _ForkGuard:
    """Keeps a stop of a fork until the fork can die of it.

    A signal with a Python handler that reaches a child before its interpreter has
    found itself is thrown away there (PyOS_AfterFork_Child): a Pool that ends a
    worker it has just forked would wait for it for ever.  So the signal is blocked
    over the fork, and delivered when the child has its default handler.
    """

    def __init__(self) -> None:
        self._masks: dict[int, set[signal.Signals | int]] = {}

    def hold(self) -> None:
        """Block the soft stop in the thread that forks."""
        if isinstance(signal.getsignal(signal.SIGTERM), SoftStop):
            held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            self._masks[_thread.get_ident()] = held

    def release(self) -> None:
        """Go on in the parent as before, a stop that came meanwhile included."""
        held = self._masks.pop(_thread.get_ident(), None)
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def settle(self) -> None:
        """Give the child the default: no soft stop of ours is meant for it."""
        if _thread.get_ident() in self._masks:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.release()


def guard_forks() -> None:
    """Guard every fork of this process; once in its life."""
    guard = _ForkGuard()
    os.register_at_fork(
        before=guard.hold,
        after_in_parent=guard.release,
        after_in_child=guard.settle,
    )
