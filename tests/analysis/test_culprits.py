from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace
from traceq.analysis.culprits import CULPRIT_COLUMNS, culprits, examine
from traceq.analysis.requests import Measure, RequestOptions
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
        "is_entry": False,
    }


def test_by_duration_everything_above_it_is_flagged_too() -> None:
    assert flagged(trace(*SLOW_MESSAGE), "duration") == [("save", 1100, 0), ("insert", 1000, 0)]


def test_without_a_call_of_a_fifth_the_greatest_is_flagged_unless_the_request_holds_more_itself() -> None:
    spans = [span(f"c{i}", "root", 10 * i, 10 * i + 9 + i % 2, name=f"c{i}") for i in range(10)]

    assert flagged(trace(span("root", None, 0, 100), *spans)) == [("c1", 10, 0)]
    assert flagged(trace(span("root", None, 0, 130), *spans)) == [("root", 35, 0)]


def test_nothing_is_a_bottleneck_where_the_request_itself_holds_most() -> None:
    table = trace(span("root", None, 0, 100), span("a", "root", 0, 40))
    examined = examine(table, RequestOptions())

    (found,) = culprits(examined, 0, "critical-time")

    assert (found.name, found.ratio, found.is_entry, found.chain) == ("root", 0.6, True, (("app", "root"),))
    assert flagged(trace(span("root", None, 0, 100), span("a", "root", 0, 60))) == [("a", 60, 0)]
    assert flagged(table, "duration") == [("a", 40, 0)]


def test_a_fragment_is_rated_against_its_trace() -> None:
    lost = [span("lost", "gone", 10, 20), span("a", "lost", 11, 19)]
    examined = examine(trace(span("root", None, 0, 100), *lost), RequestOptions(with_fragments=True))
    alone = examine(trace(span("root", None, 0, 30), *lost), RequestOptions(with_fragments=True))

    assert culprits(examined, 1, "critical-time") == ()
    assert [(one.name, one.ratio) for one in culprits(alone, 1, "critical-time")] == [("a", 8 / 30)]


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


def test_a_request_without_calls_holds_itself_up_if_it_takes_any_time() -> None:
    assert flagged(trace(("root", None, 0, 100))) == [("root", 100, 0)]
    assert flagged(trace(("root", None, 5, 5), ("a", "root", 5, 5))) == []


@given(tables())
def test_charging_moves_time_and_loses_none(traces: Traces) -> None:
    examined = examine(traces, RequestOptions(with_fragments=True))

    assert int(examined.charged_ns.sum()) == int(examined.paths.own_ns.sum())
    assert (examined.network_ns <= examined.charged_ns).all()
