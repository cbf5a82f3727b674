"""Which calls outlive their callers, and which their callers leave running, counted over many traces.

Ends of spans are compared with those of their parents and of other attempts at the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import Selected, TimeKeys, flags_at, numbered_rows, sum_by_group
from traceq.analysis.siblings import tolerance_ns
from traceq.learned import Call
from traceq.semantics import Kind, Status

_LATE_NS = 200_000
"""An end later than the parent's by at most this may be recorded late: in a callback, or because of clock ticks."""
_CANCELLED_NS = 2_000_000
"""A cancelled call ends at most this long after the one that made it needless."""


_EVERY = slice(None)
"""Stands for the rows of all spans."""


def is_handed_over(spans: Columns, rows: Selected = _EVERY) -> Flags:
    """Tell which of these spans consume a message of their parent or of another service: nobody waits for them.

    A message comes from another service when the parent belongs to one, or when the span was rejoined.
    """
    parents = spans.parents[rows]
    sent = (spans.told_roles[parents] == Kind.PRODUCER) | (spans.services[parents] != spans.services[rows])
    handed_over: Flags = (sent & (parents >= 0) | spans.rejoined[rows]) & (spans.roles[rows] == Kind.CONSUMER)
    return handed_over


def is_told_free(spans: Columns, rows: Selected = _EVERY) -> Flags:
    """Tell which of these spans by definition nobody waits for: those handed over, and FOLLOWS_FROM."""
    # A root follows from nothing, even if it names a parent that is missing.
    free: Flags = (is_handed_over(spans, rows) | spans.follows[rows]) & (spans.parents[rows] >= 0)
    return free


def crosses_clocks(spans: Columns, rows: Selected = _EVERY) -> Flags:
    """Tell which of these spans have a parent that was timed by another clock.

    Spans share a clock when they name the same host, or, where one names none, when they belong to one service.
    """
    parents, hosts = spans.parents[rows], spans.hosts[rows]
    both_told = (hosts > 0) & (spans.hosts[parents] > 0)
    other: Flags = np.where(both_told, hosts != spans.hosts[parents], spans.services[rows] != spans.services[parents])
    return other & (parents >= 0)


def is_comparable(spans: Columns, rows: Selected = _EVERY) -> Flags:
    """Tell which of these spans have an end that can be compared with their parent's.

    Both have one clock, the span is not one that by definition nobody waits for, and it is not a SERVER under its
    CLIENT.
    """
    parents = spans.parents[rows]
    is_served = (spans.roles[rows] == Kind.SERVER) & (spans.roles[parents] == Kind.CLIENT)
    comparable: Flags = (parents >= 0) & ~crosses_clocks(spans, rows) & ~is_served & ~is_told_free(spans, rows)
    return comparable


def outlives(spans: Columns) -> Flags:
    """Tell the spans that end clearly after their parents on the same clock."""
    over_ns = spans.end_ns - spans.end_ns[spans.parents]
    rows = np.flatnonzero((over_ns > _LATE_NS) & (spans.parents >= 0))
    rows = rows[over_ns[rows] > tolerance_ns(spans.duration_ns[spans.parents[rows]])]
    late = np.zeros(spans.parents.size, dtype=np.bool_)
    late[rows] = is_comparable(spans, rows)
    return late


def find_superseded(spans: Columns, has_outlived: Flags) -> tuple[Ints, Flags]:
    """Find attempts that ran in parallel with another one whose answer was enough.

    Of two alike calls of one span that overlap, the one that failed or outlived the span was not waited for where the
    span ended, or called something else, between the winner's end and its own, or where it was begun later or earlier
    than the winner and ended right after it, as a cancelled call does.

    Returns:
        For each span the time until which it was waited for (a superseded attempt until the winner was begun, others
        until they ended), and which spans are superseded attempts.

    Source: Dean and Barroso, The tail at scale, CACM 2013 (hedged requests).
    """
    end_ns = spans.end_ns.copy()
    is_superseded = np.zeros(end_ns.size, dtype=np.bool_)
    called = spans.parents >= 0
    has_lost = called & ((spans.statuses == Status.ERROR) | has_outlived)
    concerned = flags_at(spans.parents[has_lost], end_ns.size)
    rows = np.flatnonzero(called & concerned[spans.parents])
    if not rows.size or has_lost[rows].all():
        return end_ns, is_superseded
    _, number = numbered_rows(
        *(column[rows] for column in (spans.parents, spans.services, spans.names, spans.told_roles))
    )
    winners = _first_to_end(spans, rows, number, ~has_lost[rows])
    found = np.flatnonzero(has_lost[rows] & (winners >= 0))
    found = found[_is_needless(spans, rows, number, found, winners[found])]
    losers = rows[found]
    end_ns[losers] = np.clip(spans.start_ns[winners[found]], spans.start_ns[losers], spans.end_ns[losers])
    is_superseded[losers] = True
    return end_ns, is_superseded


def _first_to_end(spans: Columns, rows: Ints, number: Ints, won: Flags) -> Ints:
    """Find for each row the alike winner that ended first while the row was running; -1 for none."""
    keys = TimeKeys(rows.size, spans.start_ns[rows], spans.end_ns[rows])
    winners = np.flatnonzero(won)
    ends = keys.key(number[winners], spans.end_ns[rows[winners]])
    order = np.argsort(ends, kind="stable")
    winners, ends = winners[order], ends[order]
    at = np.searchsorted(ends, keys.key(number, spans.start_ns[rows]), side="right")
    found = winners[np.minimum(at, winners.size - 1)]
    fits = (at < winners.size) & (number[found] == number) & (spans.end_ns[rows[found]] <= spans.end_ns[rows])
    return np.where(fits, rows[found], -1)


def _is_needless(spans: Columns, rows: Ints, number: Ints, found: Ints, winners: Ints) -> Flags:
    """Tell whether the caller continued after the winner's end and before the loser's, or cancelled the loser then."""
    losers = rows[found]
    parents = spans.parents[losers]
    most_ns = tolerance_ns(spans.duration_ns[parents])
    keys = TimeKeys(spans.parents.size, spans.start_ns[rows])
    begins = keys.key(spans.parents[rows], spans.start_ns[rows])
    order = np.argsort(begins, kind="stable")
    at = np.searchsorted(begins[order], keys.key_at_most(parents, spans.end_ns[winners] - most_ns), side="right")
    following = order[np.minimum(at, rows.size - 1)]
    is_other = (spans.parents[rows[following]] == parents) & (number[following] != number[found])
    calls_on = (at < rows.size) & is_other & (spans.start_ns[rows[following]] < spans.end_ns[losers])
    has_ended = spans.end_ns[parents] <= spans.end_ns[losers]
    apart = np.abs(spans.start_ns[losers] - spans.start_ns[winners]) > most_ns
    cancelled = apart & (spans.end_ns[losers] - spans.end_ns[winners] <= _CANCELLED_NS)
    needless: Flags = calls_on | has_ended | cancelled
    return needless


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


class Outliving(Struct, frozen=True):
    """How often calls were made, outlived their callers, and were left running; can be added to others."""

    counts: Mapping[Call, tuple[int, int, int]] = {}

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
    places, number = number_calls(spans, rows)
    made = np.bincount(number, minlength=places.size)
    outlived = sum_by_group(number, proves[rows].astype(np.int64), places.size)
    left = sum_by_group(number, _is_left_running(spans)[rows].astype(np.int64), places.size)
    counts = zip(made.tolist(), outlived.tolist(), left.tolist(), strict=True)
    return Outliving(dict(zip(calls_of(spans, rows[places]), counts, strict=True)))


def _is_left_running(spans: Columns) -> Flags:
    """Tell the calls during which the caller began another one, long before they ended."""
    call, following = _in_turn(spans)
    ran_ns = spans.start_ns[following] - spans.start_ns[call]
    is_left = (ran_ns > 0) & (ran_ns * _MOSTLY_OVER.denominator < spans.duration_ns[call] * _MOSTLY_OVER.numerator)
    return flags_at(call[is_left], spans.parents.size)


def is_followed_at_once(spans: Columns) -> Flags:
    """Tell the calls after whose end the caller soon began another one: these were waited for.

    Soon is within a tenth of the call, or a hundredth of the caller.
    """
    call, following = _in_turn(spans)
    pause_ns = spans.start_ns[following] - spans.end_ns[call]
    soon_ns = np.maximum(tolerance_ns(spans.duration_ns[spans.parents[call]]), spans.duration_ns[call] // 10)
    return flags_at(call[(pause_ns >= 0) & (pause_ns <= soon_ns)], spans.parents.size)


def _in_turn(spans: Columns) -> tuple[Ints, Ints]:
    """Pair each call with the one that its caller began next; rows."""
    children = np.flatnonzero(spans.parents >= 0)
    children = children[np.lexsort((spans.start_ns[children], spans.parents[children]))]
    call, following = children[:-1], children[1:]
    same = spans.parents[call] == spans.parents[following]
    return call[same], following[same]


def are_any_of(spans: Columns, known: frozenset[Call]) -> Flags:
    """Tell the spans that are one of these calls."""
    flags = np.zeros(spans.parents.size, dtype=np.bool_)
    names = {call.name for call in known}
    is_named = np.array([name in names for name in spans.traces.names], dtype=np.bool_)
    rows = np.flatnonzero((spans.parents >= 0) & is_named[spans.names]) if names else np.zeros(0, dtype=np.int64)
    if rows.size:
        places, number = number_calls(spans, rows)
        is_known = np.array([call in known for call in calls_of(spans, rows[places])], dtype=np.bool_)
        flags[rows] = is_known[number]
    return flags


def number_calls(spans: Columns, rows: Ints) -> tuple[Ints, Ints]:
    """Number calls by caller and callee: the first row of each number as an index of `rows`, and all numbers."""
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


def calls_of(spans: Columns, rows: Ints) -> Iterator[Call]:
    """Give the calls that rows are."""
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
