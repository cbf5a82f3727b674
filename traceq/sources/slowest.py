"""Finds the slowest traces of a window, although a server's limit keeps the newest.

A search that is cut off is repeated with a minimum duration, as high as the slowest traces seen so far, until few
enough traces remain for the answer to be complete. Then every trace above that minimum has been seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isqrt

from traceq.catalog import TraceSummary
from traceq.query import TraceQuery
from traceq.sources.interface import FoundSummaries
from traceq.traces import TraceWarning, normal_id
from traceq.units import NS_PER_US, format_duration, plural

_MOST_ROUNDS = 12
_LEAP_AFTER = 3
"""Rounds after which the minimum rises faster: if newer traces are ever faster, each round would gain little."""

Search = Callable[[TraceQuery], FoundSummaries]


def find_slowest(search: Search, query: TraceQuery, count: int) -> FoundSummaries:
    """Find the traces with the longest durations, longest first.

    Jaeger's minimum applies to the durations of matching spans, so a trace that lasts longer than each of these can be
    missed. Whether that happens is estimated from the traces seen, and said in the notes.

    Args:
        search: Gives summaries for a query and tells whether they were cut off, as `Source.summaries` does.
        query: Which traces; its limit is how many are moved a round.
        count: How many to give, 1 or more.

    Returns:
        At most `count` traces. `is_cut_off` tells that slower ones may have been missed; the notes tell why.

    Raises:
        ValueError: If `count` is below 1 or above the query's limit.
    """
    if count < 1:
        raise ValueError(f"1 trace or more can be asked for, not {count}")
    if query.limit is not None and query.limit < count:
        raise ValueError(f"{plural(count, 'trace')} cannot be found with a limit of {query.limit}")
    hunt = _Hunt(search, query, count)
    hunt.run()
    slowest = sorted(hunt.known.values(), key=lambda trace: (-trace.duration_ns, normal_id(trace.trace_id)))
    listed = slowest[:count]
    ids = {summary.trace_id for summary in listed}
    return FoundSummaries(
        summaries=tuple(listed),
        is_cut_off=not hunt.is_exact or hunt.hidden_count() > 0,
        notes=tuple(dict.fromkeys((*hunt.notes, hunt.verdict()))),
        service_count=hunt.service_count,
        warnings=tuple(warning for warning in hunt.warnings if warning.trace_id in ids),
    )


@dataclass(slots=True)
class _Hunt:
    """Rounds of searching between a minimum that is too low (cut off) and one that is high enough (complete)."""

    search: Search
    query: TraceQuery
    count: int
    known: dict[str, TraceSummary] = field(default_factory=dict)
    """Every trace seen, by `normal_id`."""
    too_low_ns: int = 0
    complete_ns: int | None = None
    """The lowest minimum whose answer was complete; 0 if the first answer was."""
    complete_ids: frozenset[str] = frozenset()
    """The traces of that answer."""
    notes: list[str] = field(default_factory=list)
    warnings: dict[TraceWarning, None] = field(default_factory=dict)
    """Of every trace seen, each once."""
    service_count: int = 0
    round_count: int = 0

    def run(self) -> None:
        """Search until the answer is complete and large enough, or nothing new can be asked."""
        minimum_ns: int | None = self.query.min_duration_ns or 0
        while minimum_ns is not None and self.round_count < _MOST_ROUNDS:
            self._ask(minimum_ns)
            minimum_ns = self._next_minimum()

    def _ask(self, minimum_ns: int) -> None:
        self.round_count += 1
        found = self.search(self.query if self.round_count == 1 else replace(self.query, min_duration_ns=minimum_ns))
        by_id = {normal_id(summary.trace_id): summary for summary in found.summaries}
        self.known |= by_id
        self.notes += found.notes
        self.warnings |= dict.fromkeys(found.warnings)
        self.service_count = found.service_count
        if found.is_cut_off:
            self.too_low_ns = minimum_ns
        else:
            self.complete_ns, self.complete_ids = minimum_ns, frozenset(by_id)

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
        higher_ns = self._nth_duration_ns()
        if higher_ns <= self.too_low_ns or self.round_count >= _LEAP_AFTER:
            higher_ns = max(higher_ns, 4 * self.too_low_ns)
        if self.query.max_duration_ns is not None:
            higher_ns = min(higher_ns, self.query.max_duration_ns)
        return higher_ns if higher_ns > self.too_low_ns else None

    def _nth_duration_ns(self) -> int:
        durations = sorted((trace.duration_ns for trace in self.known.values()), reverse=True)
        return durations[self.count - 1] if len(durations) >= self.count else 0

    @property
    def is_exact(self) -> bool:
        """Whether all traces that are at least as slow as the result were seen, apart from hidden ones."""
        if self.complete_ns is None:
            return False
        return self.round_count == 1 or self._nth_duration_ns() >= self.complete_ns

    def hidden_count(self) -> int:
        """Count the traces seen that are missing from a complete answer although they last longer than its minimum.

        Each of them lasts longer than its longest matching span; others like them may have been missed.
        """
        if self.complete_ns is None or self.round_count == 1:
            return 0
        return sum(
            trace.duration_ns >= max(self.complete_ns, self._nth_duration_ns())
            for trace_id, trace in self.known.items()
            if trace_id not in self.complete_ids
        )

    def verdict(self) -> str:
        """Say how certain the answer is, and why."""
        if self.complete_ns is None or not self.is_exact:
            return self._doubt()
        if self.round_count == 1:
            return "exact: every trace of the window was seen"
        seen = f"every trace with {self._span()} of at least {format_duration(self.complete_ns)} was seen"
        hidden = self.hidden_count()
        if not hidden:
            return f"exact: {seen}"
        return (
            f"{seen}, but {plural(hidden, 'trace')} among the slowest last longer than their longest such span: "
            "more of that kind may have been missed"
        )

    def _span(self) -> str:
        query = self.query
        is_any = not (query.service or query.operation or query.attributes or query.has_error)
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
