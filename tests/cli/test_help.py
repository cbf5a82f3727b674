from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from traceq.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
CHAT_FILE = str(ROOT / "fixtures" / "chat.json")


def test_the_version_is_the_one_of_the_distribution(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    outcome = run("--version")

    assert (outcome.code, outcome.out) == (0, f"traceq {project['version']}\n")


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)], ids=" ".join)
def test_help_fits_a_terminal_of_80_columns_and_cuts_no_option_off(words: tuple[str, ...], run: Run) -> None:
    lines = run(*words, "--help").out.splitlines()

    assert [line for line in lines if len(line) > 80 or "…" in line] == []
    # `<text|json|ndjson|csv|merma` with the rest below it.
    assert [line for line in lines if re.search(r"<[\w-]+(\|[\w-]*)+ ", line)] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_paragraphs_of_help_are_wrapped_where_the_terminal_ends(command: str, run: Run) -> None:
    text = run(command, "--help").out.partition("Examples:")[0].partition("Arguments ─")[0]
    paragraphs = [part.strip().splitlines() for part in re.split(r"\n\s*\n", text)]

    short = [
        line
        for lines in paragraphs
        for line, after in pairwise(lines)
        if len(line.strip()) + 1 + len(after.split()[0]) <= 78
    ]
    assert short == []


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_indented_and_fit_a_line_each(command: str, run: Run) -> None:
    text = run(command, "--help").out.partition("Examples:")[2].partition("Arguments ─")[0].partition("Options ─")[0]
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and "╭" not in line]

    assert lines
    assert [line for line in lines if not line.startswith("   traceq ")] == []


def completed(words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Give the completions of the last of these words, as the shell gets them."""
    monkeypatch.setenv("_TRACEQ_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    return capfd.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("traceq s", ["search", "show", "stats", "services"]),
        ("traceq bottlenecks --sk", []),
        ("traceq bottlenecks --what", ["--what-if"]),
        ("traceq bottlenecks ch", ["chat-service"]),
        ("traceq stats --by service f", ["friend-service"]),
        ("traceq search --service ", ["chat-service", "friend-service"]),
        ("traceq search --service nobody", []),
    ],
)
def test_the_shell_is_told_commands_options_and_services(
    words: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACEQ_SOURCE", CHAT_FILE)

    assert completed(words, monkeypatch, capfd)[: len(offered) or None] == offered


def test_the_shell_is_offered_nothing_where_the_source_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACEQ_SOURCE", str(tmp_path / "gone.json"))

    assert completed("traceq bottlenecks ch", monkeypatch, capfd) == []
