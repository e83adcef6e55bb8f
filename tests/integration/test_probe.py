"""Modules that hang, print, crash and fork when they are imported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hostile import gone

from procsched.workers import probe as probing
from procsched.workers.probe import Finding, probe

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
from procsched import Job, Limits
class Good(Job):
    limits = Limits(wall=5, memory="1MiB")
    def __init__(self, name="good"): self.said = name
    def name(self): return self.said
    def goal(self): pass
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    return tmp_path


@pytest.mark.usefixtures("place")
def test_a_good_job_tells_its_name_and_limits() -> None:
    first, second = probe([("good:Good", {}), ("good:Good", {"name": "other"})])

    assert (first.name, second.name, first.fault) == ("good", "other", None)
    assert first.limits is not None
    assert (first.limits["wall"], first.limits["memory"]) == (5.0, 2**20)


def test_no_questions_start_no_process() -> None:
    assert probe([]) == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import os; os._exit(3)", "importing it ended the interpreter with code 3"),
        ("import os; os.abort()", "importing it ended the interpreter by SIGABRT"),
        ("import sys; sys.exit(2)", "SystemExit: 2"),
        ("raise ValueError('a\\nb')", "ValueError: a b"),
        ("def (", "SyntaxError: invalid syntax (bad.py, line 1)"),
        ("class Bad: pass", "JobError: <bad.Bad object at"),
        ("", "AttributeError: module 'bad' has no attribute 'Bad'"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_bad_module_is_its_own_fault_and_nobody_elses(
    place: Path, source: str, fault: str
) -> None:
    (place / "bad.py").write_text(source)

    before, found, after = probe(
        [("good:Good", {}), ("bad:Bad", {}), ("good:Good", {})]
    )

    assert before.name == after.name == "good"
    assert found.name is None
    assert found.fault is not None
    assert found.fault.startswith(fault)


@pytest.mark.usefixtures("place")
def test_a_missing_argument_is_named() -> None:
    (found,) = probe([("good:Good", {"size": 3})])

    assert found.fault == (
        "TypeError: Good.__init__() got an unexpected keyword argument 'size'"
    )


def test_what_a_module_prints_is_no_answer(place: Path) -> None:
    noise = "import os\nprint('{\"name\": 1}')\nos.write(1, b'{}\\n')\n"
    (place / "noisy.py").write_text(
        noise + "os.system('echo {}; cat')\n" + GOOD.replace("Good", "Noisy")
    )

    (found,) = probe([("noisy:Noisy", {})])

    assert (found.name, found.fault) == ("good", None)


def test_a_module_that_hangs_is_given_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PROBE_SECONDS", 0.8)
    (place / "slow.py").write_text("import time; time.sleep(1000)")
    began = time.monotonic()

    slow, good = probe([("slow:Slow", {}), ("good:Good", {})])

    assert slow == Finding(None, None, "its import took over 0.8 s")
    assert good.name == "good"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("end", ["", "os._exit(1)"])
def test_what_an_import_has_started_holds_nobody_up_and_is_killed(
    place: Path, end: str
) -> None:
    (place / "forks.py").write_text(
        "import os, time\n"
        "pid = os.fork()\n"
        "if not pid: time.sleep(1000)\n"
        f"open({str(place / 'pid')!r}, 'w').write(str(pid))\n{end}\n"
        + GOOD.replace("Good", "Forks")
    )
    began = time.monotonic()

    (found,) = probe([("forks:Forks", {})])

    assert time.monotonic() - began < 10
    assert (found.fault is None) == (end == "")
    assert gone([int((place / "pid").read_text())], 5)
