"""What the documents say is what the program does: each example is run."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from procsched.config.loader import ConfigLoader
from procsched.core.outcome import Outcome

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_each_example_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    """As typed, without a guard: the script is executed again for its runs."""
    script = tmp_path / "example.py"
    script.write_text(code, "utf-8")
    environment = {k: v for k, v in os.environ.items() if "PROCSCHED" not in k}

    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    if "outcome" in code:
        assert done.stdout.splitlines()[-1] == "succeeded"


def test_the_configuration_of_the_readme_has_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(blocks("yaml")[0], "utf-8")

    assert ConfigLoader.check(file) == []


def test_the_readme_names_every_outcome() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| **Outcome**"))

    assert re.findall(r"`(\w+)`", row) == [outcome.value for outcome in Outcome]


def test_every_verb_of_the_readme_is_there() -> None:
    from procsched.cli.main import VERBS

    shells = "\n".join(blocks("sh"))
    named = set(re.findall(r"^procsched (\w+)", shells, re.MULTILINE))

    assert named
    assert named <= set(VERBS)


def test_every_link_leads_somewhere() -> None:
    for document in ROOT.glob("*.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text("utf-8")):
            assert (ROOT / target).exists(), f"{document.name} links to {target}"


def test_the_diagram_of_a_run_is_the_table_of_the_code() -> None:
    path = str(ROOT / "scripts" / "draw_states")
    loader = importlib.machinery.SourceFileLoader("draw_states", path)
    spec = importlib.util.spec_from_loader("draw_states", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    architecture = (ROOT / "ARCHITECTURE.md").read_text("utf-8")

    drawn = re.search(r"```mermaid\n(.*?)\n```", architecture, re.DOTALL)

    assert drawn is not None
    assert drawn[1] == module.diagram()


@pytest.mark.parametrize("script", ["bootstrap", "run", "test", "check"])
def test_each_script_that_the_documents_name_can_be_run(script: str) -> None:
    assert os.access(ROOT / "scripts" / script, os.X_OK)
