"""Clocks of different hosts differ: move spans so that no call begins before it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from msgspec import Struct, structs
from msgspec.structs import replace

from traceq.analysis.clocks import UNBOUNDED_NS, clock_codes, clock_of, is_bound_by_end, is_served
from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import fold_ancestors, numbered_rows
from traceq.analysis.learning import learned_of, with_learned
from traceq.analysis.outliving import crosses_clocks, is_told_free
from traceq.learned import Clock, ClockError
from traceq.report import Column, json_key


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
    low_ns, high_ns = np.full(places.size, -UNBOUNDED_NS), np.full(places.size, UNBOUNDED_NS)
    np.maximum.at(low_ns, number, least_ns)
    np.minimum.at(high_ns, number, np.where(is_early, most_ns, UNBOUNDED_NS))
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
