"""`traceq check --baseline` as a build uses it: two files, an exit code, and a line that says what got worse."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import Run
from traceq.errors import ExitCode

OPERATIONS = {"POST /rooms/{room_id}/messages": 120, "GET /rooms": 40}


def written(path: Path, seed: int, count: int = 200, slow: float = 0.0) -> str:
    """Write requests of two operations, a share of those of the first one delayed."""
    random, data = Random(seed), []  # noqa: S311
    for number in range(count):
        for name, mean_ms in OPERATIONS.items():
            duration_us = int(1000 * mean_ms * math.exp(random.gauss(0, 0.3)))
            if random.random() < slow and name.startswith("POST"):
                duration_us *= 3
            data.append(_trace(f"{random.getrandbits(128):032x}", name, number, duration_us))
    path.write_text(json.dumps({"data": data}), encoding="utf-8")
    return str(path)


def _trace(trace_id: str, name: str, number: int, duration_us: int) -> dict[str, object]:
    head = {"traceID": trace_id, "startTime": 1_700_000_000_000_000 + 1000 * number, "processID": "p1", "logs": []}
    server, client = ([{"key": "span.kind", "type": "string", "value": kind}] for kind in ("server", "client"))
    system = {"key": "db.system", "type": "string", "value": "mysql"}
    above = {"refType": "CHILD_OF", "traceID": trace_id, "spanID": f"{1:016x}"}
    spans = [
        {**head, "spanID": f"{1:016x}", "operationName": name, "duration": duration_us, "tags": server},
        {**head, "spanID": f"{2:016x}", "operationName": "SELECT", "duration": duration_us // 3}
        | {"tags": [*client, system], "references": [above]},
    ]
    return {"traceID": trace_id, "spans": spans, "processes": {"p1": {"serviceName": "chat-service", "tags": []}}}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Write a baseline, a run like it, and one with slow requests."""
    runs = {"before": (1, 0.0), "same": (2, 0.0), "slow": (3, 0.15)}
    return {name: written(tmp_path / f"{name}.json", seed, slow=slow) for name, (seed, slow) in runs.items()}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("after", ["same", "slow"])
def test_text(after: str, width: int, files: dict[str, str], run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run("check", "--baseline", files["before"], "--source", files[after], width=width)

    assert outcome.code == (ExitCode.CHECK_FAILED if after == "slow" else ExitCode.ANSWERED)
    folder = str(Path(files["before"]).parent)
    shown = [line for line in outcome.out.splitlines() if folder not in line and not line.endswith(".json)")]
    golden(f"cli_check_baseline_{after}_{width}", "\n".join(shown) + "\n")


def test_the_document_says_how_much_and_how_sure(files: dict[str, str], run: Run) -> None:
    outcome = run("check", "--baseline", files["before"], "--source", files["slow"], "--format", "json")

    found = {check["check"]: check for check in json.loads(outcome.out)["checks"]}
    worst = found["p95 of chat-service POST /rooms/{room_id}/messages"]
    assert (worst["passed"], worst["outcome"], worst["measure"]) == (False, "failed", "p95")
    assert worst["change_ratio"] == pytest.approx(worst["value"] / worst["baseline"] - 1)
    assert 0.1 < worst["change_low_ratio"] < worst["change_ratio"]
    assert 0 < worst["chance"] < 0.005
    assert len(worst["example_trace_id"]) == 32


def test_a_check_of_a_measure_stands_alone(files: dict[str, str], run: Run) -> None:
    checks = ("p95(chat-service:POST /rooms/{room_id}/messages) <= baseline + 10%", "calls(mysql) <= baseline")

    outcome = run("check", *checks, "--baseline", files["before"], "--source", files["slow"], "--format", "json")

    passed = {check["check"]: check["passed"] for check in json.loads(outcome.out)["checks"]}
    assert (outcome.code, passed) == (ExitCode.CHECK_FAILED, {checks[0]: False, checks[1]: True})


def test_strict_fails_on_what_may_be_chance(files: dict[str, str], run: Run) -> None:
    arguments = ("check", "--baseline", files["before"], "--source", files["same"], "--tolerance", "0%")

    assert run(*arguments).code == ExitCode.ANSWERED
    assert run(*arguments, "--strict").code == ExitCode.CHECK_FAILED


def test_nothing_measured_fails_unless_it_is_allowed(files: dict[str, str], run: Run) -> None:
    arguments = ("check", "p95(nobody) < 1s", "no(n+1)", "--source", files["same"])

    assert run(*arguments).code == ExitCode.CHECK_FAILED
    allowed = run(*arguments, "--allow-empty")

    assert allowed.code == ExitCode.ANSWERED
    assert "no span goes by this name" in allowed.out


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_run_that_made_hardly_any_request_compares_nothing(
    count: int, files: dict[str, str], run: Run, tmp_path: Path
) -> None:
    """However few there are, chance explains that: it must not pass for that reason."""
    after = written(tmp_path / "after.json", 4, count=count)

    outcome = run("check", "--baseline", files["before"], "--source", after)

    told = f"too few requests of the same operations to tell: 400 before, {2 * count} after"
    assert outcome.code == ExitCode.CHECK_FAILED
    assert told in " ".join(outcome.out.split())


@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_reader_that_is_gone_changes_no_exit_code(closed: str, files: dict[str, str]) -> None:
    """A build that shows the first lines only (`| head`, `2>&1 | head`) must fail all the same."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "traceq", "check", "--baseline", files["before"], "--source", files["slow"]]

    with os.fdopen(writing, "wb") as gone:
        error = gone if closed == "both" else subprocess.DEVNULL
        done = subprocess.run(command, stdout=gone, stderr=error, check=False, timeout=60)

    assert done.returncode == ExitCode.CHECK_FAILED


def test_a_limit_is_told_before_anything_else(files: dict[str, str], run: Run) -> None:
    outcome = run("check", "count(mysql) >= 20", "--source", files["same"], "--limit", "20")

    told = "The newest 20 traces only: The check passed."
    assert (outcome.code, outcome.out.splitlines()[0]) == (ExitCode.ANSWERED, told)


def test_a_baseline_that_is_missing_is_a_usage_error(run: Run) -> None:
    outcome = run("check", "p95(a) <= baseline", "--source", "fixtures/chat.json")

    assert outcome.code == ExitCode.USAGE
    told = "the check 'p95(a) <= baseline' needs traces to compare with: give --baseline"
    assert outcome.err.splitlines()[0] == f"traceq: error: Invalid value: {told}"
