"""The command line as a person meets it: what it prints, and how it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONFIG = """\
DEV:
  every: 1
  time_unit: seconds
  echo_output: true
  jobs:
    words: {command: [echo, hello]}
    seven: {command: [sh, -c, "exit 7"]}
ONCE:
  time_unit: second
  run_continuous: false
  audit: {console: false}
  jobs:
    words: {command: [echo, hello]}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def procsched(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if "PROCSCHED" not in k}
    return subprocess.run(
        [sys.executable, "-m", "procsched", *words],
        cwd=place,
        env={**environment, "TZ": "UTC", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_begins_with_what_it_is_and_shows_examples(place: Path) -> None:
    done = procsched(place, "--help")

    assert done.returncode == 0
    assert "Schedule jobs that crash, leak, hang or burn the CPU" in done.stdout
    assert 'procsched next "*/15 9-17 * * mon-fri"' in done.stdout


@pytest.mark.parametrize("verb", ["run", "validate", "next", "explain", "simulate"])
def test_each_verb_has_help_with_examples(place: Path, verb: str) -> None:
    done = procsched(place, verb, "--help")

    assert done.returncode == 0
    assert f"procsched {verb}" in done.stdout.partition("Examples:")[2]


def test_an_unknown_verb_is_told_the_nearest(place: Path) -> None:
    done = procsched(place, "valdate")

    assert done.returncode == 2
    assert "There is no command 'valdate'. Did you mean 'validate'?" in done.stderr


def test_run_once_ends_by_itself_and_sums_up(place: Path) -> None:
    done = procsched(place, "run", "--env", "once")

    assert done.returncode == 0, done.stderr
    assert "section ONCE, 1 job." in done.stderr
    assert "procsched: ended; 1 succeeded" in done.stderr
    assert "words | hello" in done.stdout


def test_run_goes_on_until_the_signal_and_then_ends_safely(place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "procsched", "run"],
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        seen = ""
        while seen.count("words | hello") < 2 or "exited" not in seen:
            seen += running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=30)

    assert running.returncode == 0
    assert "procsched: ended; " in said
    assert " exited" in said


def test_a_section_without_jobs_is_told_what_to_write(place: Path) -> None:
    (place / "config.yaml").write_text("DEV: {time_unit: second}\n")

    done = procsched(place, "run")

    assert done.returncode == 5
    assert "config.yaml, section DEV declares no jobs" in done.stderr
    assert "as `job: module:Class` or `command: [...]`" in done.stderr


def test_an_unknown_section_is_told_the_nearest(place: Path) -> None:
    done = procsched(place, "run", "--env", "onse")

    assert done.returncode == 5
    assert "has no section 'onse'. Did you mean 'ONCE'?" in done.stderr


def test_no_configuration_says_where_it_looked(tmp_path: Path) -> None:
    done = procsched(tmp_path, "run")

    assert done.returncode == 5
    assert "neither configs/config.yaml nor config.yaml is in" in done.stderr


def test_validate_says_every_fault_at_once(place: Path) -> None:
    bad = CONFIG.replace("every: 1", "every: 0").replace("echo_output", "echo_outptu")
    (place / "config.yaml").write_text(bad)

    done = procsched(place, "validate")

    assert done.returncode == 5
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "config.yaml:2:10",
        "config.yaml:4:3",
    ]
    assert lines[1].endswith("is no key that is known here. Write `echo_output`.")


def test_validate_tries_the_classes_in_a_process_of_their_own(place: Path) -> None:
    (place / "deadly.py").write_text("import os\nos._exit(3)\n")
    (place / "config.yaml").write_text(
        "DEV:\n  time_unit: second\n  jobs:\n"
        "    one: {job: 'deadly:Job'}\n    two: {job: 'nowhere:Job'}\n"
    )

    done = procsched(place, "validate")

    assert done.returncode == 5
    assert "config.yaml:4:" in done.stdout
    assert "ended the interpreter with code 3" in done.stdout
    assert "No module named 'nowhere'" in done.stdout


def test_validate_says_what_it_found_good(place: Path) -> None:
    done = procsched(place, "validate")

    assert (done.returncode, done.stdout) == (
        0,
        "config.yaml: DEV, ONCE: no faults, 3 jobs\n",
    )


def test_next_lists_the_times_of_each_job(place: Path) -> None:
    done = procsched(place, "next", "-n", "2", "--after", "2027-01-31T14:00:00+00:00")

    assert done.stdout.splitlines() == [
        "words  every second",
        "       Sun 2027-01-31 14:00:01 +0000",
        "       Sun 2027-01-31 14:00:02 +0000",
        "seven  every second",
        "       Sun 2027-01-31 14:00:01 +0000",
        "       Sun 2027-01-31 14:00:02 +0000",
    ]


def test_next_of_an_expression_needs_no_configuration(tmp_path: Path) -> None:
    done = procsched(
        tmp_path, "next", "30 2 * * *", "--tz", "Europe/Berlin", "-n", "2", "--json",
        "--after", "2027-03-27T12:00:00",
    )  # fmt: skip

    assert json.loads(done.stdout)["times"] == [
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]


def test_next_of_an_unknown_job_is_told_the_nearest(place: Path) -> None:
    done = procsched(place, "next", "wrods")

    assert done.returncode == 3
    assert "Did you mean 'words'?" in done.stderr


def test_a_bad_expression_is_shown_with_the_place_of_its_fault(place: Path) -> None:
    done = procsched(place, "next", "0 25 * * *")

    assert done.returncode == 5
    assert "^" in done.stderr
    assert "25" in done.stderr


def test_a_bad_moment_is_told_how_to_write_it(place: Path) -> None:
    done = procsched(place, "next", "--after", "tomorrow")

    assert done.returncode == 2
    assert "Write it as 2027-01-31T14:00:00+01:00" in done.stderr


def test_explain_says_what_the_next_two_clock_changes_do(place: Path) -> None:
    done = procsched(
        place, "explain", "30 2 * * *", "--tz", "Europe/Berlin", "--after", "2027-01-01"
    )

    assert "at 02:30 every day" in done.stdout
    assert "02:30 does not exist and fires at 03:00" in done.stdout
    assert "02:30 comes twice and fires the first time only" in done.stdout


def test_explain_says_so_where_the_clock_never_changes(place: Path) -> None:
    done = procsched(place, "explain", "0 0 L * *", "--json")

    assert json.loads(done.stdout)["clock_changes"] == []


def test_simulate_counts_runs_and_skips_over_a_period(place: Path) -> None:
    done = procsched(
        place, "simulate", "--from", "2027-01-31T00:00:00", "--to",
        "2027-01-31T00:00:10", "--duration", "words=3s", "--json",
    )  # fmt: skip

    *runs, summary = map(json.loads, done.stdout.splitlines())
    assert summary["jobs"]["words"] == {"ran": 3, "skipped": 6}
    assert summary["peak"]["runs"] == 2
    assert {run["outcome"] for run in runs} == {"succeeded", "skipped"}


def test_simulate_keeps_to_the_memory_budget(tmp_path: Path) -> None:
    """Two of 3 GiB each, at the same second, and 4 GiB: one after the other."""
    (tmp_path / "config.yaml").write_text(
        "DEV:\n  cron: '0 * * * *'\n  limits: {memory: 3GiB}\n"
        "  memory_budget: 4GiB\n  max_parallel: 8\n"
        "  jobs: {a: {command: [a]}, b: {command: [b]}}\n"
    )
    done = procsched(
        tmp_path, "simulate", "--from", "2027-01-31T00:30:00", "--to",
        "2027-01-31T01:30:00", "--duration", "a=3s", "--json",
    )  # fmt: skip

    *runs, summary = map(json.loads, done.stdout.splitlines())
    assert summary["peak"]["runs"] == 1
    assert [run["job"] for run in runs] == ["a", "b"]
    assert runs[1]["flags"] == ["waited 3 s for memory"]


def test_simulate_of_an_unknown_job_is_told_the_nearest(place: Path) -> None:
    done = procsched(place, "simulate", "--duration", "wrods=3s")

    assert done.returncode == 3
    assert "Did you mean 'words'?" in done.stderr


def test_a_duration_without_a_job_is_told_how_to_write_it(place: Path) -> None:
    done = procsched(place, "simulate", "--duration", "3s")

    assert done.returncode == 5
    assert "Write --duration JOB=30s" in done.stderr
