"""Questions to traces: to files of any size in slices, on every core; to servers, or with a limit, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, Protocol, TypeGuard, TypeVar

import typer

from traceq.catalog import ServiceCall, Window
from traceq.cli.messages import cut_off_line
from traceq.cli.output import Asked
from traceq.query import TraceQuery
from traceq.sources.files import FileSource
from traceq.sources.interface import Found, Source
from traceq.traces import WarningCode, count_warnings
from traceq.units import format_count

if TYPE_CHECKING:
    from traceq.analysis.grouping import Sums
    from traceq.engine import Question, WarningSums
    from traceq.executors import Executor
    from traceq.sources.slices import Input

_Sums = TypeVar("_Sums", bound="Sums")

JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        metavar="N",
        help="For files: processes that read them; by default one a core, or none besides this one for small files.",
    ),
]

DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="ADDRESS|local", help="For files: a Dask cluster that reads them, instead of processes here."
    ),
]


@dataclass(frozen=True, slots=True)
class WorkersOptions:
    """Who reads files."""

    jobs: JobsOption = None
    dask: DaskOption = None


def is_streamed(source: Source, query: TraceQuery) -> TypeGuard[FileSource]:
    """Whether to ask in slices: files, without a limit, which needs to know which traces are the newest."""
    return isinstance(source, FileSource) and query.limit is None


def _cluster(address: str) -> Executor:
    from traceq.cluster import DaskExecutor

    return DaskExecutor(address)


def _cut_short(warnings: WarningSums) -> tuple[str, ...]:
    if warnings.is_complete:
        return ()
    counts = ", ".join(f"{code} {format_count(count)}" for code, count in warnings.counts.items())
    return (f"of each kind of warning only the first ones are listed; there are: {counts}",)


@dataclass(frozen=True, slots=True)
class Answered(Generic[_Sums]):
    """The sums of all traces that match, and what there is to say about how they were got."""

    sums: _Sums
    asked: Asked
    warning_counts: Mapping[WarningCode, int]
    """Of each kind, listed or not."""


class Ask(Protocol):
    """Puts questions to all traces that match, wherever they are."""

    def __call__(self, question: Question[_Sums], /) -> Answered[_Sums]:
        """Sum up.

        Raises:
            NotFoundError: If no span is of the service or operation asked for.
        """

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        """Give the calls that the source has on record itself; no question has to be put for that."""


@contextmanager
def asking_any(source: Source, query: TraceQuery, workers: WorkersOptions) -> Iterator[Ask]:
    """Give a way to sum up what matches: files without a limit in slices, else one table, got once.

    Several questions may be asked. Who works changes nothing in the answer.

    Raises:
        InputError: If a file cannot be read, or holds something else than traces.
        TraceqError: On asking, if a worker dies.
    """
    if is_streamed(source, query):
        with source.slices() as found:
            cluster = None if workers.dask is None else _cluster(workers.dask)
            yield _Slices(source, query, found, workers.jobs, cluster)
    else:
        yield _OneTable(source, query)


@dataclass(frozen=True, slots=True)
class _Slices:
    """Puts questions to everything in files that matches; standard input and packed files are unpacked once."""

    source: FileSource
    query: TraceQuery
    found: Input
    jobs: int | None
    cluster: Executor | None

    def __call__(self, question: Question[_Sums], /) -> Answered[_Sums]:
        # Late: it needs numpy, and option objects are imported for --help.
        from traceq.engine import answer, local_executor, needs_details

        source, query, found = self.source, self.query, self.found
        with_details = needs_details(question, query)
        executor = self.cluster or local_executor(found.slices, self.jobs, with_details=with_details)
        summary = answer(found, query, question, executor, source.progress)
        if not summary.trace_count:
            source.check_names(query, summary.met)
        warnings = summary.warnings
        notes = found.notes + _cut_short(warnings)
        return Answered(summary.sums, Asked(source.location, query.to_dict(), warnings.listed, notes), warnings.counts)

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        # Tables in files do not tell times.
        return self.found.calls


class _OneTable:
    """Puts questions to the traces that a source finds, which it is asked for when the first question comes."""

    def __init__(self, source: Source, query: TraceQuery) -> None:
        self._source = source
        self._query = query
        self._found: Found | None = None

    def _having(self, *, attributes: bool) -> Found:
        if self._found is None:
            self._found = self._source.find(self._query, with_attributes=attributes)
        elif attributes:
            self._found = self._found.with_attributes()
        return self._found

    def __call__(self, question: Question[_Sums], /) -> Answered[_Sums]:
        # Late: it needs numpy, and option objects are imported for --help.
        from traceq.engine import collect

        found, query = self._having(attributes=question.needs_details), self._query
        notes = found.notes + ((cut_off_line(query.limit),) if found.is_cut_off else ())
        asked = Asked(self._source.location, query.to_dict(), found.traces.warnings, notes, found.is_cut_off)
        return Answered(collect(found, question), asked, count_warnings(found.traces.warnings))

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        return self._source.dependencies(window)
