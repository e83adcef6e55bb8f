"""From what was seen of a run's end to its outcome and one sentence why.

The first cause stands: what we did on purpose outweighs what the process then
said, unless its complete result had come before.  Then the kernel's word, then
the job's, then the bare exit code.

Imports: core.outcome, core.run.
"""

from __future__ import annotations

import signal as signals
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from procsched.core.outcome import Outcome

if TYPE_CHECKING:
    from procsched.core.run import Usage

KILLED_BY_HAND: Final = "killed by a signal that procsched did not send"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the hands saw of a run's end.

    Attributes:
        cause: Why we ended it, an `Outcome` word; None if we did not.
        cause_text: The sentence that belongs to the cause.
        verdict: What the child said of `goal()`: "returned", "raised",
            "exited", "start_failed"; None if it said nothing.
        verdict_text: The exception's last line, or the exit value.
        out_of_memory: The kernel's counter moved for this run.
        host_out_of_memory: The counter of the whole host moved during the run,
            which had no counter of its own.
        memory_limit_bytes: The limit, where the run failed on it.
        cpu_limit_seconds: The limit, where there is one.
    """

    cause: str | None = None
    cause_text: str = ""
    verdict: str | None = None
    verdict_text: str = ""
    result: Any = None
    traceback: str | None = None
    pid: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False
    host_out_of_memory: bool = False
    memory_limit_bytes: int | None = None
    cpu_limit_seconds: float | None = None
    is_command: bool = False
    usage: Usage | None = None
    output_tail: str = ""
    enforced_by: dict[str, str] = field(default_factory=dict)
    leftovers: int = 0
    flags: tuple[str, ...] = ()

    @property
    def unseen(self) -> bool:
        """Whether nobody saw how the run ended."""
        return (self.verdict, self.exit_code, self.signal) == (None, None, None)


def judge(report: Report) -> tuple[Outcome, str]:
    """Return the outcome and the reason, in the order of precedence."""
    if report.cause is not None:
        return Outcome(report.cause), report.cause_text
    if report.verdict == "returned" and report.signal is not None:
        return Outcome.SUCCEEDED, (
            f"goal() returned; its process was then ended by "
            f"{signal_name(report.signal)}"
        )
    if report.out_of_memory:
        return Outcome.OUT_OF_MEMORY, _killed_for_memory(report)
    if report.memory_limit_bytes is not None:
        limit = _mebibytes(report.memory_limit_bytes)
        text = f"over its memory limit of {limit} (MemoryError)"
        return Outcome.OUT_OF_MEMORY, text
    if report.signal == signals.SIGKILL and report.host_out_of_memory:
        # Nobody can tell whom the kernel killed; two kills at once are rare.
        text = "killed by the kernel: the host ran out of memory"
        return Outcome.OUT_OF_MEMORY, text
    if report.signal is not None:
        return _by_signal(report.signal, report.cpu_limit_seconds)
    if report.verdict is not None:
        return _by_word(report)
    return _by_exit_code(report)


def _killed_for_memory(report: Report) -> str:
    """Return the sentence for a run of which the kernel killed a process, or all."""
    itself = report.signal == signals.SIGKILL
    text = "killed by the kernel" if itself else "a process was killed by the kernel"
    if report.memory_limit_bytes is None:
        return f"{text}: out of memory"
    text += f": memory limit {_mebibytes(report.memory_limit_bytes)}"
    peak = None if report.usage is None else report.usage.peak_memory_bytes
    return text if peak is None else f"{text}, peak {_mebibytes(peak)}"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def refused_forks_flag(refused: int, limit: int | None) -> str:
    """Return the flag of a run that wanted more processes than it may have."""
    times = "once" if refused == 1 else f"{refused} times"
    return f"over its limit of {limit} processes: refused {times}"


def _by_signal(number: int, cpu_limit: float | None) -> tuple[Outcome, str]:
    name = signal_name(number)
    if number == signals.SIGXCPU:
        limit = "" if cpu_limit is None else f" of {cpu_limit:g} s"
        return Outcome.LIMIT_EXCEEDED, f"over its CPU time limit{limit} ({name})"
    if number == signals.SIGKILL:
        return Outcome.CRASHED, f"{name}: {KILLED_BY_HAND}"
    return Outcome.CRASHED, f"crashed by {name}: {signals.strsignal(number)}"


def _by_word(report: Report) -> tuple[Outcome, str]:
    match report.verdict:
        case "returned":
            return Outcome.SUCCEEDED, "goal() returned"
        case "raised":
            return Outcome.FAILED, f"goal() raised {report.verdict_text}"
        case "start_failed":
            return Outcome.START_FAILED, report.verdict_text
        case _:
            text = f"goal() called sys.exit({report.verdict_text})"
            code = report.exit_code
            return (Outcome.EXITED if code else Outcome.SUCCEEDED), text


def _by_exit_code(report: Report) -> tuple[Outcome, str]:
    code = report.exit_code
    if code is None:
        return Outcome.LOST, "ended unseen: nobody can tell how"
    if report.is_command:
        outcome = Outcome.EXITED if code else Outcome.SUCCEEDED
        return outcome, f"the command left with code {code}"
    return Outcome.EXITED, f"left with code {code} before goal() returned"


def signal_name(number: int) -> str:
    """Return "SIGSEGV" for 11; "signal 77" for one without a name."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
