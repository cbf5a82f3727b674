"""The output of `traceq compare`, word for word, and its options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run, indented
from tests.cli.test_golden import CHAT, first
from traceq.errors import ExitCode

COMMANDS = {
    "slow": ("compare", "--slow", "10%", "--service", "chat-service"),
    "failed": ("compare", "--failed"),
    "split": ("compare", "--split-by", "room_id=467"),
    "same": ("compare", "fixtures/chat.json", "fixtures/chat.json"),
    "traces": ("compare", first("message-healthy"), first("message-slow")),
    "n_plus_one": ("compare", first("friends-one-query"), first("friends-n-plus-one")),
    "query_saved": ("compare", first("friends-n-plus-one"), first("friends-one-query")),
    "traces_same": ("compare", first("message-slow"), first("message-slow")),
    "retried": ("compare", first("message-healthy"), first("kafka-flaky")),
}


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_text(name: str, width: int, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run(*COMMANDS[name], *CHAT, width=width)

    assert outcome.code == ExitCode.ANSWERED
    assert max(map(len, outcome.out.splitlines())) <= width
    golden(f"cli_compare_{name}_{width}", f"{outcome.out}--- standard error\n{outcome.err}")


@pytest.mark.parametrize("chosen", ["json", "ndjson", "csv"])
@pytest.mark.parametrize("name", ["slow", "n_plus_one"])
def test_other_formats(name: str, chosen: str, run: Run, golden: Callable[[str, str], None]) -> None:
    outcome = run(*COMMANDS[name], *CHAT, "--format", chosen)

    assert outcome.code == ExitCode.ANSWERED
    golden(f"cli_compare_{name}_{chosen}", indented(outcome.out) if chosen == "json" else outcome.out)


def test_two_windows_of_one_file(run: Run) -> None:
    outcome = run("compare", "--before", "2020-01-01..2020-01-02", "--after", "2020-01-01..now", *CHAT, "-f", "json")

    document = json.loads(outcome.out)
    assert outcome.code == ExitCode.ANSWERED
    assert document["verdict"]["text"] == "Nothing to compare: no requests before"
    assert document["after"]["trace_count"] > 100


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "Invalid value: say what to compare: two sides, or --split-by, --slow or --failed"),
        (("--before", "-1h..now"), "Invalid value: a comparison has two sides, not 1"),
        (("--slow", "5%", "--failed"), "Invalid value: give two sides, or one of --split-by, --slow and --failed"),
        (("fixtures/chat.json", "abcd"), "Invalid value: a trace is compared with another trace"),
        (
            ("--before", "-2h..-1h", "--after", "-1h..now", "--lookback", "1h"),
            "Invalid value: give windows with --before and --after, or --lookback and the like, not both",
        ),
        (
            ("--slow", "5"),
            "Invalid value for '--slow': '5' is not a share between 0% and 100%, write for example 10% or 0.1",
        ),
    ],
)
def test_usage_ends_with_2(arguments: tuple[str, ...], error: str, run: Run) -> None:
    outcome = run("compare", *arguments, *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert outcome.err.splitlines() == [
        f"traceq: error: {error}",
        "traceq: hint: `traceq compare --help` shows how",
    ]


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("nothere", "no span carries the tag 'nothere'"),
        ("room_id=x", "no span carries room_id=x"),
        (
            "telemetry.sdk.language",
            "every span that carries 'telemetry.sdk.language' says 'python': nothing to split by",
        ),
    ],
)
def test_a_tag_that_splits_nothing_ends_with_3(tag: str, error: str, run: Run) -> None:
    outcome = run("compare", "--split-by", tag, *CHAT)

    assert (outcome.code, outcome.out) == (ExitCode.NOT_FOUND, "")
    assert outcome.err.splitlines()[0] == f"traceq: error: {error}"


def test_a_file_that_is_not_there_ends_with_5(run: Run, tmp_path: Path) -> None:
    outcome = run("compare", "fixtures/chat.json", str(tmp_path / "gone.json"))

    assert (outcome.code, outcome.out) == (ExitCode.INPUT_UNREADABLE, "")
