"""Fifty traces, one with a span that is put right: every command counts all of them, and says the same of the span."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

BAD, SPAN = f"{31:032x}", f"{31:014x}02"
START_US = 1_780_000_000_000_000
TOLD = f"traceq: warning: end before start: 1 span in 1 trace, counted as taking no time (span {SPAN} of trace {BAD})"


def trace(number: int) -> dict[str, Any]:
    trace_id, root_id = f"{number:032x}", f"{number:014x}00"
    reference = {"refType": "CHILD_OF", "traceID": trace_id, "spanID": root_id}
    spans = [
        {
            "traceID": trace_id,
            "spanID": f"{number:014x}{place:02x}",
            "operationName": f"op {place}",
            "references": [reference] if place else [],
            "startTime": START_US + number * 1_000_000 + place * 10,
            # As Jaeger 1.51 writes a negative duration.
            "duration": 2**64 - 5000 if trace_id == BAD and place == 2 else 1000 - place * 100,
            "tags": [],
            "logs": [],
            "processID": "p1",
        }
        for place in range(4)
    ]
    return {"traceID": trace_id, "spans": spans, "processes": {"p1": {"serviceName": "shop", "tags": []}}}


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("fifty") / "traces.json"
    file.write_text(json.dumps({"data": [trace(number) for number in range(1, 51)]}), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "question",
    [
        ("services",),
        ("operations", "shop"),
        ("search", "--limit", "100"),
        ("show", BAD),
        ("stats",),
        ("bottlenecks", "shop"),
        ("findings",),
        ("errors",),
        ("deps",),
        ("flame",),
    ],
    ids=lambda question: question[0],
)
def test_every_command_says_the_same_of_it(question: tuple[str, ...], run: Run, fifty: Path) -> None:
    outcome = run(*question, "--source", str(fifty), "--format", "json")

    assert outcome.code == 0, outcome.err
    assert [line for line in outcome.err.splitlines() if "warning" in line] == [TOLD]
    document = json.loads(outcome.out)
    if "trace_count" in document:
        assert document["trace_count"] == (1 if question[0] == "show" else 50)


@pytest.mark.parametrize("command", [("fetch", "--source"), ("convert",)], ids=lambda command: command[0])
def test_what_is_kept_of_it_is_told_when_traces_are_written(
    command: tuple[str, ...], run: Run, fifty: Path, tmp_path: Path
) -> None:
    outcome = run(*command, str(fifty), "-o", str(tmp_path / "out.jsonl"))

    assert outcome.code == 0, outcome.err
    assert TOLD in outcome.err.splitlines()
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 50
