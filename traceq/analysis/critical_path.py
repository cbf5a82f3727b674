"""Which spans, and when, determine how long a trace takes.

Only spans that their callers waited for do, and only until the callers went on.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Flags, Ints, columns
from traceq.analysis.grouping import TimeKeys, all_above, clip_to_ancestors, find_roots, flags_at, fold_ancestors, moved
from traceq.analysis.learning import Skew, corrected, learned_of, skew_specs, with_rejoined
from traceq.analysis.outliving import are_any_of, find_superseded, is_followed_at_once, is_told_free, outlives
from traceq.analysis.siblings import Pieces, fill_in, find_siblings, walk_back
from traceq.analysis.ticks import place_in_ticks
from traceq.answer import Answer
from traceq.report import Column, Rows, Unit
from traceq.semantics import Kind
from traceq.traces import Span, Traces

if TYPE_CHECKING:
    import pandas as pd


class Awaited(Struct, frozen=True, eq=False):
    """Whether and until when callers waited for their calls; arrays have one entry for each span."""

    flags: Flags
    """Whether somebody waited for the span; true for roots."""
    end_ns: Ints
    """The span's end, or, for a superseded attempt, the start of the attempt that took its place."""
    left_running: Flags
    """Whether many traces show that callers of such calls go on while they run."""


def find_awaited(spans: Columns) -> Awaited:
    """Tell which calls were waited for.

    Nobody waits for a CONSUMER that got a message from its PRODUCER, nor for a span that only follows from its parent,
    nor for a span that clearly ends after its parent on the same clock, nor for a call that does so repeatedly in other
    traces, unless its caller called something else right after it. A SERVER that ends after its CLIENT is awaited, and
    ends on different clocks prove nothing.

    Source: Chow et al., The Mystery Machine, OSDI '14, section 3: every order of two ends is assumed until a trace
    shows the other one. Differs: at least two calls have to show it, and more than one in a hundred.
    """
    has_outlived = outlives(spans)
    end_ns, is_superseded = find_superseded(spans, has_outlived)
    learned = learned_of(spans)
    is_refuted = are_any_of(spans, learned.asynchronous)
    if is_refuted.any():
        # One operation may be called both ways; what its caller went on after was waited for.
        is_refuted &= ~is_followed_at_once(spans)
    is_asynchronous = is_refuted | (has_outlived & ~is_superseded)
    return Awaited(~(is_told_free(spans) | is_asynchronous), end_ns, are_any_of(spans, learned.left_running))


_MOSTLY = Fraction(9, 10)
"""The share of a wrapper's time that a sibling covers."""


def _around_siblings(spans: Columns, awaited: Awaited) -> Ints:
    """Give parents such that a wrapper recorded beside what it wraps is above it; see the page on critical paths.

    A wrapper is an INTERNAL span without children that lasts at least half as long as its parent, and encloses the
    longest of its siblings that have children, which covers nine tenths of it.
    """
    parents, duration_ns = spans.parents, spans.duration_ns
    has_children = flags_at(parents, parents.size + 1)
    is_long = (2 * duration_ns >= duration_ns[parents]) & (duration_ns > 0) & (parents >= 0) & awaited.flags
    leaves = np.flatnonzero(is_long & ~has_children[:-1] & (spans.roles == Kind.INTERNAL) & (spans.peers == 0))
    if not leaves.size:
        return parents
    concerned = flags_at(parents[leaves], parents.size)
    siblings = np.flatnonzero((parents >= 0) & concerned[parents] & awaited.flags)
    longest = _longest_below(spans, siblings[has_children[siblings]])[parents[leaves]]
    covers = duration_ns[longest] * _MOSTLY.denominator >= duration_ns[leaves] * _MOSTLY.numerator
    leaves = leaves[(longest >= 0) & covers & _encloses(spans, leaves, longest)]
    wrapper = _longest_below(spans, leaves)[parents[siblings]]
    inside = (wrapper >= 0) & (wrapper != siblings) & _encloses(spans, wrapper, siblings)
    moved = parents.copy()
    moved[siblings[inside]] = wrapper[inside]
    return moved


def _longest_below(spans: Columns, rows: Ints) -> Ints:
    """Give for each span the longest of its children among these, of equal ones the last; -1 for none."""
    longest = np.full(spans.parents.size, -1, dtype=np.int64)
    in_order = rows[np.argsort(spans.duration_ns[rows], kind="stable")]
    longest[spans.parents[in_order]] = in_order
    return longest


def _encloses(spans: Columns, outer: Ints, inner: Ints) -> Flags:
    encloses: Flags = (spans.start_ns[outer] <= spans.start_ns[inner]) & (spans.end_ns[inner] <= spans.end_ns[outer])
    return encloses


_DEEPEST = 1_000
"""So many calls below one that covers a stretch beside others the stretch is followed; what is deeper is held there."""


class Windows(Struct, frozen=True, eq=False):
    """Intervals of critical paths that were given to spans, which divide them among their children and themselves."""

    rows: Ints
    low_ns: Ints
    high_ns: Ints
    above: Ints
    """The window of the parent of which each one is a part; -1 for roots."""


class Paths(Struct, frozen=True, eq=False):
    """The critical paths of all roots of a span table; every array has one entry for each span."""

    spans: Columns
    on_path: Flags
    own_ns: Ints
    """Own critical time: how long the span itself holds its root's path; a root's spans add up to its duration."""
    held_ns: Ints
    """How long the span, with everything below it, holds its root's path."""
    low_ns: Ints
    """The span's start, clipped to all its ancestors."""
    high_ns: Ints
    """The span's end, clipped to all its ancestors."""
    windows: Windows
    awaited: Flags
    """Whether somebody waited for the span; see `find_awaited`."""


class Segments(Struct, frozen=True, eq=False):
    """Segments of critical paths, by root and time. Those of one root tile its interval: no gap, no overlap."""

    rows: Ints
    """The row of the span that holds the path."""
    start_ns: Ints
    end_ns: Ints


def find_paths(spans: Columns) -> Paths:
    """Find for each root the spans that determine its duration.

    Walks back from the end of each span. At each instant the child that finished last holds the path, or the one that
    finished a little later, if that is nearer: ends are recorded late, and clocks tick. Time in which no child runs is
    the span's own; where some run, but none was waited for before the next began, the one that ends last holds it. So a
    span never holds more of the path than its self time, if children that nobody waits for are ignored.

    A child blocks its parent unless nobody waits for it (see `find_awaited`) or it lies outside it; a blocking child
    that outlives the parent counts up to the parent's end. Of children with the same clipped end the one that really
    ended later comes first, then the one that started earlier, then input order. Every root has a path, and so does
    every orphan.

    All traces are processed at once: siblings are sorted by (parent, end), searches find the sibling before each one,
    the chains are followed from each parent's last child, and the other intervals are divided level by level.

    Source: jaeger-ui, TracePage/CriticalPath; CRISP, USENIX ATC '22, section 3. Differs: calls without a pause between
    them are all on the path, ties are decided by the real end, orphan roots have a path, no recursion; CRISP allows any
    overlap up to a hundredth of the parent, here the nearer end wins.
    """
    awaited = find_awaited(spans)
    recorded, spans = spans, spans.with_parents(_around_siblings(spans, awaited))
    times_ns = place_in_ticks(spans, awaited.end_ns, learned_of(spans).ticks)
    low_ns, high_ns = clip_to_ancestors(spans.parents, *times_ns)
    attached = all_above(spans.parents, awaited.flags)
    candidates = np.flatnonzero(attached & (spans.parents >= 0) & (high_ns > low_ns))
    keys = TimeKeys(spans.parents.size, low_ns, high_ns)
    siblings = find_siblings(spans, candidates, awaited.left_running, (low_ns, high_ns), keys)
    met, waited = walk_back(siblings)
    beside = fill_in(siblings, met, low_ns)
    windows = _main_windows(spans, waited, low_ns, high_ns)
    if beside.rows.size:
        windows = _with_pieces_beside(windows, waited, beside, keys, spans.parents)
    return _paths(recorded, awaited, windows, (low_ns, high_ns))


def _main_windows(spans: Columns, waited: Pieces, low_ns: Ints, high_ns: Ints) -> Windows:
    """Give a window to each span that is connected with its root by calls that were waited for."""
    parents = spans.parents
    # A span that was not waited for ends before everything, and so does all below it.
    until_ns = np.where(parents < 0, high_ns, np.iinfo(np.int64).min)
    until_ns[waited.rows] = waited.high_ns
    until_ns = fold_ancestors(parents, until_ns, np.minimum)
    on_path = (until_ns > low_ns) | (parents < 0)
    rows = np.flatnonzero(on_path)
    number = np.cumsum(on_path) - 1
    above = np.where(parents[rows] < 0, -1, number[parents[rows]])
    return Windows(rows, low_ns[rows], until_ns[rows], above)


def _with_pieces_beside(main: Windows, waited: Pieces, beside: Pieces, keys: TimeKeys, parents: Ints) -> Windows:
    """Add what spans hold that cover a stretch beside others, and what is below them, level by level."""
    size = parents.size
    number = moved(np.arange(main.rows.size), main.rows, size, -1)
    is_outside = np.ones(size, dtype=np.bool_)
    is_outside[beside.rows] = False
    pieces = _sorted(_end_to_end(waited, beside).among(~all_above(parents, is_outside)), keys)
    starts, ends = keys.key(pieces.parents, pieces.low_ns), keys.key(pieces.parents, pieces.high_ns)
    level = _cut(main, beside, np.arange(beside.rows.size), number[beside.parents])
    levels, count = [main], main.rows.size
    while level.rows.size and len(levels) <= _DEEPEST:
        levels.append(level)
        first = np.searchsorted(ends, keys.key(level.rows, level.low_ns), side="right")
        stop = np.searchsorted(starts, keys.key(level.rows, level.high_ns), side="left")
        which, above = _ranges(first, stop)
        below = _cut(level, pieces, which, above)
        level, count = replace(below, above=below.above + count), count + level.rows.size
    return Windows(*(np.concatenate([getattr(part, name) for part in levels]) for name in _WINDOW_COLUMNS))


_WINDOW_COLUMNS = ("rows", "low_ns", "high_ns", "above")


def _end_to_end(one: Pieces, other: Pieces) -> Pieces:
    return Pieces(
        np.concatenate((one.parents, other.parents)),
        np.concatenate((one.rows, other.rows)),
        np.concatenate((one.low_ns, other.low_ns)),
        np.concatenate((one.high_ns, other.high_ns)),
    )


def _sorted(pieces: Pieces, keys: TimeKeys) -> Pieces:
    order = np.argsort(keys.key(pieces.parents, pieces.low_ns), kind="stable")
    return Pieces(pieces.parents[order], pieces.rows[order], pieces.low_ns[order], pieces.high_ns[order])


def _ranges(first: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Give all numbers of several ranges, and the range of each number."""
    sizes = np.maximum(stop - first, 0)
    of = np.repeat(np.arange(first.size, dtype=np.int64), sizes)
    begins = np.cumsum(sizes) - sizes
    return np.arange(of.size, dtype=np.int64) - begins[of] + first[of], of


def _cut(windows: Windows, pieces: Pieces, which: Ints, above: Ints) -> Windows:
    """Intersect pieces with windows; `above` says in which window each piece may lie, -1 for none."""
    low_ns = np.maximum(pieces.low_ns[which], windows.low_ns[above])
    high_ns = np.minimum(pieces.high_ns[which], windows.high_ns[above])
    kept = np.flatnonzero((above >= 0) & (high_ns > low_ns))
    return Windows(pieces.rows[which[kept]], low_ns[kept], high_ns[kept], above[kept])


def _paths(spans: Columns, awaited: Awaited, windows: Windows, clipped_ns: tuple[Ints, Ints]) -> Paths:
    """Add up windows by span."""
    size = spans.parents.size
    length_ns = windows.high_ns - windows.low_ns
    own_ns = length_ns.copy()
    parts = np.flatnonzero(windows.above >= 0)
    np.subtract.at(own_ns, windows.above[parts], length_ns[parts])
    held_ns, all_own_ns = np.zeros((2, size), dtype=np.int64)
    np.add.at(held_ns, windows.rows, length_ns)
    np.add.at(all_own_ns, windows.rows, own_ns)
    on_path = flags_at(windows.rows, size)
    return Paths(spans, on_path, all_own_ns, held_ns, *clipped_ns, windows, awaited.flags)


def segments(paths: Paths) -> Segments:
    """Cut the critical paths into segments: which span holds the path from when to when.

    Returns:
        Segments in ns since the epoch, sorted by root, then time. Empty ones are left out.
    """
    windows = paths.windows
    parts = np.flatnonzero(windows.above >= 0)
    parts = parts[np.lexsort((windows.low_ns[parts], windows.above[parts]))]
    above = windows.above[parts]
    is_first = np.diff(above, prepend=-1) != 0
    is_last = np.diff(above, append=-1) != 0
    before_ns = np.where(is_first, windows.low_ns[above], np.roll(windows.high_ns[parts], 1))
    whole = np.ones(windows.rows.size, dtype=np.bool_)
    whole[above] = False
    wholes = np.flatnonzero(whole)
    lasts = parts[is_last]
    owners = np.concatenate((above, above[is_last], wholes))
    start_ns = np.concatenate((before_ns, windows.high_ns[lasts], windows.low_ns[wholes]))
    end_ns = np.concatenate((windows.low_ns[parts], windows.high_ns[above[is_last]], windows.high_ns[wholes]))
    kept = np.flatnonzero(end_ns > start_ns)
    rows = windows.rows[owners]
    roots = find_roots(paths.spans.parents)[rows[kept]]
    kept = kept[np.lexsort((start_ns[kept], roots))]
    return Segments(rows[kept], start_ns[kept], end_ns[kept])


class Stretch(NamedTuple):
    """A segment of a critical path, and the span that holds it."""

    span: Span
    root_id: str
    start_ns: int
    end_ns: int


STRETCH_COLUMNS: tuple[Column[Stretch], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID, of="span"),
    Column("root_span_id", "root", value=lambda stretch: stretch.root_id, about="id of the root whose path it is"),
    Column("span_id", "span", of="span", about="id of the span that holds the path"),
    Column("service", "service", Unit.SERVICE, of="span", can_shrink=True),
    Column("operation", "operation", value=lambda stretch: stretch.span.name, can_shrink=True),
    Column("start_ns", "start", Unit.TIME, about="since the epoch, clocks corrected", priority=1),
    Column("end_ns", "end", Unit.TIME, about="since the epoch, clocks corrected", priority=2),
    Column("length_ns", "length", Unit.DURATION, lambda stretch: stretch.end_ns - stretch.start_ns),
)


class CriticalPath(Answer, Struct, frozen=True, eq=False):
    """The intervals that determine how long traces take.

    Segments are disjoint and in time order, and those of one root add up to its duration; every root has a path.
    """

    paths: Paths
    stretches: Segments
    skew: Skew
    """The clock errors that were corrected; zeros when clocks were not corrected."""

    @property
    def segments(self) -> pd.DataFrame:
        """Give one row per segment: trace_id, span_id, start_ns, end_ns (since the epoch, clocks corrected)."""
        return self.to_frame()[["trace_id", "span_id", "start_ns", "end_ns"]]

    @property
    def held(self) -> list[Stretch]:
        """The segments, each with the span that holds it."""
        traces = self.paths.spans.traces
        rows = self.stretches.rows
        roots = find_roots(self.paths.spans.parents)[rows]
        columns = (rows, roots, self.stretches.start_ns, self.stretches.end_ns)
        return [
            Stretch(traces.span(row), traces.span_ids[root], start_ns, end_ns)
            for row, root, start_ns, end_ns in zip(*(column.tolist() for column in columns), strict=True)
        ]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        *skew_specs(lambda answer: (answer.skew.span_count, answer.skew.largest_ns)),
        Rows("segments", STRETCH_COLUMNS, lambda answer: answer.held, "segments by root and time"),
    )
    MAIN: ClassVar[str] = "segments"


def critical_path(traces: Traces, *, correct_skew: bool = True) -> CriticalPath:
    """Find the intervals that determine each trace's duration.

    Walks back from the end of each root; at each instant the child that finished last holds the path.

    Args:
        traces: Any table. Children that outlive their parent count up to the parent's end.
        correct_skew: Whether to correct clocks first; see `learning.find_skew`.

    Returns:
        Segments in time order, in ns. Those of one root are disjoint and their sum is the root's duration. A span whose
        parent is missing is a root, unless other traces show where it belongs; see `learning.rejoin`.

    Source: see `find_paths`.
    """
    spans, skew = corrected(columns(traces), correct_skew=correct_skew)
    paths = find_paths(with_rejoined(spans))
    return CriticalPath(paths, segments(paths), skew)
