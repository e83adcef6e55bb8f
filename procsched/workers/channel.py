"""Frames of JSON over a stream socket, in both directions, never blocking.

One channel joins exactly two processes, so a process killed in the middle of a
frame spoils nothing for any other: the torn tail is dropped with the socket.

Imports: nothing of ours.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Final

Frame = dict[str, Any]

FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one frame; a longer one is no frame but noise on the channel."""

_LENGTH: Final = struct.Struct("!I")
_CHUNK: Final = 256 * 1024


class ChannelClosed(Exception):  # noqa: N818 - an end, not an error
    """The other side is gone."""


class Channel:
    """One end of a channel.

    Args:
        fd: A connected stream socket; owned from now on, and made non-blocking.
    """

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._fd

    @property
    def wants_to_write(self) -> bool:
        """Whether frames wait for room in the socket."""
        return bool(self._out)

    def send(self, frame: Frame) -> None:
        """Queue a frame and write what the socket takes.

        Raises:
            ChannelClosed: If the other side is gone.
        """
        body = json.dumps(frame, separators=(",", ":")).encode()
        self._out += _LENGTH.pack(len(body)) + body
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes of the queued frames.

        Raises:
            ChannelClosed: If the other side is gone.
        """
        while self._out:
            try:
                sent = os.write(self._fd, self._out[:_CHUNK])
            except BlockingIOError:
                return
            except OSError as fault:
                raise ChannelClosed from fault
            del self._out[:sent]

    def receive(self) -> list[Frame]:
        """Return the frames that have come in whole.

        Raises:
            ChannelClosed: If the other side is gone and nothing is left, or
                what it wrote is no frame.
        """
        gone = self._fill()
        frames = list(self._split())
        if gone and not frames:
            raise ChannelClosed
        return frames

    def _fill(self) -> bool:
        """Read what is there; return whether the other side is gone."""
        while True:
            try:
                chunk = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not chunk:
                return True
            self._in += chunk
            if len(self._in) > FRAME_LIMIT + _CHUNK:
                return False

    def _split(self) -> list[Frame]:
        frames = []
        while len(self._in) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in)
            if length > FRAME_LIMIT:
                raise ChannelClosed
            end = _LENGTH.size + length
            if len(self._in) < end:
                break
            body = bytes(self._in[_LENGTH.size : end])
            del self._in[:end]
            try:
                frame = json.loads(body)
            except ValueError as fault:
                raise ChannelClosed from fault
            if not isinstance(frame, dict):
                raise ChannelClosed
            frames.append(frame)
        return frames

    def close(self) -> None:
        """Close the socket."""
        os.close(self._fd)


def write_frame(fd: int, frame: Frame) -> None:
    """Write one whole frame to a blocking descriptor."""
    body = json.dumps(frame, separators=(",", ":")).encode()
    data = memoryview(_LENGTH.pack(len(body)) + body)
    while data:
        data = data[os.write(fd, data) :]


def read_frame(fd: int) -> Frame | None:
    """Read one whole frame from a blocking descriptor; None at its end."""
    head = _read_exactly(fd, _LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(fd, _LENGTH.unpack(head)[0])
    if body is None:
        return None
    frame: Frame = json.loads(body)
    return frame


def _read_exactly(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, size - len(data))
        if not chunk:
            return None
        data += chunk
    return bytes(data)
