"""Fragments: parts of traces whose parents are missing, put back where other traces show that they belong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import TimeKeys, find_roots
from traceq.analysis.learning import learned_of, number_operations
from traceq.assembly import find_rings
from traceq.learned import Lineage, Operation

_LAST_STARTED = 256
"""Number of spans of one operation in one trace that are considered: those that started last."""
_AT_ONCE = 4_000_000
"""Number of pairs of a fragment and a span that are processed together."""


class Fragments(Struct, frozen=True, eq=False):
    """Parts of traces whose parents are missing: everything below one missing parent is one fragment."""

    rows: Ints
    """Rows of the spans that name a missing parent, in rising order."""
    number: Ints
    """For each of these spans the number of its fragment; numbers count from 0."""
    count: int


def find_fragments(spans: Columns) -> Fragments:
    """Find the spans below missing parents."""
    traces = spans.traces
    rows = np.flatnonzero(spans.orphaned)
    numbers: dict[tuple[int, str], int] = {}
    number = [
        numbers.setdefault((trace, traces.missing_parents[row]), len(numbers))
        for row, trace in zip(rows.tolist(), spans.trace[rows].tolist(), strict=True)
    ]
    return Fragments(rows, np.array(number, dtype=np.int64), len(numbers))


def rejoin(spans: Columns, fragments: Fragments, lineage: Lineage) -> Columns:
    """Put fragments below the spans that they belong to, as far as other traces tell.

    The operations of a fragment show which operations occur above its missing parent. Among the spans of these in the
    same trace, outside of the fragment, that start no later and end no earlier than it, the fragment is put below the
    shortest; of equally short ones below the one that started last.

    Args:
        spans: The table, clocks corrected.
        fragments: The fragments of this table.
        lineage: Which operations occur above others.

    Returns:
        The same spans, some under other parents; these are flagged in `rejoined`.
    """
    if not fragments.count:
        return spans
    search = _Search(spans, fragments, lineage)
    joins = search.find()
    _break_rings(joins, search.fragment_of)
    joined = joins[fragments.number] >= 0
    parents = spans.parents.copy()
    parents[fragments.rows[joined]] = joins[fragments.number[joined]]
    rejoined = np.zeros(parents.size, dtype=np.bool_)
    rejoined[fragments.rows[joined]] = True
    return replace(spans.with_parents(parents), rejoined=rejoined)


def with_rejoined(spans: Columns) -> Columns:
    """Put fragments below the spans that they belong to, as far as is known; see `rejoin`."""
    fragments = find_fragments(spans)
    return rejoin(spans, fragments, learned_of(spans).lineage) if fragments.count else spans


class _Search:
    """Searches the span below which each fragment belongs; arrays of fragments have one entry for each fragment."""

    def __init__(self, spans: Columns, fragments: Fragments, lineage: Lineage) -> None:
        self._spans, self._fragments = spans, fragments
        size = fragments.count
        self._trace = np.zeros(size, dtype=np.int64)
        self._trace[fragments.number] = spans.trace[fragments.rows]
        self._start_ns, self._end_ns = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
        np.minimum.at(self._start_ns, fragments.number, spans.start_ns[fragments.rows])
        np.maximum.at(self._end_ns, fragments.number, spans.end_ns[fragments.rows])
        roots = find_roots(spans.parents)
        by_root = np.full(roots.size, -1, dtype=np.int64)
        by_root[fragments.rows] = fragments.number
        self.fragment_of: Ints = by_root[roots]
        """For each span the fragment in which it lies; -1 for none."""
        damaged = np.zeros(len(spans.traces), dtype=np.bool_)
        damaged[self._trace] = True
        self._rows = np.flatnonzero(damaged[spans.trace])
        operations, self._operations = number_operations(spans, self._rows)
        self._wanted = self._find_wanted(operations, lineage)
        self._operation_count = len(operations)

    def _find_wanted(self, operations: list[Operation], lineage: Lineage) -> list[Ints]:
        """List, for each fragment, the numbers of the operations that may be above it."""
        numbers = {operation: number for number, operation in enumerate(operations)}
        operation_of = self._operations[np.searchsorted(self._rows, self._fragments.rows)].tolist()
        tops: list[set[int]] = [set() for _ in range(self._fragments.count)]
        for fragment, operation in zip(self._fragments.number.tolist(), operation_of, strict=True):
            tops[fragment].add(operation)
        known: dict[frozenset[int], Ints] = {}
        for top in map(frozenset, tops):
            if top not in known:
                above = lineage.above(operations[number] for number in top)
                known[top] = np.array(sorted(numbers[each] for each in above if each in numbers), dtype=np.int64)
        return [known[frozenset(top)] for top in tops]

    def find(self) -> Ints:
        """Give the row below which each fragment belongs; -1 where none is found."""
        spans = self._spans
        wanted_counts = [wanted.size for wanted in self._wanted]
        fragments = np.repeat(np.arange(self._fragments.count), wanted_counts)
        joins = np.full(self._fragments.count, -1, dtype=np.int64)
        if not fragments.size:
            return joins
        # Spans by (trace, operation), and by start within: those that started before a fragment stand side by side.
        groups = spans.trace[self._rows] * self._operation_count + self._operations
        keys = TimeKeys(len(spans.traces) * self._operation_count, spans.start_ns[self._rows], self._start_ns)
        by_start = np.argsort(keys.key(groups, spans.start_ns[self._rows]), kind="stable")
        rows, sorted_groups = self._rows[by_start], groups[by_start]
        sorted_keys = keys.key(sorted_groups, spans.start_ns[rows])
        pair_groups = self._trace[fragments] * self._operation_count + np.concatenate(self._wanted)
        last = np.searchsorted(sorted_keys, keys.key(pair_groups, self._start_ns[fragments]), side="right")
        first = np.maximum(np.searchsorted(sorted_groups, pair_groups), last - _LAST_STARTED)
        found = [
            self._enclosing(fragments[some], *_expanded(rows, first[some], last[some]))
            for some in _portions(np.maximum(last - first, 0))
        ]
        fragments, rows = self._shortest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
        joins[fragments] = rows
        return joins

    def _enclosing(self, fragments: Ints, rows: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """Keep those of the spans started before a fragment that enclose it, and of these the shortest."""
        fragments = np.repeat(fragments, counts)
        fits = self._spans.end_ns[rows] >= self._end_ns[fragments]
        fits &= self.fragment_of[rows] != fragments
        return self._shortest(fragments[fits], rows[fits])

    def _shortest(self, fragments: Ints, rows: Ints) -> tuple[Ints, Ints]:
        spans = self._spans
        order = np.lexsort((rows, -spans.start_ns[rows], spans.duration_ns[rows], fragments))
        fragments, rows = fragments[order], rows[order]
        heads = np.flatnonzero(np.diff(fragments, prepend=-1))
        return fragments[heads], rows[heads]


def _expanded(rows: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """Concatenate the rows of several ranges, and give the number of rows of each."""
    counts = np.maximum(last - first, 0)
    before = np.cumsum(counts) - counts
    return rows[np.arange(int(counts.sum())) + np.repeat(first - before, counts)], counts


def _portions(counts: Ints) -> Iterator[slice]:
    """Cut a list into parts that sum up to hardly more than `_AT_ONCE`."""
    portion = np.cumsum(counts) // _AT_ONCE
    heads = np.flatnonzero(np.diff(portion, prepend=-1)).tolist()
    return (slice(first, last) for first, last in itertools.pairwise((*heads, counts.size)))


def _break_rings(joins: Ints, fragment_of: Ints) -> None:
    """Undo cycles: a fragment in another one that lies in the first is not rejoined."""
    above = np.where(joins >= 0, fragment_of[joins], -1)
    for ring in find_rings(above.tolist()):
        joins[ring] = -1
