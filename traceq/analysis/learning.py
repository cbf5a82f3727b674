"""What many traces teach, by a sample of them, and what it puts right in each one: clocks and missing parents."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field, structs
from msgspec.structs import replace

from traceq.analysis.clocks import (
    UNBOUNDED_NS,
    ClockCalls,
    clock_codes,
    clock_of,
    collect_clock_calls,
    find_clock_errors,
    is_bound_by_end,
    is_served,
)
from traceq.analysis.columns import Columns, Ints, columns
from traceq.analysis.grouping import (
    TimeKeys,
    added,
    find_roots,
    flags_at,
    fold_ancestors,
    least_by_group,
    most_by_group,
    moved,
    numbered_rows,
)
from traceq.analysis.habits import HabitSums, Orders, count_orders, learn_habits
from traceq.analysis.outliving import Outliving, count_outliving, crosses_clocks, is_told_free
from traceq.analysis.ticks import TickSums, count_ticks
from traceq.assembly import find_rings
from traceq.learned import NOTHING_KNOWN, Clock, ClockError, Learned, Lesson, Lineage, Operation
from traceq.report import Column, json_key
from traceq.traces import Traces, normal_id


class LearnedSums(Struct, frozen=True):
    """What was learned from traces; can be added to others."""

    outliving: Outliving = field(default_factory=Outliving)
    lineage: Lineage = NOTHING_KNOWN
    clock_calls: ClockCalls = field(default_factory=ClockCalls)
    ticks: TickSums = field(default_factory=TickSums)
    orders: Orders = field(default_factory=Orders)
    habits: HabitSums = field(default_factory=HabitSums)

    def __add__(self, other: LearnedSums) -> LearnedSums:
        return added(self, other)

    def learned(self) -> Learned:
        """Draw conclusions."""
        calls, clocks = self.outliving, find_clock_errors(self.clock_calls)
        ticks = self.ticks.ticks(clocks_agree=not clocks)
        more = self.orders.unordered(), self.habits.habits()
        return Learned(calls.asynchronous(), calls.left_running(), self.lineage, clocks, ticks, *more)


def learn(traces: Traces, level: int | None = None, *, more: Lesson | None = None) -> LearnedSums:
    """Learn from traces.

    Args:
        traces: A table.
        level: The level of the sample; None to choose it for a table that holds all traces.
        more: What to learn besides what every question needs.
    """
    return _learn(columns(traces), sample_level(len(traces)) if level is None else level, more=more)


def learn_from(tables: Sequence[Traces], *, more: Lesson | None = None) -> Learned:
    """Learn from several tables together."""
    level = sample_level(sum(map(len, tables)))
    return sum((learn(table, level, more=more) for table in tables), LearnedSums()).learned()


def learned_of(spans: Columns, *, more: Lesson | None = None) -> Learned:
    """Give what was learned about spans; if nothing was given with them, learn from their own table."""
    if spans.learned is not None:
        return spans.learned
    return _learn(spans, sample_level(len(spans.traces)), more=more).learned()


def with_learned(spans: Columns, *, more: Lesson | None = None) -> Columns:
    """Give the same spans with what was learned about them."""
    return spans if spans.learned is not None else replace(spans, learned=learned_of(spans, more=more))


def _learn(spans: Columns, level: int, *, more: Lesson | None) -> LearnedSums:
    if level:
        chosen = [position for position, trace_id in enumerate(spans.traces.trace_ids) if is_sampled(trace_id, level)]
        spans = _of_traces(spans, np.array(chosen, dtype=np.int64))
    orders = count_orders(spans) if more == "orders" else Orders()
    habits = learn_habits(spans) if more == "habits" else HabitSums()
    clock_calls = collect_clock_calls(spans)
    return LearnedSums(count_outliving(spans), learn_lineage(spans), clock_calls, count_ticks(spans), orders, habits)


def _of_traces(spans: Columns, positions: Ints) -> Columns:
    """Give only the spans of some traces, without making a new table."""
    kept = flags_at(positions, len(spans.traces))
    rows = np.flatnonzero(kept[spans.trace])
    place = moved(np.arange(rows.size), rows, spans.parents.size + 1, -1)
    return spans.taken(rows, place[spans.parents[rows]])


LEAST_SAMPLED = 200
"""The minimum size of a sample, approximately; with fewer than twice as many traces, all of them are used."""


def sample_level(trace_count: int) -> int:
    """Choose the level of the sample for a number of traces: 0 for all of them, 1 for half, 2 for a quarter."""
    return max(0, (trace_count // LEAST_SAMPLED).bit_length() - 1)


def is_sampled(trace_id: str, level: int) -> bool:
    """Tell whether a trace is in the sample of a level; samples of higher levels are parts of those of lower ones."""
    # Every bit of the id changes the higher bits of its checksum.
    return not level or zlib.crc32(normal_id(trace_id).encode("utf-8", "surrogatepass")) >> (32 - level) == 0


class Sample(Struct, frozen=True):
    """The ids of the traces in a sample."""

    level: int

    def __contains__(self, trace_id: object) -> bool:
        return isinstance(trace_id, str) and is_sampled(trace_id, self.level)


def learn_lineage(spans: Columns) -> Lineage:
    """Count how often operations occur directly below others, and how many spans miss their parents."""
    parents = spans.parents
    operations, numbers = number_operations(spans, np.arange(parents.size))
    children = np.flatnonzero(parents >= 0)
    above, below = numbers[parents[children]], numbers[children]
    places, groups = numbered_rows(above, below)
    counts = np.bincount(groups, minlength=places.size)
    lost = np.bincount(numbers[spans.orphaned], minlength=len(operations)).tolist()
    return Lineage(
        {
            (operations[parent], operations[child]): count
            for parent, child, count in zip(
                above[places].tolist(), below[places].tolist(), counts.tolist(), strict=True
            )
        },
        {operation: count for operation, count in zip(operations, lost, strict=True) if count},
    )


def number_operations(spans: Columns, rows: Ints) -> tuple[list[Operation], Ints]:
    """Number the operations of these rows: give the operations, and the number of each row."""
    traces = spans.traces
    codes = (spans.services[rows], spans.names[rows], spans.told_roles[rows])
    places, numbers = numbered_rows(*codes)
    parts = zip(*(column[places].tolist() for column in codes), strict=True)
    return [Operation(traces.services[service], traces.names[name], role) for service, name, role in parts], numbers


class Skew(Struct, frozen=True, eq=False):
    """How far spans had to be moved."""

    shift_ns: Ints
    """The time to add to the start of each span; 0 for spans that stay."""
    span_count: int
    """The number of spans that moved."""
    largest_ns: int
    """The greatest distance of a move, forward or back."""


def skew_specs(taken: Callable[[Any], tuple[int, int]], within: str = "skew") -> tuple[Column[Any], ...]:
    """Describe how far clocks were corrected.

    Args:
        taken: Takes the number of spans that moved, and the greatest distance of a move in ns, from a row.
        within: The object that holds the columns.
    """
    return (
        json_key("span_count", lambda row: taken(row)[0], "spans moved to correct clocks", within=within),
        json_key(
            "largest_shift_ns",
            lambda row: taken(row)[1] if taken(row)[0] else None,
            "how far they were moved at most; null where none was",
            within=within,
        ),
    )


def find_skew(spans: Columns) -> Skew:
    """Find by how much each span has to be moved to the clock of its trace's root.

    Where calls lead from one clock to another, the offset was learned from many traces; see
    `clocks.find_clock_errors`. Everything below that shares the clock moves by the same amount, and a span that misses
    its parent moves by the error of its host's clock. Clocks of which nothing is known are assumed to have the error of
    their callers' clocks. Where calls of one trace still begin before they were made, the calls of this trace alone
    decide.
    """
    shift_ns = np.zeros(spans.parents.size, dtype=np.int64)
    rows, above = _meetings(spans)
    by_clock_ns = _apart(spans, learned_of(spans).clocks, above, rows)
    shift_ns[rows] = by_clock_ns + _left_early(spans, above, rows, by_clock_ns)
    if shift_ns.any():
        shift_ns = fold_ancestors(spans.parents, shift_ns, np.add)
    return Skew(shift_ns, int(np.count_nonzero(shift_ns)), int(np.abs(shift_ns).max(initial=0)))


def _meetings(spans: Columns) -> tuple[Ints, Ints]:
    """Give the spans with a new clock, and the spans with the clock before: parents, or the first root."""
    rows = np.flatnonzero(crosses_clocks(spans))
    missing = spans.traces.missing_parents
    orphans = np.array([row for row in sorted(missing) if spans.parents[row] < 0], dtype=np.int64)
    roots = np.flatnonzero(spans.parents < 0)
    is_whole = np.array([row not in missing for row in roots.tolist()], dtype=np.bool_)
    first = np.full(len(spans.traces), -1, dtype=np.int64)
    for some in (roots[~is_whole], roots[is_whole]):
        first[spans.trace[some[::-1]]] = some[::-1]
    return np.concatenate((rows, orphans)), np.concatenate((spans.parents[rows], first[spans.trace[orphans]]))


def _apart(spans: Columns, errors: Mapping[Clock, ClockError], above: Ints, rows: Ints) -> Ints:
    """Give how far each span's clock is behind the one above, at the span's start; 0 where that is not known."""
    callers, callees = clock_codes(spans, above, rows)
    size = len(spans.traces.hosts) + len(spans.traces.services)
    if not errors:
        return np.zeros(rows.size, dtype=np.int64)
    group = np.full(size, -1, dtype=np.int64)
    ahead_ns, since_ns = np.zeros((2, size), dtype=np.int64)
    drift = np.zeros(size)
    for code in np.flatnonzero(np.bincount(np.concatenate((callers, callees)), minlength=size)).tolist():
        error = errors.get(clock_of(spans, code))
        if error is not None:
            group[code], ahead_ns[code], drift[code], since_ns[code] = error
    is_known = (group[callers] == group[callees]) & (group[callers] >= 0)
    passed = spans.start_ns[rows] - since_ns[callees]
    gained_ns = np.rint((drift[callers] - drift[callees]) * passed).astype(np.int64)
    return np.where(is_known, ahead_ns[callers] - ahead_ns[callees] + gained_ns, 0)


def _left_early(spans: Columns, above: Ints, rows: Ints, shift_ns: Ints) -> Ints:
    """Give the correction for calls that still begin before they were made.

    It is the smallest sufficient one, or the middle of what clients and servers between the two clocks allow in the
    trace.
    """
    extra_ns = np.zeros(rows.size, dtype=np.int64)
    most_ns = spans.start_ns[rows] + shift_ns - spans.start_ns[above]
    is_early = most_ns < 0
    some = np.flatnonzero(is_early)
    is_early[some] = crosses_clocks(spans, rows[some]) & ~is_told_free(spans, rows[some]) & ~spans.rejoined[rows[some]]
    if not is_early.any():
        return extra_ns
    callers, callees = clock_codes(spans, above, rows)
    places, number = numbered_rows(spans.trace[rows], callers, callees)
    bounds = is_bound_by_end(spans, above, rows) & is_served(spans, above, rows)
    least_ns = np.where(bounds, spans.end_ns[rows] + shift_ns - spans.end_ns[above], -UNBOUNDED_NS)
    low_ns = most_by_group(number, least_ns, places.size, -UNBOUNDED_NS)
    high_ns = least_by_group(number, np.where(is_early, most_ns, UNBOUNDED_NS), places.size, UNBOUNDED_NS)
    is_open = (low_ns > -UNBOUNDED_NS) & (low_ns <= high_ns)
    ahead_ns = np.where(is_open, (low_ns + high_ns) // 2, high_ns)
    return np.where(high_ns < 0, -ahead_ns, 0)[number]


def corrected(spans: Columns, *, correct_skew: bool = True) -> tuple[Columns, Skew]:
    """Give the spans with corrected clocks, if requested, and the corrections; with what was learned."""
    spans = with_learned(spans)
    if not correct_skew:
        return spans, Skew(np.zeros(spans.parents.size, dtype=np.int64), 0, 0)
    skew = find_skew(spans)
    if not skew.span_count:
        return spans, skew
    # The offsets have been applied and must not be applied again.
    return replace(spans.shifted(skew.shift_ns), learned=structs.replace(learned_of(spans), clocks={})), skew


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
    rejoined = flags_at(fragments.rows[joined], parents.size)
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
        self._trace = moved(spans.trace[fragments.rows], fragments.number, size)
        self._start_ns = least_by_group(fragments.number, spans.start_ns[fragments.rows], size)
        self._end_ns = most_by_group(fragments.number, spans.end_ns[fragments.rows], size)
        roots = find_roots(spans.parents)
        by_root = moved(fragments.number, fragments.rows, roots.size, -1)
        self.fragment_of: Ints = by_root[roots]
        """For each span the fragment in which it lies; -1 for none."""
        damaged = flags_at(self._trace, len(spans.traces))
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
