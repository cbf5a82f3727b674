"""Calls that are made in another order than before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.comparison.batches import MIN_REQUESTS, Batch
from traceq.analysis.comparison.called import Network, SettledCalls
from traceq.analysis.comparison.evidence import Difference, Sample, difference_specs, differences
from traceq.analysis.grouping import numbered_rows
from traceq.report import Column, Unit

LEAST_SHARE = 0.2
"""The least difference of the share of requests: fewer come and go with what is lost."""
_SIDE_BY_SIDE = 0.05
"""Calls that overlap in more requests than this are made side by side: their order is chance."""
_BACK = 16
"""Each call is compared with so many kinds of calls of its caller that begin before it."""


@dataclass(frozen=True, slots=True)
class OrderChange:
    """Two calls of one caller of which the other one now comes first."""

    caller: str
    """The service that makes them."""
    caller_operation: str
    """The operation at which it was entered."""
    first: str
    """The service or peer that is called first more often than before."""
    first_operation: str
    """The operation at which it is entered; of a peer, that of the client span."""
    second: str
    second_operation: str
    share: Difference
    """Of the requests with both calls, those in which the first comes before the second."""


ORDER_CHANGE_COLUMNS: tuple[Column[OrderChange], ...] = (
    Column("caller", "caller", Unit.SERVICE, about="who makes the calls", can_shrink=True),
    Column("caller_operation", "in", about="at which the caller was entered", can_shrink=True),
    Column("first", "now first", Unit.SERVICE, about="who is called first more often than before", can_shrink=True),
    Column(
        "first_operation", "call", about="at which it was entered; of a peer, of the client's span", can_shrink=True
    ),
    Column("second", "before", Unit.SERVICE, about="who is called after that", can_shrink=True),
    Column("second_operation", "call", about="the same of this call", can_shrink=True),
    *difference_specs(
        "first_ratio", lambda line: line.share, "share of the requests with both calls in which they come in this order"
    ),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Met:
    """Pairs of kinds of calls that one caller made in one request; one entry for each."""

    entries: Ints
    """The entry operation of the request."""
    callers: Ints
    ones: Ints
    """The callee with the smaller number."""
    others: Ints
    one_calls: Ints
    """The number of these calls."""
    other_calls: Ints
    is_one_first: Flags
    is_apart: Flags
    """Whether the first call of one kind had ended when that of the other began."""


def find_order_changes(
    batches: tuple[Batch, Batch], network: Network, settled: tuple[SettledCalls, SettledCalls]
) -> tuple[OrderChange, ...]:
    """Find calls that surely follow each other the other way round.

    Of each kind of call it is known when the first one began and ended. Calls that overlap more often than now and
    then, on either side, are made side by side. Only requests with as many of these calls are compared: where some are
    missing, or more are made, another one may be the first.
    """
    sides = [_meet(*side, network) for side in zip(batches, settled, strict=True)]
    both = _Met(*(np.concatenate([getattr(side, name) for side in sides]) for name in _Met.__slots__))
    places, pairs = numbered_rows(both.callers, both.ones, both.others)
    _, strata = numbered_rows(both.entries, both.one_calls, both.other_calls)
    cut, kept = sides[0].callers.size, _varying(both, pairs, sides[0].callers.size, places.size)
    number = np.full(places.size, -1, dtype=np.int64)
    number[kept] = np.arange(kept.size)
    is_used = both.is_apart & (number[pairs] >= 0)
    samples = []
    for part in (slice(None, cut), slice(cut, None)):
        mine, used = number[pairs[part]], is_used[part]
        first = used & both.is_one_first[part]
        ones = np.ones(np.count_nonzero(first))
        samples.append(Sample(mine[first], strata[part][first], ones, mine[used], strata[part][used]))
    told = differences(samples[0], samples[1], np.arange(kept.size), are_shares=True)
    found = [
        _change(network, batches[0], (int(both.callers[place]), int(both.ones[place]), int(both.others[place])), share)
        for place, share in zip(places[kept].tolist(), told, strict=True)
        if share.is_sure and abs(share.change) >= LEAST_SHARE
    ]
    return tuple(sorted(found, key=_order_rank))


def _meet(batch: Batch, settled: SettledCalls, network: Network) -> _Met:
    """Compare the calls of each caller, in order of start, with those before each."""
    calls, entries, groups = batch.calls, settled.entries, settled.groups
    kept = np.flatnonzero((calls.guessed[entries] == 0) & (network.callers[groups] >= 0) & (settled.shares == 1))
    entries, groups = entries[kept], groups[kept]
    callers, callees, counts = network.callers[groups], network.callees[groups], calls.calls[entries].astype(np.int64)
    begun_ns, over_ns = calls.begun_ns[entries], calls.over_ns[entries]
    of = (calls.requests[entries].astype(np.int64), network.depths[groups], callers)
    order = np.lexsort((callees, begun_ns, *of[::-1]))
    in_order = [column[order] for column in of]
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for back in range(1, min(_BACK, order.size - 1) + 1):
        same = np.logical_and.reduce([column[back:] == column[:-back] for column in in_order])
        at = np.flatnonzero(same & (callees[order[back:]] != callees[order[:-back]]))
        pairs.append(np.stack((order[at], order[at + back])))
    first, then = np.concatenate(pairs, axis=1)
    is_apart = (over_ns[first] <= begun_ns[then]) & (begun_ns[first] < begun_ns[then])
    is_one_first = callees[first] < callees[then]
    one, other = np.where(is_one_first, first, then), np.where(is_one_first, then, first)
    where = batch.requests.operations.astype(np.int64)[of[0][first]]
    return _Met(where, callers[one], callees[one], callees[other], counts[one], counts[other], is_one_first, is_apart)


def _varying(met: _Met, pairs: Ints, cut: int, size: int) -> Ints:
    """Give the pairs of calls made in turn whose order is not always the same, if there are enough on both sides."""
    chosen = np.ones(size, dtype=np.bool_)
    for part in (slice(None, cut), slice(cut, None)):
        together = np.bincount(pairs[part], minlength=size)
        apart = np.bincount(pairs[part][met.is_apart[part]], minlength=size)
        chosen &= (apart >= MIN_REQUESTS) & (together - apart <= _SIDE_BY_SIDE * together)
    one_first = np.bincount(pairs[met.is_apart & met.is_one_first], minlength=size)
    return np.flatnonzero(chosen & (one_first > 0) & (one_first < np.bincount(pairs[met.is_apart], minlength=size)))


def _change(network: Network, batch: Batch, calls: tuple[int, int, int], share: Difference) -> OrderChange:
    """Name the calls; the one that comes first more often than before is the first."""
    caller, one, other = calls
    if share.change < 0:
        one, other = other, one
        share = Difference(1 - share.before, 1 - share.after, -share.deviations, share.is_sure)
    size = len(batch.operations)

    def named(callee: int) -> tuple[str, str]:
        place = int(np.argmax(network.callees == callee))
        return network.names[network.called[place]], batch.operations[callee % size].name

    return OrderChange(
        network.names[network.calling[int(np.argmax(network.callers == caller))]],
        batch.operations[caller].name,
        *named(one),
        *named(other),
        share,
    )


def _order_rank(change: OrderChange) -> tuple[float, float, str, str, str, str, str, str]:
    """Put the greatest change first, then what is most certain."""
    names = (change.first, change.first_operation, change.second, change.second_operation)
    return (
        -round(change.share.change, 9),
        -round(change.share.deviations, 9),
        change.caller,
        change.caller_operation,
        *names,
    )
