"""`traceq archive`."""

from __future__ import annotations

import io
import json

import pytest

from tests.cli.conftest import Run
from tests.sources.servers import Reply, Seen, serving

FIRST, SECOND, ABSENT = "1" * 32, "2" * 32, "a" * 32
NOT_FOUND = Reply(b'{"data":null,"errors":[{"code":404,"msg":"trace not found"}]}', 404)


def jaeger(target: str, _: Seen) -> Reply:
    """Archive every trace but one."""
    return NOT_FOUND if target.endswith(ABSENT) else Reply(b'{"data":[],"total":0,"errors":[]}')


def full_disk(target: str, _: Seen) -> Reply:
    """Fail over every trace but the first."""
    if target.endswith(FIRST):
        return Reply(b'{"data":[],"errors":[]}')
    return Reply(b'{"data":null,"errors":[{"code":500,"msg":"disk full"}]}', 500)


def orders(seen: Seen) -> list[str]:
    return [target for target, _ in seen.requests]


def test_traces_are_archived_and_the_next_command_shows_one(run: Run) -> None:
    with serving(jaeger) as seen:
        outcome = run("archive", FIRST, SECOND, FIRST, "--source", seen.url)

    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        f"archived 2 traces at {seen.url}",
        " TRACE",
        f" {FIRST}  archived",
        f" {SECOND}  archived",
        f"next: traceq show {FIRST} --source {seen.url}",
    ]
    assert orders(seen) == [f"/api/archive/{FIRST}", f"/api/archive/{SECOND}"]


def test_ids_come_from_standard_input_as_lines_or_as_records_of_a_search(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.dumps({"trace_id": SECOND, "duration_ns": 5})
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{FIRST}\n\n{record}\n"))

    with serving(jaeger) as seen:
        outcome = run("archive", "-", "--source", seen.url, "--format", "csv")

    assert outcome.out.splitlines() == [
        "trace_id,is_archived,problem",
        f"{FIRST},true,",
        f"{SECOND},true,",
    ]


def test_what_is_missing_is_told_after_the_others_are_archived(run: Run) -> None:
    with serving(jaeger) as seen:
        outcome = run("archive", ABSENT, FIRST, "--source", seen.url, "--format", "json")

    document = json.loads(outcome.out)
    assert outcome.code == 3
    assert (document["schema"], document["archived_count"]) == ("traceq.archive/1", 1)
    assert document["traces"] == [
        {"trace_id": ABSENT, "is_archived": False, "problem": "not found"},
        {"trace_id": FIRST, "is_archived": True, "problem": None},
    ]
    assert f"no trace {ABSENT} at {seen.url}" in outcome.err


def test_when_the_server_fails_the_answer_tells_what_is_archived(run: Run) -> None:
    with serving(full_disk) as seen:
        outcome = run("archive", FIRST, SECOND, ABSENT, "--source", seen.url, width=120)

    assert outcome.code == 4
    assert outcome.out.splitlines()[:5] == [
        f"archived 1 of 3 traces at {seen.url}",
        " TRACE",
        f" {FIRST}  archived",
        f" {SECOND}  Jaeger at {seen.url} answered 500 Internal Server Error: disk full",
        f" {ABSENT}  not asked for after the failure",
    ]
    assert len(orders(seen)) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param((FIRST, "--source", "fixtures/chat.json"), "files keep their traces: name a server", id="files"),
        pytest.param(("http://jaeger/search",), "a link to a trace ends in /trace/<id>", id="no link to a trace"),
        pytest.param((f"http://a/trace/{FIRST}", f"http://b/trace/{FIRST}"), "one server at a time", id="two servers"),
        pytest.param((), "Missing argument", id="nothing"),
    ],
)
def test_orders_that_make_no_sense_are_usage_errors(words: tuple[str, ...], told: str, run: Run) -> None:
    outcome = run("archive", *words)

    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.parametrize(
    ("given", "told"),
    [("\n", "standard input names no trace"), ('{"id": 1}\n', "a record on standard input has no trace_id")],
)
def test_standard_input_without_ids_is_a_usage_error(
    given: str, told: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))

    outcome = run("archive", "-")

    assert (outcome.code, told in outcome.err) == (2, True)


def test_a_link_to_jaeger_ui_names_server_and_trace(run: Run) -> None:
    with serving(jaeger) as seen:
        outcome = run("archive", f"{seen.url}/jaeger/trace/{FIRST}?uiFind=x")

    assert outcome.code == 0
    assert orders(seen) == [f"/jaeger/api/archive/{FIRST}"]
