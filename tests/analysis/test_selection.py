from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, span, trace
from traceq.analysis.culprits import Examined, examine
from traceq.analysis.requests import RequestOptions
from traceq.analysis.selection import Wanted, select_spans
from traceq.traces import Event, Traces


def examined(traces: Traces) -> Examined:
    return examine(traces, RequestOptions(with_fragments=True))


@pytest.fixture
def chat() -> Examined:
    return examined(
        trace(
            span("a1", None, 0, 100, service="chat-service", name="POST /rooms"),
            span("b2", "a1", 10, 60, service="chat-service", name="insert", attributes={"db.system": "mongodb"}),
            span("c3", "a1", 20, 40, service="user-service", name="GET", attributes={"http.status_code": 500}),
            span(
                *("d4", "c3", 25, 35),
                service="user-service",
                name="retry",
                events=(Event(EPOCH_NS + 30, "exception", {"exception.type": "TimeoutError"}),),
            ),
        )
    )


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("post", {0: ("operation",)}),
        ("USER-service", {2: ("service",), 3: ("service",)}),
        ("MongoDB", {1: ("peer", "attribute db.system")}),
        ("http.status_code=500", {2: ("attribute http.status_code",)}),
        ("timeouterror", {3: ("event exception",)}),
        ("exception", {3: ("event exception",)}),
        ("d4", {3: ("span",)}),
        ("nowhere", {}),
    ],
)
def test_a_text_is_found_wherever_a_span_has_it(text: str, matches: dict[int, tuple[str, ...]], chat: Examined) -> None:
    found = select_spans(chat, Wanted(text))

    assert (found.matches, found.rows) == (matches, frozenset(matches))


def test_the_path_and_a_subtree_are_selected(chat: Examined) -> None:
    assert select_spans(chat, Wanted(on_path=True)).rows == {0, 1}
    assert select_spans(chat, Wanted(root=2)).rows == {2, 3}
    assert select_spans(chat, Wanted("retry", root=2)).rows == {3}
    assert select_spans(chat, Wanted("retry", on_path=True)).rows == set()


@given(tables(), st.integers(0, 29))
def test_a_subtree_is_a_span_and_everything_below_it(table: Traces, number: int) -> None:
    if not table.span_count:
        return
    whole = examined(table)
    parents, root = whole.spans.parents.tolist(), number % table.span_count

    def leads_to_root(row: int) -> bool:
        while row >= 0 and row != root:
            row = parents[row]
        return row == root

    rows = select_spans(whole, Wanted(root=root)).rows

    assert rows == {row for row in range(table.span_count) if leads_to_root(row)}
