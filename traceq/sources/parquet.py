"""Parquet files of spans as a source of traces, and as slices: a row group is what one worker reads.

Everything that needs pyarrow is imported when the first file is opened.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from traceq.assembly import TableBuilder
from traceq.catalog import ServiceCall, sum_calls
from traceq.codec import by_trace
from traceq.codec.parts import Part
from traceq.errors import InputError
from traceq.records import Codebook, CodedTrace, join
from traceq.semantics import Attributes, Meaning
from traceq.sources.bodies import files_at, holds_parquet, is_empty, parquet_below, shown
from traceq.sources.interface import Input, Progress, ProgressListener, Slicing
from traceq.traces import FoundAttributes, Traces, TraceWarning, normal_id
from traceq.untrusted import printable

if TYPE_CHECKING:
    from traceq.codec.parquet_file import Selection, SpanFile

_SLICE_SPANS = 2**17
"""The minimum number of spans per slice."""
_REMADE = frozenset(("orphan", "duplicate-id", "duplicate-dropped", "self-parent", "cycle", "from-source"))
"""Warnings that are found again when the parts of a trace are combined."""


def parquet_files(locations: Iterable[str]) -> list[Path]:
    """List the Parquet files at these locations, those of a directory in order of their names, without empty ones.

    Raises:
        InputError: If one of the locations holds anything but Parquet, or pyarrow is missing.
    """
    require_pyarrow(next(iter(locations)))
    files: dict[Path, None] = {}
    for location in locations:
        path = Path(location)
        if is_empty(path):
            continue
        if not holds_parquet(location):
            raise InputError(
                f"{printable(location)} is not Parquet, and other files given are",
                hint="ask them one after the other, or convert them to Parquet first, see `traceq convert --help`",
            )
        files |= dict.fromkeys(parquet_below(path) if path.is_dir() else (path,))
    return list(files)


def _left_out(locations: tuple[str, ...]) -> Iterator[str]:
    """Say which files at these locations are not read: empty ones, and what is in directories beside Parquet."""
    for file in files_at(locations):
        if is_empty(Path(file)):
            yield f"{shown(file)}: left out, since it is empty"
        elif not holds_parquet(file):
            yield f"{shown(file)}: left out, since Parquet that traceq wrote is read alone"


def is_foreign(locations: Iterable[str]) -> bool:
    """Whether no file of Parquet here is traceq's: those of other tools are read like JSON, and along with it.

    Raises:
        InputError: If pyarrow is missing.
    """
    found = [location for location in locations if holds_parquet(location)]
    require_pyarrow(found[0])
    from traceq.codec.parquet_file import is_foreign

    paths = map(Path, found)
    return all(is_foreign(file) for path in paths for file in (parquet_below(path) if path.is_dir() else (path,)))


def require_pyarrow(location: str) -> None:
    """Check that Parquet can be read and written.

    Raises:
        InputError: If it cannot.
    """
    if find_spec("pyarrow") is None:
        raise InputError(
            f"cannot read or write {printable(location)}: Parquet needs pyarrow",
            hint="pip install pyarrow",
        )


def open_file(path: Path) -> SpanFile:
    """Open a file.

    Raises:
        InputError: If it cannot be read, or is not Parquet of traceq's.
    """
    from traceq.codec.parquet_file import SpanFile

    try:
        return SpanFile(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InputError(f"cannot read {printable(str(path))}: {reason}", hint="can you read it otherwise?") from error


class Place(Struct, frozen=True):
    """Where traces are; can be sent to other processes."""

    path: str
    group: int
    positions: tuple[int, ...] | None = None
    """The positions of traces in the row group; None for all."""


def _selections(places: Iterable[Place]) -> Iterator[Selection]:
    """Open the files, each only once: reading the footer takes as long as reading a row group."""
    from traceq.codec.parquet_file import Selection

    files: dict[str, SpanFile] = {}
    for place in places:
        if place.path not in files:
            files[place.path] = open_file(Path(place.path))
        yield Selection(files[place.path], place.group, place.positions)


class ParquetSlice(Struct, frozen=True):
    """Whole traces of Parquet files."""

    places: tuple[Place, ...]
    byte_count: int
    trace_count: int
    is_scattered: bool = False
    """Whether the parts of some trace are in several of the places."""
    is_columnar: bool = True

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Read the slice as one table, or, since attributes take memory, as one table for each place."""
        from traceq.codec.parquet_reader import read_traces

        if self.is_scattered:
            parts = [read_traces([one], with_details=with_details) for one in _selections(self.places)]
            yield put_together(parts, with_details=with_details)
        elif with_details:
            for one in _selections(self.places):
                yield read_traces([one], with_details=True)
        else:
            yield read_traces(_selections(self.places), with_details=False)

    def traces(self, wanted: Container[str], *, with_details: bool) -> Iterator[Traces]:
        """Read some traces; of row groups that hold none of them, only the ids are read."""
        kept = (_only(selection, wanted) for selection in _selections(self.places))
        places = tuple(replace(place, positions=at) for place, at in zip(self.places, kept, strict=True) if at)
        if self.is_scattered or with_details:
            return replace(self, places=places).tables(with_details=with_details)
        from traceq.codec.parquet_reader import read_traces

        return iter([read_traces(_selections(places), with_details=False, with_ids=False)])

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        from traceq.codec.parquet_reader import read_attributes

        by_id = {normal_id(trace_id): (trace_id, span_ids) for trace_id, span_ids in wanted.items()}
        for selection in _selections(self.places):
            for known_id, span_id, name, attributes in read_attributes(selection, by_id.keys()):
                trace_id, span_ids = by_id[normal_id(known_id)]
                if span_id in span_ids:
                    yield FoundAttributes(trace_id, span_id, name, attributes)


def _only(selection: Selection, wanted: Container[str]) -> tuple[int, ...]:
    """Return the positions of the traces that are wanted, by `normal_id`."""
    ids = selection.file.trace_ids(selection.group)
    known = range(len(ids)) if selection.positions is None else selection.positions
    return tuple(at for at in known if normal_id(ids[at]) in wanted)


def put_together(parts: Iterable[Traces], *, with_details: bool) -> Traces:
    """Combine tables that may hold parts of the same traces into one table of whole traces."""
    tables = list(parts)
    builder = TableBuilder()
    by_id: dict[str, list[CodedTrace]] = {}
    for table in tables:
        for position, trace_id in enumerate(table.trace_ids):
            by_id.setdefault(normal_id(trace_id), []).append(_coded(table, position, builder.codes))
    for found in by_id.values():
        builder.add(join(found))
    joined = builder.table(with_details=with_details)
    kept = tuple(warning for table in tables for warning in table.warnings if warning.code not in _REMADE)
    return replace(joined, warnings=joined.warnings + tuple(dict.fromkeys(kept))) if kept else joined


def _coded(traces: Traces, position: int, codes: Codebook) -> CodedTrace:
    """Convert a trace of a table back to what a codec reads, in the codes of another table."""
    rows = traces.rows(position)
    spans = [traces.span(row) for row in rows]
    part = slice(rows.start, rows.stop)
    trace_id = traces.trace_ids[position]
    return CodedTrace(
        trace_id,
        span_ids=list(traces.span_ids[part]),
        parent_ids=[span.parent_id for span in spans],
        child_of_counts={row - rows.start: 0 for row in rows if row in traces.follows_from},
        start_ns=list(traces.start_ns[part]),
        duration_ns=list(traces.duration_ns[part]),
        names=[codes.names[span.name] for span in spans],
        origins=[codes.origin(span.service, span.host) for span in spans],
        meanings=[codes.meanings[Meaning(span.kind, span.status, span.peer, span.activity)] for span in spans],
        details=[] if traces.details is None else list(traces.details[part]),
        warnings=[each.message for each in traces.warnings if _is_remark(each) and each.trace_id == trace_id],
    )


def _is_remark(warning: TraceWarning) -> bool:
    return warning.code == "from-source" and not warning.span_id


class _PlacedPart(Struct, frozen=True):
    """A trace in a row group."""

    trace_id: str
    path: str
    group: int
    position: int

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        return _coded(self._table(with_details=with_details), 0, codes)

    def line(self) -> bytes | None:
        return None

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        table = self._table(with_details=True)
        for span in map(table.span, table.rows(0)):
            if span.span_id in span_ids:
                yield span.span_id, span.name, span.details.attributes()

    def _table(self, *, with_details: bool) -> Traces:
        from traceq.codec.parquet_reader import read_traces

        place = Place(self.path, self.group, (self.position,))
        return read_traces(_selections([place]), with_details=with_details)


class ParquetFiles:
    """Files of Parquet.

    Args:
        locations: Files and directories.
        progress: Hears how far reading has come, in traces.
    """

    def __init__(self, locations: tuple[str, ...], progress: ProgressListener) -> None:
        self._locations = locations
        self._progress = progress

    @cached_property
    def _files(self) -> list[SpanFile]:
        return [open_file(path) for path in parquet_files(self._locations)]

    @cached_property
    def groups(self) -> Sequence[Sequence[Part]]:
        """Where the parts of each trace are, collected over all files."""
        return tuple(by_trace(_parts(self._files)).values())

    @property
    def calls(self) -> tuple[ServiceCall, ...]:
        """The sum of the dependency tables that were stored with the traces."""
        return sum_calls(call for file in self._files for call in file.calls)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note about each file that was written without attributes, or is not read."""
        plain = [file for file in self._files if not file.has_details]
        told = (f"{printable(str(file.path))} was written without attributes, events and links" for file in plain)
        return (*told, *_left_out(self._locations))

    @contextmanager
    def slices(self) -> Iterator[Slicing]:
        """Divide the files into slices of row groups; traces whose parts are in several files make one more slice."""
        yield Slicing(Input(_slices(self._files), self.calls, self.notes))

    def part(self, digits: str = "") -> None:
        """Do nothing: each row names its trace."""

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Read all traces in batches."""
        done = 0
        slices = _slices(self._files)
        total = sum(piece.trace_count for piece in slices)
        for traces in (table for piece in slices for table in piece.tables(with_details=with_details)):
            done += len(traces)
            self._progress(Progress("reading traces", done, total, done))
            yield traces

    def table(self, groups: Sequence[Sequence[Part]], *, with_details: bool) -> Traces:
        """Read these traces, in this order."""
        from traceq.codec.parquet_reader import read_traces

        if any(len(group) > 1 for group in groups):
            parts = (self.table([(part,)], with_details=with_details) for group in groups for part in group)
            return put_together(parts, with_details=with_details)
        wanted: dict[tuple[str, int], list[int]] = {}
        for (part,) in groups:
            if isinstance(part, _PlacedPart):
                wanted.setdefault((part.path, part.group), []).append(part.position)
        read = read_traces(self._selections(wanted), with_details=with_details)
        ids = {normal_id(trace_id): position for position, trace_id in enumerate(read.trace_ids)}
        return read.select([ids[normal_id(part.trace_id)] for (part,) in groups])

    def _selections(self, wanted: Mapping[tuple[str, int], Collection[int]]) -> Iterator[Selection]:
        from traceq.codec.parquet_file import Selection

        files = {str(file.path): file for file in self._files}
        for (path, group), positions in wanted.items():
            is_all = len(positions) == files[path].trace_counts[group]
            yield Selection(files[path], group, None if is_all else tuple(sorted(positions)))


def _parts(files: Iterable[SpanFile]) -> Iterator[Part]:
    for file in files:
        for group in range(len(file.trace_counts)):
            for position, trace_id in enumerate(file.trace_ids(group)):
                yield _PlacedPart(trace_id, str(file.path), group, position)


def _slices(files: Sequence[SpanFile]) -> list[ParquetSlice]:
    """Make slices of row groups, and one more of the traces whose parts are in several of them."""
    scattered: dict[tuple[int, int], set[int]] = {}
    # A file is written in one go, with each trace whole.
    if len(files) > 1:
        scattered = _scattered(files)
    slices = [
        slice_
        for number, file in enumerate(files)
        for slice_ in _slices_of(file, {group: left for (of, group), left in scattered.items() if of == number})
    ]
    if scattered:
        places = [
            Place(_absolute(files[number]), group, tuple(sorted(found))) for (number, group), found in scattered.items()
        ]
        byte_count = sum(files[number].byte_count(group) for number, group in scattered)
        slices.append(ParquetSlice(tuple(places), byte_count, sum(map(len, scattered.values())), is_scattered=True))
    return slices


def _slices_of(file: SpanFile, scattered: Mapping[int, set[int]]) -> Iterator[ParquetSlice]:
    """Combine neighbouring row groups until they are worth a worker; scattered traces are left out."""
    waiting: list[tuple[Place, int, int]] = []
    span_count = 0
    for group, count in enumerate(file.trace_counts):
        kept = _without(count, scattered.get(group))
        if kept is None or kept:
            waiting.append((Place(_absolute(file), group, kept), file.byte_count(group), len(kept or range(count))))
            span_count += file.span_count(group)
        is_last = group == len(file.trace_counts) - 1
        if waiting and (is_last or span_count >= _SLICE_SPANS):
            places, byte_counts, trace_counts = zip(*waiting, strict=True)
            yield ParquetSlice(places, sum(byte_counts), sum(trace_counts))
            waiting, span_count = [], 0


def _absolute(file: SpanFile) -> str:
    # Workers elsewhere may have another working directory.
    return str(file.path.absolute())


def _without(count: int, left_out: Collection[int] | None) -> tuple[int, ...] | None:
    return tuple(position for position in range(count) if position not in left_out) if left_out else None


def _scattered(files: Sequence[SpanFile]) -> dict[tuple[int, int], set[int]]:
    """Find the traces that are in several places: their positions by file number and row group."""
    first: dict[str, tuple[int, int, int]] = {}
    found: dict[tuple[int, int], set[int]] = {}
    for number, file in enumerate(files):
        for group in range(len(file.trace_counts)):
            for position, trace_id in enumerate(file.trace_ids(group)):
                here = (number, group, position)
                known = first.setdefault(normal_id(trace_id), here)
                if known != here:
                    for place in (known, here):
                        found.setdefault(place[:2], set()).add(place[2])
    return found
