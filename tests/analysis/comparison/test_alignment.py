from __future__ import annotations

import pytest
from hypothesis import assume, given

from tests.analysis.arbitrary import tables
from tests.builders import span, trace
from traceq.analysis.comparison.alignment import align
from traceq.analysis.requests import RequestOptions
from traceq.traces import Traces

OPTIONS = RequestOptions()


def test_calls_are_matched_by_path_with_what_is_missing_and_extra() -> None:
    before = trace(("root", None, 0, 100), ("a", "root", 10, 30), ("old", "root", 40, 60), trace_id="b1")
    after = trace(
        ("root", None, 0, 160),
        ("a", "root", 10, 90),
        span("x", "root", 90, 120, name="new"),
        span("y", "root", 120, 150, name="new"),
        trace_id="a1",
    )

    found = align(before, after, OPTIONS)

    rows = [
        (call.depth, call.name, call.duration_change_ns, call.held_change_ns, call.call_change) for call in found.calls
    ]
    assert rows == [(0, "root", 60, -40, 0), (1, "a", 60, 60, 0), (1, "old", -20, -20, -1), (1, "new", 60, 60, 2)]
    assert (found.before_ns, found.after_ns) == (100, 160)
    assert [call.after is None for call in found.calls] == [False, False, True, False]


def test_calls_that_follow_each_other_the_other_way_round_are_told() -> None:
    before = trace(("job", None, 0, 90), ("open", "job", 10, 30), ("read", "job", 35, 55), ("close", "job", 60, 80))
    after = trace(("job", None, 0, 90), ("open", "job", 10, 30), ("close", "job", 35, 55), ("read", "job", 60, 80))

    found = align(before, after, OPTIONS)

    assert [(swap.caller.name, swap.first.name, swap.second.name) for swap in found.order_changes] == [
        ("job", "close", "read")
    ]
    assert found.headline == (
        "The order of calls changed, and nothing else (90 ns → 90 ns); close now comes before read in job of app"
    )
    assert align(before, before, OPTIONS).order_changes == ()


def test_the_order_of_calls_side_by_side_is_chance() -> None:
    before = trace(("job", None, 0, 90), ("a", "job", 10, 60), ("b", "job", 11, 60))
    after = trace(("job", None, 0, 90), ("a", "job", 11, 60), ("b", "job", 10, 60))

    assert align(before, after, OPTIONS).order_changes == ()


def test_the_same_name_elsewhere_is_another_call() -> None:
    before = trace(("root", None, 0, 100), ("a", "root", 0, 90), span("b", "a", 0, 50, name="q"))
    after = trace(("root", None, 0, 100), ("a", "root", 0, 90), span("b", "root", 0, 50, name="q"))

    names = [(call.depth, call.name, call.before is None) for call in align(before, after, OPTIONS).calls]

    assert sorted(names) == [(0, "root", False), (1, "a", False), (1, "q", True), (2, "q", False)]


def test_traces_are_put_side_by_side_one_by_one() -> None:
    with pytest.raises(ValueError, match="one by one"):
        align(trace(("root", None, 0, 1)), trace(), OPTIONS)


@given(tables(), tables())
def test_every_span_is_in_one_row_and_swapping_mirrors(one: Traces, other: Traces) -> None:
    assume(len(one) and len(other))
    before, after = one.select([0]), other.select([0])

    there, back = align(before, after, OPTIONS), align(after, before, OPTIONS)

    ids = [span_id for call in there.calls if call.before for span_id in call.before.span_ids]
    assert sorted(ids) == sorted(before.span_ids)
    assert [call.held_change_ns for call in there.calls] == [-call.held_change_ns for call in back.calls]


@given(tables())
def test_a_trace_beside_itself_has_no_difference(traces: Traces) -> None:
    assume(len(traces))
    one = traces.select([0])

    assert all(not call.duration_change_ns and not call.call_change for call in align(one, one, OPTIONS).calls)
