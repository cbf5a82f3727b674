"""Finds the slowest traces of a window, although a server's limit keeps the newest.

A search that is cut off is repeated with a minimum duration, as high as the slowest traces seen so far, until few
enough traces remain for the answer to be complete. Then every trace above that minimum has been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isqrt

from msgspec import Struct

from traceq.catalog import TraceSummary, Window, with_responses
from traceq.query import TraceQuery
from traceq.sources.gathering import pages
from traceq.sources.interface import FoundSummaries, Source
from traceq.traces import TraceWarning, normal_id
from traceq.units import NS_PER_US, format_duration, format_time, plural

_MOST_ROUNDS = 12
MOST_LOOKED_AT = 5000
"""The number of traces that are looked at after the search by duration."""
_LOOK_AT_ONCE = 200
_LEAP_AFTER = 3
"""Rounds after which the minimum rises faster: if newer traces are ever faster, each round would gain little."""

Search = Callable[[TraceQuery], FoundSummaries]


def slowest_responses(source: Source, query: TraceQuery, count: int) -> FoundSummaries:
    """Find the traces in which a service took longest to respond, slowest first; see `find_slowest`.

    A response is a span of the service, and its duration is what servers look for: it takes whole traces to tell it,
    but nearly always not all of them.

    Raises:
        ValueError: If no service is named, or as for `find_slowest`.
    """
    service = query.service
    if service is None:
        raise ValueError("responses are those of a service: name one")

    def search(query: TraceQuery) -> FoundSummaries:
        found = source.find(query, with_attributes=False)
        return FoundSummaries(
            tuple(with_responses(found.traces, service, query.operation)),
            found.is_cut_off,
            found.notes,
            warnings=found.traces.warnings,
            is_partial=found.is_partial,
        )

    return find_slowest(search, query, count, by_response=True)


def find_slowest(search: Search, query: TraceQuery, count: int, *, by_response: bool = False) -> FoundSummaries:
    """Find the traces with the longest durations, longest first.

    Jaeger's minimum applies to the durations of matching spans, so a trace that lasts longer than each of these is
    found only by looking at it. About `MOST_LOOKED_AT` traces at most are looked at; the notes say which were.

    Args:
        search: Gives summaries for a query and tells whether they were cut off, as `Source.summaries` does.
        query: Which traces; its limit is how many are moved a round.
        count: How many to give, 1 or more.
        by_response: Whether the response time that summaries have is meant, and not the duration of the trace.

    Returns:
        At most `count` traces. `is_cut_off` tells that slower ones may have been missed; the notes tell why.

    Raises:
        ValueError: If `count` is below 1 or above the query's limit.
    """
    if count < 1:
        raise ValueError(f"1 trace or more can be asked for, not {count}")
    if query.limit is not None and query.limit < count:
        raise ValueError(f"{plural(count, 'trace')} cannot be found with a limit of {query.limit}")
    hunt = _Hunt(search, query, count, by_response=by_response)
    hunt.run()
    hunt.look_through()
    slowest = sorted(hunt.known.values(), key=lambda trace: (-hunt.length_ns(trace), normal_id(trace.trace_id)))
    listed = slowest[:count]
    ids = {summary.trace_id for summary in listed}
    return FoundSummaries(
        summaries=tuple(listed),
        is_cut_off=not (hunt.is_whole or hunt.is_proven),
        notes=tuple(dict.fromkeys((*hunt.notes, hunt.verdict()))),
        service_count=hunt.service_count,
        warnings=tuple(warning for warning in hunt.warnings if warning.trace_id in ids),
        is_partial=hunt.is_partial,
    )


class _Hunt(Struct):
    """Rounds of searching between a minimum that is too low (cut off) and one that is high enough (complete)."""

    search: Search
    query: TraceQuery
    count: int
    by_response: bool
    known: dict[str, TraceSummary] = {}
    """Every trace seen, by `normal_id`."""
    too_low_ns: int = 0
    complete_ns: int | None = None
    """The lowest minimum whose answer was complete; 0 if the first answer was."""
    complete_ids: frozenset[str] = frozenset()
    """The traces of that answer."""
    notes: list[str] = []
    warnings: dict[TraceWarning, None] = {}
    """Of every trace seen, each once."""
    service_count: int = 0
    is_partial: bool = False
    round_count: int = 0
    since_ns: int | None = None
    """Every trace of the window since then was seen; None for all of them, if the first answer or the last look was
    complete."""
    is_whole: bool = False
    """Whether every trace of the window was seen."""

    def length_ns(self, trace: TraceSummary) -> int:
        """Give what the slowest have most of."""
        return trace.response_ns or 0 if self.by_response else trace.duration_ns

    @property
    def is_proven(self) -> bool:
        """Whether no trace can be slower than those seen: whatever has the length asked for has such a span."""
        query = self.query
        is_of_another = query.has_tags or query.has_error or query.where is not None or query.max_duration_ns
        is_bound_to_span = self.by_response and not is_of_another
        return is_bound_to_span and self.complete_ns is not None and self._nth_length_ns() >= self.complete_ns

    def run(self) -> None:
        """Search until the answer is complete and large enough, or nothing new can be asked."""
        minimum_ns: int | None = self.query.min_duration_ns or 0
        while minimum_ns is not None and self.round_count < _MOST_ROUNDS:
            self._ask(minimum_ns)
            minimum_ns = self._next_minimum()

    def _ask(self, minimum_ns: int) -> None:
        self.round_count += 1
        found = self.search(self.query if self.round_count == 1 else replace(self.query, min_duration_ns=minimum_ns))
        by_id = self._add(found)
        self.service_count = found.service_count
        if found.is_cut_off:
            self.too_low_ns = minimum_ns
        else:
            self.complete_ns, self.complete_ids = minimum_ns, frozenset(by_id)

    def _add(self, found: FoundSummaries) -> dict[str, TraceSummary]:
        by_id = {normal_id(summary.trace_id): summary for summary in found.summaries}
        for trace_id, summary in by_id.items():
            known = self.known.get(trace_id)
            # Storages may answer with a part of a trace.
            if known is None or known.span_count <= summary.span_count:
                self.known[trace_id] = summary
        self.notes += found.notes
        self.is_partial |= found.is_partial
        self.warnings |= dict.fromkeys(found.warnings)
        return by_id

    def _next_minimum(self) -> int | None:
        """Return the next minimum: above one that was cut off, below one that was complete but returned too little."""
        if self.complete_ns is None:
            return self._higher_minimum()
        if self.round_count == 1 or len(self.complete_ids) >= self.count:
            return None
        # Durations span orders of magnitude, so the geometric mean halves the range.
        middle_ns = isqrt(max(self.too_low_ns, NS_PER_US) * self.complete_ns)
        return middle_ns if self.too_low_ns < middle_ns < self.complete_ns * 0.99 else None

    def _higher_minimum(self) -> int | None:
        """Return the duration of the slowest traces known, or four times the last minimum if that rises too slowly."""
        higher_ns = self._nth_length_ns()
        if higher_ns <= self.too_low_ns or self.round_count >= _LEAP_AFTER:
            higher_ns = max(higher_ns, 4 * self.too_low_ns)
        if self.query.max_duration_ns is not None:
            higher_ns = min(higher_ns, self.query.max_duration_ns)
        return higher_ns if higher_ns > self.too_low_ns else None

    def _nth_length_ns(self) -> int:
        lengths = sorted(map(self.length_ns, self.known.values()), reverse=True)
        return lengths[self.count - 1] if len(lengths) >= self.count else 0

    def look_through(self) -> None:
        """Look at the traces of the window, newest first, until all were seen or enough of them."""
        self.is_whole = self.complete_ns == (self.query.min_duration_ns or 0)
        if self.is_whole or self.is_proven or not self.known:
            return
        window = self.query.window
        newest_ns = max(summary.start_ns for summary in self.known.values())
        end_ns = newest_ns if window.end_ns is None else window.end_ns
        if window.start_ns is None or window.start_ns > end_ns:
            return
        limit = max(self.query.limit or 0, _LOOK_AT_ONCE)

        def ask(piece: Window) -> tuple[Mapping[str, TraceSummary], bool]:
            found = self.search(replace(self.query, window=piece, limit=limit))
            return self._add(found), found.is_cut_off

        is_cut_off, since_ns = False, end_ns
        for page in pages(ask, Window(window.start_ns, end_ns), limit):
            is_cut_off, since_ns = is_cut_off or page.is_cut_off, page.since_ns
            if len(self.known) >= MOST_LOOKED_AT:
                break
        self.is_whole = since_ns <= window.start_ns and not is_cut_off
        self.since_ns = None if is_cut_off else since_ns

    def verdict(self) -> str:
        """Say how certain the answer is, and why."""
        if self.is_whole:
            return "exact: every trace of the window was seen"
        if self.complete_ns is None or self._nth_length_ns() < self.complete_ns:
            return self._doubt()
        if self.is_proven:
            return f"exact: every trace with {self._span()} of at least {format_duration(self.complete_ns)} was seen"
        looked_at = "" if self.since_ns is None else f" and every one since {format_time(self.since_ns)}"
        return (
            f"not exact: every trace with {self._span()} of at least {format_duration(self.complete_ns)} was seen"
            f"{looked_at}, {plural(len(self.known), 'trace')} in all; others may last longer than each of their spans, "
            "as where a message waited"
        )

    def _span(self) -> str:
        query = self.query
        is_any = not (query.service or query.operation or query.has_tags or query.has_error)
        return "a span" if is_any else "a matching span"

    def _doubt(self) -> str:
        seen = f"slowest of {plural(len(self.known), 'trace')} seen"
        cut_off = "the limit cuts the answer off"
        if self.too_low_ns:
            cut_off = f"the limit cuts off those of at least {format_duration(self.too_low_ns)}"
        if self.complete_ns is None:
            return f"not exact, {seen}: {cut_off}"
        complete = f"of at least {format_duration(self.complete_ns)} there are {len(self.complete_ids)} in all"
        return f"not exact, {seen}: {cut_off}, {complete}"
