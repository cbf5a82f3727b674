"""Answers over archives of any size: the input in slices, each summed up by itself, on one core, all, or a cluster.

`summarize_slice` is all the work there is: a plain function of picklable values, so that whoever can map a function
over tasks can do it. Sums are added in the order of the slices, so the answer does not depend on who did what when.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from traceq.catalog import Operation
from traceq.codec.wire import collector_paused
from traceq.errors import DecodeError
from traceq.executors import Executor, ProcessExecutor, SerialExecutor, ThreadExecutor
from traceq.query import TraceQuery, matching
from traceq.sources.interface import Found, Progress, ProgressListener, no_progress
from traceq.sources.slices import Input, Slice, operations_met
from traceq.traces import FoundAttributes, Traces, TraceWarning, WarningCode, count_warnings

if TYPE_CHECKING:
    from traceq.analysis.grouping import Sums
    from traceq.analysis.statements import LookUp

WARNINGS_KEPT = 100
"""Of each kind so many warnings are listed; the others are counted."""
SERIAL_BELOW_BYTES = 20 * 10**6
"""Smaller inputs are read by this process alone: a worker takes about 0.3 s to start, in which it reads as much."""


_Sums = TypeVar("_Sums", bound="Sums")
_Sums_co = TypeVar("_Sums_co", bound="Sums", covariant=True)


class Question(Protocol[_Sums_co]):
    """What is asked of tables of traces; has to be picklable."""

    @property
    def needs_details(self) -> bool:
        """Whether tables have to carry attributes, events and links; reading these takes as long again."""

    def nothing(self) -> _Sums_co:
        """Give the sums of no traces."""

    def collect(self, traces: Traces) -> _Sums_co:
        """Sum up a table."""


@runtime_checkable
class Completing(Protocol[_Sums]):
    """A question whose answer shows attributes of a few spans, which only the sums of everything tell."""

    def complete(self, sums: _Sums, look_up: LookUp) -> _Sums:
        """Look up what the sums turn out to need besides columns."""


@runtime_checkable
class AboutTraces(Protocol):
    """A question about a few traces that are known by their ids; the others are not decoded."""

    @property
    def trace_ids(self) -> Collection[str]:
        """Which, as `normal_id` gives them."""


@dataclass(frozen=True, slots=True)
class WarningSums:
    """Warnings, the first of each kind by themselves and all of them by number; adds to others."""

    listed: tuple[TraceWarning, ...] = ()
    counts: Mapping[WarningCode, int] = field(default_factory=dict)

    def __add__(self, other: WarningSums) -> WarningSums:
        if not other.counts:
            return self
        counts = dict(self.counts)
        for code, count in other.counts.items():
            counts[code] = counts.get(code, 0) + count
        return WarningSums(_first_of_each((*self.listed, *other.listed)), counts)

    @property
    def is_complete(self) -> bool:
        """Whether every warning is listed."""
        return len(self.listed) == sum(self.counts.values())


def _first_of_each(warnings: Iterable[TraceWarning]) -> tuple[TraceWarning, ...]:
    kept: list[TraceWarning] = []
    counts: dict[WarningCode, int] = {}
    for warning in warnings:
        counts[warning.code] = counts.get(warning.code, 0) + 1
        if counts[warning.code] <= WARNINGS_KEPT:
            kept.append(warning)
    return tuple(kept)


def sum_warnings(warnings: Sequence[TraceWarning]) -> WarningSums:
    """Sum up warnings."""
    return WarningSums(_first_of_each(warnings), dict(count_warnings(warnings)))


@dataclass(frozen=True, slots=True)
class Summary(Generic[_Sums]):
    """What slices hold of the answer; adds to others."""

    sums: _Sums
    trace_count: int = 0
    """Traces that matched."""
    warnings: WarningSums = field(default_factory=WarningSums)
    met: frozenset[tuple[str, Operation]] = frozenset()
    """Services and their operations; only looked for where no trace matched, to tell which name is unknown."""

    def __add__(self, other: Summary[_Sums]) -> Summary[_Sums]:
        return Summary(
            self.sums + other.sums,
            self.trace_count + other.trace_count,
            self.warnings + other.warnings,
            self.met | other.met,
        )


def summarize_slice(piece: Slice, query: TraceQuery, question: Question[_Sums]) -> Summary[_Sums]:
    """Read a slice, keep the traces that match, and sum them up.

    Raises:
        InputError: If the bytes cannot be read or are not traces.
    """
    # Left on between tables, the collector takes a tenth of the time, and a slice leaves it nothing to find.
    with collector_paused():
        return _summarize_slice(piece, query, question)


def _summarize_slice(piece: Slice, query: TraceQuery, question: Question[_Sums]) -> Summary[_Sums]:
    summary = Summary(question.nothing())
    met: set[tuple[str, Operation]] = set()
    for table in _tables(piece, query, question):
        found = _matching(table, query)
        if len(found):
            sums = question.collect(found)
            summary += Summary(sums, len(found), sum_warnings(found.warnings))
        elif not summary.trace_count:
            met |= operations_met(table)
    return summary if summary.trace_count else replace(summary, met=frozenset(met))


def _tables(piece: Slice, query: TraceQuery, question: Question[_Sums]) -> Iterator[Traces]:
    if isinstance(question, AboutTraces):
        return piece.traces(question.trace_ids)
    return piece.tables(with_details=needs_details(question, query))


def _matching(table: Traces, query: TraceQuery) -> Traces:
    """Keep the traces that match; a service alone, the usual question, is looked for without a look at each span."""
    if query.service is None:
        return table.select(matching(table, query))
    code = table.services.index(query.service) if query.service in table.services else -1
    codes = table.service_codes
    served = table.select([at for at, (start, stop) in enumerate(pairwise(table.offsets)) if code in codes[start:stop]])
    return served if query == TraceQuery(service=query.service) else served.select(matching(served, query))


def local_executor(slices: Sequence[Slice], jobs: int | None = None, *, with_details: bool = False) -> Executor:
    """Choose who works: this process alone, threads of it, or processes beside it.

    Args:
        slices: The work.
        jobs: How many; None for as many as there are cores, or for one where the input is small.
        with_details: Whether attributes are read, which keeps Python busy whatever the slices are.
    """
    wanted = len(os.sched_getaffinity(0)) if jobs is None else jobs
    is_columnar = not with_details and all(piece.is_columnar for piece in slices)
    is_small = jobs is None and not is_columnar and sum(piece.byte_count for piece in slices) < SERIAL_BELOW_BYTES
    count = min(wanted, len(slices))
    if is_small or count <= 1:
        return SerialExecutor()
    return ThreadExecutor(count) if is_columnar else ProcessExecutor(count)


def needs_details(question: Question[Sums], query: TraceQuery) -> bool:
    """Whether attributes have to be read to answer a question."""
    return question.needs_details or bool(query.attributes)


def collect(found: Found, question: Question[_Sums]) -> _Sums:
    """Sum up what a source found as one table."""
    sums = question.collect(found.traces)
    if found.left_out is None or not isinstance(question, Completing):
        return sums
    complete: _Sums = question.complete(sums, found.left_out.attributes)
    return complete


def answer(
    found: Input,
    query: TraceQuery,
    question: Question[_Sums],
    executor: Executor | None = None,
    progress: ProgressListener = no_progress,
) -> Summary[_Sums]:
    """Sum up an input; where it turns out to have been cut in a wrong place, once more after cutting with care.

    Raises:
        InputError: If bytes cannot be read or are not traces.
        TraceqError: If a worker dies.
    """
    try:
        return _completed(found, query, question, executor, progress)
    except DecodeError:
        if found.proven is None:
            raise
        return _completed(found.proven(), query, question, executor, progress)


def _completed(
    found: Input,
    query: TraceQuery,
    question: Question[_Sums],
    executor: Executor | None,
    progress: ProgressListener,
) -> Summary[_Sums]:
    summary = summarize(found.slices, query, question, executor, progress)
    if not isinstance(question, Completing):
        return summary
    # Other processes take longer to start than a few spans to read.
    here = executor if isinstance(executor, ThreadExecutor) else SerialExecutor()
    return replace(summary, sums=question.complete(summary.sums, partial(_look_up, found, here)))


def _look_up(found: Input, executor: Executor, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
    return chain.from_iterable(executor.map(_attributes, found.holding(wanted)))


def _attributes(task: tuple[Slice, Mapping[str, Collection[str]]]) -> list[FoundAttributes]:
    piece, wanted = task
    return list(piece.attributes(wanted))


def summarize(
    slices: Sequence[Slice],
    query: TraceQuery,
    question: Question[_Sums],
    executor: Executor | None = None,
    progress: ProgressListener = no_progress,
) -> Summary[_Sums]:
    """Sum up all slices; the same to the last digit whoever does the work.

    Raises:
        InputError: If bytes cannot be read or are not traces.
        TraceqError: If a worker dies.
    """
    work = partial(summarize_slice, query=query, question=question)
    total: Summary[_Sums] = Summary(question.nothing())
    byte_count = sum(piece.byte_count for piece in slices)
    done_bytes = trace_count = 0
    progress(Progress("summing up traces", 0, byte_count, is_bytes=True))
    results = (executor or SerialExecutor()).map(work, slices)
    for piece, result in zip(slices, results, strict=True):
        total += result
        done_bytes += piece.byte_count
        trace_count += piece.trace_count
        progress(Progress("summing up traces", done_bytes, byte_count, trace_count, is_bytes=True))
    # Services and operations count only where nothing matched at all.
    return total if not total.trace_count else replace(total, met=frozenset())
