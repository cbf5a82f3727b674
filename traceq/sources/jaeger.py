"""A Jaeger query server, of any version since 1.51, as a source of traces.

A server's answer is a candidate set: storages differ in what they make of a query. Everything found as whole traces is
checked here again, by the one meaning that `query.matching` gives it for every source.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from traceq.catalog import Operation, ServiceCall, TraceSummary, Window, summarize
from traceq.codec import PartsLeftOut, read_table
from traceq.codec.wire import collector_paused
from traceq.errors import NotFoundError, SourceError
from traceq.query import TraceQuery, matching
from traceq.records import Codebook
from traceq.sources.candidates import (
    Candidates,
    ask_each,
    lasts_as_asked,
    may_match,
    newest_positions,
    newest_summaries,
)
from traceq.sources.dialects import (
    Answered,
    BoundedQuery,
    Dialect,
    NoSuchRouteError,
    Parts,
    ask_dependencies,
    ask_summaries,
    find_dialect,
    reading,
)
from traceq.sources.http import HttpClient
from traceq.sources.interface import (
    ConnectionOptions,
    Found,
    FoundSummaries,
    LeftOut,
    ProgressListener,
    nearest_names,
    no_progress,
)
from traceq.sources.refusals import ServerError
from traceq.sources.tags import LONGEST_INDEXED, other_ways
from traceq.traces import Traces
from traceq.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_US, plural
from traceq.untrusted import printable

logger = logging.getLogger(__name__)

_Trace = TypeVar("_Trace", Parts, TraceSummary)
_Ask = Callable[[BoundedQuery], Answered[_Trace]]

MOST_TRACES = 1000
"""Asked for when the query has no limit, or one that counts only after a check here.

VictoriaTraces refuses more; Elasticsearch, ClickHouse and memory storage take it as they are configured by default.
"""
_LOOKBACK_NS = 48 * NS_PER_HOUR
"""Where a window is open to the past: v1's own default, sent to every server. From 1970 on, Elasticsearch would have to
look at 20,000 daily indices and refuses."""
_DEPENDENCIES_LOOKBACK_NS = 7 * NS_PER_DAY
"""Jaeger UI's choice."""
_CLOCK_ALLOWANCE_NS = NS_PER_HOUR
"""Where a window is open to the future: clocks of traced hosts may be ahead of this one."""

_TOO_LONG = (
    f"Elasticsearch and OpenSearch do not index values and names of more than {LONGEST_INDEXED} characters: these "
    "conditions were checked among the newest traces that meet the others"
)
_TRACE_ID = re.compile(r"[0-9a-f]{1,32}")
_NEEDS_SERVICE = "requires a service name"
_NOT_TOGETHER = "cannot query for duration and tags simultaneously"


class JaegerSource:
    """A Jaeger query server.

    Nothing is sent before the first question, which also finds out which dialect the server speaks.

    Args:
        base_url: Where the server is, with its base path if it has one.
        options: Credentials, certificates, timeout.
        progress: Told how far questions that take several requests have come.
        clock: The time now, in nanoseconds since the epoch.

    Raises:
        ValueError: If the URL or a header cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        options: ConnectionOptions,
        progress: ProgressListener = no_progress,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = HttpClient(base_url, options)
        self._progress = progress
        self._clock = clock
        self._known_dialect: Dialect | None = None
        # What the request that finds the dialect out tells besides: good for the first who wants to know, not for ever.
        self._first_services: tuple[str, ...] | None = None
        # Found out by asking, once: a summaries route, and a search that needs no service.
        self._has_summaries = True
        self._needs_service = False

    @property
    def location(self) -> str:
        """The base URL, without user and password."""
        return self._client.address.url

    @property
    def locations(self) -> tuple[str, ...]:
        """The base URL."""
        return (self.location,)

    @property
    def trace_url(self) -> str:
        """The page of a trace in Jaeger UI, with `{trace_id}` in it."""
        return f"{self.location}/trace/{{trace_id}}"

    @property
    def is_live(self) -> bool:
        """Yes: new traces reach it."""
        return True

    def services(self) -> tuple[str, ...]:
        """List the services it knows, sorted; Elasticsearch knows those of the last 72 hours."""
        dialect = self._dialect
        services, self._first_services = self._first_services, None
        return dialect.services() if services is None else services

    def operations(self, service: str) -> tuple[Operation, ...]:
        """List the operations of a service, sorted.

        Raises:
            NotFoundError: If the server knows no such service.
        """
        operations = self._dialect.operations(service)
        if not operations:
            self._check_service(service)
        return operations

    def find(self, query: TraceQuery, *, with_attributes: bool = True) -> Found:
        """Find the traces that match, newest first; the limit keeps the newest.

        Without a service every service is asked, up to eight at a time, unless the server searches them all itself.

        Raises:
            NotFoundError: If nothing is found and the server knows no such service, or no such operation of it.
        """
        found, _ = self._search(query, with_details=with_attributes)
        return found

    def read(self, query: TraceQuery) -> Iterator[Traces]:
        """Give the traces that match in one batch; what `find` would note is logged as a warning."""
        found = self.find(query)
        for note in found.notes:
            logger.warning("%s: %s", self.location, note)
        if found.is_cut_off:
            logger.warning("%s: there may be more traces than the %s read", self.location, len(found.traces))
        if len(found.traces):
            yield found.traces

    def summaries(self, query: TraceQuery) -> FoundSummaries:
        """Find the traces that match, in short, newest first.

        From the server's own summaries where it has them (2.19 and later); they are checked as far as they go, see
        `candidates.may_match`. Tags cannot be checked on them, so a query with tags moves whole traces.

        Raises:
            NotFoundError: If nothing is found and the server knows no such service, or no such operation of it.
        """
        found = self._search_summaries(query) if self._has_summaries and not query.attributes else None
        if found is not None:
            return found
        whole, service_count = self._search(query, with_details=False)
        summaries = tuple(summarize(whole.traces))
        return FoundSummaries(summaries, whole.is_cut_off, whole.notes, service_count, whole.traces.warnings)

    def trace(self, trace_id: str) -> Traces:
        """Give one trace by its id; a prefix will not do, no version of Jaeger looks for one.

        Raises:
            NotFoundError: If there is none, or it cannot be an id.
        """
        wanted = trace_id.strip().lower()
        if not _TRACE_ID.fullmatch(wanted):
            raise NotFoundError(
                f"no trace '{printable(trace_id)}' at {self.location}: that is not a trace id",
                hint="a trace id is written with up to 32 digits, 0 to 9 and a to f",
            )
        answered = self._dialect.trace(wanted)
        for note in answered.notes:
            logger.warning("%s: %s", self.location, note)
        if not answered.by_id:
            raise NotFoundError(
                f"no trace {wanted} at {self.location}",
                hint="is the id complete? with Elasticsearch, traces older than 72 h are found by search only",
            )
        with reading(self._client):
            return read_table(answered.by_id.values(), with_details=True)

    def dependencies(self, window: Window) -> tuple[ServiceCall, ...]:
        """Give the calls that Jaeger has on record; empty where no job computes them (Elasticsearch, Cassandra).

        A window open to the past begins seven days before its end.
        """
        end_ns = self._clock() if window.end_ns is None else window.end_ns
        start_ns = end_ns - _DEPENDENCIES_LOOKBACK_NS if window.start_ns is None else window.start_ns
        return ask_dependencies(self._client, min(start_ns, end_ns), end_ns)

    @property
    def _dialect(self) -> Dialect:
        if self._known_dialect is None:
            self._known_dialect, self._first_services = find_dialect(self._client)
            logger.debug("%s speaks %s", self.location, type(self._known_dialect).__name__)
        return self._known_dialect

    def _search(self, query: TraceQuery, *, with_details: bool) -> tuple[Found, int]:
        """Find whole traces, and tell how many services were asked one by one."""
        checked = self._exact(query, has_details=with_details or bool(query.attributes))
        if not checked.kept:
            self._check_names(query)
        chosen = checked.traces.select(checked.kept[: query.limit])
        candidates = checked.candidates
        found = Found(
            chosen,
            candidates.is_cut_off or len(checked.kept) > len(chosen),
            _notes(query, candidates, checked.dropped_count),
            None if with_details or query.attributes else self._left_out(candidates, chosen),
        )
        return found, candidates.service_count

    def _exact(self, query: TraceQuery, *, has_details: bool) -> _Checked:
        """Ask, and ask in other ways where the storage may not have compared tags exactly; keep the best answer."""
        answers = [self._attempt(query, query, has_details=has_details)]
        if not _is_settled(answers[0]):
            is_short = isinstance(answers[0], _Checked) and answers[0].is_short_of_room
            for sent in other_ways(query, is_short_of_room=is_short):
                answers.append(self._attempt(query, sent, has_details=has_details))
                if _is_settled(answers[-1]):
                    break
        checked = [answer for answer in answers if isinstance(answer, _Checked)]
        for failure in answers:
            if not checked and isinstance(failure, SourceError):
                raise failure
        return max(checked, key=lambda answer: len(answer.kept))

    def _attempt(self, query: TraceQuery, sent: TraceQuery, *, has_details: bool) -> _Checked | SourceError:
        """Ask with the conditions of one query, and keep what matches another; give a refusal, do not raise it."""
        try:
            candidates = self._gather(sent, self._dialect.search, self._span_count)
        except SourceError as error:
            if not _is_refusal(error):
                raise
            return error
        if sent.operation != query.operation or len(sent.attributes) < len(query.attributes):
            candidates = replace(candidates, notes=(*candidates.notes, _TOO_LONG))
        with reading(self._client):
            traces = read_table(candidates.by_id.values(), with_details=has_details)
        exactly = _at_resolution(query, self._dialect.resolution_ns)
        kept = newest_positions(traces, matching(traces, exactly))
        exact_count = len(matching(traces, _without_trace_bounds(exactly))) if _has_trace_bounds(query) else len(kept)
        return _Checked(candidates, traces, kept, len(traces) - exact_count)

    def _left_out(self, candidates: Candidates[Parts], traces: Traces) -> LeftOut:
        read = partial(read_table, with_details=True)
        return PartsLeftOut.of(traces, candidates.by_id, read, partial(reading, self._client))

    def _span_count(self, parts: Parts) -> int:
        with reading(self._client), collector_paused():
            return sum(len(part.coded(Codebook(), with_details=False).span_ids) for part in parts)

    def _search_summaries(self, query: TraceQuery) -> FoundSummaries | None:
        """Find summaries; None where the server has none, or could not be asked for all that the query says."""
        try:
            candidates = self._gather(query, self._ask_summaries, lambda summary: summary.span_count)
        except NoSuchRouteError:
            self._has_summaries = False
            return None
        if candidates.is_relaxed:
            return None
        if not candidates.by_id:
            self._check_names(query)
        possible = [summary for summary in candidates.by_id.values() if may_match(summary, query)]
        kept = newest_summaries(summary for summary in possible if lasts_as_asked(summary, query))
        return FoundSummaries(
            tuple(kept[: query.limit]),
            candidates.is_cut_off or len(kept) > len(kept[: query.limit]),
            _notes(query, candidates, len(candidates.by_id) - len(possible)),
            candidates.service_count,
        )

    def _ask_summaries(self, bounded: BoundedQuery) -> Answered[TraceSummary]:
        return ask_summaries(self._client, bounded)

    def _gather(self, query: TraceQuery, ask: _Ask[_Trace], span_count: Callable[[_Trace], int]) -> Candidates[_Trace]:
        """Ask once, or once for each service."""
        if query.service is not None or self._searches_all_services():
            candidates = self._ask_once(query, ask)
            if candidates is not None:
                return candidates
        return ask_each(
            self.services(), lambda service: self._ask(replace(query, service=service), ask), span_count, self._progress
        )

    def _searches_all_services(self) -> bool:
        return self._dialect.searches_all_services and not self._needs_service

    def _ask_once(self, query: TraceQuery, ask: _Ask[_Trace]) -> Candidates[_Trace] | None:
        """Ask with one request; None when the storage turns out to need a service's name."""
        try:
            return self._ask(query, ask)
        except ServerError as error:
            if query.service is not None or _NEEDS_SERVICE not in error.told:
                raise
            self._needs_service = True
            return None

    def _ask(self, query: TraceQuery, ask: _Ask[_Trace]) -> Candidates[_Trace]:
        """Ask with one request, or two: Cassandra does not look for tags and durations at once."""
        bounded = self._bounded(query)
        try:
            answered, is_relaxed = ask(bounded), False
        except ServerError as error:
            if _NOT_TOGETHER not in error.told:
                raise
            without = replace(query, min_duration_ns=None, max_duration_ns=None)
            answered, is_relaxed = ask(replace(bounded, query=without)), True
        return Candidates(answered.by_id, len(answered.by_id) >= bounded.limit, is_relaxed, answered.notes)

    def _bounded(self, query: TraceQuery) -> BoundedQuery:
        now_ns, window = self._clock(), query.window
        end_ns = now_ns + _CLOCK_ALLOWANCE_NS if window.end_ns is None else window.end_ns
        start_ns = (window.end_ns or now_ns) - _LOOKBACK_NS if window.start_ns is None else window.start_ns
        limit = MOST_TRACES if query.limit is None or _has_trace_bounds(query) else query.limit
        # v3 refuses a window without length.
        return BoundedQuery(query, max(0, start_ns), max(end_ns, start_ns + NS_PER_US), limit)

    def _check_names(self, query: TraceQuery) -> None:
        """Tell a name that does not exist from one that nothing was found for; asked only when nothing was found."""
        service, operation = query.service, query.operation
        if service is None:
            return
        self._check_service(service)
        if operation is None:
            return
        names = sorted({known.name for known in self._dialect.operations(service)})
        if operation not in names:
            raise NotFoundError(
                f"no operation named '{printable(operation)}' in service '{printable(service)}' at {self.location}",
                hint=nearest_names(operation, names, self, "operations", service),
            )

    def _check_service(self, service: str) -> None:
        services = self.services()
        if service not in services:
            raise NotFoundError(
                f"no service named '{printable(service)}' at {self.location}",
                hint=nearest_names(service, services, self, "services"),
            )


@dataclass(frozen=True, slots=True)
class _Checked:
    """An answer as whole traces, and which of them match."""

    candidates: Candidates[Parts]
    traces: Traces
    kept: list[int]
    """Positions of the traces that match, newest first."""
    dropped_count: int
    """Traces that do not match, whatever the bounds on the duration of the whole trace."""

    @property
    def is_short_of_room(self) -> bool:
        """Whether traces that do not match took the place of others."""
        return self.candidates.is_cut_off and self.dropped_count > 0


def _is_settled(answer: _Checked | SourceError) -> bool:
    """Tell whether asking in another way would find nothing more."""
    if isinstance(answer, SourceError):
        return False
    return bool(answer.kept) and not answer.is_short_of_room


def _is_refusal(error: SourceError) -> bool:
    """Tell whether the server disliked the question, as far as its answer shows."""
    refused = error if isinstance(error, ServerError) else error.__cause__
    if not isinstance(refused, ServerError):
        return False
    return refused.status == HTTPStatus.BAD_REQUEST or refused.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _at_resolution(query: TraceQuery, resolution_ns: int) -> TraceQuery:
    """Lower bounds to what the server's answers can show: v1 cuts starts and durations to microseconds."""
    start_ns, least_ns = query.window.start_ns, query.min_duration_ns
    return replace(
        query,
        min_duration_ns=None if least_ns is None else least_ns - least_ns % resolution_ns,
        window=replace(query.window, start_ns=None if start_ns is None else start_ns - start_ns % resolution_ns),
    )


def _has_trace_bounds(query: TraceQuery) -> bool:
    return query.min_trace_duration_ns is not None or query.max_trace_duration_ns is not None


def _without_trace_bounds(query: TraceQuery) -> TraceQuery:
    return replace(query, min_trace_duration_ns=None, max_trace_duration_ns=None)


def _notes(query: TraceQuery, candidates: Candidates[_Trace], dropped_count: int) -> tuple[str, ...]:
    notes = list(candidates.notes)
    if query.window.start_ns is None:
        notes.append("no start was given, so the search went back 48 hours")
    if candidates.is_relaxed:
        notes.append(
            "the server's storage cannot look for tags and durations at once: durations were checked afterwards, "
            "among the traces it found by tags"
        )
    elif dropped_count:
        left_out = f"left out {plural(dropped_count, 'trace')} that the server found but that did not match exactly"
        why = "some storages take tags of different spans together, or read values as patterns"
        notes.append(f"{left_out}: {why}" if query.attributes or query.has_error else left_out)
    return tuple(notes)
