"""Which calls of one caller wait for which others: refuted by every trace in which one begins while the other runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from traceq.analysis.columns import Columns, Ints
from traceq.analysis.grouping import numbered, numbered_rows, sum_by_group
from traceq.analysis.outliving import calls_of, number_calls
from traceq.learned import Place, Unordered

_BACK = 32
"""So many calls before each one are compared with it."""
_PLACES = 16
"""So many calls of one operation are told apart in each caller; those after them count as the last."""
_REFUTED = Fraction(1, 100)
"""A call that begins more often than this while another one runs does not wait for it."""
_MOSTLY_OVER = Fraction(9, 10)
"""What begins after this share of a call may well have waited for it, if ends are recorded late."""


@dataclass(frozen=True, slots=True)
class Orders:
    """How often calls began before others of the same caller, and were still running then; can be added to others."""

    counts: Mapping[Unordered, tuple[int, int]] = field(default_factory=dict)

    def __add__(self, other: Orders) -> Orders:
        counts = dict(self.counts)
        for pair, (met, ran) in other.counts.items():
            known = counts.get(pair, (0, 0))
            counts[pair] = known[0] + met, known[1] + ran
        return Orders(counts)

    def unordered(self) -> frozenset[Unordered]:
        """Give the pairs of calls of which the second one does not wait for the first."""
        return frozenset(pair for pair, (met, ran) in self.counts.items() if ran > _REFUTED * met)


def count_orders(spans: Columns) -> Orders:
    """Compare the calls of each caller, in order of start, with the 32 before each.

    Source: Chow et al., The Mystery Machine, OSDI '14, section 3: every order is assumed until a trace shows otherwise.
    """
    rows = np.flatnonzero(spans.parents >= 0)
    rows = rows[np.lexsort((rows, spans.start_ns[rows], spans.parents[rows]))]
    places, place = _number_places(spans, rows)
    above, start_ns = spans.parents[rows], spans.start_ns[rows]
    over_ns = start_ns + spans.duration_ns[rows] * _MOSTLY_OVER.numerator // _MOSTLY_OVER.denominator
    pairs, running = [], []
    for back in range(1, _BACK + 1):
        first = np.flatnonzero(above[back:] == above[:-back])
        then = first + back
        pairs.append(place[first] * len(places) + place[then])
        running.append((start_ns[first] < start_ns[then]) & (start_ns[then] < over_ns[first]))
    codes = np.concatenate(pairs)
    known, number = numbered(codes)
    met = np.bincount(number, minlength=known.size).tolist()
    ran = sum_by_group(number, np.concatenate(running).astype(np.int64), known.size).tolist()
    told = zip(*(codes.tolist() for codes in np.divmod(known, max(len(places), 1))), met, ran, strict=True)
    return Orders({Unordered(places[first], places[then]): (each, some) for first, then, each, some in told})


def find_unordered(
    spans: Columns, rows: Ints, known: frozenset[Unordered]
) -> tuple[list[int], frozenset[tuple[int, int]]]:
    """Number the places of calls, and give the pairs of places of which the second does not wait for the first.

    Args:
        spans: All spans.
        rows: Calls, by caller and start; all of each caller.
        known: What was learned.
    """
    if not known or not rows.size:
        return [0] * rows.size, frozenset()
    places, place = _number_places(spans, rows)
    number = {each: at for at, each in enumerate(places)}
    pairs = ((number.get(first, -1), number.get(then, -1)) for first, then in known)
    return place.tolist(), frozenset(pair for pair in pairs if min(pair) >= 0)


def _number_places(spans: Columns, rows: Ints) -> tuple[list[Place], Ints]:
    """Number calls by operation, and by place among those of their caller; rows are sorted by caller and start."""
    _, call = number_calls(spans, rows)
    above = spans.parents[rows]
    order = np.lexsort((call, above))
    is_head = np.diff(above[order], prepend=-1) != 0
    is_head |= np.diff(call[order], prepend=-1) != 0
    since = np.maximum.accumulate(np.where(is_head, np.arange(rows.size), 0))
    at = np.zeros(rows.size, dtype=np.int64)
    at[order] = np.minimum(np.arange(rows.size) - since, _PLACES - 1)
    heads, number = numbered_rows(call, at)
    return [
        Place(each, place) for each, place in zip(calls_of(spans, rows[heads]), at[heads].tolist(), strict=True)
    ], number
