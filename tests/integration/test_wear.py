"""How worn the worker of a sequence is: counted and measured in a real process."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from procsched.core.messages import StartRun
from procsched.core.policy import Limits
from procsched.core.recycle import Recycle
from procsched.workers.frames import start_frame
from procsched.workers.payload import Payload
from procsched.workers.pool import Surroundings
from procsched.workers.wear import Wear, resident_bytes

MIB = 2**20


def test_a_worker_is_worn_after_so_many_runs() -> None:
    wear, said = Wear(), Recycle(runs=3).to_frame()

    assert [wear.after_run(said) for _ in range(3)] == [None, None, "3 runs"]


def test_a_worker_without_a_rule_is_never_worn() -> None:
    wear = Wear()

    assert [wear.after_run(None) for _ in range(3)] == [None, None, None]


def test_growth_counts_from_the_end_of_the_first_run() -> None:
    """What the first run needs is what its job needs."""
    wear, said = Wear(), Recycle(memory_growth="40MiB").to_frame()
    first = bytearray(b"x" * (60 * MIB))
    assert wear.after_run(said) is None

    second = bytearray(b"x" * (60 * MIB))
    reason = wear.after_run(said)

    assert len(first) == len(second)
    assert reason is not None
    assert reason.startswith("memory grew by ")
    assert 55 <= int(reason.split()[3]) <= 65


def test_a_rule_that_has_changed_holds_from_its_first_run() -> None:
    wear = Wear()
    wear.after_run(Recycle(runs=9).to_frame())

    assert wear.after_run(Recycle(runs=2).to_frame()) == "2 runs"


def test_age_counts_from_when_the_worker_was_made() -> None:
    wear = Wear()

    assert wear.after_run(Recycle(age="1h").to_frame()) is None
    assert wear.after_run(Recycle(age=1e-6, jitter=0).to_frame()) == "0 s old"


def test_resident_memory_is_what_the_kernel_says() -> None:
    status = Path("/proc/self/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmRSS"))

    assert abs(resident_bytes() - int(line.split()[1]) * 1024) < 8 * MIB


def test_the_order_to_start_says_when_the_worker_is_replaced(tmp_path: Path) -> None:
    around = Surroundings(
        wake_fd=0,
        logs=tmp_path,
        spools=tmp_path,
        reports=tmp_path,
        outlet="none",
        echo=False,
    )
    order = StartRun(
        run_id="r",
        job="j",
        code="c",
        nominal_time=datetime(2026, 1, 1, tzinfo=UTC),
        attempt=1,
        limits=Limits(),
        sequence="one",
        recycle=Recycle(runs=7),
    )
    frame = start_frame(
        order, Payload(target="a:B"), log=tmp_path, spool=tmp_path, around=around
    )

    assert frame["recycle"]["runs"] == 7
