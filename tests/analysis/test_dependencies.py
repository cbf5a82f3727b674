from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import span, trace
from traceq.analysis.dependencies import Dependencies, Dependency, around, from_jaeger
from traceq.catalog import ServiceCall
from traceq.library import dependencies
from traceq.semantics import Kind
from traceq.traces import Traces


def test_calls_between_services_are_counted_and_messages_told_apart() -> None:
    spans = (
        span("1", None, 0, 100, service="user"),
        span("2", "1", 0, 50, service="chat"),
        span("3", "2", 0, 50, service="chat"),
        span("4", "1", 50, 90, service="chat"),
        span("5", "2", 10, 20, service="chat", kind=Kind.PRODUCER),
        span("6", "5", 120, 150, service="notification", kind=Kind.CONSUMER),
    )

    assert dependencies(trace(*spans)) == Dependencies(
        "traces",
        ("chat", "notification", "user"),
        (
            Dependency("chat", "notification", is_async=True, call_count=1),
            Dependency("user", "chat", is_async=False, call_count=2),
        ),
        1,
    )


def test_a_service_without_calls_is_still_there() -> None:
    assert dependencies(trace(span("1", None, 0, 1, service="cron"))).services == ("cron",)


@given(tables())
def test_one_table_or_trace_by_trace_is_the_same(traces: Traces) -> None:
    assert dependencies(traces) == dependencies(iter(traces))


RING = from_jaeger([ServiceCall(edge[0], edge[1], 1) for edge in ("AB", "AC", "BC", "CA", "CC", "DA", "CE", "EF")])


def test_every_edge_among_the_chosen_services_is_kept() -> None:
    near = around(RING, "A", 2)

    assert near.services == ("A", "B", "C", "D", "E")
    assert [f"{call.caller}{call.callee}" for call in near.calls] == ["AB", "AC", "BC", "CA", "CC", "CE", "DA"]


def test_a_service_that_is_not_there_has_nothing_around_it() -> None:
    with pytest.raises(ValueError, match="no service named 'X' among the dependencies"):
        around(RING, "X", 1)


def test_the_frame_has_a_row_a_pair_even_when_there_are_none() -> None:
    assert list(from_jaeger([]).to_frame().columns) == ["caller", "callee", "call_count", "asynchronous"]
