"""Frames over a socket that tears, floods, fills up and closes."""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import threading

import pytest

from procsched.workers.channel import (
    MAILBOX_BYTES,
    Channel,
    ChannelClosed,
    Frame,
    Mailbox,
    Voice,
)


def joined() -> tuple[Channel, socket.socket]:
    ours, theirs = socket.socketpair()
    return Channel(ours.detach()), theirs


def framed(frame: object) -> bytes:
    body = json.dumps(frame).encode()
    return len(body).to_bytes(4) + body


def receive_all(channel: Channel, number: int) -> list[Frame]:
    found: list[Frame] = []
    while len(found) < number:
        assert select.select([channel], [], [], 5)[0]
        found += channel.receive()
    return found


def test_frames_come_out_as_they_went_in_and_in_order() -> None:
    channel, theirs = joined()
    voice = Voice(theirs.fileno())
    sent = [{"n": n, "text": "ü\ud800" * n} for n in range(50)]

    for frame in sent:
        assert voice.say(frame)

    assert receive_all(channel, 50) == sent
    channel.close()
    theirs.close()


def test_a_frame_that_comes_in_pieces_is_one_frame() -> None:
    channel, theirs = joined()
    data = framed({"kind": "word"})

    for each in data[:-1]:
        theirs.send(bytes([each]))
        assert channel.receive() == []
    theirs.send(data[-1:])

    assert channel.receive() == [{"kind": "word"}]
    channel.close()
    theirs.close()


def test_the_last_frames_are_read_before_the_end_and_a_torn_one_is_dropped() -> None:
    channel, theirs = joined()
    theirs.sendall(framed({"n": 1}) + framed({"n": 2})[:-3])
    theirs.close()

    assert channel.receive() == [{"n": 1}]
    with pytest.raises(ChannelClosed):
        channel.receive()
    channel.close()


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        b"\0\0\0\1x",
        b"\0\0\0\2\xff\xfe",
        (20_000).to_bytes(4) + b"[" * 20_000,
    ],
)
def test_noise_closes_the_channel(noise: bytes) -> None:
    channel, theirs = joined()
    theirs.sendall(noise)

    with pytest.raises(ChannelClosed):
        channel.receive()
    channel.close()
    theirs.close()


def test_sending_never_waits_and_everything_arrives() -> None:
    channel, theirs = joined()
    big = {"text": "x" * 5_000_000}

    channel.send(big)
    channel.send({"n": 2})

    assert channel.wants_to_write
    got = bytearray()
    while channel.wants_to_write:
        got += theirs.recv(1_000_000)
        channel.flush()
    theirs.setblocking(False)
    while select.select([theirs], [], [], 0)[0]:
        got += theirs.recv(1_000_000)
    assert bytes(got) == b"".join(
        len(body).to_bytes(4) + body
        for body in (
            json.dumps(each, separators=(",", ":")).encode() for each in (big, {"n": 2})
        )
    )
    channel.close()
    theirs.close()


def test_one_call_does_not_listen_for_ever() -> None:
    """A job may write faster than it is read: 256 KiB at a time, and no more."""
    channel, theirs = joined()
    done = threading.Event()

    def flood() -> None:
        data = framed({"kind": "heartbeat"}) * 1000
        try:
            while not done.is_set():
                theirs.sendall(data)
        except OSError:
            return

    writer = threading.Thread(target=flood)
    writer.start()
    select.select([channel], [], [], 5)
    frames = channel.receive()

    done.set()
    channel.cut()
    writer.join()
    size = len(framed({"kind": "heartbeat"}))
    assert len(frames) * size < 600_000
    channel.close()
    theirs.close()


def test_a_channel_that_is_cut_fails_the_writer_at_once() -> None:
    channel, theirs = joined()
    channel.cut()

    assert not Voice(theirs.fileno()).say({"kind": "word"})
    channel.cut()
    channel.close()
    theirs.close()


def test_a_dead_end_is_told_to_the_sender() -> None:
    channel, theirs = joined()
    theirs.close()

    with pytest.raises(ChannelClosed):
        channel.send({"n": 1})
    channel.close()


def test_threads_do_not_tear_each_others_frames() -> None:
    channel, theirs = joined()
    voice = Voice(theirs.fileno())
    writers = [
        threading.Thread(target=lambda n=n: voice.say({"n": n, "x": "y" * 300_000}))
        for n in range(8)
    ]
    for each in writers:
        each.start()

    frames = receive_all(channel, 8)

    for each in writers:
        each.join()
    assert sorted(frame["n"] for frame in frames) == list(range(8))
    channel.close()
    theirs.close()


def test_a_voice_writes_to_its_own_socket_alone() -> None:
    ours, theirs = socket.socketpair()
    fd = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, 200)
    voice = Voice(fd)
    os.close(fd)
    assert not voice.say({"n": 1})

    read, write = os.pipe()
    os.dup2(write, fd)

    assert not voice.say({"n": 2})
    os.set_blocking(read, False)
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    for each in (read, write, fd):
        os.close(each)
    ours.close()
    theirs.close()


def test_a_voice_hears_whole_frames_and_the_end() -> None:
    channel, theirs = joined()
    voice = Voice(theirs.fileno())
    channel.send({"n": 1})
    channel.send({"n": 2})
    channel.close()

    assert [voice.hear(), voice.hear(), voice.hear()] == [{"n": 1}, {"n": 2}, None]
    theirs.close()


def test_a_mailbox_carries_a_frame_out_of_a_process_without_descriptors() -> None:
    mailbox = Mailbox()
    assert mailbox.take() is None

    if not (pid := os.fork()):
        os.closerange(3, 500)
        mailbox.post({"kind": "word", "n": 1})
        os._exit(0)
    os.waitpid(pid, 0)

    assert mailbox.take() == {"kind": "word", "n": 1}
    mailbox.clear()
    assert mailbox.take() is None
    assert not mailbox.post({"x": "y" * MAILBOX_BYTES})
    assert mailbox.take() is None
    mailbox.close()


def test_a_signed_mailbox_tells_what_was_used_before() -> None:
    mailbox = Mailbox()
    assert not mailbox.signed

    mailbox.sign(0.25, 0.5)

    assert mailbox.signed
    assert mailbox.spent_before == {"cpu_user": 0.25, "cpu_system": 0.5}
    mailbox.clear()
    assert not mailbox.signed
    mailbox.close()
