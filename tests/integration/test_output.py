"""A run's log: head and tail, the last lines, the copy on a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from procsched.workers.output import TAIL_BYTES, Output

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("total", [0, 1, 99, 100, 101, 200, 1000, 5000])
def test_up_to_the_cap_all_is_kept_and_beyond_it_head_and_tail(
    tmp_path: Path, size: int, total: int
) -> None:
    """However the output comes in pieces."""
    data = bytes(each % 251 for each in range(total))
    output = Output(str(tmp_path / "log"), cap_bytes=100)
    for start in range(0, total, size):
        output.take(data[start : start + size])
    output.close()

    kept = (tmp_path / "log").read_bytes() if total else b""
    if total <= 100:
        assert (kept, output.dropped_bytes) == (data, 0)
    else:
        cut = b"\n[... %d bytes left out ...]\n" % (total - 100)
        assert kept == data[:50] + cut + data[-50:]
        assert output.dropped_bytes == total - 100


@pytest.mark.parametrize("cap", [1, 2, 3])
def test_the_smallest_caps_hold(tmp_path: Path, cap: int) -> None:
    output = Output(str(tmp_path / "log"), cap_bytes=cap)
    output.take(b"abcdef")
    output.close()

    head = b"abcdef"[: cap - cap // 2]
    tail = b"abcdef"[6 - cap // 2 :]
    assert (tmp_path / "log").read_bytes().startswith(head)
    assert (tmp_path / "log").read_bytes().endswith(tail)
    assert output.dropped_bytes == 6 - cap


def test_without_a_cap_all_is_kept(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "log"), cap_bytes=None)
    for _ in range(100):
        output.take(b"x" * 100_000)
    output.close()

    assert (tmp_path / "log").stat().st_size == 10_000_000
    assert output.dropped_bytes == 0


def test_a_tail_waits_in_little_memory(tmp_path: Path) -> None:
    """Also with a cap of a gigabyte, and when it comes byte by byte."""
    output = Output(str(tmp_path / "log"), cap_bytes=2**30)
    output._head_room = 0
    for _ in range(200_000):
        output.take(b"x")
    for _ in range(300):
        output.take(b"y" * 65_536)

    assert len(output._tail) <= 2 * TAIL_BYTES


def test_the_last_lines_are_at_hand_whatever_the_file_does() -> None:
    output = Output("/dev/full", cap_bytes=100)
    output.take(b"a" * 10_000 + b"\nthe \xff end\n")
    output.take(b"more")
    output.close()

    assert output.last_lines.endswith("\nthe \ufffd end\nmore")
    assert len(output.last_lines) == 4096
    assert output.faults == ["output lost: No space left on device"]


def test_a_log_that_cannot_be_made_is_one_fault(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "no" / "log"), cap_bytes=None)
    output.take(b"a")
    output.take(b"b")
    output.close()

    assert output.faults == ["output lost: No such file or directory"]


def test_nothing_is_written_after_the_end(tmp_path: Path) -> None:
    output = Output(str(tmp_path / "log"), cap_bytes=4)
    output.take(b"abcdefgh")
    output.close()
    before = (tmp_path / "log").read_bytes()
    output.take(b"late")
    output.close()

    assert (tmp_path / "log").read_bytes() == before


def echoed(chunks: list[bytes], label: str = "job") -> bytes:
    read, write = os.pipe()
    os.set_blocking(read, False)
    output = Output(None, cap_bytes=None, echo=write, label=label)
    for chunk in chunks:
        output.take(chunk)
    output.close()
    os.close(write)
    data = b""
    while chunk := os.read(read, 65_536):
        data += chunk
    os.close(read)
    return data


def test_whole_lines_are_copied_under_the_jobs_name() -> None:
    assert echoed([b"one\ntw", b"o\r\nth", b"ree"]) == (
        b"job | one\njob | two\njob | three\n"
    )


def test_escapes_of_a_job_do_not_reach_the_terminal() -> None:
    assert echoed([b"\x1b[2Jboo\n"]) == b"job | \\x1b[2Jboo\n"


def test_a_line_without_an_end_is_cut() -> None:
    data = echoed([b"x" * 10_000, b"y" * 10_000, b"\nend\n"])

    assert max(map(len, data.split(b"\n"))) < 4096
    assert data.endswith(b"job | end\n")


def test_a_reader_that_sleeps_stops_nobody() -> None:
    read, write = os.pipe()
    output = Output(None, cap_bytes=None, echo=write, label="job")
    for _ in range(100):
        output.take(b"line\n" * 1000)
    output.close()
    os.close(read)
    os.close(write)


def test_a_reader_that_is_gone_stops_nobody() -> None:
    read, write = os.pipe()
    os.close(read)
    output = Output(None, cap_bytes=None, echo=write, label="job")
    output.take(b"line\n")
    output.take(b"line\n")
    output.close()
    os.close(write)

    assert output.last_lines == "line\nline\n"
