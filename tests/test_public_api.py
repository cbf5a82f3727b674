from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import traceq
from tests.builders import span, traces
from tests.sources.replay import FIXTURES
from traceq.render.records import render_csv, render_json
from traceq.semantics import Kind, Status
from traceq.sources import open_source

PUBLIC = [
    "Bottlenecks",
    "CallPaths",
    "Comparison",
    "ConnectionOptions",
    "CriticalPath",
    "DecodeError",
    "Dependencies",
    "ErrorOrigins",
    "Finding",
    "Findings",
    "Found",
    "InputError",
    "Kind",
    "LoginRequired",
    "NotFoundError",
    "Operation",
    "Peer",
    "ReadWarning",
    "SelfTime",
    "ServiceReport",
    "Source",
    "SourceError",
    "Span",
    "Statistics",
    "Status",
    "Thresholds",
    "TraceQuery",
    "TraceWarning",
    "TraceqError",
    "Traces",
    "WhatIf",
    "Window",
    "bottlenecks",
    "compare",
    "connect",
    "critical_path",
    "dependencies",
    "errors_by_origin",
    "findings",
    "flame",
    "load",
    "page",
    "schema",
    "self_time",
    "service_report",
    "statistics",
    "what_if",
]


def test_the_public_names_are_these() -> None:
    assert sorted(traceq.__all__) == PUBLIC
    assert dir(traceq) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(traceq, name))


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'traceq' has no attribute 'nothing'"):
        traceq.nothing  # noqa: B018 - the access is the test


RESULTS: dict[str, Callable[[traceq.Traces], Any]] = {
    "Traces": lambda found: found,
    "Bottlenecks": traceq.bottlenecks,
    "Comparison": lambda found: traceq.compare(found, found),
    "CriticalPath": traceq.critical_path,
    "Dependencies": traceq.dependencies,
    "ErrorOrigins": traceq.errors_by_origin,
    "Findings": traceq.findings,
    "SelfTime": traceq.self_time,
    "ServiceReport": traceq.service_report,
    "Statistics": lambda found: traceq.statistics(found, "service", "operation"),
    "WhatIf": lambda found: traceq.what_if(found, "mysql=0"),
}

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def chat() -> traceq.Traces:
    return traceq.load(FIXTURES / "chat.json")


@pytest.fixture
def hostile() -> traceq.Traces:
    """Give traces in which everything that has a name is called something that a page must not run."""
    failing = {"error.type": SCRIPT, "error.message": SCRIPT, "db.system": "mysql", "db.statement": SCRIPT}
    spans = (
        span("1", None, 0, 10**9, service=SCRIPT, name=SCRIPT, kind=Kind.SERVER, status=Status.ERROR),
        span("2", "1", 1, 9 * 10**8, service=SCRIPT, name=SCRIPT, status=Status.ERROR, attributes=failing),
    )
    return traces({"a": spans, "b": spans})


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_a_frame_a_document_and_a_report(name: str, chat: traceq.Traces) -> None:
    result = RESULTS[name](chat)

    assert type(result).__name__ == name
    assert not result.to_frame().empty
    report = result.report()
    assert report.blocks
    assert {key: report.document[key] for key in result.to_dict()} == result.to_dict()
    assert render_json(report.document).startswith("{")
    assert render_csv(report.records).count("\n") > 1


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_says_in_a_few_words_what_it_is(name: str, chat: traceq.Traces) -> None:
    text = repr(RESULTS[name](chat))

    assert text.startswith(f"{name}(")
    assert len(text) <= 400


@pytest.mark.parametrize("name", RESULTS)
def test_notebooks_run_nothing_that_traces_hold(name: str, hostile: traceq.Traces) -> None:
    page = RESULTS[name](hostile)._repr_html_()

    assert "<table>" in page
    # Two of them begin with a table of nothing but numbers.
    assert ("&lt;script&gt;" in page) == (name not in {"Comparison", "WhatIf"})
    assert "<script" not in page


def test_notebooks_show_the_sentence_and_the_first_table_of_the_report(chat: traceq.Traces) -> None:
    pages = {name: RESULTS[name](chat)._repr_html_() for name in RESULTS}

    assert pages["ServiceReport"].startswith("<p>Slow requests spend 86 % of their time in mongodb.insert (")
    assert "<th>request</th>" in pages["ServiceReport"]
    assert pages["Findings"].startswith("<p>Slow query mongodb.insert (chat-service) costs most: ")
    assert "<th>of slow</th>" in pages["Bottlenecks"]
    assert pages["SelfTime"].startswith("<p>SelfTime(")


def test_a_finding_and_what_a_source_found_are_short_too(chat: traceq.Traces) -> None:
    finding = traceq.findings(chat).findings[0]
    found = open_source((str(FIXTURES / "chat.json"),)).find(traceq.TraceQuery(), with_attributes=False)

    assert repr(finding).startswith(
        "Finding(kind='slow-query', service='chat-service', name='mongodb.insert', cost_ns="
    )
    assert len(repr(finding)) <= 400
    assert len(repr(found)) <= 400


def test_a_table_of_spans_says_how_much_there_is(chat: traceq.Traces) -> None:
    assert repr(chat) == "Traces(106 traces, 1,606 spans, 5 services)"
    assert "<p>86 more: .to_frame()</p>" in chat._repr_html_()
