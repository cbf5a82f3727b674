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

pytestmark = [
    pytest.mark.live,
    pytest.mark.enable_socket,
    pytest.mark.skipif(not URL, reason="TRACEQ_TEST_URL names no server"),
]


@pytest.fixture
def question() -> contract.Question:
    """Ask about up to 48 hours until five minutes ago: traces that still arrive do not matter, and none is cut off."""
    source = JaegerSource(URL, ConnectionOptions())
    end_ns = time.time_ns() - HOUR_NS // 12
    width_ns = 48 * HOUR_NS
    while True:
        everything = TraceQuery(window=Window(end_ns - width_ns, end_ns))
        found = source.find(everything)
        if not found.is_cut_off:
            break
        width_ns //= 2
    newest = found.traces
    assert len(newest), f"{URL} holds no traces in the {width_ns} ns before five minutes ago, but too many before that"
    return contract.Question(source, everything, newest.span(0).service, newest.trace_ids[0])


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
