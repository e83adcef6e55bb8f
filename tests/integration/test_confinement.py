"""The surroundings of a run on real processes, each in a fork of its own."""

# ruff: noqa: S108 - places that a confined process sees

from __future__ import annotations

import encodings.idna  # noqa: F401 - another user may not be able to read it
import os
import pwd
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from forked import in_child

from procsched.audit import outlet
from procsched.workers import confinement
from procsched.workers.linux import become_dumpable, die_with_parent
from procsched.workers.rlimits import LimitRefused

NOBODY = 65534

needs_root = pytest.mark.skipif(bool(os.geteuid()), reason="needs root")


def confined(
    limits: dict[str, Any], work: Any = None, *, user: int | None = None
) -> Any:
    """Return what `work` says in a process so confined, or why it is none.

    Args:
        user: Whom the process is before that; None for the test's own.
    """

    def life() -> Any:
        os.setsid()
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            # As a process is that was never anybody else.
            become_dumpable()
        try:
            confinement.apply(limits)
        except LimitRefused as refused:
            return f"refused: {refused}"
        return None if work is None else work()

    return in_child(life)


def status(*names: str) -> list[list[str]]:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return [found[name].split() for name in names]


def test_without_a_word_nothing_is_changed() -> None:
    def seen() -> Any:
        names = ("Uid", "Gid", "NoNewPrivs", "Cpus_allowed_list")
        return [*status(*names), os.getpriority(os.PRIO_PROCESS, 0), str(Path.cwd())]

    assert confined({}, seen) == in_child(seen)
    assert confinement.enforceable({}) == {}


def test_a_nice_run_yields_to_other_sessions_too() -> None:
    """Between sessions the autogroup's value counts, not the process's (sched(7))."""

    def seen() -> Any:
        own = os.getpriority(os.PRIO_PROCESS, 0)
        group = Path("/proc/self/autogroup")
        return [own, group.read_text().split()[-1] if group.exists() else "15"]

    assert confined({"nice": 15}, seen) == [15, "15"]


@needs_root
def test_who_is_not_root_cannot_be_less_nice() -> None:
    assert confined({"nice": -5}, user=NOBODY) == (
        "refused: nice=-5 is less than the scheduler's own 0, which needs root: run "
        "it as root, set LimitNICE=-5 in its systemd unit, or write 0 or more"
    )


@needs_root
def test_many_who_are_not_root_are_nice_at_once() -> None:
    """The kernel takes one change of an autogroup in 0.1 s from them; none fails."""

    def seen() -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    assert [confined({"nice": 5}, seen, user=NOBODY) for _ in range(3)] == [5, 5, 5]


@pytest.mark.parametrize(
    ("word", "said"),
    [("idle", "idle"), ("best-effort(7)", "best-effort: prio 7"),
     ("best-effort", "best-effort: prio 4")],
)  # fmt: skip
def test_input_and_output_have_a_class_and_a_level(word: str, said: str) -> None:
    def seen() -> str:
        done = subprocess.run(
            ["ionice", "-p", str(os.getpid())], capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    assert confined({"io_class": word}, seen) == said


@needs_root
def test_only_root_is_served_before_all_others() -> None:
    assert confined({"io_class": "realtime(0)"}) is None
    assert confined({"io_class": "realtime"}, user=NOBODY) == (
        "refused: io_class='realtime' was refused by the kernel (Operation not "
        "permitted): write 'best-effort(0)', or run the scheduler as root"
    )


def test_a_system_without_a_call_for_it_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr("procsched.workers.linux._IOPRIO_SET", {})

    assert confined({"io_class": "idle"}) == (
        "refused: io_class='idle' was refused by the kernel (Function not "
        "implemented): drop `io_class`"
    )


def test_a_run_is_bound_to_cpus_and_refused_those_that_are_not_there() -> None:
    one = min(os.sched_getaffinity(0))

    assert confined({"cpu_affinity": [one]}, lambda: list(os.sched_getaffinity(0))) == [
        one
    ]
    there = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    for lacking in (997, 10**7):
        assert confined({"cpu_affinity": [one, lacking]}) == (
            f"refused: CPU {lacking} is not there for the scheduler, which may use "
            f"{there}: correct `cpu_affinity`"
        )


def test_a_system_without_affinity_says_so(monkeypatch: Any) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")

    assert confined({"cpu_affinity": [0]}) == (
        "refused: cpu_affinity is not to be had on this system: drop `cpu_affinity`"
    )


def test_files_and_their_place_are_as_limits_say(tmp_path: Path) -> None:
    def work() -> Any:
        Path("made").touch()
        return stat.S_IMODE(Path("made").stat().st_mode)

    assert confined({"umask": 0o027, "cwd": str(tmp_path)}, work) == 0o640
    assert (tmp_path / "made").exists()


def test_a_directory_that_cannot_be_entered_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert confined({"cwd": "/no/such"}) == (
        "refused: the directory '/no/such' does not exist: make it, or correct `cwd`"
    )
    assert confined({"cwd": f"{tmp_path}/file"}) == (
        f"refused: '{tmp_path}/file' is no directory: correct `cwd`"
    )


@needs_root
def test_a_directory_is_entered_as_the_runs_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)

    assert confined({"cwd": str(tmp_path), "user": NOBODY, "group": NOBODY}) == (
        f"refused: the directory {str(tmp_path)!r} cannot be entered by the run's "
        "user, number 65534 (Permission denied): let him, or correct `cwd`"
    )


@needs_root
def test_another_user_is_one_in_every_respect() -> None:
    """Ids real, effective and saved, groups, /proc/self, and privileges by exec."""
    name = pwd.getpwuid(NOBODY).pw_name

    def seen() -> Any:
        found = status("Uid", "Gid", "Groups", "CapEff", "NoNewPrivs")
        try:
            os.setuid(0)
        except PermissionError:
            found.append(["no way back"])
        found.append([str(Path("/proc/self/status").stat().st_uid)])
        return found

    ids = [["65534"] * 4, ["65534"] * 4, ["65534"], ["0000000000000000"], ["1"]]
    assert confined({"user": name}, seen) == [*ids, ["no way back"], ["65534"]]
    assert confinement.enforceable({"user": name}) == {
        "user": "setresuid",
        "no_new_privs": "prctl",
    }


@needs_root
def test_a_user_may_keep_what_exec_gives_and_have_another_group() -> None:
    limits = {"user": NOBODY, "group": 12, "no_new_privs": False}

    seen = confined(limits, lambda: status("Uid", "Gid", "NoNewPrivs"))

    assert seen == [["65534"] * 4, ["12"] * 4, ["0"]]


@needs_root
def test_a_group_alone_leaves_the_user() -> None:
    seen = confined({"group": 12}, lambda: status("Uid", "Gid"))

    assert seen == [["0"] * 4, ["12"] * 4]


@needs_root
def test_a_user_without_an_entry_is_a_number_in_one_group() -> None:
    limits: dict[str, Any] = {"user": 4_000_123, "group": 4_000_124}

    assert confined(limits, lambda: status("Uid", "Groups")) == [
        ["4000123"] * 4,
        ["4000124"],
    ]


@needs_root
def test_the_output_of_another_user_can_be_opened_by_its_name() -> None:
    """`echo oops > /dev/stderr` in a script opens the pipe anew."""
    code = (
        "import os\nfrom procsched.workers import confinement\n"
        "confinement.apply({'user': 65534, 'group': 65534})\n"
        "open('/dev/stderr', 'w').write('oops')"
    )
    # What measures coverage cannot write where the other user may not.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env=environment,
    )

    assert done.stderr == b"oops"


@needs_root
def test_a_spool_that_was_made_before_takes_the_records_of_another_user(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "a1-7.spool"

    def work() -> Any:
        outlet.open_outlet(str(path), None, "a1-7", "nightly", at_once=True)
        confinement.confine({"user": NOBODY, "group": NOBODY, "private_tmp": True})
        outlet.take_custom({"seen": 1})
        return outlet.close_outlet()

    assert in_child(work) == 0  # That many were dropped.
    assert b'"seen":1' in path.read_bytes()


@needs_root
def test_a_change_of_user_does_not_free_a_run_from_its_parent() -> None:
    """The kernel forgets PDEATHSIG at setresuid, and it is said again (prctl(2))."""
    read, write = os.pipe()

    def parent() -> None:
        here = os.getpid()
        if not os.fork():
            die_with_parent(here)
            confinement.confine({"user": NOBODY, "group": NOBODY}, here)
            os.write(write, b"1")
            time.sleep(30)
            os._exit(0)
        os.read(read, 1)

    os.set_inheritable(write, True)
    in_child(parent)
    os.close(write)

    # Its last holder is gone: end of file.
    began = time.monotonic()
    os.set_blocking(read, True)
    assert os.read(read, 1) == b""
    assert time.monotonic() - began < 5
    os.close(read)


@needs_root
def test_a_user_who_cannot_read_python_is_refused_for_a_class(
    monkeypatch: Any, tmp_path: Path
) -> None:
    """As with an interpreter below /root; a job would fail at its first import."""
    limits: dict[str, Any] = {"user": NOBODY, "group": NOBODY}
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "__file__", str(tmp_path / "os.py"))
    (tmp_path / "os.py").touch()

    def work() -> str:
        try:
            confinement.check_library(limits)
        except LimitRefused as refused:
            return str(refused)
        return ""

    assert confined(limits, work) == (
        f"user=65534 may not read Python's library in {tmp_path}: install Python "
        "where every user can read it, or make the job a command"
    )
    confinement.check_library({})


def test_whom_nobody_knows_is_refused_with_the_nearest_name() -> None:
    name = pwd.getpwuid(0).pw_name

    assert confined({"user": f"{name}x"}) == (
        f"refused: there is no user '{name}x' on this host: did you mean '{name}'?"
    )
    assert confined({"group": "qqqqqqqqqq"}) == (
        "refused: there is no group 'qqqqqqqqqq' on this host: add it, or correct "
        "`group`"
    )
    assert confined({"user": 4_000_123}) == (
        "refused: user 4000123 has no entry on this host, so nobody knows its group: "
        "write `group` as well"
    )


@needs_root
def test_who_is_not_root_can_be_himself_and_nobody_else() -> None:
    assert confined({"user": NOBODY}, user=NOBODY) is None
    assert confined({"user": str(NOBODY)}, user=NOBODY) is None
    assert confined({"user": 0}, user=NOBODY) == (
        "refused: user=0 needs root, and the scheduler is user number 65534 "
        "(Operation not permitted): run it as root, or drop them"
    )


def test_no_privileges_can_be_gained_where_that_is_asked_for() -> None:
    seen = confined({"no_new_privs": True}, lambda: status("NoNewPrivs"))

    assert seen == [["1"]]
    assert confinement.enforceable({"no_new_privs": False}) == {}


def test_a_system_without_that_flag_says_so(monkeypatch: Any) -> None:
    monkeypatch.setattr("procsched.workers.linux._libc", None)

    assert confined({"no_new_privs": True}) == (
        "refused: no_new_privs is not to be had on this system, which has no such "
        "flag: write no_new_privs=False"
    )


def namespaces_work(user: int | None = None) -> bool:
    said = confined({"network": False, "private_tmp": True}, user=user)
    return not str(said).startswith("refused")


def reach(address: str) -> str:
    """Return what a connection to a port that nobody listens at ends in."""
    with socket.socket() as probe:
        probe.settimeout(5)
        try:
            probe.connect((address, 9))
        except OSError as fault:
            return str(fault.strerror)
    return "connected"


@pytest.mark.parametrize("user", [None, NOBODY])
def test_a_run_without_network_reaches_itself_and_nobody_else(user: int | None) -> None:
    if user is not None and os.geteuid():
        pytest.skip("becomes another user")
    if not namespaces_work(user):
        pytest.skip("this host allows no namespaces here")

    def seen() -> Any:
        names = [name for _, name in socket.if_nameindex() if name == "lo"]
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), 5).close()
        return [names, reach("192.0.2.1"), os.geteuid()]

    assert confined({"network": False}, seen, user=user) == [
        ["lo"],
        "Network is unreachable",
        os.geteuid() if user is None else user,
    ]
    assert confinement.enforceable({"network": False}) == {"network": "namespace"}
    assert confinement.enforceable({"network": True}) == {}


@pytest.mark.parametrize("user", [None, NOBODY])
def test_a_private_tmp_is_empty_and_leaves_nothing(user: int | None) -> None:
    if user is not None and os.geteuid():
        pytest.skip("becomes another user")
    if not namespaces_work(user):
        pytest.skip("this host allows no namespaces here")
    name = f"procsched-test-{os.getpid()}"

    def seen() -> Any:
        before = [*Path("/tmp").iterdir(), *Path("/var/tmp").iterdir()]
        Path(f"/tmp/{name}").write_text("x")
        size = os.statvfs("/tmp")
        return [
            before,
            [each.name for each in Path("/tmp").iterdir()],
            size.f_blocks * size.f_frsize,
        ]

    limits = {"private_tmp": True, "memory": 8 * 2**20}
    assert confined(limits, seen, user=user) == [[], [name], 8 * 2**20]
    assert not Path(f"/tmp/{name}").exists()
    assert confinement.enforceable(limits) == {"private_tmp": "namespace"}


@needs_root
def test_another_user_can_have_all_of_it_at_once() -> None:
    if not namespaces_work():
        pytest.skip("this host allows no namespaces here")
    limits = {
        "nice": -3, "io_class": "idle", "umask": 0o077, "cwd": "/tmp",
        "user": NOBODY, "network": False, "private_tmp": True, "no_new_privs": True,
    }  # fmt: skip

    def seen() -> Any:
        Path("made").touch()
        made = Path("/tmp/made").stat()
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        return [made.st_uid, stat.S_IMODE(made.st_mode), nice, reach("192.0.2.1")]

    assert confined(limits, seen) == [NOBODY, 0o600, -3, "Network is unreachable"]


@pytest.mark.parametrize(
    ("limits", "what"),
    [({"network": False}, "network=False"), ({"private_tmp": True}, "private_tmp")],
)
def test_a_namespace_that_is_not_permitted_says_how_to_get_it(
    limits: dict[str, Any], what: str, monkeypatch: Any
) -> None:
    def refuse(_flags: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("procsched.workers.linux.unshare", refuse)

    assert confined(limits) == (
        f"refused: {what} needs a namespace, which was refused by the kernel "
        "(Operation not permitted): run the scheduler as root, or let users make "
        "them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns)"
    )


def test_workers_differ_by_what_cannot_be_put_back() -> None:
    one = confinement.lasting({"user": "a", "cpu_affinity": [0, 1], "cwd": "/"})

    assert one == confinement.lasting({"user": "a", "cpu_affinity": (0, 1)})
    assert one != confinement.lasting({"user": "b", "cpu_affinity": [0, 1]})
    assert hash(one)
