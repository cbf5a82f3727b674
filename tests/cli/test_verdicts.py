"""The answer is the first line of the text, and stands in the document."""

from __future__ import annotations

import json
from pathlib import Path

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
    ("deps", "--critical"),
    ("deps", "--cycles"),
    ("deps", "--impact", "user-service"),
    ("deps", "--path", "chat-service", "user-service"),
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
        **dict.fromkeys(("tag", "tag_value", "tag_slow_ratio", "tag_other_ratio")),
    }


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        (
            ("--critical",),
            {
                "text": "chat-service → mongodb bigtech_chat holds requests up most: 9.52 s, 56 % of all time.",
                "caller": "chat-service",
                "callee": "mongodb bigtech_chat",
                "critical_ns": 9_516_471_000,
                "critical_ratio": 0.556146641527932,
            },
        ),
        (
            ("--cycles",),
            {
                "text": "No cycles: nobody calls itself, directly or through others.",
                "cycle_count": 0,
                "blocking_count": 0,
            },
        ),
        (
            ("--impact", "user-service"),
            {
                "text": "98 of 106 traces (92 %) need user-service.",
                "affected_count": 3,
                "needing_ratio": 98 / 106,
            },
        ),
        (
            ("--path", "user-service", "chat-service"),
            {
                "text": "user-service does not reach chat-service; chat-service reaches user-service.",
                "way_count": 0,
                "step_count": None,
                "leads_back": True,
            },
        ),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_questions_about_the_graph_have_a_verdict(
    question: tuple[str, ...], verdict: dict[str, object], run: Run
) -> None:
    assert json.loads(run("deps", *question, *CHAT, "-f", "json").out)["verdict"] == verdict


def test_the_tag_that_slow_requests_have_is_said_with_what_makes_them_slow(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "tenants.json"
    path.write_text(json.dumps({"data": [_request(number) for number in range(60)]}))

    text = run("bottlenecks", "shop", "--source", str(path), "--tags", width=VERY_WIDE).out
    document = json.loads(run("bottlenecks", "shop", "--source", str(path), "--tags", "-f", "json").out)
    untold = json.loads(run("bottlenecks", "shop", "--source", str(path), "-f", "json").out)

    assert document["verdict"]["text"] == (
        "Slow requests spend 95 % of their time in SELECT carts (→ mysql); typical ones 50 %. "
        "100 % of the slow traces have tenant=acme, of the others 0 %."
    )
    assert text.splitlines()[0] == document["verdict"]["text"]
    assert (document["verdict"]["tag"], document["verdict"]["tag_value"]) == ("tenant", "acme")
    assert [change["value"] for change in document["tags"]["changes"]] == ["acme"]
    assert (untold["tags"], untold["verdict"]["tag"]) == (None, None)


def _request(number: int) -> dict[str, object]:
    """Give a request that asks a database; of a tenth, those of one tenant, it takes a hundred times as long."""
    is_slow = number % 10 == 0
    query_us = 190_000 if is_slow else 10_000
    tenant = "acme" if is_slow else f"other-{number % 3}"
    spans = [
        ("a", None, "GET /cart", 0, query_us + 10_000, [("span.kind", "server"), ("tenant", tenant)]),
        ("b", "a", "SELECT carts", 5_000, query_us, [("span.kind", "client"), ("db.system", "mysql")]),
    ]
    trace_id = f"{number + 1:032x}"
    return {
        "traceID": trace_id,
        "processes": {"p": {"serviceName": "shop"}},
        "spans": [
            {
                "traceID": trace_id,
                "spanID": f"{span_id * 4}{number:012x}",
                "operationName": name,
                "references": [{"refType": "CHILD_OF", "traceID": trace_id, "spanID": f"{parent * 4}{number:012x}"}]
                if parent
                else [],
                "startTime": 1_700_000_000_000_000 + 1_000_000 * number + start,
                "duration": duration,
                "tags": [{"key": key, "type": "string", "value": value} for key, value in tags],
                "processID": "p",
            }
            for span_id, parent, name, start, duration, tags in spans
        ],
    }
