"""What the kernel tells of pressure, compared with thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from watching import settings

from procsched import Scheduler
from procsched.config.settings import Pressure
from procsched.errors import SchedulerError
from procsched.pressure import PLACE, PressureGauge

if TYPE_CHECKING:
    from pathlib import Path

QUIET = "some avg10=0.00 avg60=50.00 avg300=50.00 total=1\n"
BUSY = "some avg10=23.42 avg60=0.00 avg300=0.00 total=1\n"
FULL = "full avg10=99.00 avg60=0.00 avg300=0.00 total=1\n"


def told(place: Path, **files: str) -> Path:
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def test_a_threshold_is_exceeded_by_more_and_not_by_as_much(tmp_path: Path) -> None:
    """What counts is `some avg10`, whatever stands beside it."""
    place = told(tmp_path, cpu=BUSY + FULL, memory=QUIET + FULL, io=BUSY)

    gauge = PressureGauge({"cpu": 23.4, "memory": 0, "io": 23.42}, place)

    assert gauge.over() == ("cpu 23.42 % over 23.4 %",)


def test_each_look_reads_anew(tmp_path: Path) -> None:
    gauge = PressureGauge({"cpu": 10}, told(tmp_path, cpu=QUIET))

    assert gauge.over() == ()
    told(tmp_path, cpu=BUSY)
    assert gauge.over() == ("cpu 23.42 % over 10 %",)


def test_a_host_that_tells_no_pressure_is_an_error_with_a_remedy(
    tmp_path: Path,
) -> None:
    with pytest.raises(SchedulerError) as caught:
        PressureGauge({"io": 10}, told(tmp_path, cpu=QUIET))

    assert str(caught.value) == (
        "the settings name a threshold for the pressure on io, and this host does not "
        f"tell it: {tmp_path}/io: No such file or directory. Leave `pressure` out, or "
        "use Linux with a kernel built with CONFIG_PSI and booted with psi=1."
    )


def test_a_file_without_the_line_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"cpu: no line begins with 'some avg10='"):
        PressureGauge({"cpu": 10}, told(tmp_path, cpu=FULL))


def test_a_resource_that_falls_silent_keeps_nobody_waiting_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gauge = PressureGauge({"cpu": 10, "io": 10}, told(tmp_path, cpu=BUSY, io=BUSY))
    (tmp_path / "cpu").unlink()

    assert gauge.over() == gauge.over() == ("io 23.42 % over 10 %",)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("cannot read the pressure on cpu any more: ")


def test_a_scheduler_does_not_start_where_its_pressure_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("procsched.engine.PRESSURE", tmp_path)
    sc = Scheduler(True, settings=settings(pressure=Pressure(cpu=80)))

    with pytest.raises(SchedulerError, match="booted with psi=1"):
        sc.start()


@pytest.mark.skipif(not PLACE.exists(), reason="this kernel tells no pressure")
def test_the_kernel_of_this_host_is_understood() -> None:
    assert len(PressureGauge({"cpu": 0, "memory": 0, "io": 0}).over()) <= 3
