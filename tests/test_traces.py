from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, assemble, record, span, trace
from traceq.catalog import ServiceSummary, TraceSummary, summarize
from traceq.semantics import Kind, Status
from traceq.traces import Traces, is_same_trace

TWO = assemble(
    [
        record(
            span("a", None, 0, 10, service="web", name="GET", kind=Kind.SERVER),
            span("b", "a", 2, 14, service="db", name="SELECT", status=Status.ERROR, attributes={"db.system": "mysql"}),
            trace_id="0abc",
        ),
        record(span("c", "gone", 5, 8, service="cron"), trace_id="abd"),
    ]
)


def test_a_row_under_the_names_of_its_columns() -> None:
    found = TWO.span(1)

    assert (found.trace_id, found.span_id, found.parent_id, found.service, found.name) == (
        "0abc",
        "b",
        "a",
        "db",
        "SELECT",
    )
    assert (found.start_ns, found.duration_ns, found.end_ns) == (EPOCH_NS + 2, 12, EPOCH_NS + 14)
    assert (found.has_error, found.is_root, found.is_orphan) == (True, False, False)
    assert found.peer is not None
    assert found.peer.label == "mysql"


def test_an_orphan_is_a_root_that_names_a_parent() -> None:
    found = TWO.span(2)

    assert (found.is_root, found.is_orphan, found.parent_id) == (True, True, "gone")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("abc", [0]),
        ("00000ABC", [0]),
        ("ab", [1]),
        ("0a", [0]),
        ("x", []),
    ],
)
def test_a_trace_is_found_by_its_id_or_how_it_begins(wanted: str, expected: list[int]) -> None:
    assert TWO.find(wanted) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("00AB", "ab", True),
        ("ab", "ac", False),
        ("7c00ff11aa22bb330000d3e4a5b60718", "d3e4a5b60718", True),
        ("7c00ff11aa22bb33f1c2d3e4a5b60718", "f1c2d3e4a5b60718", True),
        ("7c00ff11aa22bb33f1c2d3e4a5b60718", "3f1c2d3e4a5b60718", False),
        ("7C00FF11AA22BB330000D3E4A5B60718", "0000D3E4A5B60718", True),
        ("7c00ff11aa22bb330000d3e4a5b60718", "7c00ff11aa22bb34d3e4a5b60718", False),
        ("7c00ff11aa22bb330000000000000000", "0", False),
    ],
)
def test_ids_are_of_one_trace_when_one_is_the_others_low_half(one: str, other: str, *, expected: bool) -> None:
    assert is_same_trace(one, other) is expected
    assert is_same_trace(other, one) is expected


def test_the_frame_has_a_row_a_span() -> None:
    frame = TWO.to_frame()

    assert frame.loc[2].dropna().to_dict() == {
        "trace_id": "abd",
        "span_id": "c",
        "parent_id": "gone",
        "service": "cron",
        "name": "c",
        "kind": "UNSPECIFIED",
        "status": "UNSET",
        "start_ns": EPOCH_NS + 5,
        "duration_ns": 3,
    }


def test_summaries() -> None:
    assert summarize(TWO) == [
        TraceSummary(
            "0abc", "web", "GET", EPOCH_NS, 14, 2, 1, 0, (ServiceSummary("db", 1, 1), ServiceSummary("web", 1))
        ),
        TraceSummary("abd", "cron", "c", EPOCH_NS + 5, 3, 1, 0, 1, (ServiceSummary("cron", 1),)),
    ]


def test_a_trace_is_named_after_the_root_that_misses_no_parent() -> None:
    (summary,) = summarize(trace(("early", "gone", 0, 5), ("whole", None, 3, 9)))

    assert summary.root_name == "whole"


@given(tables(), st.data())
def test_a_selection_holds_the_same_spans(traces: Traces, data: st.DataObject) -> None:
    positions = data.draw(st.permutations(range(len(traces))))
    chosen = traces.select(positions)

    assert chosen.trace_ids == tuple(traces.trace_ids[position] for position in positions)
    for new, old in enumerate(positions):
        before = [traces.span(row) for row in traces.rows(old)]
        after = [chosen.span(row) for row in chosen.rows(new)]
        assert [
            (view.span_id, view.parent_id, view.follows_from, view.start_ns, view.service, view.kind) for view in after
        ] == [
            (view.span_id, view.parent_id, view.follows_from, view.start_ns, view.service, view.kind) for view in before
        ]


def test_attributes_that_were_left_out_cannot_be_asked_for() -> None:
    bare = assemble([record(("a", None, 0, 1))], with_details=False)

    with pytest.raises(ValueError, match="these traces were read without attributes"):
        _ = bare.span(0).details
