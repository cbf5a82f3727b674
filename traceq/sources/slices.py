"""Divides archives into slices: finds, without decoding spans, which bytes of which files hold whole traces."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct, field
from msgspec.structs import replace

from traceq.catalog import ServiceCall, sum_calls
from traceq.codec import by_trace, read_attributes, read_tables
from traceq.codec.documents import read_documents, read_spans
from traceq.codec.parts import Part, parted, read_trace
from traceq.codec.runs import Form, Run, key_of
from traceq.codec.splitting import WINDOW_BYTES, SplitOptions, split
from traceq.errors import NothingWholeError
from traceq.sources.bodies import files_at, forget, map_file, shown, unpacked_file
from traceq.sources.interface import Input, Progress, ProgressListener, Slicing, no_progress
from traceq.traces import FoundAttributes, Traces

SLICE_BYTES = 32 * 2**20
"""Large enough that reading a slice outweighs adding its sums, small enough to keep every core busy."""


class Piece(Struct, frozen=True, eq=False):
    """Ranges of one file."""

    path: str
    """The uncompressed file."""
    location: str
    """The name that the user gave."""
    starts: array[int] = field(default_factory=lambda: array("q"))
    stops: array[int] = field(default_factory=lambda: array("q"))
    form: Form = Form.DOCUMENT
    first: tuple[int, int] = (0, 0)
    """Where the first item of the list is, if these are items."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What pieces have in common that are one if they follow each other."""
        return self.path, self.form, self.first

    def parts(self, view: memoryview) -> Iterator[Part]:
        """Find the traces in the file's bytes, still as JSON; finding those in documents takes a scan of these."""
        ranges = (view[start:stop] for start, stop in zip(self.starts, self.stops, strict=True))
        match self.form:
            case Form.TRACE:
                yield from (read_trace(trace, self.location) for trace in ranges)
            case Form.ITEM:
                yield from read_spans(ranges, view[slice(*self.first)], self.location).parts
            case Form.DOCUMENT:
                yield from read_documents(ranges, self.location).parts
            case Form.PARTED:
                yield from parted(read_documents(ranges, self.location).parts)
            case Form.PLAIN:
                # Late: nothing else needs it.
                from traceq.codec.otlp import plain_parts

                yield from plain_parts(ranges, self.location)
            case Form.GROUPS | Form.FRAMES:
                # Late: nothing else needs protobuf.
                from traceq.codec.protobuf_requests import request_parts

                yield from request_parts(ranges, self.location, are_framed=self.form is Form.FRAMES)


class FileSlice(Struct, eq=False):
    """Whole traces of files."""

    pieces: list[Piece] = []
    trace_count: int = 0
    byte_count: int = 0
    is_columnar: bool = False

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Read the slice in batches; every trace is whole in one of them."""
        return read_tables(self._groups().values(), with_details=with_details)

    def traces(self, wanted: Container[str], *, with_details: bool) -> Iterator[Traces]:
        """Read some traces, in batches; the others are not decoded."""
        groups = (parts for trace_id, parts in self._groups().items() if trace_id in wanted)
        return read_tables(groups, with_details=with_details)

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        return read_attributes(self._groups(), wanted)

    def add(self, file: Piece, start: int, stop: int, new_traces: int) -> None:
        """Append a range of a file."""
        last = self.pieces[-1] if self.pieces else None
        if last is None or last.kind != file.kind:
            last = replace(file, starts=array("q"), stops=array("q"))
            self.pieces.append(last)
        last.starts.append(start)
        last.stops.append(stop)
        self.byte_count += stop - start
        self.trace_count += new_traces

    def join(self, other: FileSlice) -> None:
        """Append the contents of another slice."""
        self.pieces += other.pieces
        self.byte_count += other.byte_count
        self.trace_count += other.trace_count

    def _groups(self) -> dict[str, list[Part]]:
        # Once for all pieces: memory counts a file's bytes again for each mapping of the file.
        views = {path: memoryview(map_file(path)) for path in dict.fromkeys(piece.path for piece in self.pieces)}
        return by_trace(part for piece in self.pieces for part in piece.parts(views[piece.path]))


class _Planner:
    """Assigns traces to slices, all parts of a trace to the same slice."""

    def __init__(self, slice_bytes: int) -> None:
        self._slice_bytes = slice_bytes
        self._slices = [FileSlice()]
        self._slice_of: dict[int, int] = {}
        """By trace key; the only thing that grows with the archive, by about 100 bytes per trace."""
        self._moved: dict[int, int] = {}

    @property
    def trace_count(self) -> int:
        """The number of traces assigned so far."""
        return len(self._slice_of)

    def add(self, path: str, location: str, run: Run) -> None:
        """Assign the traces of a run."""
        file = Piece(path, location, form=run.form, first=run.first)
        if len(run.keys) != len(run.starts):
            self._place_document(file, run)
            return
        for start, stop, key in zip(run.starts, run.stops, run.keys, strict=True):
            home = self._slice_of.get(key)
            if home is None:
                self._slice_of[key] = len(self._slices) - 1
                self._slices[-1].add(file, start, stop, 1)
                self._open_next()
            else:
                self._slices[self._home(home)].add(file, start, stop, 0)

    def holder(self, trace_id: str) -> FileSlice:
        """Return the slice that holds a trace."""
        return self._slices[self._home(self._slice_of[key_of(trace_id)])]

    def slices(self) -> tuple[FileSlice, ...]:
        """Return the slices that are not empty."""
        return tuple(each for each in self._slices if each.pieces)

    def _place_document(self, file: Piece, run: Run) -> None:
        newest = len(self._slices) - 1
        known = len(self._slice_of)
        homes = {self._home(self._slice_of.setdefault(key, newest)) for key in run.keys} or {newest}
        for other in sorted(homes)[1:]:
            self._merge(other, min(homes))
        self._slices[min(homes)].add(file, run.starts[0], run.stops[0], len(self._slice_of) - known)
        self._open_next()

    def _open_next(self) -> None:
        newest = len(self._slices) - 1
        if self._slices[newest].byte_count >= self._slice_bytes or newest in self._moved:
            self._slices.append(FileSlice())

    def _home(self, number: int) -> int:
        while number in self._moved:
            number = self._moved[number]
        return number

    def _merge(self, other: int, number: int) -> None:
        """Join two slices, because a document holds traces of both."""
        self._slices[number].join(self._slices[other])
        self._slices[other] = FileSlice()
        self._moved[other] = number


@contextmanager
def sliced(
    locations: tuple[str, ...], progress: ProgressListener = no_progress, slice_bytes: int = SLICE_BYTES
) -> Iterator[Slicing]:
    """Find where the traces are in files, and divide them into slices.

    Compressed files and standard input are copied to temporary files, which are removed when the context ends. The
    slices do not depend on who reads them. They are at most about `slice_bytes` long, unless a document cannot be
    taken apart.

    Raises:
        InputError: If a file cannot be read, or holds something else than traces.
    """
    files = files_at(locations)
    with TemporaryDirectory(prefix="traceq-") as folder:
        paths = [(unpacked_file(file, Path(folder)), file) for file in files]
        options = SplitOptions(window=min(slice_bytes, WINDOW_BYTES))
        yield Slicing(_look_through(paths, slice_bytes, options, progress))


def _look_through(
    paths: Sequence[tuple[str, str]], slice_bytes: int, options: SplitOptions, progress: ProgressListener
) -> Input:
    planner = _Planner(slice_bytes)
    calls: list[ServiceCall] = []
    notes: dict[str, None] = {}
    empty: list[NothingWholeError] = []
    is_guessed = False
    for done, (path, file) in enumerate(paths):
        progress(Progress(f"looking through {shown(file)}", done, len(paths), planner.trace_count))
        body = map_file(path)
        try:
            found = split(body, shown(file), replace(options, forget=partial(forget, body)))
        except NothingWholeError as error:
            empty.append(error)
            notes[f"{shown(file)}: {error.note}"] = None
            continue
        for run in found.runs:
            planner.add(path, shown(file), run)
        calls += found.calls
        notes.update(dict.fromkeys(f"{shown(file)}: {note}" for note in found.notes))
        is_guessed |= found.is_guessed
    if empty and len(empty) == len(paths):
        raise empty[0]
    proven = partial(_look_through, paths, slice_bytes, replace(options, is_proven=True), progress)
    return Input(planner.slices(), sum_calls(calls), tuple(notes), proven if is_guessed else None, planner.holder)
