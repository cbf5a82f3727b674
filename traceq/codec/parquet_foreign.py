"""Parquet of other tools: reads spans by the names of columns, as `span_rows` knows them, and writes one of the forms.

The 24 columns of the DuckDB extension `otlp` are written; attributes, events and links are JSON text there.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traceq.catalog import ServiceCall
from traceq.codec.mending import Mended, Spans
from traceq.codec.otlp_fields import TAGS, WARNINGS, named
from traceq.codec.parquet import FORMAT_KEY
from traceq.codec.parts import Part, SpansPart
from traceq.codec.sdk_console import phoenix_row
from traceq.codec.span_rows import NAMES, NEEDED, Row, columns_of, row_id, translated
from traceq.codec.translated import Translated, coded_of
from traceq.codec.wire import MAX_NS, VOID_IDS, Body, collector_paused, failures_told, refusal
from traceq.errors import DecodeError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import Attributes, AttributeValue
from traceq.traces import Span, Traces
from traceq.units import NS_PER_MS, NS_PER_S, NS_PER_US
from traceq.untrusted import quoted

_Array: TypeAlias = Any
"""pyarrow tells no types."""

_UNREADABLE = (pa.ArrowException, OSError, ValueError, IndexError, KeyError)
"""What pyarrow raises for damaged bytes, in its own layers and in Python's."""
_PHOENIX = "context.trace_id"
"""A column of Phoenix's data frames of spans."""
_AS_FILE = "it is read from a file of its own only, not unpacked, since its columns are read one by one; give its path"


def read_parquet(body: Body, place: str) -> tuple[list[Part], list[str]]:
    """Find the traces in a file.

    Returns:
        The traces, and where rows are that name none.

    Raises:
        DecodeError: If it is damaged, or its columns are not those of spans.
    """
    try:
        opened = pq.ParquetFile(pa.BufferReader(pa.py_buffer(body)))
        if FORMAT_KEY in (opened.metadata.metadata or {}):
            raise DecodeError(
                f"cannot read traces from {place}: it is traceq's own Parquet, packed or sent", hint=_AS_FILE
            )
        table = opened.read()
        table.validate(full=True)
        if _PHOENIX in table.column_names:
            return _File(_plain(table), place, phoenix_row, _PHOENIX).parts()
        columns = columns_of(table.column_names)
        missing = [NAMES[name][0] for name in NEEDED if name not in columns]
        if missing:
            if {"TraceID", "rs"} <= set(table.column_names):
                raise refusal(place, "it is a block of Tempo, which its API answers as OTLP")
            shown = ", ".join(quoted(name, 20) for name in table.column_names[:4])
            raise refusal(place, f"it is Parquet without the column {missing[0]}; it has {shown}, ...")
        table = table.select(list(columns.values()))
        exact = [name for name, written in columns.items() if _counts_nanoseconds(table.schema.field(written))]
        table = _plain(table.rename_columns(list(columns)))
        return _File(table, place, partial(translated, exact=frozenset(exact)), "trace_id").parts()
    except _UNREADABLE as error:
        raise refusal(place, f"the Parquet is damaged ({quoted(str(error), 200)})") from error


def _counts_nanoseconds(field: _Array) -> bool:
    """Whether there is nothing to guess about the unit of a column's times."""
    return bool(pa.types.is_timestamp(field.type)) or (
        field.name.endswith("unix_nano") and bool(pa.types.is_integer(field.type))
    )


def _plain(table: _Array) -> _Array:
    """Convert times to whole nanoseconds, which Python's own times cannot hold."""
    for position, field in enumerate(table.schema):
        if _holds_times(field.type):
            chunks = [_counted(chunk) for chunk in table.column(position).chunks]
            table = table.set_column(
                position, field.name, pa.chunked_array(chunks or [_counted(pa.array([], field.type))])
            )
    return table


def _holds_times(kind: _Array) -> bool:
    inner = (kind.field(number).type for number in range(kind.num_fields))
    return bool(pa.types.is_timestamp(kind)) or (not pa.types.is_map(kind) and any(map(_holds_times, inner)))


def _counted(array: _Array) -> _Array:
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _nanoseconds(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return type(array).from_arrays(array.offsets, _counted(array.values))
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays(list(map(_counted, array.flatten())), [field.name for field in kind])
    return array


def _nanoseconds(times: _Array) -> _Array:
    """Convert times; one that is beyond what fits becomes null."""
    counted = pc.cast(times, pa.int64())
    unit_ns = _UNITS[times.type.unit]
    fits = pc.and_(pc.less_equal(counted, MAX_NS // unit_ns), pc.greater_equal(counted, -(MAX_NS // unit_ns)))
    return pc.multiply(pc.if_else(fits, counted, None), unit_ns)


_UNITS = {"s": NS_PER_S, "ms": NS_PER_MS, "us": NS_PER_US, "ns": 1}


class _File:
    """A file's rows, read into memory as columns."""

    def __init__(self, table: _Array, place: str, translate: Callable[[Row], Translated], trace_ids: str) -> None:
        self._table = table
        self._place = place
        self._translate = translate
        self._trace_ids = trace_ids

    def parts(self) -> tuple[list[Part], list[str]]:
        rows: dict[str, list[int]] = {}
        nameless: list[str] = []
        for row, written in enumerate(self._table.column(self._trace_ids).to_pylist()):
            trace_id = row_id(written) if isinstance(written, (str, bytes, UUID)) else ""
            if trace_id in VOID_IDS:
                nameless.append(f"row {row} of {self._place}")
            else:
                rows.setdefault(trace_id, []).append(row)
        return [SpansPart(trace_id, found, self._read) for trace_id, found in rows.items()], nameless

    def _read(self, spans: Sequence[int], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
        with failures_told(f"cannot read trace {trace_id} of {self._place}"):
            rows = self._table.take(pa.array(spans)).to_pylist()
        # A span without an id is given one by its place, which is the same with and without details.
        mended = [Mended(at, msgspec.Raw(f"{trace_id} {row}".encode())) for at, row in enumerate(spans)]
        found = Spans(rows, mended, len(rows))
        return coded_of(found, self._translate, CodedTrace(trace_id), codes, with_details=with_details)


_Json: TypeAlias = "str | bool | int | float | list[_Json] | dict[str, _Json] | None"

_TEXT = pa.string()
_SCHEMA = pa.schema(
    [
        ("start_time_unix_nano", pa.timestamp("ns", "UTC")),
        ("duration_time_unix_nano", pa.int64()),
        ("trace_id", _TEXT),
        ("span_id", _TEXT),
        ("parent_span_id", _TEXT),
        ("trace_state", _TEXT),
        ("service_name", _TEXT),
        ("service_namespace", _TEXT),
        ("service_instance_id", _TEXT),
        ("name", _TEXT),
        ("kind", pa.int32()),
        ("status_code", pa.int32()),
        ("status_status_message", _TEXT),
        ("resource_attributes", _TEXT),
        ("scope_name", _TEXT),
        ("scope_version", _TEXT),
        ("scope_attributes", _TEXT),
        ("span_attributes", _TEXT),
        ("events_json", _TEXT),
        ("links_json", _TEXT),
        ("dropped_attributes_count", pa.int32()),
        ("dropped_events_count", pa.int32()),
        ("dropped_links_count", pa.int32()),
        ("flags", pa.int32()),
    ]
)
_COLUMNS = tuple(_SCHEMA.names)


class OtapWriter:
    """Writes tables of traces into one Parquet file.

    Args:
        path: The file; overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")

    @property
    def byte_count(self) -> int:
        """The length of the file so far."""
        return self._path.stat().st_size

    def add(self, traces: Traces) -> None:
        """Write a table that was read with details."""
        with collector_paused():
            rows = [_row(traces.span(row)) for row in range(traces.span_count)]
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_COLUMNS)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))

    def close(self, calls: Iterable[ServiceCall] = ()) -> None:
        """Finish the file; there is no place in it for dependency tables."""
        self._writer.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._writer.close()


def _row(span: Span) -> tuple[object, ...]:
    details = span.details
    attributes, resource = dict(details.attributes()), details.resource()
    complete = named(span.service, resource)
    name, version, message, state = (_taken(attributes, key) for key in TAGS)
    if details.warnings():
        attributes[WARNINGS] = list(details.warnings())
    events = [
        {"time_unix_nano": event.time_ns, "name": event.name, "attributes": _map(event.attributes)}
        for event in details.events()
    ]
    links = [
        {"trace_id": link.trace_id, "span_id": link.span_id, "attributes": _map(link.attributes)}
        for link in details.links()
    ]
    return (
        span.start_ns,
        span.duration_ns,
        span.trace_id,
        span.span_id,
        span.parent_id,
        state,
        _json_text(complete.get("service.name")),
        _json_text(resource.get("service.namespace")),
        _json_text(resource.get("service.instance.id")),
        span.name,
        int(span.kind),
        int(span.status),
        message,
        _json(_map(complete)),
        name,
        version,
        None,
        _json(_map(attributes)),
        _json(events) if events else None,
        _json(links) if links else None,
        *(None, None, None, None),
    )


def _taken(attributes: dict[str, AttributeValue], key: str) -> str | None:
    value = attributes.get(key)
    if not isinstance(value, str):
        return None
    del attributes[key]
    return value


def _json_text(value: AttributeValue) -> str | None:
    return value if isinstance(value, str) else None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _map(attributes: Attributes) -> dict[str, _Json]:
    return {key: _plain_json(value) for key, value in attributes.items()}


def _plain_json(value: AttributeValue) -> _Json:
    """Give a value as JSON has it: bytes as base64, numbers that are not finite as text."""
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case float() if not math.isfinite(value):
            return str(value)
        case list():
            return [_plain_json(each) for each in value]
        case dict():
            return _map(value)
        case _:
            return value
