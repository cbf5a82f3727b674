"""Clocks of different hosts differ: move spans so that no call begins before it was made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.clocks import crosses_clocks
from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.learning import with_learned
from traceq.analysis.tree import depths, find_roots
from traceq.semantics import Kind


@dataclass(frozen=True, slots=True, eq=False)
class Skew:
    """How far spans had to be moved."""

    shift_ns: Ints
    """One a span, to be added to its start; 0 for spans that stay."""
    span_count: int
    """How many spans moved."""
    largest_ns: int
    """The greatest distance, forward or back."""


def find_skew(spans: Columns) -> Skew:
    """Find by how much each span's clock has to be corrected.

    Spans share a clock when they name the same host, or, where hosts are not told, the same service. A SERVER span
    under a CLIENT span with another clock is centred in it when it does not fit though it is no longer. Otherwise only
    a start before the parent's start proves a wrong clock, and the least shift that removes it is taken. Everything
    below that shares the clock moves along; a child that merely ends late is left to be asynchronous.

    Source: Jaeger, model/adjuster/clockskew.go. Differs: tells hosts by more than `ip`, and never shrinks a child.
    """
    crossing = crosses_clocks(spans)
    wrong = np.flatnonzero(crossing)
    wrong = wrong[_misfits(spans, wrong)]
    shift_ns = np.zeros(spans.parents.size, dtype=np.int64)
    if wrong.size:
        shift_ns = _shifts(spans, crossing, wrong)
    return Skew(shift_ns, int(np.count_nonzero(shift_ns)), int(np.abs(shift_ns).max(initial=0)))


def _is_call(spans: Columns, children: Ints) -> Flags:
    """Tell the SERVER spans under a CLIENT span that was long enough for them."""
    parents = spans.parents[children]
    pair = (spans.roles[children] == Kind.SERVER) & (spans.roles[parents] == Kind.CLIENT)
    fits: Flags = pair & (spans.duration_ns[children] <= spans.duration_ns[parents])
    return fits


def _misfits(spans: Columns, children: Ints) -> Flags:
    parents = spans.parents[children]
    early: Flags = spans.start_ns[children] < spans.start_ns[parents]
    late = spans.end_ns[children] > spans.end_ns[parents]
    return early | (late & _is_call(spans, children))


def _shifts(spans: Columns, crossing: Flags, wrong: Ints) -> Ints:
    """Go down from clock to clock, parents first: where a clock belongs depends on where its caller's was put."""
    tops = find_roots(np.where(crossing, -1, spans.parents))
    affected = np.zeros(len(spans.traces), dtype=np.bool_)
    affected[spans.trace[wrong]] = True
    heads = np.flatnonzero(crossing & affected[spans.trace])
    heads = heads[np.argsort(depths(spans.parents)[heads], kind="stable")]
    parents = spans.parents[heads]
    # Rows are many and heads few: plain integers, a few of them for each host that a trace visits.
    shifts: dict[int, int] = {}
    for head, top, offset, room, is_call in zip(
        heads.tolist(),
        tops[parents].tolist(),
        (spans.start_ns[heads] - spans.start_ns[parents]).tolist(),
        (spans.duration_ns[parents] - spans.duration_ns[heads]).tolist(),
        _is_call(spans, heads).tolist(),
        strict=True,
    ):
        shifts[head] = _shift(offset - shifts.get(top, 0), room if is_call else None)
    by_row = np.zeros(spans.parents.size, dtype=np.int64)
    by_row[heads] = [shifts[head] for head in heads.tolist()]
    return by_row[tops]


def _shift(offset_ns: int, room_ns: int | None) -> int:
    """Give the least shift for a child that starts `offset_ns` after its parent; a call has `room_ns` to spare."""
    if room_ns is not None and not 0 <= offset_ns <= room_ns:
        return room_ns // 2 - offset_ns
    return max(0, -offset_ns)


def corrected(spans: Columns, *, correct_skew: bool = True) -> tuple[Columns, Skew]:
    """Give the spans with their clocks put right, when asked to, and how far off they were; with what is known."""
    spans = with_learned(spans)
    if not correct_skew:
        return spans, Skew(np.zeros(spans.parents.size, dtype=np.int64), 0, 0)
    skew = find_skew(spans)
    return (spans.shifted(skew.shift_ns) if skew.span_count else spans), skew
