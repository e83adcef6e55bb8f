"""Everything below a process is found, killed and reaped; in a child of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from procsched.workers import tree
from procsched.workers.tree import children, descendants, is_zombie

PROGRAM = """
import os, sys, signal, time
sys.path[:0] = {path!r}
from hostile import Hostile, fork_daemon, signal_less_sleep, alive
from procsched.workers.linux import become_subreaper
from procsched.workers.tree import Sweep, sweep_descendants, descendants
assert become_subreaper()
{work}
"""


def run(work: str) -> str:
    program = PROGRAM.format(path=sys.path, work=work)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_a_sweep_leaves_nothing_below() -> None:
    """A tree, a deaf daemon, a stopped process, one that is dead already."""
    said = run("""
from pathlib import Path
import tempfile
pids = [fork_daemon()]
if not (pid := os.fork()):
    os.kill(os.getpid(), signal.SIGSTOP)
pids.append(pid)
if not (dead := os.fork()):
    os._exit(7)
os.waitid(os.P_PID, dead, os.WEXITED | os.WNOWAIT)
job = Hostile("tree", Path(tempfile.mkdtemp()))
pids += job.tree()
sweep = Sweep()
sweep_descendants(sweep)
print(len(pids), len(sweep.struck), sweep.unkillable, any(map(alive, pids)))
print(os.waitstatus_to_exitcode(sweep.statuses[dead]), len(sweep.reaped))
""")

    assert said.splitlines() == ["22 22 [] False", "7 23"]


def test_the_spared_child_lives_on_without_what_is_below_it() -> None:
    said = run("""
read, write = os.pipe()
if not (spared := os.fork()):
    if not (below := os.fork()):
        signal_less_sleep()
    os.write(write, str(below).encode())
    signal_less_sleep()
below = int(os.read(read, 20))
daemon = fork_daemon()
sweep = Sweep()
sweep_descendants(sweep, spare=spared)
print(sorted(sweep.struck) == sorted([below, daemon]))
print(alive(spared), alive(below), alive(daemon))
last = Sweep()
sweep_descendants(last)
print(last.struck == {spared})
""")

    assert said.split() == ["True", "True", "False", "False", "True"]


def test_a_sweep_outruns_what_forks_while_it_is_killed() -> None:
    """Each process makes another for as long as it lives, two hundred at most."""
    said = run("""
read, write = os.pipe()
os.write(write, b"." * 200)
os.set_blocking(read, False)
def breed():
    while True:
        try:
            os.read(read, 1)
        except BlockingIOError:
            signal_less_sleep()
        os.fork()
for _ in range(3):
    if not os.fork():
        os.setsid()
        breed()
sweep = Sweep()
sweep_descendants(sweep)
print(sweep.unkillable, descendants(os.getpid()))
""")

    assert said.split() == ["[]", "[]"]


def test_a_dead_main_thread_hides_no_living_threads() -> None:
    said = run("""
import ctypes, threading
if not (pid := os.fork()):
    threading.Thread(target=signal_less_sleep).start()
    ctypes.CDLL(None).pthread_exit(None)
while open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z":
    time.sleep(0.001)
began = time.monotonic()
sweep = Sweep()
sweep_descendants(sweep)
print(sweep.unkillable, time.monotonic() - began < 2, pid in sweep.statuses)
""")

    assert said.split() == ["[]", "True", "True"]


def test_children_and_descendants_are_named() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 100 & echo $!; wait"], stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdout is not None
        below = int(shell.stdout.readline())

        assert shell.pid in children(os.getpid())
        assert children(shell.pid) == [below]
        assert {shell.pid, below} <= set(descendants(os.getpid()))
        assert not is_zombie(below)
        os.kill(below, 9)
        shell.wait()

    assert children(shell.pid) == []
    assert is_zombie(shell.pid)


def test_without_proc_psutil_tells_the_same() -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        assert child.pid in tree._children_by_psutil(os.getpid())
        assert not tree._is_zombie_by_psutil(child.pid)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert tree._is_zombie_by_psutil(child.pid)
    assert tree._children_by_psutil(child.pid) == []
    assert Path("/proc/self").exists()
