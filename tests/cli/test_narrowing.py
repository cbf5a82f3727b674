"""Machine formats obey the question: `--top`, `--fields`, and the filters of `show`."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run

CHAT = ("--source", "fixtures/chat.json")
SLOW = "5266ff355aab16a3257a28fb786cd0f9"


def told(run: Run, *arguments: str) -> dict[str, Any]:
    outcome = run(*arguments, *CHAT, "--format", "json")
    assert outcome.code == 0, outcome.err
    document: dict[str, Any] = json.loads(outcome.out)
    return document


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        (("bottlenecks", "chat-service"), "operations"),
        (("findings", "chat-service"), "findings"),
        (("errors",), "errors"),
        (("stats",), "rows"),
        (("compare", "chat-service", "--slow", "5%"), "operations"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_top_holds_for_programs_too_and_says_what_it_leaves_out(command: tuple[str, ...], rows: str, run: Run) -> None:
    whole = told(run, *command)
    cut = told(run, *command, "--top", "1")

    assert (whole["total_count"], whole["truncated"]) == (len(whole[rows]), False)
    assert (cut["total_count"], cut["truncated"], len(cut[rows])) == (len(whole[rows]), True, 1)
    assert cut[rows][0] in whole[rows]
    records = run(*command, *CHAT, "--format", "ndjson", "--top", "1").out.splitlines()
    assert len(records) < len(run(*command, *CHAT, "--format", "ndjson").out.splitlines())


def test_levels_are_limited_each(run: Run) -> None:
    cut = told(run, "stats", "--by", "service", "--by", "operation", "--top", "2")

    assert [len(row["rows"]) for row in cut["rows"]] == [2, 2]


@pytest.mark.parametrize(
    "options",
    [("--errors",), ("--depth", "1"), ("--min-span-duration", "100ms"), ("--errors", "--depth", "2")],
    ids=" ".join,
)
def test_filters_of_show_hold_for_programs(options: tuple[str, ...], run: Run) -> None:
    whole = told(run, "show", SLOW)
    part = told(run, "show", SLOW, *options)

    assert (part["total_count"], part["truncated"]) == (len(whole["spans"]), len(part["spans"]) < len(whole["spans"]))
    assert [span for span in whole["spans"] if span in part["spans"]] == part["spans"]
    records = run("show", SLOW, *options, *CHAT, "--format", "csv").out.splitlines()
    assert len(records) == 1 + len(part["spans"])
    ids = {span["span_id"] for span in part["spans"]}
    # Whoever leads to a span that is shown is shown, so that a program can tell how it came to it.
    assert all(span["parent_id"] is None or span["parent_id"] in ids for span in part["spans"])


def test_fields_are_the_same_in_every_machine_format(run: Run) -> None:
    fields = ("--fields", "operation,duration.p95_ns", "--top", "2")
    document = told(run, "bottlenecks", "chat-service", *fields)
    rows = [(each["operation"], each["duration"]["p95_ns"]) for each in document["operations"]]

    lines = run("bottlenecks", "chat-service", *CHAT, *fields, "--format", "ndjson").out.splitlines()
    table = list(csv.DictReader(io.StringIO(run("bottlenecks", "chat-service", *CHAT, *fields, "-f", "csv").out)))
    assert [tuple(json.loads(line).values()) for line in lines] == rows
    assert [(row["operation"], int(row["duration_p95_ns"])) for row in table] == rows
    # What an answer could be taken for more than it is without.
    assert set(document) == {"schema", "is_cut_off", "is_partial", "total_count", "truncated", "operations"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("-f", "json", "--fields", "operatons"), "the document has no 'operations.operatons', did you mean"),
        (("-f", "csv", "--fields", "operaton"), "records have no 'operaton', did you mean 'operation'"),
        (("--fields", "operation"), "text has no fields, json, ndjson and csv have"),
    ],
)
def test_fields_that_are_not_there_are_refused(options: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("bottlenecks", "chat-service", *CHAT, *options)

    assert outcome.code == 2
    assert told in outcome.err


def test_documents_are_one_line_in_pipes_and_indented_on_terminals(run: Run) -> None:
    assert run("services", *CHAT, "--format", "json").out.count("\n") == 1

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "traceq", "services", *CHAT, "--format", "json", "--no-pager"]
    subprocess.run(command, stdout=slave, stderr=subprocess.DEVNULL, check=True, cwd=ROOT)
    os.close(slave)
    shown = os.read(master, 10_000).decode()
    os.close(master)
    assert shown.startswith('{\r\n  "schema": "traceq.services/1",\r\n')


def test_failed_spans_of_a_large_trace_take_little_room(run: Run, tmp_path: Any) -> None:
    spans = [
        {
            "traceID": "a" * 32,
            "spanID": f"{number + 1:016x}",
            "operationName": f"call {number % 7}",
            "references": [{"refType": "CHILD_OF", "traceID": "a" * 32, "spanID": f"{1:016x}"}] if number else [],
            "startTime": 1_700_000_000_000_000 + number,
            "duration": 100 if number else 10**6,
            "tags": [{"key": "error", "type": "bool", "value": True}] if number % 1000 == 500 else [],
            "logs": [],
            "processID": "p",
        }
        for number in range(5_000)
    ]
    trace = {"traceID": "a" * 32, "spans": spans, "processes": {"p": {"serviceName": "s", "tags": []}}}
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"data": [trace]}))

    whole, failed = (
        run("show", "a" * 32, "--source", str(path), "--format", "json", *options).out
        for options in ((), ("--errors",))
    )

    assert len(json.loads(failed)["spans"]) == 6
    assert len(failed) * 50 <= len(whole)
