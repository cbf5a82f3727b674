"""The library's questions: the same answers as the command line's, from whatever holds the traces."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import traceq
from tests.cli.conftest import Run
from tests.cli.test_archive import refuse
from traceq.sources.files import FileSource, JsonFiles

CHAT = "fixtures/chat.json"
QUESTIONS: dict[str, Callable[..., Any]] = {
    "bottlenecks": traceq.bottlenecks,
    "findings": traceq.findings,
    "errors": traceq.errors_by_origin,
}


@pytest.mark.parametrize("command", QUESTIONS)
@pytest.mark.parametrize("service", ["chat-service", "friend-service"])
def test_a_path_is_asked_as_the_command_asks_it(command: str, service: str, run: Run) -> None:
    told = json.loads(run(command, service, "--source", CHAT, "--format", "json").out)

    answer = json.loads(json.dumps(QUESTIONS[command](CHAT, service).to_dict()))

    assert answer.items() <= told.items()


def test_a_path_is_never_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = traceq.bottlenecks(traceq.load(CHAT), "chat-service").to_dict()
    monkeypatch.setattr(JsonFiles, "_contents", property(refuse))

    assert traceq.bottlenecks(Path(CHAT), "chat-service", jobs=1).to_dict() == whole


def test_a_source_and_batches_answer_as_a_table_does() -> None:
    table = traceq.load(CHAT)
    source = FileSource((CHAT,))

    answers = [traceq.dependencies(each).to_dict() for each in (table, source, source.read(traceq.TraceQuery()))]

    assert answers[0] == answers[1] == answers[2]


def test_a_query_chooses_traces_of_a_source() -> None:
    query = traceq.TraceQuery(service="friend-service", min_duration_ns=100_000_000)

    chosen = traceq.bottlenecks(CHAT, "friend-service", query=query)

    assert chosen.to_dict() == traceq.bottlenecks(traceq.load(CHAT, query=query), "friend-service").to_dict()
    assert 0 < chosen.sums.latency.count < traceq.bottlenecks(CHAT, "friend-service").sums.latency.count


def test_a_query_does_not_choose_from_tables() -> None:
    with pytest.raises(ValueError, match="a query chooses traces of a source"):
        traceq.bottlenecks(traceq.load(CHAT), query=traceq.TraceQuery())


def test_attributes_are_left_out_where_nobody_wants_them() -> None:
    lean = traceq.load(CHAT, attributes=False)

    assert lean.details is None
    assert traceq.bottlenecks(lean).to_dict()["operations"] == traceq.bottlenecks(CHAT).to_dict()["operations"]


def test_names_that_do_not_exist_are_told() -> None:
    with pytest.raises(traceq.NotFoundError, match="no service named 'chat-servce'"):
        traceq.compare(CHAT, CHAT, "chat-servce")
