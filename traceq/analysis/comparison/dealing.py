"""The requests of both sides dealt out anew, again and again: what chance alone would make of them.

If nothing changed, a request could as well have come on the other side. So the requests of each kind are dealt out to
two sides of the same sizes many times, and everything is measured again: what the sides differ by then is chance. Who
is dealt to which side follows from the traces' ids and the number of the deal, without a random number generator: it
is the same in every run, for every order of traces, and when the sides are swapped. What is dealt out are amounts of
services, operations and calls in requests, of which only those are kept that are not zero.

Source: Westfall and Young, Resampling-based multiple testing, 1993.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import Batch, Counts, Floats, Hashes, Matching
from traceq.analysis.grouping import flags_at, numbered

DEALS = 200


class Amounts(Struct, frozen=True, eq=False):
    """Amounts of groups in requests that are not zero, ordered by group and then by the number of the request."""

    requests: Codes
    values: Floats
    groups: Ints
    """The groups that have amounts, in rising order."""
    heads: Ints
    """The position where the amounts of each of these groups begin."""
    size: int
    """The number of groups."""

    def sums(self, weights: Floats) -> Floats:
        """Add up by group, with the weights of requests."""
        return self._added_up(weights[self.requests] * self.values)

    def group_of_each(self) -> Ints:
        """Give the group of each amount."""
        return np.repeat(self.groups, np.diff(self.heads, append=self.requests.size))

    def squares(self, weights: Floats) -> Floats:
        """Add up the squares by group, with the weights of requests."""
        return self._added_up(weights[self.requests] * self.values**2)

    def counts(self) -> Floats:
        """Count the requests that have an amount, by group."""
        return self._added_up((self.values != 0).astype(np.float64))

    def _added_up(self, values: Floats) -> Floats:
        # Adding up runs takes half the time of scattered groups, and each deal does it.
        sums = np.zeros(self.size)
        if self.heads.size:
            sums[self.groups] = np.add.reduceat(values, self.heads)
        return sums


def amounts(requests: Ints | Codes, groups: Ints | Counts, values: Floats, size: int) -> Amounts:
    """Add up values by request and group."""
    reach = int(requests.max(initial=0)) + 1
    keys = groups.astype(np.int64)
    keys *= reach
    keys += requests
    # There may be millions: what is not needed any more is dropped.
    del groups, requests
    found, numbers = numbered(keys)
    del keys
    sums = np.bincount(numbers, weights=values, minlength=found.size).astype(np.float64, copy=False)
    del numbers
    of_group = found // reach
    heads = np.flatnonzero(np.diff(of_group, prepend=-1))
    return Amounts((found % reach).astype(np.int32), sums, of_group[heads], heads, size)


def both(one: Amounts, other: Amounts) -> Amounts:
    """Add two kinds of amounts of the same groups."""
    groups = (part.group_of_each() for part in (one, other))
    requests, values = np.concatenate((one.requests, other.requests)), np.concatenate((one.values, other.values))
    return amounts(requests, np.concatenate(tuple(groups)), values, one.size)


def mixed(hashes: Hashes, deal: int) -> Hashes:
    """Give the numbers by which traces are sorted for a deal: another random order for each.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    found = hashes + np.uint64((deal + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    found ^= found >> np.uint64(31)
    return found


Signs: TypeAlias = npt.NDArray[np.int8]
Octets: TypeAlias = npt.NDArray[np.uint8]

_AT_ONCE = 1 << 23
"""The number of signs that are held at once."""
_BLOCK = 256
"""The number of amounts that are multiplied at once: few enough to stay close to the processor."""
_RUNS = 4096
"""The number of sums that are kept until they are weighed."""


class Dealt(Struct, frozen=True, eq=False):
    """Some deals; of pairs, the requests that really came before are first."""

    signs: tuple[Signs, Signs]
    """1 where a deal lets a request come after, and -1 for before: one row for each request, one column a deal."""
    alike: tuple[Ints, Ints]
    """Requests of equal numbers have equal weights."""
    before: Floats
    """The weights of such requests that come before: one row for each number, one column for each deal."""
    after: Floats
    shares: Floats
    """How much each deal left in place: 1 for the sides as they are, -1 for the sides exchanged."""

    def sums(self, level: tuple[Amounts, Amounts]) -> tuple[Floats, Floats]:
        """Add up amounts as if they had come before, and after: one row for each deal, one column for each group."""
        parts = [self._sums(*side) for side in zip(level, self.signs, self.alike, strict=True)]
        before, after = parts[0] + parts[1]
        return before.T, after.T

    def _sums(self, part: Amounts, signs: Signs, alike: Ints) -> Floats:
        found = np.zeros((2, part.size, self.shares.size))
        requests, values, heads, of_group, of_weight = _runs(part, alike)
        for first in range(0, heads.size, _RUNS):
            chosen = heads[first : first + _RUNS]
            ends = np.append(heads, values.size)[first + 1 : first + 1 + chosen.size]
            totals = np.add.reduceat(values[: ends[-1]], chosen)[:, None]
            differences = _products(values, requests, signs, chosen, ends)
            groups, numbers = (part[first : first + _RUNS] for part in (of_group, of_weight))
            starts = np.flatnonzero(np.diff(groups, prepend=-1))
            # The halves of sum and difference: swapped sides have exactly the same sums.
            for side, weights, whole in ((0, self.before, totals - differences), (1, self.after, totals + differences)):
                found[side, groups[starts]] += np.add.reduceat(weights[numbers] * whole / 2, starts, axis=0)
        return found


def _runs(part: Amounts, alike: Ints) -> tuple[Codes, Floats, Ints, Ints, Ints]:
    """Sort amounts by group and weight: give requests, values, and where runs begin, with group and weight of each."""
    groups = np.repeat(part.groups.astype(np.int32), np.diff(part.heads, append=part.requests.size))
    # Small types are sorted several times as fast.
    numbers = alike.astype(np.min_scalar_type(int(alike.max(initial=0))))[part.requests]
    requests, values = part.requests, part.values
    if numbers.size and int(numbers.max()) != int(numbers.min()):
        order = np.argsort(numbers, kind="stable")
        small = groups[order].astype(np.min_scalar_type(int(groups.max())))
        order = order[np.argsort(small, kind="stable")]
        requests, values = requests[order], values[order]
        groups, numbers = groups[order], numbers[order]
    is_head = np.ones(groups.size, dtype=np.bool_)
    is_head[1:] = (groups[1:] != groups[:-1]) | (numbers[1:] != numbers[:-1])
    heads = np.flatnonzero(is_head)
    return requests, values, heads, groups[heads].astype(np.int64), numbers[heads].astype(np.int64)


def _products(values: Floats, requests: Codes, signs: Signs, heads: Ints, ends: Ints) -> Floats:
    """Give for each run of values their sum with the signs of each deal.

    Numbers and times are whole: these sums are exact, in whatever order a processor adds up.
    """
    found = np.zeros((heads.size, signs.shape[1]))
    factors = np.empty((_BLOCK, signs.shape[1]))
    for run, (head, end) in enumerate(zip(heads.tolist(), ends.tolist(), strict=True)):
        for first in range(head, end, _BLOCK):
            last = min(first + _BLOCK, end)
            block = factors[: last - first]
            block[:] = signs[requests[first:last]]
            found[run] += values[first:last] @ block
    return found


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
        self._first_is_before = _key(before) <= _key(after)
        second = int(self._first_is_before)
        twice = np.isin(hashes[second], hashes[1 - second])
        self._is_twin = flags_at(np.flatnonzero(is_after == second)[twice], self._kinds.size)
        self._hashes = np.concatenate(hashes)
        pools, self._pool_of = np.unique(matching.pools[self._kinds], return_inverse=True)
        sizes = np.bincount(self._pool_of, minlength=pools.size)
        firsts = np.bincount(self._pool_of[is_after != self._first_is_before], minlength=pools.size)
        self._lasts = np.cumsum(sizes) - sizes + firsts - 1
        self._has_first = firsts > 0
        self._one_of_each, alike = matching.alike()
        self._alike = alike[self._kinds]
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

    @property
    def size(self) -> int:
        """The number of requests."""
        return int(self._kinds.size)

    def ranges(self, size: int = 0) -> list[range]:
        """Divide the deals into parts that are small enough to be held at once.

        Args:
            size: The number of signs that take as much memory as what else is held for each deal.
        """
        rows = min(max(_AT_ONCE // max(self.size, size, 1), 1), len(self))
        return [range(first, min(first + rows, len(self))) for first in range(0, len(self), rows)]

    def __call__(self, numbers: range) -> Dealt:
        """Give some deals."""
        packed = np.stack([self._packed[number] for number in numbers])
        after = np.ascontiguousarray(np.unpackbits(packed, axis=1, count=self.size).T)
        sides, alike = (after[: self.half], after[self.half :]), (self._alike[: self.half], self._alike[self.half :])
        sizes = [np.bincount(numbers, minlength=self._one_of_each.size)[:, None] for numbers in alike]
        counts = [_counted(*side, self._one_of_each.size) for side in zip(sides, alike, strict=True)]
        weights_before = self._matching.weights_of(
            self._matching.before_strata[:, self._one_of_each], sizes[0] + sizes[1] - counts[0] - counts[1]
        )
        weights_after = self._matching.weights_of(
            self._matching.after_strata[:, self._one_of_each], counts[0] + counts[1]
        )
        # Of both sides: a kind that was dealt to one side alone has no weight on the other.
        moved = [
            (weights_after * count - weights_before * (size - count)).sum(axis=0)
            for size, count in zip(sizes, counts, strict=True)
        ]
        signs = [(side * 2).astype(np.int8) - np.int8(1) for side in sides]
        return Dealt((signs[0], signs[1]), alike, weights_before, weights_after, (moved[1] - moved[0]) / 2)


def _counted(flags: Octets, numbers: Ints, size: int) -> Floats:
    """Count flags by number of their row, for each column."""
    found = np.zeros((size, flags.shape[1]))
    order = np.argsort(numbers, kind="stable")
    heads = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    if heads.size:
        found[numbers[order][heads]] = np.add.reduceat(flags[order], heads, axis=0, dtype=np.float64)
    return found


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
