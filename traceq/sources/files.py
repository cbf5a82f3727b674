"""Traces from files, directories and standard input."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property, partial
from itertools import chain
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from traceq.assembly import joined
from traceq.catalog import Operation, ServiceCall, TraceSummary, Window, operations_met, sum_calls, summarize
from traceq.codec import PartsLeftOut, by_trace, read_table, read_tables
from traceq.codec.documents import read_document
from traceq.codec.parts import Part, are_mixed, parted
from traceq.codec.wire import collector_paused
from traceq.errors import Hint, Meant, MixedTracesError, NextCommand, NotFoundError, NothingWholeError
from traceq.query import TraceQuery, matching
from traceq.remarks import Remarks, WarningSums, sum_warnings
from traceq.sources.bodies import files_at, holds_parquet, read_body, shown
from traceq.sources.interface import (
    Found,
    FoundSummaries,
    LeftOut,
    Progress,
    ProgressListener,
    Slicing,
    nearest_names,
    no_progress,
)
from traceq.traces import Traces, TraceWarning, lost_of, low_half, normal_id
from traceq.untrusted import quoted

_Value = TypeVar("_Value")

_IDS_SHOWN = 5
_WHOLE_ID = 32


class _Files(Protocol):
    """The contents of files in one format."""

    @property
    def groups(self) -> Sequence[Sequence[Part]]:
        """The parts of each trace, not decoded, collected over all files."""

    @property
    def calls(self) -> tuple[ServiceCall, ...]:
        """The sum of the dependency tables among the files."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the files, one sentence each without a final stop."""

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Decode all traces in batches."""

    def table(self, groups: Sequence[Sequence[Part]], *, with_details: bool) -> Traces:
        """Decode these traces, in this order."""

    def slices(self) -> AbstractContextManager[Slicing]:
        """Divide the files into slices."""

    def part(self, digits: str = "") -> None:
        """Give every trace a group of its own, where trace objects list spans of several.

        Args:
            digits: Do so only if spans may be affected whose trace has these digits in its id.
        """


class _Contents(Struct, frozen=True):
    """The contents of the files, with traces still as JSON."""

    groups: tuple[tuple[Part, ...], ...]
    calls: tuple[ServiceCall, ...]
    notes: tuple[str, ...]


class JsonFiles:
    """JSON files, and standard input.

    Args:
        locations: Files, directories, `-` for standard input.
        progress: Called with the progress of reading, in files, then in traces.
    """

    def __init__(self, locations: tuple[str, ...], progress: ProgressListener) -> None:
        self._locations = locations
        self._progress = progress

    @cached_property
    def _contents(self) -> _Contents:
        return _read_files(files_at(self._locations), self._progress)

    @property
    def groups(self) -> Sequence[Sequence[Part]]:
        """The parts of each trace, still as JSON, collected over all files."""
        return self._contents.groups

    @property
    def calls(self) -> tuple[ServiceCall, ...]:
        """The sum of the dependency tables among the files."""
        return self._contents.calls

    @property
    def notes(self) -> tuple[str, ...]:
        """Failures that servers reported besides the traces."""
        return self._contents.notes

    def tables(self, *, with_details: bool) -> Iterator[Traces]:
        """Decode all traces in batches."""
        groups = self.groups
        done = 0
        for traces in read_tables(groups, with_details=with_details):
            done += len(traces)
            self._progress(Progress("decoding traces", done, len(groups), done))
            yield traces

    def table(self, groups: Sequence[Sequence[Part]], *, with_details: bool) -> Traces:
        """Decode these traces, in this order."""
        return read_table(groups, with_details=with_details)

    def part(self, digits: str = "") -> None:
        """Give every trace a group of its own, where trace objects list spans of several."""
        if digits and not are_mixed(chain.from_iterable(self.groups), digits):
            return
        groups = by_trace(parted(chain.from_iterable(self.groups)))
        self._contents = replace(self._contents, groups=tuple(map(tuple, groups.values())))

    def slices(self) -> AbstractContextManager[Slicing]:
        """Divide the files into slices; see `slices.sliced`."""
        from traceq.sources.slices import sliced

        return sliced(self._locations, self._progress)


def _read_files(files: Sequence[str], progress: ProgressListener) -> _Contents:
    parts: list[Part] = []
    calls: list[ServiceCall] = []
    notes: dict[str, None] = {}
    empty: list[NothingWholeError] = []
    for done, file in enumerate(files):
        progress(Progress(f"reading {shown(file)}", done, len(files), len(parts)))
        try:
            with collector_paused():
                document = read_document(read_body(file), shown(file))
        except NothingWholeError as error:
            empty.append(error)
            notes[f"{shown(file)}: {error.note}"] = None
            continue
        parts += document.parts
        calls += document.calls
        notes.update(dict.fromkeys(f"{shown(file)}: {note}" for note in document.notes))
    if empty and len(empty) == len(files):
        raise empty[0]
    groups = by_trace(parts)
    progress(Progress("reading files", len(files), len(files), len(groups)))
    return _Contents(tuple(tuple(parts) for parts in groups.values()), sum_calls(calls), tuple(notes))


def _opened(locations: tuple[str, ...], progress: ProgressListener) -> _Files:
    if any(map(holds_parquet, locations)):
        # Late: few files are Parquet.
        from traceq.sources.parquet import ParquetFiles, is_foreign

        if not is_foreign(locations):
            return ParquetFiles(locations, progress)
    return JsonFiles(locations, progress)


class _Catalog(Struct):
    """The services and operations seen while reading the traces, and what was strange about these."""

    operations: dict[str, set[Operation]] = {}
    warnings: WarningSums = WarningSums()

    def add(self, traces: Traces) -> None:
        self.warnings += sum_warnings(traces.warnings)
        for service, operation in operations_met(traces):
            self.operations.setdefault(service, set()).add(operation)


class FileSource:
    """Files of JSON or of Parquet as a source of traces.

    They are read at the first question, and must not change afterwards.

    Args:
        locations: Files, directories, `-` for standard input.
        progress: Called with the progress of reading, in files, then in traces.
    """

    def __init__(self, locations: tuple[str, ...], progress: ProgressListener = no_progress) -> None:
        self._locations = locations
        self._progress = progress
        self._files = _opened(locations, progress)
        self._catalog: _Catalog | None = None

    @property
    def location(self) -> str:
        """The paths that were given."""
        return ", ".join(shown(location) for location in self._locations)

    @property
    def locations(self) -> tuple[str, ...]:
        """The paths that were given; `-` for standard input."""
        return self._locations

    @property
    def trace_url(self) -> str:
        """Empty, since files have no pages."""
        return ""

    @property
    def is_live(self) -> bool:
        """False: no new traces are added to files."""
        return False

    @property
    def progress(self) -> ProgressListener:
        """The listener for the progress of reading, for those who read slices."""
        return self._progress

    def remarks(self) -> Remarks:
        """Say which files are left out, or end in the middle, and what is strange about the traces of the others."""
        return Remarks(self._files.notes, WarningSums() if self._catalog is None else self._catalog.warnings)

    def services(self) -> tuple[str, ...]:
        """List the services of all spans, sorted."""
        return tuple(sorted(self._known().operations))

    def operations(self, service: str) -> tuple[Operation, ...]:
        """List the operations of a service, sorted.

        Raises:
            NotFoundError: If no span is of that service.
        """
        known = self._known()
        self._check_names(TraceQuery(service=service), known)
        return tuple(sorted(known.operations[service]))

    def find(self, query: TraceQuery, *, with_attributes: bool = True, is_sample: bool = False) -> Found:
        """Find the traces that match, newest first; a sample is what it is without one, as all files are read.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """
        if query.limit is None:
            with_details = with_attributes or query.has_tags
            is_cut_off, found = False, self._with_care(partial(self._found, query, with_details=with_details))
        else:
            is_cut_off, found = self._with_care(partial(self._newest, query, with_details=with_attributes))
        left_out = None if found.details is not None else self._left_out(found)
        return Found(found, is_cut_off, self._files.notes, left_out)

    def _found(self, query: TraceQuery, *, with_details: bool) -> Traces:
        """Filter batch by batch, so that traces which do not match do not stay in memory."""
        found = joined(list(self._matching(query, with_details=with_details)), with_details=with_details)
        return found.select(_newest_first(found))

    def _newest(self, query: TraceQuery, *, with_details: bool) -> tuple[bool, Traces]:
        """Find summaries first: a limit keeps few traces, and the details of the others would fill memory."""
        listed = self.summaries(query)
        groups = self._groups()
        kept = [groups[normal_id(summary.trace_id)] for summary in listed.summaries]
        table = self._files.table(kept, with_details=with_details)
        known = frozenset(table.trace_ids)
        lost = [warning for warning in listed.warnings if warning.trace_id not in known]
        return listed.is_cut_off, replace(table, warnings=(*table.warnings, *lost))

    def read(self, query: TraceQuery) -> Iterator[Traces]:
        """Yield the traces that match, in batches: in the order of the files, or newest first if there is a limit.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """
        if query.limit is None:
            # What has been given cannot be taken back, so that traces are told apart before.
            self._files.part()
            yield from self._matching(query)
        else:
            yield self.find(query).traces

    def summaries(self, query: TraceQuery) -> FoundSummaries:
        """Find summaries of the traces that match, newest first.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """
        return self._with_care(partial(self._summaries, query))

    def _summaries(self, query: TraceQuery) -> FoundSummaries:
        kept: list[TraceSummary] = []
        warnings: list[TraceWarning] = []
        lost: list[TraceWarning] = []
        trace_count = 0
        for batch in self._matching(query, with_details=False):
            found = summarize(batch)
            trace_count += len(found)
            kept += found
            warnings += batch.warnings
            if query.limit is not None:
                kept = _newest(kept)[: query.limit]
                warnings = _about(warnings, kept)
                lost += lost_of(batch)
        kept = _newest(kept)
        return FoundSummaries(
            tuple(kept), is_cut_off=len(kept) < trace_count, notes=self._files.notes, warnings=(*warnings, *lost)
        )

    def trace(self, trace_id: str) -> Traces:
        """Return one trace by its id, however padded, or by a prefix that only one trace has.

        Raises:
            NotFoundError: If there is none, or several begin like that.
        """
        # Other traces may list spans of this one, under its id or under the low half of it.
        found = self._named(trace_id, low_half(trace_id) if len(trace_id) == _WHOLE_ID else normal_id(trace_id))
        if len(found) == 1 and len(trace_id) != _WHOLE_ID:
            whole_id = found[0][0].trace_id
            found = self._named(whole_id, low_half(whole_id))
        if len(found) != 1:
            raise self._no_such_trace(trace_id, [group[0].trace_id for group in found])
        table = self._files.table(found, with_details=True)
        if not table.span_count:
            why = "".join(f": {warning.message}" for warning in table.warnings[:1])
            raise NotFoundError(f"no span of the trace {found[0][0].trace_id} in {self.location} can be read{why}")
        return table

    def _named(self, trace_id: str, digits: str) -> list[Sequence[Part]]:
        """Find the traces of an id, or those whose ids begin so."""
        self._files.part(digits)
        groups = self._files.groups
        wanted = normal_id(trace_id)
        whole = [group for group in groups if any(normal_id(part.trace_id) == wanted for part in group)]
        return whole or [group for group in groups if _begins(group, trace_id.lower())]

    def _with_care(self, read: Callable[[], _Value]) -> _Value:
        """Read, and once more with every trace apart if it turns out that spans of several are listed as one."""
        try:
            return read()
        except MixedTracesError:
            self._files.part()
            return read()

    def slices(self) -> AbstractContextManager[Slicing]:
        """Divide the files into slices, for questions about more traces than fit in memory.

        Standard input can be read only once: either in slices or by one of the other methods.

        Raises:
            InputError: If a file cannot be read, or holds something else than traces.
        """
        return self._files.slices()

    def check_names(self, query: TraceQuery, met: Iterable[tuple[str, Operation]]) -> None:
        """Check, after nothing has matched, that the service and operation asked for exist.

        Args:
            query: The query that nothing matched.
            met: Every service and operation in the files.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """
        known = _Catalog()
        for service, operation in met:
            known.operations.setdefault(service, set()).add(operation)
        self._check_names(query, known)

    def dependencies(self, window: Window) -> tuple[ServiceCall, ...]:
        """Return the calls of dependency tables among the files, for any window, since the tables hold no times."""
        return self._files.calls

    def _known(self) -> _Catalog:
        if self._catalog is None:
            self._with_care(lambda: deque(self._batches(with_details=False), maxlen=0))
        return self._catalog or _Catalog()

    def _matching(self, query: TraceQuery, *, with_details: bool = True) -> Iterator[Traces]:
        is_empty = True
        for batch in self._batches(with_details=with_details or query.has_tags):
            found = batch.select(matching(batch, query))
            is_empty = is_empty and not len(found)
            if len(found) or found.warnings:
                yield found
        if is_empty:
            self._check_names(query, self._known())

    def _batches(self, *, with_details: bool) -> Iterator[Traces]:
        """Decode all traces in batches, and remember the services and operations seen."""
        catalog = _Catalog()
        for traces in self._files.tables(with_details=with_details):
            catalog.add(traces)
            yield traces
        self._catalog = catalog

    def _groups(self) -> dict[str, Sequence[Part]]:
        return {normal_id(group[0].trace_id): group for group in self._files.groups}

    def _left_out(self, traces: Traces) -> LeftOut:
        return PartsLeftOut.of(traces, self._groups(), partial(self._files.table, with_details=True))

    def _check_names(self, query: TraceQuery, known: _Catalog) -> None:
        service, operation = query.service, query.operation
        if service is not None and service not in known.operations:
            raise NotFoundError(
                f"no service named '{quoted(service)}' in {self.location}",
                hint=nearest_names("service", service, known.operations, self, "services"),
            )
        if operation is None:
            return
        met = known.operations.values() if service is None else [known.operations[service]]
        names = {each.name for operations in met for each in operations}
        if operation not in names:
            within = "" if service is None else f" in service '{quoted(service)}'"
            words = ("stats", "--by", "operation") if service is None else ("operations", service)
            raise NotFoundError(
                f"no operation named '{quoted(operation)}'{within} in {self.location}",
                hint=nearest_names("operation", operation, names, self, *words),
            )

    def _no_such_trace(self, trace_id: str, found: Sequence[str]) -> NotFoundError:
        known = [group[0].trace_id for group in self._files.groups]
        if found:
            if not trace_id:
                listed = Hint((NextCommand(("search",), self.locations), " lists them"))
                return NotFoundError(f"there are {len(found)} traces in {self.location}: which one?", hint=listed)
            shown_ids = ", ".join(found[:_IDS_SHOWN]) + (", ..." if len(found) > _IDS_SHOWN else "")
            message = f"{len(found)} traces in {self.location} begin with '{quoted(trace_id)}': {shown_ids}"
            return NotFoundError(message, hint="give more digits of the id")
        from difflib import get_close_matches

        near = get_close_matches(trace_id.lower(), known, n=3)
        listed = Hint((NextCommand(("search",), self.locations), f" lists all {len(known)}"))
        hint = Hint((Meant("trace", tuple(near)),)) if near else listed
        return NotFoundError(f"no trace '{quoted(trace_id)}' in {self.location}", hint=hint)


def _newest(summaries: Iterable[TraceSummary]) -> list[TraceSummary]:
    return sorted(summaries, key=lambda summary: (-summary.start_ns, summary.trace_id))


def _about(warnings: Sequence[TraceWarning], summaries: Iterable[TraceSummary]) -> list[TraceWarning]:
    listed = {summary.trace_id for summary in summaries}
    return [warning for warning in warnings if warning.trace_id in listed]


def _newest_first(traces: Traces) -> list[int]:
    starts = [min((traces.start_ns[row] for row in traces.rows(at)), default=0) for at in range(len(traces))]
    return sorted(range(len(traces)), key=lambda at: (-starts[at], traces.trace_ids[at]))


def _begins(group: Sequence[Part], prefix: str) -> bool:
    return any(part.trace_id.startswith(prefix) for part in group)
