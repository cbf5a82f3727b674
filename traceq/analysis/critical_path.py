"""Which spans, and when, determine how long a trace takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints, columns
from traceq.analysis.skew import Skew, corrected
from traceq.analysis.tree import TimeKeys, all_above, clip_to_ancestors, find_roots, sum_by_run
from traceq.semantics import Kind
from traceq.traces import Traces

if TYPE_CHECKING:
    import pandas as pd

_FEW = 64
"""Below so many chains a plain loop is faster than another round over arrays."""


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """The critical paths of all roots of a span table; every array has one entry a span."""

    spans: Columns
    on_path: Flags
    own_ns: Ints
    """How long the span itself holds its root's path; over a root's spans these add up to the root's duration."""
    low_ns: Ints
    """The span's start, clipped to all its ancestors."""
    high_ns: Ints
    """The span's end, clipped to all its ancestors."""
    picked: Ints
    """Rows of the children on the path, by (parent, time)."""


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Stretches of critical paths, by root and time. Those of one root tile its interval: no gap, no overlap."""

    rows: Ints
    """The span that holds the path."""
    start_ns: Ints
    end_ns: Ints


def find_paths(spans: Columns) -> Paths:
    """Find for each root the spans that determine its duration.

    Walks back from the root's end: at each instant the child that finished last holds the path; the time in which no
    child does is the span's own. A child blocks its parent unless it is a CONSUMER under a PRODUCER or lies outside
    it; what outlives the parent counts up to the parent's end. Of children that end together the one that really ended
    later goes first, then the one that started earlier, then input order. Every root has a path, orphans too.

    All traces at once: siblings are sorted by (parent, end), each finds the sibling before it by one search, and the
    chains are followed from each parent's last child.

    Source: jaeger-ui, TracePage/CriticalPath; CRISP, USENIX ATC '22, section 3. Differs: calls back to back are all on
    the path, ties go by the real end, orphan roots have a path, no recursion.
    """
    low_ns, high_ns, attached = _clip(spans)
    candidates = np.flatnonzero(attached & (spans.parents >= 0) & (high_ns > low_ns))
    keys = TimeKeys(spans.parents.size, low_ns[candidates], high_ns[candidates])
    order = _by_end(spans, keys, candidates, high_ns)
    chosen = _choose(spans, keys, order, low_ns, high_ns)
    on_path = all_above(spans.parents, chosen)
    picked = order[on_path[order]]
    parents = spans.parents[picked]
    length_ns = np.where(on_path, np.maximum(high_ns - low_ns, 0), 0)
    own_ns = length_ns - sum_by_run(parents, length_ns[picked], spans.parents.size)
    return Paths(spans, on_path, own_ns, low_ns, high_ns, picked)


def _clip(spans: Columns) -> tuple[Ints, Ints, Flags]:
    """Clip every span to its ancestors, and tell which hang on their root by blocking calls alone."""
    parents = spans.parents
    low_ns, high_ns = clip_to_ancestors(parents, spans.start_ns, spans.end_ns)
    asynchronous = is_handed_over(spans)
    if not asynchronous.any():
        return low_ns, high_ns, np.ones(parents.size, dtype=np.bool_)
    return low_ns, high_ns, all_above(parents, ~asynchronous)


def is_handed_over(spans: Columns) -> Flags:
    """Tell the CONSUMER spans under a PRODUCER, or under what stood above a missing one: nobody waits for them."""
    under_producer: Flags = (spans.parents >= 0) & (spans.roles[spans.parents] == Kind.PRODUCER) | spans.rejoined
    handed_over: Flags = under_producer & (spans.roles == Kind.CONSUMER)
    return handed_over


def _by_end(spans: Columns, keys: TimeKeys, candidates: Ints, high_ns: Ints) -> Ints:
    """Sort candidates by (parent, clipped end), ties so that the one to choose comes last."""
    ends = keys.key(spans.parents[candidates], high_ns[candidates])
    sorting = np.argsort(ends)
    order, ends = candidates[sorting], ends[sorting]
    same = ends[1:] == ends[:-1]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        rows = order[tied]
        order[tied] = rows[np.lexsort((-rows, -spans.start_ns[rows], spans.end_ns[rows], ends[tied]))]
    return order


def _choose(spans: Columns, keys: TimeKeys, order: Ints, low_ns: Ints, high_ns: Ints) -> Flags:
    """Mark the roots, and of each span's children those that its walk from the end back to the start meets."""
    parents = spans.parents[order]
    ends = keys.key(parents, high_ns[order])
    previous = np.searchsorted(ends, keys.key(parents, low_ns[order]), side="right") - 1
    previous[(previous >= 0) & (parents[previous] != parents)] = -1
    met = np.zeros(order.size, dtype=np.bool_)
    _follow(np.flatnonzero(np.diff(parents, append=-1)), previous, met)
    chosen = spans.parents < 0
    chosen[order[met]] = True
    return chosen


def _follow(heads: Ints, previous: Ints, met: Flags) -> None:
    """Mark everything that chains of `previous`, one for each head and disjoint, lead through."""
    while heads.size > _FEW:
        met[heads] = True
        heads = previous[heads]
        heads = heads[heads >= 0]
    for head in heads.tolist():
        at = head
        while at >= 0:
            met[at] = True
            at = previous.item(at)


def segments(paths: Paths) -> Segments:
    """Cut the critical paths into stretches: who holds the path from when to when.

    Returns:
        Stretches in ns since the epoch, sorted by root, then time. Empty ones are left out.
    """
    spans, picked = paths.spans, paths.picked
    parents = spans.parents[picked]
    low_ns, high_ns = paths.low_ns[picked], paths.high_ns[picked]
    is_first = np.diff(parents, prepend=-1) != 0
    is_last = np.diff(parents, append=-1) != 0
    before_ns = np.where(is_first, paths.low_ns[parents], np.roll(high_ns, 1))
    leaf = paths.on_path.copy()
    leaf[parents] = False
    leaves = np.flatnonzero(leaf)
    rows = np.concatenate((parents, parents[is_last], leaves))
    start_ns = np.concatenate((before_ns, high_ns[is_last], paths.low_ns[leaves]))
    end_ns = np.concatenate((low_ns, paths.high_ns[parents[is_last]], paths.high_ns[leaves]))
    kept = np.flatnonzero(end_ns > start_ns)
    roots = find_roots(spans.parents)[rows[kept]]
    kept = kept[np.lexsort((start_ns[kept], roots))]
    return Segments(rows[kept], start_ns[kept], end_ns[kept])


@dataclass(frozen=True, slots=True, eq=False)
class CriticalPath:
    """The intervals that determine how long traces take.

    Segments are disjoint and in time order, and those of one root add up to its duration; every root has a path.
    """

    paths: Paths
    stretches: Segments
    skew: Skew
    """How far clocks were off; zeros when they were not corrected."""

    @property
    def segments(self) -> pd.DataFrame:
        """Give one row a stretch: trace_id, span_id, start_ns, end_ns (since the epoch, clocks corrected)."""
        return self.to_frame()[["trace_id", "span_id", "start_ns", "end_ns"]]

    def to_frame(self) -> pd.DataFrame:
        """Give one row a stretch: as `segments`, with root_span_id, service, operation and length_ns. Needs pandas."""
        import pandas as pd

        return pd.DataFrame(self._records(), columns=list(_SEGMENT_COLUMNS))

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON."""
        return {
            "skew": {"span_count": self.skew.span_count, "largest_shift_ns": self.skew.largest_ns},
            "segments": [dict(zip(_SEGMENT_COLUMNS, record, strict=True)) for record in self._records()],
        }

    def _records(self) -> list[tuple[object, ...]]:
        traces = self.paths.spans.traces
        rows = self.stretches.rows
        roots = find_roots(self.paths.spans.parents)[rows]
        columns = (rows, roots, self.stretches.start_ns, self.stretches.end_ns)
        return [
            (
                (span := traces.span(row)).trace_id,
                traces.span_ids[root],
                span.span_id,
                span.service,
                span.name,
                start_ns,
                end_ns,
                end_ns - start_ns,
            )
            for row, root, start_ns, end_ns in zip(*(column.tolist() for column in columns), strict=True)
        ]


_SEGMENT_COLUMNS = ("trace_id", "root_span_id", "span_id", "service", "operation", "start_ns", "end_ns", "length_ns")


def critical_path(traces: Traces, *, correct_skew: bool = True) -> CriticalPath:
    """Find the intervals that determine each trace's duration.

    Walks back from the end of each root; at each instant the child that finished last holds the path.

    Args:
        traces: Any table. Children that outlive their parent count up to the parent's end.
        correct_skew: Whether to put wrong clocks right first; see `skew.find_skew`.

    Returns:
        Segments in time order, in ns. Those of one root are disjoint and their sum is the root's duration.

    Source: see `find_paths`.
    """
    spans, skew = corrected(columns(traces), correct_skew=correct_skew)
    paths = find_paths(spans)
    return CriticalPath(paths, segments(paths), skew)
