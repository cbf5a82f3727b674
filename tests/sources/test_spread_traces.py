"""Spans of a trace that lie wherever in files: every reading finds all of them, whatever the format and the size."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceq
from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.requests import RequestOptions
from traceq.analysis.unmatched import TimesQuestion
from traceq.codec import splitting
from traceq.engine import summarize
from traceq.executors import ProcessExecutor
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.slices import sliced
from traceq.traces import Traces

IDS = ("0c" * 16, "0C" * 8, "ab" * 16, "ab1" + "0" * 29, "7f")
"""The second is the low half of the first in other letters; two of the others begin with the same digits."""

Placed: TypeAlias = tuple[str, list[str]]
"""The id of the object that lists spans, and the ids of traces that these name."""


def v1(trace_id: str, spans: list[tuple[str, int]]) -> bytes:
    listed = [
        {
            "traceID": named,
            "spanID": f"{number:x}",
            "operationName": "get",
            "startTime": 1_700_000_000_000_000 + number,
            "duration": 10,
            "processID": "p1",
        }
        for named, number in spans
    ]
    return json.dumps({"traceID": trace_id, "spans": listed, "processes": {"p1": {"serviceName": "a"}}}).encode()


def otlp(_: str, spans: list[tuple[str, int]]) -> bytes:
    listed = [
        {
            "traceId": named,
            "spanId": f"{number:016x}",
            "name": "get",
            "startTimeUnixNano": str(1_700_000_000_000_000_000 + number),
            "endTimeUnixNano": str(1_700_000_000_000_000_010 + number),
        }
        for named, number in spans
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": listed}]}]}).encode()


def zipkin(_: str, spans: list[tuple[str, int]]) -> bytes:
    listed: list[dict[str, Any]] = [
        {"traceId": named, "id": f"{number:016x}", "name": "get", "timestamp": 1_700_000_000_000_000 + number}
        for named, number in spans
    ]
    return json.dumps(listed).encode()


def listed(objects: list[bytes]) -> bytes:
    return b'{"data":[' + b",".join(objects) + b"]}"


LAYOUTS: dict[str, tuple[Callable[[str, list[tuple[str, int]]], bytes], Callable[[list[bytes]], bytes]]] = {
    "v1-list": (v1, listed),
    "v1-lines": (v1, b"\n".join),
    "v1-following": (v1, b" ".join),
    "v1-list-gz": (v1, lambda objects: gzip.compress(listed(objects))),
    "otlp-lines": (otlp, b"\n".join),
    "zipkin-lines": (zipkin, b"\n".join),
}

objects = st.lists(st.tuples(st.sampled_from(IDS), st.lists(st.sampled_from(IDS), min_size=1, max_size=3)), min_size=1)
files = st.lists(st.tuples(st.sampled_from(sorted(LAYOUTS)), objects), min_size=1, max_size=3)


def write(folder: Path, placed: list[tuple[str, list[Placed]]]) -> dict[str, set[str]]:
    """Write files, and give the ids of the spans of each trace; every span has an id of its own."""
    spans: dict[str, set[str]] = {}
    number = 0
    for at, (layout, listing) in enumerate(placed):
        write_one, write_all = LAYOUTS[layout]
        written = []
        for trace_id, named in listing:
            numbered = [(each, number := number + 1) for each in named]
            written.append(write_one(trace_id, numbered))
            for each, of in numbered:
                spans.setdefault(WHOLE[each], set()).add(f"{of:x}")
        (folder / f"{at}.json{'.gz' * layout.endswith('gz')}").write_bytes(write_all(written))
    return spans


WHOLE = {each: IDS[0] if each == IDS[1] else each for each in IDS}
BY_NORMAL_ID = {each.lower().lstrip("0"): WHOLE[each] for each in IDS}


def told(*tables: Traces) -> dict[str, set[str]]:
    """Give the ids of the spans of each trace."""
    found: dict[str, set[str]] = {}
    for table in tables:
        for position, trace_id in enumerate(table.trace_ids):
            whole = BY_NORMAL_ID[trace_id.lower().lstrip("0")]
            assert whole not in found, "a trace that is there twice"
            found[whole] = {table.span_ids[row].lstrip("0") for row in table.rows(position)}
    return found


def of_slices(path: str, slice_bytes: int) -> Iterator[Traces]:
    with sliced((path,), slice_bytes=slice_bytes) as cut:
        for attempt in cut.attempts():
            with attempt as trusted:
                yield from [table for piece in trusted.slices for table in piece.tables(with_details=False)]
                break


@contextmanager
def sizes(bound: int | None) -> Iterator[None]:
    """Treat files of this many bytes as large."""
    with pytest.MonkeyPatch.context() as patch:
        if bound is not None:
            patch.setattr(splitting, "_SMALL_BYTES", bound)
        yield


@given(files, st.sampled_from([None, 0, 300]))
def test_every_reading_gives_the_same_traces(placed: list[tuple[str, list[Placed]]], bound: int | None) -> None:
    with TemporaryDirectory() as folder, sizes(bound):
        expected = write(Path(folder), placed)
        everything = TraceQuery(limit=None)

        assert told(FileSource((folder,)).find(everything).traces) == expected
        assert told(FileSource((folder,)).find(TraceQuery(limit=9)).traces) == expected
        assert told(*FileSource((folder,)).read(everything)) == expected
        assert told(*of_slices(folder, 400)) == expected
        assert told(traceq.load(folder)) == expected
        summaries = FileSource((folder,)).summaries(TraceQuery()).summaries
        assert {BY_NORMAL_ID[each.trace_id.lstrip("0")]: each.span_count for each in summaries} == {
            each: len(spans) for each, spans in expected.items()
        }
        for each in summaries:
            found = told(FileSource((folder,)).trace(each.trace_id.upper()))
            assert found == {whole: expected[whole] for whole in found}
            assert list(found) == [BY_NORMAL_ID[each.trace_id.lstrip("0")]]


@pytest.mark.parametrize("slice_bytes", [400, 10**6])
def test_what_was_cut_with_care_stays_so_for_a_few_traces(slice_bytes: int, tmp_path: Path) -> None:
    expected = write(tmp_path, [("v1-list", [(IDS[0], [IDS[0]]), (IDS[2], [IDS[2], IDS[0]])])])

    with sizes(0), sliced((str(tmp_path),), slice_bytes=slice_bytes) as cut:
        summarize(cut, TraceQuery(limit=None), BottleneckQuestion(RequestOptions()))
        (trusted,) = (attempt.found for attempt in cut.attempts())
        of_one = [table for piece in trusted.slices for table in piece.traces({IDS[0].lstrip("0")}, with_details=False)]

    assert told(*of_one) == {IDS[0]: expected[IDS[0]]}


def test_workers_tell_that_an_object_lists_spans_of_several_traces(tmp_path: Path) -> None:
    write(tmp_path, [("v1-list", [(IDS[0], [IDS[0]]), (IDS[2], [IDS[2], IDS[0]]), (IDS[3], [IDS[3]])])])

    with sizes(0), sliced((str(tmp_path),), slice_bytes=300) as cut:
        summary = summarize(cut, TraceQuery(limit=None), TimesQuestion(), ProcessExecutor(2))

    assert summary.trace_count == 3
