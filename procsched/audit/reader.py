"""The auditor's end of a spool: frames in file order, and what is missing.

The reader gives each record its number, so the order in the file is the order of
the run.  Damage never ends the reading: bytes that are no frame become a gap,
and the next whole frame is found by its beginning and its checksum.

Imports: spool.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from procsched.audit.spool import (
    CUSTOM,
    DROPPED,
    HEADER,
    RECORD_LIMIT,
    RUN,
    START,
    TRAIL,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES: Final = 1024 * 1024
"""Read at once: bounds memory, and the turn one flooding run gets."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One record of the run.

    Args:
        number: Its place in the run, from 1.
        kind: "trail" or "custom".
        time: When it was accepted, in UTC.
        pid: Which process said it.
        body: What was said.
        size: Bytes it takes in the file.
    """

    number: int
    kind: str
    time: datetime
    pid: int
    body: Any
    size: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that is not there.

    Args:
        status: "dropping" when it begins, "dropped" with the count, "corrupt"
            for bytes that are no record, "torn" for a record cut short.
        comments: The figures, in words of JSON.
    """

    status: str
    comments: dict[str, Any]


class SpoolReader:
    """Reads a spool from where it stopped, while others append.

    Args:
        path: Need not be there yet; a run that says nothing makes none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._buffer = bytearray()
        self._offset = 0
        self._number = 0
        self._drops: dict[int, tuple[int, bool, str]] = {}
        self.run: tuple[str, str] | None = None
        """Whose spool it is, by the file itself: run id and job."""

    @property
    def offset(self) -> int:
        """Bytes of the file that have been dealt with."""
        return self._offset

    def read(self) -> list[Frame | Gap]:
        """Return what has come since the last call, at most about a megabyte.

        An empty list means that nothing more is there for now.  A frame of which
        only a part is there is left for the next call.
        """
        while self._take_chunk():
            entries = list(self._entries())
            if entries:
                return entries
        return []

    def finish(self) -> list[Frame | Gap]:
        """Return the rest, then what is missing; for when nobody writes any more."""
        entries: list[Frame | Gap] = []
        while more := self.read():
            entries += more
        if self._buffer:
            # Its call had not returned, or the file was damaged from there on.
            lost = {"bytes": len(self._buffer), "offset": self._offset}
            entries.append(Gap("torn", lost))
            self._skip(len(self._buffer))
        if self._drops:
            entries.append(self._dropped())
        return entries

    def close(self) -> None:
        """Give the descriptor back; reading again opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def size(self) -> int:
        """Return the bytes the file has now; 0 without a file."""
        descriptor = self._opened()
        return 0 if descriptor is None else os.fstat(descriptor).st_size

    def _opened(self) -> int | None:
        if self._descriptor is None:
            with suppress(FileNotFoundError):  # Nothing has been said yet.
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._descriptor

    def _take_chunk(self) -> bool:
        descriptor = self._opened()
        if descriptor is None:
            return False
        place = self._offset + len(self._buffer)
        chunk = os.pread(descriptor, CHUNK_BYTES, place)
        self._buffer += chunk
        return bool(chunk)

    def _entries(self) -> Iterator[Frame | Gap]:
        """Yield what the buffer holds and forget it; a part of a frame stays."""
        place = 0
        while place < len(self._buffer):
            payload = self._payload_at(place)
            if payload is None:
                found = self._whole_frame_after(place)
                if found is None:
                    break
                comments = {"bytes": found - place, "offset": self._offset + place}
                yield Gap("corrupt", comments)
                place = found
                continue
            yield from self._understood(payload, self._offset + place)
            place += HEADER.size + len(payload)
        self._skip(place)

    def _skip(self, length: int) -> None:
        del self._buffer[:length]
        self._offset += length

    def _payload_at(self, place: int) -> bytes | None:
        """Return the JSON of the whole frame that begins there; None without one."""
        begin = place + HEADER.size
        if len(self._buffer) < begin:
            return None
        length, checksum = HEADER.unpack_from(self._buffer, place)
        # The checksum of nothing is 0: a hole of zeros would be a row of frames.
        if not len(START) < length <= RECORD_LIMIT:
            return None
        payload = bytes(self._buffer[begin : begin + length])
        whole = len(payload) == length and zlib.crc32(payload) == checksum
        return payload if whole else None

    def _whole_frame_after(self, place: int) -> int | None:
        begin = self._buffer.find(START, place + 1 + HEADER.size)
        while begin >= 0:
            if self._payload_at(begin - HEADER.size) is not None:
                return begin - HEADER.size
            begin = self._buffer.find(START, begin + 1)
        return None

    def _understood(self, payload: bytes, offset: int) -> Iterator[Frame | Gap]:
        try:
            yield from self._parsed(payload)
        except (ValueError, KeyError, TypeError, RecursionError):
            # Whole, and yet none of ours: a job wrote into the file itself.
            yield Gap("corrupt", {"bytes": len(payload), "offset": offset})

    def _parsed(self, payload: bytes) -> Iterator[Frame | Gap]:
        raw = json.loads(payload)
        kind, pid, body = raw["kind"], int(raw["pid"]), raw["body"]
        time = datetime.fromisoformat(raw["time"])
        if kind in (TRAIL, CUSTOM):
            size = HEADER.size + len(payload)
            yield Frame(self._number + 1, kind, time.astimezone(UTC), pid, body, size)
            self._number += 1
        elif kind == DROPPED:
            first = not self._drops
            said = (int(body["dropped"]), bool(body["final"]), str(body["reason"]))
            self._drops[pid] = said
            if first:
                yield Gap("dropping", {"reason": said[2]})
        elif kind == RUN:
            self.run = (str(body["run_id"]), str(body["job"]))
        else:
            raise ValueError(kind)

    def _dropped(self) -> Gap:
        """Sum up what each process of the run said it had to drop."""
        said = list(self._drops.values())
        comments = {
            "dropped": sum(number for number, _, _ in said),
            "exact": all(final for _, final, _ in said),
            "reason": said[-1][2],
        }
        return Gap("dropped", comments)
