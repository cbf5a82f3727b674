"""`flame`: its options, its files, and that its answer does not depend on how traces are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run
from tests.cli.test_golden import first
from traceq.errors import ExitCode

CHAT = ("--source", "fixtures/chat.json")
HEALTHY, SLOW = first("message-healthy"), first("message-slow")


def document(run: Run, *arguments: str) -> dict[str, Any]:
    outcome = run("flame", *arguments, "-f", "json")
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def total_of(folded: str) -> int:
    return sum(int(line.rpartition(" ")[2]) for line in folded.splitlines())


@pytest.mark.parametrize("by", ["critical-time", "self-time", "duration"])
@pytest.mark.parametrize("which", [("chat-service",), (), ("--trace", SLOW)], ids=["service", "all", "trace"])
def test_folded_stacks_add_up_to_the_total(by: str, which: tuple[str, ...], run: Run) -> None:
    found = document(run, *which, *CHAT, "--by", by)
    folded = run("flame", *which, *CHAT, "--by", by, "-f", "folded").out

    assert total_of(folded) == found["total_ns"] == sum(frame["own_ns"] for frame in found["frames"])


def test_folded_stacks_of_a_comparison_add_up_to_each_side(run: Run) -> None:
    found = document(run, *CHAT, "--before", HEALTHY, "--after", SLOW)
    lines = run("flame", *CHAT, "--before", HEALTHY, "--after", SLOW, "-f", "folded").out.splitlines()

    numbers = [tuple(map(int, line.split(" ")[-2:])) for line in lines]
    assert [sum(side) for side in zip(*numbers, strict=True)] == [
        found["before"]["total_ns"],
        found["after"]["total_ns"],
    ]


def test_the_answer_does_not_depend_on_who_reads_what(run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "chat.parquet"
    assert run("convert", "fixtures/chat.json", "-o", str(archive)).code == 0

    answers = [
        document(run, "chat-service", "--source", place, "--jobs", jobs)
        for place, jobs in (("fixtures/chat.json", "1"), ("fixtures/chat.json", "2"), (str(archive), "1"))
    ]

    for answer in answers:
        del answer["source"]
    assert json.dumps(answers[0]) == json.dumps(answers[1]) == json.dumps(answers[2])


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("chat.folded", "chat-service: "),
        ("chat.speedscope.json", '{"$schema":"https://www.speedscope.app/'),
        ("chat.perfetto.json", '{"traceEvents": ['),
        ("chat.chrome.json", '{"traceEvents": ['),
        ("chat.json", '{"schema":"traceq.flame/1"'),
        ("chat.csv", "frame,caller,depth,service,operation,"),
    ],
)
def test_the_ending_of_the_file_tells_the_format(name: str, begins: str, run: Run, tmp_path: Path) -> None:
    assert run("flame", "chat-service", *CHAT, "-o", str(tmp_path / name)).code == 0

    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)


def test_formats_of_flame_graphs_are_refused_elsewhere(run: Run, tmp_path: Path) -> None:
    outcome = run("search", *CHAT, "-o", str(tmp_path / "x.folded"))

    assert outcome.code == ExitCode.USAGE
    assert "folded is for flame graphs: `traceq flame` draws one" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--before", "-2h..-1h"), "give --before and --after"),
        (("--before", HEALTHY, "--after", SLOW, "--trace", SLOW), "the ids of two traces with --before and --after"),
        (("--before", HEALTHY, "--after", SLOW, "-f", "perfetto"), "folded and speedscope hold both sides"),
        (("--before", "-2h..-1h", "--after", "-1h..now", "--lookback", "1h"), "or --lookback and the like, not both"),
    ],
)
def test_what_cannot_be_asked_is_explained(arguments: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("flame", *CHAT, *arguments, width=200)

    assert outcome.code == ExitCode.USAGE
    assert told in outcome.err


def test_nothing_to_look_at_says_what_to_try(run: Run) -> None:
    outcome = run("flame", "chat-service", *CHAT, "--min-duration", "1h")

    assert outcome.code == ExitCode.ANSWERED
    assert "No requests match: fewer conditions?" in outcome.out


def test_two_files_are_two_sides(run: Run) -> None:
    found = document(run, "--before", "fixtures/chat.json", "--after", str(ROOT / "fixtures" / "chat.json"))

    assert {frame["delta_ns"] for frame in found["frames"]} == {0}
    assert found["query"]["before"] == "chat.json"
