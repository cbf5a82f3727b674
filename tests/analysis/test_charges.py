from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given

import traceq
from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace
from tests.sources.replay import FIXTURES
from traceq.analysis.charges import charge
from traceq.analysis.columns import columns
from traceq.analysis.comparison.alignment import align
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.critical_path import find_paths
from traceq.analysis.culprits import examine
from traceq.analysis.findings.sightings import Scene
from traceq.analysis.findings.waiting import network_times
from traceq.analysis.group_sums import sum_groups
from traceq.analysis.requests import RequestOptions
from traceq.analysis.thresholds import Thresholds
from traceq.semantics import Kind
from traceq.traces import Traces


def gaps(*spans: SpanSpec) -> dict[str, int]:
    traces = trace(*spans)
    table = columns(traces)
    found = charge(table, find_paths(table).own_ns)
    assert found.charged_ns.sum() == 100
    return {traces.span_ids[row]: gap for row, gap in enumerate(found.network_ns.tolist()) if gap}


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
        (Kind.CLIENT, Kind.INTERNAL, {"server": 50}),
        (Kind.INTERNAL, Kind.SERVER, {}),
        (Kind.INTERNAL, Kind.INTERNAL, {"server": 50}),
    ],
)
def test_calls_are_told_by_roles(client: Kind, server: Kind, expected: dict[str, int]) -> None:
    assert gaps(*call(client, server)) == expected


@pytest.mark.parametrize("server_kind", [Kind.SERVER, Kind.INTERNAL])
def test_a_client_span_that_does_more_than_one_call_waits_for_more_than_that(server_kind: Kind) -> None:
    other = span("other", "client", 65, 80, service="a" if server_kind is Kind.INTERNAL else "c", kind=server_kind)

    assert gaps(*call(Kind.CLIENT, Kind.SERVER), other) == {}


def test_where_other_spans_of_the_trace_tell_kinds_an_internal_one_calls_nobody() -> None:
    teller = span("teller", "root", 95, 99, service="a", kind=Kind.CLIENT)

    assert gaps(*call(Kind.INTERNAL, Kind.INTERNAL), teller) == {}


def test_without_kinds_a_span_with_other_work_below_it_is_no_client_side() -> None:
    assert gaps(*call(Kind.UNSPECIFIED, Kind.UNSPECIFIED), span("work", "client", 60, 70, service="a")) == {}


def test_without_kinds_the_span_at_which_a_service_was_entered_is_no_client_side() -> None:
    assert gaps(span("root", None, 0, 100, service="a"), span("b", "root", 10, 90, service="b")) == {}


def test_every_question_charges_a_span_with_the_same() -> None:
    found = next(one for one in traceq.load(FIXTURES / "chat.json") if one.trace_ids[0].startswith("5266ff355aab16a3"))
    examined = examine(found, RequestOptions())

    row = next(row for row in range(found.span_count) if found.span(row).name == "GET /users/me")
    charged_ns, network_ns = int(examined.charged_ns[row]), int(examined.network_ns[row])
    ranked = next(line for line in traceq.bottlenecks(found).groups if line.key.name == "GET /users/me")
    aligned = next(call for call in align(found, found, RequestOptions()).calls if call.name == "GET /users/me")
    seen = network_times(Scene(examined, Thresholds(min_cost_ns=0, min_ratio=0, network_ns=1)))
    assert charged_ns > network_ns > 0
    assert (ranked.sums.critical_ns, ranked.sums.network_ns) == (charged_ns, network_ns)
    assert aligned.after is not None
    assert aligned.after.held_ns == charged_ns
    assert dict(zip(seen.rows.tolist(), seen.cost_ns.tolist(), strict=True))[row] == network_ns


@given(tables())
def test_ranking_and_comparison_charge_operations_with_the_same(found: Traces) -> None:
    options = RequestOptions(with_fragments=True)
    groups = sum_groups(examine(found, options))
    cohort = collect(found, options)

    compared: Counter[str] = Counter()
    for batch in cohort.batches:
        names = [str(key) for key in batch.operations]
        for operation, own_ns in zip(batch.work.operations.tolist(), batch.work.own_ns.tolist(), strict=True):
            compared[names[operation]] += own_ns
        for callee, gap_ns in zip(batch.gaps.callees.tolist(), batch.gaps.gap_ns.tolist(), strict=True):
            compared[names[callee]] += gap_ns
    assert +compared == +Counter({str(key): sums.critical_ns for key, sums in groups.items()})
