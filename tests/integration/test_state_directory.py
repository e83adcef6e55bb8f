"""The state directory: made, owned once, released, and told what is wrong with it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from procsched.errors import StateDirectoryError
from procsched.store.directory import StateDirectory

OWNER = """\
import sys
from pathlib import Path
from procsched.store.directory import StateDirectory
directory = StateDirectory(Path(sys.argv[1]))
print("owned", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_is_made_with_its_rooms_for_its_owner_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "a/b")

    assert directory.logs.is_dir()
    assert directory.spools.is_dir()
    rooms = (directory.path, directory.logs, directory.spools)
    assert [mode(each) for each in rooms] == [0o700] * 3
    files = [each for each in directory.path.iterdir() if each.is_file()]
    assert {mode(each) for each in files} == {0o600}
    directory.release()


def test_it_has_one_owner_at_a_time_in_one_process(tmp_path: Path) -> None:
    before = descriptors()
    first = StateDirectory(tmp_path)

    with pytest.raises(
        StateDirectoryError,
        match=rf"'{tmp_path}' has an owner: the scheduler of process {os.getpid()}\. "
        "Shut that one down, or name another state_dir",
    ):
        StateDirectory(tmp_path)

    first.release()
    StateDirectory(tmp_path).release()
    assert descriptors() == before


def test_a_killed_owner_owns_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owned\n"
        with pytest.raises(StateDirectoryError, match=rf"of process {owner.pid}\."):
            StateDirectory(tmp_path)
        owner.send_signal(signal.SIGKILL)
        owner.wait(30)

    StateDirectory(tmp_path).release()


def test_a_copy_of_the_lock_does_not_outlive_the_release(tmp_path: Path) -> None:
    """A fork of the host has one; flock(2) holds until the last is closed."""
    directory = StateDirectory(tmp_path)
    assert directory._lock is not None
    copy = os.dup(directory._lock)

    directory.release()

    StateDirectory(tmp_path).release()
    os.close(copy)


def test_a_fork_lets_go_without_releasing(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    assert directory._lock is not None
    parents = os.dup(directory._lock)

    directory.forked()
    directory.forked()

    with pytest.raises(StateDirectoryError, match="has an owner"):
        StateDirectory(tmp_path)
    os.close(parents)
    StateDirectory(tmp_path).release()


def test_a_release_is_idempotent(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)

    directory.release()
    directory.release()


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_a_directory_is_told(
    tmp_path: Path, place: str, says: str
) -> None:
    (tmp_path / "file").touch()
    before = descriptors()

    with pytest.raises(
        StateDirectoryError,
        match=rf"cannot be used: {says}\. Make it writable: chmod u\+rwx .*, or name "
        "another state_dir",
    ):
        StateDirectory(tmp_path / place)

    assert descriptors() == before


def test_a_directory_in_the_place_of_its_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").mkdir()
    before = descriptors()

    with pytest.raises(StateDirectoryError, match="cannot be used: Is a directory"):
        StateDirectory(tmp_path)

    assert descriptors() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StateDirectoryError, match="cannot be used: Permission denied"):
        StateDirectory(tmp_path)

    tmp_path.chmod(0o700)
