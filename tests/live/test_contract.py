"""The contract of sources against a server that runs: `TRACEQ_TEST_URL=http://... pytest -m live tests/live`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

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
    """Ask about the last 48 hours up to five minutes ago, so that traces which still arrive do not matter."""
    source = JaegerSource(URL, ConnectionOptions())
    now_ns = time.time_ns()
    everything = TraceQuery(window=Window(now_ns - 48 * HOUR_NS, now_ns - HOUR_NS // 12))
    newest = source.find(everything).traces
    assert len(newest), f"{URL} holds no traces between five minutes and 48 hours ago"
    return contract.Question(source, everything, newest.span(0).service, newest.trace_ids[0])


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_contract_of_sources_is_kept(
    check: Callable[[contract.Question], None], question: contract.Question
) -> None:
    check(question)
