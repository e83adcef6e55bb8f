"""What crosses to a child, what is refused, and scripts that define their own jobs."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hostile import CommandLike, Hostile, NeedsArguments, Outer, Thoughtful, World

from procsched.errors import JobError
from procsched.job import CommandJob, Job
from procsched.workers import payload as packing
from procsched.workers.payload import Payload, pack, search_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def refusal(job: Job) -> str:
    with pytest.raises(JobError) as refused:
        pack(job)
    return str(refused.value)


def test_a_command_travels_as_what_it_is_made_of() -> None:
    for kind in (CommandJob, CommandLike):
        packed = pack(kind("df", ["df", "-h"], env={"A": "1"}, cwd="/usr"))

        assert packed.pickled is None
        assert packed.command == {
            "name": "df",
            "command": ["df", "-h"],
            "env": {"A": "1"},
            "cwd": "/usr",
        }
    assert pack(Thoughtful("own", ["true"])).command is None


def test_a_class_nested_in_a_class_travels(world: World) -> None:
    assert world.run(Outer.Inner()).report.result == "nested"


def test_a_job_that_only_mentions_main_needs_no_script() -> None:
    assert pack(NeedsArguments("see __main__ for more")).main is None


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (lambda: 1, "lambda"),
        (threading.Lock(), "lock"),
        (sys.stdout.buffer, "cannot pickle"),
        ((each for each in ()), "generator"),
    ],
)
def test_what_pickle_cannot_take_is_refused_with_its_reason(
    value: Any, cause: str
) -> None:
    said = refusal(Hostile("returns", None, value))

    assert said.startswith("job 'returns' cannot be sent to a child: ")
    assert cause in said
    assert said.endswith(
        "Keep in the job only what pickle can take (texts, numbers, paths), and open "
        "files, locks and connections inside goal()."
    )


def test_a_class_inside_a_function_is_refused() -> None:
    class Local(Job):
        def goal(self) -> None: ...

    assert refusal(Local()) == (
        "job 'Local' cannot be sent to a child: its class "
        "test_a_class_inside_a_function_is_refused.<locals>.Local is defined inside a "
        "function. Move the class to the top level of its module."
    )


def test_a_job_that_is_too_large_is_refused() -> None:
    assert refusal(NeedsArguments("x" * 17_000_000)) == (
        "job 'NeedsArguments' cannot be sent to a child: it is 17000070 bytes as a "
        "pickle, and 16777216 are allowed. Keep in the job where its data is, and read "
        "the data in goal()."
    )


def test_a_module_that_no_child_finds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaded here while its directory was on the path, and it no longer is."""
    source = "from procsched import Job\nclass It(Job):\n    def goal(self): pass\n"
    (tmp_path / "vanishing.py").write_text(source)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        job = __import__("vanishing").It()
        assert pack(job).path == search_path()

    text = (
        "cannot be sent to a child: its module 'vanishing' is not found on sys.path. "
        "Install the package, or add its directory to sys.path or PYTHONPATH before "
        "scheduling."
    )
    assert refusal(job) == f"job 'It' {text}"
    # As well when the job only holds something of that module.
    assert refusal(NeedsArguments(job)) == f"job 'NeedsArguments' {text}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("module", "found"),
    [
        ("json", True),
        ("json.decoder", True),
        ("builtins", True),
        ("zipimport", True),
        ("json.nothing", False),
        ("nothing_at_all", False),
        ("json.decoder.deeper", False),
        ("procsched.core.run", True),
    ],
)
def test_a_module_is_looked_for_where_a_child_would_look(
    module: str,
    found: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert packing._importable(module) is found


def test_a_module_of_an_editable_install_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Finder:
        """As setuptools puts one on the meta path."""

        @classmethod
        def find_spec(cls, name: str, _path: object) -> object:
            return object() if name == "edited" else None

    Finder.__module__ = "__editable___edited_1_0_finder"
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])

    assert packing._importable("edited.sub")
    assert not packing._importable("other")


def test_relative_places_are_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", "lib", "/abs"])

    assert search_path() == (str(tmp_path), str(tmp_path / "lib"), "/abs")
    assert Payload(target="a:B").to_frame()["path"] == list(search_path())


# Scripts

JOBS = """
from __future__ import annotations
import os, sys
from pathlib import Path
from procsched import Job, Scheduler, ScheduleConfig, Sc
from procsched.config.settings import AuditSettings, Settings

print("executed", flush=True)

class Mine(Job):
    def __init__(self, text): self.text = text
    def goal(self): return [self.text, __name__, sys.argv[1:], helper()]

def helper(): return "helped"

def main():
    settings = Settings(source="a test", environment="TEST",
        schedule=ScheduleConfig(time_unit=Sc.SECOND), run_continuous=False,
        echo_output=False, audit=AuditSettings(console=False))
    scheduler = Scheduler(settings=settings)
    scheduler.schedule_job(Mine("text"))
    scheduler.start()
    (run,) = scheduler.runs()
    print(run.outcome, run.result, run.reason, flush=True)
"""
GUARDED = JOBS + '\nif __name__ == "__main__":\n    main()\n'
UNGUARDED = JOBS + '\nmain()\nprint("after", flush=True)\n'


def python(*words: str, cwd: Path, stdin: str | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
        cwd=cwd,
        input=stdin,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SUCCESS = "succeeded ['text', '__mp_main__', ['one', 'two'], 'helped'] goal() returned"


@pytest.mark.parametrize("name", ["script.py", "with space.py", "no_ending"])
def test_a_guarded_script_runs_its_own_jobs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(GUARDED)

    assert python(name, "one", "two", cwd=tmp_path) == ["executed", SUCCESS]


def test_an_unguarded_script_is_executed_up_to_its_start(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)

    said = python("script.py", "one", "two", cwd=tmp_path)

    assert said == ["executed", SUCCESS, "after"]


def test_a_module_run_by_its_name_runs_its_own_jobs(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "sibling.py").write_text("VALUE = 1\n")
    source = GUARDED.replace("import os, sys", "import os, sys\nfrom . import sibling")
    for name in ("mod", "__main__"):
        (tmp_path / "pkg" / f"{name}.py").write_text(source)

    assert python("-m", "pkg.mod", "one", "two", cwd=tmp_path)[-1] == SUCCESS
    assert python("-m", "pkg", "one", "two", cwd=tmp_path)[-1] == SUCCESS


def test_a_directory_that_is_run_runs_its_own_jobs(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__main__.py").write_text(GUARDED)

    assert python("app", "one", "two", cwd=tmp_path)[-1] == SUCCESS


@pytest.mark.parametrize("way", ["-c", "-"])
def test_a_program_without_a_file_is_refused(tmp_path: Path, way: str) -> None:
    program = JOBS + (
        "\ntry:\n    main()\nexcept Exception as fault:\n    print(fault)\n"
    )
    words, stdin = (["-c", program], None) if way == "-c" else (["-"], program)

    assert python(*words, cwd=tmp_path, stdin=stdin)[-1] == (
        "job 'Mine' cannot be sent to a child: it is defined in __main__, and this "
        "program has no file a child could read it from. Move the class into a module "
        "that can be imported, or run the script from a file."
    )


def test_a_script_is_compiled_with_its_own_future_and_not_ours(tmp_path: Path) -> None:
    source = GUARDED.replace("from __future__ import annotations\n", "").replace(
        "def helper(): return",
        'def helper(x: int = 0): return "int" if '
        "helper.__annotations__['x'] is int else",
    )
    (tmp_path / "script.py").write_text(source)

    assert "'int'" in python("script.py", cwd=tmp_path)[-1]


def test_a_script_that_is_gone_fails_the_start_and_says_so(tmp_path: Path) -> None:
    source = GUARDED.replace(
        "    scheduler.start()", "    Path(__file__).unlink()\n    scheduler.start()"
    )
    (tmp_path / "script.py").write_text(source)

    said = python("script.py", cwd=tmp_path)[-1]

    assert said.startswith(
        "start_failed None the job could not be loaded: FileNotFound"
    )
