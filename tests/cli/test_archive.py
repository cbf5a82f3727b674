"""Questions to files: the same answer from one table, from slices of any size, and from any number of workers."""

from __future__ import annotations

import io
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run
from tests.cli.test_golden import CHAT
from traceq.sources.files import JsonFiles
from traceq.sources.slices import sliced

ANSWERS = "fixtures/jaeger-1.51/bodies"
SOURCES = {
    "document": CHAT,
    "otlp": ("--source", "fixtures/chat.otlp.json.gz"),
    # Most traces are in several of these files, some of them in other versions.
    "answers": ("--source", f"{ANSWERS}/traces-of-*.json*", "--source", f"{ANSWERS}/dependencies.json"),
    "traces": ("--source", f"{ANSWERS}/trace-*.json*"),
}
COMMANDS = {
    "bottlenecks": ("bottlenecks", "chat-service", "--what-if", "mongodb=-50%", "--what-if", "user-service=1ms"),
    "deps": ("deps", "--view", "table"),
    "deps-hosts": ("deps", "--view", "table", "--group-peers", "host"),
    "deps-impact": ("deps", "--impact", "mysql"),
    "deps-critical": ("deps", "--critical"),
    "findings": ("findings", "--min-cost", "1ms", "--slow-query", "5ms", "--top", "50"),
    "findings-service": ("findings", "user-service", "--min-cost", "0ms", "--min-share", "0%"),
    "errors": ("errors", "--top", "50"),
    "errors-tag": ("errors", "chat-service", "--tag", "error=true"),
    "stats": ("stats", "--by", "service", "--by", "operation"),
    "stats-tag": ("stats", "--by", "tag:db.system"),
    "check": (
        "check",
        "p95(chat-service) < 1ms",
        "calls(mysql) <= 1",
        "no(n+1)",
        "max(user-service) < 1h",
        "no(error)",
    ),
    "check-baseline": ("check", "--baseline", "fixtures/chat.json", "--service", "chat-service"),
}


def slice_by(monkeypatch: pytest.MonkeyPatch, slice_bytes: int) -> None:
    monkeypatch.setattr("traceq.sources.slices.sliced", partial(sliced, slice_bytes=slice_bytes))


def answer(run: Run, arguments: tuple[str, ...], form: str) -> tuple[int, object]:
    """Give exit code and answer; warnings of JSON sorted, because they come in the order in which traces are read."""
    outcome = run(*arguments, "--format", form, width=120)
    assert outcome.code in (0, 6), outcome.err
    if form != "json":
        return outcome.code, outcome.out
    document: dict[str, Any] = json.loads(outcome.out)
    warnings = sorted(json.dumps(warning) for warning in document.pop("warnings"))
    return outcome.code, (json.dumps(document), warnings)


def assert_same_both_ways(run: Run, command: tuple[str, ...], form: str, slice_bytes: int) -> None:
    """Ask in slices, where nothing may read files as a whole, and of one table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("traceq.remarks.WARNINGS_KEPT", 10**6)
        patch.setattr(JsonFiles, "_contents", property(refuse))
        slice_by(patch, slice_bytes)
        slices = answer(run, command, form)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("traceq.remarks.WARNINGS_KEPT", 10**6)
        patch.setattr("traceq.engine.is_sliced", lambda *_: False)
        whole = answer(run, command, form)

    assert slices == whole


def refuse(_: JsonFiles) -> None:
    raise AssertionError("read as a whole")


# Traces in pieces are the hardest; that the other forms are cut well is told by a question of each kind.
CASES = [(name, "answers") for name in COMMANDS]
CASES += [(name, source) for name in ("deps", "findings", "check") for source in ("document", "otlp", "traces")]


@pytest.mark.parametrize(("name", "source"), CASES)
def test_slices_answer_as_one_table_does(name: str, source: str, run: Run) -> None:
    command = (*COMMANDS[name], *SOURCES[source])
    form = "text" if (name, source) == ("findings", "document") else "json"

    assert_same_both_ways(run, command, form, 60_000)


@pytest.mark.parametrize("name", ["deps-impact", "findings", "check"])
def test_any_number_of_workers_writes_the_same_bytes(name: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slice_by(monkeypatch, 400_000)
    command = (*COMMANDS[name], *CHAT, "--format", "json")

    one, two = (run(*command, "--jobs", jobs) for jobs in ("1", "2"))

    assert one.out
    assert one == two


@pytest.mark.parametrize("name", ["deps-impact", "check"])
def test_standard_input_is_read_once_however_often_it_is_asked(
    name: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = io.TextIOWrapper(io.BytesIO((ROOT / "fixtures/chat.json").read_bytes()))
    monkeypatch.setattr("sys.stdin", piped)

    found = run(*COMMANDS[name], "--source", "-", "--format", "csv")

    assert found.out == run(*COMMANDS[name], *CHAT, "--format", "csv").out


def test_a_dependency_table_alone_is_a_graph_without_traces(run: Run) -> None:
    outcome = run("deps", "--from", "jaeger", "--view", "table", "--source", f"{ANSWERS}/dependencies.json")

    assert outcome.code == 0
    assert "from Jaeger's own table" in outcome.out


@pytest.mark.parametrize("name", ["deps", "findings", "errors", "stats", "check"])
def test_with_a_limit_the_newest_are_taken_from_one_table(name: str, run: Run, tmp_path: Path) -> None:
    shutil.copy(ROOT / "fixtures/chat.json", tmp_path / "chat.json")

    limited = run(*COMMANDS[name], "--limit", "20", "--source", str(tmp_path), "--format", "json")

    document = json.loads(limited.out)
    assert document["is_cut_off"]
    assert document["notes"] == [
        "the limit of 20 left traces out: there may be more, raise --limit or narrow the window"
    ]
