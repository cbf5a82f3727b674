"""Parquet back to span tables: columns go from Arrow's buffers into arrays, without a loop over spans."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast, overload

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traceq.catalog import ServiceCall
from traceq.codec import attribute_json
from traceq.codec.parquet import CALLS_KEY, COUNTS_KEY, DETAIL_FIELDS, EMPTY_KEY, FORMAT, FORMAT_KEY, SPAN_FIELDS
from traceq.codec.parquet_arrays import constant, constants, numbers_of, ordinals
from traceq.codec.parquet_details import span_details
from traceq.codec.wire import decode, quoted
from traceq.errors import DecodeError
from traceq.semantics import AttributeValue, Kind, Peer, PeerKind, Status
from traceq.traces import Traces, TraceWarning, WarningCode, normal_id
from traceq.untrusted import printable

_Array: TypeAlias = Any
"""pyarrow tells no types."""
_Value = TypeVar("_Value")

_SPAN_COLUMNS = tuple(field.name for field in SPAN_FIELDS)
_DETAIL_COLUMNS = tuple(field.name for field in DETAIL_FIELDS)
_CODED = [field.name for field in SPAN_FIELDS if pa.types.is_dictionary(field.type)]
_HINT = "traceq reads the Parquet that `traceq convert` writes"


_UNREADABLE = (pa.ArrowException, OSError)


@dataclass(frozen=True, slots=True)
class _EmptyTrace:
    """A trace without spans, which has no row to stand in."""

    group: int
    position: int
    trace_id: str
    warnings: tuple[TraceWarning, ...]


class SpanFile:
    """A Parquet file of spans; opened at once, read in parts.

    Args:
        path: The file.

    Raises:
        DecodeError: If it is not Parquet, or not of traceq's columns.
        FileNotFoundError, PermissionError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # The footer first: a file without our columns cannot be opened to read them as codes.
            self._footer = pq.read_metadata(path, memory_map=True)
            self._names = frozenset(self._footer.schema.to_arrow_schema().names)
            self._metadata: dict[bytes, bytes] = self._footer.metadata or {}
            self._check_format()
            self._file = pq.ParquetFile(path, metadata=self._footer, read_dictionary=_CODED, memory_map=True)
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except _UNREADABLE as error:
            raise self._refusal(quoted(str(error), 200)) from error

    def _check_format(self) -> None:
        told = self._metadata.get(FORMAT_KEY, b"").decode("utf-8", "replace")
        if told != FORMAT:
            raise self._refusal(f"it says '{quoted(told)}', not '{FORMAT}'" if told else "its columns are not traceq's")
        missing = [name for name in _SPAN_COLUMNS if name not in self._names]
        if missing:
            raise self._refusal(f"the column {missing[0]} is missing")

    @cached_property
    def trace_counts(self) -> tuple[int, ...]:
        """How many traces each row group holds."""
        counts = self._told(COUNTS_KEY, list[int])
        if len(counts) != self._footer.num_row_groups:
            raise self._refusal("it does not tell what its row groups hold")
        return tuple(counts)

    @property
    def has_details(self) -> bool:
        """Whether it holds attributes, events and links."""
        return self._names.issuperset(_DETAIL_COLUMNS)

    def byte_count(self, group: int) -> int:
        """Tell how many bytes of the file the columns of a row group take, attributes and the like left aside."""
        told = self._footer.row_group(group)
        columns = (told.column(number) for number in range(told.num_columns))
        return sum(
            int(column.total_compressed_size)
            for column in columns
            if column.path_in_schema.partition(".")[0] in _SPAN_COLUMNS
        )

    def span_count(self, group: int) -> int:
        """Tell how many spans a row group holds."""
        return int(self._footer.row_group(group).num_rows)

    def null_counts(self, group: int) -> dict[str, int | None]:
        """Tell how many spans have nothing in each column; None where the file does not tell. For a list: no items."""
        told = self._footer.row_group(group)
        columns = (told.column(number) for number in range(told.num_columns))
        return {column.path_in_schema.partition(".")[0]: _null_count(column.statistics) for column in columns}

    @cached_property
    def calls(self) -> tuple[ServiceCall, ...]:
        """The dependency table that came along with the traces."""
        return tuple(ServiceCall(*call) for call in self._told(CALLS_KEY, list[tuple[str, str, int]]))

    def trace_ids(self, group: int) -> list[str]:
        """List the traces of a row group, in their order."""
        ids = _first_rows(self.rows(group, ["trace_id", "row"])).column("trace_id").to_pylist()
        for empty in self.empty_traces(group):
            ids.insert(empty.position, empty.trace_id)
        return cast(list[str], ids)

    def empty_traces(self, group: int) -> list[_EmptyTrace]:
        """List the traces of a row group that have no spans."""
        return [each for each in self._empty_traces if each.group == group]

    @cached_property
    def _empty_traces(self) -> tuple[_EmptyTrace, ...]:
        told = self._told(EMPTY_KEY, list[tuple[int, int, str, list[dict[str, str]]]])
        return tuple(
            _EmptyTrace(group, position, trace_id, tuple(_warning(trace_id, each) for each in warnings))
            for group, position, trace_id, warnings in told
        )

    def rows(self, group: int, columns: Sequence[str]) -> _Array:
        """Read columns of a row group as Arrow has them.

        Raises:
            DecodeError: If the file is damaged.
        """
        try:
            # One thread each: whoever reads many row groups reads them side by side.
            return self._file.read_row_group(group, columns=list(columns), use_threads=False)
        except _UNREADABLE as error:
            raise self._refusal(quoted(str(error), 200)) from error

    def _told(self, key: bytes, shape: type[_Value]) -> _Value:
        what = f"cannot read {printable(str(self.path))}: its metadata {key.decode()}"
        return decode(msgspec.json.Decoder(shape), self._metadata.get(key, b"[]"), what)

    def _refusal(self, why: str) -> DecodeError:
        return DecodeError(f"cannot read {printable(str(self.path))}: {why}", hint=_HINT)


def _null_count(statistics: _Array) -> int | None:
    return int(statistics.null_count) if statistics is not None and statistics.has_null_count else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Traces of a row group."""

    file: SpanFile
    group: int
    positions: tuple[int, ...] | None = None
    """Which of them, in rising order; None for all."""


def read_traces(selections: Iterable[Selection], *, with_details: bool) -> Traces:
    """Read traces into one table, in the order of the selections.

    Details of a file that was written without them are empty.

    Raises:
        DecodeError: If a file is damaged.
    """
    tables: list[_Array] = []
    empty: list[tuple[int, _EmptyTrace]] = []
    trace_count = 0
    for each in selections:
        table = each.file.rows(each.group, _wanted_columns(each, with_details=with_details))
        places = range(each.file.trace_counts[each.group]) if each.positions is None else each.positions
        without_rows = {one.position: one for one in each.file.empty_traces(each.group)}
        empty += [(trace_count + n, without_rows[place]) for n, place in enumerate(places) if place in without_rows]
        tables.append(table if each.positions is None else _selected(table, each.positions, without_rows))
        trace_count += len(places)
    traces = _traces(_joined(tables), with_details=with_details)
    return _with_empty(traces, empty) if empty else traces


def _wanted_columns(selection: Selection, *, with_details: bool) -> list[str]:
    """List the columns to read; without details also those are left out that would say nothing."""
    file, group = selection.file, selection.group
    if with_details:
        return [*_SPAN_COLUMNS, *(_DETAIL_COLUMNS if file.has_details else ())]
    nulls = file.null_counts(group)
    silent = {"trace_warnings"} if nulls["trace_warnings"] == file.span_count(group) else set()
    # Where every span without a parent's row is without a parent's id too, none is an orphan.
    has_orphans = nulls["parent_id"] is None or nulls["parent_id"] != nulls["parent_row"]
    silent |= set() if has_orphans else {"parent_id"}
    return [name for name in _SPAN_COLUMNS if name not in silent]


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
        yield trace_id, span_id, name, attribute_json.read_attributes(text)


def _selected(table: _Array, positions: Iterable[int], without_rows: Collection[int]) -> _Array:
    """Cut out whole traces; positions count those without rows too."""
    starts = [*_first_indices(table.column("row").combine_chunks()).to_pylist(), table.num_rows]
    wanted = [
        position - sum(place < position for place in without_rows)
        for position in positions
        if position not in without_rows
    ]
    slices = [table.slice(starts[number], starts[number + 1] - starts[number]) for number in wanted]
    return pa.concat_tables(slices).combine_chunks() if slices else table.slice(0, 0)


def _joined(tables: list[_Array]) -> _Array:
    """Put tables together, so that every column is in one piece; what some of them lack is null there."""
    if not tables:
        return pa.schema(SPAN_FIELDS).empty_table()
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


def _first_indices(rows: _Array) -> _Array:
    return pc.indices_nonzero(pc.equal(rows, constant("i", 0)))


def _first_rows(table: _Array) -> _Array:
    return table.filter(pc.equal(table.column("row"), constant("i", 0)))


def _traces(table: _Array, *, with_details: bool) -> Traces:
    columns = {name: _one_piece(table.column(name)) for name in table.column_names}
    rows = columns["row"]
    starts = _first_indices(rows)
    trace_ids = cast(list[str], pc.take(columns["trace_id"], starts).to_pylist())
    offsets = numbers_of(starts.cast(pa.int64()))
    offsets.append(len(rows))
    parents, missing = _parents(columns)
    services, names, hosts = (_Codes(columns[name]) for name in ("service", "name", "host"))
    peer_codes, peers = _peers(columns)
    return Traces(
        trace_ids=tuple(trace_ids),
        offsets=offsets,
        span_ids=tuple(columns["span_id"].to_pylist()) if with_details else _Texts(columns["span_id"]),
        parents=parents,
        missing_parents=missing,
        start_ns=numbers_of(columns["start_ns"]),
        duration_ns=numbers_of(columns["duration_ns"]),
        kinds=_enumerated(columns["kind"], Kind),
        statuses=_enumerated(columns["status"], Status),
        service_codes=services.codes(),
        name_codes=names.codes(),
        host_codes=hosts.codes(after_nothing=True),
        peer_codes=peer_codes,
        services=services.values,
        names=names.values,
        hosts=("", *hosts.values),
        peers=(None, *peers),
        details=span_details(columns, len(rows)) if with_details else None,
        warnings=_warnings(trace_ids, columns.get("trace_warnings"), starts),
    )


class _Texts(Sequence[str]):
    """Texts that become Python's only where somebody looks: of the ids of a million spans a few are shown."""

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
    # Older versions hand out chunks even of one.
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) and combined.num_chunks else combined


def _parents(columns: dict[str, _Array]) -> tuple[array[int], dict[int, str]]:
    """Give the parents' rows in the table, and the ids of those that are missing."""
    rows, relative = columns["row"], columns["parent_row"]
    parents = pc.add(pc.subtract(ordinals(len(rows)), rows), relative)
    return numbers_of(pc.fill_null(parents, constant("q", -1))), _orphans(relative, columns.get("parent_id"))


def _orphans(relative: _Array, ids: _Array | None) -> dict[int, str]:
    if ids is None:
        return {}
    rows = pc.indices_nonzero(pc.and_(pc.is_null(relative), pc.is_valid(ids)))
    return dict(zip(rows.to_pylist(), pc.take(ids, rows).to_pylist(), strict=True))


def _from_one(codes: _Array) -> array[int]:
    """Count codes from one; null is 0."""
    return numbers_of(pc.fill_null(pc.add(codes, constant("i", 1)), constant("i", 0)))


class _Codes:
    """A column of texts as numbers; the numbers are those in which the texts came first."""

    def __init__(self, column: _Array) -> None:
        self._indices = column.indices
        self.values: tuple[str, ...] = tuple(column.dictionary.to_pylist())

    def codes(self, *, after_nothing: bool = False) -> array[int]:
        """Give the numbers; with `after_nothing` null is 0 and the texts count from 1."""
        if not after_nothing:
            return numbers_of(self._indices)
        return _from_one(self._indices)


def _enumerated(column: _Array, members: type[Kind | Status]) -> array[int]:
    numbers = constants("b", [members[name.upper()].value for name in column.dictionary.to_pylist()])
    return numbers_of(pc.take(numbers, column.indices))


def _peers(columns: dict[str, _Array]) -> tuple[array[int], list[Peer]]:
    """Give each combination of kind, system and name a code, in the order in which they come first."""
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
        _warning(trace_ids[position], warning)
        for position, warnings in zip(strange.to_pylist(), lists, strict=True)
        for warning in warnings
    )


def _warning(trace_id: str, told: Mapping[str, str]) -> TraceWarning:
    return TraceWarning(cast(WarningCode, told["code"]), trace_id, told["message"], told["span_id"])


def _with_empty(traces: Traces, empty: Iterable[tuple[int, _EmptyTrace]]) -> Traces:
    """Put traces without spans back to their positions, the first first."""
    trace_ids, offsets = list(traces.trace_ids), array("q", traces.offsets)
    warnings = {each.trace_id: each.warnings for _, each in empty}
    for position, each in empty:
        trace_ids.insert(position, each.trace_id)
        offsets.insert(position, offsets[position])
    for warning in traces.warnings:
        warnings[warning.trace_id] = (*warnings.get(warning.trace_id, ()), warning)
    in_order = tuple(warning for trace_id in trace_ids for warning in warnings.get(trace_id, ()))
    return replace(traces, trace_ids=tuple(trace_ids), offsets=offsets, warnings=in_order)
