"""JSON Schema of the documents: current, met by every answer, and refusing what is not one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import traceq
from tests.cli.conftest import ROOT
from tests.cli.test_golden import first
from tests.sources.replay import FIXTURES, recorded_by_path, recorded_trace_id
from tests.sources.servers import Reply, Seen, serving
from tools.json_schemas import ANSWERS, SCHEMAS, schema_of, written
from traceq.catalog import ArchivedTrace, ArchiveList
from traceq.cli import main
from traceq.query import NOT_ASKED

SLOW = first("message-slow")
QUESTIONS = (
    ("services",),
    ("search",),
    ("bottlenecks", "--tags", "--findings"),
    ("bottlenecks", "--what-if", "mongodb.insert=-50%"),
    ("findings",),
    ("errors",),
    ("stats",),
    ("stats", "--by", "service", "--by", "operation"),
    ("flame",),
    ("compare", "--slow", "50%"),
    ("compare", "--failed"),
    ("check", "p95(chat-service) < 1h", "no(n+1)"),
    ("deps",),
    ("deps", "--cycles"),
    ("deps", "--critical"),
    ("report",),
)
"""What can be asked about any traces."""
OF_THE_CHAT = (
    ("operations", "chat-service"),
    ("search", "--error", "--tag", "user_id=1", "--min-duration", "1ms", "--link", "https://logs/{trace_id}"),
    ("show", SLOW),
    ("show", SLOW, "--attributes", "--events", "--links"),
    ("show", SLOW, "--find", "mongodb.insert"),
    ("show", "6404b886", "--span", "b62297b2dacaeef9"),
    ("bottlenecks", "chat-service", "--link", "https://logs/{trace_id}"),
    ("bottlenecks", "--trace", SLOW),
    ("findings", "--trace", SLOW),
    ("flame", "--before", SLOW, "--after", SLOW),
    ("compare", SLOW, SLOW),
    ("compare", "--split-by", "room_id"),
    ("deps", "--path", "chat-service", "notification-service"),
    ("deps", "--impact", "chat-service"),
    ("deps", "--service", "chat-service", "--min-calls", "2"),
)


@cache
def validator(command: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((SCHEMAS / f"{command}.json").read_text(encoding="utf-8")))


def told(command: str, document: object) -> list[str]:
    """Say what a document has wrong, by every form that it might have."""
    return [
        f"{each.json_path}: {each.message[-200:]}"
        for found in validator(command).iter_errors(document)
        for each in found.context or [found]
    ]


def documents(*words: str, codes: Collection[int] = (0, 3, 6)) -> Iterator[tuple[str, Any]]:
    """Give the document of a question, if there is one, with the command it names."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "answer.json"
        assert main((*words, "--quiet", "-o", str(target))) in codes, words
        if target.exists():
            document = json.loads(target.read_text(encoding="utf-8"))
            assert document["schema"] == f"traceq.{words[0]}/1"
            yield words[0], document


def test_schemas_are_as_the_answers_are() -> None:
    """After a change of an answer: `python -m tools.json_schemas`."""
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(ANSWERS)
    for command in ANSWERS:
        Draft202012Validator.check_schema(schema_of(command))
        assert (SCHEMAS / f"{command}.json").read_text(encoding="utf-8") == written(schema_of(command)), command


def test_schemas_are_given_by_name() -> None:
    assert traceq.schema("deps") == schema_of("deps")
    with pytest.raises(ValueError, match=r"no document has the name 'dep', there are archive, bottlenecks, .*, stats"):
        traceq.schema("dep")


@pytest.mark.parametrize("words", [*QUESTIONS, *OF_THE_CHAT], ids=" ".join)
def test_documents_about_the_fixture_meet_their_schemas(words: tuple[str, ...]) -> None:
    ((command, document),) = documents(*words, "--source", str(ROOT / "fixtures" / "chat.json"))

    assert told(command, document) == []


FILES = sorted(
    path.relative_to(ROOT / "fixtures").as_posix()
    for pattern in ("*.otlp.json.gz", "exported/*", "printed/*")
    for path in (ROOT / "fixtures").glob(pattern)
)


@pytest.mark.parametrize("name", FILES)
def test_documents_about_other_files_meet_their_schemas(name: str) -> None:
    for words in QUESTIONS:
        for command, document in documents(*words, "--source", str(ROOT / "fixtures" / name)):
            assert told(command, document) == [], words


@pytest.mark.parametrize("folder", ["jaeger-1.51", "jaeger-2.20", "jaeger-2.21-dev"])
def test_documents_about_recorded_servers_meet_their_schemas(folder: str) -> None:
    trace_id = recorded_trace_id(folder)
    commands = set()

    with serving(recorded_by_path(folder)) as seen:
        for words in (*QUESTIONS, ("show", trace_id), ("operations", "chat-service")):
            when = () if words[0] in ("services", "operations", "show") else ("--lookback", "30d")
            for command, document in documents(*words, *when, "--source", seen.url):
                commands.add(command)
                assert told(command, document) == [], words

    assert commands >= set(ANSWERS) - {"archive"}


SET_UP_OTHERWISE = sorted(
    path.name for kind in ("tenancy", "base-path", "opensearch") for path in FIXTURES.glob(f"jaeger-*-{kind}")
)


@pytest.mark.parametrize("folder", SET_UP_OTHERWISE)
def test_documents_about_servers_set_up_otherwise_meet_their_schemas(folder: str) -> None:
    """Of these fewer answers were recorded; services of which none was have no traces, other questions no answer."""
    exchanges = json.loads((FIXTURES / folder / "exchanges.json").read_text(encoding="utf-8"))
    base = "/jaeger" if any(exchange["path"].startswith("/jaeger/") for exchange in exchanges) else ""
    recorded, commands = recorded_by_path(folder), set()

    def answer(target: str, seen: Seen) -> Reply:
        found = recorded(target, seen)
        return NO_TRACES if found.status == 404 and target.startswith("/api/traces?") else found

    with serving(answer) as seen:
        for words in {words[0]: words for words in QUESTIONS}.values():
            when = () if words[0] == "services" else ("--lookback", "30d")
            asked = (*words, *when, "--tenant", "acme", "--source", seen.url + base)
            for command, document in documents(*asked, codes=(0, 3, 4, 6)):
                commands.add(command)
                assert told(command, document) == [], words

    # What is recorded of the newest server set up so is that it is found.
    assert commands == ({"services"} if "dev" in folder else {words[0] for words in QUESTIONS})


NO_TRACES = Reply(b'{"data":[],"total":0,"limit":0,"offset":0,"errors":null}')


def zeros(value: object, key: str = "") -> Iterator[str]:
    """Name the keys of all numbers that are 0, but for counts: there, 0 is what was found."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from zeros(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from zeros(each, key)
    elif value == 0 and not isinstance(value, bool) and not key.endswith(("_count", "_counts")):
        yield key


def answers_for(source: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for words in QUESTIONS:
        for _, document in documents(*words, "--source", source):
            yield words, {key: value for key, value in document.items() if key != "query"}


def test_what_was_not_measured_is_null_where_there_are_no_traces(tmp_path: Path) -> None:
    source = tmp_path / "empty.json"
    source.write_text('{"data": []}', encoding="utf-8")

    found = {words: list(zeros(document)) for words, document in answers_for(str(source))}

    assert len(found) > 12
    # The bound of `no(n+1)` was given, and is not a measure.
    assert {words: keys for words, keys in found.items() if keys} == {
        ("check", "p95(chat-service) < 1h", "no(n+1)"): ["bound"]
    }


def only_a_table(target: str, _: Seen) -> Reply:
    """Answer as a server that knows who calls whom, and keeps no trace."""
    told_of = {
        "/api/services": ["shop", "stock"],
        "/api/dependencies": [{"parent": "shop", "child": "stock", "callCount": 7}],
        "/api/traces": [],
    }
    path = target.partition("?")[0]
    return Reply(json.dumps({"data": told_of[path]}).encode()) if path in told_of else Reply(b"404", 404)


def test_what_was_not_measured_is_null_where_there_is_only_a_table_of_calls() -> None:
    with serving(only_a_table) as seen:
        found = {words: (list(zeros(document)), document) for words, document in answers_for(seen.url)}

    assert {words: keys for words, (keys, _) in found.items() if keys} == {
        ("check", "p95(chat-service) < 1h", "no(n+1)"): ["bound"]
    }
    for words in (("deps",), ("deps", "--critical")):
        (call,) = found[words][1]["dependencies"]
        known = {key: value for key, value in call.items() if value is not None}
        assert known == {
            "caller": "shop",
            "callee": "stock",
            "asynchronous": False,
            "call_count": 7,
            "jaeger_count": 7,
            "known_to": "jaeger",
            "is_spurious": False,
        }


def test_documents_about_nothing_meet_their_schemas(tmp_path: Path) -> None:
    """Nothing was measured: null, not 0."""
    source = tmp_path / "empty.json"
    source.write_text('{"data": []}', encoding="utf-8")
    found = {}

    for words in QUESTIONS:
        for command, document in documents(*words, "--source", str(source)):
            assert told(command, document) == [], words
            found[command] = document

    assert len(found) > 8
    assert [found["findings"]["latency_ns"], found["stats"]["traces_ns"], found["stats"]["verdict"]] == [None] * 3
    assert [found["flame"][key] for key in ("latency_ns", "total_ns", "verdict")] == [None] * 3
    assert [found["compare"][key] for key in ("latency", "failed_ratio")] == [None] * 2
    counts = {"request_count", "trace_count", "span_count"}
    assert {found["findings"][key] for key in counts} == {0}


def test_what_became_of_archiving_meets_its_schema() -> None:
    told_of = (ArchivedTrace("1" * 32), ArchivedTrace("2" * 32, "it is not there"))
    document = {**NOT_ASKED.head("archive"), **ArchiveList(told_of).to_dict()}

    assert told("archive", document) == []


def span(number: int, name: str, parent: int | None, duration_us: int, **tags: object) -> dict[str, Any]:
    references = [] if parent is None else [{"refType": "CHILD_OF", "traceID": "2", "spanID": f"{parent:x}"}]
    kinds = {bool: "bool", int: "int64", str: "string"}
    found = [{"key": key, "type": kinds[type(value)], "value": value} for key, value in tags.items()]
    given = {"traceID": "2", "spanID": f"{number:x}", "operationName": name, "references": references}
    return {**given, "startTime": 1_600_000_000_000_000, "duration": duration_us, "tags": found, "processID": "p"}


def test_documents_about_strange_traces_meet_their_schemas(tmp_path: Path) -> None:
    """No time, an end before the start, a missing parent, no name, no service, and text that means something."""
    hostile = "\x1b[31m<script>\u202e=1+1"
    spans = [
        span(1, hostile, None, 10, error=True, **{"http.status_code": 500}),
        span(2, "b", 1, 30, **{"db.system": "mysql", "span.kind": "client", "db.statement": hostile}),
        span(3, "", 9, -30),
        span(3, "", 9, -30),
    ]
    services = (hostile, "")
    traces = [
        {"traceID": "2", "spans": spans[:size], "processes": {"p": {"serviceName": name}}, "warnings": ["odd"]}
        for name, size in zip(services, (4, 1), strict=True)
    ]
    traces[1] = json.loads(json.dumps(traces[1]).replace('"traceID": "2"', '"traceID": "1"'))
    source = tmp_path / "strange.json"
    source.write_text(json.dumps({"data": traces}), encoding="utf-8")

    for words in (*QUESTIONS, ("show", "2", "--attributes", "--events", "--links"), ("bottlenecks", "--trace", "1")):
        for command, document in documents(*words, "--source", str(source)):
            assert told(command, document) == [], words


def changed(path: str, value: object) -> Callable[[Any], None]:
    *way, key = path.split(".")

    def change(document: Any) -> None:
        for each in way:
            document = document[int(each) if each.isdigit() else each]
        if value is ...:
            del document[key]
        else:
            document[key] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema", "traceq.findings/1"),
        ("schema", "traceq.bottlenecks/2"),
        ("is_cut_off", None),
        ("query.colour", "red"),
        ("warning_counts.colour", 1),
        ("request_count", 1.5),
        ("request_count", -1),
        ("request_count", "12"),
        ("latency.p50_ns", 1.5),
        ("latency.p50_ns", True),
        ("operations.0.critical_ratio", 1.2),
        ("operations.0.kind", "SERVER"),
        ("operations.0.service", 3),
        ("operations.0.request_count", None),
        ("operations.0.colour", "red"),
        ("operations.0.example.trace_id", None),
        ("operations.0.critical_ratio", ...),
        ("operations", None),
        ("slowest_requests.0.bottlenecks.0.is_entry", "no"),
        ("verdict.kind", "fast"),
        ("verdict", ...),
        ("colour", "red"),
    ],
)
def test_what_is_no_such_document_is_refused(path: str, value: object, answer: Any) -> None:
    broken = copy.deepcopy(answer)
    changed(path, value)(broken)

    assert told("bottlenecks", broken) != []


@pytest.fixture(scope="module")
def answer() -> Any:
    ((_, document),) = documents("bottlenecks", "chat-service", "--source", str(ROOT / "fixtures" / "chat.json"))
    assert told("bottlenecks", document) == []
    return document
