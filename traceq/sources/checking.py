"""Checks whole traces that a server found by the meaning that a query has everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from traceq.query import TraceQuery, matching
from traceq.sources.candidates import Candidates, newest_positions
from traceq.sources.dialects import Parts
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class Checked:
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


@dataclass(frozen=True, slots=True)
class Check:
    """Decides which traces match.

    Args:
        query: The conditions.
        resolution_ns: The resolution of the times in the server's answers.
        read: Decodes traces, with attributes if the query needs them.
    """

    query: TraceQuery
    resolution_ns: int
    read: Callable[[Iterable[Parts]], Traces]

    def __call__(self, candidates: Candidates[Parts]) -> Checked:
        """Check an answer."""
        traces = self.read(candidates.by_id.values())
        exactly = self._at_resolution()
        kept = newest_positions(traces, matching(traces, exactly))
        without_bounds = replace(exactly, min_trace_duration_ns=None, max_trace_duration_ns=None)
        exact_count = len(matching(traces, without_bounds)) if self.query.has_trace_bounds else len(kept)
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
