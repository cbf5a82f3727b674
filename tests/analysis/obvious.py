"""Plain, slow and obvious versions of what `traceq.analysis` does with arrays, straight from the definitions."""

from __future__ import annotations

from traceq.semantics import Kind
from traceq.traces import Span, Traces


def children(traces: Traces, row: int) -> list[Span]:
    return [traces.span(i) for i in range(traces.span_count) if traces.parents[i] == row]


def self_time(traces: Traces, row: int) -> int:
    """Count the nanoseconds of a span that no child covers, one interval after the other."""
    span = traces.span(row)
    covered = 0
    reached = span.start_ns
    for child in sorted(children(traces, row), key=lambda child: child.start_ns):
        start, end = max(child.start_ns, reached), min(child.end_ns, span.end_ns)
        if end > start:
            covered += end - start
            reached = end
    return span.duration_ns - covered


def critical_path(traces: Traces, root: int) -> list[tuple[int, int, int]]:
    """Walk back from the root's end, one step at a time: (row, start_ns, end_ns), latest first."""
    segments: list[tuple[int, int, int]] = []
    span = traces.span(root)
    _walk(traces, root, span.start_ns, span.end_ns, segments)
    return segments


def _walk(traces: Traces, row: int, low: int, high: int, segments: list[tuple[int, int, int]]) -> None:
    """Cover [low, high], the span's interval clipped to its ancestors."""
    waiting = []
    for child in children(traces, row):
        handed_over = traces.span(row).kind is Kind.PRODUCER and child.kind is Kind.CONSUMER
        start, end = max(child.start_ns, low), min(child.end_ns, high)
        if not handed_over and start < end:
            waiting.append((end, child.end_ns, -child.start_ns, -child.row, start, child.row))
    cursor = high
    while True:
        finished = [candidate for candidate in waiting if candidate[0] <= cursor]
        if not finished:
            break
        best = max(finished)
        waiting.remove(best)
        end, start, child_row = best[0], best[4], best[5]
        if end < cursor:
            segments.append((row, end, cursor))
        _walk(traces, child_row, start, end, segments)
        cursor = start
    if low < cursor:
        segments.append((row, low, cursor))
