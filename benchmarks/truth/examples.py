"""The smallest traces of which traceq is wrong, drawn with the truth beside what traceq says."""

from __future__ import annotations

from collections.abc import Iterator

import traceq
from benchmarks.truth.execution import execute
from benchmarks.truth.measuring import attribution, charged_ns, load
from benchmarks.truth.programs import draw_system
from benchmarks.truth.recording import Condition, TrueTrace, record

_WRONG = 0.03
"""Share of the root's time from which a trace is worth looking at."""


def smallest(seed: int, request_count: int, condition: Condition, count: int) -> Iterator[str]:
    """Draw the smallest traces with more than 3 % of the root's time charged wrongly; times in us."""
    system = draw_system(seed)
    recorded = record(system, execute(system, request_count, seed, streams=condition.streams), condition, seed)
    traces = load(recorded)
    paths = traceq.critical_path(traces)
    charged = charged_ns(paths)
    places = {trace_id: place for place, trace_id in enumerate(traces.trace_ids)}
    wrong = [true for true in recorded.traces if attribution(paths, [true]).wrong > _WRONG]
    for true in sorted(wrong, key=lambda true: (len(traces.rows(places[true.trace_id])), true.trace_id))[:count]:
        yield f"\nseed {seed}, trace {true.trace_id}: {attribution(paths, [true]).wrong:.1%} wrong"
        yield from _drawn(traces, places[true.trace_id], true, charged[true.root_id])


def _drawn(traces: traceq.Traces, place: int, true: TrueTrace, charged: dict[str, int]) -> Iterator[str]:
    rows = traces.rows(place)
    below: dict[int, list[int]] = {}
    for row in sorted(rows, key=lambda row: -traces.start_ns[row]):
        below.setdefault(traces.parents[row], []).append(row)
    from_ns = min(traces.start_ns[row] for row in rows)
    stack = [(row, 0) for row in below.get(-1, [])]
    while stack:
        row, depth = stack.pop()
        span = traces.span(row)
        held_us, got_us = (times.get(span.span_id, 0) // 1000 for times in (true.held_ns, charged))
        yield (
            f"{'  ' * depth}{span.service} {span.name} {span.kind.name} @{span.host} "
            f"{(span.start_ns - from_ns) // 1000}-{(span.end_ns - from_ns) // 1000} "
            f"off {true.off_ns[span.span_id] // 1000} ({true.circumstances[span.span_id]}) "
            f"held {held_us}, charged {got_us}{' <<<' if abs(held_us - got_us) > 20 else ''}"
        )
        stack += [(child, depth + 1) for child in below.get(row, [])]
