from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import tests.laws  # noqa: F401 - registers the profiles

GOLDEN = Path(__file__).parent / "golden"

# Compiled modules are kept, whatever the environment says: many tests start commands, each of which would compile all.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Thousands of tests stay in memory, and to look through them for garbage again and again takes a tenth of the time.
gc.set_threshold(gc.get_threshold()[0], 20, 200)

# `--hypothesis-profile` comes later and may choose another one.
settings.load_profile("ci")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Live where local time is UTC: times are shown as local ones."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with the kept one; `TRACEQ_UPDATE_GOLDEN=1` keeps the new one."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("TRACEQ_UPDATE_GOLDEN") == "1":
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
