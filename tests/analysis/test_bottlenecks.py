from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given

from tests.analysis.arbitrary import knowing, tables
from tests.builders import SpanSpec, assemble, record, span, trace
from tests.laws import examples
from traceq.analysis.bottlenecks import BottleneckQuestion, BottleneckSums
from traceq.analysis.columns import columns, meaning_among, named
from traceq.analysis.requests import RequestOptions
from traceq.library import bottlenecks
from traceq.semantics import Kind, Status
from traceq.traces import Traces


def message(insert_ns: int) -> list[SpanSpec]:
    end = insert_ns + 100
    return [
        span("1", None, 0, end, service="chat", name="POST", kind=Kind.SERVER),
        span("2", "1", 10, 60, service="chat", name="check"),
        span(
            "3",
            "1",
            70,
            70 + insert_ns,
            service="chat",
            name="insert",
            kind=Kind.CLIENT,
            attributes={"db.system": "mongodb"},
        ),
    ]


@pytest.fixture
def messages() -> Traces:
    """95 messages of about 200 ns and 5 of about 10,000 ns, whose inserts are to blame."""
    inserts = [100] * 95 + [10_000] * 5
    return assemble([record(*message(insert), trace_id=f"{i:x}") for i, insert in enumerate(inserts, 1)])


def test_slow_requests_are_told_from_typical_ones(messages: Traces) -> None:
    found = bottlenecks(messages, "chat")

    assert [(line.key.name, line.sums.critical_ns, line.sums.request_count) for line in found.groups] == [
        ("insert", 95 * 100 + 5 * 10_000, 100),
        ("POST", 100 * 50, 100),
        ("check", 100 * 50, 100),
    ]
    insert = found.groups[0]
    assert insert.slow_ratio == 50_000 / 50_500
    assert insert.typical_ratio == 9_500 / 19_000
    assert found.slow_count == 5
    assert found.slow_from_ns == pytest.approx(10_100, rel=0.01)


def test_names_with_ids_are_one_operation_and_still_say_which_request() -> None:
    orders = [
        record(span("1", None, 0, 100, service="shop", name=f"GET /orders/{n}", kind=Kind.SERVER), trace_id=f"{n:x}")
        for n in (7, 8, 9)
    ]

    found = bottlenecks(assemble(orders), "shop")

    assert [(line.key.name, line.sums.request_count) for line in found.groups] == [("GET /orders/{id}", 3)]
    assert [slow.name for slow in found.sums.slowest] == ["GET /orders/9", "GET /orders/8", "GET /orders/7"]
    for text, expected in (("GET /orders/8", [False, True, False]), ("shop:GET /orders/{id}", [True] * 3)):
        assert named(columns(assemble(orders)), text).tolist() == expected


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("GET /orders/{id}", 0), ("GET /orders/8", 0), ("shop:GET /orders/8", 1), ("GET /orders", None)],
)
def test_a_name_with_ids_means_its_operation(text: str, meaning: int | None) -> None:
    assert meaning_among([("shop", "GET /orders/{id}", None)], text) == meaning


def test_the_slowest_requests_come_first_with_what_held_them_up(messages: Traces) -> None:
    first = bottlenecks(messages, "chat").sums.slowest[0]

    assert (first.latency_ns, first.trace_id, first.name) == (10_100, "64", "POST")
    assert [culprit.name for culprit in first.culprits] == ["insert"]


def test_with_few_requests_slow_and_typical_are_not_told_apart() -> None:
    found = bottlenecks(trace(*message(100)), "chat")

    assert (found.slow_count, found.groups[0].slow_ratio, found.groups[0].excess_ratio) == (None, None, 0.0)


def test_failed_requests_and_spans_are_counted() -> None:
    spans = [
        span("1", None, 0, 10, service="chat", name="POST", status=Status.ERROR),
        span("2", "1", 2, 4, service="chat", name="insert", status=Status.ERROR),
    ]

    found = bottlenecks(trace(*spans), "chat")

    assert found.sums.failed_count == 1
    assert [line.sums.error_count for line in found.groups] == [1, 1]


def test_the_ranking_can_go_by_other_measures(messages: Traces) -> None:
    assert [line.key.name for line in bottlenecks(messages, "chat", by="duration").groups] == [
        "POST",
        "insert",
        "check",
    ]


def test_no_requests_make_an_empty_ranking() -> None:
    document = bottlenecks(trace(*message(100)), "nobody").to_dict()

    assert (document["request_count"], document["latency"], document["operations"]) == (0, None, [])


def test_the_frame_has_a_row_a_line(messages: Traces) -> None:
    frame = bottlenecks(messages, "chat").to_frame()

    assert frame["operation"].tolist() == ["insert", "POST", "check"]
    assert frame["duration.max_ns"].tolist() == [10_000, 10_100, 50]


@examples(0.5)
@given(tables())
def test_sums_of_parts_add_up_in_any_order(traces: Traces) -> None:
    traces = knowing(traces)
    options = RequestOptions()
    by_parts = [BottleneckQuestion(options).collect(part) for part in traces]
    forward = reduce(BottleneckSums.__add__, by_parts, BottleneckSums())
    backward = reduce(BottleneckSums.__add__, reversed(by_parts), BottleneckSums())

    assert BottleneckQuestion(options).rank(forward).to_dict() == BottleneckQuestion(options).rank(backward).to_dict()
    assert int(forward.groups.critical_ns.sum()) == forward.latency.total_ns


@examples(0.5)
@given(tables())
def test_one_table_or_trace_by_trace_is_the_same(traces: Traces) -> None:
    assert bottlenecks(traces).to_dict() == bottlenecks(iter(traces)).to_dict()
