"""`traceq report`: everything about the requests of a service in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run
from tests.cli.test_archive import assert_same_both_ways, slice_by
from traceq.engine import summarize_slice
from traceq.errors import ExitCode

CHAT = ("--source", "fixtures/chat.json")
REPORT = ("report", "chat-service")


def told(run: Run, *words: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run(*words, *CHAT, "--format", "json").out)
    for key in ("schema", "query", "source", "notes", "warnings", "warning_counts", "is_cut_off", "is_partial"):
        document.pop(key)
    return document


def test_a_page_is_written_under_the_name_of_the_service(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run(*REPORT, "--source", str(ROOT / "fixtures" / "chat.json"))

    page = tmp_path / "traceq-report-chat-service.html"
    assert (outcome.code, outcome.out) == (ExitCode.ANSWERED, "")
    assert outcome.err.splitlines()[-1] == "traceq: note: wrote traceq-report-chat-service.html"
    assert "<h1>Requests of chat-service</h1>" in page.read_text(encoding="utf-8")


def test_a_name_of_a_service_leads_to_no_other_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "traces.json"
    text = (ROOT / "fixtures" / "chat.json").read_text(encoding="utf-8")
    source.write_text(text.replace("chat-service", "../../x y"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert run("report", "../../x y", "--source", str(source), "-q").code == ExitCode.ANSWERED
    assert sorted(path.name for path in tmp_path.iterdir()) == ["traceq-report-x-y.html", "traces.json"]


def test_its_document_has_the_documents_of_the_commands(run: Run) -> None:
    document = told(run, *REPORT, "--traces", "2")
    bottlenecks = told(run, "bottlenecks", "chat-service", "--tags")
    first = document["bottlenecks"]["slowest_requests"][0]["trace_id"]

    assert document["verdict"] == bottlenecks["verdict"]
    assert document["tags"]["changes"] == bottlenecks.pop("tags")["changes"]
    assert document["findings"]["findings"] == bottlenecks.pop("findings")
    assert {**document["bottlenecks"], "verdict": None, "what_if": None} == {**bottlenecks, "verdict": None}
    assert document["findings"] == told(run, "findings", "chat-service")
    assert document["errors"] == told(run, "errors", "chat-service")
    assert [trace["trace"]["trace_id"] for trace in document["traces"]][:1] == [first]
    assert document["traces"][0] == told(run, "show", first)
    assert len(document["traces"]) == 2
    assert (
        sum(each["request_count"] for each in document["over_time"]["stretches"]) == document["errors"]["request_count"]
    )
    assert document["paths"]["total_ns"] <= document["work"]["total_ns"]
    assert document["comparison"] is None


def test_its_document_obeys_top_and_fields_and_says_what_it_lacks(run: Run) -> None:
    words = (*REPORT, *CHAT, "--top", "2", "--fields", "operation,verdict.operation,bottlenecks.request_count")
    document = json.loads(run(*words, "--format", "json").out)
    first, second = document["bottlenecks"].pop("operations")

    assert document == {
        "schema": "traceq.report/1",
        "is_cut_off": False,
        "is_partial": False,
        "verdict": {"operation": "mongodb.insert"},
        "bottlenecks": {"request_count": 83, "total_count": 45, "truncated": True},
    }
    assert (first, second) == ({"operation": "mongodb.insert"}, {"operation": "GET /users/me"})
    assert run(*REPORT, *CHAT, "--top", "1", "-f", "csv", "--fields", "operation").out == "operation\nmongodb.insert\n"


def test_files_are_read_twice_however_many_questions_there_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[int] = []

    def counted(piece: Any, *more: Any, **options: Any) -> Any:
        readings.append(piece.byte_count)
        return summarize_slice(piece, *more, **options)

    monkeypatch.setattr("traceq.engine.summarize_slice", counted)

    assert run(*REPORT, *CHAT, "-f", "json").code == ExitCode.ANSWERED
    assert len(readings) == 2


def test_slices_and_workers_answer_as_one_table_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same_both_ways(run, (*REPORT, *CHAT), "json", 100_000)
    slice_by(monkeypatch, 400_000)
    command = (*REPORT, *CHAT, "--format", "json")

    assert run(*command, "--jobs", "2").out == run(*command, "--jobs", "1").out


def test_a_comparison_is_told_first(run: Run) -> None:
    outcome = run(*REPORT, *CHAT, "--before", "fixtures/chat.otlp.json.gz", "-f", "markdown", "-q")

    headings = [line for line in outcome.out.splitlines() if line.startswith("## ")]
    assert outcome.code == ExitCode.ANSWERED
    assert headings[:2] == ["## What changed", "## Since when"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--after", "-1h..now"), "for --after: compare with what? give --before, too"),
        (
            ("--before", "abcd1234"),
            "for --before: a report is about many traces: give windows, files or URLs",
        ),
        (("--traces", "99"), "for '--traces': 99 is not in the range 0<=x<=10."),
    ],
)
def test_what_cannot_be_reported_is_refused(
    arguments: tuple[str, ...], error: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run(*REPORT, *CHAT, *arguments, "-o", str(tmp_path / "x.html"))

    assert (outcome.code, outcome.err.splitlines()[0]) == (ExitCode.USAGE, f"traceq: error: Invalid value {error}")
    assert not list(tmp_path.iterdir())


def test_where_no_request_matches_the_report_says_so(run: Run) -> None:
    outcome = run("report", "mysql", *CHAT, "-f", "markdown")

    assert outcome.code == ExitCode.NOT_FOUND or "no requests match" in outcome.out
