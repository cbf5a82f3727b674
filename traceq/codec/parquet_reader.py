"""Reads span tables from Parquet: columns go from Arrow's buffers into arrays, without a loop over spans."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeAlias, cast, overload

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from msgspec.structs import replace

from traceq.codec.parquet import (
    SPAN_FIELDS,
    attributes_from_json,
    constant,
    constants,
    events_from_json,
    links_from_json,
    numbers_of,
    ordinals,
)
from traceq.codec.parquet_file import DETAIL_COLUMNS, EmptyTrace, Selection, first_indices, warning_of
from traceq.semantics import Activity, Attributes, AttributeValue, Kind, Peer, PeerKind, Status, least_activity
from traceq.traces import Event, Link, SpanDetails, Traces, TraceWarning, normal_id

_Array: TypeAlias = Any
"""pyarrow tells no types."""


def read_traces(selections: Iterable[Selection], *, with_details: bool, with_ids: bool = True) -> Traces:
    """Read traces into one table, in the order of the selections.

    Details of a file that was written without them are empty, and so are the ids of spans if they are not wanted: they
    take a third of the time.

    Raises:
        DecodeError: If a file is damaged.
    """
    tables: list[_Array] = []
    empty: list[tuple[int, EmptyTrace]] = []
    trace_count = 0
    for each in selections:
        wanted = _wanted_columns(each, with_details=with_details)
        table = each.file.rows(each.group, wanted if with_ids else [name for name in wanted if name != "span_id"])
        places = range(each.file.trace_counts[each.group]) if each.positions is None else each.positions
        without_rows = {one.position: one for one in each.file.empty_traces(each.group)}
        empty += [(trace_count + n, without_rows[place]) for n, place in enumerate(places) if place in without_rows]
        tables.append(table if each.positions is None else _selected(table, each.positions, without_rows))
        trace_count += len(places)
    traces = _traces(_joined(tables), with_details=with_details)
    return _with_empty(traces, empty) if empty else traces


def _wanted_columns(selection: Selection, *, with_details: bool) -> list[str]:
    """List the columns to read; without details, columns with nothing in them are left out as well."""
    file, group = selection.file, selection.group
    if with_details:
        return [*file.span_columns, *(DETAIL_COLUMNS if file.has_details else ())]
    nulls = file.null_counts(group)
    silent = {name for name in ("trace_warnings", "follows_from") if nulls.get(name) == file.span_count(group)}
    # If every span without a parent row is also without a parent id, there are no orphans.
    has_orphans = nulls["parent_id"] is None or nulls["parent_id"] != nulls["parent_row"]
    silent |= set() if has_orphans else {"parent_id"}
    return [name for name in file.span_columns if name not in silent]


def read_attributes(
    selection: Selection, trace_ids: Collection[str]
) -> Iterator[tuple[str, str, str, dict[str, AttributeValue]]]:
    """Read the attributes of some traces' spans.

    Args:
        selection: A row group, the positions left aside.
        trace_ids: Which traces, by `normal_id`.

    Yields:
        Trace id, span id, name and attributes of a span.

    Raises:
        DecodeError: If the file is damaged.
    """
    file, group = selection.file, selection.group
    if not file.has_details:
        return
    columns = ["trace_id", "span_id", "name", "attributes"]
    dictionary = _one_piece(file.rows(group, ["trace_id"]).column("trace_id")).dictionary
    wanted = [code for code, trace_id in enumerate(dictionary.to_pylist()) if normal_id(trace_id) in trace_ids]
    if not wanted:
        return
    table = file.rows(group, columns)
    found = table.filter(pc.is_in(table.column("trace_id"), value_set=pc.take(dictionary, constants("i", wanted))))
    for trace_id, span_id, name, text in zip(*(column.to_pylist() for column in found.columns), strict=True):
        yield trace_id, span_id, name, attributes_from_json(text)


def _selected(table: _Array, positions: Iterable[int], without_rows: Collection[int]) -> _Array:
    """Select whole traces; positions count the traces without rows too."""
    starts = [*first_indices(table.column("row").combine_chunks()).to_pylist(), table.num_rows]
    wanted = [
        position - sum(place < position for place in without_rows)
        for position in positions
        if position not in without_rows
    ]
    slices = [table.slice(starts[number], starts[number + 1] - starts[number]) for number in wanted]
    return pa.concat_tables(slices).combine_chunks() if slices else table.slice(0, 0)


def _joined(tables: list[_Array]) -> _Array:
    """Concatenate tables, so that every column is in one piece; columns that some of them lack are null there."""
    if not tables:
        return pa.schema(SPAN_FIELDS).empty_table()
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


def _traces(table: _Array, *, with_details: bool) -> Traces:
    columns = {name: _one_piece(table.column(name)) for name in table.column_names}
    rows = columns["row"]
    starts = first_indices(rows)
    trace_ids = cast(list[str], pc.take(columns["trace_id"], starts).to_pylist())
    offsets = numbers_of(starts.cast(pa.int64()))
    offsets.append(len(rows))
    parents, missing = _parents(columns)
    services, names, hosts = (_Codes(columns[name]) for name in ("service", "name", "host"))
    peer_codes, peers = _peers(columns)
    return Traces(
        trace_ids=tuple(trace_ids),
        offsets=offsets,
        span_ids=_span_ids(columns.get("span_id"), len(rows), with_details=with_details),
        parents=parents,
        missing_parents=missing,
        follows_from=_rows_where(columns.get("follows_from")),
        start_ns=numbers_of(columns["start_ns"]),
        duration_ns=numbers_of(columns["duration_ns"]),
        kinds=numbers_of(_enumerated(columns["kind"], Kind)),
        statuses=numbers_of(_enumerated(columns["status"], Status)),
        activities=_activities(columns.get("activity"), peer_codes, (None, *peers)),
        service_codes=services.codes(),
        name_codes=names.codes(),
        host_codes=hosts.codes(after_nothing=True),
        peer_codes=peer_codes,
        services=services.values,
        names=names.values,
        hosts=("", *hosts.values),
        peers=(None, *peers),
        details=_span_details(columns, len(rows)) if with_details else None,
        warnings=_warnings(trace_ids, columns.get("trace_warnings"), starts),
    )


def _span_ids(column: _Array | None, size: int, *, with_details: bool) -> Sequence[str]:
    if column is None:
        return ("",) * size
    return tuple(column.to_pylist()) if with_details else _Texts(column)


class _Texts(Sequence[str]):
    """Texts that become Python strings only on access: of the ids of a million spans, a few are shown."""

    def __init__(self, column: _Array) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __iter__(self) -> Iterator[str]:
        return iter(self._column.to_pylist())

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        found = self._column[at]
        return _Texts(found) if isinstance(at, slice) else cast(str, found.as_py())


def _one_piece(column: _Array) -> _Array:
    combined = column.combine_chunks()
    # Older versions return a chunked array even for a single chunk.
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) and combined.num_chunks else combined


def _parents(columns: dict[str, _Array]) -> tuple[array[int], dict[int, str]]:
    """Return the rows of the parents in the table, and the ids of the missing ones."""
    rows, relative = columns["row"], columns["parent_row"]
    parents = pc.add(pc.subtract(ordinals(len(rows)), rows), relative)
    return numbers_of(pc.fill_null(parents, constant("q", -1))), _orphans(relative, columns.get("parent_id"))


def _orphans(relative: _Array, ids: _Array | None) -> dict[int, str]:
    if ids is None:
        return {}
    rows = pc.indices_nonzero(pc.and_(pc.is_null(relative), pc.is_valid(ids)))
    return dict(zip(rows.to_pylist(), pc.take(ids, rows).to_pylist(), strict=True))


def _rows_where(column: _Array | None) -> frozenset[int]:
    return frozenset() if column is None else frozenset(pc.indices_nonzero(column).to_pylist())


def _from_one(codes: _Array) -> array[int]:
    """Count codes from 1; null becomes 0."""
    return numbers_of(pc.fill_null(pc.add(codes, constant("i", 1)), constant("i", 0)))


class _Codes:
    """A column of texts as codes, in the order of the column's dictionary."""

    def __init__(self, column: _Array) -> None:
        self._indices = column.indices
        self.values: tuple[str, ...] = tuple(column.dictionary.to_pylist())

    def codes(self, *, after_nothing: bool = False) -> array[int]:
        """Return the codes; with `after_nothing`, null is 0 and the texts count from 1."""
        if not after_nothing:
            return numbers_of(self._indices)
        return _from_one(self._indices)


def _enumerated(column: _Array, members: type[Kind | Status | Activity]) -> _Array:
    numbers = constants("b", [members[name.upper()].value for name in column.dictionary.to_pylist()])
    return pc.take(numbers, column.indices)


def _activities(column: _Array | None, peer_codes: array[int], peers: Sequence[Peer | None]) -> array[int]:
    """Give what attributes say that spans do; of files written before that was kept, what their peers say."""
    if column is not None and not column.null_count:
        return numbers_of(_enumerated(column, Activity))
    least = array("b", [least_activity(peer) for peer in peers])
    by_peer = array("b", [least[code] for code in peer_codes])
    return (
        by_peer if column is None else numbers_of(pc.coalesce(_enumerated(column, Activity), constants("b", by_peer)))
    )


def _peers(columns: dict[str, _Array]) -> tuple[array[int], list[Peer]]:
    """Give each combination of kind, system and name a code, in the order of their first occurrence."""
    kinds, systems, names = (columns[name] for name in ("peer_kind", "peer_system", "peer_name"))
    combined = kinds.indices.cast(pa.int64())
    for part in (systems, names):
        combined = pc.add(pc.multiply(combined, constant("q", len(part.dictionary))), part.indices)
    encoded = combined.dictionary_encode()
    texts = [part.dictionary.to_pylist() for part in (kinds, systems, names)]
    peers = []
    for number in encoded.dictionary.to_pylist():
        rest, name = divmod(number, len(texts[2]))
        kind, system = divmod(rest, len(texts[1]))
        peers.append(Peer(cast(PeerKind, texts[0][kind]), texts[1][system], texts[2][name]))
    return _from_one(encoded.indices), peers


def _warnings(trace_ids: list[str], column: _Array | None, starts: _Array) -> tuple[TraceWarning, ...]:
    if column is None:
        return ()
    told = pc.take(column, starts)
    strange = pc.indices_nonzero(pc.is_valid(told))
    lists = pc.take(told, strange).to_pylist()
    return tuple(
        warning_of(trace_ids[position], warning)
        for position, warnings in zip(strange.to_pylist(), lists, strict=True)
        for warning in warnings
    )


def _with_empty(traces: Traces, empty: Iterable[tuple[int, EmptyTrace]]) -> Traces:
    """Put traces without spans back into their positions, in rising order."""
    trace_ids, offsets = list(traces.trace_ids), array("q", traces.offsets)
    warnings = {each.trace_id: each.warnings for _, each in empty}
    for position, each in empty:
        trace_ids.insert(position, each.trace_id)
        offsets.insert(position, offsets[position])
    for warning in traces.warnings:
        warnings[warning.trace_id] = (*warnings.get(warning.trace_id, ()), warning)
    in_order = tuple(warning for trace_id in trace_ids for warning in warnings.get(trace_id, ()))
    return replace(traces, trace_ids=tuple(trace_ids), offsets=offsets, warnings=in_order)


def _span_details(columns: Mapping[str, _Array], count: int) -> tuple[SpanDetails, ...]:
    """Return the details of each row; empty ones if the file has none.

    Args:
        columns: By name, each an Arrow array.
        count: How many rows.
    """
    nothing = pa.nulls(count)
    kept = _Columns(*(columns.get(name, nothing) for name in _Columns.__struct_fields__))
    return tuple(map(_Details, repeat(kept), range(count)))


class _Columns(Struct, frozen=True):
    attributes: _Array
    resource: _Array
    events: _Array
    links: _Array
    warnings: _Array


class _Details(Struct, frozen=True):
    """One row of the columns that hold JSON."""

    columns: _Columns
    row: int

    def attributes(self) -> Attributes:
        """Read the attributes."""
        return attributes_from_json(self.columns.attributes[self.row].as_py())

    def resource(self) -> Attributes:
        """Read the attributes of the resource."""
        return attributes_from_json(self.columns.resource[self.row].as_py())

    def events(self) -> tuple[Event, ...]:
        """Read the events."""
        return events_from_json(self.columns.events[self.row].as_py())

    def links(self) -> tuple[Link, ...]:
        """Read the links."""
        return links_from_json(self.columns.links[self.row].as_py())

    def warnings(self) -> tuple[str, ...]:
        """Read the server's remarks."""
        return tuple(self.columns.warnings[self.row].as_py() or ())
