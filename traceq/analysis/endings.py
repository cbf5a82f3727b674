"""Ends of spans, compared with those of their parents and of other attempts at the same thing."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import numbered_rows
from traceq.analysis.siblings import tolerance_ns
from traceq.analysis.tree import TimeKeys
from traceq.semantics import Kind, Status

LATE_NS = 200_000
"""An end later than the parent's by at most this may be recorded late: in a callback, or because of clock ticks."""
CANCELLED_NS = 2_000_000
"""A cancelled call ends at most this long after the one that made it needless."""


def is_handed_over(spans: Columns) -> Flags:
    """Tell the spans that consume a message of their parent or of another service: nobody waits for them.

    A message comes from another service when the parent belongs to one, or when the span was rejoined.
    """
    parents = spans.parents
    sent = (spans.told_roles[parents] == Kind.PRODUCER) | (spans.services[parents] != spans.services)
    handed_over: Flags = (sent & (parents >= 0) | spans.rejoined) & (spans.roles == Kind.CONSUMER)
    return handed_over


def is_told_free(spans: Columns) -> Flags:
    """Tell the spans that by definition nobody waits for: those handed over, and FOLLOWS_FROM."""
    # A root follows from nothing, even if it names a parent that is missing.
    free: Flags = (is_handed_over(spans) | spans.follows) & (spans.parents >= 0)
    return free


def crosses_clocks(spans: Columns) -> Flags:
    """Tell the spans whose parent was timed by another clock.

    Spans share a clock when they name the same host, or, where one names none, when they belong to one service.
    """
    parents = spans.parents
    told = spans.hosts > 0
    both_told = told & told[parents]
    other: Flags = np.where(both_told, spans.hosts != spans.hosts[parents], spans.services != spans.services[parents])
    return other & (parents >= 0)


def is_comparable(spans: Columns) -> Flags:
    """Tell the spans whose end can be compared with their parent's.

    Both have one clock, the span is not one that by definition nobody waits for, and it is not a SERVER under its
    CLIENT.
    """
    parents = spans.parents
    is_served = (spans.roles == Kind.SERVER) & (spans.roles[parents] == Kind.CLIENT)
    comparable: Flags = (parents >= 0) & ~crosses_clocks(spans) & ~is_served & ~is_told_free(spans)
    return comparable


def outlives(spans: Columns) -> Flags:
    """Tell the spans that end clearly after their parents on the same clock."""
    parents = spans.parents
    late_ns = np.maximum(LATE_NS, tolerance_ns(spans.duration_ns[parents]))
    late: Flags = spans.end_ns - spans.end_ns[parents] > late_ns
    return late & is_comparable(spans)


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
    concerned = np.zeros(end_ns.size, dtype=np.bool_)
    concerned[spans.parents[has_lost]] = True
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
    cancelled = apart & (spans.end_ns[losers] - spans.end_ns[winners] <= CANCELLED_NS)
    needless: Flags = calls_on | has_ended | cancelled
    return needless
