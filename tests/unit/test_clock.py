"""The clock of this machine, and the zone it stands in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from procsched import clock
from procsched.clock import SystemClock, local_zone

if TYPE_CHECKING:
    from pathlib import Path

SUMMER = datetime(2025, 7, 1, tzinfo=UTC)


def test_both_clocks_are_read_together() -> None:
    before = time.monotonic()
    moment = SystemClock().now()
    after = time.monotonic()

    assert before <= moment.monotonic <= after
    assert moment.wall.tzinfo is UTC
    assert abs(moment.wall - datetime.now(UTC)) < timedelta(seconds=5)


def test_the_variable_names_the_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")

    assert local_zone() == ZoneInfo("Europe/Berlin")


def test_the_variable_may_begin_with_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    """tzset(3) allows it."""
    monkeypatch.setenv("TZ", ":America/New_York")

    assert local_zone() == ZoneInfo("America/New_York")


@pytest.mark.parametrize("named", ["", "No/Such", "../etc/passwd", "/etc/passwd", "\0"])
def test_a_variable_that_names_no_zone_leads_to_the_hosts_own(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setattr(clock.os, "environ", {"TZ": named})

    assert local_zone().utcoffset(SUMMER) is not None


def place_of(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a path stand for /etc/localtime."""
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(clock, "Path", lambda _place: path)


def test_the_hosts_zone_is_where_its_link_leads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "zoneinfo/Europe/Paris"
    target.parent.mkdir(parents=True)
    target.touch()
    link = tmp_path / "localtime"
    link.symlink_to(target)
    place_of(monkeypatch, link)

    assert local_zone() == ZoneInfo("Europe/Paris")


def test_a_copied_zone_file_has_no_name_and_the_right_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from importlib.resources import files

    data = files("tzdata").joinpath("zoneinfo/Asia/Kathmandu").read_bytes()
    copied = tmp_path / "localtime"
    copied.write_bytes(data)
    place_of(monkeypatch, copied)

    zone = local_zone()

    assert zone.utcoffset(SUMMER) == timedelta(hours=5, minutes=45)


def test_a_host_without_a_zone_lives_in_utc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place_of(monkeypatch, tmp_path / "missing")

    assert local_zone() == ZoneInfo("UTC")


def test_a_zone_file_that_is_none_is_utc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A broken image must not keep the scheduler from starting."""
    broken = tmp_path / "localtime"
    broken.write_text("no zone")
    place_of(monkeypatch, broken)

    assert local_zone() == ZoneInfo("UTC")
