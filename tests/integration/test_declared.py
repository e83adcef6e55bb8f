# ruff: noqa: ISC004 - one message, on two lines
"""Jobs that a configuration declares: tried in a process, all faults at once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from watching import settings

from procsched import Limits, ScheduleConfig, Scheduler
from procsched.config.loader import ConfigLoader
from procsched.config.settings import JobDeclaration
from procsched.declared import payloads_of
from procsched.errors import ConfigError, SchedulerError

if TYPE_CHECKING:
    from pathlib import Path


def declared(number: int = 1, **said: Any) -> JobDeclaration:
    position = f"config.yaml:{number}:7"
    return JobDeclaration(name=said.pop("name", None), position=position, **said)


def faults_of(*jobs: JobDeclaration) -> list[str]:
    """Return the lines of the error that some declarations make."""
    with pytest.raises(ConfigError) as caught:
        payloads_of(settings(jobs=jobs))
    assert caught.value.remedy == "Correct these jobs"
    return caught.value.problem.splitlines()


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put modules on the path that do what no module should."""
    for name, text in {
        "raising": "raise LookupError('no such thing')",
        "killing": "import os; os._exit(9)",
        "segfaulting": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "chatty": (
            'import sys\nprint(\'{"name": "forged"}\')\nfrom facade_jobs import *'
        ),
        "leaving": "import sys; sys.exit(3)",
        "broken_syntax": "def f(:",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_declared_jobs_run(tmp_path: Path) -> None:
    """A class with an argument, and a command; from a file, as a user has them."""
    file = tmp_path / "config.yaml"
    file.write_text(
        "DEV:\n"
        "  time_unit: second\n"
        "  echo_output: false\n"
        "  audit: {console: false}\n"
        "  jobs:\n"
        "    - job: facade_jobs:Wanted\n"
        "      with: {greeting: hello}\n"
        "    - name: listing\n"
        "      command: [sh, -c, 'echo $WORD']\n"
        "      env: {WORD: out}\n"
    )
    sc = Scheduler(settings=ConfigLoader.reload_config("DEV", path=file))
    ConfigLoader.reset()

    assert sc.schedule_declared() == ["wanted-hello", "listing"]
    sc.start()

    found = {run.job: (run.outcome, run.result, run.output_tail) for run in sc.runs()}
    assert found == {
        "wanted-hello": ("succeeded", "hello", ""),
        "listing": ("succeeded", None, "out\n"),
    }


def test_a_job_without_a_declared_name_names_itself() -> None:
    said = declared(target="facade_jobs:Wanted", arguments={"greeting": "x"})
    renamed = declared(target="facade_jobs:Named", name="other")

    found = payloads_of(settings(jobs=(said, renamed)))

    assert [each.name for each in found] == ["wanted-x", "other"]
    assert found[0].payload.target == "facade_jobs:Wanted"
    assert found[0].payload.arguments == {"greeting": "x"}


def test_the_limits_of_a_declared_class_count() -> None:
    (found,) = payloads_of(
        settings(jobs=(declared(target="facade_jobs:Limited", name="a"),))
    )

    assert found.limits == Limits(wall=17, memory="512MiB")


def test_a_class_whose_own_limit_exceeds_the_budget_is_a_fault() -> None:
    """A schedule that says less is obeyed, and the class is not asked."""
    limited = declared(target="facade_jobs:Limited")
    less = ScheduleConfig(time_unit="hour", limits=Limits(memory="100MiB"))
    small = declared(2, name="small", target="facade_jobs:Limited", schedule=less)

    with pytest.raises(ConfigError) as caught:
        payloads_of(settings(jobs=(limited, small), memory_budget="256MiB"))

    assert caught.value.problem == (
        "config.yaml:1:7: job: 'facade_jobs:Limited': the memory limit of its class, "
        "512 MiB, is more than the memory_budget of 256 MiB, so no run could ever start"
    )


def test_a_declaration_is_not_imported_here(broken: Path) -> None:
    del broken
    payloads_of(settings(jobs=(declared(target="chatty:Named", name="a"),)))

    assert "chatty" not in sys.modules


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            {"target": "no_such_module:Job"},
            "job: 'no_such_module:Job': cannot be made: ModuleNotFoundError: No module "
            "named 'no_such_module'",
        ),
        (
            {"target": "facade_jobs:Missing"},
            "job: 'facade_jobs:Missing': cannot be made: AttributeError: module "
            "'facade_jobs' has no attribute 'Missing'",
        ),
        (
            {"target": "raising:Job"},
            "job: 'raising:Job': cannot be made: LookupError: no such thing",
        ),
        (
            {"target": "broken_syntax:Job"},
            "job: 'broken_syntax:Job': cannot be made: SyntaxError:",
        ),
        (
            {"target": "killing:Job"},
            "job: 'killing:Job': cannot be made: importing it ended the interpreter "
            "with code 9",
        ),
        (
            {"target": "segfaulting:Job"},
            "job: 'segfaulting:Job': cannot be made: importing it ended the "
            "interpreter",
        ),
        (
            {"target": "leaving:Job"},
            "job: 'leaving:Job': cannot be made: SystemExit: 3",
        ),
        (
            {"target": "facade_jobs:no_job"},
            "job: 'facade_jobs:no_job': cannot be made: TypeError: 'str' object is not",
        ),
        (
            {"target": "collections:OrderedDict"},
            "job: 'collections:OrderedDict': cannot be made: JobError: OrderedDict() "
            "is no procsched.Job. Derive its class from procsched.Job",
        ),
        (
            {"target": "facade_jobs:Nameless"},
            "job: 'facade_jobs:Nameless': cannot be made: JobError: Nameless.name() "
            "returned '', which is no name",
        ),
        (
            {"target": "facade_jobs:Picky"},
            "job: 'facade_jobs:Picky': cannot be made: TypeError: Picky.__init__() "
            "missing 1 required keyword-only argument: 'colour'",
        ),
        (
            {"target": "facade_jobs:Picky", "arguments": {"color": "red"}},
            "job: 'facade_jobs:Picky': cannot be made: TypeError: Picky.__init__() got "
            "an unexpected keyword argument 'color'",
        ),
        (
            {"target": "facade_jobs:Unlimited"},
            "job: 'facade_jobs:Unlimited': cannot be made: JobError: Unlimited.limits "
            "is {'wall': 3}, which is no Limits",
        ),
        (
            {"target": "facade_jobs:Named", "name": "two\nlines"},
            "name: 'two\\nlines': Return one line of 1 to 200 visible characters",
        ),
        (
            {"command": ("ls",)},
            "name: None: Return one line of 1 to 200 visible characters",
        ),
        (
            {"command": ("",), "name": "a"},
            "command: ['']: 'a' has the command ('',), which is no list of words",
        ),
    ],
    ids=lambda value: value.get("target") if isinstance(value, dict) else "",
)
def test_what_cannot_be_made_is_told_with_its_place(
    broken: Path, said: dict[str, Any], says: str
) -> None:
    del broken

    (fault,) = faults_of(declared(3, **said))

    assert fault.startswith(f"config.yaml:3:7: {says}")


def test_all_faults_are_told_at_once_and_nothing_is_scheduled(broken: Path) -> None:
    """A module that kills the interpreter hides none of those behind it."""
    del broken
    sc = Scheduler(
        True,
        settings=settings(
            jobs=(
                declared(1, target="facade_jobs:Named", name="good"),
                declared(2, target="killing:Job"),
                declared(3, target="raising:Job"),
                declared(4, command=("true",), name="good"),
                declared(5, target="killing:Other"),
                declared(6, target="facade_jobs:Picky"),
            )
        ),
    )

    with pytest.raises(ConfigError) as caught:
        sc.schedule_declared()

    places = [line.split(" ")[0] for line in caught.value.problem.splitlines()]
    assert places == [f"config.yaml:{number}:7:" for number in (2, 3, 4, 5, 6)]
    assert "name: 'good': is taken by another job" in caught.value.problem
    assert sc.jobs() == []
    sc.shutdown()


def test_a_name_that_is_scheduled_already_is_a_fault_before_any_is_scheduled() -> None:
    from facade_jobs import Named

    jobs = tuple(declared(2, command=("true",), name=name) for name in ("new", "old"))
    sc = Scheduler(True, settings=settings(jobs=jobs))
    sc.schedule_job(Named("old"))

    with pytest.raises(ConfigError, match=r"2:7: name: 'old': is taken by another job"):
        sc.schedule_declared()

    assert [each.job for each in sc.jobs()] == ["old"]
    sc.shutdown()


def test_what_a_module_prints_is_no_answer(broken: Path) -> None:
    del broken

    (found,) = payloads_of(settings(jobs=(declared(target="chatty:Named"),)))

    assert found.name == "job"


def test_declared_jobs_are_not_scheduled_after_the_end() -> None:
    jobs = (declared(1, command=("true",), name="a"),)
    sc = Scheduler(True, settings=settings(jobs=jobs))
    sc.shutdown()

    with pytest.raises(SchedulerError, match="this Scheduler has ended"):
        sc.schedule_declared()
