"""Questions to files of any size: in slices, on every core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Generic, TypeGuard, TypeVar

import typer

from traceq.query import TraceQuery
from traceq.sources import Source
from traceq.sources.files import FileSource
from traceq.units import format_count

if TYPE_CHECKING:
    from traceq.engine import Question, Sums, WarningSums

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


def ask_files(
    source: FileSource, query: TraceQuery, question: Question[_Sums], jobs: int | None = None
) -> FileAnswer[_Sums]:
    """Sum up what files hold, slice by slice; memory does not grow with them, and more processes change nothing.

    Args:
        source: The files.
        query: Which traces; its limit is left aside.
        question: What to sum up.
        jobs: Processes that work; None to choose.

    Raises:
        NotFoundError: If no span is of the service or operation asked for.
        InputError: If a file cannot be read, or holds something else than traces.
        TraceqError: If a worker dies.
    """
    # Late: it needs numpy, and option objects are imported for --help.
    from traceq.engine import answer, local_executor

    with source.slices() as found:
        executor = local_executor(found.slices, jobs)
        summary = answer(found, query, question, executor, source.progress)
    if not summary.trace_count:
        source.check_names(query, summary.met)
    return FileAnswer(summary.sums, summary.warnings, found.notes + _cut_short(summary.warnings))


def _cut_short(warnings: WarningSums) -> tuple[str, ...]:
    if warnings.is_complete:
        return ()
    counts = ", ".join(f"{code} {format_count(count)}" for code, count in warnings.counts.items())
    return (f"of each kind of warning only the first ones are listed; there are: {counts}",)
