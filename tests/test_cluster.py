"""Dask itself, with two workers in processes of their own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from traceq.analysis.bottlenecks import BottleneckQuestion
from traceq.analysis.requests import RequestOptions
from traceq.codec.parquet import SpanWriter
from traceq.engine import Executor, summarize
from traceq.errors import SourceError
from traceq.executors import DaskExecutor
from traceq.query import TraceQuery
from traceq.sources.files import FileSource

CHAT = Path(__file__).parents[1] / "fixtures" / "chat.json"
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class OneDeath:
    """An executor that kills the worker of one task, once."""

    executor: Executor
    marker: Path

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        return self.executor.map(partial(die_once, self.marker, os.getpid(), function), tasks)


def die_once(marker: Path, asker: int, function: Callable[[_Task], _Result], task: _Task) -> _Result:
    assert os.getpid() != asker
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return function(task)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def test_a_worker_that_dies_costs_a_retry_and_not_the_answer(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    traces = next(iter(FileSource((str(CHAT),)).read(TraceQuery())))
    for start in range(0, len(traces), 20):
        writer = SpanWriter(tmp_path / f"{start:03d}.parquet", with_details=True)
        writer.add(traces.select(range(start, min(len(traces), start + 20))))
        writer.close()
    options = RequestOptions("chat-service")
    question = BottleneckQuestion(options)

    with FileSource((str(tmp_path),)).slices() as cut:
        serial = summarize(cut, TraceQuery(), question)
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster:
            executor = OneDeath(DaskExecutor(cluster.scheduler_address), tmp_path / "died")
            spread = summarize(cut, TraceQuery(), question, executor)

    assert (tmp_path / "died").exists()
    assert len(cut.found.slices) == 6
    assert question.rank(spread.sums).to_dict() == question.rank(serial.sums).to_dict()
    assert replace(spread, sums=serial.sums) == serial


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "foo::bar"])
def test_a_scheduler_that_is_not_there_is_told_at_once(address: str) -> None:
    pytest.importorskip("distributed")

    with pytest.raises(SourceError, match=f"no answer from Dask at {address}"):
        next(DaskExecutor(address).map(len, ["a"]))


def test_without_dask_the_hint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(SourceError) as raised:
        DaskExecutor("local")

    assert raised.value.hint == "pip install 'dask[distributed]'"
