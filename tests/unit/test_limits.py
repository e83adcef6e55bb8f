"""What the surroundings of a run may be, and what is refused with which words."""

# ruff: noqa: S106, S108 - words of a person, not passwords and files

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

import pytest

from procsched.core.limits import LIMIT_NAMES, OWN_VARIABLES, Limits
from procsched.errors import ScheduleConfigError

FULL = Limits(
    nice=19,
    io_class="Best-Effort(7)",
    cpu_affinity=[1, 0, 1],
    cwd=PurePosixPath("/srv/reports/"),
    umask=0o027,
    env={"LANG": "C", "A": ""},
    pass_env=["AWS_PROFILE"],
    user="nobody",
    group=0,
    no_new_privs=False,
    network=False,
    private_tmp=True,
)


def test_the_surroundings_of_a_run_are_kept_in_one_spelling() -> None:
    assert FULL.io_class == "best-effort(7)"
    assert FULL.cpu_affinity == (0, 1)
    assert FULL.cwd == "/srv/reports"
    assert FULL.umask == "027"
    assert FULL.env == (("A", ""), ("LANG", "C"))
    assert FULL.pass_env == ("AWS_PROFILE",)
    assert Limits(cwd="/").cwd == "/"


def test_unsaid_a_run_has_the_surroundings_of_its_scheduler() -> None:
    plain = Limits()
    own = LIMIT_NAMES[LIMIT_NAMES.index("nice") :]

    assert {name: getattr(plain, name) for name in own} == {
        **dict.fromkeys(own),
        "env": (),
        "pass_env": (),
        "private_tmp": False,
    }


def test_limits_are_hashed_copied_and_sent_as_json_without_change() -> None:
    """A umask of 026 is 22 as a number, which would be refused the second time."""
    full = replace(FULL, umask="026", wall=None, startup=None, grace=0)
    sent = json.loads(json.dumps(asdict(full) | {"grace": 0}))

    assert Limits(**sent) == full
    assert hash(Limits(**sent)) == hash(full)


def test_no_variables_may_be_said_with_none() -> None:
    nothing: Any = None

    assert Limits(env=nothing, pass_env=nothing) == Limits()


@pytest.mark.parametrize(
    ("said", "kept"),
    [("027", "027"), ("0o77", "077"), (" 7", "007"), ("7", "007"), (0, "000")],
)
def test_a_umask_is_octal(said: Any, kept: str) -> None:
    text = said.strip() if isinstance(said, str) else said

    assert Limits(umask=text).umask == kept


def test_all_variables_are_passed_by_a_star() -> None:
    assert Limits(pass_env="*").pass_env == ("*",)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"nice": 20},
        "nice=20 is no whole number from -20 to 19",
        "Write 19 for a run that yields to all others, 0 for an ordinary one",
    ),
    (
        {"nice": True},
        "nice=True is no whole number from -20 to 19",
        "Write 19 for a run that yields to all others, 0 for an ordinary one",
    ),
    (
        {"io_class": "idel"},
        "io_class='idel' is no class of input and output",
        (
            "Write io_class='idle', one of 'idle', 'best-effort', 'realtime'; with a "
            "level as in 'best-effort(7)'"
        ),
    ),
    (
        {"io_class": "best-effort(8)"},
        "io_class='best-effort(8)' is no class of input and output",
        (
            "Write io_class='best-effort', one of 'idle', 'best-effort', 'realtime'; "
            "with a level as in 'best-effort(7)'"
        ),
    ),
    (
        {"io_class": 3},
        "io_class=3 is no class of input and output",
        (
            "Write io_class='idle', one of 'idle', 'best-effort', 'realtime'; with a "
            "level as in 'best-effort(7)'"
        ),
    ),
    (
        {"cpu_affinity": []},
        "cpu_affinity=[] is no list of CPUs",
        (
            "Write their numbers, from 0, as in cpu_affinity=[0, 1]; or "
            "cpu_affinity=None for all"
        ),
    ),
    (
        {"cpu_affinity": [0, -1]},
        "cpu_affinity=[0, -1] is no list of CPUs",
        (
            "Write their numbers, from 0, as in cpu_affinity=[0, 1]; or "
            "cpu_affinity=None for all"
        ),
    ),
    (
        {"cpu_affinity": "0-3"},
        "cpu_affinity='0-3' is no list of CPUs",
        (
            "Write their numbers, from 0, as in cpu_affinity=[0, 1]; or "
            "cpu_affinity=None for all"
        ),
    ),
    (
        {"cwd": "reports"},
        "cwd='reports' is no absolute path",
        "Write it from the root, as in cwd='/srv/reports'",
    ),
    (
        {"cwd": 5},
        "cwd=5 is no absolute path",
        "Write it from the root, as in cwd='/srv/reports'",
    ),
    (
        {"umask": 27},
        "umask=27 is 033 in octal, which nobody means",
        "Write umask='027', in quotes, or '033' if you do mean it",
    ),
    (
        {"umask": "u=rwx"},
        "umask='u=rwx' is no mask of permissions",
        "Write three octal digits as a text, as in umask='027'",
    ),
    (
        {"umask": 0o1000},
        "umask=512 is no mask of permissions",
        "Write three octal digits as a text, as in umask='027'",
    ),
    (
        {"env": {"A": 1}},
        "env has 'A'=1, which is no variable",
        "Write names and values as texts, as in env={'LANG': 'C'}",
    ),
    (
        {"env": {"A=B": "1"}},
        "env has 'A=B'='1', which is no variable",
        "Write names and values as texts, as in env={'LANG': 'C'}",
    ),
    (
        {"env": {"A": "a\0"}},
        "env has 'A'='a\\x00', which is no variable",
        "Write names and values as texts, as in env={'LANG': 'C'}",
    ),
    (
        {"env": ["LANG"]},
        "env has 'LANG', which is no variable",
        "Write names and values as texts, as in env={'LANG': 'C'}",
    ),
    (
        {"env": "LANG=C"},
        "env has 'LANG=C', which is no variable",
        "Write names and values as texts, as in env={'LANG': 'C'}",
    ),
    (
        {"env": {"PROCSCHED_JOB": "x"}},
        "env sets 'PROCSCHED_JOB', by which a run is told what it is",
        "Choose another name",
    ),
    (
        {"pass_env": "HOME"},
        "pass_env='HOME' is no list of names of variables",
        "Write pass_env=['AWS_PROFILE'], or pass_env='*' for all of them",
    ),
    (
        {"pass_env": ["A=1"]},
        "pass_env=['A=1'] is no list of names of variables",
        "Write pass_env=['AWS_PROFILE'], or pass_env='*' for all of them",
    ),
    (
        {"user": ""},
        "user='' is neither a name nor a number of a user",
        "Write user='nobody', say, or its number",
    ),
    (
        {"group": -1},
        "group=-1 is neither a name nor a number of a group",
        "Write group='nobody', say, or its number",
    ),
    (
        {"user": 2**32 - 1},
        "user=4294967295 is neither a name nor a number of a user",
        "Write user='nobody', say, or its number",
    ),
    *(
        (
            {name: "yes"},
            f"{name}='yes' is neither true nor false",
            f"Write {name}=True or {name}=False",
        )
        for name in ("no_new_privs", "network", "private_tmp")
    ),
    (
        {"private_tmp": None},
        "private_tmp=None is neither true nor false",
        "Write private_tmp=True or private_tmp=False",
    ),
    (
        {"private_tmp": True, "cwd": "/var/tmp/work"},
        (
            "cwd='/var/tmp/work' with private_tmp=True, which begins with an empty "
            "/var/tmp"
        ),
        "Write a directory elsewhere, or private_tmp=False",
    ),
]


@pytest.mark.parametrize(("said", "problem", "remedy"), REFUSED)
def test_what_cannot_be_meant_is_refused_with_what_to_write(
    said: dict[str, Any], problem: str, remedy: str
) -> None:
    with pytest.raises(ScheduleConfigError) as refusal:
        Limits(**said)

    assert (refusal.value.problem, refusal.value.remedy) == (problem, remedy)


def test_a_private_tmp_may_itself_be_where_a_run_starts() -> None:
    assert Limits(private_tmp=True, cwd="/tmp/").cwd == "/tmp"


def test_the_variables_of_a_run_are_the_four_it_is_told_by() -> None:
    assert OWN_VARIABLES == (
        "PROCSCHED_RUN_ID",
        "PROCSCHED_JOB",
        "PROCSCHED_NOMINAL_TIME",
        "PROCSCHED_ATTEMPT",
    )
