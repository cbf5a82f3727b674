"""What is not counted among requests, and how it is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import SpanSpec, span, traces
from tests.cli.conftest import Run
from traceq.codec.json_writers import encode_trace
from traceq.semantics import Kind

MS = 10**6
EVENTS = {"http.response.header.content_type": "text/event-stream"}


def request(name: str = "POST /messages", length_ns: int = 40 * MS, **options: Any) -> tuple[SpanSpec, ...]:
    return (span("1", None, 0, length_ns, service="chat", name=name, kind=Kind.SERVER, **options),)


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """Twenty requests, two polls, a stream, and one more request of which two fragments are left."""
    by_id = {
        **{f"a{i:x}": request(length_ns=(40 + i) * MS) for i in range(20)},
        **{f"b{i:x}": request("GET /poll", 9000 * MS) for i in range(2)},
        "c": request("GET /stream", 600_000 * MS, attributes=EVENTS),
        "d": tuple(span(f"{i}", f"ff{i}", 0, MS, service="chat", kind=Kind.CLIENT) for i in range(1, 3)),
    }
    table = traces(by_id)
    path = tmp_path / "mixed.json"
    path.write_bytes(b'{"data": [%s]}' % b",".join(encode_trace(table, at) for at in range(len(table))))
    return str(path)


def test_streams_and_fragments_are_said_apart(run: Run, mixed: str) -> None:
    outcome = run("bottlenecks", "chat", "--source", mixed, "--not-operation", "GET /poll")

    assert "\n21 requests of chat   p50 49." in outcome.out
    assert (
        "set apart: 2 fragments of 1 trace whose parents are missing, all that is left of\n"
        "  1 request; 1 stream (--include-streams)\n"
    ) in outcome.out


@pytest.mark.parametrize("command", ["bottlenecks", "findings", "errors"])
def test_counts_stand_in_documents(run: Run, mixed: str, command: str) -> None:
    def told(*options: str) -> tuple[int, dict[str, int]]:
        document = json.loads(run(command, "chat", "--source", mixed, "--format", "json", *options).out)
        assert document["incomplete_request_count"] == 1
        return document["request_count"], document["set_apart"]

    apart = {
        "fragment_count": 2,
        "fragment_trace_count": 1,
        "stream_count": 1,
        "excluded_request_count": 0,
        "span_count": 3,
    }
    assert told() == (23, apart)
    assert told("--include-streams") == (24, {**apart, "stream_count": 0, "span_count": 2})
    assert told("--not-operation", "GET /stream") == (
        23,
        # A trace of nothing else is not selected.
        {**apart, "stream_count": 0, "span_count": 2},
    )


def test_checks_and_comparisons_leave_them_out(run: Run, mixed: str) -> None:
    check = run("check", "max(chat) < 100ms", "--source", mixed, "--not-operation", "GET /poll")
    compared = run(
        "compare", mixed, mixed, "--service", "chat", "--format", "json", "--not-operation", "chat:GET /poll"
    )

    assert check.code == 0
    before = json.loads(compared.out)["before"]
    assert (before["request_count"], before["incomplete_request_count"]) == (21, 1)


def test_checks_and_comparisons_say_what_they_leave_out(run: Run, mixed: str) -> None:
    apart = {
        "fragment_count": 2,
        "fragment_trace_count": 1,
        "stream_count": 1,
        "excluded_request_count": 0,
        "span_count": 3,
    }
    poll = ("--not-operation", "GET /poll")
    told = "2 fragments of 1 trace whose parents are missing"

    compared = ("compare", mixed, mixed, "--service", "chat", *poll)
    document = json.loads(run(*compared, "--format", "json").out)
    sides = [document[side] for side in ("before", "after")]
    assert [(side["incomplete_request_count"], side["set_apart"]) for side in sides] == [(1, apart), (1, apart)]
    lines = " ".join(run(*compared).out.split())
    assert f"set apart before: {told}" in lines
    assert f"set apart after: {told}" in lines

    checked = ("check", "max(chat) < 100ms", "calls(POST /messages) <= 1", "no(slow-query)", "--source", mixed, *poll)
    results = json.loads(run(*checked, "--format", "json").out)["checks"]
    nothing = dict.fromkeys(apart, 0)
    # Of spans that are named, all count. Without a service, spans of two lost parents are all that is left of a trace.
    assert [result["set_apart"] for result in results] == [apart, nothing, apart]
    lines = " ".join(run(*checked).out.split())
    assert lines.count(told) == 1
    assert f"set apart for max(chat) < 100ms, no(slow-query): {told}" in lines


def test_where_nothing_else_is_there_it_is_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "stream.json"
    path.write_bytes(b'{"data": [%s]}' % encode_trace(traces({"c": request(attributes=EVENTS, name="GET /s")}), 0))

    for command in ("bottlenecks", "findings", "errors"):
        assert "set apart: 1 stream (--include-streams)" in run(command, "--source", str(path)).out
