"""Two traces side by side: their trees matched by call path, with what is longer, missing or extra."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from traceq.analysis.culprits import Examined, RequestOptions, examine
from traceq.analysis.tree import depths
from traceq.traces import Traces


@dataclass(frozen=True, slots=True)
class Calls:
    """The spans of one trace on one call path: alike siblings, and those of alike parents, count together."""

    span_ids: tuple[str, ...]
    """In the order in which they started."""
    start_ns: int
    """Of the first, since the start of the trace."""
    duration_ns: int
    """All of them together."""
    self_ns: int
    held_ns: int
    """Time on the critical path, what passes between callers and callees charged to the callee."""
    error_count: int

    def to_dict(self) -> dict[str, object]:
        """Give the spans as they stand in JSON."""
        return {
            "span_ids": list(self.span_ids),
            "call_count": len(self.span_ids),
            "start_ns": self.start_ns,
            "duration_ns": self.duration_ns,
            "self_ns": self.self_ns,
            "critical_ns": self.held_ns,
            "error_count": self.error_count,
        }


@dataclass(frozen=True, slots=True)
class AlignedCall:
    """A call path that at least one of two traces has."""

    depth: int
    """0 for roots."""
    service: str
    name: str
    before: Calls | None
    """None where the first trace does not have it: the call is extra."""
    after: Calls | None
    """None where the second trace does not have it: the call is missing."""

    @property
    def duration_change_ns(self) -> int:
        """How much longer its spans are together."""
        return (self.after.duration_ns if self.after else 0) - (self.before.duration_ns if self.before else 0)

    @property
    def held_change_ns(self) -> int:
        """How much longer it holds the critical path."""
        return (self.after.held_ns if self.after else 0) - (self.before.held_ns if self.before else 0)

    @property
    def call_change(self) -> int:
        """How many spans more it has."""
        return (len(self.after.span_ids) if self.after else 0) - (len(self.before.span_ids) if self.before else 0)

    def to_dict(self) -> dict[str, object]:
        """Give the calls as they stand in JSON."""
        return {
            "depth": self.depth,
            "service": self.service,
            "operation": self.name,
            "before": self.before.to_dict() if self.before else None,
            "after": self.after.to_dict() if self.after else None,
            "duration_change_ns": self.duration_change_ns,
            "critical_change_ns": self.held_change_ns,
        }


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two traces side by side."""

    before_id: str
    after_id: str
    before_ns: int
    """How long the trace takes: its longest root."""
    after_ns: int
    calls: tuple[AlignedCall, ...]
    """Depth first, a caller before what it calls; siblings by their first start in either trace."""

    @property
    def greatest(self) -> AlignedCall | None:
        """The call path whose time on the critical path changed most; None where none did."""
        changed = [call for call in self.calls if call.held_change_ns]
        return max(changed, key=lambda call: abs(call.held_change_ns), default=None)

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON; times in ns."""
        return {
            "before": {"trace_id": self.before_id, "duration_ns": self.before_ns},
            "after": {"trace_id": self.after_id, "duration_ns": self.after_ns},
            "duration_change_ns": self.after_ns - self.before_ns,
            "calls": [call.to_dict() for call in self.calls],
        }


def align(before: Traces, after: Traces, options: RequestOptions) -> Alignment:
    """Put two traces side by side.

    Spans are matched when services and operations from the root down to them are the same.

    Args:
        before: A table of one trace.
        after: Another one.
        options: Whether to correct clocks first.

    Raises:
        ValueError: If a table holds another number of traces than one, or a trace without spans.
    """
    for traces in (before, after):
        if len(traces) != 1 or not traces.span_count:
            raise ValueError("traces are put side by side one by one, each with its spans")
    paths: dict[tuple[int, str, str], int] = {}
    everything = replace(options, with_fragments=True, include_streams=True)
    sides = [_calls(examine(traces, everything), paths) for traces in (before, after)]
    return Alignment(
        before_id=before.trace_ids[0],
        after_id=after.trace_ids[0],
        before_ns=_longest(before),
        after_ns=_longest(after),
        calls=tuple(_ordered(paths, sides[0], sides[1])),
    )


def _longest(traces: Traces) -> int:
    return max(traces.duration_ns[row] for row in range(traces.span_count) if traces.parents[row] < 0)


def _calls(examined: Examined, paths: dict[tuple[int, str, str], int]) -> dict[int, Calls]:
    """Give the calls on each path, numbering paths that are not known yet: callers before what they call."""
    spans = examined.spans
    path_of: dict[int, int] = {-1: -1}
    rows_of: dict[int, list[int]] = {}
    for row in np.lexsort((spans.start_ns, depths(spans.parents))).tolist():
        span = spans.traces.span(row)
        key = (path_of[int(spans.parents[row])], span.service, span.name)
        path_of[row] = paths.setdefault(key, len(paths))
        rows_of.setdefault(path_of[row], []).append(row)
    start_ns = int(spans.start_ns.min())
    return {path: _summed(examined, rows, start_ns) for path, rows in rows_of.items()}


def _summed(examined: Examined, rows: list[int], start_ns: int) -> Calls:
    spans = examined.spans
    return Calls(
        span_ids=tuple(spans.traces.span_ids[row] for row in rows),
        start_ns=int(spans.start_ns[rows].min()) - start_ns,
        duration_ns=int(spans.duration_ns[rows].sum()),
        self_ns=int(examined.self_ns[rows].sum()),
        held_ns=int(examined.charged_ns[rows].sum()),
        error_count=sum(spans.traces.span(row).has_error for row in rows),
    )


def _ordered(
    paths: dict[tuple[int, str, str], int], before: dict[int, Calls], after: dict[int, Calls]
) -> Iterable[AlignedCall]:
    """Go through the paths depth first, siblings by their first start in either trace."""

    def place(path: int) -> tuple[int, str, str]:
        starts = (side[path].start_ns for side in (before, after) if path in side)
        return (min(starts), *names[path])

    names = {path: (service, name) for (_, service, name), path in paths.items()}
    below: dict[int, list[int]] = {}
    for (parent, *_), path in paths.items():
        below.setdefault(parent, []).append(path)
    waiting = [(0, path) for path in sorted(below[-1], key=place, reverse=True)]
    while waiting:
        depth, path = waiting.pop()
        yield AlignedCall(depth, *names[path], before.get(path), after.get(path))
        waiting += [(depth + 1, child) for child in sorted(below.get(path, ()), key=place, reverse=True)]
