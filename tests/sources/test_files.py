import gzip
import io
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests import builders
from tests.sources.contract import check_attributes_later
from traceq.catalog import Operation, ServiceCall, Window
from traceq.codec.json_writers import encode_otlp_trace, encode_trace
from traceq.errors import DecodeError, InputError, NotFoundError
from traceq.query import TraceQuery
from traceq.semantics import Attributes, Kind
from traceq.sources import bodies as bodies_module
from traceq.sources import open_source
from traceq.sources.files import FileSource
from traceq.sources.interface import Progress

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVERYTHING = TraceQuery()
TRACES = builders.traces(
    {
        "00a1": [
            builders.span("1", None, 100, 900, service="web", name="GET /", kind=Kind.SERVER, attributes={"k": "v"}),
            builders.span("2", "1", 200, 300, service="db", name="SELECT", kind=Kind.CLIENT),
        ],
        "a2": [builders.span("1", None, 500, 600, service="web", name="POST /", kind=Kind.SERVER)],
        "b3": [builders.span("1", None, 300, 400, service="web", name="POST /")],
    }
)


def jaeger_json(*positions: int) -> bytes:
    return b'{"data":[' + b",".join(encode_trace(TRACES, position) for position in positions) + b"]}"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "traces.json"
    path.write_bytes(jaeger_json(0, 1, 2))
    return str(path)


def ids(source: FileSource, query: TraceQuery = EVERYTHING) -> tuple[str, ...]:
    return source.find(query).traces.trace_ids


def test_a_source_says_what_it_is(file: str) -> None:
    source = FileSource((file, "-"))

    assert (source.location, source.trace_url, source.is_live) == (f"{file}, standard input", "", False)


def test_nothing_is_read_before_the_first_question() -> None:
    assert isinstance(open_source(("missing.json",)), FileSource)


def test_services_and_operations_are_those_of_the_spans(file: str) -> None:
    source = FileSource((file,))

    assert source.services() == ("db", "web")
    assert source.operations("web") == (
        Operation("GET /", "server"),
        Operation("POST /"),
        Operation("POST /", "server"),
    )


@pytest.mark.parametrize("query", [EVERYTHING, replace(EVERYTHING, limit=2)], ids=["all", "limited"])
def test_what_is_found_by_columns_can_be_completed(file: str, query: TraceQuery) -> None:
    check_attributes_later(FileSource((file,)), query)


def test_attributes_are_found_later_where_they_are_no_numbers(tmp_path: Path) -> None:
    odd: Attributes = {"ratio": math.nan, "deep": [math.nan, math.inf]}
    path = tmp_path / "odd.jsonl"
    path.write_bytes(encode_otlp_trace(builders.trace(builders.span("1", None, 0, 9, attributes=odd)), 0))

    assert repr(FileSource((str(path),)).trace("a1").span(0).details.attributes()["ratio"]) == "nan"
    check_attributes_later(FileSource((str(path),)), EVERYTHING)


def test_a_question_about_attributes_finds_them_at_once(file: str) -> None:
    found = FileSource((file,)).find(TraceQuery(attributes=(("k", "v"),)), with_attributes=False)

    assert found.left_out is None
    assert found.traces.span(0).details.attributes()["k"] == "v"


def test_traces_are_found_newest_first_with_details(file: str) -> None:
    found = FileSource((file,)).find(EVERYTHING)

    assert found.traces.trace_ids == ("a2", "b3", "00a1")
    assert found.traces.services == TRACES.services
    assert found.traces.span(2).details.attributes() == {"k": "v", "span.kind": "server"}
    assert (found.is_cut_off, found.notes) == (False, ())


@pytest.mark.parametrize(
    ("query", "expected", "is_cut_off"),
    [
        pytest.param(TraceQuery(limit=2), ("a2", "b3"), True, id="limit-keeps-the-newest"),
        pytest.param(TraceQuery(limit=3), ("a2", "b3", "00a1"), False, id="limit-not-reached"),
        pytest.param(TraceQuery(service="db"), ("00a1",), False, id="service"),
        pytest.param(TraceQuery(operation="POST /", limit=1), ("a2",), True, id="operation"),
        pytest.param(TraceQuery(attributes=(("k", "v"),)), ("00a1",), False, id="attributes"),
        pytest.param(TraceQuery(attributes=(("k", "v"),), limit=1), ("00a1",), False, id="attributes-and-limit"),
        pytest.param(TraceQuery(service="web", has_error=True), (), False, id="nothing"),
    ],
)
@pytest.mark.parametrize("batch_spans", [1, 1000])
def test_queries_give_the_same_whatever_the_question(
    batch_spans: int,
    file: str,
    query: TraceQuery,
    expected: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_cut_off: bool,
) -> None:
    monkeypatch.setattr("traceq.codec.BATCH_SPANS", batch_spans)
    monkeypatch.setattr("traceq.codec.DETAILED_SPANS", batch_spans)
    source = FileSource((file,))

    found, summaries = source.find(query), source.summaries(query)
    read = {trace_id for batch in source.read(query) for trace_id in batch.trace_ids}

    assert (found.traces.trace_ids, found.is_cut_off) == (expected, is_cut_off)
    assert (tuple(each.trace_id for each in summaries.summaries), summaries.is_cut_off) == (expected, is_cut_off)
    assert read == set(expected)


def test_batches_hold_whole_traces_and_details(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.codec.DETAILED_SPANS", 2)

    batches = list(FileSource((file,)).read(EVERYTHING))

    assert [batch.trace_ids for batch in batches] == [("00a1",), ("a2", "b3")]
    assert batches[0].span(0).details.attributes() == {"k": "v", "span.kind": "server"}


ASKING: list[Callable[[FileSource, TraceQuery], object]] = [
    lambda source, query: source.find(query),
    lambda source, query: list(source.read(query)),
    lambda source, query: source.summaries(query),
]


@pytest.mark.parametrize("ask", ASKING, ids=["find", "read", "summaries"])
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize(
    ("service", "operation", "message", "hint"),
    [
        (
            "wep",
            None,
            "no service named 'wep' in {file}",
            "did you mean 'web'? `traceq services --source {file}` lists all 2",
        ),
        ("xyz", "GET /", "no service named 'xyz' in {file}", "`traceq services --source {file}` lists all 2"),
        (
            "web",
            "get",
            "no operation named 'get' in service 'web' in {file}",
            "did you mean 'GET /'? `traceq operations web --source {file}` lists all 2",
        ),
        (
            "db",
            "x",
            "no operation named 'x' in service 'db' in {file}",
            "`traceq operations db --source {file}` lists it",
        ),
        (None, "x\n", "no operation named 'x' in {file}", "`traceq stats --by operation --source {file}` lists all 3"),
    ],
)
def test_names_that_do_not_exist_are_not_found(  # noqa: PLR0917  fixtures and cases are parameters
    file: str,
    ask: Callable[[FileSource, TraceQuery], object],
    limit: int | None,
    service: str | None,
    operation: str | None,
    message: str,
    hint: str,
) -> None:
    with pytest.raises(NotFoundError) as caught:
        ask(FileSource((file,)), TraceQuery(service=service, operation=operation, limit=limit))

    assert (caught.value.message, caught.value.hint) == (message.format(file=file), hint.format(file=file))


def test_operations_of_an_unknown_service_are_not_found(file: str) -> None:
    with pytest.raises(NotFoundError, match="no service named 'cart'"):
        FileSource((file,)).operations("cart")


@pytest.mark.parametrize(
    ("asked", "trace_id"),
    [("00a1", "00a1"), ("0000A1", "00a1"), ("a1", "00a1"), ("B3", "b3"), ("b", "b3"), ("00", "00a1")],
)
def test_a_trace_is_found_by_id_or_prefix(file: str, asked: str, trace_id: str) -> None:
    assert FileSource((file,)).trace(asked).trace_ids == (trace_id,)


def test_a_prefix_of_several_traces_names_them(tmp_path: Path) -> None:
    many = builders.traces({f"a{number}": [builders.span("1", None, 0, 1)] for number in range(6)})
    path = tmp_path / "x.json"
    path.write_bytes(b"\n".join(encode_trace(many, position) for position in range(6)))

    with pytest.raises(NotFoundError) as caught:
        FileSource((str(path),)).trace("a")

    assert caught.value.message == f"6 traces in {path} begin with 'a': a0, a1, a2, a3, a4, ..."
    assert caught.value.hint == "give more digits of the id"


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("00a2", "did you mean '0a22' or '00a1'?"), ("ffff", "`traceq search --source {path}` lists all 3")],
)
def test_a_trace_that_does_not_exist_is_not_found(tmp_path: Path, asked: str, hint: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(jaeger_json(0, 1, 2).replace(b'"a2"', b'"0a22"').replace(b'"00a1"', b'"00a1"'))

    with pytest.raises(NotFoundError) as caught:
        FileSource((str(path),)).trace(asked)

    assert caught.value.message == f"no trace '{asked}' in {path}"
    assert caught.value.hint == hint.format(path=path)


def test_parts_of_a_trace_in_several_files_are_one_trace(tmp_path: Path) -> None:
    parts = builders.traces({"1": [("a", None, 0, 9)], "2": [("b", "a", 1, 2)]})
    (tmp_path / "1.json").write_bytes(encode_trace(parts, 0))
    (tmp_path / "2.json").write_bytes(encode_trace(parts, 1).replace(b'"traceID":"2"', b'"traceID":"0001"'))

    (trace,) = FileSource((str(tmp_path),)).find(EVERYTHING).traces

    assert (trace.trace_ids, trace.span_ids, list(trace.parents)) == (("1",), ("a", "b"), [-1, 0])


def test_what_is_stored_under_half_of_a_traces_id_belongs_to_it(tmp_path: Path) -> None:
    whole, half = "7c00ff11aa22bb33f1c2d3e4a5b60718", "f1c2d3e4a5b60718"
    parts = builders.traces({half: [("b", "a", 1, 2)], "c": [("x", None, 0, 1)], whole: [("a", None, 0, 9)]})
    bodies = b",".join(encode_trace(parts, position) for position in range(3))
    path = tmp_path / "x.json"
    path.write_bytes(b'{"data": [%b]}' % bodies)
    source = FileSource((str(path),))

    joined = source.trace(half)
    with source.slices() as cut:
        (table,) = [table for piece in cut.found.slices for table in piece.tables(with_details=False)]

    assert (joined.trace_ids, joined.span_ids, list(joined.parents)) == ((whole,), ("a", "b"), [-1, 0])
    assert table.trace_ids == ("c", whole)
    assert list(table.parents) == [-1, -1, 1]


def test_a_directory_stands_for_the_files_of_traces_below_it(tmp_path: Path) -> None:
    for name, body in {
        "b.json": jaeger_json(0),
        "a.JSONL.gz": gzip.compress(jaeger_json(1)),
        "below/c.ndjson.zst": zstd.compress(jaeger_json(2)),
        "notes.txt": b"no traces",
        ".hidden.json": b"no traces",
        ".git/x.json": b"no traces",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(body)

    seen: list[Progress] = []
    batches = list(FileSource((str(tmp_path), str(tmp_path / "b.json")), seen.append).read(EVERYTHING))

    assert [batch.trace_ids for batch in batches] == [("a2", "00a1", "b3")]
    assert seen == [
        Progress(f"reading {tmp_path}/a.JSONL.gz", 0, 3, 0),
        Progress(f"reading {tmp_path}/b.json", 1, 3, 1),
        Progress(f"reading {tmp_path}/below/c.ndjson.zst", 2, 3, 2),
        Progress("reading files", 3, 3, 3),
        Progress("decoding traces", 3, 3, 3),
    ]


def test_one_refused_file_among_others_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(jaeger_json(0))
    (tmp_path / "b.json").write_bytes(b'{"foo":1}')

    with pytest.raises(DecodeError) as caught:
        FileSource((str(tmp_path),)).services()

    assert caught.value.message == f"cannot read traces from {tmp_path}/b.json: it looks like JSON with the keys foo"


def test_a_service_is_not_found_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"data":[]}')

    with pytest.raises(NotFoundError) as caught:
        FileSource((str(tmp_path),)).find(TraceQuery(service="web"))

    assert (caught.value.message, caught.value.hint) == (f"no service named 'web' in {tmp_path}", "there are none")


def test_a_file_without_traces_is_an_empty_result(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"data":[]}')
    source = FileSource((str(tmp_path / "a.json"),))

    assert (source.services(), ids(source), source.summaries(EVERYTHING).summaries) == ((), (), ())
    assert list(source.read(EVERYTHING)) == []


def test_dependency_tables_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(
        b'[{"parent":"a","child":"b","callCount":2},{"parent":"a","child":"a","callCount":1}]'
    )
    (tmp_path / "b.json").write_bytes(b'{"data":[{"parent":"a","child":"b","callCount":3}]}')

    calls = FileSource((str(tmp_path),)).dependencies(Window())

    assert calls == (ServiceCall("a", "a", 1), ServiceCall("a", "b", 5))


def test_what_servers_told_beside_traces_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(jaeger_json(0)[:-1] + b',"errors":[{"msg":"trace not found"}]}')
    source = FileSource((str(path),))

    assert source.find(EVERYTHING).notes == (f"{path}: trace not found",)
    assert source.summaries(EVERYTHING).notes == (f"{path}: trace not found",)


PACKED = {
    "plain": jaeger_json(0),
    "gzip": gzip.compress(jaeger_json(0)),
    "gzip-members": gzip.compress(jaeger_json(0)[:50]) + gzip.compress(jaeger_json(0)[50:]),
    "zstd": zstd.compress(jaeger_json(0)),
    "zstd-frames": zstd.compress(jaeger_json(0)[:50]) + zstd.compress(jaeger_json(0)[50:]),
}


@pytest.fixture(params=["in memory", "mapped"])
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "mapped":
        monkeypatch.setattr(bodies_module, "_MAPPED_FROM_BYTES", 10)
        monkeypatch.setattr(bodies_module, "_SPOOLED_FROM_BYTES", 10)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("packing", PACKED)
def test_packed_files_are_told_by_their_bytes(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "traces"
    path.write_bytes(PACKED[packing])

    assert ids(FileSource((str(path),))) == ("00a1",)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("packing", PACKED)
def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch, packing: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PACKED[packing])))
    source = FileSource(("-",))

    assert ids(source) == ("00a1",)
    assert ids(source) == ("00a1",)
    assert source.trace("00a1").span_count == 2


def test_a_pipe_is_read_like_a_file() -> None:
    reading, writing = os.pipe()
    os.write(writing, PACKED["gzip"])
    os.close(writing)

    assert ids(FileSource((f"/dev/fd/{reading}",))) == ("00a1",)


def test_truncated_packing_is_told(tmp_path: Path) -> None:
    path = tmp_path / "traces"
    path.write_bytes(PACKED["gzip"][:-9])
    found = FileSource((str(path),)).find(TraceQuery(limit=None))

    # All that is missing is the end of the packing.
    assert found.traces.trace_ids == ("00a1",)
    assert ["ends in the middle" in note for note in found.notes] == [True]


@pytest.mark.parametrize(("packing", "left"), [("zstd", -9), ("gzip", 20)])
def test_packing_without_anything_whole_is_an_error(packing: str, left: int, tmp_path: Path) -> None:
    path = tmp_path / "traces"
    path.write_bytes(PACKED[packing][:left])

    with pytest.raises(InputError, match="ends in the middle"):
        FileSource((str(path),)).services()


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_corrupt_packing_is_told(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "traces"
    packed = PACKED[packing]
    path.write_bytes(packed[:20] + b"\xff" * 20 + packed[40:])

    with pytest.raises(InputError) as caught:
        FileSource((str(path),)).services()

    assert caught.value.message.startswith(f"cannot unpack {path}: the {packing} data is corrupt (")


@pytest.mark.parametrize(
    ("location", "message", "hint"),
    [
        ("missing.json", "cannot read missing.json: no such file", "give a file, a directory, - for standard input"),
        ("localhost:16686", "cannot read localhost:16686: no such file", "did you mean http://localhost:16686?"),
        (
            "jaeger.example:80/x",
            "cannot read jaeger.example:80/x: no such file",
            "did you mean http://jaeger.example:80/x?",
        ),
        ("a\x1bb", "cannot read a\\x1bb: no such file", "give a file"),
        ("a\0b", "cannot read a\\x00b: not a path", "give a file"),
    ],
)
def test_a_location_that_is_not_there_is_told(location: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        FileSource((location,)).services()

    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_a_directory_without_traces_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no traces")

    with pytest.raises(InputError) as caught:
        FileSource((str(tmp_path),)).services()

    assert caught.value.message == f"no files of traces in {tmp_path}"
    assert caught.value.hint.startswith("traceq looks there for *.json")


def test_a_file_that_cannot_be_opened_is_told(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(InputError) as caught:
        FileSource((file,)).services()

    assert caught.value.message == f"cannot read {file}: permission denied"


def test_a_file_that_became_a_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traceq.sources.files.files_at", lambda _: [str(tmp_path)])

    with pytest.raises(InputError) as caught:
        FileSource((str(tmp_path),)).services()

    assert caught.value.message == f"cannot read {tmp_path}: is a directory"


@pytest.mark.parametrize(("limit", "told"), [(None, ["00a1", "a2"]), (2, ["a2"]), (1, ["a2"])])
def test_what_is_strange_about_the_traces_listed_is_told(limit: int | None, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    path.write_bytes(jaeger_json(0, 0, 1, 1, 2))

    found = FileSource((str(path),)).summaries(TraceQuery(limit=limit))

    assert {warning.trace_id for warning in found.warnings} == set(told)
    assert {warning.code for warning in found.warnings} == {"duplicate-dropped"}


def test_summaries_tell_the_traces_in_short(file: str) -> None:
    (newest, *_) = FileSource((file,)).summaries(EVERYTHING).summaries

    assert json.loads(json.dumps(newest.to_dict())) == {
        "trace_id": "a2",
        "root_service": "web",
        "root_operation": "POST /",
        "start_ns": builders.EPOCH_NS + 500,
        "duration_ns": 100,
        "span_count": 1,
        "error_count": 0,
        "orphan_count": 0,
        "response_ns": None,
        "services": [{"name": "web", "span_count": 1, "error_count": 0}],
    }
