from __future__ import annotations

from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, span, trace
from traceq.analysis.columns import columns
from traceq.analysis.requests import find_requests
from traceq.traces import Traces


def at(span_id: str, parent_id: str | None, service: str) -> SpanSpec:
    return span(span_id, parent_id, 0, 10, service=service)


CALL_BACK = (
    at("root", None, "edge"),
    at("in", "root", "chat"),
    at("work", "in", "chat"),
    at("out", "work", "user"),
    at("back", "out", "chat"),
    at("other", "root", "chat"),
)


def names(traces: Traces, service: str | None, *, whole_trace: bool = False) -> tuple[list[str], list[str]]:
    found = find_requests(columns(traces), service, whole_trace=whole_trace)
    owners = ["" if row < 0 else traces.span_ids[row] for row in found.entry]
    return [traces.span_ids[row] for row in found.entries], owners


def test_entries_are_the_topmost_spans_of_the_service_and_calls_back_belong_to_them() -> None:
    assert names(trace(*CALL_BACK), "chat") == (["in", "other"], ["", "in", "in", "in", "in", "other"])


def test_without_a_service_every_root_is_an_entry() -> None:
    assert names(trace(*CALL_BACK), None) == (["root"], ["root"] * 6)


def test_whole_traces_start_at_the_roots_of_those_that_the_service_takes_part_in() -> None:
    spans = (*CALL_BACK, at("alone", None, "cron"))

    assert names(trace(*spans), "user", whole_trace=True) == (["root"], ["root"] * 6 + [""])


def test_an_unknown_service_has_no_requests() -> None:
    assert names(trace(*CALL_BACK), "nobody") == ([], [""] * 6)


@given(tables())
def test_every_span_of_the_service_belongs_to_exactly_one_request(traces: Traces) -> None:
    for service in traces.services:
        found = find_requests(columns(traces), service)
        for row in range(traces.span_count):
            if traces.span(row).service == service:
                assert found.entry[row] in found.entries
