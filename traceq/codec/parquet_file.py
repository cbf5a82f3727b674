"""A Parquet file of spans: the contents of its footer, and its row groups as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from traceq.catalog import ServiceCall
from traceq.codec.parquet import (
    CALLS_KEY,
    COUNTS_KEY,
    DETAIL_FIELDS,
    EMPTY_KEY,
    FORMAT,
    FORMAT_KEY,
    LATER_COLUMNS,
    SPAN_FIELDS,
    constant,
)
from traceq.codec.wire import decode
from traceq.errors import DecodeError
from traceq.semantics import Activity, Kind, Status
from traceq.traces import TraceWarning, WarningCode
from traceq.untrusted import printable, quoted

_Array: TypeAlias = Any
"""pyarrow tells no types."""
_Value = TypeVar("_Value")

SPAN_COLUMNS = tuple(field.name for field in SPAN_FIELDS)
DETAIL_COLUMNS = tuple(field.name for field in DETAIL_FIELDS)
_CODED = [field.name for field in SPAN_FIELDS if pa.types.is_dictionary(field.type)]
_HINT = (
    "traceq reads the Parquet that `traceq convert` writes, and that of other tools, but not both at once; "
    "ask them one after the other, or `traceq convert` the others first"
)
_WORDS: dict[str, type[Kind | Status | Activity]] = {"kind": Kind, "status": Status, "activity": Activity}
_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, IndexError)
"""What reading a damaged file can raise: names in its footer may be anything."""


def is_foreign(path: Path) -> bool:
    """Whether a file is whole, and does not say that it is traceq's, nor has the columns of one that is."""
    try:
        footer = pq.read_metadata(path, memory_map=True)
    except _UNREADABLE:
        return False  # the error is reported when the file is read
    names = footer.schema.to_arrow_schema().names
    return FORMAT_KEY not in (footer.metadata or {}) and not {"start_ns", "parent_row"} <= set(names)


class EmptyTrace(Struct, frozen=True):
    """A trace without spans, and therefore without rows."""

    group: int
    position: int
    trace_id: str
    warnings: tuple[TraceWarning, ...]


class SpanFile:
    """A Parquet file of spans, opened at once and read in parts.

    Args:
        path: The file.

    Raises:
        DecodeError: If it is not Parquet, or not of traceq's columns.
        FileNotFoundError, PermissionError: If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # The footer comes first: a file without our columns cannot be opened with the option to read them as codes.
            self._footer = pq.read_metadata(path, memory_map=True)
            self._names = frozenset(self._footer.schema.to_arrow_schema().names)
            self._metadata: dict[bytes, bytes] = self._footer.metadata or {}
            self._check_format()
            coded = [name for name in _CODED if name in self._names]
            self._file = pq.ParquetFile(path, metadata=self._footer, read_dictionary=coded, memory_map=True)
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except _UNREADABLE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> DecodeError:
        if isinstance(error, UnicodeDecodeError):
            return self._refusal("text that is not UTF-8")
        if isinstance(error, (KeyError, IndexError)):
            return self._refusal(f"its footer contradicts itself about {quoted(str(error))}")
        return self._refusal(quoted(str(error), 200))

    def _check_format(self) -> None:
        told = self._metadata.get(FORMAT_KEY, b"").decode("utf-8", "replace")
        if told != FORMAT:
            raise self._refusal(f"it says '{quoted(told)}', not '{FORMAT}'" if told else "its columns are not traceq's")
        missing = [name for name in SPAN_COLUMNS if name not in self._names | LATER_COLUMNS]
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
    def span_columns(self) -> tuple[str, ...]:
        """The columns of the span table that the file has."""
        return tuple(name for name in SPAN_COLUMNS if name in self._names)

    @property
    def has_details(self) -> bool:
        """Whether it holds attributes, events and links."""
        return self._names.issuperset(DETAIL_COLUMNS)

    def byte_count(self, group: int) -> int:
        """Return how many bytes of the file the columns of a row group take, not counting details."""
        columns = self._columns(group)
        return sum(int(column.total_compressed_size) for name, column in columns if name in SPAN_COLUMNS)

    def _columns(self, group: int) -> list[tuple[str, _Array]]:
        """List the columns of a row group with their names; parts of a list are columns with its name."""
        told = self._footer.row_group(group)
        columns = [told.column(number) for number in range(told.num_columns)]
        try:
            return [(column.path_in_schema.partition(".")[0], column) for column in columns]
        except _UNREADABLE as error:
            raise self._damaged(error) from error

    def span_count(self, group: int) -> int:
        """Return the number of spans in a row group."""
        return int(self._footer.row_group(group).num_rows)

    def null_counts(self, group: int) -> dict[str, int | None]:
        """Count the nulls in each column of a row group (for lists: the empty ones); None if the file does not say."""
        return {name: _null_count(column.statistics) for name, column in self._columns(group)}

    @cached_property
    def calls(self) -> tuple[ServiceCall, ...]:
        """The dependency table that came along with the traces."""
        return tuple(ServiceCall(*call) for call in self._told(CALLS_KEY, list[tuple[str, str, int]]))

    def trace_ids(self, group: int) -> list[str]:
        """List the traces of a row group, in order."""
        ids = _first_rows(self.rows(group, ["trace_id", "row"])).column("trace_id").cast(pa.string()).to_pylist()
        for empty in self.empty_traces(group):
            ids.insert(empty.position, empty.trace_id)
        return cast(list[str], ids)

    def empty_traces(self, group: int) -> list[EmptyTrace]:
        """List the traces of a row group that have no spans."""
        return [each for each in self._empty_traces if each.group == group]

    @cached_property
    def _empty_traces(self) -> tuple[EmptyTrace, ...]:
        told = self._told(EMPTY_KEY, list[tuple[int, int, str, list[dict[str, str]]]])
        return tuple(
            EmptyTrace(group, position, trace_id, tuple(warning_of(trace_id, each) for each in warnings))
            for group, position, trace_id, warnings in told
        )

    def rows(self, group: int, columns: Sequence[str]) -> _Array:
        """Read columns of a row group as an Arrow table.

        Raises:
            DecodeError: If the file is damaged.
        """
        try:
            # One thread each: callers read several row groups in parallel.
            table = self._file.read_row_group(group, columns=list(columns), use_threads=False)
            _check_words(table)
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        return table

    def _told(self, key: bytes, shape: type[_Value]) -> _Value:
        what = f"cannot read {printable(str(self.path))}: its metadata {key.decode()}"
        return decode(msgspec.json.Decoder(shape), self._metadata.get(key, b"[]"), what)

    def _refusal(self, why: str) -> DecodeError:
        return DecodeError(f"cannot read {printable(str(self.path))}: {why}", hint=_HINT)


def _check_words(table: _Array) -> None:
    """Check that columns of a few words hold these words: a flipped byte may have made others of them.

    Raises:
        ValueError: If one is no such word.
    """
    for name in [name for name in _WORDS if name in table.column_names]:
        column = table.column(name)
        chunks = [chunk for chunk in column.chunks if isinstance(chunk, pa.DictionaryArray)]
        for word in {word for chunk in chunks for word in chunk.dictionary.to_pylist()}:
            if str(word).upper() not in _WORDS[name].__members__:
                raise ValueError(f"'{quoted(str(word), 40)}' is no {name}")


def _null_count(statistics: _Array) -> int | None:
    return int(statistics.null_count) if statistics is not None and statistics.has_null_count else None


class Selection(Struct, frozen=True):
    """Traces of a row group."""

    file: SpanFile
    group: int
    positions: tuple[int, ...] | None = None
    """The positions of the traces, in rising order; None for all."""


def first_indices(rows: _Array) -> _Array:
    """Find where traces begin, in a column `row`."""
    return pc.indices_nonzero(pc.equal(rows, constant("i", 0)))


def _first_rows(table: _Array) -> _Array:
    return table.filter(pc.equal(table.column("row"), constant("i", 0)))


def warning_of(trace_id: str, told: Mapping[str, str]) -> TraceWarning:
    """Read a warning as files keep it."""
    return TraceWarning(cast(WarningCode, told["code"]), trace_id, told["message"], told["span_id"])
