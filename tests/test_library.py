from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable
from functools import cache
from itertools import accumulate, count, pairwise, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import traceq
from tests import builders
from tests.cli.test_archive import refuse
from tests.sources.replay import FIXTURES, URL, replaying
from tests.sources.test_recorded import recorded_window
from traceq.cli import main
from traceq.codec.json_writers import encode_otlp_trace
from traceq.library import Data
from traceq.sources import open_source
from traceq.sources.files import JsonFiles

CHAT = FIXTURES / "chat.json"
QUESTIONS: dict[str, tuple[Callable[[Data], Any], tuple[str, ...]]] = {
    "bottlenecks": (
        lambda data: traceq.bottlenecks(data, "chat-service", by="self-time", jobs=1),
        ("bottlenecks", "chat-service", "--by", "self-time"),
    ),
    "findings": (lambda data: traceq.findings(data, "friend-service", jobs=1), ("findings", "friend-service")),
    "errors": (lambda data: traceq.errors_by_origin(data, "chat-service", jobs=1), ("errors", "chat-service")),
    "statistics": (
        lambda data: traceq.statistics(data, "service", "operation", jobs=1),
        ("stats", "--by", "service", "--by", "operation"),
    ),
    "dependencies": (lambda data: traceq.dependencies(data, jobs=1), ("deps", "--from", "traces")),
    "report": (
        lambda data: traceq.service_report(data, jobs=1, trace_count=2),
        ("report", "--traces", "2"),
    ),
    "compare": (
        lambda data: traceq.compare(data, CHAT, "user-service", jobs=1),
        ("compare", str(CHAT), str(CHAT), "--service", "user-service"),
    ),
}


def batches(traces: traceq.Traces) -> list[traceq.Traces]:
    """Divide a table into batches of 1, 2, 3 and more traces: few traces learn the least from each other."""
    ends = [0, *takewhile(lambda end: end < len(traces), accumulate(count(1))), len(traces)]
    return [traces.select(range(*some)) for some in pairwise(ends)]


@pytest.fixture(params=["path", "text", "table", "batches", "source"])
def data(request: pytest.FixtureRequest) -> Data:
    """The traces of the chat product, however they are handed over."""
    ways: dict[str, Callable[[], Data]] = {
        "path": lambda: CHAT,
        "text": lambda: str(CHAT),
        "table": lambda: traceq.load(CHAT),
        "batches": lambda: batches(traceq.load(CHAT)),
        "source": lambda: open_source((str(CHAT),)),
    }
    return ways[request.param]()


@cache
def told(name: str) -> Any:
    """Give the document of the command line, which is the same however the library gets the traces."""
    _, command = QUESTIONS[name]
    source = () if name == "compare" else ("--source", str(CHAT))
    with TemporaryDirectory() as folder:
        target = Path(folder) / "answer.json"
        assert main([*command, *source, "--jobs", "1", "--quiet", "-o", str(target)]) == 0
        return json.loads(target.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_library_answers_what_the_command_line_does(name: str, data: Data) -> None:
    ask, _ = QUESTIONS[name]

    document = told(name)

    answer = json.loads(json.dumps(ask(data).to_dict()))
    # The library does not look for tags; the command line asks for them in a question of its own.
    assert {key: document[key] for key in answer if key != "tags"} == {
        key: part for key, part in answer.items() if key != "tags"
    }


# Tables know nothing of the service: clocks are compared in all of their traces.
@pytest.mark.parametrize("service", ["chat-service", "friend-service"])
@pytest.mark.parametrize(
    ("command", "ask"),
    [("bottlenecks", traceq.bottlenecks), ("findings", traceq.findings), ("errors", traceq.errors_by_origin)],
)
def test_a_path_is_asked_as_the_command_asks_it(
    command: str, ask: Callable[..., Any], service: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([command, service, "--source", str(CHAT), "--format", "json"]) == 0
    document = json.loads(capfd.readouterr().out)

    assert json.loads(json.dumps(ask(CHAT, service).to_dict())).items() <= document.items()


def test_a_path_is_never_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = traceq.bottlenecks(traceq.load(CHAT), "chat-service").to_dict()
    monkeypatch.setattr(JsonFiles, "_contents", property(refuse))

    assert traceq.bottlenecks(CHAT, "chat-service", jobs=1).to_dict() == whole


def test_what_if_by_a_path_is_what_if_by_a_table() -> None:
    saved = traceq.what_if(CHAT, "mongodb.insert=-50%", service="chat-service", jobs=1)

    assert saved == traceq.what_if(traceq.load(CHAT), "mongodb.insert=-50%", service="chat-service")
    assert saved != traceq.what_if(CHAT, "mongodb.insert=-10%", service="chat-service", jobs=1)


def test_a_report_compares_with_what_was_before() -> None:
    compared = traceq.service_report(CHAT, "chat-service", before=CHAT).comparison

    assert compared is not None
    assert compared.to_dict() == traceq.compare(CHAT, CHAT, "chat-service").to_dict()


def test_a_page_is_that_of_the_command_line_but_for_what_was_asked() -> None:
    page = traceq.page(traceq.service_report(CHAT, "chat-service"), title="The chat", source="a <file>")

    assert "<h1>The chat</h1>" in page
    assert "a &lt;file&gt;" in page
    assert "<h1>Requests of chat-service</h1>" in traceq.page(traceq.service_report(CHAT, "chat-service"))
    assert "<h1>bottlenecks</h1>" in traceq.page(traceq.bottlenecks(CHAT, "chat-service"))


def test_a_query_chooses_among_the_traces_of_a_path() -> None:
    query = traceq.TraceQuery("chat-service", min_duration_ns=500_000_000)

    found = traceq.bottlenecks(CHAT, "chat-service", query=query, jobs=1)

    assert found.to_dict()["request_count"] == 8 < traceq.bottlenecks(CHAT, "chat-service").sums.request_count
    assert found.to_dict() == traceq.bottlenecks(traceq.load(CHAT, query=query), "chat-service").to_dict()


def test_a_query_cannot_choose_among_tables() -> None:
    with pytest.raises(ValueError, match="a query chooses traces of a source"):
        traceq.bottlenecks(traceq.load(CHAT), query=traceq.TraceQuery())


def test_traces_without_attributes_have_all_but_these() -> None:
    bare, full = traceq.load(CHAT, attributes=False), traceq.load(CHAT)

    assert bare.details is None
    assert traceq.bottlenecks(bare).to_dict()["operations"] == traceq.bottlenecks(full).to_dict()["operations"]
    with pytest.raises(ValueError, match="attributes"):
        traceq.statistics(bare, "tag:db.system")


def test_names_that_do_not_exist_are_told() -> None:
    with pytest.raises(traceq.NotFoundError, match="no service named 'chat-servce'"):
        traceq.compare(CHAT, CHAT, "chat-servce")


def test_files_are_loaded_and_servers_connected_to() -> None:
    with pytest.raises(ValueError, match=r"load\(\) reads files; servers are asked through connect\(\)"):
        traceq.load("http://localhost:16686")
    with pytest.raises(ValueError, match=r"'chat.json' is not an http or https URL; files are read with load\(\)"):
        traceq.connect("chat.json")


# The third recording tells times to the nanosecond, which the file does not.
@pytest.mark.parametrize("recorded", ["jaeger-1.51", "jaeger-2.20"])
def test_a_server_is_asked_like_a_file(recorded: str) -> None:
    query = traceq.TraceQuery("friend-service", window=recorded_window(), limit=1000)
    with replaying(recorded):
        answer = traceq.bottlenecks(traceq.connect(URL), "friend-service", query=query)

    assert answer.to_dict() == traceq.bottlenecks(CHAT, "friend-service", query=query, jobs=1).to_dict()


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_shows_itself(name: str) -> None:
    ask, _ = QUESTIONS[name]
    answer: Any = ask(CHAT)

    report = answer.report()

    assert report.blocks
    assert set(report.document) >= set(answer.to_dict())
    assert len(repr(answer)) <= 400
    assert len(answer.to_frame()) == len(answer.records().rows)


READING: dict[str, Callable[[Data], object]] = {
    "load": lambda data: traceq.load(str(data)),
    "bottlenecks": traceq.bottlenecks,
    "compare": lambda data: traceq.compare(data, data),
    "dependencies": traceq.dependencies,
    "errors_by_origin": traceq.errors_by_origin,
    "findings": traceq.findings,
    "flame": traceq.flame,
    "service_report": traceq.service_report,
    "statistics": traceq.statistics,
    "what_if": lambda data: traceq.what_if(data, "mysql=0"),
}
"""Every public function that reads."""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A file that is still being written, of a span whose parent is missing and whose name is not to be obeyed."""
    path = tmp_path / "odd\x1b[2J.jsonl"
    line = encode_otlp_trace(builders.trace(("b", "a", 0, 9), trace_id="a1"), 0)
    path.write_bytes(line + b"\n" + line[:40])
    return path


def remarks(of: Callable[[], object]) -> tuple[set[str], set[str]]:
    """Give what is said while something is asked, and where it is said to have been asked."""
    with pytest.warns(traceq.ReadWarning) as told:
        of()
    return {str(each.message) for each in told}, {each.filename for each in told}


@pytest.mark.parametrize("name", READING)
def test_what_the_command_line_says_of_files_is_a_warning(
    name: str, odd: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", "--source", str(odd)]) == 0
    said = {line.partition(": ")[2].partition(": ")[2] for line in capfd.readouterr().err.splitlines()}
    assert len(said) == 2

    texts, places = remarks(lambda: READING[name](odd))

    assert texts == said
    assert places == {__file__}


def test_every_public_function_that_reads_says_what_it_read() -> None:
    functions = {name for name in traceq.__all__ if inspect.isfunction(getattr(traceq, name))}

    # The others are given tables and answers, read nothing yet, or nothing of the user's.
    assert functions - {"connect", "critical_path", "page", "schema", "self_time"} == set(READING)


def test_what_a_limit_leaves_out_and_what_may_have_been_meant_is_a_warning() -> None:
    newest, misspelt = traceq.TraceQuery(limit=2), traceq.TraceQuery(attributes=(("db.sytem", "mysql"),))

    few, _ = remarks(lambda: traceq.load(CHAT, query=newest))
    assert few == {"the limit of 2 left traces out: there may be more, raise --limit or narrow the window"}
    assert remarks(lambda: traceq.bottlenecks(CHAT, query=newest))[0] == few
    none, _ = remarks(lambda: traceq.load(CHAT, query=misspelt))
    assert none == {"no span has the tag 'db.sytem': did you mean 'db.system'?"}
    assert remarks(lambda: traceq.bottlenecks(CHAT, query=misspelt))[0] == none


def test_of_tables_nothing_is_said_again(odd: Path) -> None:
    with pytest.warns(traceq.ReadWarning):
        table = traceq.load(odd)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [warning.code for warning in table.warnings] == ["orphan"]
        for name, ask in READING.items():
            if name != "load":
                ask(table)
