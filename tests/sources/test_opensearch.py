"""Recorded answers of Jaeger on OpenSearch: the same as from memory, whatever the storage makes of a question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sources.opensearch import JOB, JOB_WINDOW, SERVERS, VALUES, find_value
from tests.sources.replay import URL, replaying
from traceq.query import TraceQuery
from traceq.sources.interface import ConnectionOptions
from traceq.sources.jaeger import JaegerSource


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with replaying(request.param):
        yield request.param


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_tag_finds_its_value_whatever_characters_it_holds(value: str, server: str) -> None:
    """OpenSearch reads values as regular expressions, and indexes no more than 256 characters of them."""
    found = find_value(JaegerSource(URL, ConnectionOptions()), value)

    values = [found.traces.span(row).details.attributes()["key"] for row in range(found.traces.span_count)]
    assert (values, found.is_cut_off, found.is_partial) == ([value], False, False)


def test_a_long_trace_of_which_a_window_holds_the_end_is_whole(server: str) -> None:
    """Jaeger 1.51 gives spans from an hour before the window on; by its id the trace is whole."""
    query = TraceQuery(service=JOB, window=JOB_WINDOW, limit=200)
    found = JaegerSource(URL, ConnectionOptions()).find(query)

    part = "the search gave only a part of 1 trace: asked for by id"
    assert found.notes == ((part,) if server == SERVERS[0] else ())
    assert (len(found.traces), found.traces.span_count, found.is_partial) == (1, 19, False)
