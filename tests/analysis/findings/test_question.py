"""Findings over many requests: merged, added up, ordered; and the laws they keep."""

from __future__ import annotations

from dataclasses import asdict
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.analysis.arbitrary import knowing, tables
from tests.analysis.findings.requests import EVERYTHING, entry, part, query, rest
from tests.builders import SpanSpec, assemble, record, span, traces
from tests.laws import examples
from traceq.analysis.findings import KINDS, FindingQuestion, FindingSums, Thresholds
from traceq.analysis.requests import RequestOptions
from traceq.library import findings
from traceq.semantics import Kind, Status
from traceq.traces import Traces

OPTIONS = RequestOptions()


def slow(milliseconds: int) -> list[SpanSpec]:
    return [entry(milliseconds + 100), query("q", 10, 10 + milliseconds), rest(10 + milliseconds, milliseconds + 100)]


def test_findings_of_one_call_are_merged_and_their_costs_add() -> None:
    found = findings(traces({"a": slow(300), "b": slow(500), "c": slow(400), "d": slow(250), "e": slow(20)}))

    (finding,) = found.findings
    assert finding.totals.cost_ns == 1_450_000_000
    assert (finding.totals.request_count, found.sums.request_count) == (4, 5)
    assert finding.ratio == 1_450 / 1_970
    assert (finding.totals.time.min_ns, finding.totals.time.max_ns) == (250_000_000, 500_000_000)
    assert [example.trace_id for example in finding.totals.examples] == ["b", "c", "a"]
    assert finding.totals.examples[0].request_span_id == "0"


def test_the_costliest_finding_comes_first_and_those_without_cost_last() -> None:
    repeated = [entry(100), *(query(f"q{i}", 20 * i, 20 * i + 10) for i in range(5))]
    orphan = [entry(100), part("o", "dead", 0, 10)]

    found = findings(traces({"a": repeated, "b": slow(300), "c": orphan}))

    assert [finding.key.kind for finding in found.findings] == ["slow-query", "repeated-query", "incomplete-trace"]


def test_only_requests_of_the_service_are_looked_at() -> None:
    table = traces({"a": slow(300)})

    assert findings(table, "nobody").to_dict() == {
        "verdict": None,
        "service": "nobody",
        "asked": {
            "kinds": None,
            "whole_trace": False,
            "include_streams": False,
            "skew_correction": True,
            "thresholds": asdict(Thresholds()),
        },
        "request_count": 0,
        "trace_count": 0,
        "span_count": 0,
        "latency_ns": None,
        "incomplete_request_count": 0,
        "set_apart": {
            "fragment_count": 0,
            "fragment_trace_count": 0,
            "stream_count": 0,
            "excluded_request_count": 0,
            "span_count": 0,
        },
        "known_count": None,
        "total_count": 0,
        "truncated": False,
        "findings": [],
    }
    assert len(findings(table, "app").findings) == 1


def test_a_recursive_call_is_saved_once() -> None:
    nested = [query(f"q{i}", i, 900 - i, "0" if i == 0 else f"p{i - 1}") for i in range(3)]
    steps = [part(f"p{i}", f"q{i}", i, 900 - i, name="step", service="other") for i in range(2)]

    (finding,) = (
        each
        for each in findings(traces({"a": [entry(900), *nested, *steps]}), thresholds=Thresholds()).findings
        if each.key.kind == "slow-query" and each.key.caller_name == "step"
    )

    assert finding.totals.sighting_count == 2
    assert finding.totals.cost_ns == 900_000_000


def test_traces_read_without_attributes_still_have_findings_but_no_statements() -> None:
    bare = replace(traces({"a": slow(300)}), details=None)

    (finding,) = findings(bare).findings

    assert (finding.key.kind, finding.statement) == ("slow-query", "")


def test_the_frame_has_a_row_a_finding() -> None:
    frame = findings(traces({"a": slow(300), "b": slow(500)})).to_frame()

    assert frame["kind"].tolist() == ["slow-query"]
    assert frame["time.max_ns"].tolist() == [500_000_000]


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"n_plus_one_calls": 1}, "n_plus_one_calls has to be 2 or more"),
        ({"retries": 0}, "retries has to be 1 or more"),
        ({"min_cost_ns": -1}, "min_cost_ns has to be 0 or more"),
        ({"min_ratio": -0.1}, "min_ratio has to be 0 or more"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(changed: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Thresholds(**changed)


@st.composite
def busy_traces(draw: st.DrawFn) -> list[SpanSpec]:
    """Give a trace in which much is alike, but nothing is a tie.

    No two spans begin or end at the same time, and each lies within its parent: clipping would make ties too.
    """
    size = draw(st.integers(2, 14))
    times = draw(st.lists(st.integers(0, 400), min_size=2 * size, max_size=2 * size, unique=True))
    spans = [span("0", None, -1, 1000, service="a", name="GET /", kind=Kind.SERVER)]
    for i in range(1, size):
        kind = draw(st.sampled_from((Kind.CLIENT, Kind.INTERNAL, Kind.PRODUCER, Kind.CONSUMER)))
        start_ns, end_ns = sorted(times[2 * i : 2 * i + 2])
        around = [spec for spec in spans if spec.start_ns < start_ns and end_ns < spec.end_ns]
        attributes = {"db.system": "mysql", "db.statement": draw(st.sampled_from(("a", "b")))}
        spans.append(
            span(
                f"{i:x}",
                draw(st.sampled_from(around)).span_id,
                start_ns,
                end_ns,
                service=draw(st.sampled_from("ab")),
                name=draw(st.sampled_from(("get", "put"))),
                kind=kind,
                status=draw(st.sampled_from((Status.UNSET, Status.ERROR))),
                attributes=attributes if kind is Kind.CLIENT and draw(st.booleans()) else {},
            )
        )
    return spans


FEW = Thresholds(
    min_cost_ns=1,
    min_ratio=0,
    n_plus_one_calls=2,
    repeated_queries=2,
    sequential_calls=2,
    sequential_gap_ns=1000,
    straggler_calls=2,
    fan_out_calls=2,
    network_ns=1,
    gap_ns=1,
    slow_query_ns=1,
    queue_delay_ns=1,
    skew_ns=1,
)
"""Everything is a finding."""


@examples(0.5)
@given(st.lists(busy_traces(), min_size=1, max_size=3), st.data())
def test_the_order_of_spans_and_traces_makes_no_difference(specs: list[list[SpanSpec]], data: st.DataObject) -> None:
    records = [record(*spans, trace_id=f"{i:x}") for i, spans in enumerate(specs, 1)]
    shuffled = [
        record(*data.draw(st.permutations(spans)), trace_id=f"{i:x}") for i, spans in reversed([*enumerate(specs, 1)])
    ]

    assert (
        findings(assemble(records), thresholds=FEW).to_dict() == findings(assemble(shuffled), thresholds=FEW).to_dict()
    )


@given(
    st.one_of(
        tables(),
        st.lists(busy_traces(), min_size=1, max_size=3).map(
            lambda specs: assemble([record(*spans, trace_id=f"{i:x}") for i, spans in enumerate(specs, 1)])
        ),
    )
)
def test_nothing_costs_more_than_the_requests_took(table: Traces) -> None:
    sums = FindingQuestion(OPTIONS, FEW).collect(table)

    assert all(0 <= totals.cost_ns <= sums.latency_ns for totals in sums.findings.values())
    assert all(key.kind in KINDS for key in sums.findings)
    for totals in sums.findings.values():
        assert 1 <= totals.request_count <= totals.sighting_count <= totals.span_count
        assert all(0 <= example.cost_ns <= totals.cost_ns for example in totals.examples)


@given(tables())
def test_parts_add_up_in_any_order(table: Traces) -> None:
    table = knowing(table)
    parts = [FindingQuestion(OPTIONS, FEW).collect(part) for part in table]
    forward = reduce(FindingSums.__add__, parts, FindingSums())
    backward = reduce(FindingSums.__add__, reversed(parts), FindingSums())

    whole = FindingQuestion(OPTIONS, FEW).rank(FindingQuestion(OPTIONS, FEW).collect(table)).to_dict()
    assert FindingQuestion(OPTIONS, FEW).rank(forward).to_dict() == whole
    assert FindingQuestion(OPTIONS, FEW).rank(backward).to_dict() == whole


@given(tables())
def test_higher_thresholds_find_no_more(table: Traces) -> None:
    few, many = (
        FindingQuestion(OPTIONS, Thresholds()).collect(table),
        FindingQuestion(OPTIONS, EVERYTHING).collect(table),
    )

    assert set(few.findings) <= set(many.findings)
