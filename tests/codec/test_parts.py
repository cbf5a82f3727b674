"""Spans of several traces that are listed as one: each is in the trace that it names, however the file is read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import as_json
from traceq.codec.documents import read_document
from traceq.codec.parts import parted
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.slices import sliced
from traceq.traces import Traces

Listed = list[tuple[str, list[str]]]
"""Traces, each with the ids that its spans name."""

MIXED: Listed = [("b2", ["b2"]), ("a1", ["a1", "b2", "c3"]), ("c3", ["c3"])]


def written(listed: Listed, *, separator: str = ",", long_name: str = "") -> bytes:
    """Write traces; every span has an id of its own."""
    traces, number = [], 0
    for trace_id, named in listed:
        spans = []
        for each in named:
            number += 1
            spans.append(
                {
                    "traceID": each,
                    "spanID": f"{number:x}",
                    "operationName": f"{number}{long_name}",
                    "startTime": 1_700_000_000_000_000,
                    "duration": 10,
                    "processID": "p1",
                }
            )
        processes = {"p1": {"serviceName": f"of-{trace_id}"}}
        traces.append(json.dumps({"traceID": trace_id, "spans": spans, "processes": processes}))
    text = separator.join(traces)
    return (f'{{"data":[{text}]}}' if separator == "," else text).encode()


def counted(*tables: Traces) -> Counter[str]:
    found: Counter[str] = Counter()
    for table in tables:
        for position, trace_id in enumerate(table.trace_ids):
            assert trace_id not in found, "a trace that is there twice"
            found[trace_id] = len(table.rows(position))
    return found


WHOLE = Counter(b2=2, a1=1, c3=2)


@pytest.mark.parametrize("separator", [",", "\n"])
@pytest.mark.parametrize("long_name", ["", "x" * 300_000], ids=["small", "large"])
def test_every_reading_tells_traces_apart(separator: str, long_name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(written(MIXED, separator=separator, long_name=long_name))
    source = FileSource((str(file),))

    def of_slices() -> list[Traces]:
        with sliced((str(file),), slice_bytes=400) as cut:
            for attempt in cut.attempts():
                with attempt as trusted:
                    return [table for piece in trusted.slices for table in piece.tables(with_details=False)]
        raise AssertionError

    assert counted(*of_slices()) == WHOLE
    assert counted(source.find(TraceQuery(limit=None)).traces) == WHOLE
    assert counted(FileSource((str(file),)).find(TraceQuery(limit=9)).traces) == WHOLE
    assert counted(*FileSource((str(file),)).read(TraceQuery(limit=None))) == WHOLE
    assert {each.trace_id: each.span_count for each in source.summaries(TraceQuery()).summaries} == WHOLE
    assert FileSource((str(file),)).services() == ("of-a1", "of-b2", "of-c3")


@pytest.mark.parametrize("long_name", ["", "x" * 600_000], ids=["small", "large"])
def test_a_trace_that_is_listed_in_another_alone_is_found(long_name: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(written([("a1", ["a1", "b2"])], long_name=long_name))

    table = FileSource((str(file),)).trace("b2")

    assert counted(table) == Counter(b2=1)
    assert [(each.code, each.trace_id, each.span_id, each.message) for each in table.warnings] == [
        ("other-trace", "b2", "2", "it is listed in the trace a1, and shown in the one that it names")
    ]


@pytest.mark.parametrize("named", [True, 1.5])
@pytest.mark.parametrize("separator", [",", "\n"])
def test_what_is_no_id_names_a_trace_of_its_own(named: object, separator: str, tmp_path: Path) -> None:
    """A span with such an id made slices of the file unreadable."""
    file = tmp_path / "x.json"
    text = as_json(named)
    file.write_bytes(written([("a1", ["a1", "id"]), ("b2", ["b2"])], separator=separator).replace(b'"id"', text))

    with sliced((str(file),), slice_bytes=100) as cut:
        for attempt in cut.attempts():
            with attempt as trusted:
                tables = [table for piece in trusted.slices for table in piece.tables(with_details=False)]

    assert counted(*tables) == Counter({"a1": 1, "b2": 1, text.decode(): 1})


def test_a_server_is_believed_about_what_is_in_a_trace() -> None:
    (part,) = read_document(written([("a1", ["a1", "b2"])]), "x", is_answer=True).parts

    assert part.trace_id == "a1"


@given(st.lists(st.tuples(st.sampled_from("123"), st.lists(st.sampled_from(["1", "2", "3", "01", ""]))), max_size=4))
def test_every_span_is_in_the_trace_that_it_names(listed: Listed) -> None:
    parts = list(parted(read_document(as_json(json.loads(written(listed))), "x").parts))

    expected = Counter((each.lstrip("0") or trace_id) for trace_id, named in listed for each in named)
    found = Counter(
        {part.trace_id: 0 for part in parts},
    )
    for part in parts:
        found[part.trace_id.lstrip("0")] += sum(1 for _ in part.attributes([f"{n:x}" for n in range(1, 99)]))
    assert +found == expected
