"""The contract of sources against a server that runs: `TRACEQ_TEST_URL=http://... pytest -m live tests/live`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.sources import contract
from traceq.catalog import Window
from traceq.query import TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource

URL = os.environ.get("TRACEQ_TEST_URL", "")
HOUR_NS = 3_600_000_000_000
NEWEST_COUNT = 100
"""With fewer traces of any service than a request asks for, however many the server holds."""

pytestmark = [
    pytest.mark.live,
    pytest.mark.enable_socket,
    pytest.mark.skipif(not URL, reason="TRACEQ_TEST_URL names no server"),
]


@pytest.fixture(scope="module")
def question() -> contract.Question:
    """Ask about the newest traces until five minutes ago: those that still arrive do not matter, and none is cut off.

    The server may hold any number of them, so that the window begins with one of the newest.
    """
    source = JaegerSource(URL, ConnectionOptions())
    end_ns = time.time_ns() - HOUR_NS // 12
    window = Window(end_ns - 48 * HOUR_NS, end_ns)
    found = source.find(TraceQuery(window=window, limit=NEWEST_COUNT))
    assert len(found.traces), f"{URL} holds no traces of the last 48 hours that are older than five minutes"
    while found.is_cut_off:
        # A server may not give the newest, so that others began meanwhile.
        starts = contract.starts(found.traces)
        assert starts[0] > starts[-1], f"{URL} holds too many traces that began at {starts[0]}"
        window = Window(starts[len(starts) // 2], end_ns)
        found = source.find(TraceQuery(window=window))
    everything = TraceQuery(window=window)
    return contract.Question(source, everything, found.traces.span(0).service, found.traces.trace_ids[0])


def test_tags_of_the_newest_trace_find_it(question: contract.Question) -> None:
    span = question.source.trace(question.trace_id).span(0)
    texts = [(key, value) for key, value in span.details.attributes().items() if isinstance(value, str)]

    for condition in [*texts, ("otel.status_code", span.status.name), ("error", str(span.has_error).lower())]:
        found = question.source.find(replace(question.everything, service=span.service, attributes=(condition,)))
        assert question.trace_id in found.traces.trace_ids, condition
        assert not found.is_partial


def test_a_sample_holds_every_service(question: contract.Question) -> None:
    found = question.source.find(replace(question.everything, limit=1), is_sample=True)

    held = {trace.span(row).service for trace in found.traces for row in range(trace.span_count)}
    everything = question.source.find(question.everything).traces
    assert held == {everything.span(row).service for row in range(everything.span_count)}


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_contract_of_sources_is_kept(
    check: Callable[[contract.Question], None], question: contract.Question
) -> None:
    check(question)
