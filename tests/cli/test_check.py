"""What `traceq check` shows, word for word, and what it tells a build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.conftest import Run, indented
from tests.cli.test_golden import CHAT
from traceq.errors import ExitCode

FAILING = (
    "p95(chat-service:POST /rooms/{room_id}/messages) < 500ms",
    "error_rate(chat-service) < 5%",
    "calls(mysql) <= 5",
    "no(n+1)",
    "mean(chat-servce) < 1s",
)


@pytest.mark.parametrize("width", [80, 120])
def test_text(width: int, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run("check", *FAILING, *CHAT, width=width)

    assert outcome.code == ExitCode.CHECK_FAILED
    drawn = [line for line in outcome.out.splitlines() if not line.startswith("next: ")]
    assert max(map(len, drawn)) <= width
    golden(f"cli_check_{width}", f"{outcome.out}--- standard error\n{outcome.err}")


@pytest.mark.parametrize("chosen", ["json", "ndjson", "csv"])
def test_other_formats(chosen: str, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run("check", *FAILING, *CHAT, "--format", chosen)

    assert outcome.code == ExitCode.CHECK_FAILED
    golden(f"cli_check_{chosen}", indented(outcome.out) if chosen == "json" else outcome.out)


def test_what_holds_ends_with_0(run: Run) -> None:
    outcome = run("check", "calls(mysql) <= 5", *CHAT)

    assert outcome.code == ExitCode.ANSWERED
    assert outcome.out.splitlines()[0] == "The check passed."


def test_the_same_traces_have_not_regressed(run: Run) -> None:
    outcome = run("check", "--baseline", "fixtures/chat.json", "--tolerance", "0%", *CHAT)

    assert (outcome.code, outcome.out.splitlines()[0]) == (ExitCode.ANSWERED, "All 60 checks passed.")


def test_build_servers_can_read_the_results(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "results.xml"

    outcome = run("check", *FAILING, *CHAT, "--junit", str(target))

    suite = ET.parse(target).getroot()[0]  # noqa: S314 - written a moment ago
    assert outcome.code == ExitCode.CHECK_FAILED
    assert (suite.get("tests"), suite.get("failures")) == ("5", "3")
    assert [case.get("name") for case in suite.iter("testcase")] == list(FAILING)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "Invalid value: nothing to check: give a check, --checks or --baseline"),
        (
            ("p95(a) < 5",),
            "Invalid value: cannot read the check 'p95(a) < 5' at '5' (column 10): expected a duration such as 500ms",
        ),
        (("calls(a) < 5", "--junit", "no/such/x.xml"), "Invalid value for --output: there is no directory 'no/such'"),
    ],
)
def test_usage_ends_with_2(arguments: tuple[str, ...], error: str, run: Run) -> None:
    outcome = run("check", *arguments, *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.splitlines()[0] == f"traceq: error: {error}"
