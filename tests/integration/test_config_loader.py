"""From files on disk to Settings, or to faults with their places."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from procsched.config.fault import FaultyFileError
from procsched.config.loader import ConfigLoader
from procsched.config.schedule import ScheduleConfig
from procsched.config.schema import json_schema
from procsched.config.settings import FileAudit, HttpAudit, Pressure
from procsched.constants import Sc
from procsched.core.policy import LIMIT_NAMES, Limits, Overlap, Retry
from procsched.core.recycle import Recycle
from procsched.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

Write = Callable[[str], Path] if TYPE_CHECKING else object


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, and a process that has loaded nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("PROCSCHED_CONFIG", "PROCSCHED_ENV"):
        monkeypatch.delenv(name, raising=False)
    ConfigLoader.reset()
    yield tmp_path
    ConfigLoader.reset()


@pytest.fixture
def write(workplace: Path) -> Write:
    def write_it(text: str) -> Path:
        (workplace / "config.yaml").write_text(text)
        return Path("config.yaml")

    return write_it


def faults(text: str, write: Write) -> list[str]:
    return [str(fault) for fault in ConfigLoader.check(write(text))]


MANY_FAULTS = """\
DEV:
  EVERY: 5
  TIME_UNIT: second
  AT:
  every: 6
  run_continuous: 'yes'
  limits: {wall: -1, wal: 3}
  retry: many
  timezone: Europe/Berln
  audit: {console: 5, file: {}}
  max_paralel: 3
  jobs:
    backup:
      job: jobs:Backup
      every: 5.5
      time_unit: minutes
    other:
      command: [sleep, 5]
      with: {a: 1}
      cron: 99 * * * *
    empty:
    late:
      job: a:B
      time_unit: day
      at: 9:00
      exclude:
        - {from: 2020-01-01, to: 2020-01-02T00:00:00Z}
    ors: {job: a:B, either: [{every: 5}, {time_unit: day, evry: 1}]}
PROD:
  - 3
TEST:
  jobs:
    - command: [x]
    - {job: a:B, name: x}
    - {job: a:B, name: X, jitter: 100}
    - {job: "a:B", env: {A: 1}, parallel: 3}
"""

ALL_OF_THEM = """\
config.yaml:2:10: DEV.every: 5: every: 5 with time_unit: 'second', which takes no \
number. Write time_unit: seconds for every 5 seconds, or leave `every` out for every \
second.
config.yaml:5:3: DEV.every: 'every': is written twice, first in line 2. Keep one of \
the two.
config.yaml:6:19: DEV.run_continuous: 'yes': is neither true nor false. Write it as in \
`run_continuous: true`.
config.yaml:7:18: DEV.limits.wall: -1: wall: -1 is not a positive duration. Write \
wall: null for no limit, or a number of seconds above 0.
config.yaml:7:22: DEV.limits.wal: 3: is no key that is known here. Write `wall`.
config.yaml:8:10: DEV.retry.count: 'many': count: 'many' is not a whole number of at \
least 0. Write count: 0 or more.
config.yaml:9:13: DEV.timezone: 'Europe/Berln': timezone: 'Europe/Berln' is no zone. \
Write 'Europe/Berlin', if that is the one you mean.
config.yaml:10:20: DEV.audit.console: 5: is none of its choices. Write it as in \
`console: true`.
config.yaml:10:23: DEV.audit.file.path: None: is missing. Write it as in `path: \
audit.jsonl`.
config.yaml:11:3: DEV.max_paralel: 3: is no key that is known here. Write \
`max_parallel`.
config.yaml:15:14: DEV.jobs.backup.every: 5.5: every: 5.5 with time_unit: 'minutes' is \
no whole number. Write every: 330, time_unit: seconds.
config.yaml:18:24: DEV.jobs.other.command[1]: 5: is not a text. Write it as in \
`command: [df, -h]`.
config.yaml:19:13: DEV.jobs.other.with: {'a': 1}: belongs to `job`, which this job has \
not. Leave `with` out, or write `job` for this job.
config.yaml:20:13: DEV.jobs.other.cron: '99 * * * *': minute 99 is not between 0 and \
59 (at '99'). Write 0 to 59.
config.yaml:21:5: DEV.jobs.empty: None: is no job. Write `job: package.module:Class` \
or `command: [...]` below.
config.yaml:25:11: DEV.jobs.late.at: '9:00': at: '9:00' with time_unit: 'day' is no \
clock time. Write at: '09:00'.
config.yaml:27:18: DEV.jobs.late.exclude[0].from: 2020-01-01: from: 2020-01-01 is no \
moment. Write date, time and offset, such as '2027-01-31T14:00:00+01:00'.
config.yaml:28:38: DEV.jobs.ors.either[0].every: 5: every: 5 stands without time_unit. \
Write time_unit: seconds, minutes or hours with it.
config.yaml:28:59: DEV.jobs.ors.either[1].evry: 1: is no key that is known here. Write \
`every`.
config.yaml:30:3: PROD: [3]: is not a mapping. Write `key: value` lines below.
config.yaml:33:7: TEST.jobs[0].name: None: is missing. Write `name: disk-usage`, say: \
a program does not know its job.
config.yaml:35:24: TEST.jobs[2].name: 'X': is the name of another job already, in line \
34. Give each job a name of its own.
config.yaml:35:35: TEST.jobs[2].jitter: 100: jitter: 100 s is not less than the \
interval of 60 s. Write a shorter jitter, or a longer interval.
config.yaml:36:25: TEST.jobs[3].env: {'A': 1}: belongs to `command`, which this job \
has not. Leave `env` out, or write `command` for this job.
config.yaml:36:29: TEST.jobs[3].env.A: 1: is not a text. Write it as in `env: {LANG: \
C}`.
config.yaml:36:43: TEST.jobs[3].parallel: 3: parallel: 3 with overlap: 'skip', which \
never has two runs at once. Write overlap: 'parallel' with it, or leave `parallel` out.
"""


def test_all_faults_of_a_file_are_told_at_once_with_their_places(write: Write) -> None:
    write(MANY_FAULTS)

    with pytest.raises(ConfigError) as caught:
        ConfigLoader.reload_config()

    assert str(caught.value).splitlines() == ALL_OF_THEM.splitlines()


def test_the_faults_of_one_section_can_be_asked_for(write: Write) -> None:
    path = write(MANY_FAULTS)

    found = {fault.key.split(".")[0] for fault in ConfigLoader.check(path, "test")}

    # The key that is written twice is a fault of the text, whichever section.
    assert found == {"TEST", "DEV"}
    assert len(ConfigLoader.check(path, "test")) == 7


def test_the_error_of_a_file_can_be_sent(write: Write) -> None:
    write(MANY_FAULTS)
    with pytest.raises(FaultyFileError) as caught:
        ConfigLoader.reload_config()

    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own

    assert str(again) == str(caught.value)
    assert again.faults == caught.value.faults


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "every: 5",
            ("DEV.every: 5: every: 5 stands without time_unit. Write time_unit: "
            "seconds, minutes or hours with it."),
        ),
        ("jobs: 5", ("DEV.jobs: 5: is neither a mapping nor a list. Write a name for "
         "each job, and its keys below it.")),
        ("jobs: {a: {job: nonsense}}", ("DEV.jobs.a.job: 'nonsense': does not look as "
         "it should. Write it as in `job: jobs.host_report:HostReport`.")),
        ("jobs: {a: {job: 'b:C', command: [x]}}", ("DEV.jobs.a.job: 'b:C': is both a "
         "class and a program. Write one of `job: package.module:Class` and "
         "`command: [program, argument]`.")),
        ("jobs: {a: {every: 5, time_unit: seconds}}", ("DEV.jobs.a.job: None: says not "
         "what to run. Write one of `job: package.module:Class` and `command: "
         "[program, argument]`.")),
        ("jobs: {a: {command: []}}", ("DEV.jobs.a.command: []: is empty. Write it as "
         "in `command: [df, -h]`.")),
        ("jobs: {a: {command: df -h}}", ("DEV.jobs.a.command: 'df -h': is not a list. "
         "Write it as in `command: [df, -h]`.")),
        ("jobs: {a: {job: 'b:C', name: d}}", ("DEV.jobs.a.name: 'd': names the job "
         "twice. Leave `name` out: in a mapping of jobs the key is the name.")),
        ("jobs: {' a': {job: 'b:C'}}", ("DEV.jobs. a: ' a': is no name for a job. "
         "Write one line of text without spaces around it.")),
        ('jobs: {"a\\nb": {job: "b:C"}}', ("DEV.jobs.a\nb: 'a\\nb': is no name for a "
         "job. Write one line of text without spaces around it.")),
        ("jobs: [{job: 'b:C', name: ''}]", ("DEV.jobs[0].name: '': is empty. Write it "
         "as in `name: backup`.")),
        ("jobs: {a: {job: 'b:C'}, A: {job: 'b:C'}}", ("DEV.jobs.A: 'A': is written "
         "twice, first in line 2. Keep one of the two.")),
        ("jobs: {a: {job: 'b:C', with: [1]}}", ("DEV.jobs.a.with: [1]: is not a "
         "mapping. Write it as in `with: {path: report.csv}`.")),
        ("jobs: {a: {command: [b], cwd: 5}}", ("DEV.jobs.a.cwd: 5: is not a text. "
         "Write it as in `cwd: /srv`.")),
        ("max_parallel: 0", ("DEV.max_parallel: 0: is too small. Write it as in "
         "`max_parallel: 4`.")),
        ("max_parallel: 1.5", ("DEV.max_parallel: 1.5: is not a whole number. Write it "
         "as in `max_parallel: 4`.")),
        ("memory_budget: 0", ("DEV.memory_budget: 0: memory_budget: 0 is not a size. "
         "Write bytes as a whole number above 0, or a text such as '64KiB', '512MiB' "
         "or '2GB'.")),
        ("memory_budget: most", ("DEV.memory_budget: 'most': memory_budget: 'most' is "
         "not a size. Write bytes as a whole number above 0, or a text such as "
         "'64KiB', '512MiB' or '2GB'.")),
        ("pressure: 80", ("DEV.pressure: 80: is not a mapping. Write it as in "
         "`pressure: {cpu: 80}`.")),
        ("pressure: {}", ("DEV.pressure: {}: pressure names no threshold. Name one of "
         "cpu, memory and io, such as cpu: 80, or leave `pressure` out.")),
        ("pressure: {cpu: 100}", ("DEV.pressure.cpu: 100: cpu: 100 is no percentage "
         "from 0 to below 100. Write cpu: 50 for half of the time, or leave it out.")),
        ("pressure: {io: high}", ("DEV.pressure.io: 'high': io: 'high' is no "
         "percentage from 0 to below 100. Write io: 50 for half of the time, or leave "
         "it out.")),
        ("pressure: {disk: 5}", ("DEV.pressure.disk: 5: is no key that is known here. "
         "The keys here are cpu, memory, io.")),
        ("{memory_budget: 4GiB, limits: {memory: 6GiB}}", ("DEV.limits.memory: '6GiB': "
         "is more than the memory_budget of 4 GiB, so no run could ever start. Lower "
         "this limit, or raise `memory_budget`.")),
        ("state_dir: 5", ("DEV.state_dir: 5: is not a text. Write it as in `state_dir: "
         ".procsched`.")),
        ("audit: loud", ("DEV.audit: 'loud': is not a mapping. Write it as in `audit: "
         "{}`.")),
        ("audit: {http: {url: example.com}}", ("DEV.audit.http.url: 'example.com': "
         "does not look as it should. Write it as in `url: https://audit.example/trail`.")),
        ("audit: {http: {url: 'http://a', timeout: 0}}", ("DEV.audit.http.timeout: 0: "
         "timeout: 0 is not a positive duration. Write timeout: null for no limit, or "
         "a number of seconds above 0.")),
        ("audit: {file: {path: a, max_bytes: lots}}", ("DEV.audit.file.max_bytes: "
         "'lots': max_bytes: 'lots' is not a size. Write bytes as a whole number above "
         "0, or a text such as '64KiB', '512MiB' or '2GB'.")),
        ("limits: 5", ("DEV.limits: 5: is not a mapping. Write it as in `limits: "
         "{wall: 5m, memory: 512MiB}`.")),
        ("limits: {umask: 27}", ("DEV.limits.umask: 27: umask: 27 is 033 in octal, "
         "which nobody means. Write umask: '027', in quotes, or '033' if you do mean "
         "it.")),
        ("limits: {env: {A: 1}}", ("DEV.limits.env: {'A': 1}: env has 'A'=1, which is "
         "no variable. Write names and values as texts, as in env: {'LANG': 'C'}.")),
        ("limits: {private_tmp: true, cwd: /tmp/a}", ("DEV.limits: {'private_tmp': "
         "True, 'cwd': '/tmp/a'}: cwd: '/tmp/a' with private_tmp: true, which begins "
         "with an empty /tmp. Write a directory elsewhere, or private_tmp: false.")),
        ("{mode: sequential, recycle: {runs: 0}}", ("DEV.recycle.runs: 0: runs: 0 is "
         "not a whole number of at least 1. Write runs: 1 or more.")),
        ("{mode: sequential, recycle: {age: long}}", ("DEV.recycle.age: 'long': age: "
         "'long' is not a duration. Write seconds as a number, a timedelta, or a text "
         "such as '90s', '10m' or '1.5h'.")),
        ("{mode: sequential, recycle: {memory_growth: x}}",
         ("DEV.recycle.memory_growth: 'x': memory_growth: 'x' is not a size. Write "
          "bytes as a whole number above 0, or a text such as '64KiB', '512MiB' or "
          "'2GB'.")),
        ("{mode: sequential, recycle: {jitter: 5}}", ("DEV.recycle: {'jitter': 5}: "
         "jitter: 5 s without age, which is all that it is added to. Write age: '12h' "
         "with it, or leave `jitter` out.")),
        ("{mode: sequential, recycle: {}}", ("DEV.recycle: {}: recycle names nothing "
         "after which a worker is replaced. Write one or more of runs: 1000, "
         "memory_growth: '300MiB', age: '12h', or leave `recycle` out.")),
        ("recycle: {runs: 5}", ("DEV.recycle: {'runs': 5}: recycle with mode: "
         "'parallel', in which each run has a process of its own. Write mode: "
         "sequential with it, or leave `recycle` out.")),
        ("{mode: sequential, recycle: 5}", ("DEV.recycle: 5: is not a mapping. Write "
         "it as in `recycle: {runs: 1000, age: 12h}`.")),
        ("retry: {causes: [succeeded]}", ("DEV.retry.causes: ['succeeded']: causes "
         "names 'succeeded', which is no way for a run to fail. Choose among "
         "'cancelled', 'crashed', 'exited', 'failed', 'limit_exceeded', 'lost', "
         "'out_of_memory', 'start_failed', 'timed_out'.")),
        ("either: []", ("DEV.either: []: is no list of schedules. Begin each with `- "
         "`, one below other.")),
        ("zzz: 1", "DEV.zzz: 1: is no key that is known here. The keys here are "),
        ("{time_unit: day, at: 14:00, exclude: ['13:00-15:00']}", ("DEV.exclude: "
         "['13:00-15:00']: the schedule, every day at 14:00 UTC except 13:00-15:00, "
         "never fires. Give it a longer time between start and end, or exclude less.")),
        ("1: 2", "DEV: '1': has a key that is not a text. Put quotes around it."),
        ("once: 2027-13-45", ("DEV.once: '2027-13-45': reads like a timestamp and is "
         "none: month must be in 1..12. Correct it, or put it in quotes for a text.")),
        ("every: !number 5", ("DEV.every: '5': has the tag '!number'. Write it without "
         "a tag: lists, mappings, texts, numbers, dates, true, false.")),
    ],
)  # fmt: skip
def test_a_fault_names_key_value_rule_and_remedy(
    body: str, message: str, write: Write
) -> None:
    first = ConfigLoader.check(write(f"DEV:\n  {body}\n"))[0]

    text = str(first).removeprefix(f"config.yaml:{first.line}:{first.column}: ")
    assert text.startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ("config.yaml:1:1: document: None: the file is empty. Write a section for "
         "each environment, such as `DEV:`, and its keys below it.")),
        ("# nothing\n", "config.yaml:1:1: document: None: the file is empty. "),
        ("{}", "config.yaml:1:1: document: {}: the file is empty. "),
        ("- DEV", "config.yaml:1:1: document: ['DEV']: the file is not a mapping. "),
        ("every day", "config.yaml:1:1: document: 'every day': the file is not a "),
        ("DEV:\n\tevery: 5", ("config.yaml:2:1: document: 'every: 5': found character "
         "that cannot start any token. Indent with spaces, write `key: value`, and put "
         "quotes around a text that begins with a sign or has `: ` inside.")),
        ("DEV: [1, 2", "config.yaml:1:6: document: 'DEV: [1, 2': "),
        ("DEV: {}\n---\nTEST: {}", "config.yaml:2:1: document: '---': "),
        ("DEV: *other", "config.yaml:1:6: document: 'DEV: *other': found undefined "),
        ("a: " + "[" * 100_000, "config.yaml:1:53: document: "),
        ("&a [*a]", "config.yaml:1:1: document: "),
    ],
)  # fmt: skip
def test_a_text_that_is_no_configuration_is_a_fault_with_its_place(
    text: str, message: str, write: Write
) -> None:
    (fault,) = faults(text, write)

    if "[1, 2" in text or "*a" in text:  # libyaml and PyYAML place it differently
        message = "config.yaml:"
    assert fault.startswith(message)


def test_aliases_cannot_unfold_without_bounds(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        again = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{again}]")

    (fault,) = faults("\n".join(lines), write)

    assert "aliases repeat more than 100,000 values" in fault


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"DEV:\n  caf\xe9: 1", ("config.yaml:2:6: document: b'\\xe9': is not UTF-8. "
         "Save the file as UTF-8 text.")),
        (b"DEV:\x00", ("config.yaml:1:5: document: b'\\x00': is a control character, "
         "which is no text. Save the file as UTF-8 text.")),
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_a_fault_with_their_place(
    data: bytes, message: str, workplace: Path
) -> None:
    (workplace / "config.yaml").write_bytes(data)

    assert [str(each) for each in ConfigLoader.check("config.yaml")] == [message]


def test_a_list_with_a_fault_in_its_text_tells_that_one(write: Write) -> None:
    assert faults("- !x 1", write) == [
        (
            "config.yaml:1:3: [0]: '1': has the tag '!x'. Write it without a tag: "
            "lists, mappings, texts, numbers, dates, true, false."
        )
    ]


def test_a_byte_order_mark_is_no_fault(workplace: Path) -> None:
    (workplace / "config.yaml").write_bytes(b"\xef\xbb\xbfDEV: {time_unit: day}")

    assert ConfigLoader.settings().schedule == ScheduleConfig(time_unit="day")


def test_what_cannot_be_read_is_refused_with_the_reason(workplace: Path) -> None:
    (workplace / "folder").mkdir()
    (workplace / "loop").symlink_to("loop")
    os.mkfifo(workplace / "pipe")
    with (workplace / "huge").open("wb") as file:
        file.truncate(10_000_001)

    def refusal(path: str) -> str:
        with pytest.raises(ConfigError) as caught:
            ConfigLoader.reload_config(path=path)
        return str(caught.value)

    assert refusal("gone") == (
        "there is no configuration file 'gone'. Write one (configs/config.yaml of the "
        "project is a model), or give the path of yours."
    )
    assert refusal("folder") == (
        "the configuration file 'folder' is a directory. Give the path of a YAML file."
    )
    assert refusal("pipe") == (
        "the configuration file 'pipe' is not a plain file. Give the path of a YAML "
        "file."
    )
    assert refusal("loop") == (
        "the configuration file 'loop' cannot be read: Too many levels of symbolic "
        "links. Make it a file that this user may read."
    )
    assert refusal("huge") == (
        "the configuration file 'huge' is larger than 10 MB. Check that it is the file "
        "you mean, or schedule so many jobs from Python."
    )


def test_without_a_file_the_error_says_where_it_looked(workplace: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        ConfigLoader.reload_config()

    assert str(caught.value) == (
        "there is no configuration file: $PROCSCHED_CONFIG is not set, and neither "
        f"configs/config.yaml nor config.yaml is in {workplace}. Write one, or set "
        "$PROCSCHED_CONFIG to the path of yours."
    )


def test_an_unknown_environment_is_told_those_that_exist(write: Write) -> None:
    write("DEV: {time_unit: day}\nPROD: {time_unit: day}\n")

    with pytest.raises(ConfigError) as caught:
        ConfigLoader.reload_config("PRD")
    assert str(caught.value) == (
        "config.yaml has no section 'PRD'. Did you mean 'PROD'? The sections are "
        "'DEV', 'PROD'."
    )
    with pytest.raises(ConfigError, match=r"'x'\. The sections are 'DEV', 'PROD'\.$"):
        ConfigLoader.reload_config("x")


def test_a_file_with_faults_changes_nothing(write: Write) -> None:
    write("DEV: {time_unit: day}")
    before = ConfigLoader.reload_config()

    write("DEV: {time_unit: days}")
    with pytest.raises(ConfigError):
        ConfigLoader.reload_config()

    assert ConfigLoader.settings() is before


def test_a_fault_in_another_section_is_a_fault_of_the_file(write: Write) -> None:
    path = write("DEV: {time_unit: day}\nPROD: {time_unit: days}")

    with pytest.raises(ConfigError, match=r"^config.yaml:2:19: PROD\.time_unit"):
        ConfigLoader.reload_config("DEV")
    assert ConfigLoader.check(path, "dev") == []


def test_without_any_file_the_built_in_default_holds() -> None:
    assert ConfigLoader.settings().source == "the built-in default"


def test_the_usual_places_are_tried_in_order(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unit_in_use() -> str | None:
        ConfigLoader.reset()
        return ConfigLoader.settings().schedule.time_unit

    (workplace / "config.yaml").write_text("DEV: {time_unit: hour}")
    assert unit_in_use() == "hour"
    (workplace / "configs").mkdir()
    (workplace / "configs/config.yaml").write_text(
        "DEV: {time_unit: minute}\nPROD: {time_unit: monday}"
    )
    assert unit_in_use() == "minute"
    monkeypatch.setenv("PROCSCHED_ENV", "prod")
    assert unit_in_use() == "monday"
    (workplace / "mine.yaml").write_text("PROD: {time_unit: day}")
    monkeypatch.setenv("PROCSCHED_CONFIG", "mine.yaml")
    assert unit_in_use() == "day"
    monkeypatch.setenv("PROCSCHED_CONFIG", "gone.yaml")
    with pytest.raises(ConfigError, match=r"^there is no configuration file 'gone"):
        unit_in_use()


def test_keys_and_sections_may_be_in_any_case(write: Write) -> None:
    write("Dev:\n  EVERY: 10\n  TIME_UNIT: MINUTES\n  AT:\n  Limits: {WALL: 3}\n")

    settings = ConfigLoader.reload_config(Sc.ENV_DEV)

    assert settings.schedule == ScheduleConfig(10, Sc.MINUTES, limits=Limits(wall=3))
    assert settings.environment == "Dev"
    assert settings.source == "config.yaml, section Dev"


def test_names_arguments_and_variables_keep_their_case(write: Write) -> None:
    write(
        "DEV:\n  jobs:\n"
        "    Nightly: {job: 'a.b:C', with: {Path: x, path: y}}\n"
        "    Shell: {command: [sh], env: {PATH: a, Path: b}, cwd: /}\n"
    )

    nightly, shell = ConfigLoader.settings().jobs

    assert (nightly.name, nightly.target) == ("Nightly", "a.b:C")
    assert nightly.arguments == {"Path": "x", "path": "y"}
    assert nightly.position == "config.yaml:3:5"
    assert (shell.name, shell.command, shell.cwd) == ("Shell", ("sh",), "/")
    assert shell.env == {"PATH": "a", "Path": "b"}
    assert shell.schedule is None


@pytest.mark.parametrize("clock", ["14:00", "14:00:00", "'14:00'", '"14:00"'])
def test_a_clock_time_needs_no_quotes(clock: str, write: Write) -> None:
    """YAML 1.1 would read 14:00 as 840, to base 60."""
    write(f"DEV:\n  at: {clock}\n  time_unit: day\n")

    assert ConfigLoader.settings().schedule == ScheduleConfig("14:00", "day")


def test_jobs_may_be_a_list_and_a_class_brings_its_own_name(write: Write) -> None:
    write(
        "DEV:\n  jobs:\n    - job: a:B\n    - {job: 'a:B', name: other}\n"
        "    - {command: [df, -h], name: disk}\n"
    )

    jobs = ConfigLoader.settings().jobs

    assert [job.name for job in jobs] == [None, "other", "disk"]
    assert [job.position for job in jobs] == [
        "config.yaml:3:7",
        "config.yaml:4:7",
        "config.yaml:5:7",
    ]


def test_a_job_says_a_part_of_recycle_or_leaves_the_sequence(write: Write) -> None:
    """With a mode of its own it inherits none, which would contradict it."""
    write(
        "DEV:\n  mode: sequential\n  recycle: {runs: 1000, age: 12h}\n  jobs:\n"
        "    part: {job: 'a:B', recycle: {runs: 5}}\n"
        "    apart: {job: 'a:B', mode: parallel}\n"
        "    never: {job: 'a:B', recycle: }\n"
    )

    jobs = {job.name: job.schedule for job in ConfigLoader.settings().jobs}

    assert {name: each and each.recycle for name, each in jobs.items()} == {
        "part": Recycle(runs=5, age="12h"),
        "apart": None,
        "never": None,
    }


INHERITANCE = """\
DEV:
  every: 10
  time_unit: minutes
  timezone: Europe/Berlin
  overlap: parallel(3)
  retry: {count: 5, backoff: 2}
  limits: {wall: 30, memory: 1GiB}
  jobs:
    same: {job: 'a:B'}
    blank: {job: 'a:B', every: , at: }
    timed: {job: 'a:B', time_unit: day}
    queued: {job: 'a:B', overlap: queue}
    limited: {job: 'a:B', limits: {wall: 5}, retry: {count: 1}}
    free: {job: 'a:B', limits: , retry: , timezone: }
"""


def test_a_job_inherits_what_it_does_not_say(write: Write) -> None:
    write(INHERITANCE)

    settings = ConfigLoader.reload_config()

    base = settings.schedule
    jobs = {job.name: job.schedule for job in settings.jobs}
    assert base == ScheduleConfig(
        10, "minutes", timezone="Europe/Berlin", overlap="parallel", parallel=3,
        retry=Retry(count=5, backoff=2), limits=Limits(wall=30, memory="1GiB"),
    )  # fmt: skip
    assert jobs["same"] is None
    assert jobs["blank"] is None
    timed, queued, limited, free = (
        jobs[name] or base for name in ("timed", "queued", "limited", "free")
    )
    assert (timed.every, timed.time_unit, timed.limits) == (None, "day", base.limits)
    assert timed.timezone == "Europe/Berlin"
    assert (queued.every, queued.overlap, queued.parallel) == (10, Overlap.QUEUE, None)
    assert limited.limits == Limits(wall=5, memory="1GiB")
    assert limited.retry == Retry(count=1, backoff=2)
    assert (free.limits, free.retry, free.timezone) == (None, None, None)
    assert free.every == 10


def test_what_is_wrong_in_the_section_is_told_once(write: Write) -> None:
    text = "DEV:\n  timezone: Marz\n  jobs:\n" + "".join(
        f"    job{number}: {{job: 'a:B', time_unit: day}}\n" for number in range(9)
    )

    assert len(faults(text, write)) == 1


def test_schedules_that_say_the_same_are_one(write: Write) -> None:
    write(
        "DEV:\n  jobs:\n    a: {job: 'a:B', time_unit: day}\n"
        "    b: {job: 'a:B', time_unit: DAY, at: '00:00'}\n"
    )

    one, other = ConfigLoader.settings().jobs

    assert one.schedule is other.schedule


def test_anchors_and_merges_share_what_is_alike(write: Write) -> None:
    write(
        "DEV:\n  jobs:\n    a: &a {job: 'a:B', time_unit: day, priority: 1}\n"
        "    b: {<<: *a, priority: 2}\n"
    )

    jobs = ConfigLoader.settings().jobs

    assert [job.schedule and job.schedule.priority for job in jobs] == [1, 2]
    assert [job.schedule and job.schedule.time_unit for job in jobs] == ["day", "day"]


def test_a_section_without_a_time_says_so(write: Write) -> None:
    write("DEV: {jobs: {a: {job: 'b:C'}}}\nTEST:\n")

    settings = ConfigLoader.reload_config()

    assert settings.schedule == ScheduleConfig(time_unit="minute")
    assert settings.warnings == (
        "config.yaml:1:1: DEV: names no time, so it is every minute",
    )
    assert ConfigLoader.reload_config("TEST").jobs == ()


def test_a_surprise_is_a_warning_with_its_place(write: Write) -> None:
    write(
        "DEV:\n  timezone: Europe/Berlin\n  jobs:\n"
        "    a: {job: 'b:C', time_unit: day, at: 02:30}\n"
    )

    warnings = ConfigLoader.settings().warnings

    assert len(warnings) == 2
    assert all(
        re.match(
            r"config\.yaml:4:5: DEV\.jobs\.a: every day at 02:30 .* clocks go", each
        )
        for each in warnings
    )


def test_the_other_keys_become_plain_values(write: Write) -> None:
    write(
        "DEV:\n  time_unit: hour\n  run_continuous: no\n  max_parallel: 3\n"
        "  memory_budget: 4GiB\n  PRESSURE: {Memory: 10, io: 50.5}\n"
        "  state_dir: state\n  echo_output: off\n  start_method: spawn\n"
        "  either:\n  audit:\n    console: json\n"
        "    file: {path: a.jsonl, max_bytes: 1MiB, keep: 0}\n"
        "    http: {url: 'http://a/b', timeout: 3s, headers: {X-Key: k}}\n"
    )

    settings = ConfigLoader.reload_config()

    assert settings.run_continuous is False
    assert settings.max_parallel == 3
    assert settings.memory_budget == settings.budget_bytes == 4 * 2**30
    assert settings.pressure == Pressure(memory=10, io=50.5)
    assert settings.state_dir == Path("state")
    assert settings.echo_output is False
    assert settings.start_method == "spawn"
    assert settings.audit.console == "json"
    assert settings.audit.file == FileAudit(
        path=Path("a.jsonl"), max_bytes=1_048_576, keep=0
    )
    assert settings.audit.http == HttpAudit(
        url="http://a/b", timeout=timedelta(seconds=3), headers={"X-Key": "k"}
    )


def test_a_job_that_could_never_start_is_a_fault_with_its_place(write: Write) -> None:
    write(
        "DEV:\n  time_unit: hour\n  memory_budget: 1GiB\n  jobs:\n"
        "    small: {command: [a], limits: {memory: 1GiB}}\n"
        "    free: {command: [a], limits: {wall: 5s}}\n"
        "    huge: {command: [a], limits: {memory: 1025MiB}}\n"
    )

    (fault,) = ConfigLoader.check("config.yaml")

    assert str(fault) == (
        "config.yaml:7:43: DEV.jobs.huge.limits.memory: '1025MiB': is more than the "
        "memory_budget of 1 GiB, so no run could ever start. Lower this limit, or "
        "raise `memory_budget`."
    )


def test_an_unreadable_budget_or_limit_is_told_once(write: Write) -> None:
    write(
        "DEV:\n  time_unit: hour\n  memory_budget: little\n  limits: {memory: -1}\n"
        "  jobs:\n    a: {command: [a], limits: {memory: 9TiB}}\n"
    )

    keys = [each.key for each in ConfigLoader.check("config.yaml")]

    assert keys == ["DEV.memory_budget", "DEV.limits.memory"]


def test_either_and_exclude_are_read_from_the_file(write: Write) -> None:
    write(
        "DEV:\n  either:\n    - {every: 14:00, time_unit: day}\n    - cron: '@hourly'\n"
        "  exclude:\n    - 2027-12-25\n    - sat,sun\n"
        "    - {from: 2027-01-01T00:00:00Z, to: 2027-01-02T00:00:00Z}\n"
    )

    schedule = ConfigLoader.settings().schedule

    assert schedule.either == (
        ScheduleConfig("14:00", "day"),
        ScheduleConfig(cron="@hourly"),
    )
    assert len(schedule.exclude) == 3


@pytest.mark.parametrize("environment", ["DEV", "TEST", "PROD"])
def test_the_projects_own_file_is_without_fault(environment: str) -> None:
    path = ROOT / "configs/config.yaml"

    assert ConfigLoader.check(path) == []
    assert ConfigLoader.reload_config(environment, path).jobs


def test_the_projects_own_file_explains_each_key_of_a_section() -> None:
    text = (ROOT / "configs/config.yaml").read_text()
    section = json_schema()["$defs"]["SectionBody"]["properties"]

    assert text.startswith("# yaml-language-server: $schema=config.schema.json\n")
    assert [
        key
        for key in section
        if key.islower()
        and not re.search(rf"^  (# )?{key}:", text, re.MULTILINE | re.IGNORECASE)
    ] == ["parallel"]


def test_the_schema_file_is_the_one_that_is_generated() -> None:
    """Write it anew with `python -m procsched.config.schema`."""
    text = (ROOT / "configs/config.schema.json").read_text()

    assert json.loads(text) == json_schema()


def test_the_schema_is_written_by_its_module(workplace: Path) -> None:
    program = [sys.executable, "-m", "procsched.config.schema"]
    done = subprocess.run(
        program, cwd=workplace, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == (ROOT / "configs/config.schema.json").read_text()


def test_a_schedule_can_be_made_without_yaml_and_pydantic(workplace: Path) -> None:
    code = (
        "import sys, procsched.config.schedule, procsched.config.settings\n"
        "print([name for name in ('yaml', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "[]\n"


def test_each_word_of_limits_is_read_from_the_file(write: Write) -> None:
    """Names of variables keep their case, and an unquoted 027 is octal (YAML 1.1)."""
    settings = ConfigLoader.reload_config(
        "DEV",
        path=write("""\
DEV:
  LIMITS:
    NICE: 10
    io_class: best-effort(7)
    cpu_affinity: [0, 1]
    cwd: /srv
    umask: 027
    env: {Lang: C, LANG: D}
    pass_env: [AWS_PROFILE]
    user: 1000
    group: staff
    no_new_privs: true
    network: false
    private_tmp: true
"""),
    )

    assert settings.schedule.limits == Limits(
        nice=10, io_class="best-effort(7)", cpu_affinity=[0, 1], cwd="/srv",
        umask="027", env={"Lang": "C", "LANG": "D"}, pass_env=["AWS_PROFILE"],
        user=1000, group="staff", no_new_privs=True, network=False, private_tmp=True,
    )  # fmt: skip


def test_the_projects_own_file_explains_each_limit() -> None:
    text = (ROOT / "configs/config.yaml").read_text()

    assert [
        name
        for name in LIMIT_NAMES
        if not re.search(rf"^    (# )?{name}:", text, re.MULTILINE)
    ] == []
