"""Plain, slow and obvious versions of what `traceq.analysis` does with arrays, straight from the definitions."""

from __future__ import annotations

from dataclasses import dataclass

from tests.analysis.obvious_roles import is_handed_over
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
    span = traces.span(root)
    return _held(traces, _Call(span, span.start_ns, span.end_ns), span.start_ns, span.end_ns)


@dataclass(frozen=True)
class _Call:
    """A span, and its interval clipped to its ancestors."""

    span: Span
    low: int
    high: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Rise with the end; of the same end the one to choose comes last."""
        return self.high, self.span.end_ns, -self.span.start_ns, -self.span.row


def _held(traces: Traces, call: _Call, start: int, end: int) -> list[tuple[int, int, int]]:
    """Say who holds the path between two instants in which a span was given it."""
    found = []
    for child, first, last in _pieces(traces, call):
        low, high = max(first, start), min(last, end)
        if low < high:
            found += [(call.span.row, low, high)] if child is None else _held(traces, child, low, high)
    return found


def _pieces(traces: Traces, call: _Call) -> list[tuple[_Call | None, int, int]]:
    """Cut a span's interval into what its children hold and what it holds itself (None), latest first."""
    waiting = [
        _Call(child, max(child.start_ns, call.low), min(child.end_ns, call.high)) for child in _awaited(traces, call)
    ]
    waiting = [child for child in waiting if child.low < child.high]
    pieces: list[tuple[_Call | None, int, int]] = []
    cursor = call.high
    while cursor > call.low:
        begun = [child for child in waiting if child.low < cursor]
        ended = max((child for child in begun if child.high <= cursor), key=lambda child: child.rank, default=None)
        later = min((child for child in begun if child.high > cursor), key=lambda child: child.rank, default=None)
        slack = (
            (call.high - call.low) // 100 if ended is None else min(cursor - ended.high, (call.high - call.low) // 100)
        )
        if later is not None and later.high - cursor <= slack:
            pieces.append((later, later.low, cursor))
            cursor = later.low
            continue
        reached = call.low if ended is None else ended.high
        while cursor > reached:
            beside = max(
                (child for child in begun if child.low < cursor < child.high),
                key=lambda child: child.rank,
                default=None,
            )
            low = reached if beside is None else max(beside.low, reached)
            pieces.append((beside, low, cursor))
            cursor = low
        if ended is not None:
            pieces.append((ended, ended.low, ended.high))
            cursor = ended.low
    return pieces


def _awaited(traces: Traces, call: _Call) -> list[Span]:
    return [child for child in children(traces, call.span.row) if not is_handed_over(traces, child.row)]
