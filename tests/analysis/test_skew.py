from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace
from traceq.analysis.columns import columns
from traceq.analysis.skew import corrected, find_skew
from traceq.semantics import Kind
from traceq.traces import Traces


def client(span_id: str, parent_id: str | None, start_ns: int, end_ns: int, service: str = "a") -> SpanSpec:
    return span(span_id, parent_id, start_ns, end_ns, kind=Kind.CLIENT, service=service, host=f"host-{service}")


def server(span_id: str, parent_id: str | None, start_ns: int, end_ns: int, service: str = "b") -> SpanSpec:
    return span(span_id, parent_id, start_ns, end_ns, kind=Kind.SERVER, service=service, host=f"host-{service}")


@pytest.mark.parametrize(
    ("spans", "shifts"),
    [
        pytest.param([client("c", None, 0, 10), server("s", "c", 2, 8)], [0, 0], id="a server that fits stays"),
        pytest.param([client("c", None, 0, 10), server("s", "c", -40, -34)], [0, 42], id="early: centred"),
        pytest.param([client("c", None, 0, 10), server("s", "c", 40, 46)], [0, -38], id="late: centred"),
        pytest.param([client("c", None, 0, 10), server("s", "c", 3, 30)], [0, 0], id="longer and late: asynchronous"),
        pytest.param([client("c", None, 0, 10), server("s", "c", -3, 30)], [0, 3], id="longer and early: least shift"),
        pytest.param(
            [
                client("c", None, 0, 10),
                server("s", "c", -40, -34),
                span("i", "s", -39, -36, service="b", host="host-b"),
            ],
            [0, 42, 42],
            id="what is below on the same clock moves along",
        ),
        pytest.param(
            [
                client("c", None, 0, 20),
                server("s", "c", -40, -24),
                client("d", "s", -38, -28, service="b"),
                server("t", "d", 6, 12, service="z"),
            ],
            [0, 42, 42, 0],
            id="what is below on a right clock stays",
        ),
        pytest.param(
            [span("c", None, 0, 10, kind=Kind.CLIENT), span("s", "c", -40, -34, kind=Kind.SERVER)],
            [0, 0],
            id="one service without hosts has one clock",
        ),
        pytest.param(
            [
                span("c", None, 0, 10, kind=Kind.CLIENT, service="a", host="h"),
                span("s", "c", -40, -34, kind=Kind.SERVER, service="b", host="h"),
            ],
            [0, 0],
            id="two services on one host have one clock",
        ),
        pytest.param(
            [
                span("p", None, 0, 10, kind=Kind.PRODUCER, service="a"),
                span("k", "p", -5, 30, kind=Kind.CONSUMER, service="b"),
            ],
            [0, 5],
            id="a consumer before its producer: least shift",
        ),
        pytest.param(
            [
                span("p", None, 0, 10, kind=Kind.PRODUCER, service="a"),
                span("k", "p", 50, 80, kind=Kind.CONSUMER, service="b"),
            ],
            [0, 0],
            id="a consumer long after its producer is just late",
        ),
    ],
)
def test_the_shifts_of_a_hand_drawn_trace(spans: list[SpanSpec], shifts: list[int]) -> None:
    skew = find_skew(columns(trace(*spans)))

    assert skew.shift_ns.tolist() == shifts
    assert skew.span_count == sum(shift != 0 for shift in shifts)
    assert skew.largest_ns == max(abs(shift) for shift in shifts)


@given(tables())
def test_no_span_on_another_clock_starts_before_its_parent_afterwards(traces: Traces) -> None:
    spans, _ = corrected(columns(traces))

    for row in range(traces.span_count):
        parent = traces.parents[row]
        child_span, parent_span = traces.span(row), traces.span(parent)
        hosts_told = bool(child_span.host and parent_span.host)
        other_clock = child_span.host != parent_span.host if hosts_told else child_span.service != parent_span.service
        if parent >= 0 and other_clock:
            assert spans.start_ns[row] >= spans.start_ns[parent]


@given(tables())
def test_durations_and_roots_never_move(traces: Traces) -> None:
    before = columns(traces)
    after, _ = corrected(before)

    assert after.duration_ns.tolist() == before.duration_ns.tolist()
    roots = before.parents < 0
    assert after.start_ns[roots].tolist() == before.start_ns[roots].tolist()


@given(tables())
def test_correcting_twice_changes_nothing(traces: Traces) -> None:
    once, _ = corrected(columns(traces))

    assert find_skew(once).shift_ns.any() == False  # noqa: E712 - a numpy bool


def test_raw_clocks_are_shown_when_asked_for() -> None:
    spans = columns(trace(client("c", None, 0, 10), server("s", "c", -40, -34)))

    raw, skew = corrected(spans, correct_skew=False)

    assert raw.start_ns is spans.start_ns
    assert skew.span_count == 0
