"""What is learned from many traces is the same however these are cut, and known wherever they are looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import SpanSpec, span
from tests.builders import traces as table_of
from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.learning import Sample, is_sampled, learn, learn_from, sample_level
from traceq.analysis.requests import RequestOptions
from traceq.codec.json_writers import encode_trace
from traceq.engine import SerialExecutor, local_executor, summarize
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.slices import sliced

MS = 10**6
QUESTION = BottleneckQuestion(RequestOptions())


def request(number: int) -> list[SpanSpec]:
    """Give a request whose mail is sent after the answer in two of three cases, and beside it in the third."""
    return [
        span("1", None, number * 1000 * MS, (number * 1000 + 60) * MS, name="POST /order"),
        span("2", "1", (number * 1000 + 5) * MS, (number * 1000 + 35) * MS, name="INSERT"),
        span("3", "1", (number * 1000 + 8) * MS, (number * 1000 + (50 if number % 3 else 90)) * MS, name="send mail"),
    ]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    table = table_of({f"{number:032x}": request(number) for number in range(1, 61)})
    path = tmp_path / "traces.json"
    path.write_bytes(b'{"data":[' + b",".join(encode_trace(table, at) for at in range(len(table))) + b"]}")
    return str(path)


def held_ns(answer: dict[str, Any], operation: str) -> int:
    return int(next(group["critical_ns"] for group in answer["operations"] if group["operation"] == operation))


@pytest.mark.parametrize("least", [pytest.param(500, id="from all"), pytest.param(5, id="from a sample")])
def test_slices_and_workers_know_what_one_table_does(archive: str, least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.analysis.learning.LEAST_SAMPLED", least)
    table = FileSource((archive,)).find(TraceQuery()).traces
    expected = QUESTION.rank(QUESTION.collect(table)).to_dict()

    with sliced((archive,), slice_bytes=5_000) as cut:
        answers = [
            QUESTION.rank(summarize(cut, TraceQuery(), QUESTION, executor).sums).to_dict()
            for executor in (SerialExecutor(), local_executor(cut.found.slices, 2))
        ]
    with sliced((archive,)) as cut:
        answers.append(QUESTION.rank(summarize(cut, TraceQuery(), QUESTION).sums).to_dict())

    assert [json.dumps(answer) for answer in answers] == [json.dumps(expected)] * 3
    assert held_ns(expected, "INSERT") == 60 * 30 * MS


def test_a_sample_is_about_as_large_as_wanted_and_holds_all_smaller_ones() -> None:
    ids = [f"{number:032x}" for number in range(1, 20_001)]

    level = sample_level(len(ids))
    sample = {trace_id for trace_id in ids if is_sampled(trace_id, level)}

    assert level == 6
    assert 250 <= len(sample) <= 400
    assert sample < {trace_id for trace_id in ids if trace_id in Sample(level - 1)}
    assert all(is_sampled(trace_id.lstrip("0"), level) for trace_id in sample)


@pytest.mark.parametrize(("trace_count", "level"), [(0, 0), (399, 0), (400, 1), (799, 1), (800, 2), (1_000_000, 12)])
def test_of_few_traces_all_are_learned_from(trace_count: int, level: int) -> None:
    assert sample_level(trace_count) == level


def test_tables_are_learned_from_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.analysis.learning.LEAST_SAMPLED", 5)
    table = table_of({f"{number:x}": request(number) for number in range(1, 31)})

    together = learn_from([table.select(range(10)), table.select(range(10, 30))])

    assert together == learn(table).learned() != learn(table.select([0, 1])).learned()
