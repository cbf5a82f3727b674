"""Candidates that a server gave to a search: made whole, and checked.

A search may give a part of a trace only: Jaeger 1.51 on Elasticsearch gives spans from an hour before the window on,
other servers clip traces to the window, leave out the attributes of resources (GreptimeDB), or give nothing but the
roots (Quickwit). By id every one of them gives all it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import TypeAlias

from msgspec import Struct, field, structs

from traceq.catalog import TraceSummary, Window
from traceq.errors import ServerError
from traceq.query import TraceQuery, matching
from traceq.sources.dialects import Answered, Parts
from traceq.sources.gathering import Candidates
from traceq.sources.interface import MOST_AT_ONCE
from traceq.traces import Traces, normal_id
from traceq.units import plural

_MOST_ASKED = 200
"""The number of traces of one answer that are asked for by id."""
_PROBES = 3
"""Number of traces that are asked for by id: if none has more spans then, the others are as complete as they can be."""
_MOST_FRUITLESS = 4
"""The number of answers that are probed in vain before single spans are taken for whole traces."""
_MOST_ROOTLESS = 20
"""The number of traces of one answer that are asked for by id to find out what they are called."""
_ROOTS_ONLY = "searches of this server give only a part of each trace: asked for by id"


_Sizes: TypeAlias = Callable[[str], tuple[int, int]]
"""Gives the numbers of spans, and of spans whose host is known, of a trace by its id."""


class Completed(Struct, frozen=True):
    """Traces as whole as the server gives them."""

    by_id: Mapping[str, Parts]
    """Those that have more by id than in the answer to a search."""
    notes: tuple[str, ...] = ()
    is_partial: bool = False
    """Whether some may still be parts."""


class _Gained(Struct, frozen=True):
    """What asking for traces by id gave."""

    by_id: Mapping[str, Parts] = {}
    """Those that have more than was known."""
    failures: tuple[ServerError, ...] = ()
    """The search was answered: what can be said of these is that its traces may be parts."""

    def __add__(self, other: _Gained) -> _Gained:
        return _Gained({**self.by_id, **other.by_id}, self.failures + other.failures)

    def completed(self, *notes: str, is_partial: bool = False) -> Completed:
        failed = [f"traces may be parts, asking for them by id failed: {each.message}" for each in self.failures[:1]]
        return Completed(self.by_id, (*notes, *failed), is_partial or bool(self.failures))


class Completer(Struct):
    """Completes what searches of one server find; several threads may use it at once.

    Args:
        ask: Gives a trace by its id; None if there is none.
        sizes: Counts the spans of a trace, undecoded, and those of them whose host is known.
        most_spans: The number of spans at which the server may cut a trace off; None if it does not.
    """

    ask: Callable[[str], Parts | None]
    sizes: Callable[[Parts], tuple[int, int]]
    most_spans: int | None
    _gives_roots_only: bool | None = None
    """Whether answers hold nothing but the roots of traces; found out once."""
    _fruitless_count: int = 0
    _leaves_hosts_out: bool = True
    """Whether answers may leave out attributes of resources; found out once."""
    _gives_parts: bool = False
    """Whether any trace turned out to be a part."""
    _probing: Lock = field(default_factory=Lock)

    def whole(self, answered: Answered[Parts]) -> Answered[Parts]:
        """Complete an answer of nothing but single spans, before anything is checked on it, if they may be roots only.

        Raises:
            SourceError: If the server cannot be reached.
        """
        # Services are asked for side by side; what is found out for one holds for the others.
        with self._probing:
            if self._gives_roots_only is False or not answered.by_id:
                return answered
            if any(self.sizes(parts)[0] > 1 for parts in answered.by_id.values()):
                self._gives_roots_only = bool(self._gives_roots_only)
                return answered
            doubtful = [parts[0].trace_id for parts in answered.by_id.values()]
            gained = self._gained(doubtful, _single, helps=bool(self._gives_roots_only))
            if gained.by_id:
                self._gives_roots_only = True
            elif not self._gives_roots_only:
                self._fruitless_count += 1
                self._gives_roots_only = False if self._fruitless_count >= _MOST_FRUITLESS else None
            completed = gained.completed(*([_ROOTS_ONLY] if gained.by_id else []))
            by_id = {**answered.by_id, **completed.by_id}
            return Answered(by_id, (*answered.notes, *completed.notes), completed.is_partial)

    def with_hosts(self, traces: Traces) -> Completed:
        """Give the traces of an answer by id that have lost the attributes of resources which others there have."""
        return self._hosts(traces).completed()

    def _hosts(self, traces: Traces) -> _Gained:
        doubtful = _without_hosts(traces) if self._leaves_hosts_out else []
        gained = self._gained(doubtful, _sizes(traces))
        self._leaves_hosts_out &= bool(gained.by_id) or not doubtful
        return gained

    def complete(self, traces: Traces, end_ns: int) -> Completed:
        """Ask for the traces that may be parts.

        Args:
            traces: What a search found.
            end_ns: The end of its window.

        Raises:
            SourceError: If the server cannot be reached.
        """
        known = _sizes(traces)
        hosts = self._hosts(traces)
        self._gives_parts |= bool(hosts.by_id)
        more = _Gained()
        unasked_count = 0
        beyond, near = _beyond(traces, end_ns)
        for doubtful, is_likely in ((_without_parents(traces), True), (beyond, True), (near, False)):
            if not (is_likely or self._gives_parts):
                continue
            gained = self._gained(doubtful[:_MOST_ASKED], known)
            self._gives_parts |= bool(gained.by_id)
            unasked_count += max(0, len(doubtful) - _MOST_ASKED) if gained.by_id else 0
            more += gained
        cut = [trace_id for at, trace_id in enumerate(traces.trace_ids) if len(traces.rows(at)) == self.most_spans]
        notes = []
        if more.by_id:
            notes.append(f"the search gave only a part of {plural(len(more.by_id), 'trace')}: asked for by id")
        if unasked_count:
            notes.append(f"of {plural(unasked_count, 'trace')} more it may have given a part only")
        if cut:
            notes.append(
                f"the server may have cut off {plural(len(cut), 'trace')} at {self.most_spans} spans: {cut[0]}"
            )
        return (hosts + more).completed(*notes, is_partial=bool(unasked_count or cut))

    def with_roots(
        self, summaries: Sequence[TraceSummary], summarized: Callable[[Parts], TraceSummary]
    ) -> list[TraceSummary]:
        """Name traces after their roots where the server does not: where every span that has no parent misses it."""
        rootless = [summary.trace_id for summary in summaries if not summary.root_service][:_MOST_ROOTLESS]
        roots = {
            trace_id: summarized(answer)
            for trace_id, answer in zip(rootless, self._answers(rootless), strict=True)
            if not (answer is None or isinstance(answer, ServerError))
        }
        return [
            structs.replace(
                summary, root_service=root.root_service, root_name=root.root_name, orphan_count=root.orphan_count
            )
            if (root := roots.get(summary.trace_id))
            else summary
            for summary in summaries
        ]

    def _gained(self, doubtful: Sequence[str], known: _Sizes, *, helps: bool = False) -> _Gained:
        """Ask for some traces by id, and for the others if there is more of one of these, or if it is known to help."""
        some = self._longer(doubtful[:_PROBES], known)
        return some + self._longer(doubtful[_PROBES:], known) if some.by_id or helps else some

    def _longer(self, trace_ids: Sequence[str], known: _Sizes) -> _Gained:
        """Ask, several at a time, and keep the traces that have more spans, or as many and more hosts."""
        answers = self._answers(trace_ids)
        by_id = {
            normal_id(trace_id): answer
            for trace_id, answer in zip(trace_ids, answers, strict=True)
            if not (answer is None or isinstance(answer, ServerError)) and self.sizes(answer) > known(trace_id)
        }
        return _Gained(by_id, tuple(answer for answer in answers if isinstance(answer, ServerError)))

    def _answers(self, trace_ids: Sequence[str]) -> list[Parts | ServerError | None]:
        if not trace_ids:
            return []
        with ThreadPoolExecutor(MOST_AT_ONCE) as executor:
            return list(executor.map(self._asked, trace_ids))

    def _asked(self, trace_id: str) -> Parts | ServerError | None:
        try:
            return self.ask(trace_id)
        except ServerError as error:
            return error


def _single(_trace_id: str) -> tuple[int, int]:
    return 1, 1


def _sizes(traces: Traces) -> _Sizes:
    """Give a function that counts the spans of a trace, and those whose host is known."""
    positions = {trace_id: at for at, trace_id in enumerate(traces.trace_ids)}

    def size(trace_id: str) -> tuple[int, int]:
        rows = traces.rows(positions[trace_id])
        return len(rows), len(rows) - traces.host_codes[rows.start : rows.stop].count(0)

    return size


def _without_hosts(traces: Traces) -> list[str]:
    """Give the traces with a span whose host is unknown, though other traces name one for the same service."""
    if not 0 < traces.host_codes.count(0) < len(traces.host_codes):
        return []
    pairs = set(zip(traces.service_codes, traces.host_codes, strict=True))
    bare = {service for service, host in pairs if not host} & {service for service, host in pairs if host}
    return [
        trace_id
        for at, trace_id in enumerate(traces.trace_ids)
        if any(traces.host_codes[row] == 0 and traces.service_codes[row] in bare for row in traces.rows(at))
    ]


def _without_parents(traces: Traces) -> list[str]:
    positions = sorted({traces.trace_of(row) for row in traces.missing_parents})
    return [traces.trace_ids[at] for at in positions]


def _beyond(traces: Traces, end_ns: int) -> tuple[list[str], list[str]]:
    """Give the traces that last beyond the window, and those that might if they took as long as the longest.

    Spans that begin after the window may have been left out, and of what was not waited for nothing else tells.
    """
    beyond, near = [], []
    ends = [
        max((traces.start_ns[row] + traces.duration_ns[row] for row in traces.rows(at)), default=0)
        for at in range(len(traces))
    ]
    if not ends or 2 * max(ends) - min(traces.start_ns) <= end_ns:
        return [], []  # every trace ended long before
    longest_ns = max(
        (last - min(traces.start_ns[row] for row in traces.rows(at)) for at, last in enumerate(ends) if last), default=0
    )
    for trace_id, last_ns in zip(traces.trace_ids, ends, strict=True):
        if last_ns > end_ns:
            beyond.append(trace_id)
        elif last_ns + longest_ns > end_ns:
            near.append(trace_id)
    return beyond, near


_MOST_SHARES = 1000
"""The maximum number of services per trace in Elasticsearch's own summaries, which leave out the rest."""


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


def _newest_positions(traces: Traces, positions: Iterable[int]) -> list[int]:
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
        kept = _newest_positions(traces, matching(traces, exactly))
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
