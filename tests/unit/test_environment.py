"""Which variables a run gets, and which it does not."""

from __future__ import annotations

import pwd
from typing import Any

import pytest

from procsched.workers.environment import build_environment
from procsched.workers.rlimits import LimitRefused

HOST = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": "/srv",
    "XDG_RUNTIME_DIR": "/run/user/7",
    "COVERAGE_PROCESS_START": "x",
    "https_proxy": "http://proxy",
    "NO_PROXY": "localhost",
    "TMPDIR": "/scratch",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "LS_COLORS": "many",
    "PROCSCHED_RUN_ID": "another's",
}


def test_a_run_gets_what_is_safe_and_no_secrets() -> None:
    assert build_environment(HOST, {}).keys() == {
        "PATH",
        "HOME",
        "LC_ALL",
        "PYTHONPATH",
        "XDG_RUNTIME_DIR",
        "https_proxy",
        "NO_PROXY",
        "TMPDIR",
    }


def test_a_run_gets_what_is_asked_for_by_name() -> None:
    limits = {"pass_env": ("AWS_SECRET_ACCESS_KEY", "NOT_THERE")}
    found = build_environment(HOST, limits)

    assert found["AWS_SECRET_ACCESS_KEY"] == HOST["AWS_SECRET_ACCESS_KEY"]
    assert "NOT_THERE" not in found
    assert "LS_COLORS" not in found


def test_a_star_passes_all() -> None:
    assert build_environment(HOST, {"pass_env": ["*"]}) == HOST


def test_what_is_set_outweighs_what_is_passed() -> None:
    limits = {"env": {"PATH": "/opt", "NEW": ""}, "pass_env": ("LS_COLORS",)}
    found = build_environment(HOST, limits)

    assert (found["PATH"], found["NEW"], found["LS_COLORS"]) == ("/opt", "", "many")


def test_a_private_tmp_is_where_temporary_files_go() -> None:
    private: dict[str, Any] = {"private_tmp": True}

    assert "TMPDIR" not in build_environment(HOST, private)
    for said in ({"env": {"TMPDIR": "/scratch"}}, {"pass_env": ["TMPDIR"]}):
        assert build_environment(HOST, private | said)["TMPDIR"] == "/scratch"


def test_another_user_has_his_own_home_and_no_session_of_ours() -> None:
    root = pwd.getpwuid(0)
    found = build_environment(HOST | {"USER": "me", "SHELL": "/bin/fish"}, {"user": 0})

    assert found["HOME"] == root.pw_dir
    assert (found["USER"], found["LOGNAME"]) == (root.pw_name, root.pw_name)
    assert found["SHELL"] == root.pw_shell
    assert "XDG_RUNTIME_DIR" not in found
    assert found["PATH"] == "/bin"


def test_a_user_without_an_entry_is_at_home_in_the_root() -> None:
    found = build_environment(HOST, {"user": 4_000_123, "group": 1})

    assert found["HOME"] == "/"


def test_a_user_who_is_not_there_is_refused() -> None:
    with pytest.raises(LimitRefused) as refused:
        build_environment(HOST, {"user": "qqqqqqqqqq"})

    assert str(refused.value) == (
        "there is no user 'qqqqqqqqqq' on this host: add it, or correct `user`"
    )
