"""Rows of tables of spans, whose columns are found by their names: what a row means in OpenTelemetry's terms.

Two families are known: OpenTelemetry's names in snake_case, as the DuckDB extension `otlp` has them, and those of the
table `otel_traces` that the collector's ClickHouse exporter makes, which otlp2parquet has too. Columns may be missing,
but for the ids; attributes are JSON text or maps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from traceq.codec.damage import Remark, marked, sound
from traceq.codec.fitting import known_time, read_id
from traceq.codec.mending import SpanDecoder
from traceq.codec.otlp_fields import Told
from traceq.codec.translated import Translated, Translation
from traceq.codec.wire import BROKEN
from traceq.semantics import AttributeValue
from traceq.traces import Event, Link

Row: TypeAlias = dict[str, Any]
"""What a row has, by what it means."""

NAMES: dict[str, tuple[str, ...]] = {
    "trace_id": ("trace_id", "TraceId"),
    "span_id": ("span_id", "SpanId"),
    "parent_id": ("parent_span_id", "ParentSpanId"),
    "name": ("name", "span_name", "SpanName"),
    "kind": ("kind", "span_kind", "SpanKind"),
    "service": ("service_name", "ServiceName"),
    "start": ("start_time_unix_nano", "timestamp", "start_time", "Timestamp"),
    "duration": ("duration_time_unix_nano", "duration_nano", "duration", "Duration"),
    "end": ("end_time_unix_nano", "end_timestamp", "end_time", "EndTimestamp"),
    "status": ("status_code", "StatusCode"),
    "message": ("status_status_message", "status_message", "StatusMessage"),
    "state": ("trace_state", "TraceState"),
    "scope_name": ("scope_name", "ScopeName"),
    "scope_version": ("scope_version", "ScopeVersion"),
    "attributes": ("span_attributes", "SpanAttributes", "attributes"),
    "resource": ("resource_attributes", "ResourceAttributes"),
    "events": ("events_json", "events", "Events"),
    "event_times": ("Events.Timestamp", "EventsTimestamp"),
    "event_names": ("Events.Name", "EventsName"),
    "event_attributes": ("Events.Attributes", "EventsAttributes"),
    "links": ("links_json", "links", "Links"),
    "link_traces": ("Links.TraceId", "LinksTraceId"),
    "link_spans": ("Links.SpanId", "LinksSpanId"),
    "link_attributes": ("Links.Attributes", "LinksAttributes"),
}
"""What a column holds, and the names that it has."""
NEEDED = ("trace_id", "span_id", "start")


def columns_of(names: Collection[str]) -> dict[str, str]:
    """Find the columns that mean something: by that, their names."""
    found = {meant: next((name for name in known if name in names), None) for meant, known in NAMES.items()}
    return {meant: name for meant, name in found.items() if name is not None}


def row_id(written: Any) -> str:
    """Read an id: text, or its bytes.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(written, UUID):
        return written.hex
    if written is not None and not isinstance(written, (str, bytes)):
        raise TypeError("an id is text or bytes")
    if isinstance(written, bytes):
        return read_id(written.decode()) if _WRITTEN_ID.fullmatch(written) else written.hex()
    return read_id(written)


_WRITTEN_ID = re.compile(rb"(?:[0-9a-fA-F]{16}|[0-9a-fA-F]{32})?")
"""An id as text in a column of bytes, as ClickHouse long wrote all its text by default; none is like it by chance."""


_Value = TypeVar("_Value")
_NO_SENSE = (*BROKEN, ValueError, TypeError, OverflowError)
"""What reading a cell can raise."""


class _Cells(Struct):
    """Reads the cells of a row; what makes no sense is left out, and taken down."""

    row: Row
    exact: Collection[str]
    """The columns of times whose unit is known."""
    remarks: list[Remark] = []

    def read(self, name: str, read: Callable[[Any], _Value], otherwise: _Value) -> _Value:
        """Read a cell, or what a missing one stands for."""
        written = self.row.get(name)
        try:
            return read(written)
        except _NO_SENSE as error:
            readable = marked(memoryview(written.encode()), error) if isinstance(written, str) else None
            if readable is not None:
                text, remarks = sound(bytes(readable))
                self.row[name] = text.decode()
                self.remarks += remarks
                return self.read(name, read, otherwise)
            self.remarks.append(Remark("value-left-out", f"its column {name} makes no sense"))
            return otherwise

    def time_ns(self, name: str) -> int:
        """Read a time."""
        return self.read(name, _exact_time if name in self.exact else known_time, 0)

    def text(self, name: str) -> str | None:
        """Read text."""
        return self.read(name, _text, None)

    def attributes(self, name: str) -> dict[str, AttributeValue]:
        """Read attributes."""
        return self.read(name, _attributes, dict[str, AttributeValue]())


def _exact_time(written: Any) -> int:
    return int(written or 0)


def _text(written: Any) -> str | None:
    if isinstance(written, bytes):
        return written.decode()
    if written is not None and not isinstance(written, str):
        raise TypeError("no text")
    return written


def translated(row: Row, exact: Collection[str]) -> Translated:
    """Read a row.

    Args:
        row: By what its columns mean; they are changed where they are put right.
        exact: Those of its times that count nanoseconds.
    """
    cells = _Cells(row, exact)
    resource = cells.attributes("resource")
    if service := cells.text("service"):
        resource.setdefault("service.name", service)
    start_ns = cells.time_ns("start")
    duration_ns = cells.read("duration", lambda written: None if written is None else int(written), None)
    return Translated(
        trace_id=row_id(row["trace_id"]),
        span_id=cells.read("span_id", row_id, ""),
        parent_id=cells.read("parent_id", row_id, ""),
        name=cells.text("name") or "",
        kind=cells.read("kind", _enum, None),
        start_ns=start_ns,
        end_ns=cells.time_ns("end") if duration_ns is None else start_ns + duration_ns,
        status=cells.read("status", _enum, None),
        own_attributes=cells.attributes("attributes"),
        resource_attributes=resource,
        told=Told(*map(cells.text, ("scope_name", "scope_version", "message", "state"))),
        own_events=cells.read("events", lambda _: _events(row), []),
        own_links=cells.read("links", lambda _: _links(row), []),
        remarks=cells.remarks,
    )


def _enum(written: Any) -> str | int | None:
    """Give a kind or status as OTLP names it: `Server`, `SPAN_KIND_SERVER` and 2 are the same."""
    if isinstance(written, int):
        return written
    name = _text(written)
    return name and name.upper()


def _attributes(written: Any) -> dict[str, AttributeValue]:
    """Read attributes: JSON text, a map, or a structure with a field for each."""
    if isinstance(written, (str, bytes)):
        return _attributes(msgspec.json.decode(written, type=dict[str, Any] | list[Row] | None)) if written else {}
    if isinstance(written, dict):
        return {key: value for key, value in written.items() if value is not None}
    return dict(map(_pair, written or ()))


def _pair(pair: tuple[Any, Any] | Row) -> tuple[str, AttributeValue]:
    """Read an entry of a map, which tools that have no maps write as structures (polars)."""
    key, value = (pair["key"], pair["value"]) if isinstance(pair, dict) else pair
    return (key.decode(), _text(value)) if isinstance(key, bytes) else (key, value)


def _events(row: Row) -> list[Event]:
    times = row.get("event_times")
    if times is not None:
        names, attributes = row.get("event_names") or [], row.get("event_attributes") or []
        return [
            Event(known_time(time), _text(name) or "log", _attributes(told))
            for time, name, told in _together(times, names, attributes)
        ]
    return [
        Event(known_time(_first(each, _TIMES)), str(_first(each, ("name", "Name")) or "log"), _nested(each))
        for each in _objects(row.get("events"))
    ]


_TIMES = ("time_unix_nano", "timeUnixNano", "timestamp", "Timestamp", "time")


def _links(row: Row) -> list[Link]:
    traces = row.get("link_traces")
    if traces is not None:
        spans, attributes = row.get("link_spans") or [], row.get("link_attributes") or []
        return [
            Link(row_id(trace), row_id(span), _attributes(told))
            for trace, span, told in _together(traces, spans, attributes)
        ]
    return [
        Link(
            row_id(_first(each, ("trace_id", "traceId", "TraceId"))),
            row_id(_first(each, ("span_id", "spanId", "SpanId"))),
            _nested(each),
        )
        for each in _objects(row.get("links"))
    ]


def _together(*columns: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    size = len(columns[0])
    return zip(*((*column, *(None for _ in range(size - len(column)))) for column in columns), strict=False)


def _objects(written: Any) -> list[dict[str, Any]]:
    if isinstance(written, (str, bytes)):
        return msgspec.json.decode(written, type=list[dict[str, Any]]) if written else []
    return [each for each in written or () if isinstance(each, dict)]


def _first(told: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((told[name] for name in names if told.get(name) is not None), None)


def _nested(told: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return _attributes(_first(told, ("attributes", "Attributes")))


def _json_row(written: Row) -> Translated:
    return translated({meant: written[name] for meant, name in columns_of(written).items()}, ())


FORMAT = Translation(SpanDecoder(msgspec.json.Decoder(Row), msgspec.json.Decoder(list[Row])), _json_row).format()
"""Rows as JSON, as ClickHouse and DuckDB write them when they are asked to."""
