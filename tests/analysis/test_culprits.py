from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace
from traceq.analysis.culprits import CULPRIT_COLUMNS, Measure, RequestOptions, culprits, examine
from traceq.report import document
from traceq.semantics import Kind
from traceq.traces import Traces

SLOW_MESSAGE = (
    span("POST", None, 0, 1200, service="chat", kind=Kind.SERVER),
    span("auth", "POST", 10, 40, service="chat", kind=Kind.CLIENT),
    span("GET", "auth", 15, 35, service="user", kind=Kind.SERVER),
    span("save", "POST", 50, 1150, service="chat"),
    span(
        "insert",
        "save",
        100,
        1100,
        service="chat",
        kind=Kind.CLIENT,
        attributes={"db.system": "mongodb", "db.statement": "insert messages"},
    ),
)


def flagged(traces: Traces, measure: Measure = "critical-time") -> list[tuple[str, int, int]]:
    examined = examine(traces, RequestOptions(measure=measure))
    found = culprits(examined, int(examined.requests.entries[0]), measure)
    return [(culprit.name, culprit.held_ns, culprit.network_ns) for culprit in found]


def test_the_span_that_holds_a_fifth_of_the_request_is_flagged_with_its_chain_and_statement() -> None:
    examined = examine(trace(*SLOW_MESSAGE), RequestOptions())

    (found,) = culprits(examined, 0, "critical-time")

    assert document(CULPRIT_COLUMNS, found) == {
        "span_id": "insert",
        "service": "chat",
        "operation": "insert",
        "peer": "mongodb",
        "call_count": 1,
        "held_ns": 1000,
        "ratio": 1000 / 1200,
        "network_ns": 0,
        "duration_ns": 1000,
        "chain": [
            {"service": "chat", "operation": "POST"},
            {"service": "chat", "operation": "save"},
            {"service": "chat", "operation": "insert"},
        ],
        "statement": "insert messages",
    }


def test_by_duration_everything_above_it_is_flagged_too() -> None:
    assert flagged(trace(*SLOW_MESSAGE), "duration") == [("save", 1100, 0), ("insert", 1000, 0)]


def test_without_a_span_of_a_fifth_the_greatest_is_flagged() -> None:
    spans = [span("root", None, 0, 100)] + [span(f"c{i}", "root", 10 * i, 10 * i + 5 + i) for i in range(5)]

    assert flagged(trace(*spans)) == [("c4", 9, 0)]


def test_what_passes_between_caller_and_callee_is_charged_to_the_callee() -> None:
    spans: tuple[SpanSpec, ...] = (
        span("root", None, 0, 100, service="a"),
        span("call", "root", 0, 100, service="a", kind=Kind.CLIENT),
        span("serve", "call", 40, 60, service="b", kind=Kind.SERVER),
    )

    assert flagged(trace(*spans)) == [("serve", 100, 80)]


def test_alike_siblings_count_as_one_call() -> None:
    selects = [span(f"s{i}", "root", 20 * i, 20 * i + 15, name="SELECT") for i in range(4)]
    spans = [span("root", None, 0, 100), *selects, span("s4", "root", 80, 99, name="other")]

    assert flagged(trace(*spans)) == [("SELECT", 60, 0)]


def test_a_request_without_calls_has_no_bottleneck() -> None:
    assert flagged(trace(("root", None, 0, 100))) == []


@given(tables())
def test_charging_moves_time_and_loses_none(traces: Traces) -> None:
    examined = examine(traces, RequestOptions(with_fragments=True))

    assert int(examined.charged_ns.sum()) == int(examined.paths.own_ns.sum())
    assert (examined.network_ns <= examined.charged_ns).all()
