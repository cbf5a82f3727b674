from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run
from tests.codec.reading import described, table

CHAT = "fixtures/chat.json"


@pytest.mark.parametrize("command", ["bottlenecks", "deps", "search", "services", "errors", "stats"])
def test_questions_have_the_same_answer_from_parquet(run: Run, tmp_path: Path, command: str) -> None:
    path = tmp_path / "chat.parquet"
    written = run("convert", CHAT, "-o", str(path))

    ours = run(command, "--source", str(path), "--format", "json")
    theirs = run(command, "--source", CHAT, "--format", "json")

    assert written.code == ours.code == theirs.code == 0
    assert ours.out.replace(json.dumps(str(path)), json.dumps(CHAT)) == theirs.out


def test_one_trace_is_shown_with_its_attributes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "chat.parquet"
    run("convert", CHAT, "-o", str(path))
    trace_id = json.loads(run("search", "--source", CHAT, "--limit", "1", "-f", "json").out)["traces"][0]["trace_id"]

    ours, theirs = (
        json.loads(run("show", trace_id, "--source", source, "--attributes", "-f", "json").out)
        for source in (str(path), CHAT)
    )

    assert {**ours, "source": ""} == {**theirs, "source": ""}


def test_what_is_converted_fetches_back_as_it_was(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "chat.parquet"
    run("convert", CHAT, "-o", str(path))

    fetched, original = (table(run("fetch", "--source", source).out.encode()) for source in (str(path), CHAT))

    assert described(fetched) == described(original)


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_what_stands_in_jaeger_json_is_written_as_it_stands(run: Run, form: str) -> None:
    written = run("fetch", "--source", CHAT, "--format", form).out
    documents = json.loads(written)["data"] if form == "json" else [json.loads(line) for line in written.splitlines()]

    original = {trace["traceID"]: trace for trace in json.loads((ROOT / CHAT).read_bytes())["data"]}
    assert {trace["traceID"]: trace for trace in documents} == original


def test_traces_are_written_a_line_each_however_they_stand(run: Run, tmp_path: Path) -> None:
    spread = tmp_path / "spread.json"
    spread.write_text(json.dumps(json.loads((ROOT / CHAT).read_bytes()), indent=2), encoding="utf-8")

    written, expected = (run("fetch", "--source", source, "-f", "ndjson").out for source in (str(spread), CHAT))

    assert list(map(json.loads, written.splitlines())) == list(map(json.loads, expected.splitlines()))


def test_a_directory_is_rotated_and_read_as_one(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    written = run("convert", CHAT, "-o", str(folder), "--rotate", "1B")

    assert written.code == 0
    assert "wrote 106 traces, 1,606 spans" in written.err
    assert {path.suffix for path in folder.iterdir()} == {".parquet"}
    # Three spans hang on missing parents, and so belong to no request.
    assert json.loads(run("bottlenecks", "--source", str(folder), "-f", "json").out)["span_count"] == 1603
    refused = run("convert", CHAT, "-o", str(folder))
    assert refused.code == 2
    assert "holds Parquet files already" in refused.err.replace("\n", " ")


def test_attributes_may_be_left_out_and_every_answer_says_so(run: Run, tmp_path: Path) -> None:
    whole, lean = tmp_path / "whole.parquet", tmp_path / "lean.parquet"
    run("convert", CHAT, "-o", str(whole))
    run("convert", CHAT, "-o", str(lean), "--no-attributes")

    found = run("search", "--source", str(lean), "--format", "json")

    assert lean.stat().st_size < whole.stat().st_size
    assert "was written without attributes" in found.out


def test_nothing_is_left_when_the_input_cannot_be_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"data": [{"traceID": "a1", "spans": [{}]}, null]}')

    failed = run("convert", str(tmp_path / "bad.json"), "-o", str(tmp_path / "x.parquet"))

    assert failed.code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


def test_a_server_is_refused(run: Run) -> None:
    refused = run("convert", "http://localhost:16686", "-o", "x.parquet", width=200)

    assert refused.code == 2
    assert "`traceq fetch --help`" in refused.err


def test_without_pyarrow_the_hint_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    refused = run("convert", CHAT, "-o", str(tmp_path / "x.parquet"))

    assert refused.code == 5
    assert "pip install pyarrow" in refused.err


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chat.json", ()),
        ("chat.json.gz", ()),
        ("chat.jsonl", ()),
        ("chat.ndjson.zst", ()),
        ("chat.txt", ("--to", "otlp")),
        ("chat.parquet", ("--to", "otap")),
    ],
)
def test_every_format_gives_the_same_answer(run: Run, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = tmp_path / name
    written = run("convert", CHAT, "-o", str(path), *options)

    ours, theirs = (run("stats", "--source", source, "--format", "json") for source in (str(path), CHAT))

    assert written.code == ours.code == theirs.code == 0
    assert ours.out.replace(json.dumps(str(path)), json.dumps(CHAT)) == theirs.out
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("x.txt", (), "a name ends in one of .json, .jsonl, .ndjson, .parquet, or say with --to what to write"),
        ("x.json", ("--to", "parquet"), "Parquet is written to a name that ends in .parquet, or a directory"),
        ("x.parquet.gz", (), "Parquet is written to a name that ends in .parquet, or a directory"),
        ("x.parquet", ("--to", "otlp"), "otlp is written to a file of JSON"),
        ("x.json", ("--no-attributes",), "only parquet can be written without attributes"),
    ],
)
def test_a_name_that_contradicts_the_format_is_a_usage_error(
    run: Run, tmp_path: Path, output: str, options: tuple[str, ...], message: str
) -> None:
    outcome = run("convert", CHAT, "-o", str(tmp_path / output), *options)

    assert (outcome.code, list(tmp_path.iterdir())) == (2, [])
    assert message in outcome.err


def test_what_a_format_cannot_hold_is_said(run: Run, tmp_path: Path) -> None:
    spans = [{"traceId": "0a" * 16, "spanId": "0b" * 8, "startTimeUnixNano": "9", "endTimeUnixNano": "9"}]
    attributes = [{"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}]}}}]
    source = tmp_path / "otlp.json"
    scoped = [{"spans": [{**spans[0], "attributes": attributes}]}]
    source.write_text(json.dumps({"resourceSpans": [{"scopeSpans": scoped}]}), encoding="utf-8")

    outcome = run("convert", str(source), "-o", str(tmp_path / "jaeger.json"))

    assert outcome.code == 0
    assert "traceq: warning: attributes that are lists or maps become JSON text: 1\n" in outcome.err


def test_parquet_that_is_not_a_file_of_its_own_is_refused(run: Run, tmp_path: Path) -> None:
    own, other = tmp_path / "own.parquet", tmp_path / "other.parquet"
    source = tmp_path / "z.json"
    source.write_text('[{"traceId": "a", "id": "b", "timestamp": 1700000000000000, "localEndpoint": {}}]', "utf-8")
    assert run("convert", str(source), "-o", str(own)).code == 0
    assert run("convert", str(source), "--to", "otap", "-o", str(other)).code == 0
    packed = tmp_path / "own.gz"
    packed.write_bytes(gzip.compress(own.read_bytes()))

    both, alone = run("services", "--source", str(tmp_path)), run("services", "--source", str(packed))

    assert (both.code, alone.code) == (5, 5)
    assert "ask them one after the other, or `traceq convert` the others first" in both.err
    assert "own.gz: it is traceq's own Parquet, packed or sent" in alone.err
