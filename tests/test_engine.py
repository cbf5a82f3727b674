from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.data import Shape, traces, write
from tests.laws import examples
from tests.strategies import as_json, otlp_documents, v1_traces
from traceq.analysis.bottlenecks import BottleneckQuestion, BottleneckSums
from traceq.analysis.call_sums import count_calls
from traceq.analysis.dependencies import DependencyQuestion, from_sums
from traceq.analysis.requests import RequestOptions
from traceq.engine import SerialExecutor, local_executor, summarize
from traceq.errors import DecodeError
from traceq.executors import ProcessExecutor, ThreadExecutor
from traceq.query import TraceQuery
from traceq.remarks import sum_warnings
from traceq.sources.files import FileSource
from traceq.sources.interface import Progress, Slice, Slicing
from traceq.sources.parquet import ParquetSlice
from traceq.sources.slices import sliced
from traceq.traces import normal_id

EVERYTHING = TraceQuery()
REQUESTS = RequestOptions()


def as_text(sums: BottleneckSums) -> str:
    return json.dumps(BottleneckQuestion(REQUESTS).rank(sums).to_dict())


def written(folder: str, documents: Sequence[object], form: str) -> str:
    path = Path(folder) / "x.json"
    items = [as_json(each) for each in documents]
    path.write_bytes(b"\n".join(items) if form == "lines" else b'{"data":[' + b",".join(items) + b"]}")
    return str(path)


def parts_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """Take a trace apart: each span stands alone under the same id."""
    return [{**trace, "spans": [span]} for span in trace["spans"]]


@examples(0.5)
@given(
    documents=st.lists(v1_traces(), min_size=1, max_size=5, unique_by=lambda trace: str(trace["traceID"])),
    slice_bytes=st.integers(1, 5000),
    form=st.sampled_from(["lines", "list"]),
    is_scattered=st.booleans(),
)
def test_slices_of_any_size_give_what_one_table_gives(
    *, documents: list[dict[str, Any]], slice_bytes: int, form: str, is_scattered: bool
) -> None:
    pieces = [part for trace in documents for part in parts_of(trace)] if is_scattered else documents
    with TemporaryDirectory() as folder:
        file = written(folder, pieces[::2] + pieces[1::2], form)
        table = FileSource((file,)).find(EVERYTHING).traces
        with sliced((file,), slice_bytes=slice_bytes) as cut:
            ranked = summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS))
            called = summarize(cut, EVERYTHING, DependencyQuestion())

    assert as_text(ranked.sums) == as_text(BottleneckQuestion(REQUESTS).collect(table))
    assert from_sums(called.sums).to_dict() == from_sums(count_calls(table)).to_dict()
    assert ranked.trace_count == len(table)
    assert ranked.warnings.counts == sum_warnings(table.warnings).counts


@examples(0.3)
@given(documents=st.lists(otlp_documents(), min_size=1, max_size=4), slice_bytes=st.integers(1, 3000))
def test_otlp_lines_give_what_one_table_gives(*, documents: list[dict[str, Any]], slice_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        file = written(folder, [*documents, *documents[:1]], "lines")
        table = FileSource((file,)).find(EVERYTHING).traces
        with sliced((file,), slice_bytes=slice_bytes) as cut:
            ranked = summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS))

    assert as_text(ranked.sums) == as_text(BottleneckQuestion(REQUESTS).collect(table))


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """Two files of 60 traces; some traces are in both."""
    items = list(traces(Shape(60, 20)))
    (tmp_path / "a.json").write_bytes(b'{"data":[' + b",".join(items[:40]) + b"]}")
    (tmp_path / "b.ndjson").write_bytes(b"\n".join(items[30:]))
    return str(tmp_path)


@pytest.mark.parametrize(
    "query", [EVERYTHING, TraceQuery(service="orders"), TraceQuery(attributes=(("error", "true"),))]
)
def test_a_service_and_tags_are_looked_for_as_in_one_table(archive: str, query: TraceQuery) -> None:
    options = RequestOptions(query.service)
    table = FileSource((archive,)).find(query).traces

    with sliced((archive,), slice_bytes=20_000) as cut:
        question = BottleneckQuestion(options)
        summary = summarize(cut, query, question)

    assert len(cut.found.slices) > 5
    assert question.rank(summary.sums).to_dict() == question.rank(question.collect(table)).to_dict()
    assert summary.warnings.counts == sum_warnings(table.warnings).counts
    assert any(culprit.statement for request in summary.sums.slowest for culprit in request.culprits)


def test_any_number_of_workers_gives_the_same_bytes(archive: str) -> None:
    with sliced((archive,), slice_bytes=20_000) as cut:
        one, two = (
            summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS), local_executor(cut.found.slices, jobs))
            for jobs in (1, 2)
        )

    assert as_text(one.sums) == as_text(two.sums)
    assert one.warnings == two.warnings


def test_what_is_kept_is_answered_as_what_is_read_twice(archive: str, monkeypatch: pytest.MonkeyPatch) -> None:
    question = BottleneckQuestion(REQUESTS)
    with sliced((archive,)) as cut:
        kept = summarize(cut, EVERYTHING, question)
        monkeypatch.setattr("traceq.engine._KEPT_BYTES", 0)
        read_twice = summarize(cut, EVERYTHING, question)

    assert len(cut.found.slices) == 1
    assert as_text(kept.sums) == as_text(read_twice.sums)
    assert kept.warnings == read_twice.warnings


def test_of_some_traces_no_others_are_decoded(archive: str) -> None:
    every = FileSource((archive,)).find(EVERYTHING).traces.trace_ids
    wanted = sorted(every)[::7]
    ids = frozenset(map(normal_id, [*wanted, "dead"]))

    with sliced((archive,), slice_bytes=20_000) as cut:
        tables = [table for piece in cut.found.slices for table in piece.traces(ids, with_details=True)]

    assert sorted(trace_id for table in tables for trace_id in table.trace_ids) == wanted
    assert all(table.details is not None for table in tables)


def test_a_wrong_guess_costs_a_second_look(tmp_path: Path) -> None:
    inner = [json.loads(each) for each in traces(Shape(2, 3), seed=2)]
    outer = [json.loads(each) for each in traces(Shape(4, 3))]
    outer[1]["note"] = [1, *inner]
    file = written(str(tmp_path), outer, "list")

    with sliced((file,), slice_bytes=300) as cut:
        with pytest.raises(DecodeError):
            summarize(Slicing(replace(cut.found, proven=None)), EVERYTHING, BottleneckQuestion(REQUESTS))
        summary = summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS))

    assert (summary.trace_count, summary.sums.span_count) == (4, 12)


def test_what_is_broken_stays_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, Shape(5, 3))
    path.write_bytes(path.read_bytes().replace(b'"spans":', b'"spans":5,"x":', 1))

    with sliced((str(path),), slice_bytes=300) as cut, pytest.raises(DecodeError, match=r"cannot read trace \w+ of"):
        summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS))


def test_progress_counts_bytes_and_traces(archive: str) -> None:
    seen: list[Progress] = []

    with sliced((archive,), slice_bytes=20_000) as cut:
        summarize(cut, EVERYTHING, BottleneckQuestion(REQUESTS), progress=seen.append)

    total = sum(piece.byte_count for piece in cut.found.slices)
    assert seen[0] == Progress("summing up traces", 0, total, 0, is_bytes=True)
    assert seen[-1] == Progress("summing up traces", total, total, 60, is_bytes=True)
    assert len(seen) == 1 + len(cut.found.slices)


def test_small_inputs_and_single_slices_need_no_workers() -> None:
    @dataclass
    class Sized:
        byte_count: int
        trace_count: int = 1
        is_columnar: bool = False

        def tables(self, *, with_details: bool) -> Iterator[Any]:
            raise NotImplementedError

        def traces(self, wanted: object, *, with_details: bool) -> Iterator[Any]:
            raise NotImplementedError

        def attributes(self, wanted: object) -> Iterator[Any]:
            raise NotImplementedError

    small: list[Slice] = [Sized(10), Sized(10)]
    large: list[Slice] = [Sized(10**9), Sized(10**9)]

    assert isinstance(local_executor(small), SerialExecutor)
    assert isinstance(local_executor(small, 2), ProcessExecutor)
    assert isinstance(local_executor(large, 1), SerialExecutor)
    assert isinstance(local_executor(large[:1], 8), SerialExecutor)


def test_columns_are_read_by_threads_and_attributes_by_processes() -> None:
    places = tuple(ParquetSlice((), byte_count=10**9, trace_count=1) for _ in range(2))

    assert isinstance(local_executor(places, 2), ThreadExecutor)
    assert isinstance(local_executor(places, 2, with_details=True), ProcessExecutor)
