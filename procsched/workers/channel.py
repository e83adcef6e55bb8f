"""Frames of JSON over a stream socket, in both directions.

One channel joins exactly two processes, so a process killed in the middle of a
frame spoils nothing for any other: the torn tail is dropped with the socket.

Imports: nothing of ours.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import struct
from _thread import RLock
from typing import Any, Final

Frame = dict[str, Any]

FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one frame; a longer one is no frame but noise on the channel."""

MAILBOX_BYTES: Final = 256 * 1024
"""Room for a word without its result: a text field is 64 KiB at most."""

_LENGTH: Final = struct.Struct("!I")

_SIGNED: Final = struct.Struct("<dd?")
"""The end of a mailbox: CPU time used before the run, and that it was taken."""

_CHUNK: Final = 256 * 1024
"""Bytes read at once: what a flood of frames may hold up a deadline."""


_NO_SIGNAL: Final = getattr(socket, "MSG_NOSIGNAL", 0)
"""A host that has given SIGPIPE back its default shall not die of our write."""


class ChannelClosed(Exception):  # noqa: N818 - an end, not an error
    """The other side is gone, or is not worth listening to any more."""


class Channel:
    """The end of a channel that never waits.

    Args:
        fd: A connected stream socket; owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Whether frames wait for room in the socket."""
        return bool(self._out)

    def send(self, frame: Frame) -> None:
        """Queue a frame and write what the socket takes.

        Raises:
            ChannelClosed: If the other side is gone.
        """
        self._out += _framed(frame)
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes of the queued frames.

        Raises:
            ChannelClosed: If the other side is gone.
        """
        while self._out:
            try:
                sent = self._socket.send(self._out[:_CHUNK], _NO_SIGNAL)
            except BlockingIOError:
                return
            except OSError as fault:
                raise ChannelClosed from fault
            del self._out[:sent]

    def receive(self, at_most_bytes: int = _CHUNK) -> list[Frame]:
        """Return the frames that have come in whole.

        Args:
            at_most_bytes: Left in the socket beyond these is what the next call
                is for: who writes without end shall not be listened to for ever.

        Raises:
            ChannelClosed: If the other side is gone and nothing is left, or
                what it wrote is no frame.
        """
        gone = self._fill(at_most_bytes)
        frames = self._split()
        if gone and not frames:
            raise ChannelClosed
        return frames

    def _fill(self, at_most_bytes: int) -> bool:
        """Read what is there; return whether the other side is gone."""
        while at_most_bytes > 0:
            try:
                chunk = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not chunk:
                return True
            self._in += chunk
            at_most_bytes -= len(chunk)
        return False

    def _split(self) -> list[Frame]:
        frames: list[Frame] = []
        start = 0
        while len(self._in) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in, start)
            if length > FRAME_LIMIT:
                raise ChannelClosed
            body = start + _LENGTH.size
            end = body + length
            if len(self._in) < end:
                break
            frames.append(_parsed(self._in[body:end]))
            start = end
        del self._in[:start]
        return frames

    def cut(self) -> None:
        """Stop listening, so that the other side's next write fails at once."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Gone already (ENOTCONN).
            return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Voice:
    """The run's end of a channel: whole frames, from any thread, in order.

    A job that closes descriptors it does not own may be given their numbers for
    files of its own, so the socket is known by its inode and nothing else is
    ever written to.

    Args:
        fd: A connected stream socket that blocks; stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._inode = _inode(fd)
        # Re-entrant for the sake of a job's signal handler that says something
        # while its thread does.
        self._lock = RLock()

    def say(self, frame: Frame) -> bool:
        """Write a frame; return whether somebody listens."""
        data = memoryview(_framed(frame))
        with self._lock:
            try:
                while data and _inode(self._fd) == self._inode:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                # The keeper is gone, or has had enough of our noise.
                return False
        return not data

    def hear(self) -> Frame | None:
        """Wait for a frame; None when there will be no more."""
        head = self._read(_LENGTH.size)
        body = None if head is None else self._read(_LENGTH.unpack(head)[0])
        return None if body is None else _parsed(body)

    def _read(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            chunk = os.read(self._fd, size - len(data))
            if not chunk:
                return None
            data += chunk
        return bytes(data)


class Mailbox:
    """Memory that a process shares with its parent: no closing can lose it.

    For the one frame of a process that has closed its channel, and for the word
    that it has taken its run, which wakes nobody.  Made before the fork; costs a
    page only where it is written.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MAILBOX_BYTES)

    def sign(self, cpu_user: float, cpu_system: float) -> None:
        """Say that the run has been taken; from here on a death is the run's.

        Args:
            cpu_user: Seconds used before, which are not the run's.
            cpu_system: Likewise.
        """
        at = MAILBOX_BYTES - _SIGNED.size
        _SIGNED.pack_into(self._memory, at, cpu_user, cpu_system, 1)

    @property
    def spent_before(self) -> dict[str, float]:
        """What had been used when the run was taken."""
        at = MAILBOX_BYTES - _SIGNED.size
        user, system, _ = _SIGNED.unpack_from(self._memory, at)
        return {"cpu_user": user, "cpu_system": system}

    @property
    def signed(self) -> bool:
        """Whether the run has been taken."""
        return bool(self._memory[-1])

    def post(self, frame: Frame) -> bool:
        """Leave a frame; return whether there was room for it."""
        data = _framed(frame)
        if len(data) > MAILBOX_BYTES - _SIGNED.size:
            return False
        # The length last: without it there is no frame.
        self._memory[_LENGTH.size : len(data)] = data[_LENGTH.size :]
        self._memory[: _LENGTH.size] = data[: _LENGTH.size]
        return True

    def take(self) -> Frame | None:
        """Return the frame that was left; None if there is none."""
        (length,) = _LENGTH.unpack_from(self._memory)
        if not 0 < length <= MAILBOX_BYTES - _SIGNED.size - _LENGTH.size:
            return None
        try:
            return _parsed(self._memory[_LENGTH.size : _LENGTH.size + length])
        except ChannelClosed:
            # Written by whoever the job is, and no frame.
            return None

    def clear(self) -> None:
        """Make it empty for the next run of the same process."""
        self._memory[: _LENGTH.size] = bytes(_LENGTH.size)
        self._memory[-1] = 0

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


def _framed(frame: Frame) -> bytes:
    body = json.dumps(frame, separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


def _parsed(body: bytes | bytearray) -> Frame:
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise ChannelClosed from fault
    if not isinstance(frame, dict):
        raise ChannelClosed
    return frame


def _inode(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
