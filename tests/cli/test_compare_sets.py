"""Comparing files: the same answer from one table, from slices of any size, and from any number of workers."""

from __future__ import annotations

import io
from collections.abc import Container, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from benchmarks.data import Shape, write
from tests.cli.conftest import ROOT, Run
from tests.cli.test_archive import SOURCES, assert_same_both_ways, slice_by
from tests.cli.test_golden import CHAT
from traceq.sources.slices import FileSlice
from traceq.traces import Traces

AGAINST_ITSELF = ("compare", "fixtures/chat.json", "fixtures/chat.otlp.json.gz")
MODES = {
    "files": AGAINST_ITSELF,
    "files-service": (*AGAINST_ITSELF, "--service", "user-service"),
    "files-tag": (*AGAINST_ITSELF, "--tag", "room_id=467", "--whole-trace", "--service", "chat-service"),
    "windows": ("compare", "--before", "2020-01-01..2026-11-22T04:00Z", "--after", "2020-01-01..2040-01-01"),
    "slow": ("compare", "--slow", "10%"),
    "slow-service": ("compare", "--slow", "25%", "--service", "chat-service", "--no-skew-correction"),
    "failed": ("compare", "--failed"),
    "split": ("compare", "--split-by", "db.system"),
    "split-value": ("compare", "--split-by", "room_id=467"),
}


@pytest.fixture(autouse=True)
def few_deals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deal less often: what is compared here is two ways to the same numbers."""
    monkeypatch.setattr("traceq.analysis.comparison.dealing.DEALS", 10)


def arguments(mode: str, source: str) -> tuple[str, ...]:
    return MODES[mode] if mode.startswith("files") else (*MODES[mode], *SOURCES[source])


@pytest.mark.parametrize(
    ("mode", "source"),
    [
        *((mode, "document") for mode in MODES),
        ("slow", "otlp"),
        ("failed", "answers"),
        ("split", "answers"),
        ("windows", "traces"),
    ],
)
def test_slices_answer_as_one_table_does(mode: str, source: str, run: Run) -> None:
    assert_same_both_ways(run, arguments(mode, source), "json", 100_000)


def test_workers_write_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slice_by(monkeypatch, 400_000)
    command = (*arguments("split", "document"), "--format", "json")

    alone = run(*command, "--jobs", "1")
    # One pool for both questions: starting one takes longer than all the work there is here.
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        monkeypatch.setattr("traceq.engine.local_executor", lambda *_, **__: pool)
        together = run(*command, "--jobs", "2")

    assert alone.out
    assert alone == together


def test_parquet_answers_as_json_does(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = str(tmp_path / "chat.parquet")
    run("convert", "fixtures/chat.json", "-o", path)

    from_parquet, from_json = (
        run("compare", "--slow", "10%", "--source", file, "--format", "csv") for file in (path, CHAT[1])
    )

    assert from_parquet.out == from_json.out


def test_only_traces_of_the_sample_are_read_with_their_tags(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(tmp_path / name) for name in ("before.json", "after.json")]
    for seed, file in enumerate(files):
        write(Path(file), Shape(30, 8), seed)
    monkeypatch.setattr("traceq.analysis.comparison.tags.TRACES_COUNTED", 7)
    slice_by(monkeypatch, 20_000)
    decoded: list[int] = []

    def counting(self: FileSlice, wanted: Container[str], *, with_details: bool) -> Iterator[Traces]:
        for table in read(self, wanted, with_details=with_details):
            # What is learned from a sample is learned from columns alone.
            decoded.extend([len(table)] if with_details else [])
            yield table

    read = FileSlice.traces
    monkeypatch.setattr(FileSlice, "traces", counting)

    outcome = run("compare", *files)

    assert sum(decoded) == 14
    assert "tags counted in 14 traces of 60 traces, chosen by their ids" in outcome.out


def test_standard_input_is_read_once_for_traces_and_tags(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    piped = io.TextIOWrapper(io.BytesIO((ROOT / "fixtures/chat.json").read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)

    found = run("compare", "-", "fixtures/chat.json", "--format", "csv")

    assert found.out == run("compare", "fixtures/chat.json", "fixtures/chat.json", "--format", "csv").out


def test_where_nothing_matches_there_is_nothing_to_compare(run: Run) -> None:
    outcome = run("compare", "--slow", "5%", "--min-duration", "1h", *CHAT)

    assert outcome.code == 0
    assert outcome.out.startswith("Nothing to compare: no requests on either side")
