"""What settings are without a file, and that their words are told once."""

from __future__ import annotations

import pickle
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from procsched.config.schedule import DEFAULTS, ScheduleConfig
from procsched.config.schedule_keys import LimitsBody, RetryBody, ScheduleBody
from procsched.config.schema import (
    AuditBody,
    FileBody,
    HttpBody,
    JobBody,
    PressureBody,
    SectionBody,
    json_schema,
)
from procsched.config.settings import (
    AuditSettings,
    FileAudit,
    HttpAudit,
    Pressure,
    Settings,
)
from procsched.constants import Sc
from procsched.core.outcome import Outcome
from procsched.core.policy import Limits, Retry, duration, size_in_bytes
from procsched.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel


def test_the_built_in_default_runs_each_job_every_minute() -> None:
    settings = Settings.built_in()

    assert settings.source == "the built-in default"
    assert settings.environment == "DEV"
    assert settings.schedule == ScheduleConfig(time_unit=Sc.MINUTE)
    assert settings.run_continuous is None
    assert settings.max_parallel is None
    assert settings.memory_budget is None
    assert settings.pressure is None
    assert settings.state_dir is None
    assert settings.echo_output is True
    assert settings.jobs == ()
    assert settings.audit == AuditSettings(console=True, file=None, http=None)
    assert settings.warnings == ()


def test_settings_are_values() -> None:
    settings = Settings.built_in("TEST")

    assert settings == Settings.built_in("TEST")
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 - our own


def test_the_file_knows_each_field_of_a_schedule_and_no_other() -> None:
    assert set(ScheduleBody.model_fields) == set(DEFAULTS)


def test_the_file_and_the_schedule_have_the_same_defaults() -> None:
    written = {name: key.default for name, key in ScheduleBody.model_fields.items()}

    assert written.pop("catch_up_window") == "1d"
    assert written == {
        name: value for name, value in DEFAULTS.items() if name != "catch_up_window"
    }
    assert DEFAULTS["catch_up_window"] == timedelta(days=1)


def test_the_file_and_limits_have_the_same_words_and_defaults() -> None:
    written = {name: key.default for name, key in LimitsBody.model_fields.items()}

    assert Limits(**written) == Limits()
    assert set(written) == {each.name for each in fields(Limits)}


def test_the_file_and_retry_have_the_same_words_and_defaults() -> None:
    written = {name: key.default for name, key in RetryBody.model_fields.items()}
    causes = frozenset(Outcome(word) for word in written.pop("causes"))

    assert Retry(**written, causes=causes) == Retry()
    assert {*written, "causes"} == {each.name for each in fields(Retry)}


def test_the_file_and_pressure_have_the_same_words_and_defaults() -> None:
    written = {name: key.default for name, key in PressureBody.model_fields.items()}

    assert written == {each.name: each.default for each in fields(Pressure)}


def test_a_memory_budget_is_bytes_or_a_size_in_words() -> None:
    assert Settings(source="", environment="", memory_budget="2GiB") == Settings(
        source="", environment="", memory_budget=2 * 2**30
    )


@pytest.mark.parametrize("budget", [0, -1, True, "lots", "75%"])
def test_a_memory_budget_that_is_no_size_is_refused(budget: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(source="", environment="", memory_budget=budget)

    assert str(caught.value) == (
        f"memory_budget={budget!r} is not a size. Write bytes as a whole number above "
        "0, or a text such as '64KiB', '512MiB' or '2GB'."
    )


@pytest.mark.parametrize("percent", [-1, 100, True, "80", float("nan")])
def test_a_threshold_that_no_host_exceeds_is_refused(percent: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Pressure(memory=percent)

    assert str(caught.value) == (
        f"memory={percent!r} is no percentage from 0 to below 100. Write memory=50 for "
        "half of the time, or leave it out."
    )


def test_a_pressure_without_thresholds_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Pressure()

    assert str(caught.value) == (
        "pressure names no threshold. Name one of cpu, memory and io, such as cpu=80, "
        "or leave `pressure` out."
    )


def test_any_pressure_at_all_is_a_threshold() -> None:
    assert Pressure(cpu=0, io=99.9).thresholds() == {"cpu": 0, "io": 99.9}


def test_the_file_and_the_audit_settings_have_the_same_defaults() -> None:
    file, http = FileBody.model_fields, HttpBody.model_fields

    plain_file, plain_http = FileAudit(path=Path()), HttpAudit(url="")

    assert size_in_bytes(file["max_bytes"].default, name="") == plain_file.max_bytes
    assert file["keep"].default == plain_file.keep
    assert duration(http["timeout"].default, name="") == plain_http.timeout
    assert set(file) == {each.name for each in fields(FileAudit)}
    assert set(http) == {each.name for each in fields(HttpAudit)}
    assert set(AuditBody.model_fields) == {each.name for each in fields(AuditSettings)}


@pytest.mark.parametrize(
    "model",
    [
        SectionBody,
        JobBody,
        LimitsBody,
        RetryBody,
        PressureBody,
        AuditBody,
        FileBody,
        HttpBody,
    ],
)
def test_each_key_is_described(model: type[BaseModel]) -> None:
    assert [
        name for name, key in model.model_fields.items() if not key.description
    ] == []


def test_the_schema_takes_keys_in_lower_and_upper_case() -> None:
    section = json_schema()["$defs"]["SectionBody"]

    assert section["additionalProperties"] is False
    assert section["properties"]["every"]["description"].startswith("A number of")
    assert section["properties"]["EVERY"] == {
        "$ref": "#/$defs/SectionBody/properties/every"
    }


def test_the_schema_lists_the_choices_of_a_unit() -> None:
    unit = json_schema()["$defs"]["SectionBody"]["properties"]["time_unit"]

    choices = next(each.get("enum") for each in unit["anyOf"] if "enum" in each)
    assert {"second", "minutes", "day", "friday"} <= set(choices)
