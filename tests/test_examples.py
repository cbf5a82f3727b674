"""The examples run as they are written: jobs without the service that hosts them, the notebook in a kernel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client, StdioServerParameters
from nbclient import NotebookClient
from nbformat import NotebookNode, reads

from tests.loops import completed

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture
def workspace(tmp_path: Path) -> dict[str, str]:
    """Make a copy of the examples, with `traceq` and `python` of this test on the path; give the environment."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("traceq", "-m traceq ")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PWD": str(tmp_path),
    }


def run_step(script: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],  # noqa: S607
        env=environment,
        cwd=environment["PWD"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout


def steps_of(job: str) -> list[str]:
    """Give the scripts of a job's steps, but for the one that installs what the tests have installed."""
    told: dict[str, Any] = yaml.safe_load((EXAMPLES / job).read_text())
    if "traces" in told:
        return list(told["traces"]["script"])
    return [step["run"] for step in told["jobs"]["traces"]["steps"] if "run" in step and step["name"] != "Install"]


@pytest.mark.parametrize("job", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_jobs_run_as_written(job: str, workspace: dict[str, str]) -> None:
    told = [run_step(script, workspace) for script in steps_of(job)]

    folder = Path(workspace["PWD"])
    assert "<!doctype html>" in (folder / "report.html").read_text().lower()
    assert 'name="orders stay fast"' in (folder / "results.xml").read_text()
    if job.startswith("github"):
        assert "::notice" in told[1]
        assert "checkout" in (folder / "summary.md").read_text()


def test_the_jobs_fail_where_a_check_fails(workspace: dict[str, str]) -> None:
    folder = Path(workspace["PWD"])
    checks = folder / "examples" / "checks.toml"
    checks.write_text(checks.read_text().replace("< 50ms", "< 5ms"))
    load_test, check, *_ = steps_of("github-actions.yml")
    run_step(load_test, workspace)

    done = subprocess.run(["bash", "-c", check], env=workspace, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S607

    assert done.returncode == 6
    assert "::error title=" in done.stdout


def test_the_notebook_runs() -> None:
    written = (EXAMPLES / "notebook.ipynb").read_text()
    notebook: NotebookNode = reads(written, as_version=4)  # type: ignore[no-untyped-call]  # nbformat tells no types

    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(EXAMPLES)}}).execute()

    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert all(outputs)
    assert not any(cell.get("outputs") for cell in json.loads(written)["cells"])


def test_the_agents_configuration_starts_the_tools(workspace: dict[str, str]) -> None:
    (server,) = json.loads((EXAMPLES / "mcp.json").read_text())["mcpServers"].values()

    async def tools() -> list[str]:
        command = StdioServerParameters(command=server["command"], args=server["args"], env=workspace)
        async with Client(command) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert "bottlenecks" in completed(tools())


def test_outputs_of_examples_are_not_kept() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.name != "__pycache__") == [
        "README.md",
        "checks.toml",
        "github-actions.yml",
        "gitlab-ci.yml",
        "load_test.py",
        "mcp.json",
        "notebook.ipynb",
    ]
