from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, SpanLike, assemble, columns, record, span, trace
from traceq.assembly import UNKNOWN_SERVICE, TableBuilder, joined
from traceq.semantics import Kind, Status
from traceq.traces import Traces


def shape(traces: Traces) -> dict[str, str | None]:
    """Give each span's parent, by row number and id; for an orphan the missing id with a question mark."""
    found: dict[str, str | None] = {}
    for row in range(traces.span_count):
        parent = traces.parents[row]
        missing = traces.missing_parents.get(row)
        found[f"{row}:{traces.span_ids[row]}"] = (
            f"{parent}:{traces.span_ids[parent]}" if parent >= 0 else missing and f"?{missing}"
        )
    return found


def told(traces: Traces) -> list[tuple[str, str]]:
    return [(warning.code, warning.span_id) for warning in traces.warnings]


@pytest.mark.parametrize(
    ("spans", "parents", "warnings"),
    [
        pytest.param(
            [("a", None, 0, 9), ("b", "a", 1, 2), ("c", "b", 1, 2)],
            {"0:a": None, "1:b": "0:a", "2:c": "1:b"},
            [],
            id="ids find their parents",
        ),
        pytest.param(
            [("c", "b", 1, 2), ("b", "a", 1, 2), ("a", None, 0, 9)],
            {"0:c": "1:b", "1:b": "2:a", "2:a": None},
            [],
            id="in any order",
        ),
        pytest.param(
            [("0a", None, 0, 9), ("b", "00000000000000A", 1, 2)],
            {"0:0a": None, "1:b": "0:0a"},
            [],
            id="ids compare without padding and case",
        ),
        pytest.param(
            [("a", None, 0, 9), span("b", ("dead", "a"), 1, 2)],
            {"0:a": None, "1:b": "0:a"},
            [],
            id="the first candidate that is there",
        ),
        pytest.param(
            [("a", None, 0, 9), span("b", ("dead", "beef"), 1, 2)],
            {"0:a": None, "1:b": "?dead"},
            [("orphan", "b")],
            id="a missing parent makes an orphan",
        ),
        pytest.param(
            [("a", "a", 0, 9), ("b", "a", 1, 2)],
            {"0:a": None, "1:b": "0:a"},
            [("self-parent", "a")],
            id="its own parent is a root",
        ),
        pytest.param(
            [("a", "c", 5, 9), ("b", "a", 1, 2), ("c", "b", 3, 4), ("d", "c", 3, 4)],
            {"0:a": "2:c", "1:b": None, "2:c": "1:b", "3:d": "2:c"},
            [("cycle", "b")],
            id="of a ring the first to start is a root",
        ),
        pytest.param(
            [("b", "a", 1, 2), span("a", "b", 2, 9, follows_from=True)],
            {"0:b": "1:a", "1:a": None},
            [("cycle", "a")],
            id="of a ring what only follows from its parent is a root",
        ),
        pytest.param(
            [("a", None, 0, 9), ("b", "a", 1, 2), ("b", "a", 1, 2)],
            {"0:a": None, "1:b": "0:a"},
            [("duplicate-dropped", "b")],
            id="an exact copy is left out and named",
        ),
        pytest.param(
            [("a", None, 0, 9), ("b", "a", 1, 2), span("b", "a", 1, 2, status=Status.ERROR)],
            {"0:a": None, "1:b": "0:a", "2:b": "0:a"},
            [("duplicate-id", "b")],
            id="a failed span is no copy of one that did not fail",
        ),
        pytest.param(
            [("a", None, 0, 9), ("b", "a", 1, 2), ("b", "a", 3, 4), ("c", "b", 1, 2)],
            {"0:a": None, "1:b": "0:a", "2:b": "0:a", "3:c": "1:b"},
            [("duplicate-id", "b")],
            id="children of a shared id go to the first",
        ),
        pytest.param(
            [
                ("a", None, 0, 9),
                span("b", "a", 2, 7, kind=Kind.SERVER, service="callee"),
                span("b", "a", 1, 8, kind=Kind.CLIENT, service="caller"),
                ("c", "b", 3, 4),
            ],
            {"0:a": None, "1:b": "2:b", "2:b": "0:a", "3:c": "1:b"},
            [],
            id="client and server that share an id are parent and child",
        ),
        pytest.param(
            [
                ("a", None, 0, 9),
                span("b", "a", 1, 8, kind=Kind.CLIENT),
                span("b", "a", 2, 7, kind=Kind.SERVER),
                span("b", "a", 3, 6, kind=Kind.SERVER),
                ("c", "b", 4, 5),
            ],
            {"0:a": None, "1:b": "0:a", "2:b": "0:a", "3:b": "0:a", "4:c": "1:b"},
            [("duplicate-id", "b")],
            id="of three that share an id nobody knows who called whom",
        ),
        pytest.param(
            [
                span("b", "a", 2, 7, kind=Kind.SERVER, service="callee"),
                span("b", "a", 1, 8, kind=Kind.SERVER, service="proxy"),
                span("b", "a", 0, 9, kind=Kind.CLIENT, service="caller"),
                span("c", "b", 3, 4),
                span("d", "b", 6, 8),
                span("e", "b", 6, 99),
                ("a", None, 0, 9),
            ],
            {"0:b": "1:b", "1:b": "2:b", "2:b": "6:a", "3:c": "0:b", "4:d": "1:b", "5:e": "0:b", "6:a": None},
            [],
            id="a proxy's span lies around that of the service, and holds what the other cannot",
        ),
        pytest.param(
            [span("b", None, 0, 9, kind=Kind.CLIENT), span("b", None, 1, 8, kind=Kind.CLIENT, service="proxy")],
            {"0:b": None, "1:b": "0:b"},
            [],
            id="a proxy may make a call's second span",
        ),
        pytest.param(
            [span("b", None, 0, 5, kind=Kind.SERVER, service="x"), span("b", None, 4, 8, kind=Kind.SERVER)],
            {"0:b": None, "1:b": None},
            [("duplicate-id", "b")],
            id="spans side by side are no proxy's",
        ),
    ],
)
def test_parents(spans: list[SpanLike], parents: dict[str, str | None], warnings: list[tuple[str, str]]) -> None:
    traces = trace(*spans)

    assert shape(traces) == parents
    assert told(traces) == warnings
    assert min(traces.parents) == -1


def followers(traces: Traces) -> list[str]:
    return [traces.span_ids[row] for row in sorted(traces.follows_from)]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        pytest.param([("a", None, 0, 9), span("b", "a", 1, 2, follows_from=True), ("c", "a", 1, 2)], ["b"], id="plain"),
        pytest.param([span("b", "gone", 1, 2, follows_from=True)], ["b"], id="an orphan"),
        pytest.param([span("a", None, 1, 2, follows_from=True)], [], id="a root"),
        pytest.param([span("a", "a", 1, 2, follows_from=True)], [], id="its own parent"),
        pytest.param(
            [span("a", "b", 1, 3, follows_from=True), span("b", "a", 2, 3, follows_from=True)], ["b"], id="a ring"
        ),
        pytest.param(
            [
                span("b", None, 1, 8, kind=Kind.CLIENT),
                span("b", "a", 2, 7, kind=Kind.SERVER, follows_from=True),
                ("a", None, 0, 9),
            ],
            [],
            id="client and server that share an id",
        ),
        pytest.param(
            [("a", None, 0, 9), span("b", "a", 1, 2), span("b", "a", 1, 2), span("c", "a", 3, 4, follows_from=True)],
            ["c"],
            id="behind a copy",
        ),
    ],
)
def test_spans_that_only_follow_from_their_parents(spans: list[SpanLike], expected: list[str]) -> None:
    assert followers(trace(*spans)) == expected


@pytest.mark.parametrize(("child_of_count", "expected"), [(0, ["b"]), (1, ["b"]), (2, [])])
def test_whether_a_span_follows_is_told_of_the_candidate_that_is_there(
    child_of_count: int, expected: list[str]
) -> None:
    builder = TableBuilder()
    coded = record(("a", None, 0, 9), ("b", None, 1, 2)).coded(builder.codes)
    del coded.parent_ids[1]
    coded.add_parents(("dead", "a"), child_of_count)

    builder.add(coded)

    assert followers(builder.table(with_details=False)) == expected


@given(tables())
def test_tables_of_single_traces_put_behind_each_other_are_the_table_of_all(traces: Traces) -> None:
    found = joined(list(traces), with_details=True)

    assert columns(found) == columns(traces)
    assert found.details == traces.details


@pytest.mark.parametrize(("with_details", "details"), [(True, ()), (False, None)])
def test_no_tables_are_an_empty_one(*, with_details: bool, details: tuple[()] | None) -> None:
    found = joined([], with_details=with_details)

    assert (len(found), found.span_count, found.details) == (0, 0, details)


def test_parts_of_a_trace_are_put_together_however_their_ids_are_padded() -> None:
    parts = [record(("a", None, 0, 9), trace_id="00a1"), record(span("b", "a", 1, 2, follows_from=True), trace_id="A1")]

    traces = assemble(parts)

    assert traces.trace_ids == ("00a1",)
    assert followers(traces) == ["b"]
    assert shape(traces) == {"0:a": None, "1:b": "0:a"}


def test_a_span_without_a_service_gets_a_name_that_says_so() -> None:
    traces = trace(span("a", None, 0, 9, service=""))

    assert traces.span(0).service == UNKNOWN_SERVICE
    assert told(traces) == [("service-missing", "a")]


def test_a_span_that_ends_before_it_starts_takes_no_time() -> None:
    traces = trace(("a", None, 5, 2))

    assert traces.duration_ns[0] == 0
    assert told(traces) == [("negative-duration", "a")]


def test_missing_starts_are_those_of_the_parents_and_of_the_trace() -> None:
    traces = trace(
        ("a", None, -EPOCH_NS, -EPOCH_NS + 9),
        ("b", "a", -EPOCH_NS, -EPOCH_NS + 2),
        ("c", "b", 50, 60),
        ("d", "c", -EPOCH_NS, -EPOCH_NS + 1),
    )

    assert [start - EPOCH_NS for start in traces.start_ns] == [50, 50, 50, 50]
    assert told(traces) == [("start-missing", "a"), ("start-missing", "b"), ("start-missing", "d")]


def test_a_count_from_the_beginning_of_the_trace_may_start_at_zero() -> None:
    traces = trace(("a", None, -EPOCH_NS, 100 - EPOCH_NS), ("b", "a", 10 - EPOCH_NS, 30 - EPOCH_NS))

    assert (list(traces.start_ns), list(traces.duration_ns)) == ([0, 10], [100, 20])
    assert told(traces) == []


def test_a_span_without_a_start_may_have_an_end() -> None:
    """Formats that tell the end make a span that lasts since 1970 of it."""
    traces = trace(("a", None, 0, 100), ("b", "a", -EPOCH_NS, 30))

    assert [start - EPOCH_NS for start in traces.start_ns] == [0, 0]
    assert (list(traces.duration_ns), told(traces)) == ([100, 30], [("start-missing", "b")])


@pytest.mark.parametrize("unit", [1_000, 1_000_000, 1_000_000_000])
def test_single_spans_may_count_a_longer_unit(unit: int) -> None:
    """As where OTLP has microseconds, or Jaeger's JSON milliseconds."""
    start, end = EPOCH_NS // 10**9 * 10**9 // unit, (EPOCH_NS // 10**9 + 2) * 10**9 // unit
    traces = trace(("a", None, 0, 10**10), ("b", "a", start - EPOCH_NS, end - EPOCH_NS))

    assert (traces.start_ns[1], traces.duration_ns[1]) == (EPOCH_NS // 10**9 * 10**9, 2 * 10**9)
    assert told(traces) == [("unit-recognised", "b")]


def test_a_start_in_another_unit_leaves_the_end_as_it_is() -> None:
    traces = trace(("a", None, 0, 1000), ("b", "a", EPOCH_NS // 1000 - EPOCH_NS, 900))

    assert traces.start_ns[1] == EPOCH_NS // 1000 * 1000
    assert traces.start_ns[1] + traces.duration_ns[1] - EPOCH_NS == 900


def test_a_duration_that_is_told_by_itself_may_be_right() -> None:
    """As in a table with a column for the start and one for the duration."""
    start = EPOCH_NS // 1000 - EPOCH_NS
    traces = trace(("a", None, 0, 2 * 10**9), ("b", "a", start, start + 10**9))

    assert (traces.start_ns[1], traces.duration_ns[1]) == (EPOCH_NS // 1000 * 1000, 10**9)


def test_a_start_of_another_century_is_none() -> None:
    traces = trace(("a", None, 0, 1000), ("b", "a", 5 - EPOCH_NS, 900), ("c", "a", 5 - EPOCH_NS, 105 - EPOCH_NS))

    assert [start - EPOCH_NS for start in traces.start_ns] == [0, 0, 0]
    assert list(traces.duration_ns) == [1000, 900, 100]
    assert told(traces) == [("start-missing", "b"), ("start-missing", "c")]


def test_where_nothing_is_timed_all_spans_start_together() -> None:
    traces = trace(("a", None, -EPOCH_NS, -EPOCH_NS + 9), ("b", "a", -EPOCH_NS - 5, -EPOCH_NS))

    assert list(traces.start_ns) == [0, 0]


@given(tables(), st.randoms(use_true_random=False))
def test_any_order_of_spans_gives_the_same_tree(traces: Traces, random: object) -> None:
    for part in traces:
        spans = [(part.span(row).span_id, part.span(row).parent_id, part.span(row)) for row in range(part.span_count)]
        shuffled = list(spans)
        random.shuffle(shuffled)  # type: ignore[attr-defined]
        again = trace(
            *(
                span(span_id, parent_id, view.start_ns - EPOCH_NS, view.end_ns - EPOCH_NS, service=view.service)
                for span_id, parent_id, view in shuffled
            )
        )

        parents = {again.span(row).span_id: again.span(row).parent_id for row in range(again.span_count)}
        assert parents == {span_id: parent_id for span_id, parent_id, _ in spans}


@given(tables())
def test_every_span_leads_to_a_root_and_counts_add_up(traces: Traces) -> None:
    assert traces.offsets[-1] == traces.span_count == len(traces.span_ids)
    for row in range(traces.span_count):
        steps = 0
        while traces.parents[row] >= 0:
            assert traces.trace_of(traces.parents[row]) == traces.trace_of(row)
            row = traces.parents[row]  # noqa: PLW2901 - the walk up
            steps += 1
            assert steps <= traces.span_count
