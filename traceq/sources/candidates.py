"""Answers of servers to searches: candidates that are combined, checked and cut to the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Generic, TypeVar

from msgspec import Struct

from traceq.catalog import TraceSummary, Window
from traceq.errors import LoginRequired, SourceError, is_refusal
from traceq.query import TraceQuery, matching
from traceq.sources.dialects import Parts
from traceq.sources.interface import MOST_AT_ONCE, Progress, ProgressListener
from traceq.traces import Traces, normal_id
from traceq.units import plural
from traceq.untrusted import printable

_Trace = TypeVar("_Trace", Parts, TraceSummary)

_MOST_SHARES = 1000
"""The maximum number of services per trace in Elasticsearch's own summaries, which leave out the rest."""


class Candidates(Struct, Generic[_Trace], frozen=True):
    """The traces of one answer, or of several combined."""

    by_id: Mapping[str, _Trace]
    """By `normal_id`."""
    is_cut_off: bool = False
    """Whether an answer was as long as its limit."""
    is_relaxed: bool = False
    """Whether durations were left out of the question because the storage cannot combine them with tags."""
    notes: tuple[str, ...] = ()
    """Failures that the server reported besides the traces."""
    service_count: int = 0
    """How many services were asked for one by one; 0 if there was a single request."""
    full: tuple[str, ...] = ()
    """The services among them whose answers were as long as the limit."""
    empty: tuple[str, ...] = ()
    """Those of which nothing was found."""
    is_partial: bool = False
    """Whether a service gave no answer, or spans are missing; the notes say so."""


def ask_each(
    services: Sequence[str],
    ask: Callable[[str], Candidates[_Trace]],
    span_count: Callable[[_Trace], int],
    progress: ProgressListener,
) -> Candidates[_Trace]:
    """Ask for the traces of each service, several at a time, and combine the answers.

    A service over which the server fails is left out and named: one trace that cannot be written as JSON is enough for
    that.

    Raises:
        SourceError: If the server refuses every question, or cannot be reached.
    """
    what = f"asking {plural(len(services), 'service')}"
    by_id: dict[str, _Trace] = {}
    counts: dict[str, int] = {}
    answers: dict[str, Candidates[_Trace]] = {}
    failures: dict[str, SourceError] = {}
    executor = ThreadPoolExecutor(MOST_AT_ONCE)
    try:
        asked = {executor.submit(ask, service): service for service in services}
        progress(Progress(what, 0, len(services)))
        for future in as_completed(asked):
            service = asked[future]
            try:
                answers[service] = future.result()
            except SourceError as error:
                if not is_refusal(error):
                    raise _of_service(error, service) from error
                failures[service] = error
                continue
            add_copies(by_id, counts, answers[service].by_id, span_count)
            progress(Progress(what, len(answers) + len(failures), len(services), len(by_id)))
    finally:
        executor.shutdown(cancel_futures=True)
    for service, failure in sorted(failures.items()):
        if not answers:
            raise _of_service(failure, service) from failure
    return _combined(by_id, answers, failures)


def _combined(
    by_id: Mapping[str, _Trace], answers: Mapping[str, Candidates[_Trace]], failures: Mapping[str, SourceError]
) -> Candidates[_Trace]:
    """Combine the answers for several services, of which some may have failed."""
    notes = {note for answer in answers.values() for note in answer.notes}
    for service, failure in failures.items():
        notes.add(f"no answer for service '{printable(service)}': {failure.message}")
    return Candidates(
        by_id,
        any(answer.is_cut_off for answer in answers.values()),
        any(answer.is_relaxed for answer in answers.values()),
        tuple(sorted(notes)),
        len(answers) + len(failures),
        tuple(service for service, answer in sorted(answers.items()) if answer.is_cut_off),
        tuple(service for service, answer in sorted(answers.items()) if not answer.by_id),
        bool(failures) or any(answer.is_partial for answer in answers.values()),
    )


def united(answers: Sequence[Candidates[_Trace]], span_count: Callable[[_Trace], int]) -> Candidates[_Trace]:
    """Combine the answers to a question that was put in several ways."""
    if len(answers) == 1:
        return answers[0]
    by_id: dict[str, _Trace] = {}
    counts: dict[str, int] = {}
    for answer in answers:
        add_copies(by_id, counts, answer.by_id, span_count)
    return Candidates(
        by_id,
        any(answer.is_cut_off for answer in answers),
        any(answer.is_relaxed for answer in answers),
        tuple(dict.fromkeys(note for answer in answers for note in answer.notes)),
        answers[0].service_count,
        tuple(sorted({service for answer in answers for service in answer.full})),
        tuple(service for service in answers[0].empty if all(service in answer.empty for answer in answers)),
        any(answer.is_partial for answer in answers),
    )


def _of_service(error: SourceError, service: str) -> SourceError:
    kind = LoginRequired if isinstance(error, LoginRequired) else SourceError
    message = f"no answer for service '{printable(service)}', one of several asked for: {error.message}"
    return kind(message, hint=error.advice)


def add_copies(
    known: dict[str, _Trace], counts: dict[str, int], more: Mapping[str, _Trace], span_count: Callable[[_Trace], int]
) -> None:
    """Add an answer; of a trace that is known already, keep the copy with more spans, as storages may return parts.

    Counting may take decoding, so it waits for a second copy, and `counts` remembers that of the first.
    """
    for trace_id, trace in more.items():
        if trace_id not in known:
            known[trace_id] = trace
            continue
        if trace_id not in counts:
            counts[trace_id] = span_count(known[trace_id])
        count = span_count(trace)
        if count > counts[trace_id]:
            known[trace_id], counts[trace_id] = trace, count


def may_match(summary: TraceSummary, query: TraceQuery) -> bool:
    """Return whether, by its summary, a trace may match, leaving bounds on the trace's own duration aside.

    Service, errors, window and the least duration can be refuted; operation, the greatest duration and which span it is
    that fails are the server's word. Tags cannot be checked at all: queries with tags are not answered by summaries.
    """
    window = query.window
    ends_in_time = window.start_ns is None or summary.start_ns + summary.duration_ns >= window.start_ns
    starts_in_time = window.end_ns is None or summary.start_ns <= window.end_ns
    lasts = query.min_duration_ns is None or summary.duration_ns >= query.min_duration_ns
    return ends_in_time and starts_in_time and lasts and _holds(summary, query)


def _holds(summary: TraceSummary, query: TraceQuery) -> bool:
    if query.service is None or len(summary.services) >= _MOST_SHARES:
        return summary.error_count > 0 or not query.has_error
    shares = [share for share in summary.services if share.name == query.service]
    return bool(shares) and (not query.has_error or any(share.error_count for share in shares))


def lasts_as_asked(summary: TraceSummary, query: TraceQuery) -> bool:
    """Return whether the duration of the whole trace is within bounds, which no server checks."""
    low, high = query.min_trace_duration_ns, query.max_trace_duration_ns
    return (low is None or summary.duration_ns >= low) and (high is None or summary.duration_ns <= high)


def fitting(summaries: Mapping[str, TraceSummary], query: TraceQuery) -> Mapping[str, TraceSummary]:
    """Keep the summaries of traces that may match and last as long as asked."""
    return {
        trace_id: summary
        for trace_id, summary in summaries.items()
        if may_match(summary, query) and lasts_as_asked(summary, query)
    }


def newest_summaries(summaries: Iterable[TraceSummary]) -> list[TraceSummary]:
    """Sort summaries, newest first."""
    return sorted(summaries, key=lambda summary: (-summary.start_ns, normal_id(summary.trace_id)))


def newest_positions(traces: Traces, positions: Iterable[int]) -> list[int]:
    """Sort positions of traces that have spans, newest first by their earliest span."""

    def age(position: int) -> tuple[int, str]:
        rows = traces.rows(position)
        return -min(traces.start_ns[rows.start : rows.stop]), normal_id(traces.trace_ids[position])

    return sorted(positions, key=age)


class Checked(Struct, frozen=True):
    """An answer as whole traces, and which of them match."""

    candidates: Candidates[Parts]
    traces: Traces
    kept: list[int]
    """Positions of the traces that match, newest first."""
    dropped_count: int
    """Traces that do not match, whatever the window and the bounds on the duration of the whole trace."""

    @property
    def is_short_of_room(self) -> bool:
        """Whether traces that do not match took the place of others."""
        return self.candidates.is_cut_off and self.dropped_count > 0


class Check(Struct, frozen=True):
    """Decides which traces match.

    Args:
        query: The conditions.
        resolution_ns: The resolution of the times in the server's answers.
        read: Decodes traces, with attributes if the query needs them.
        names: By which the server knows the operation; only None where it is not asked for it.
    """

    query: TraceQuery
    resolution_ns: int
    read: Callable[[Iterable[Parts]], Traces]
    names: tuple[str | None, ...] = (None,)

    def __call__(self, candidates: Candidates[Parts]) -> Checked:
        """Check an answer."""
        traces = self.read(candidates.by_id.values())
        exactly = self._at_resolution()
        kept = newest_positions(traces, matching(traces, exactly))
        unbounded = replace(exactly.without_trace_bounds, window=Window())
        exact_count = len(matching(traces, unbounded)) if len(kept) < len(traces) else len(kept)
        return Checked(candidates, traces, kept, len(traces) - exact_count)

    def fitting(self, by_id: Mapping[str, Parts]) -> Mapping[str, Parts]:
        """Keep the traces that match, undecoded."""
        positions = set(matching(self.read(by_id.values()), self._at_resolution()))
        return {trace_id: parts for at, (trace_id, parts) in enumerate(by_id.items()) if at in positions}

    def _at_resolution(self) -> TraceQuery:
        """Lower bounds to what the server's answers can show: v1 cuts starts and durations to microseconds."""
        query, unit_ns = self.query, self.resolution_ns
        start_ns, least_ns = query.window.start_ns, query.min_duration_ns
        return replace(
            query,
            min_duration_ns=None if least_ns is None else least_ns - least_ns % unit_ns,
            window=replace(query.window, start_ns=None if start_ns is None else start_ns - start_ns % unit_ns),
        )
