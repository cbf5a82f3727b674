from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from traceq.cli import COMMANDS

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_version_is_the_one_of_the_distribution(run: Run) -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]

    outcome = run("--version")

    assert (outcome.code, outcome.out) == (0, f"traceq {project['version']}\n")


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns_and_cuts_no_option_off(words: tuple[str, ...], run: Run) -> None:
    lines = run(*words, "--help").out.splitlines()

    assert [line for line in lines if len(line) > 80 or "…" in line] == []
