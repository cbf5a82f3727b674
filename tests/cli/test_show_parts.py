"""`show` with `--find`, `--path` and `--subtree`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome, Run
from tests.cli.test_golden import first
from traceq.errors import ExitCode

SLOW, N_PLUS_ONE = first("message-slow"), first("friends-n-plus-one")
CHAT = ("--source", "fixtures/chat.json")


def document(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def test_what_is_found_is_numbered_and_stands_below_its_callers(run: Run) -> None:
    lines = run("show", SLOW, *CHAT, "--find", "mongodb.insert", width=120).out.splitlines()

    assert lines[0] == "1 of 17 spans contains mongodb.insert"
    assert any("match 1 of 1: operation" in line for line in lines)
    assert [line.replace("▶ ", "").split()[1] for line in lines if line.strip().startswith("└─")] == [
        "save_message_to_mongodb",
        "mongodb.insert",
    ]


def test_alike_matches_share_a_row_that_says_how_many_they_are(run: Run) -> None:
    shown = run("show", N_PLUS_ONE, *CHAT, "--find", "SELECT users", width=120).out

    assert "47 of 47 matches" in shown


def test_json_has_what_was_found_and_where(run: Run) -> None:
    found = document(run("show", SLOW, *CHAT, "--find", "mongodb", "-f", "json"))

    assert found["query"]["find"] == "mongodb"
    assert {span["operation"]: span["matches"][0] for span in found["spans"]} == {
        "save_message_to_mongodb": "operation",
        "mongodb.insert": "operation",
    }
    assert found["trace"]["span_count"] == 17


def test_nothing_found_is_an_answer_that_says_where_it_looked(run: Run) -> None:
    outcome = run("show", SLOW, *CHAT, "--find", "zzz", width=120)

    assert outcome.code == ExitCode.ANSWERED
    assert outcome.out.startswith("None of 17 spans contains zzz; names, services, attributes and events were looked")


def test_the_path_is_what_holds_it(run: Run) -> None:
    whole = document(run("show", SLOW, *CHAT, "-f", "json"))
    path = document(run("show", SLOW, *CHAT, "--path", "-f", "json"))

    held = [span["span_id"] for span in whole["spans"] if span["own_critical_ns"]]
    assert [span["span_id"] for span in path["spans"]] == held
    assert "send_sse_notification" not in run("show", SLOW, *CHAT, "--path").out


def test_a_subtree_is_drawn_by_itself(run: Run) -> None:
    whole = document(run("show", SLOW, *CHAT, "-f", "json"))
    save = next(span for span in whole["spans"] if span["operation"] == "save_message_to_mongodb")

    lines = run("show", SLOW, *CHAT, "--subtree", save["span_id"], width=120).out.splitlines()
    part = document(run("show", SLOW, *CHAT, "--subtree", save["span_id"][:8], "-f", "json"))

    top = next(at for at, line in enumerate(lines) if line.startswith(" SPAN")) + 1
    assert [line.split()[0] for line in lines[top : top + 2]] == ["save_message_to_mongodb", "└─"]
    assert [span["operation"] for span in part["spans"]] == ["save_message_to_mongodb", "mongodb.insert"]


def test_the_id_of_a_span_is_read_in_any_form(run: Run) -> None:
    span_id = document(run("show", SLOW, *CHAT, "-f", "json"))["spans"][3]["span_id"]
    plain = run("show", SLOW, *CHAT, "--span", span_id)

    link = f"http://ui/trace/{SLOW}?uiFind={span_id}"
    for text in (f'"{span_id.upper()}"', f"0x{span_id}", f"00-{SLOW}-{span_id}-01", link):
        assert run("show", SLOW, *CHAT, "--span", text).out == plain.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--subtree", "dead"), ExitCode.NOT_FOUND, f"no span 'dead' in trace {SLOW}"),
        (("--find", ""), ExitCode.USAGE, "there is nothing to find: the text is empty"),
        (("--find", "x", "--span", "dead"), ExitCode.USAGE, "it shows one span"),
    ],
)
def test_what_cannot_be_shown_is_explained(arguments: tuple[str, ...], code: ExitCode, told: str, run: Run) -> None:
    outcome = run("show", SLOW, *CHAT, *arguments, width=200)

    assert outcome.code == code
    assert told in outcome.err


@pytest.mark.parametrize("trace_id", [SLOW, N_PLUS_ONE, first("room-overview")])
def test_the_id_beside_a_row_opens_its_span_also_where_the_row_stands_for_several(trace_id: str, run: Run) -> None:
    shown = run("show", trace_id, *CHAT, "--ids", width=200).out.splitlines()
    ids = [line[1:17] for line in shown if re.match(" [0-9a-f]{16}  ", line)]
    assert any(" x " in line for line in shown) == (trace_id != SLOW)

    for span_id in ids:
        opened = document(run("show", trace_id, *CHAT, "--span", span_id, "-f", "json"))
        assert [span["span_id"] for span in opened["spans"]] == [span_id]
    folded = next((line for line in shown if " x " in line), shown[-1])
    if span_id := folded[1:17] if folded[1:17] in ids else "":
        assert " x " not in run("show", trace_id, *CHAT, "--subtree", span_id, width=200).out.splitlines()[3]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--depth", "1"), "9 of 17 spans in 9 rows; 8 not shown, as asked"),
        (("--path",), "14 of 17 spans in 14 rows; 3 not shown, as asked"),
        ((), ""),
    ],
)
def test_the_count_says_what_stands_in_the_rows(options: tuple[str, ...], told: str, run: Run) -> None:
    counts = [line for line in run("show", SLOW, *CHAT, *options).out.splitlines() if " rows" in line]

    assert counts == ([told] if told else [])


def test_the_next_command_comes_last(run: Run, tmp_path: Path) -> None:
    def one(at: int) -> dict[str, Any]:
        above = [{"refType": "CHILD_OF", "traceID": "a" * 32, "spanID": f"{1:016x}"}] if at > 1 else []
        ids = {"traceID": "a" * 32, "spanID": f"{at:016x}", "references": above}
        return {**ids, "operationName": f"step {at}", "startTime": at, "duration": 1 if at > 1 else 300}

    spans = [one(at) for at in range(1, 200)]
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"data": [{"traceID": "a" * 32, "spans": spans, "processes": {}}]}))

    lines = run("show", str(path)).out.splitlines()

    assert lines[-2].startswith(f"trace {'a' * 32} (")
    assert lines[-1].startswith(f"next: traceq show {'a' * 32} --all --source ")
