"""The answer is the first line of the text, and stands in the document."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

CHAT = ("--source", "fixtures/chat.json")
COMMANDS = (
    ("bottlenecks", "chat-service"),
    ("bottlenecks", "friend-service", "--operation", "import_contacts"),
    ("findings",),
    ("errors",),
    ("stats", "--by", "operation"),
    ("stats", "--by", "tag:db.system"),
    ("deps",),
    ("check", "p95(chat-service) < 1s", "no(slow-query)", "calls(mysql) <= 5"),
    ("compare", "chat-service", "--slow", "5%"),
)
VERY_WIDE = 400


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_first_line_is_the_verdict_of_the_document(command: tuple[str, ...], run: Run) -> None:
    text, document = run(*command, *CHAT, width=VERY_WIDE).out, json.loads(run(*command, *CHAT, "-f", "json").out)

    assert text.splitlines()[0] == document["verdict"]["text"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_first_line_says_that_only_the_newest_were_looked_at(command: tuple[str, ...], run: Run) -> None:
    limited = (*command, *CHAT, "--limit", "2")
    text, document = run(*limited, width=VERY_WIDE).out, json.loads(run(*limited, "-f", "json").out)

    if command[:2] == ("bottlenecks", "friend-service"):  # one trace has that operation: none is left out
        assert not document["is_cut_off"]
        assert text.splitlines()[0] == document["verdict"]["text"]
    else:
        assert document["is_cut_off"]
        assert text.splitlines()[0] == f"The newest 2 traces only: {document['verdict']['text']}"


@pytest.mark.parametrize("command", [("bottlenecks",), ("findings",), ("errors",), ("stats",)], ids=" ".join)
def test_nothing_is_said_of_nothing(command: tuple[str, ...], run: Run) -> None:
    document = json.loads(run(*command, *CHAT, "--min-duration", "1h", "-f", "json").out)

    assert document["verdict"] is None


def test_the_numbers_of_the_verdict_are_those_of_the_answer(run: Run) -> None:
    document = json.loads(run("bottlenecks", "chat-service", *CHAT, "-f", "json").out)

    first = document["operations"][0]
    assert document["verdict"] == {
        "text": "Slow requests spend 87 % of their time in mongodb.insert; typical ones 18 %.",
        "kind": "slow",
        "service": "chat-service",
        "operation": "mongodb.insert",
        **{key: first[key] for key in ("critical_ratio", "slow_ratio", "typical_ratio")},
    }
