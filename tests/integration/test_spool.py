"""Real files, real kills: what is accepted is read, what is missing is said."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from procsched.audit.reader import Frame, Gap, SpoolReader
from procsched.audit.spool import HEADER, RECORD_LIMIT, SpoolWriter, framed
from procsched.errors import AuditError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a1-7.spool")


def writer(path: str, **options: Any) -> SpoolWriter:
    return SpoolWriter(path, run_id="a1-7", job="nightly", **options)


def all_of(path: str) -> list[Frame | Gap]:
    reader = SpoolReader(path)
    try:
        return reader.finish()
    finally:
        reader.close()


def bodies(entries: list[Frame | Gap]) -> list[Any]:
    return [entry.body for entry in entries if isinstance(entry, Frame)]


def gaps(entries: list[Frame | Gap]) -> list[Gap]:
    return [entry for entry in entries if isinstance(entry, Gap)]


def run_script(script: str, *arguments: str) -> str:
    """Return what a Python program of its own prints."""
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What comes in comes out.


def test_a_run_that_says_nothing_makes_no_file(path: str) -> None:
    quiet = writer(path)

    quiet.close()

    assert not Path(path).exists()
    assert all_of(path) == []


def test_a_spool_that_is_opened_early_is_there_and_says_whose_it_is(path: str) -> None:
    """For a run that becomes another user, who may not make it."""
    writer = SpoolWriter(path, run_id="a1-7", job="nightly")
    writer.open()
    writer.open()

    assert os.path.exists(path)  # noqa: PTH110 - a text
    assert writer.append("custom", 1)
    assert writer.close() == 0


def test_records_come_out_in_order_with_number_pid_and_time(path: str) -> None:
    talker = writer(path)
    for number in range(3):
        assert talker.append("trail", {"operation": f"step {number}"})
    talker.append("custom", ["as", {"it": "is\n\x1b\u2028"}])

    frames = [entry for entry in all_of(path) if isinstance(entry, Frame)]

    assert [frame.number for frame in frames] == [1, 2, 3, 4]
    assert [frame.kind for frame in frames] == ["trail", "trail", "trail", "custom"]
    assert [frame.body for frame in frames][2:] == [
        {"operation": "step 2"},
        ["as", {"it": "is\n\x1b\u2028"}],
    ]
    assert {frame.pid for frame in frames} == {os.getpid()}
    assert sorted(frame.time for frame in frames) == [frame.time for frame in frames]
    talker.close()


def test_the_file_says_whose_it_is_and_is_its_owners_alone(path: str) -> None:
    talker = writer(path)
    talker.append("trail", {})
    talker.close()
    reader = SpoolReader(path)

    reader.read()

    assert reader.run == ("a1-7", "nightly")
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    reader.close()


def test_a_second_read_gives_only_what_is_new(path: str) -> None:
    talker, reader = writer(path), SpoolReader(path)
    talker.append("trail", 1)

    assert bodies(reader.read()) == [1]
    assert reader.read() == []
    talker.append("trail", 2)
    assert bodies(reader.read()) == [2]
    assert reader.offset == Path(path).stat().st_size == reader.size()
    reader.close()
    talker.close()


def test_a_frame_of_which_a_part_is_there_is_left_for_the_next_read(path: str) -> None:
    frame = framed("trail", {"operation": "whole"})
    reader = SpoolReader(path)
    with Path(path).open("ab", buffering=0) as file:
        for begin in range(len(frame) - 1):
            file.write(frame[begin : begin + 1])
            assert reader.read() == []
        file.write(frame[-1:])

    assert bodies(reader.read()) == [{"operation": "whole"}]
    assert reader.finish() == []
    reader.close()


def test_a_record_larger_than_one_read_comes_out_whole(path: str) -> None:
    talker = writer(path)
    talker.append("custom", "x" * 3_000_000)
    talker.append("custom", "next")

    assert [len(body) for body in bodies(all_of(path))] == [3_000_000, 4]
    talker.close()


def test_four_threads_share_a_spool_and_each_keeps_its_order(path: str) -> None:
    talker = writer(path)

    def talk(name: int) -> None:
        for number in range(500):
            talker.append("custom", [name, number])

    threads = [Thread(target=talk, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    said = bodies(all_of(path))
    assert len(said) == 2000
    for name in range(4):
        assert [pair for pair in said if pair[0] == name] == [
            [name, number] for number in range(500)
        ]
    talker.close()


FORKING = """
import os, sys
from procsched.audit.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1], run_id="a1-7", job="nightly")
writer.append("custom", ["parent", 0])
children = []
for name in range(3):
    pid = os.fork()
    if not pid:
        for number in range(300):
            writer.append("custom", [name, number])
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_forked_grandchildren_write_into_the_same_spool(path: str) -> None:
    run_script(FORKING, path)

    entries = all_of(path)
    assert gaps(entries) == []
    assert len(bodies(entries)) == 901
    for name in range(3):
        own = [pair[1] for pair in bodies(entries) if pair[0] == name]
        assert own == list(range(300))
    assert len({entry.pid for entry in entries if isinstance(entry, Frame)}) == 4


# Kills.

KILLED = """
import os, sys
from procsched.audit.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1], run_id="a1-7", job="nightly")
padding = "x" * int(sys.argv[2])
number = 0
while True:
    writer.append("custom", [number, padding])
    os.write(1, b".")
    number += 1
"""


@pytest.mark.parametrize("padding", [20, 20_000])
@pytest.mark.parametrize("accepted_before", [1, 2, 13, 150, 777, 1999])
def test_a_kill_loses_no_record_whose_append_returned(
    path: str, padding: int, accepted_before: int
) -> None:
    """The child acknowledges each record on a pipe; the kill comes at any instant."""
    command = [sys.executable, "-c", KILLED, path, str(padding)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(accepted_before)
        child.kill()
        accepted = accepted_before + len(child.stdout.read())

    entries = all_of(path)
    numbers = [number for number, _ in bodies(entries)]

    assert numbers == list(range(len(numbers)))
    # One more may be in the file whose acknowledgement was not.
    assert len(numbers) - accepted in (0, 1)
    assert [gap.status for gap in gaps(entries)] in ([], ["torn"])


# Damage.


def test_a_torn_tail_is_reported_with_its_size_and_place(path: str) -> None:
    whole, half = framed("trail", 1), framed("trail", 2)[:30]
    Path(path).write_bytes(whole + half)

    entries = all_of(path)

    assert bodies(entries) == [1]
    assert entries[1:] == [Gap("torn", {"bytes": 30, "offset": len(whole)})]


def test_a_record_torn_in_the_middle_hides_none_behind_it(path: str) -> None:
    """Half a frame, then whole ones, as a full disk that heals leaves them."""
    half = framed("custom", "y" * 500_000)[:40_000]
    Path(path).write_bytes(framed("trail", 1) + half + framed("trail", 2))

    reader = SpoolReader(path)
    entries = reader.read()

    assert bodies(entries) == [1, 2]
    assert [gap.comments["bytes"] for gap in gaps(entries)] == [40_000]
    reader.close()


def test_any_one_flipped_byte_costs_one_record_and_is_reported(path: str) -> None:
    """400 places, among them lengths, checksums and every part of the JSON."""
    frames = [framed("custom", {"number": number}) for number in range(20)]
    honest = b"".join(frames)
    chance = random.Random(20250301)  # noqa: S311
    for _ in range(400):
        data = bytearray(honest)
        place = chance.randrange(len(data))
        data[place] ^= chance.randrange(1, 256)
        Path(path).write_bytes(data)

        entries = all_of(path)

        said = [body["number"] for body in bodies(entries)]
        missing = sorted(set(range(20)) - set(said))
        assert len(missing) == 1, (place, entries)
        assert said == sorted(said)
        begin = sum(map(len, frames[: missing[0]]))
        assert begin <= place < begin + len(frames[missing[0]])
        assert [gap.comments for gap in gaps(entries)] == [
            {"bytes": len(frames[missing[0]]), "offset": begin}
        ]


def test_a_hole_of_zeros_is_no_row_of_empty_records(path: str) -> None:
    """What a file system may leave after a power cut; crc32 of nothing is 0."""
    Path(path).write_bytes(framed("trail", 1) + bytes(4096) + framed("trail", 2))

    entries = all_of(path)

    assert bodies(entries) == [1, 2]
    assert [gap.status for gap in gaps(entries)] == ["corrupt"]


@pytest.mark.parametrize(
    "body",
    [
        framed("trail", "forged").decode("latin-1") * 50,
        [{"kind": "trail", "time": "2025-03-01T12:00:00+00:00", "pid": 1}] * 50,
    ],
)
def test_what_looks_like_a_frame_inside_a_record_is_none(path: str, body: Any) -> None:
    half = framed("custom", body)[:3000]
    Path(path).write_bytes(half + framed("trail", "honest"))

    assert bodies(all_of(path)) == ["honest"]


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "trail"},
        {"kind": "sabotage", "time": "2025-03-01T12:00:00+00:00", "pid": 1, "body": 1},
        {"kind": "trail", "time": "noon", "pid": 1, "body": 1},
        {"kind": "dropped", "time": "2025-03-01T12:00:00+00:00", "pid": 1, "body": []},
    ],
)
def test_a_whole_frame_that_makes_no_sense_is_a_gap(
    path: str, raw: dict[str, Any]
) -> None:
    data = json.dumps(raw, separators=(",", ":")).encode()
    Path(path).write_bytes(HEADER.pack(len(data), zlib.crc32(data)) + data)

    assert [gap.status for gap in gaps(all_of(path))] == ["corrupt"]


# What does not fit.


def test_above_the_cap_records_are_counted_to_the_last_one(path: str) -> None:
    talker = writer(path, cap_bytes=1000)
    taken = [talker.append("custom", number) for number in range(60)]
    dropped = talker.close()

    entries = all_of(path)

    assert bodies(entries) == [number for number in range(60) if taken[number]]
    assert dropped == taken.count(False) > 40
    reason = "the run's spool has reached its cap of 1000 bytes"
    assert gaps(entries) == [
        Gap("dropping", {"reason": reason}),
        Gap("dropped", {"dropped": dropped, "exact": True, "reason": reason}),
    ]


def test_who_is_killed_while_dropping_has_said_at_least_half(path: str) -> None:
    talker = writer(path, cap_bytes=300)
    taken = [talker.append("custom", number) for number in range(100)]

    said = gaps(all_of(path))[-1].comments

    assert not said["exact"]
    assert taken.count(False) / 2 <= said["dropped"] <= taken.count(False)
    talker.close()


FORKED_DROPS = """
import os, sys
from procsched.audit.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1], run_id="a1-7", job="nightly", cap_bytes=300)
while writer.append("custom", "fill"):
    pass
pid = os.fork()
for _ in range(7):
    writer.append("custom", "drop")
if not pid:
    writer.close()
    os._exit(0)
os.waitpid(pid, 0)
assert writer.close() == 8
"""


def test_each_process_of_a_run_counts_its_own_drops(path: str) -> None:
    """One before the fork, seven on each side of it."""
    run_script(FORKED_DROPS, path)

    said = gaps(all_of(path))

    assert [gap.status for gap in said] == ["dropping", "dropped"]
    assert (said[1].comments["dropped"], said[1].comments["exact"]) == (15, True)


def test_a_full_disk_fails_no_call_and_the_count_is_handed_back() -> None:
    talker = writer("/dev/full")

    assert [talker.append("custom", number) for number in range(5)] == [False] * 5
    assert talker.close() == 5


SHORT_WRITE = """
import resource, sys
from procsched.audit.spool import SpoolWriter
writer = SpoolWriter(sys.argv[1], run_id="a1-7", job="nightly")
assert writer.append("custom", "before")
endless = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, endless[1]))
assert not writer.append("custom", "x" * 2000)
assert not writer.append("custom", "refused")
resource.setrlimit(resource.RLIMIT_FSIZE, endless)
assert writer.append("custom", "after")
assert writer.close() == 2
"""


def test_after_a_short_write_it_heals_and_says_what_is_missing(path: str) -> None:
    """RLIMIT_FSIZE cuts a record at byte 500, as a full disk does."""
    run_script(SHORT_WRITE, path)

    entries = all_of(path)

    assert bodies(entries) == ["before", "after"]
    assert [gap.status for gap in gaps(entries)] == ["corrupt", "dropping", "dropped"]
    assert gaps(entries)[-1].comments == {
        "dropped": 2,
        "exact": True,
        "reason": "File too large",
    }


def test_a_record_that_is_too_large_alone_is_refused(path: str) -> None:
    with pytest.raises(AuditError) as caught:
        writer(path).append("custom", "x" * RECORD_LIMIT)

    assert "bytes and 4194304 are allowed. Write the data to a file and record" in str(
        caught.value
    )


def test_a_spool_that_was_taken_away_takes_no_more(path: str) -> None:
    """The run is over; a daemon it left must not start the file anew."""
    talker = writer(path)
    talker.append("custom", 1)
    Path(path).unlink()

    assert not talker.append("custom", 2)
    assert not Path(path).exists()
    talker.close()


# The bell.


def test_each_record_rings_once_and_a_full_pipe_blocks_nobody(path: str) -> None:
    ears, bell = os.pipe2(os.O_NONBLOCK)
    talker = writer(path, wake_fd=bell)
    talker.append("custom", 1)
    assert os.read(ears, 10) == b"\0"
    while True:
        try:
            os.write(bell, bytes(4096))
        except BlockingIOError:
            break

    assert talker.append("custom", 2)

    os.close(ears)
    assert talker.append("custom", 3)  # EPIPE
    os.close(bell)
    assert talker.append("custom", 4)  # EBADF
    assert bodies(all_of(path)) == [1, 2, 3, 4]
    talker.close()


def test_a_bell_that_was_never_there_is_no_fault(path: str) -> None:
    ears, bell = os.pipe()
    os.close(ears)
    os.close(bell)

    talker = writer(path, wake_fd=bell)

    assert talker.append("custom", 1)
    talker.close()


CLOSING = """
import os, sys
from procsched.audit.spool import SpoolWriter
ears, bell = os.pipe()
writer = SpoolWriter(sys.argv[1], run_id="a1-7", job="nightly", wake_fd=bell)
writer.append("custom", 1)
os.closerange(3, 64)
files = [open(f"{sys.argv[1]}.{name}", "w+") for name in range(8)]
assert {ears, bell} < {file.fileno() for file in files}
assert writer.append("custom", 2)
assert [os.fstat(file.fileno()).st_size for file in files] == [0] * 8
"""


def test_a_job_that_closes_everything_still_records_and_only_there(path: str) -> None:
    """Its new files get the numbers of our descriptors and not our bytes."""
    run_script(CLOSING, path)

    assert bodies(all_of(path)) == [1, 2]
