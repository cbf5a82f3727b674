"""Which calls outlive their callers, and which their callers leave running, counted over many traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.endings import find_superseded, is_comparable, outlives
from traceq.analysis.grouping import numbered_rows, sum_by_group
from traceq.learned import Call
from traceq.semantics import Status

_REFUTED = Fraction(1, 100)
"""A call that outlives its caller more often than this is not waited for."""
_LEAST = 2
"""The minimum number of such calls: a single one proves nothing."""
_LEFT = Fraction(1, 20)
"""A call during which its caller begins another one more often than this was not what that call waited for."""
_LEAST_LEFT = 5
"""The minimum number of such calls."""
_MOSTLY_OVER = Fraction(9, 10)
"""What begins after this share of a call may well have waited for it, if ends are recorded late."""


@dataclass(frozen=True, slots=True)
class Outliving:
    """How often calls were made, outlived their callers, and were left running; can be added to others."""

    counts: Mapping[Call, tuple[int, int, int]] = field(default_factory=dict)

    def __add__(self, other: Outliving) -> Outliving:
        counts = dict(self.counts)
        for call, (made, outlived, left) in other.counts.items():
            known = counts.get(call, (0, 0, 0))
            counts[call] = known[0] + made, known[1] + outlived, known[2] + left
        return Outliving(counts)

    def asynchronous(self) -> frozenset[Call]:
        """Give the calls that nobody can have waited for."""
        return frozenset(
            call
            for call, (made, outlived, _) in self.counts.items()
            if outlived >= _LEAST and outlived > _REFUTED * made
        )

    def left_running(self) -> frozenset[Call]:
        """Give the calls that their callers do not wait for before they call something else."""
        return frozenset(
            call for call, (made, _, left) in self.counts.items() if left >= _LEAST_LEFT and left > _LEFT * made
        )


def count_outliving(spans: Columns) -> Outliving:
    """Count calls by caller and callee, on one clock.

    Failed calls and superseded attempts prove nothing: they were abandoned.
    """
    rows = np.flatnonzero(is_comparable(spans))
    has_outlived = outlives(spans)
    _, is_superseded = find_superseded(spans, has_outlived)
    proves = has_outlived & ~is_superseded & (spans.statuses != Status.ERROR)
    places, number = _number_calls(spans, rows)
    made = np.bincount(number, minlength=places.size)
    outlived = sum_by_group(number, proves[rows].astype(np.int64), places.size)
    left = sum_by_group(number, _is_left_running(spans)[rows].astype(np.int64), places.size)
    counts = zip(made.tolist(), outlived.tolist(), left.tolist(), strict=True)
    return Outliving(dict(zip(_calls(spans, rows[places]), counts, strict=True)))


def _is_left_running(spans: Columns) -> Flags:
    """Tell the calls during which the caller began another one, long before they ended."""
    children = np.flatnonzero(spans.parents >= 0)
    children = children[np.lexsort((spans.start_ns[children], spans.parents[children]))]
    call, following = children[:-1], children[1:]
    ran_ns = spans.start_ns[following] - spans.start_ns[call]
    is_left = (spans.parents[call] == spans.parents[following]) & (ran_ns > 0)
    is_left &= ran_ns * _MOSTLY_OVER.denominator < spans.duration_ns[call] * _MOSTLY_OVER.numerator
    flags = np.zeros(spans.parents.size, dtype=np.bool_)
    flags[call[is_left]] = True
    return flags


def are_any_of(spans: Columns, known: frozenset[Call]) -> Flags:
    """Tell the spans that are one of these calls."""
    flags = np.zeros(spans.parents.size, dtype=np.bool_)
    names = {call.name for call in known}
    is_named = np.array([name in names for name in spans.traces.names], dtype=np.bool_)
    rows = np.flatnonzero((spans.parents >= 0) & is_named[spans.names]) if names else np.zeros(0, dtype=np.int64)
    if rows.size:
        places, number = _number_calls(spans, rows)
        is_known = np.array([call in known for call in _calls(spans, rows[places])], dtype=np.bool_)
        flags[rows] = is_known[number]
    return flags


def _number_calls(spans: Columns, rows: Ints) -> tuple[Ints, Ints]:
    parents = spans.parents[rows]
    callee_service, callee = _callees(spans)
    told = (spans.services[parents], spans.names[parents], spans.services[rows], spans.names[rows])
    return numbered_rows(*told, callee_service[rows], callee[rows])


def _callees(spans: Columns) -> tuple[Ints, Ints]:
    """Give for each span service and name of its only child of another service; -1 where there is not exactly one."""
    parents = spans.parents
    called = np.flatnonzero((parents >= 0) & (spans.services != spans.services[parents]))
    count = np.bincount(parents[called], minlength=parents.size)
    single = called[count[parents[called]] == 1]
    service, name = np.full((2, parents.size), -1, dtype=np.int64)
    service[parents[single]] = spans.services[single]
    name[parents[single]] = spans.names[single]
    return service, name


def _calls(spans: Columns, rows: Ints) -> Iterator[Call]:
    traces, parents = spans.traces, spans.parents[rows]
    callee_services, callees = _callees(spans)
    for caller_service, caller, service, name, callee_service, callee in zip(
        spans.services[parents].tolist(),
        spans.names[parents].tolist(),
        spans.services[rows].tolist(),
        spans.names[rows].tolist(),
        callee_services[rows].tolist(),
        callees[rows].tolist(),
        strict=True,
    ):
        yield Call(
            traces.services[caller_service],
            traces.names[caller],
            traces.services[service],
            traces.names[name],
            traces.services[callee_service] if callee_service >= 0 else "",
            traces.names[callee] if callee >= 0 else "",
        )
