"""From what was seen of an end to its outcome, in the order of precedence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from procsched.core.outcome import Outcome
from procsched.core.run import Usage
from procsched.core.verdict import Report, judge, refused_forks_flag, signal_name

SIGXCPU, SIGKILL, SIGSEGV = 24, 9, 11


@pytest.mark.parametrize(
    ("report", "outcome", "reason"),
    [
        (
            Report(verdict="returned", exit_code=0),
            Outcome.SUCCEEDED,
            "goal() returned",
        ),
        (
            Report(verdict="raised", verdict_text="KeyError: 'x'", exit_code=1),
            Outcome.FAILED,
            "goal() raised KeyError: 'x'",
        ),
        (
            Report(verdict="exited", verdict_text="3", exit_code=3),
            Outcome.EXITED,
            "goal() called sys.exit(3)",
        ),
        (
            Report(verdict="exited", verdict_text="0", exit_code=0),
            Outcome.SUCCEEDED,
            "goal() called sys.exit(0)",
        ),
        (
            Report(verdict="start_failed", verdict_text="no module named 'x'"),
            Outcome.START_FAILED,
            "no module named 'x'",
        ),
        (
            Report(exit_code=0, is_command=True),
            Outcome.SUCCEEDED,
            "the command left with code 0",
        ),
        (
            Report(exit_code=2, is_command=True),
            Outcome.EXITED,
            "the command left with code 2",
        ),
        (
            Report(exit_code=0),
            Outcome.EXITED,
            "left with code 0 before goal() returned",
        ),
        (Report(), Outcome.LOST, "ended unseen: nobody can tell how"),
        (
            Report(signal=SIGSEGV),
            Outcome.CRASHED,
            "crashed by SIGSEGV: Segmentation fault",
        ),
        (
            Report(signal=SIGKILL),
            Outcome.CRASHED,
            "SIGKILL: killed by a signal that procsched did not send",
        ),
        (
            Report(signal=SIGXCPU),
            Outcome.LIMIT_EXCEEDED,
            "over its CPU time limit (SIGXCPU)",
        ),
        (
            Report(out_of_memory=True, signal=SIGKILL),
            Outcome.OUT_OF_MEMORY,
            "killed by the kernel: out of memory",
        ),
        (
            Report(signal=SIGXCPU, cpu_limit_seconds=1.5),
            Outcome.LIMIT_EXCEEDED,
            "over its CPU time limit of 1.5 s (SIGXCPU)",
        ),
        (
            Report(
                out_of_memory=True,
                signal=SIGKILL,
                memory_limit_bytes=512 * 2**20,
                usage=Usage(peak_memory_bytes=511 * 2**20),
            ),
            Outcome.OUT_OF_MEMORY,
            "killed by the kernel: memory limit 512 MiB, peak 511 MiB",
        ),
        (
            Report(
                out_of_memory=True,
                signal=SIGKILL,
                memory_limit_bytes=512 * 2**20,
                usage=Usage(),
            ),
            Outcome.OUT_OF_MEMORY,
            "killed by the kernel: memory limit 512 MiB",
        ),
        (
            Report(
                out_of_memory=True,
                verdict="returned",
                exit_code=0,
                memory_limit_bytes=512 * 2**20,
            ),
            Outcome.OUT_OF_MEMORY,
            "a process was killed by the kernel: memory limit 512 MiB",
        ),
        (
            Report(host_out_of_memory=True, signal=SIGKILL),
            Outcome.OUT_OF_MEMORY,
            "killed by the kernel: the host ran out of memory",
        ),
        (
            Report(host_out_of_memory=True, signal=SIGSEGV),
            Outcome.CRASHED,
            "crashed by SIGSEGV: Segmentation fault",
        ),
        (
            Report(verdict="raised", memory_limit_bytes=512 * 2**20, exit_code=1),
            Outcome.OUT_OF_MEMORY,
            "over its memory limit of 512 MiB (MemoryError)",
        ),
        (
            Report(verdict="returned", signal=SIGKILL),
            Outcome.SUCCEEDED,
            "goal() returned; its process was then ended by SIGKILL",
        ),
    ],
)
def test_an_end_gets_its_outcome_and_one_sentence_why(
    report: Report, outcome: Outcome, reason: str
) -> None:
    assert judge(report) == (outcome, reason)


def test_the_first_cause_stands_whatever_the_process_says_then() -> None:
    stopped = Report(cause="timed_out", cause_text="over its time limit of 30 s")

    for report in (
        replace(stopped, verdict="returned", exit_code=0),
        replace(stopped, signal=SIGSEGV),
        replace(stopped, out_of_memory=True),
        replace(stopped, exit_code=3),
    ):
        assert judge(report) == (Outcome.TIMED_OUT, "over its time limit of 30 s")


def test_the_kernels_word_on_memory_outweighs_the_signal_it_sent() -> None:
    report = Report(out_of_memory=True, memory_limit_bytes=1, signal=SIGSEGV)

    assert judge(report)[0] is Outcome.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("report", "unseen"),
    [
        (Report(), True),
        (Report(pid=7, leftovers=2), True),
        (Report(verdict="returned"), False),
        (Report(exit_code=0), False),
        (Report(signal=9), False),
    ],
)
def test_an_end_is_unseen_when_nobody_saw_word_code_or_signal(
    report: Report,
    unseen: bool,  # noqa: FBT001 - a parameter of the table above
) -> None:
    assert report.unseen is unseen


@pytest.mark.parametrize(
    ("refused", "flag"),
    [
        (1, "over its limit of 20 processes: refused once"),
        (7, "over its limit of 20 processes: refused 7 times"),
    ],
)
def test_refused_forks_are_a_flag(refused: int, flag: str) -> None:
    assert refused_forks_flag(refused, 20) == flag


def test_a_signal_without_a_name_is_its_number() -> None:
    assert (signal_name(11), signal_name(77)) == ("SIGSEGV", "signal 77")
