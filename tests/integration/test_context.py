"""The multiprocessing context: what its processes are, and what the host keeps."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import descriptors

from procsched.workers.context import (
    STATUS_STOLEN,
    ForkedProcess,
    Inherited,
    KeeperContext,
)

CONTEXT = KeeperContext()


def leave(code: int) -> None:
    os._exit(code)


def close_everything(fd: int) -> None:
    """Close all descriptors but one, and wait for its end."""
    for each in range(3, 300):
        if each != fd:
            try:
                os.close(each)
            except OSError:
                continue
    os.read(fd, 1)


def fork_and_leave(inherited: int) -> None:
    """Leave behind a process that holds every descriptor."""
    if not os.fork():
        os.read(inherited, 1)
    os._exit(0)


def spell(inherited: int, text: str) -> None:
    os.write(inherited, f"{text} {'__main__' in sys.modules}".encode())


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_and_the_usage_are_there(code: int) -> None:
    process = CONTEXT.Process(target=leave, args=(code,))
    process.start()
    process.join()

    assert isinstance(process, multiprocessing.process.BaseProcess)
    assert (process.exitcode, process.is_alive()) == (code, False)
    assert process._popen.rusage.ru_maxrss > 0
    process.close()


def test_a_signal_is_a_negative_exit_code() -> None:
    process = CONTEXT.Process(target=time.sleep, args=(100,))
    process.start()
    assert process.is_alive()
    process.kill()
    process.join()

    assert process.exitcode == -signal.SIGKILL
    process.kill()
    process.close()


def test_terminate_and_a_join_with_a_limit_work() -> None:
    process = CONTEXT.Process(target=time.sleep, args=(100,))
    process.start()
    process.join(0.01)
    assert process.exitcode is None
    process.terminate()
    process.join(10)

    assert process.exitcode == -signal.SIGTERM
    process.close()


def test_the_sentinel_does_not_fire_before_the_death() -> None:
    """The stock one does when the child closes its descriptors."""
    read, write = os.pipe()
    process = CONTEXT.Process(target=close_everything, args=(Inherited(read),))
    process.start()
    os.close(read)
    while len(list(Path(f"/proc/{process.pid}/fd").iterdir())) > 4:
        assert process.is_alive()

    assert select.select([process.sentinel], [], [], 0)[0] == []
    os.close(write)
    assert select.select([process.sentinel], [], [], 10)[0]
    process.join()
    process.close()


def test_the_sentinel_fires_though_a_daemon_holds_everything() -> None:
    read, write = os.pipe()
    process = CONTEXT.Process(target=fork_and_leave, args=(Inherited(read),))
    process.start()
    os.close(read)

    assert select.select([process.sentinel], [], [], 10)[0]
    process.join()
    assert process.exitcode == 0
    os.close(write)
    process.close()


def test_a_stolen_status_is_no_hang() -> None:
    process = CONTEXT.Process(target=leave, args=(0,))
    process.start()
    os.waitpid(process.pid, 0)
    process.join()

    assert process.exitcode == STATUS_STOLEN
    process.close()


def test_what_is_inherited_arrives_and_nothing_else_is_kept() -> None:
    before = descriptors()
    read, write = os.pipe()
    process = CONTEXT.Process(target=spell, args=(Inherited(write), "hello"))
    process.start()
    os.close(write)

    assert os.read(read, 100) == b"hello True"
    process.join()
    os.close(read)
    process.close()
    assert descriptors() == before


def test_a_failed_start_keeps_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()

    def refuse(*_: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.util.spawnv_passfds", refuse)
    with pytest.raises(BlockingIOError):
        CONTEXT.Process(target=leave, args=(0,)).start()

    assert descriptors() == before


def test_the_hosts_own_processes_are_not_touched() -> None:
    """The base class would reap them in passing, and list ours among them."""
    program = f"""
import multiprocessing, os, sys
sys.path[:0] = {sys.path!r}
from procsched.workers.context import KeeperContext
mine = multiprocessing.get_context("fork").Process(target=os._exit, args=(3,))
mine.start()
os.waitid(os.P_PID, mine.pid, os.WEXITED | os.WNOWAIT)
ours = KeeperContext().Process(target=print)
ours.start()
assert mine._popen.returncode is None
assert multiprocessing.active_children() == []
ours.join()
assert (mine.exitcode, ours.exitcode) == (3, 0)
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )


def test_without_pidfd_the_sentinel_still_tells_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("procsched.workers.context.open_pidfd", lambda _pid: None)
    before = descriptors()
    process = CONTEXT.Process(target=time.sleep, args=(100,))
    process.start()
    assert select.select([process.sentinel], [], [], 0)[0] == []
    process.kill()

    assert select.select([process.sentinel], [], [], 10)[0]
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()
    assert descriptors() == before


@pytest.mark.parametrize("way", ["kill", "terminate"])
def test_a_process_that_another_has_forked_is_seen_by_its_pidfd(way: str) -> None:
    """Its end is known here; with which status, only its parent knows."""
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    process = ForkedProcess("of another", pid, os.pidfd_open(pid))
    assert (process.pid, process.name, process.is_alive()) == (pid, "of another", True)
    process.join(0.01)
    assert process.exitcode is None
    assert select.select([process.sentinel], [], [], 0)[0] == []

    getattr(process, way)()
    process.join(10)

    assert select.select([process.sentinel], [], [], 10)[0]
    assert (process.is_alive(), process.exitcode) == (False, STATUS_STOLEN)
    process.kill()
    process.close()
    os.waitpid(pid, 0)
