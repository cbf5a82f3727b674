"""Questions put to traces wherever they are: a server, one table, files in slices, processes, a cluster.

`summarize_slice` does all the work on a slice: it is a plain function of picklable values, so that everything that can
map a function over tasks can run it. Sums are added in the order of the slices, so the answer does not depend on where
and when the work was done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Generic, Protocol, TypeGuard, TypeVar, runtime_checkable

from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.assembly import joined
from traceq.catalog import Operation, ServiceCall, Window, operations_met
from traceq.codec import BATCH_SPANS
from traceq.codec.wire import collector_paused
from traceq.learned import Learned, Lesson
from traceq.query import Asked, OneTrace, TraceQuery, Wanted, asked_of, cut_off_line, matching
from traceq.remarks import WarningSums, sum_warnings
from traceq.sources.bodies import is_read_once
from traceq.sources.interface import (
    Found,
    Input,
    Progress,
    ProgressListener,
    Slice,
    SlicedSource,
    Slicing,
    Source,
    no_progress,
)
from traceq.traces import FoundAttributes, Traces

if TYPE_CHECKING:
    from traceq.analysis.bottlenecks import LookUp
    from traceq.analysis.grouping import Sums
    from traceq.analysis.learning import LearnedSums, Sample
    from traceq.analysis.unmatched import Put

SERIAL_BELOW_BYTES = 20 * 10**6
"""Inputs smaller than this are read by this process alone: a worker takes about 0.3 s to start."""
_KEPT_BYTES = 40 * 10**6
"""Inputs up to this size are kept while they are learned from; JSON three times this, as columns take a fifth of it."""
_LARGEST_SAMPLE = 3
"""The level of the largest sample: a second search for matching traces reads at most an eighth of an archive."""

_LEARNED_TOGETHER = 8
"""The number of slices from which a worker learns at once."""
_LEARNED_HERE = 64
"""From this number of slices this process learns in less time than other processes take to start."""

_Sums = TypeVar("_Sums", bound="Sums")
_Sums_co = TypeVar("_Sums_co", bound="Sums", covariant=True)
_Answer_co = TypeVar("_Answer_co", covariant=True)
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class Question(Protocol[_Sums_co]):
    """A question to tables of traces; it has to be picklable."""

    @property
    def needs_details(self) -> bool:
        """Whether tables need attributes, events and links; reading these doubles the time."""

    def nothing(self) -> _Sums_co:
        """Give the sums of no traces."""

    def collect(self, traces: Traces) -> _Sums_co:
        """Sum up a table."""


class RankedQuestion(Question[_Sums], Protocol[_Sums, _Answer_co]):
    """A question whose sums can be turned into its answer."""

    def rank(self, sums: _Sums, /) -> _Answer_co:
        """Turn the sums of all traces into the answer."""


@runtime_checkable
class Completing(Protocol[_Sums]):
    """A question whose answer shows attributes of a few spans, which are known only when everything was summed up."""

    def complete(self, sums: _Sums, look_up: LookUp) -> _Sums:
        """Look up what the sums need in addition to columns."""


@runtime_checkable
class AboutTraces(Protocol):
    """A question about a few traces with known ids, such as those whose tags are compared; no other is decoded."""

    @property
    def trace_ids(self) -> Container[str]:
        """The ids of these traces, in the form that `normal_id` gives."""


@runtime_checkable
class Informed(Protocol):
    """A question about single traces that needs knowledge from others: who waits for what, and how clocks differ."""

    @property
    def learns(self) -> bool:
        """Whether the question needs this knowledge, with its options."""


@runtime_checkable
class InformedOfMore(Protocol):
    """A question that needs something else to be learned, too."""

    @property
    def lesson(self) -> Lesson | None:
        """What it is."""


class Executor(Protocol):
    """Maps a function over tasks, here or elsewhere."""

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Give the results in the order of the tasks; the first exception of a task ends it and is raised."""


class SerialExecutor:
    """Does the work in this process."""

    def map(self, function: Callable[[_Task], _Result], tasks: Iterable[_Task]) -> Iterator[_Result]:
        """Give one result after the other."""
        return map(function, tasks)


class Workers(Struct, frozen=True):
    """The processes that read files; the answer does not depend on them."""

    jobs: int | None = None
    """The number of processes or threads; None for the number of cores, or one where the input is small."""
    cluster: str | None = None
    """The address of a Dask cluster, or `local` for one on this machine for this question; None for no cluster."""


class Reply(Struct, Generic[_Sums], frozen=True):
    """The sums of all traces that match, and how they were obtained."""

    sums: _Sums
    asked: Asked


class Ask(Protocol):
    """Puts questions to the selected traces, wherever they are."""

    def __call__(self, question: Question[_Sums], /) -> Reply[_Sums]:
        """Put a question, and give the sums of its answer.

        Raises:
            NotFoundError: If no span belongs to the selected service or operation.
        """

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        """Give the calls in the source's own dependency table; this needs no question."""


def ask(source: Source, wanted: Wanted, question: Question[_Sums], workers: Workers = Workers()) -> Reply[_Sums]:
    """Put one question; see `asking`."""
    with asking(source, wanted, workers) as put:
        return put(question)


@contextmanager
def asking(source: Source, wanted: Wanted, workers: Workers = Workers()) -> Iterator[Ask]:
    """Give a way to put any number of questions to the same traces.

    Files without a limit are read in slices; a limit needs to know which traces are the newest. Everything else is one
    table, which is read once, with the first question.

    Raises:
        InputError: If a file cannot be read, or does not contain traces.
        TraceqError: When a question is put, if a worker dies.
    """
    if isinstance(wanted, TraceQuery) and is_sliced(source, wanted):
        with source.slices() as cut:
            yield _Slices(source, wanted, cut, workers)
    else:
        yield _OneTable(source, wanted)


def is_sliced(source: Source, query: TraceQuery) -> TypeGuard[SlicedSource]:
    """Tell whether questions are put to slices."""
    return query.limit is None and isinstance(source, SlicedSource)


def asked_for(source: Source, wanted: Wanted, found: Found) -> Asked:
    """Give what there is to say about traces that were found, and about finding none."""
    notes = found.notes
    if isinstance(wanted, TraceQuery):
        notes += (cut_off_line(wanted.limit),) if found.is_cut_off else ()
        notes += () if len(found.traces) else why_nothing(source, wanted)
    about = asked_of(source, wanted, sum_warnings(found.traces.warnings))
    return structs.replace(about, notes=notes, is_cut_off=found.is_cut_off, is_partial=found.is_partial)


def why_nothing(source: Source, query: TraceQuery, put: Put | None = None) -> tuple[str, ...]:
    """Say, after nothing has matched, what may be the reason; files are read again for that, but no pipe is."""
    # Late: it is for what should not happen.
    from traceq.analysis.unmatched import missing_tags, reasons, unknown_services

    if source.is_live:
        return (*unknown_services(query, source), *missing_tags(query, lambda few: source.find(few).traces))
    return reasons(query, put or partial(_put, source))


def _put(source: Source, query: TraceQuery, question: Question[_Sums]) -> Reply[_Sums] | Summary[_Sums]:
    if is_read_once(source.locations):
        return Summary(question.collect(source.find(query, with_attributes=question.needs_details).traces))
    return ask(source, query, question)


class _OneTable:
    """Puts questions to the traces that a source finds; they are read with the first question."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self._source = source
        self._wanted = wanted
        self._found: Found | None = None
        self._asked: Asked | None = None

    def _having(self, *, attributes: bool) -> Found:
        if self._found is not None:
            self._found = self._found.with_attributes() if attributes else self._found
        elif isinstance(self._wanted, OneTrace):
            self._found = Found(self._source.trace(self._wanted.trace_id), notes=self._source.remarks().notes)
        else:
            self._found = self._source.find(self._wanted, with_attributes=attributes, is_sample=True)
        return self._found

    def __call__(self, question: Question[_Sums], /) -> Reply[_Sums]:
        found, wanted = self._having(attributes=question.needs_details), self._wanted
        sums = question.collect(found.traces)
        if found.left_out is not None and isinstance(question, Completing):
            sums = question.complete(sums, found.left_out.attributes)
        if isinstance(wanted, OneTrace):
            wanted = structs.replace(wanted, trace_id=found.traces.trace_ids[0])
        # Why nothing was found may take more questions to the source: once is enough.
        self._asked = self._asked or asked_for(self._source, wanted, found)
        return Reply(sums, self._asked)

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        return self._source.dependencies(window)


class _Slices(Struct, frozen=True):
    """Puts questions to all matching traces in files; standard input and compressed files are unpacked once."""

    source: SlicedSource
    query: TraceQuery
    cut: Slicing
    workers: Workers

    def __call__(self, question: Question[_Sums], /) -> Reply[_Sums]:
        executor = self._executor(with_details=needs_details(question, self.query))
        summary = summarize(self.cut, self.query, question, executor, self.source.progress)
        notes = self.cut.found.notes
        if not summary.trace_count:
            self.source.check_names(self.query, summary.met)
            notes += why_nothing(self.source, self.query, partial(summarize, self.cut, executor=executor))
        return Reply(summary.sums, structs.replace(asked_of(self.source, self.query, summary.warnings), notes=notes))

    def _executor(self, *, with_details: bool) -> Executor:
        if self.workers.cluster is not None:
            from traceq.executors import DaskExecutor

            return DaskExecutor(self.workers.cluster)
        return local_executor(self.cut.found.slices, self.workers.jobs, with_details=with_details)

    def recorded(self, window: Window) -> tuple[ServiceCall, ...]:
        return self.cut.found.calls  # dependency tables in files have no times


class Summary(Struct, Generic[_Sums], frozen=True):
    """The sums of slices; can be added to others."""

    sums: _Sums
    trace_count: int = 0
    """The number of traces that matched."""
    warnings: WarningSums = field(default_factory=WarningSums)
    met: frozenset[tuple[str, Operation]] = frozenset()
    """Services and their operations; only collected where no trace matched, to find out which name is unknown."""

    def __add__(self, other: Summary[_Sums]) -> Summary[_Sums]:
        return Summary(
            self.sums + other.sums,
            self.trace_count + other.trace_count,
            self.warnings + other.warnings,
            self.met | other.met,
        )


def summarize_slice(
    piece: Slice, query: TraceQuery, question: Question[_Sums], learned: Learned | None = None
) -> Summary[_Sums]:
    """Read a slice, keep the traces that match, and sum them up.

    Args:
        piece: What to read.
        query: Which of its traces to keep.
        question: The question.
        learned: What was learned from all traces; None where there is only this slice, or the question needs no such
        knowledge.

    Raises:
        InputError: If the bytes cannot be read or are not traces.
    """
    summary = Summary(question.nothing())
    met: set[tuple[str, Operation]] = set()
    # The garbage collector would take a tenth of the time, and finds nothing to free in a slice.
    with collector_paused():
        read = _tables(piece, query, question)
        tables = ((table, _matching(table, query)) for table in read)
        kept: Iterable[tuple[Traces, Traces]] = tables
        if learned is None and _learns(question):
            kept = list(tables)
            learned = learned_from((found for _, found in kept), question)
        for table, found in kept:
            if len(found):
                known = found if learned is None else structs.replace(found, learned=learned)
                summary += Summary(question.collect(known), len(found), sum_warnings(found.warnings))
                continue
            if found.warnings:  # about traces without spans, which are told whatever is asked
                summary += Summary(question.nothing(), 0, sum_warnings(found.warnings))
            if not summary.trace_count:
                met |= operations_met(table)
    return summary if summary.trace_count else replace(summary, met=frozenset(met))


def _learns(question: Question[Sums]) -> bool:
    return isinstance(question, Informed) and question.learns


def _lesson(question: object) -> Lesson | None:
    return question.lesson if isinstance(question, InformedOfMore) else None


def learned_from(tables: Iterable[Traces], question: object) -> Learned:
    """Learn from tables what a question needs."""
    # Late: it needs numpy.
    from traceq.analysis.learning import learn_from

    return learn_from(list(tables), more=_lesson(question))


def _tables(piece: Slice, query: TraceQuery, question: Question[_Sums]) -> Iterator[Traces]:
    if isinstance(question, AboutTraces):
        return piece.traces(question.trace_ids, with_details=needs_details(question, query))
    return piece.tables(with_details=needs_details(question, query))


def _matching(table: Traces, query: TraceQuery) -> Traces:
    """Keep the traces that match; a query for a service alone, the usual one, does not examine each span."""
    if query.service is None:
        return table.select(matching(table, query))
    code = table.services.index(query.service) if query.service in table.services else -1
    codes = table.service_codes
    served = table.select([at for at, (start, stop) in enumerate(pairwise(table.offsets)) if code in codes[start:stop]])
    return served if query == TraceQuery(service=query.service) else served.select(matching(served, query))


def local_executor(slices: Sequence[Slice], jobs: int | None = None, *, with_details: bool = False) -> Executor:
    """Choose where the work is done: in this process, in its threads, or in other processes.

    Args:
        slices: The work.
        jobs: The number of threads or processes; None for the number of cores, or one where the input is small.
        with_details: Whether attributes are read, for which threads do not help.
    """
    wanted = len(os.sched_getaffinity(0)) if jobs is None else jobs
    is_columnar = not with_details and all(piece.is_columnar for piece in slices)
    is_small = jobs is None and not is_columnar and sum(piece.byte_count for piece in slices) < SERIAL_BELOW_BYTES
    count = min(wanted, len(slices))
    if is_small or count <= 1:
        return SerialExecutor()
    # Late, as below: importing what runs processes costs most of what a small input costs otherwise.
    from traceq.executors import ProcessExecutor, ThreadExecutor

    return ThreadExecutor(count) if is_columnar else ProcessExecutor(count)


def needs_details(question: Question[Sums], query: TraceQuery) -> bool:
    """Tell whether attributes have to be read to answer a question."""
    return question.needs_details or query.has_tags


def summarize(
    cut: Slicing,
    query: TraceQuery,
    question: Question[_Sums],
    executor: Executor | None = None,
    progress: ProgressListener = no_progress,
) -> Summary[_Sums]:
    """Sum up an input; if it turns out that it was cut in a wrong place, again with verified cuts.

    Raises:
        InputError: If bytes cannot be read or are not traces.
        TraceqError: If a worker dies.
    """
    here = executor or SerialExecutor()
    total: Summary[_Sums] = Summary(question.nothing())
    for attempt in cut.attempts():
        with attempt as found:
            slices = found.slices
            is_kept = _is_kept(slices, here, with_details=needs_details(question, query))
            learned = None if is_kept or not _learns(question) else _learn(slices, query, question, here)
            work = partial(summarize_slice, query=query, question=question, learned=learned)
            total = Summary(question.nothing())
            done = Progress("summing up traces", total=sum(piece.byte_count for piece in slices), is_bytes=True)
            progress(done)
            for piece, result in zip(slices, here.map(work, slices), strict=True):
                total += result
                trace_count = done.trace_count + piece.trace_count
                done = structs.replace(done, done=done.done + piece.byte_count, trace_count=trace_count)
                progress(done)
            if isinstance(question, Completing):
                # Starting other processes takes longer than reading a few spans.
                reader = here if _works_in_threads(here) else SerialExecutor()
                total = replace(total, sums=question.complete(total.sums, partial(_look_up, found, reader)))
            break
    # Services and operations count only where nothing matched at all.
    return total if not total.trace_count else replace(total, met=frozenset())


def _works_in_threads(executor: Executor) -> bool:
    if isinstance(executor, SerialExecutor):
        return False
    from traceq.executors import ThreadExecutor

    return isinstance(executor, ThreadExecutor)


def _is_kept(slices: Sequence[Slice], executor: Executor, *, with_details: bool) -> bool:
    """Tell whether an input is small enough to stay in memory while it is learned from, instead of being read twice."""
    limit = _KEPT_BYTES if with_details or any(piece.is_columnar for piece in slices) else 3 * _KEPT_BYTES
    return len(slices) == 1 and slices[0].byte_count <= limit and isinstance(executor, SerialExecutor)


def _learn(slices: Sequence[Slice], query: TraceQuery, question: object, executor: Executor) -> Learned:
    """Learn from a sample of the traces that match, or from a larger one where too few of the first sample match."""
    # Late: it needs numpy.
    from traceq.analysis.learning import LEAST_SAMPLED, LearnedSums, Sample, sample_level

    if len(slices) <= _LEARNED_HERE and not _works_in_threads(executor):
        executor = SerialExecutor()
    some = [slices[first : first + _LEARNED_TOGETHER] for first in range(0, len(slices), _LEARNED_TOGETHER)]
    level = sample_level(sum(piece.trace_count for piece in slices))
    while True:
        work = partial(_summarize_sample, query=query, sample=Sample(level), more=_lesson(question))
        told = sum(executor.map(work, some), Summary(LearnedSums()))
        if level <= _LARGEST_SAMPLE or told.trace_count >= LEAST_SAMPLED // 4:
            return told.sums.learned()
        level = max(level - 3, _LARGEST_SAMPLE)


def _summarize_sample(
    pieces: Sequence[Slice], query: TraceQuery, sample: Sample, *, more: Lesson | None
) -> Summary[LearnedSums]:
    """Learn from the sampled traces of slices; small tables are joined, since summing them up costs as much as one."""
    from traceq.analysis.learning import LearnedSums, learn

    # Statements tell queries of one name apart.
    with_details = query.has_tags or more == "habits"
    summary = Summary(LearnedSums())
    with collector_paused():
        # One slice after the other: each keeps its part of the file in memory while its traces are looked for.
        tables = (table for piece in pieces for table in piece.traces(sample, with_details=with_details))
        for some in _batches(_matching(table, query) for table in tables):
            found = joined(some, with_details=with_details)
            summary += Summary(learn(found, level=0, more=more), len(found))
    return summary


def _batches(tables: Iterable[Traces]) -> Iterator[list[Traces]]:
    batch: list[Traces] = []
    for table in filter(len, tables):
        batch.append(table)
        if sum(one.span_count for one in batch) >= BATCH_SPANS:
            yield batch
            batch = []
    if batch:
        yield batch


def _look_up(found: Input, executor: Executor, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
    return chain.from_iterable(executor.map(_attributes, found.holding(wanted)))


def _attributes(task: tuple[Slice, Mapping[str, Collection[str]]]) -> list[FoundAttributes]:
    piece, wanted = task
    return list(piece.attributes(wanted))
