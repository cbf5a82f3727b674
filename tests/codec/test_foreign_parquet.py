"""Parquet of other tools, by the names of its columns, and what traceq writes for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import columns
from tests.codec.reading import described, table
from tests.laws import examples
from tests.strategies import as_json, otlp_documents
from traceq.assembly import joined
from traceq.codec import read_table
from traceq.codec.documents import read_document
from traceq.codec.json_writers import lost
from traceq.codec.parquet_foreign import OtapWriter
from traceq.errors import DecodeError
from traceq.semantics import Kind, Status
from traceq.sources.files import FileSource, JsonFiles
from traceq.sources.interface import no_progress
from traceq.sources.slices import sliced
from traceq.traces import Event, Link, Traces

NS = 1_600_000_000_000_000_001
CLICKHOUSE: dict[str, Any] = {
    "Timestamp": pa.array([NS, NS + 10], pa.timestamp("ns")),
    "TraceId": ["0a" * 16] * 2,
    "SpanId": ["01" * 8, "02" * 8],
    "ParentSpanId": ["", "01" * 8],
    "TraceState": ["k=v", ""],
    "SpanName": ["get", "query"],
    "SpanKind": ["Server", "SPAN_KIND_CLIENT"],
    "ServiceName": ["app", "app"],
    "ResourceAttributes": pa.array([[("host.name", "h1")]] * 2, pa.map_(pa.string(), pa.string())),
    "ScopeName": ["lib", ""],
    "ScopeVersion": ["1", ""],
    "SpanAttributes": pa.array([[("a", "b")], []], pa.map_(pa.string(), pa.string())),
    "Duration": [100, 20],
    "StatusCode": ["Unset", "STATUS_CODE_ERROR"],
    "StatusMessage": ["", "broke"],
    "Events.Timestamp": pa.array([[NS + 2], []], pa.list_(pa.timestamp("ns"))),
    "Events.Name": [["e"], []],
    "Events.Attributes": pa.array([[[("x", "y")]], []], pa.list_(pa.map_(pa.string(), pa.string()))),
    "Links.TraceId": [["0d" * 16], []],
    "Links.SpanId": [["0e" * 8], []],
    "Links.Attributes": pa.array([[[("why", "retry")]], []], pa.list_(pa.map_(pa.string(), pa.string()))),
}
DUCKDB: dict[str, Any] = {
    "start_time_unix_nano": pa.array([NS, NS + 10], pa.timestamp("ns")),
    "duration_time_unix_nano": [100, 20],
    "trace_id": [bytes.fromhex("0a" * 16)] * 2,
    "span_id": [bytes.fromhex("01" * 8), bytes.fromhex("02" * 8)],
    "parent_span_id": [None, bytes.fromhex("01" * 8)],
    "trace_state": ["k=v", None],
    "service_name": ["app", "app"],
    "name": ["get", "query"],
    "kind": [2, 3],
    "status_code": [0, 2],
    "status_status_message": [None, "broke"],
    "resource_attributes": ['{"host.name": "h1"}'] * 2,
    "scope_name": ["lib", None],
    "scope_version": ["1", None],
    "span_attributes": ['{"a": "b"}', None],
    "events_json": [f'[{{"name": "e", "time_unix_nano": {NS + 2}, "attributes": {{"x": "y"}}}}]', None],
    "links_json": [f'[{{"trace_id": "{"0d" * 16}", "span_id": "{"0e" * 8}", "attributes": {{"why": "retry"}}}}]', None],
}


SNAKE_CASE: dict[str, Any] = {
    **DUCKDB,
    "start_time_unix_nano": ["2020-09-13 12:26:40.000000001+00", "2020-09-13T12:26:40.000000011Z"],
    "trace_id": ["0a" * 16] * 2,
    "span_id": ["01" * 8, "02" * 8],
    "parent_span_id": [None, "01" * 8],
}


def as_bytes(kind: pa.DataType) -> pa.DataType:
    """Give the type that ClickHouse long had for text, by default."""
    if pa.types.is_map(kind):
        return pa.map_(pa.binary(), pa.binary())
    if pa.types.is_list(kind):
        return pa.list_(as_bytes(kind.value_type))
    return pa.binary() if pa.types.is_string(kind) else kind


ENTRIES = pa.list_(pa.struct({"key": pa.string(), "value": pa.string()}))
"""A map as polars writes it, which has none."""
NESTED = {
    "Events": pa.array(
        [[{"Timestamp": NS + 2, "Name": "e", "Attributes": [{"key": "x", "value": "y"}]}], []],
        pa.list_(pa.struct({"Timestamp": pa.timestamp("ns"), "Name": pa.string(), "Attributes": ENTRIES})),
    ),
    "Links": pa.array(
        [[{"TraceId": "0d" * 16, "SpanId": "0e" * 8, "Attributes": [("why", "retry")]}], []],
        pa.list_(
            pa.struct({"TraceId": pa.string(), "SpanId": pa.string(), "Attributes": pa.map_(pa.string(), pa.string())})
        ),
    ),
}
FLAT = pa.table(CLICKHOUSE)
TABLES = {
    "clickhouse": FLAT,
    "duckdb": pa.table(DUCKDB),
    "text as bytes": pa.table({name: FLAT[name].cast(as_bytes(FLAT[name].type)) for name in FLAT.column_names}),
    "structures": pa.table({name: column for name, column in CLICKHOUSE.items() if "." not in name} | NESTED),
    "entries of maps": pa.table(
        CLICKHOUSE
        | {
            "SpanAttributes": pa.array([[{"key": "a", "value": "b"}], []], ENTRIES),
            "ResourceAttributes": pa.array([[{"key": "host.name", "value": "h1"}]] * 2, ENTRIES),
        }
    ),
    "uuids": pa.table(
        CLICKHOUSE | {"TraceId": pa.array([bytes.fromhex("0a" * 16)] * 2, pa.binary(16)).cast(pa.uuid())}
    ),
    "large lists": pa.table(
        CLICKHOUSE | {"Events.Timestamp": pa.array([[NS + 2], []], pa.large_list(pa.timestamp("ns")))}
    ),
}


def written(content: dict[str, Any], path: Path) -> bytes:
    pq.write_table(pa.table(content), path)
    return path.read_bytes()


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES.keys())
def test_columns_are_found_by_their_names(content: pa.Table, tmp_path: Path) -> None:
    pq.write_table(content, tmp_path / "x.parquet")

    check(table((tmp_path / "x.parquet").read_bytes()))


ROWS = [
    {
        "Timestamp": f"2020-09-13 12:26:40.{at:09d}",
        **{name: column[row] for name, column in CLICKHOUSE.items() if isinstance(column, list)},
        "ResourceAttributes": {"host.name": "h1"},
        "SpanAttributes": {} if row else {"a": "b"},
        "Events.Timestamp": [] if row else ["2020-09-13 12:26:40.000000003"],
        "Events.Attributes": [] if row else [{"x": "y"}],
        "Links.Attributes": [] if row else [{"why": "retry"}],
    }
    for row, at in enumerate((1, 11))
]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"".join(as_json(row) + b"\n" for row in ROWS), id="a line each"),
        pytest.param(
            as_json({"meta": [{"name": "TraceId", "type": "String"}], "data": ROWS, "rows": 2}), id="document"
        ),
        pytest.param(
            as_json([{name: values[row] for name, values in SNAKE_CASE.items()} for row in range(2)]), id="duckdb"
        ),
    ],
)
def test_rows_as_json_are_the_same(body: bytes) -> None:
    check(table(body))


def check(traces: Traces) -> None:
    assert (traces.trace_ids, traces.span_ids) == (("0a" * 16,), ("01" * 8, "02" * 8))
    assert (list(traces.parents), traces.names, traces.services) == ([-1, 0], ("get", "query"), ("app",))
    assert (list(traces.start_ns), list(traces.duration_ns)) == ([NS, NS + 10], [100, 20])
    assert list(traces.kinds) == [Kind.SERVER, Kind.CLIENT]
    assert list(traces.statuses) == [Status.UNSET, Status.ERROR]
    assert traces.hosts == ("", "h1")
    get, query = (traces.span(row).details for row in range(2))
    assert get.attributes() == {"otel.scope.name": "lib", "otel.scope.version": "1", "w3c.tracestate": "k=v", "a": "b"}
    assert query.attributes() == {"otel.status_description": "broke"}
    assert get.resource() == {"host.name": "h1"}
    assert get.events() == (Event(NS + 2, "e", {"x": "y"}),)
    assert get.links() == (Link("0d" * 16, "0e" * 8, {"why": "retry"}),)


def whole(location: Path) -> Traces:
    return joined(list(JsonFiles((str(location),), no_progress).tables(with_details=True)), with_details=True)


def test_spans_whose_length_no_column_tells_are_told(tmp_path: Path) -> None:
    content = {name: column for name, column in CLICKHOUSE.items() if name != "Duration"}

    traces = table(written(content, tmp_path / "x.parquet"))

    assert list(traces.duration_ns) == [0, 0]
    assert [warning.code for warning in traces.warnings] == ["end-missing"] * 2


PHOENIX: dict[str, Any] = {
    "name": ["chain", "llm"],
    "span_kind": ["CHAIN", "LLM"],
    "parent_id": [None, "01" * 8],
    "start_time": pa.array([NS, NS + 10], pa.timestamp("ns", "UTC")),
    "end_time": pa.array([NS + 100, NS + 30], pa.timestamp("ns", "UTC")),
    "status_code": ["OK", "ERROR"],
    "status_message": ["", "broke"],
    "events": pa.array(
        [[], [{"name": "exception", "timestamp": NS + 20, "attributes": {"exception.message": "x", "other": None}}]],
        pa.list_(
            pa.struct(
                {
                    "name": pa.string(),
                    "timestamp": pa.timestamp("ns"),
                    "attributes": pa.struct({"exception.message": pa.string(), "other": pa.string()}),
                }
            )
        ),
    ),
    "context.span_id": ["01" * 8, "02" * 8],
    "context.trace_id": ["0a" * 16] * 2,
    "attributes.llm.token_count.total": pa.array([None, 7], pa.int64()),
    "attributes.llm.input_messages": [None, [{"message.role": "user"}]],
}


def test_data_frames_of_phoenix_are_read(tmp_path: Path) -> None:
    traces = table(written(PHOENIX, tmp_path / "x.parquet"))

    assert (traces.trace_ids, traces.span_ids, list(traces.parents)) == (("0a" * 16,), ("01" * 8, "02" * 8), [-1, 0])
    assert (traces.names, list(traces.statuses)) == (("chain", "llm"), [Status.OK, Status.ERROR])
    assert (list(traces.start_ns), list(traces.duration_ns)) == ([NS, NS + 10], [100, 20])
    assert traces.span(1).details.attributes() == {
        "otel.status_description": "broke",
        "llm.token_count.total": 7,
        "llm.input_messages": [{"message.role": "user"}],
        "openinference.span.kind": "LLM",
    }
    assert traces.span(1).details.events() == (Event(NS + 20, "exception", {"exception.message": "x"}),)


def test_a_trace_that_is_spread_over_files_is_put_together(tmp_path: Path) -> None:
    for row in range(2):
        one = {name: pa.array(content)[row : row + 1] for name, content in CLICKHOUSE.items() if "." not in name}
        pq.write_table(pa.table(one), tmp_path / f"{row}.parquet")

    with sliced((str(tmp_path),), slice_bytes=10) as cut:
        parted = [each for one in cut.found.slices for each in one.tables(with_details=True)]

    assert columns(joined(parted, with_details=True)) == columns(whole(tmp_path))
    assert (whole(tmp_path).span_count, list(whole(tmp_path).parents)) == (2, [-1, 0])
    assert FileSource((str(tmp_path),)).services() == ("app",)


@examples(0.3)
@given(otlp_documents())
def test_what_is_written_for_others_reads_back(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("otap") / "x.parquet"
    original = table(as_json(document))
    writer = OtapWriter(path)
    writer.add(original)
    writer.close()

    read = table(path.read_bytes())

    if original.span_count and not any("become text" in what for what in lost(original, "otap")):
        assert columns(read) == columns(original)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"a": [1], "b": [2]}, "it is Parquet without the column trace_id; it has a, b, ...", id="other"),
        pytest.param(
            {"TraceID": [b"a"], "rs": [[1]]}, "it is a block of Tempo, which its API answers as OTLP", id="tempo"
        ),
        pytest.param({**DUCKDB, "trace_id": [None, None]}, "row 0 of x.json: its spans name no trace", id="no trace"),
    ],
)
def test_what_cannot_be_read_is_named(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    body = written(content, tmp_path / "x.parquet")

    with pytest.raises(DecodeError, match=message):
        table(body)


@given(st.integers(4, 4000), st.binary(max_size=4))
def test_a_damaged_file_is_an_error_or_readable(at: int, put: bytes) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(DUCKDB), sink)
    body = sink.getvalue().to_pybytes()

    try:
        table(body[:at] + put + body[at + len(put) :])
    except DecodeError as error:
        assert "\n" not in error.message  # noqa: PT017  the error is not expected, only allowed


def test_parquet_without_spans_is_an_answer(tmp_path: Path) -> None:
    body = written({name: pa.array(content)[:0] for name, content in DUCKDB.items()}, tmp_path / "x.parquet")

    assert read_document(body, "x").parts == ()
    assert described(table(body)) == []


def test_times_that_tell_their_unit_are_not_guessed(tmp_path: Path) -> None:
    body = written({**DUCKDB, "start_time_unix_nano": [1000, 2000]}, tmp_path / "x.parquet")

    assert sorted(table(body).start_ns) == [1000, 2000]


WRONG: dict[str, Any] = {
    "list": [[1], None],
    "structure": [{"a": 1}, None],
    "truth": [True, None],
    "number": [-(2**63), None],
    "fraction": [float("nan"), None],
    "text": ["soon", None],
    "bytes": [b"\xff", None],
    "deep": ["[" * 3000 + "]" * 3000, None],
    "broken JSON": ['{"a":', None],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("content", [CLICKHOUSE, DUCKDB], ids=["clickhouse", "duckdb"])
def test_cells_that_make_no_sense_cost_themselves(content: dict[str, Any], wrong: Any, tmp_path: Path) -> None:
    for column in [each for each in content if each.lower().replace("_", "") != "traceid"]:
        parts = read_document(written({**content, column: wrong}, tmp_path / "x.parquet"), "x.parquet").parts

        lean, whole = (read_table([parts], with_details=with_details) for with_details in (False, True))

        assert (lean.span_count, lean.warnings) == (2, whole.warnings)
        assert described(whole)


def test_numbers_that_json_lacks_cost_themselves_in_columns_of_json(tmp_path: Path) -> None:
    body = written({**DUCKDB, "span_attributes": ['{"a": NaN, "b": 1e400, "c": 1}', None]}, tmp_path / "x.parquet")

    read = table(body)

    assert read.span(0).details.attributes()["a"] == "NaN"
    assert read.span(0).details.attributes()["c"] == 1
    assert {each.code for each in read.warnings} == {"value-repaired"}


def test_times_beyond_what_fits_are_told_of_their_span(tmp_path: Path) -> None:
    times = pa.array([2**62, NS // 1000], pa.timestamp("us"))

    read = table(written({**CLICKHOUSE, "Timestamp": times}, tmp_path / "x.parquet"))

    assert read.start_ns[1] == NS // 1000 * 1000
    assert "start-missing" in {each.code for each in read.warnings if each.span_id == "01" * 8}
