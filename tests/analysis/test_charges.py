from __future__ import annotations

import pytest

from tests.builders import SpanSpec, span, trace
from traceq.analysis.charges import charge
from traceq.analysis.columns import columns
from traceq.analysis.critical_path import find_paths
from traceq.semantics import Kind


def gaps(*spans: SpanSpec) -> dict[str, int]:
    traces = trace(*spans)
    table = columns(traces)
    found = charge(table, find_paths(table).own_ns)
    assert (found.own_ns + found.gap_ns).sum() == 100
    return {traces.span_ids[row]: gap for row, gap in enumerate(found.gap_ns.tolist()) if gap}


def call(client_kind: Kind, server_kind: Kind) -> list[SpanSpec]:
    return [
        span("root", None, 0, 100, service="a"),
        span("client", "root", 10, 90, service="a", kind=client_kind),
        span("server", "client", 30, 60, service="b", kind=server_kind),
    ]


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (Kind.CLIENT, Kind.SERVER, {"server": 50}),
        (Kind.UNSPECIFIED, Kind.UNSPECIFIED, {"server": 50}),
        (Kind.INTERNAL, Kind.SERVER, {}),
        (Kind.INTERNAL, Kind.INTERNAL, {}),
    ],
)
def test_calls_are_told_by_kind_or_where_there_is_none_by_the_tree(
    client: Kind, server: Kind, expected: dict[str, int]
) -> None:
    assert gaps(*call(client, server)) == expected


def test_without_kinds_a_span_with_other_work_below_it_is_no_client_side() -> None:
    assert gaps(*call(Kind.UNSPECIFIED, Kind.UNSPECIFIED), span("work", "client", 60, 70, service="a")) == {}


def test_without_kinds_the_span_at_which_a_service_was_entered_is_no_client_side() -> None:
    assert gaps(span("root", None, 0, 100, service="a"), span("b", "root", 10, 90, service="b")) == {}
