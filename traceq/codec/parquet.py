"""Writes traces as Parquet: the span table as it is, one row per span, and a few columns for people who use SQL.

Row groups hold whole traces; the rows of a trace follow each other in the table's order. `docs/parquet.md` describes
every column. Attributes, events and links are JSON text, which is read back here without loss: values that JSON lacks
become an object with a single key that begins with `$`, bytes `{"$bytes": "<base64>"}`, numbers that are not finite
`{"$float": "nan"}`; an attribute that is itself such an object is wrapped: `{"$map": {...}}`.

pyarrow is imported only in the modules called `parquet*`, which are themselves imported late.
"""

from __future__ import annotations

import base64
import json
import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traceq.catalog import ServiceCall
from traceq.codec.json_writers import is_too_deep
from traceq.codec.wire import collector_paused
from traceq.semantics import Activity, Attributes, AttributeValue, Kind, Status, value_text
from traceq.traces import Event, Link, SpanDetails, Traces, TraceWarning
from traceq.writing import unfinished

_Array: TypeAlias = Any
"""pyarrow tells no types."""

FORMAT = "traceq.spans/1"
FORMAT_KEY = b"traceq.format"
CALLS_KEY = b"traceq.calls"
COUNTS_KEY = b"traceq.trace_counts"
"""How many traces each row group holds."""
EMPTY_KEY = b"traceq.empty_traces"
"""Traces without spans have no row to stand in: `[[row group, position in it, trace id, warnings], ...]`."""

_GROUP_SPANS = 2**15
"""Spans per row group, the unit in which columns are read: enough for compression, few enough for looking up a span."""
_ZSTD_LEVEL = 9
"""Attributes take half the space that they take at level 1; higher levels are slower and gain a few percent."""

_CODE = pa.dictionary(pa.int32(), pa.string())
_WARNING = pa.struct([("code", pa.string()), ("span_id", pa.string()), ("message", pa.string())])
SPAN_FIELDS = (
    pa.field("trace_id", _CODE, nullable=False),
    pa.field("span_id", pa.string(), nullable=False),
    pa.field("parent_id", pa.string()),
    pa.field("service", _CODE, nullable=False),
    pa.field("name", _CODE, nullable=False),
    pa.field("kind", _CODE, nullable=False),
    pa.field("status", _CODE, nullable=False),
    pa.field("start_ns", pa.int64(), nullable=False),
    pa.field("duration_ns", pa.int64(), nullable=False),
    pa.field("host", _CODE),
    pa.field("peer_kind", _CODE),
    pa.field("peer_system", _CODE),
    pa.field("peer_name", _CODE),
    pa.field("activity", _CODE),
    pa.field("row", pa.int32(), nullable=False),
    pa.field("parent_row", pa.int32()),
    pa.field("follows_from", pa.bool_()),
    pa.field("trace_warnings", pa.list_(_WARNING)),
)
LATER_COLUMNS = frozenset(("activity", "follows_from"))
"""Columns that older files do not have."""
DETAIL_FIELDS = (
    pa.field("attributes", pa.string()),
    pa.field("resource", pa.string()),
    pa.field("events", pa.string()),
    pa.field("links", pa.string()),
    pa.field("warnings", pa.list_(pa.string())),
)

_ENCODINGS = {
    # Values hardly ever repeat: a dictionary would be as long as the column.
    **dict.fromkeys(("span_id", "attributes", "events", "links"), "PLAIN"),
    # A boolean needs no dictionary.
    "follows_from": "PLAIN",
    # Each number differs little from the one before.
    **dict.fromkeys(("start_ns", "duration_ns", "row", "parent_row"), "DELTA_BINARY_PACKED"),
}
_NESTED = ("trace_warnings", "warnings")

_TYPES = {"q": pa.int64(), "i": pa.int32(), "b": pa.int8()}
_TYPECODES = {arrow: typecode for typecode, arrow in _TYPES.items()}


class SpanWriter:
    """Writes tables of traces into one Parquet file.

    Args:
        path: The file; overwritten.
        with_details: Whether to write attributes, resources, events, links and remarks.
    """

    def __init__(self, path: Path, *, with_details: bool) -> None:
        fields = (*SPAN_FIELDS, *(DETAIL_FIELDS if with_details else ()))
        self._schema = pa.schema(fields, metadata={FORMAT_KEY: FORMAT})
        self._with_details = with_details
        self._waiting: list[_Array] = []
        self._waiting_traces = self._waiting_spans = 0
        self._trace_counts: list[int] = []
        self._empty: list[tuple[int, int, str, list[dict[str, str]]]] = []
        names = [field.name for field in fields]
        self._path = path
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            use_dictionary=[name for name in names if name not in _ENCODINGS and name not in _NESTED],
            column_encoding={name: encoding for name, encoding in _ENCODINGS.items() if name in names},
        )

    @property
    def byte_count(self) -> int:
        """The length of the file so far."""
        return self._path.stat().st_size

    def add(self, traces: Traces) -> None:
        """Write a table, each trace whole.

        Raises:
            ValueError: If details are to be written and the table was read without them.
        """
        warnings = _by_trace(traces.warnings)
        for position, trace_id in enumerate(traces.trace_ids):
            if not traces.rows(position):
                place = self._waiting_traces + position
                self._empty.append((len(self._trace_counts), place, trace_id, warnings.get(trace_id, [])))
        columns = _span_columns(traces, warnings)
        if self._with_details:
            with collector_paused():
                columns += _detail_columns(traces)
        self._waiting.append(pa.Table.from_arrays(columns, schema=self._schema))
        self._waiting_traces += len(traces)
        self._waiting_spans += traces.span_count
        if self._waiting_spans >= _GROUP_SPANS:
            self._write_group()

    def close(self, calls: Iterable[ServiceCall] = ()) -> None:
        """Write the rest.

        Args:
            calls: Dependency tables that came along with the traces.
        """
        if self._waiting:
            self._write_group()
        recorded = [(call.parent, call.child, call.call_count) for call in calls]
        told = {COUNTS_KEY: self._trace_counts, EMPTY_KEY: self._empty, CALLS_KEY: recorded}
        self._writer.add_key_value_metadata({key.decode(): json.dumps(value) for key, value in told.items()})
        self._writer.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._writer.close()

    def _write_group(self) -> None:
        table = pa.concat_tables(self._waiting).unify_dictionaries().combine_chunks()
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._trace_counts.append(self._waiting_traces)
        self._waiting.clear()
        self._waiting_traces = self._waiting_spans = 0


class TableWriter(Protocol):
    """Writes tables of traces into one file; see `SpanWriter`."""

    @property
    def byte_count(self) -> int:
        """The length of the file so far."""

    def add(self, traces: Traces) -> None:
        """Write a table, each trace whole."""

    def close(self, calls: Iterable[ServiceCall] = ()) -> None:
        """Write the rest."""

    def abandon(self) -> None:
        """Close the file as it is."""


class SpanFiles:
    """The file, or the files of a folder, that tables are written to; they have their names when all are whole.

    Args:
        target: A file whose name ends in `.parquet`, or a folder.
        rotate_bytes: The length after which a new file begins in a folder.
        writer: Opens a file for writing.
    """

    def __init__(self, target: Path, rotate_bytes: int, writer: Callable[[Path], TableWriter]) -> None:
        self._target = target
        self._is_folder = target.suffix.lower() != ".parquet"
        self._rotate_bytes = rotate_bytes
        self._new_writer = writer
        self._writer: TableWriter | None = None
        self.paths: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._writer is not None:
            self._writer.abandon()
        for path in self.paths:
            unfinished(path).unlink(missing_ok=True)

    def add(self, traces: Traces) -> None:
        """Write a table, into a new file where the last one is long enough."""
        if self._writer is not None and self._is_folder and self._writer.byte_count >= self._rotate_bytes:
            self._writer.close()
            self._writer = None
        self._opened().add(traces)

    def close(self, calls: Iterable[ServiceCall]) -> None:
        """Finish the last file, and give all of them their names."""
        self._opened().close(calls)
        self._writer = None
        for path in self.paths:
            unfinished(path).replace(path)

    def _opened(self) -> TableWriter:
        if self._writer is None:
            name = f"traces-{len(self.paths) + 1:05d}.parquet"
            self.paths.append(self._target / name if self._is_folder else self._target)
            self._writer = self._new_writer(unfinished(self.paths[-1]))
        return self._writer


def _by_trace(warnings: Iterable[TraceWarning]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for each in warnings:
        told = {"code": str(each.code), "span_id": each.span_id, "message": each.message}
        found.setdefault(each.trace_id, []).append(told)
    return found


def _span_columns(traces: Traces, warnings: dict[str, list[dict[str, str]]]) -> list[_Array]:
    rows, owners = array("i"), array("i")
    for position in range(len(traces)):
        count = len(traces.rows(position))
        rows.extend(range(count))
        owners.extend([position] * count)
    span_ids, row_column = pa.array(traces.span_ids, pa.string()), column_of(rows)
    parents = _nullable(column_of(traces.parents))
    return [
        _coded(column_of(owners), traces.trace_ids),
        span_ids,
        _parent_ids(traces, span_ids, parents),
        _coded(column_of(traces.service_codes), traces.services),
        _coded(column_of(traces.name_codes), traces.names),
        _coded(column_of(traces.kinds).cast(pa.int32()), [kind.name.lower() for kind in Kind]),
        _coded(column_of(traces.statuses).cast(pa.int32()), [status.name.lower() for status in Status]),
        column_of(traces.start_ns),
        column_of(traces.duration_ns),
        _coded(_from_second(traces.host_codes), traces.hosts[1:]),
        *_peer_columns(traces),
        _coded(column_of(traces.activities).cast(pa.int32()), [activity.name.lower() for activity in Activity]),
        row_column,
        _relative(parents, row_column),
        _follows_from(traces),
        _trace_warnings(traces, warnings),
    ]


def _nullable(numbers: _Array) -> _Array:
    return pc.if_else(pc.less(numbers, 0), None, numbers)


def _coded(codes: _Array, values: Iterable[str | None]) -> _Array:
    return pa.DictionaryArray.from_arrays(codes, pa.array(values, pa.string()))


def _from_second(codes: array[int]) -> _Array:
    """Replace code 0 by null, and count the others from 0."""
    return _nullable(pc.subtract(column_of(codes), pa.scalar(1, pa.int32())))


def _parent_ids(traces: Traces, span_ids: _Array, parents: _Array) -> _Array:
    present = pc.take(span_ids, parents)
    if not traces.missing_parents:
        return present
    missing: list[str | None] = [None] * traces.span_count
    for row, parent_id in traces.missing_parents.items():
        missing[row] = parent_id
    return pc.coalesce(present, pa.array(missing, pa.string()))


def _relative(parents: _Array, rows: _Array) -> _Array:
    """Count parents from the first row of their trace."""
    first_rows = pc.subtract(ordinals(len(rows)), rows)
    return pc.subtract(parents, first_rows).cast(pa.int32())


def _follows_from(traces: Traces) -> _Array:
    if not traces.follows_from:
        return pa.nulls(traces.span_count, pa.bool_())
    return pa.array([row in traces.follows_from or None for row in range(traces.span_count)], pa.bool_())


def _peer_columns(traces: Traces) -> list[_Array]:
    peers = traces.peers[1:]
    codes = _from_second(traces.peer_codes)
    parts = ([peer and peer[part] for peer in peers] for part in range(3))
    # Peers share kinds and systems, but a dictionary must not hold a value twice.
    return [pc.take(pa.array(values, pa.string()), codes).dictionary_encode().cast(_CODE) for values in parts]


def _trace_warnings(traces: Traces, warnings: dict[str, list[dict[str, str]]]) -> _Array:
    told: list[list[dict[str, str]] | None] = [None] * traces.span_count
    if warnings:
        for position, trace_id in enumerate(traces.trace_ids):
            if traces.rows(position):
                told[traces.offsets[position]] = warnings.get(trace_id)
    return pa.array(told, pa.list_(_WARNING))


def _detail_columns(traces: Traces) -> list[_Array]:
    if traces.details is None:
        raise ValueError("these traces were read without attributes")
    resources: dict[int, tuple[str | None, Attributes]] = {}
    kept = [_kept(details, resources) for details in traces.details]
    columns = zip(*kept, strict=True) if kept else ([] for _ in DETAIL_FIELDS)
    return [pa.array(values, field.type) for values, field in zip(columns, DETAIL_FIELDS, strict=True)]


def _kept(details: SpanDetails, resources: dict[int, tuple[str | None, Attributes]]) -> tuple[object, ...]:
    resource = details.resource()
    # Codecs return one object for all spans of a process. It is kept alive, so that its id stays unique.
    written = resources.get(id(resource))
    if written is None:
        written = resources[id(resource)] = (write_attributes(resource), resource)
    return (
        write_attributes(details.attributes()),
        written[0],
        write_events(details.events()),
        write_links(details.links()),
        list(details.warnings()) or None,
    )


def column_of(numbers: array[int]) -> _Array:
    """View an array as an Arrow column, without a copy."""
    return pa.Array.from_buffers(_TYPES[numbers.typecode], len(numbers), [None, pa.py_buffer(numbers)])


def numbers_of(column: _Array) -> array[int]:
    """Copy a column without nulls into an array."""
    numbers = array(_TYPECODES[column.type])
    if len(column):
        size = numbers.itemsize
        numbers.frombytes(column.buffers()[1].slice(column.offset * size, len(column) * size))
    return numbers


def constants(typecode: str, numbers: Iterable[int]) -> _Array:
    """Make a column of numbers by hand: pyarrow imports pandas (0.4 s) to convert Python's numbers itself."""
    return column_of(array(typecode, numbers))


def ordinals(count: int) -> _Array:
    """Return a column with the numbers 0, 1, 2, ..., `count` of them."""
    return _ordinals(max(0, count - 1).bit_length()).slice(0, count)


@lru_cache(maxsize=2)
def _ordinals(bits: int) -> _Array:
    # Cached, because many ranges are needed one after the other, and Python counts slowly.
    return constants("q", range(2**bits))


def constant(typecode: str, number: int) -> _Array:
    """Make an Arrow number by hand."""
    return constants(typecode, [number])[0]


_Json: TypeAlias = "str | bool | int | float | list[_Json] | dict[str, _Json] | None"

_PLAIN = frozenset((str, bool, int, type(None)))


class _Event(msgspec.Struct, gc=False):
    time_ns: int
    name: str
    attributes: dict[str, Any]


class _Link(msgspec.Struct, gc=False):
    trace_id: str
    span_id: str
    attributes: dict[str, Any]


_ATTRIBUTES = msgspec.json.Decoder(dict[str, Any])
_EVENTS = msgspec.json.Decoder(list[_Event])
_LINKS = msgspec.json.Decoder(list[_Link])


def write_attributes(attributes: Attributes) -> str | None:
    """Write attributes; None if there are none."""
    return _text(_map_out(attributes)) if attributes else None


def attributes_from_json(text: str | None) -> dict[str, AttributeValue]:
    """Read what `write_attributes` wrote."""
    return _map_in(_ATTRIBUTES.decode(text)) if text else {}


def write_events(events: Sequence[Event]) -> str | None:
    """Write events, in order; None if there are none."""
    return _text([_Event(event.time_ns, event.name, _map_out(event.attributes)) for event in events] or None)


def events_from_json(text: str | None) -> tuple[Event, ...]:
    """Read what `write_events` wrote."""
    found = _EVENTS.decode(text) if text else []
    return tuple(Event(event.time_ns, event.name, _map_in(event.attributes)) for event in found)


def write_links(links: Sequence[Link]) -> str | None:
    """Write links, in order; None if there are none."""
    return _text([_Link(link.trace_id, link.span_id, _map_out(link.attributes)) for link in links] or None)


def links_from_json(text: str | None) -> tuple[Link, ...]:
    """Read what `write_links` wrote."""
    found = _LINKS.decode(text) if text else []
    return tuple(Link(link.trace_id, link.span_id, _map_in(link.attributes)) for link in found)


def _text(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _map_out(attributes: Attributes) -> dict[str, _Json]:
    return {key: value if type(value) in _PLAIN else _shallow(value) for key, value in attributes.items()}  # type: ignore[misc]


def _shallow(value: AttributeValue) -> _Json:
    return value_text(value) if is_too_deep(value) else _out(value)


def _out(value: AttributeValue) -> _Json:
    match value:
        case bytes():
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        case float() if not math.isfinite(value):
            return {"$float": repr(value)}
        case list():
            return [_out(each) for each in value]
        case dict():
            written: dict[str, _Json] = {key: _out(each) for key, each in value.items()}
            return {"$map": written} if _is_marked(value) else written
        case _:
            return value


def _is_marked(value: dict[str, AttributeValue] | dict[str, _Json]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _map_in(attributes: dict[str, _Json]) -> dict[str, AttributeValue]:
    return {key: value if type(value) in _PLAIN else _in(value) for key, value in attributes.items()}  # type: ignore[misc]


def _in(value: _Json) -> AttributeValue:
    if isinstance(value, list):
        return [_in(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not _is_marked(value):
        return {key: _in(each) for key, each in value.items()}
    ((mark, marked),) = value.items()
    if mark == "$bytes" and isinstance(marked, str):
        return base64.b64decode(marked)
    if mark == "$float" and isinstance(marked, str):
        return float(marked)
    return {key: _in(each) for key, each in marked.items()} if isinstance(marked, dict) else None
