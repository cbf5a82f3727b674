"""`demo`: it works from what a wheel holds, and shows what it says."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import ROOT, Run
from tools.demo import SAMPLE, sample
from traceq.cli.demo import SLOW_TRACE, STEPS


def test_its_traces_are_those_that_were_recorded() -> None:
    """`python -m tools.demo` puts right what this finds."""
    assert json.loads(gzip.decompress(SAMPLE.read_bytes())) == json.loads(gzip.decompress(sample()))
    assert SAMPLE.stat().st_size < 64_000


def test_it_answers_the_main_questions_with_the_commands_that_it_shows(run: Run) -> None:
    outcome = run("demo", width=120)

    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line for line in lines if line.startswith("$ ")] == [f"$ traceq {command}" for _, command in STEPS]
    assert "Slow requests spend 87 % of their time in mongodb.insert" in outcome.out
    assert any("bottleneck 85 %" in line for line in lines)
    assert f"  export TRACEQ_SOURCE={SAMPLE}" in lines
    assert lines[-1] == "  traceq services --source http://localhost:16686"
    assert "TRACEQ_SOURCE" not in os.environ


def test_what_it_shows_is_what_the_commands_answer(run: Run) -> None:
    shown = run("demo", width=120).out

    for _, command in STEPS:
        assert run(*command.split(), "--source", str(SAMPLE), width=120).out.splitlines()[0] in shown


def test_its_traces_can_be_asked_anything_else(run: Run) -> None:
    path = run("demo", "--path").out.strip()

    assert path == str(SAMPLE)
    assert run("show", SLOW_TRACE, "--source", path).code == 0


def test_it_works_without_a_checkout(tmp_path: Path) -> None:
    """The wheel holds the package's folder, as pyproject.toml says, and nothing else of the project."""
    shutil.copytree(ROOT / "traceq", tmp_path / "traceq", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TRACEQ_", "COV_"))}

    done = subprocess.run(
        [sys.executable, "-m", "traceq", "demo"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert f"  export TRACEQ_SOURCE={tmp_path}/traceq/cli/demo/chat.json.gz" in done.stdout
    assert "Slow requests spend 87 % of their time in mongodb.insert" in done.stdout
