"""Traces of which no span can be read: nobody sees them, and every question tells of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.strategies import as_json
from traceq.analysis.statistics import StatisticsOptions, StatisticsQuestion
from traceq.engine import ask
from traceq.errors import NotFoundError
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.traces import TraceWarning


def test_a_trace_without_a_span_that_can_be_read_is_told_by_every_question(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    good = {"traceID": "a1", "spanID": "1", "operationName": "x", "startTime": 1_700_000_000_000_000}
    traces = [{"traceID": "a1", "spans": [good]}, {"traceID": "b2", "spans": [None]}, {"traceID": "c3", "spans": [5]}]
    file.write_bytes(as_json({"data": traces}))
    source = FileSource((str(file),))

    def lost(warnings: Iterable[TraceWarning]) -> list[str]:
        return sorted(each.trace_id for each in warnings if each.code == "span-left-out")

    found = source.find(TraceQuery())
    assert (found.traces.trace_ids, lost(found.traces.warnings)) == (("a1",), ["b2", "c3"])
    assert [lost(each.warnings) for each in found.traces] == [[]]
    for query in (TraceQuery(), TraceQuery(limit=1)):
        listed = source.summaries(query)
        assert ([each.trace_id for each in listed.summaries], lost(listed.warnings)) == (["a1"], ["b2", "c3"])
        assert lost(source.find(query).traces.warnings) == ["b2", "c3"]
        asked = ask(source, query, StatisticsQuestion(StatisticsOptions())).asked
        assert dict(asked.warnings.counts)["span-left-out"] == 2
    with pytest.raises(
        NotFoundError, match=r"no span of the trace b2 in .* can be read: item 0 of its spans is no span"
    ):
        source.trace("b2")


def test_a_trace_that_never_had_a_span_cannot_be_shown(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(as_json({"data": [{"traceID": "b2", "spans": []}]}))

    with pytest.raises(NotFoundError, match=r"no span of the trace b2 in .* can be read$"):
        FileSource((str(file),)).trace("b2")


def test_a_file_of_which_no_span_can_be_read_says_so(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(as_json({"data": [{"traceID": "b2", "spans": [None]}]}))

    assert [each.trace_id for each in FileSource((str(file),)).summaries(TraceQuery()).warnings] == ["b2"]
    assert ask(FileSource((str(file),)), TraceQuery(), StatisticsQuestion(StatisticsOptions())).asked.warnings.counts
