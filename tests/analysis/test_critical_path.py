from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from msgspec.structs import replace

from tests.analysis import obvious
from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, SpanLike, span, trace
from traceq.analysis.columns import columns, self_times
from traceq.analysis.critical_path import critical_path, find_awaited, find_paths, segments
from traceq.semantics import Kind
from traceq.traces import Traces


def path_of(traces: Traces) -> list[tuple[str, int, int]]:
    found = segments(find_paths(columns(traces)))
    return [
        (traces.span_ids[row], start - EPOCH_NS, end - EPOCH_NS)
        for row, start, end in zip(found.rows, found.start_ns, found.end_ns, strict=True)
    ]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([("a", None, 0, 10)], [("a", 0, 10)], id="a root alone holds its path"),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 2, 6)],
            [("a", 0, 2), ("b", 2, 6), ("a", 6, 10)],
            id="a call in the middle",
        ),
        pytest.param(
            [("a", None, 0, 10), ("x", "a", 0, 2), ("c", "a", 2, 8), ("b", "a", 4, 8)],
            [("x", 0, 2), ("c", 2, 8), ("a", 8, 10)],
            id="of two that end together beside others the longer one is on the path",
        ),
        pytest.param(
            [("a", None, 0, 9), ("b", "a", 0, 3), ("c", "a", 3, 6), ("d", "a", 6, 9)],
            [("b", 0, 3), ("c", 3, 6), ("d", 6, 9)],
            id="calls back to back are all on the path",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 1, 8), ("c", "a", 2, 9)],
            [("a", 0, 1), ("b", 1, 2), ("c", 2, 9), ("a", 9, 10)],
            id="of parallel calls the one that ends last, and before it the one that ran already",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 1, 9), ("c", "a", 2, 8)],
            [("a", 0, 1), ("b", 1, 9), ("a", 9, 10)],
            id="a call within a longer one is not on the path",
        ),
        pytest.param(
            [("a", None, 0, 10), ("x", "a", 0, 2), ("b", "a", 4, 8), ("c", "a", 2, 8)],
            [("x", 0, 2), ("c", 2, 8), ("a", 8, 10)],
            id="equal ends among others that are alone",
        ),
        pytest.param(
            [("a", None, 0, 1000), ("b", "a", 10, 600), ("c", "a", 590, 990)],
            [("a", 0, 10), ("b", 10, 590), ("c", 590, 990), ("a", 990, 1000)],
            id="a call that overlaps the next one by a hundredth of the caller has been waited for",
        ),
        pytest.param(
            [("a", None, 0, 1000), ("b", "a", 10, 700), ("c", "a", 590, 990)],
            [("a", 0, 10), ("b", 10, 590), ("c", 590, 990), ("a", 990, 1000)],
            id="and by more as well: nothing else was going on",
        ),
        pytest.param(
            [("a", None, 0, 1000), ("b", "a", 0, 498), ("d", "a", 0, 503), ("c", "a", 500, 1000)],
            [("b", 0, 498), ("d", 498, 500), ("c", 500, 1000)],
            id="of an end before and an end a little after the nearer one",
        ),
        pytest.param(
            [("a", None, 0, 1000), ("b", "a", 0, 490), ("d", "a", 0, 503), ("c", "a", 500, 1000)],
            [("d", 0, 500), ("c", 500, 1000)],
            id="an end a little after may be the nearer one",
        ),
        pytest.param(
            [
                ("a", None, 0, 1000),
                ("x", "a", 0, 900),
                ("y", "x", 300, 520),
                ("b", "a", 100, 480),
                ("c", "a", 500, 1000),
            ],
            [("x", 0, 100), ("b", 100, 480), ("y", 480, 500), ("c", 500, 1000)],
            id="what runs beside others fills in, with its own calls",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 5, 14), ("c", "b", 6, 20)],
            [("a", 0, 5), ("b", 5, 6), ("c", 6, 10)],
            id="what outlives its parent counts up to the parent's end",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 10, 14), ("c", "a", -5, 0)],
            [("a", 0, 10)],
            id="what lies outside its parent blocks nothing",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 1, 12), ("c", "a", 4, 11)],
            [("a", 0, 1), ("b", 1, 10)],
            id="of clipped ends the one that really ended later",
        ),
        pytest.param(
            [("a", None, 0, 10), ("b", "a", 4, 8), ("c", "a", 2, 8)],
            [("a", 0, 2), ("c", 2, 8), ("a", 8, 10)],
            id="of equal ends the one that started earlier",
        ),
        pytest.param(
            [("a", "lost", 0, 10), ("b", "a", 2, 6)],
            [("a", 0, 2), ("b", 2, 6), ("a", 6, 10)],
            id="an orphan root has a path",
        ),
        pytest.param(
            [("a", None, 0, 10), ("r", None, 2, 8), ("b", "r", 4, 8)],
            [("a", 0, 10), ("r", 2, 4), ("b", 4, 8)],
            id="every root has its own",
        ),
        pytest.param(
            [
                span("a", None, 0, 10),
                span("p", "a", 2, 4, kind=Kind.PRODUCER),
                span("c", "p", 3, 4, kind=Kind.CONSUMER),
                span("d", "c", 3, 4),
            ],
            [("a", 0, 2), ("p", 2, 4), ("a", 4, 10)],
            id="nobody waits for the consumer of a message",
        ),
        pytest.param(
            [("a", None, 0, 10), ("z", "a", 5, 5), ("b", "a", 2, 5)],
            [("a", 0, 2), ("b", 2, 5), ("a", 5, 10)],
            id="a call without duration holds nothing",
        ),
        pytest.param([("a", None, 0, 0), ("b", "a", 0, 0)], [], id="a root without duration has an empty path"),
        pytest.param([("a", None, 0, 4), ("b", "a", 0, 4)], [("b", 0, 4)], id="a child may take all of its parent"),
    ],
)
def test_the_path_of_a_hand_drawn_trace(spans: list[SpanLike], expected: list[tuple[str, int, int]]) -> None:
    assert path_of(trace(*spans)) == expected


@given(tables())
def test_segments_tile_every_root_exactly(traces: Traces) -> None:
    found = critical_path(traces, correct_skew=True)
    spans = found.paths.spans
    by_root: dict[str, list[dict[str, object]]] = {}
    for record in found.to_dict()["segments"]:  # type: ignore[attr-defined]
        by_root.setdefault(str((record["trace_id"], record["root_span_id"])), []).append(record)

    for row in range(traces.span_count):
        if spans.parents[row] >= 0 or not spans.duration_ns[row]:
            continue
        stretches = by_root[str((traces.span(row).trace_id, traces.span_ids[row]))]
        edges = [(stretch["start_ns"], stretch["end_ns"]) for stretch in stretches]
        assert edges[0][0] == spans.start_ns[row]
        assert edges[-1][1] == spans.end_ns[row]
        assert all(before[1] == after[0] for before, after in pairwise(edges))
        assert all(start < end for start, end in edges)  # type: ignore[operator]


@given(tables())
def test_agrees_with_the_obvious_walk(traces: Traces) -> None:
    found = segments(find_paths(columns(traces)))
    rows = zip(found.rows.tolist(), found.start_ns.tolist(), found.end_ns.tolist(), strict=True)
    expected: list[tuple[int, int, int]] = []
    for root in (row for row in range(traces.span_count) if traces.parents[row] < 0):
        expected += reversed(obvious.critical_path(traces, root))
    assert list(rows) == expected


@given(tables())
def test_own_times_add_up_to_the_roots(traces: Traces) -> None:
    paths = find_paths(columns(traces))
    roots = [row for row in range(traces.span_count) if traces.parents[row] < 0]
    assert int(paths.own_ns.sum()) == sum(traces.duration_ns[row] for row in roots)


@given(tables())
def test_no_span_holds_more_of_the_path_than_it_was_busy_itself(traces: Traces) -> None:
    spans = columns(traces)
    paths = find_paths(spans)

    # What nobody waits for is part of neither.
    found = find_awaited(spans)
    is_waited = found.flags & ~found.left_running
    awaited = replace(spans.with_parents(np.where(is_waited, spans.parents, -1)), end_ns=found.end_ns)
    assert (paths.own_ns <= self_times(awaited)).all()


@given(tables())
def test_a_span_holds_what_it_and_its_children_hold(traces: Traces) -> None:
    paths = find_paths(columns(traces))

    for row in range(traces.span_count):
        below = sum(int(paths.held_ns[child]) for child in range(traces.span_count) if traces.parents[child] == row)
        assert paths.held_ns[row] == paths.own_ns[row] + below
        assert paths.on_path[row] == (paths.held_ns[row] > 0 or traces.parents[row] < 0)


def test_a_chain_of_twenty_thousand_calls_needs_no_recursion() -> None:
    size = 20_000
    spans: list[SpanLike] = [("0", None, 0, 3 * size)]
    spans += [(f"{i:x}", f"{i - 1:x}", i, 3 * size - i) for i in range(1, size)]

    paths = find_paths(columns(trace(*spans)))

    assert int(paths.own_ns.sum()) == 3 * size
    assert bool(paths.on_path.all())


def test_twenty_thousand_calls_in_a_row_are_all_on_the_path() -> None:
    size = 20_000
    spans: list[SpanLike] = [("0", None, 0, 10 * size)]
    spans += [(f"{i:x}", "0", 10 * (i - 1), 10 * i) for i in range(1, size + 1)]

    paths = find_paths(columns(trace(*spans)))

    assert paths.own_ns[0] == 0
    assert bool(paths.on_path.all())


def test_twenty_thousand_calls_side_by_side_need_no_second_look() -> None:
    size = 20_000
    spans: list[SpanLike] = [("0", None, 0, 4 * size)]
    spans += [(f"{i:x}", "0", i, 2 * size + i) for i in range(1, size + 1)]

    paths = find_paths(columns(trace(*spans)))

    # Each holds the one nanosecond before the next began, the last one all of its time.
    assert paths.own_ns[[0, 1, 2, size]].tolist() == [size + 1, 1, 1, 2 * size]


def test_a_chain_beside_many_calls_is_followed_down() -> None:
    size, depth = 100, 50
    spans: list[SpanLike] = [("0", None, 0, 10 * size + 1_000)]
    spans += [(f"{i:x}", "0", 10 * i, 10 * i + 5) for i in range(size)]
    spans += [("ffff", "0", 0, 10 * size + 900)]
    spans += [(f"{0xFFFF + i:x}", f"{0xFFFF + i - 1:x}", 0, 10 * size + 900) for i in range(1, depth)]
    spans += [("fffffff", "0", 10 * size, 10 * size + 1_000)]

    paths = find_paths(columns(trace(*spans)))

    assert int(paths.own_ns[1 : size + 1].sum()) == 5 * size
    assert paths.own_ns[size + 1 : size + depth].tolist() == [0] * (depth - 1)
    assert int(paths.own_ns[size + depth]) == 5 * size


def test_segments_tell_how_long_they_are() -> None:
    found = critical_path(trace(("a", None, 0, 10), ("b", "a", 2, 6)))

    assert [record["length_ns"] for record in found.to_dict()["segments"]] == [2, 4, 4]  # type: ignore[attr-defined]


def test_the_frame_names_trace_and_span() -> None:
    frame = critical_path(trace(("a", None, 0, 10), ("b", "a", 2, 6))).segments

    assert frame.to_dict("list") == {
        "trace_id": ["a1"] * 3,
        "span_id": ["a", "b", "a"],
        "start_ns": [EPOCH_NS, EPOCH_NS + 2, EPOCH_NS + 6],
        "end_ns": [EPOCH_NS + 2, EPOCH_NS + 6, EPOCH_NS + 10],
    }


def wrapped(wrapper_ns: int = 100, *, kind: Kind = Kind.INTERNAL) -> Traces:
    """Give a request of 100, in which a span without children is recorded beside what it wraps."""
    return trace(
        span("request", None, 0, 100, kind=Kind.SERVER),
        span("wrapper", "request", 100 - wrapper_ns, 100, kind=kind),
        span("agent", "request", 5, 97),
        span("query", "agent", 10, 90),
    )


@pytest.mark.parametrize(
    ("traces", "own_ns"),
    [
        pytest.param(wrapped(), [0, 8, 12, 80], id="beside what it wraps"),
        pytest.param(wrapped(95), [5, 3, 12, 80], id="tightly"),
        pytest.param(wrapped(94), [5, 94, 1, 0], id="not what began before"),
        pytest.param(wrapped(kind=Kind.CLIENT), [0, 100, 0, 0], id="a call wraps nothing"),
    ],
)
def test_a_wrapper_without_children_hides_nothing_beside_it(traces: Traces, own_ns: list[int]) -> None:
    assert find_paths(columns(traces)).own_ns.tolist() == own_ns
