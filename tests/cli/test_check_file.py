"""Checks in a file."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Run
from tests.cli.test_golden import CHAT
from tests.render.test_builds import parsed
from traceq.errors import ExitCode

CHECKS = """
[[check]]
name = "few queries"
check = "calls(mysql) <= 5"

[[check]]
name = "messages stay fast"
check = "p95(chat-service:POST /rooms/{room_id}/messages) < 500ms"
reason = "The app shows a spinner from 500 ms on."

[[check]]
check = "p95(not-there) < 1s"
allow_empty = true
"""


@pytest.fixture
def checks(tmp_path: Path) -> str:
    (tmp_path / "checks.toml").write_text(CHECKS, encoding="utf-8")
    return str(tmp_path / "checks.toml")


def test_checks_have_names_and_reasons(checks: str, run: Run) -> None:
    outcome = run("check", "count(mysql) > 0", "--checks", checks, *CHAT, "--format", "json")

    found = json.loads(outcome.out)["checks"]
    assert outcome.code == ExitCode.CHECK_FAILED
    assert [(each["name"], each["outcome"], each["passed"]) for each in found] == [
        (None, "passed", True),
        ("few queries", "passed", True),
        ("messages stay fast", "failed", False),
        (None, "nothing", True),
    ]
    assert found[2]["reason"] == "The app shows a spinner from 500 ms on."


def test_people_read_the_name_and_the_reason(checks: str, run: Run) -> None:
    lines = run("check", "--checks", checks, *CHAT, width=200).out.splitlines()

    assert lines[0] == "1 of 3 checks failed: messages stay fast, measured 1.20 s."
    told = "messages stay fast: measured 1.20 s, of 66 spans. The app shows a spinner from 500 ms on."
    assert [line for line in lines if line.startswith(told)]


def test_a_pull_request_gets_annotations(checks: str, run: Run) -> None:
    outcome = run("check", "--checks", checks, *CHAT, "--format", "github")

    commands = [parsed(line) for line in outcome.out.splitlines()]
    assert [(each.name, each.properties["title"]) for each in commands] == [
        ("error", "check failed: messages stay fast"),
        ("warning", "p95(not-there) < 1s"),
        ("notice", "traceq check"),
    ]
    assert commands[0].data.splitlines()[:2] == [
        "p95(chat-service:POST /rooms/{room_id}/messages) < 500ms: measured 1.20 s, of 66 spans",
        "The app shows a spinner from 500 ms on.",
    ]


def test_a_pull_request_gets_markdown(checks: str, run: Run) -> None:
    out = run("check", "--checks", checks, *CHAT, "--format", "markdown").out

    assert "| FAILED | messages stay fast | 1.20 s |" in out
    assert "The app shows a spinner from 500 ms on." in out


def test_the_format_of_build_servers_goes_by_the_suffix(checks: str, run: Run, tmp_path: Path) -> None:
    outcome = run("check", "--checks", checks, *CHAT, "-o", str(tmp_path / "results.xml"))

    suite = ET.parse(tmp_path / "results.xml").getroot()[0]  # noqa: S314  written a moment ago
    assert outcome.code == ExitCode.CHECK_FAILED
    assert [case.get("name") for case in suite.iter("testcase")] == [
        "few queries",
        "messages stay fast",
        "p95(not-there) < 1s",
    ]
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[check]]\nname = 'a'\n", ", check 1 (a): 'check' is missing: write [[check]] and below it check = "),
        ("[[check]]\ncheck = 'p95(a)'\n", ", check 1: cannot read the check 'p95(a)' at its end: expected <"),
        ("[[check]]\ncheck = 'no(n+1)'\n[[check]]\nchek = 1\n", ", check 2: unknown key 'chek', there are check,"),
        ("[[check]]\ncheck = 3\n", ", check 1: 'check' has to be a text"),
        ("[[check]]\ncheck = 'no(n+1)'\nallow_empty = 'yes'\n", ", check 1: 'allow_empty' has to be true or false"),
        ("checks = []\n", ": unknown key 'checks': write [[check]]"),
        ("check = 3\n", ": 'check' is no list of tables: write"),
        ("check = [3]\n", ", check 1: write [[check]]"),
        ("", " has no checks: write"),
        ("[[check]\n", " is no TOML: "),
    ],
)
def test_errors_name_the_file_and_the_entry(text: str, error: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "checks.toml"
    path.write_text(text, encoding="utf-8")

    outcome = run("check", "--checks", str(path), *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.startswith(f"traceq: error: Invalid value for --checks: '{path}'{error}")


def test_a_file_that_is_missing_is_told(run: Run) -> None:
    outcome = run("check", "--checks", "no/such.toml", *CHAT)

    assert outcome.code == ExitCode.INPUT_UNREADABLE
    told = "traceq: error: cannot read the checks in 'no/such.toml': No such file or directory"
    assert outcome.err.splitlines()[0] == told


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("search", "-o", "x.xml"), "junit is not for this answer, but for `traceq check`"),
        (("check", "no(n+1)", "-o", "x.sarif"), "sarif is not for this answer, but for `traceq findings`"),
    ],
)
def test_other_answers_refuse_formats_of_builds(command: tuple[str, ...], error: str, run: Run) -> None:
    outcome = run(*command, *CHAT)

    assert outcome.code == ExitCode.USAGE
    assert outcome.err.splitlines()[0] == f"traceq: error: Invalid value for --format: {error}"
