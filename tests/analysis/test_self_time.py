from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis import obvious
from tests.analysis.arbitrary import tables
from tests.builders import SpanLike, span, trace
from traceq.analysis.columns import columns, self_times
from traceq.analysis.one_trace import self_time
from traceq.semantics import Kind
from traceq.traces import Traces


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([("a", None, 0, 10)], [10], id="a leaf is busy all the time"),
        pytest.param([("a", None, 0, 10), ("b", "a", 2, 6)], [6, 4], id="a call is taken off"),
        pytest.param([("a", None, 0, 10), ("b", "a", 2, 6), ("c", "a", 4, 8)], [4, 4, 4], id="overlaps count once"),
        pytest.param([("a", None, 0, 10), ("b", "a", 2, 9), ("c", "a", 4, 5)], [3, 7, 1], id="one within another"),
        pytest.param([("a", None, 0, 10), ("b", "a", -5, 3), ("c", "a", 8, 20)], [5, 8, 12], id="clipped to the span"),
        pytest.param([("a", None, 0, 10), ("b", "a", 2, 8), ("c", "b", 3, 7)], [4, 2, 4], id="only direct children"),
        pytest.param([("a", None, 0, 4), ("b", "a", 0, 4)], [0, 4], id="never below zero"),
        pytest.param(
            [span("a", None, 0, 10, kind=Kind.PRODUCER), span("b", "a", 2, 6, kind=Kind.CONSUMER)],
            [6, 4],
            id="whatever the kind",
        ),
    ],
)
def test_the_self_times_of_a_hand_drawn_trace(spans: list[SpanLike], expected: list[int]) -> None:
    assert self_times(columns(trace(*spans))).tolist() == expected


@given(tables())
def test_agrees_with_the_obvious_count_and_stays_within_bounds(traces: Traces) -> None:
    found = self_times(columns(traces)).tolist()

    assert found == [obvious.self_time(traces, row) for row in range(traces.span_count)]
    assert all(0 <= own <= total for own, total in zip(found, traces.duration_ns, strict=True))


def test_nanoseconds_over_days_are_exact_where_keys_have_to_use_ranks() -> None:
    day = 86_400_000_000_000
    spans: list[SpanLike] = [("0", None, 0, 400 * day)]
    spans += [(f"{i:x}", "0", i * day + i, (i + 1) * day - i) for i in range(1, 300)]

    found = self_times(columns(trace(*spans)))

    assert int(found[0]) == 400 * day - sum(day - 2 * i for i in range(1, 300))


def test_the_frame_has_a_row_a_span() -> None:
    frame = self_time(trace(("a", None, 0, 10), ("b", "a", 2, 6))).to_frame()

    assert frame.to_dict("records") == [
        {"trace_id": "a1", "span_id": "a", "service": "app", "operation": "a", "duration_ns": 10, "self_ns": 6},
        {"trace_id": "a1", "span_id": "b", "service": "app", "operation": "b", "duration_ns": 4, "self_ns": 4},
    ]
