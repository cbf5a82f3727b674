"""Questions to files of any size: in slices, on every core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, Protocol, TypeGuard, TypeVar

import typer

from traceq.query import TraceQuery
from traceq.sources import Source
from traceq.sources.files import FileSource
from traceq.units import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from traceq.engine import Executor, Question, Sums, WarningSums
    from traceq.sources.slices import Slice

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
class FileAnswer(Generic[_Sums]):
    """What files hold of the answer."""

    sums: _Sums
    warnings: WarningSums
    notes: tuple[str, ...]
    """Of the files, and where warnings were too many to be listed."""


def is_streamed(source: Source, query: TraceQuery) -> TypeGuard[FileSource]:
    """Whether to ask in slices: files, without a limit, which needs to know which traces are the newest."""
    return isinstance(source, FileSource) and query.limit is None


class AskFiles(Protocol):
    """Puts a question to everything in files that matches."""

    def __call__(self, question: Question[_Sums], /) -> FileAnswer[_Sums]:
        """Sum up."""


@contextmanager
def asking(
    source: FileSource, query: TraceQuery, jobs: int | None = None, dask: str | None = None
) -> Iterator[AskFiles]:
    """Give a way to sum up what files hold, slice by slice; memory does not grow with them.

    Several questions may be asked; standard input and packed files are read and unpacked once.

    Args:
        source: The files.
        query: Which traces; its limit is left aside.
        jobs: Processes that work; None to choose. Their number changes nothing in the answer.
        dask: A cluster that works instead: its scheduler's address, or `local`.

    Raises:
        NotFoundError: On asking, if no span is of the service or operation asked for.
        InputError: If a file cannot be read, or holds something else than traces.
        TraceqError: If a worker dies.
    """
    with source.slices() as found:
        executor = _executor(found.slices, jobs, dask)

        def ask(question: Question[_Sums]) -> FileAnswer[_Sums]:
            # Late: it needs numpy, and option objects are imported for --help.
            from traceq.engine import answer

            summary = answer(found, query, question, executor, source.progress)
            if not summary.trace_count:
                source.check_names(query, summary.met)
            return FileAnswer(summary.sums, summary.warnings, found.notes + _cut_short(summary.warnings))

        yield ask


def _executor(slices: Sequence[Slice], jobs: int | None, dask: str | None) -> Executor:
    if dask is not None:
        from traceq.cluster import DaskExecutor

        return DaskExecutor(dask)
    from traceq.engine import local_executor

    return local_executor(slices, jobs)


def _cut_short(warnings: WarningSums) -> tuple[str, ...]:
    if warnings.is_complete:
        return ()
    counts = ", ".join(f"{code} {format_count(count)}" for code, count in warnings.counts.items())
    return (f"of each kind of warning only the first ones are listed; there are: {counts}",)
