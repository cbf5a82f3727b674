from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from traceq.cli import main

ROOT = Path(__file__).parents[2]
_SETTINGS = ("SOURCE", "LINK", "TOKEN", "BASIC", "TENANT", "CA_CERT", "CERT", "KEY")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, utc: None) -> Run:
    """Run a command in the project's folder, in a terminal of 80 columns or of the given width."""
    monkeypatch.chdir(ROOT)
    for name in ("NO_COLOR", "FORCE_COLOR", *(f"TRACEQ_{name}" for name in _SETTINGS)):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str, width: int = 80) -> Outcome:
        monkeypatch.setenv("COLUMNS", str(width))
        capfd.readouterr()
        code = main(arguments)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return command


def indented(document: str) -> str:
    """Give a document as a terminal shows it: pipes get one line, in which no difference can be read."""
    assert document.count("\n") == 1
    return json.dumps(json.loads(document), indent=2, ensure_ascii=False) + "\n"
