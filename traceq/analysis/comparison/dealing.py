"""The requests of both sides dealt out anew, again and again: what chance alone would make of them.

If nothing changed, a request could as well have come on the other side. So the requests of each kind are dealt out to
two sides of the same sizes many times, and everything is measured again: what the sides differ by then is chance. Who
is dealt to which side follows from the traces' ids and the number of the deal, without a random number generator: it
is the same in every run, for every order of traces, and when the sides are swapped.

Source: Westfall and Young, Resampling-based multiple testing, 1993.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.columns import Flags
from traceq.analysis.comparison.batches import Batch, Floats, Hashes, Matching

DEALS = 200


def mixed(hashes: Hashes, deal: int) -> Hashes:
    """Give the numbers by which traces are sorted for a deal: another random order for each.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    found = hashes + np.uint64((deal + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    found ^= found >> np.uint64(31)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """Weights of all requests, those before first, as if they had come before, or after; 0 for the other side."""

    before: Floats
    after: Floats


class Deals:
    """All deals of the requests of two sides.

    Requests of one trace stay together, and a trace that is on both sides comes before once and after once.
    """

    def __init__(self, before: Batch, after: Batch, matching: Matching) -> None:
        self._matching = matching
        self._kinds = np.concatenate((matching.before_kinds, matching.after_kinds))
        self.half = len(before.requests)
        """The number of requests that really came before."""
        is_after = np.arange(self._kinds.size) >= self.half
        hashes = [batch.traces.hashes[batch.requests.traces] for batch in (before, after)]
        # The smaller side is dealt first: whichever is called before, all deals are the same.
        self._first_is_before = _is_first(before, after)
        second = int(self._first_is_before)
        twice = np.isin(hashes[second], hashes[1 - second])
        self._is_twin = np.zeros(self._kinds.size, dtype=np.bool_)
        self._is_twin[np.flatnonzero(is_after == second)[twice]] = True
        self._hashes = np.concatenate(hashes)
        pools, self._pool_of = np.unique(matching.pools[self._kinds], return_inverse=True)
        sizes = np.bincount(self._pool_of, minlength=pools.size)
        firsts = np.bincount(self._pool_of[is_after != self._first_is_before], minlength=pools.size)
        self._lasts = np.cumsum(sizes) - sizes + firsts - 1
        self._has_first = firsts > 0
        self._packed = [np.packbits(self._comes_after(deal)) for deal in range(DEALS)]

    def _comes_after(self, deal: int) -> Flags:
        order = mixed(self._hashes, deal)
        order = np.where(self._is_twin, ~order, order)
        keys = (self._pool_of.astype(np.uint64) << np.uint64(40)) | (order >> np.uint64(24))
        bounds = np.sort(keys)[self._lasts]
        is_first = self._has_first[self._pool_of] & (keys <= bounds[self._pool_of])
        found: Flags = is_first != self._first_is_before
        return found

    def __len__(self) -> int:
        return len(self._packed)

    def __call__(self, deal: int) -> Dealt:
        """Give the weights of a deal."""
        comes_after = np.unpackbits(self._packed[deal], count=self._kinds.size).astype(np.float64)
        matching = self._matching
        return Dealt(
            matching.weights(self._kinds, matching.before_strata, 1 - comes_after),
            matching.weights(self._kinds, matching.after_strata, comes_after),
        )


def _is_first(before: Batch, after: Batch) -> bool:
    """Tell which of two sides comes first, whatever they are called."""
    return _key(before) <= _key(after)


def _key(batch: Batch) -> tuple[int, ...]:
    # The same traces may be on both sides, with other spans.
    hashes, reached, work = batch.traces.hashes, batch.requests.reached, batch.work
    numbers = (
        reached,
        batch.requests.latency_ns,
        work.operations,
        work.own_ns,
        work.calls,
        work.errors,
        batch.durations_ns,
    )
    return (hashes.size, int(hashes.sum()), *(part for each in numbers for part in (each.size, int(each.sum()))))
