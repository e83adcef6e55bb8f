"""Frames and descriptors between the pool and its fork server.

Each message is one packet with its descriptors, so neither side ever waits for
the rest of one.

Imports: workers.channel.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Final

from procsched.workers.channel import ChannelClosed, Frame

_PACKET_BYTES: Final = 128 * 1024
"""Of one frame; a socket's buffer takes some 200 KiB (socket(7), wmem_default)."""

_DESCRIPTORS: Final = 4
"""With one frame, at most."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new hatch."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Hatch:
    """One end, which never waits.

    Args:
        fd: A connected socket of packets; owned from now on.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def send(self, frame: Frame, *fds: int) -> None:
        """Send a frame and copies of descriptors.

        Raises:
            ChannelClosed: If the other side is gone, or has not read for so long
                that its buffer is full.
        """
        try:
            socket.send_fds(self._socket, [json.dumps(frame).encode()], fds)
        except OSError as fault:
            raise ChannelClosed from fault

    def receive(self) -> tuple[Frame, list[int]] | None:
        """Return the next frame with its descriptors, now ours; None without one.

        Descriptors for which this process had no room are missing.

        Raises:
            ChannelClosed: If the other side is gone and nothing is left.
        """
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        try:
            data, fds, _, _ = socket.recv_fds(
                self._socket, _PACKET_BYTES, _DESCRIPTORS, flags
            )
        except BlockingIOError:
            return None
        except OSError as fault:
            raise ChannelClosed from fault
        if not data:
            raise ChannelClosed
        try:
            return json.loads(data), fds
        except ValueError as fault:
            for fd in fds:
                os.close(fd)
            raise ChannelClosed from fault

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
