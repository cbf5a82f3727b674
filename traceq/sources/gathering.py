"""Gathers candidates from a server: with one request, one for each service, or one for each slice of time.

Which way is needed is found out by asking, once for each server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Generic, TypeVar

from msgspec import Struct, structs

from traceq.catalog import TraceSummary, Window
from traceq.errors import LoginRequired, ServerError, SourceError, is_refusal
from traceq.query import TraceQuery
from traceq.sources.dialects import Answered, BoundedQuery, Parts
from traceq.sources.interface import MOST_AT_ONCE, Progress, ProgressListener
from traceq.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_US, format_time, plural
from traceq.untrusted import printable

_Trace = TypeVar("_Trace", Parts, TraceSummary)
_Paged = TypeVar("_Paged")

MOST_TRACES = 1000
"""Asked for when the query has no limit, or one that counts only after a check here.

VictoriaTraces refuses more; Elasticsearch, ClickHouse and memory storage take it as they are configured by default.
"""
MOST_LOOKED_AT = 20_000
"""The number of traces that are received to find what no server looks for, such as a duration of traces."""
_LOOKBACK_NS = 48 * NS_PER_HOUR
"""Where a window is open to the past: v1's own default, sent to every server. From 1970 on, Elasticsearch would have to
look at 20,000 daily indices and refuses."""
_CLOCK_ALLOWANCE_NS = NS_PER_HOUR
"""Where a window is open to the future: clocks of traced hosts may be ahead of this one."""
_MOST_OVERFULL = 5
_NARROWEST_NS = NS_PER_US
"""The narrowest slice of a window: what servers tell apart."""
_TOO_WIDE = re.compile(r"range specified by start and end exceeds (\d+)h")
"""Tempo, which searches a week at most."""
_TOO_MANY = re.compile(r"limit should be not higher than (\d+)")
"""VictoriaTraces."""
_TOO_LONG = "too_long_http_line"
"""Elasticsearch and OpenSearch, where the names of the indices of all days do not fit into a request."""
_NEEDS_SERVICE = "requires a service name"
_NOT_TOGETHER = "cannot query for duration and tags simultaneously"


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


class Asking(Struct, Generic[_Trace], frozen=True):
    """How to ask for one kind of answer."""

    search: Callable[[BoundedQuery], Answered[_Trace]]
    span_count: Callable[[_Trace], int]
    fitting: Callable[[Mapping[str, _Trace]], Mapping[str, _Trace]]
    """Keeps those that match, bounds on the duration of the whole trace included."""


class Gatherer(Struct):
    """Gathers candidates.

    Args:
        services: Lists the services to ask for where the storage needs a name.
        searches_all_services: Whether a search without a service may be tried.
        progress: Told about questions that take several requests.
        clock: The time now, in nanoseconds since the epoch.
    """

    services: Callable[[], Sequence[str]]
    searches_all_services: bool
    progress: ProgressListener
    clock: Callable[[], int]
    widest_ns: int | None = None
    """The longest window that the server searches; None where it has not refused one."""
    most_traces: int | None = None
    """The highest limit that it takes; None where it has not refused one."""

    def gather(
        self, query: TraceQuery, asking: Asking[_Trace], *, is_sample: bool = False, is_loose: bool = False
    ) -> Candidates[_Trace]:
        """Give the candidates for a query.

        Args:
            query: The conditions.
            asking: How to ask for them.
            is_sample: Whether the limit is one for each service where no service is named and it leaves something out.
            is_loose: Whether the query is less than what `asking.fitting` looks for: the limit is one of what fits.
        """
        sent = replace(query, limit=None) if is_loose else query
        first = self._whole_window(sent, asking, is_sample=is_sample)
        if not (first.is_cut_off and (is_loose or query.has_trace_bounds)):
            return first
        return self._looked_through(sent, asking, first, query.limit, is_loose=is_loose)

    def _whole_window(self, query: TraceQuery, asking: Asking[_Trace], *, is_sample: bool) -> Candidates[_Trace]:
        if query.service is not None or self.searches_all_services:
            candidates = self._ask_once(query, asking)
            if candidates is not None and not (is_sample and query.service is None and candidates.is_cut_off):
                return candidates
        return ask_each(
            self.services(),
            lambda service: self._ask(replace(query, service=service), asking),
            asking.span_count,
            self.progress,
        )

    def _ask_once(self, query: TraceQuery, asking: Asking[_Trace]) -> Candidates[_Trace] | None:
        """Ask with one request; None when the storage turns out to need a service's name."""
        try:
            return self._ask(query, asking)
        except ServerError as error:
            if query.service is not None or _NEEDS_SERVICE not in error.told:
                raise
            self.searches_all_services = False
            return None

    def _ask(self, query: TraceQuery, asking: Asking[_Trace]) -> Candidates[_Trace]:
        """Ask with one request, or in pieces where the server turns out to refuse such a window or limit."""
        bounded = self._bounded(query)
        while True:
            # Other services are asked for at the same time, and may find out meanwhile.
            known = self.widest_ns, self.most_traces
            try:
                return (
                    self._ask_at_once(bounded, asking) if bounded.fits(*known) else self._ask_in_pieces(bounded, asking)
                )
            except ServerError as error:
                self._learn(error, bounded)
                if (self.widest_ns, self.most_traces) == known:
                    raise

    def _learn(self, error: ServerError, refused: BoundedQuery) -> None:
        """Find in a refusal what window or limit the server takes."""
        if found := _TOO_WIDE.search(error.told):
            self.widest_ns = int(found.group(1)) * NS_PER_HOUR
        elif found := _TOO_MANY.search(error.told):
            self.most_traces = int(found.group(1))
        elif _TOO_LONG in error.told:
            half_ns = min(refused.end_ns - refused.start_ns, self.widest_ns or refused.end_ns) // 2
            self.widest_ns = max(half_ns, NS_PER_DAY)

    def _ask_in_pieces(self, bounded: BoundedQuery, asking: Asking[_Trace]) -> Candidates[_Trace]:
        """Ask for one piece of the window after the other, newest first, until there are as many as the limit."""
        found: dict[str, _Trace] = {}
        counts: dict[str, int] = {}
        answers: list[Candidates[_Trace]] = []
        limit = min(bounded.limit, self.most_traces or bounded.limit)

        def ask(piece: Window) -> tuple[Mapping[str, _Trace], bool]:
            start_ns, end_ns = self.ends(piece)
            part = structs.replace(bounded, start_ns=start_ns, end_ns=max(end_ns, start_ns + NS_PER_US), limit=limit)
            answers.append(self._ask_at_once(part, asking))
            add_copies(found, counts, answers[-1].by_id, asking.span_count)
            return answers[-1].by_id, answers[-1].is_cut_off

        is_cut_off, end_ns = False, bounded.end_ns
        while end_ns >= bounded.start_ns and len(found) < bounded.limit:
            start_ns = max(bounded.start_ns, end_ns - (self.widest_ns or end_ns) + NS_PER_US)
            if ask(Window(start_ns, end_ns))[1] and limit < bounded.limit:
                for page in pages(ask, Window(start_ns, end_ns), limit):
                    is_cut_off |= page.is_cut_off
                    if len(found) >= bounded.limit:
                        break
            end_ns = start_ns - 1
        return Candidates(
            found,
            is_cut_off or len(found) >= bounded.limit,
            any(answer.is_relaxed for answer in answers),
            tuple(dict.fromkeys(note for answer in answers for note in answer.notes)),
            is_partial=any(answer.is_partial for answer in answers),
        )

    def _ask_at_once(self, bounded: BoundedQuery, asking: Asking[_Trace]) -> Candidates[_Trace]:
        """Ask with one request, or two: Cassandra does not look for tags and durations at once."""
        try:
            answered, is_relaxed = asking.search(bounded), False
        except ServerError as error:
            if _NOT_TOGETHER not in error.told:
                raise
            without = replace(bounded.query, min_duration_ns=None, max_duration_ns=None)
            answered, is_relaxed = asking.search(structs.replace(bounded, query=without)), True
        is_cut_off = len(answered.by_id) >= bounded.limit
        return Candidates(answered.by_id, is_cut_off, is_relaxed, answered.notes, is_partial=answered.is_partial)

    def _bounded(self, query: TraceQuery) -> BoundedQuery:
        start_ns, end_ns = self.ends(query.window)
        limit = MOST_TRACES if query.limit is None or query.has_trace_bounds else query.limit
        # v3 refuses a window without length.
        return BoundedQuery(_narrowed(query), start_ns, max(end_ns, start_ns + NS_PER_US), limit)

    def ends(self, window: Window) -> tuple[int, int]:
        """Close a window that is open on a side."""
        now_ns = self.clock()
        end_ns = now_ns + _CLOCK_ALLOWANCE_NS if window.end_ns is None else window.end_ns
        start_ns = (window.end_ns or now_ns) - _LOOKBACK_NS if window.start_ns is None else window.start_ns
        return max(0, start_ns), end_ns

    def _looked_through(
        self,
        query: TraceQuery,
        asking: Asking[_Trace],
        first: Candidates[_Trace],
        limit: int | None,
        *,
        is_loose: bool,
    ) -> Candidates[_Trace]:
        """Look through the window for traces that fit, newest first, until there are as many as the limit."""
        sought = "that match" if is_loose or query.needs_traces else "of that duration"
        found: dict[str, _Trace] = {}
        counts: dict[str, int] = {}
        looked_at: set[str] = set()

        def take(more: Mapping[str, _Trace]) -> None:
            looked_at.update(more)
            add_copies(found, counts, asking.fitting(more), asking.span_count)
            self.progress(Progress(f"looking for traces {sought}", trace_count=len(looked_at)))

        def ask(piece: Window) -> tuple[Mapping[str, _Trace], bool]:
            answer = self._whole_window(replace(query, window=piece), asking, is_sample=False)
            take(answer.by_id)
            return answer.by_id, answer.is_cut_off

        take(first.by_id)
        if query.min_trace_duration_ns is not None:
            # Nearly every trace of that duration has a span of it: these are found whatever the window holds.
            longest_ns = max(query.min_duration_ns or 0, query.min_trace_duration_ns)
            take(self._whole_window(replace(query, min_duration_ns=longest_ns), asking, is_sample=False).by_id)
        start_ns, end_ns = self.ends(query.window)
        since_ns, is_cut_off, newest = end_ns, False, set[str]()
        for page in pages(ask, Window(start_ns, end_ns), MOST_TRACES):
            since_ns, is_cut_off = page.since_ns, is_cut_off or page.is_cut_off
            # What the first answer holds need not be the newest, as in Jaeger's memory storage.
            newest.update(page.by_id)
            has_enough = limit is not None and len(newest & found.keys()) >= limit
            if has_enough or len(looked_at) >= max(MOST_LOOKED_AT, limit or 0):
                break
        is_whole = since_ns <= start_ns and not is_cut_off
        reach = "all of the window" if is_whole else f"all since {format_time(since_ns)}"
        note = f"looked at {plural(len(looked_at), 'trace')}, {reach}, to find those {sought}"
        return structs.replace(first, by_id=found, is_cut_off=not is_whole, notes=(*first.notes, note))


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


def _narrowed(query: TraceQuery) -> TraceQuery:
    """Send the longest duration of traces as one of spans, since no span lasts longer than its trace."""
    longest_ns = query.max_trace_duration_ns
    if longest_ns is None or longest_ns < (query.min_duration_ns or 0):
        return query
    return replace(query, max_duration_ns=min(longest_ns, query.max_duration_ns or longest_ns))


class Page(Struct, Generic[_Paged], frozen=True):
    """The traces of a slice of a window."""

    by_id: Mapping[str, _Paged]
    is_cut_off: bool
    """Whether the limit left some of the slice out; with the narrowest slices nothing can be done about it."""
    since_ns: int
    """Where the slice begins: everything from here to the end of the window was asked for."""


AskPage = Callable[[Window], tuple[Mapping[str, _Paged], bool]]
"""Gives the traces of a slice of time, and whether the limit cut the answer off."""


def pages(ask: AskPage[_Paged], window: Window, limit: int) -> Iterator[Page[_Paged]]:
    """Give the traces of a window, newest slice first, in slices whose answers fit into the limit.

    A slice whose answer does not fit is halved and asked for again; after an answer of less than half the limit, the
    next slice is twice as wide. A trace with spans in several slices comes with each of them. After some microseconds
    in a row that do not fit there are no more slices: the server does not look at the times that it is asked for.

    Args:
        ask: Asks for a slice.
        window: With two ends; its answer as a whole did not fit.
        limit: The limit of one answer.

    Raises:
        ValueError: If an end is open.
    """
    start_ns, end_ns = window.start_ns, window.end_ns
    if start_ns is None or end_ns is None:
        raise ValueError("a window is looked through between two ends")
    width_ns = max(_NARROWEST_NS, (end_ns - start_ns) // 2)
    overfull = 0
    while end_ns >= start_ns and overfull < _MOST_OVERFULL:
        since_ns = max(start_ns, end_ns - width_ns + 1)
        by_id, is_cut_off = ask(Window(since_ns, end_ns))
        if is_cut_off and end_ns - since_ns + 1 > _NARROWEST_NS:
            width_ns = max(_NARROWEST_NS, (end_ns - since_ns + 1) // 2)
            continue
        overfull = overfull + 1 if is_cut_off else 0
        yield Page(by_id, is_cut_off, since_ns)
        end_ns = since_ns - 1
        width_ns *= 2 if 2 * len(by_id) < limit else 1
