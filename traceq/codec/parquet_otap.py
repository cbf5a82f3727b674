"""Writes traces as Parquet with the names that OpenTelemetry's Arrow schema gives columns, for other tools.

These are the 24 columns that the DuckDB extension `otlp` gives spans; attributes, events and links are JSON text.
`parquet_foreign` reads them back.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from traceq.catalog import ServiceCall
from traceq.codec.otlp_terms import TAGS, WARNINGS, named
from traceq.codec.wire import collector_paused
from traceq.semantics import Attributes, AttributeValue
from traceq.traces import Span, Traces

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
        _text(complete.get("service.name")),
        _text(resource.get("service.namespace")),
        _text(resource.get("service.instance.id")),
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


def _text(value: AttributeValue) -> str | None:
    return value if isinstance(value, str) else None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _map(attributes: Attributes) -> dict[str, _Json]:
    return {key: _plain(value) for key, value in attributes.items()}


def _plain(value: AttributeValue) -> _Json:
    """Give a value as JSON has it: bytes as base64, numbers that are not finite as text."""
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case float() if not math.isfinite(value):
            return str(value)
        case list():
            return [_plain(each) for each in value]
        case dict():
            return _map(value)
        case _:
            return value
