"""Looks at real processes: how much memory and CPU time a tree has used."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from procsched.workers import watchdog
from procsched.workers.tree import descendants
from procsched.workers.watchdog import Over, Watchdog, next_look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 2**20


@contextlib.contextmanager
def process(work: Callable[[], Any]) -> Iterator[int]:
    """Have a process that has done its work and waits to be killed."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        kept = work()
        os.write(write, b"1")
        os.close(write)
        signal.pause()
        os._exit(len(str(kept)))
    os.close(write)
    try:
        os.read(read, 1)
        yield pid
    finally:
        os.close(read)
        for each in [*descendants(pid), pid]:
            os.kill(each, signal.SIGKILL)
        os.waitpid(pid, 0)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    ("memory", "cpu_left", "cpus", "wait"),
    [
        (False, None, 2, None),
        (True, None, 2, 0.25),
        (False, 10, 2, 5),
        (False, 0.01, 2, 0.05),
        (True, 10, 2, 0.25),
        (True, 0.2, 2, 0.1),
        (False, 3, 0, 3),
    ],
)
def test_the_next_look_is_when_a_limit_can_be_reached_at_the_earliest(
    memory: bool,  # noqa: FBT001 - a parameter of the table above
    cpu_left: float | None,
    cpus: int,
    wait: float | None,
) -> None:
    at = next_look(100, watches_memory=memory, cpu_left_seconds=cpu_left, cpus=cpus)

    assert at == (None if wait is None else pytest.approx(100 + wait))


def test_what_processes_share_is_counted_once() -> None:
    """Two hold the same 40 MiB: resident twice, in use once."""

    def work() -> bytearray:
        shared = bytearray(40 * MIB)
        if not os.fork():
            signal.pause()
        return shared

    with process(work) as pid:
        pids = [pid, *descendants(pid)]
        used = watchdog.tree_memory_bytes(pids)

        assert len(pids) == 2
        resident = sum(map(watchdog._resident_bytes, pids))
        assert 40 * MIB < used < resident - 38 * MIB
        assert watchdog.memory_above(pids, used + 10 * MIB) is None
        assert (watchdog.memory_above(pids, 30 * MIB) or 0) > 30 * MIB


def test_one_that_may_not_be_looked_into_counts_with_what_is_resident(
    monkeypatch: Any,
) -> None:
    read = watchdog._read
    monkeypatch.setattr(
        watchdog, "_read", lambda path: b"" if "smaps" in path else read(path)
    )
    with process(lambda: bytearray(20 * MIB)) as pid:
        assert watchdog.tree_memory_bytes([pid]) > 20 * MIB


def test_cpu_time_is_that_of_all_and_of_those_they_waited_for() -> None:
    def work() -> None:
        burn(0.1)
        if not os.fork():
            burn(0.2)
            os._exit(0)
        os.wait()
        if not os.fork():
            burn(0.1)
            signal.pause()

    with process(work) as pid:
        end = time.monotonic() + 10
        while (used := watchdog.tree_cpu_seconds([pid, *descendants(pid)])) < 0.36:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert used < 3


def test_a_process_that_is_gone_uses_nothing() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)

    assert watchdog.tree_memory_bytes([pid]) == 0
    assert watchdog.tree_cpu_seconds([pid]) == 0


def test_a_run_over_its_memory_is_seen_within_a_quarter_of_a_second() -> None:
    with process(lambda: bytearray(40 * MIB)) as pid:
        dog = Watchdog({"memory": 30 * MIB}, None, lambda: [pid], now=100)

        assert dog.next_at == 100.25
        assert dog.look(100.2) is None
        over = dog.look(100.25)

    assert over is not None
    assert (over.cause, over.at_once) == ("out_of_memory", True)
    assert over.text.startswith("over its memory limit of 30 MiB: ")
    assert over.text.endswith(" MiB in use")
    assert dog.next_at is None


def test_a_run_over_its_cpu_time_is_seen_and_what_came_before_is_not_its() -> None:
    with process(lambda: burn(0.3)) as pid:
        dog = Watchdog({"cpu": 0.2}, None, lambda: [pid], now=100, cpus=2)
        assert dog.next_at == pytest.approx(100.1)
        assert dog.look(100.1) is None
        assert dog.next_at == pytest.approx(100.2)

    with process(lambda: None) as pid:
        dog = Watchdog({"cpu": 0.2}, None, lambda: [pid], now=100)
    dog._used = lambda: 0.25  # type: ignore[method-assign]
    over = dog.look(200)

    assert over == Over(
        "limit_exceeded",
        "over its CPU time limit of 0.2 s: 0.2 s used by all its processes",
        at_once=False,
    )


def test_without_limits_nobody_looks() -> None:
    def never() -> list[int]:
        pytest.fail("looked")

    dog = Watchdog({"memory": None, "cpu": None}, None, never, now=0)

    assert dog.next_at is None
    assert dog.look(1e9) is None


class FakeCell:
    enforced = {"memory": "cgroup2"}  # noqa: RUF012 - a stand-in

    def cpu_seconds(self) -> float:
        return 1.5


def test_what_a_cell_holds_or_counts_is_left_to_it() -> None:
    def never() -> list[int]:
        pytest.fail("looked")

    cell: Any = FakeCell()
    dog = Watchdog({"memory": 1, "cpu": 10}, cell, never, now=0, cpus=1)

    assert dog.next_at == 10
    assert dog.look(10) is None
    assert dog.next_at == 20
    assert watchdog.held(cell) == {"cpu": "watchdog", "memory": "cgroup2"}
    assert watchdog.held(None) == {"cpu": "watchdog", "memory": "watchdog"}


def test_a_host_without_proc_is_not_watched(monkeypatch: Any) -> None:
    monkeypatch.setattr(watchdog, "_can_look", lambda: False)

    assert watchdog.held(None) == {}
    assert Watchdog({"memory": 1}, None, list, now=0).next_at is None


def test_the_hosts_own_kills_for_memory_are_counted(monkeypatch: Any) -> None:
    assert (watchdog.host_oom_kills() or 0) >= 0

    monkeypatch.setattr(watchdog, "_read", lambda _: b"pgfault 3\noom_kill 7\n")
    assert watchdog.host_oom_kills() == 7
    monkeypatch.setattr(watchdog, "_read", lambda _: b"")
    assert watchdog.host_oom_kills() is None
