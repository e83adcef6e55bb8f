"""Unit tests decide and do not wait: whoever sleeps here fails."""

from __future__ import annotations

import time
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def _no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seconds: float) -> NoReturn:
        pytest.fail(f"a unit test sleeps for {seconds} s; move the fake clock instead")

    monkeypatch.setattr(time, "sleep", refuse)
