"""Histograms that can be added, for percentiles: counts in buckets of equal ratio.

A bucket's ends differ by 2 %, and its middle stands for its values, so a percentile is off by at most 1 %.
Histograms of parts add up to the histogram of the whole, so one worker and many give the same answer.
Source: DDSketch, Masson, Rim and Lee, VLDB 2019.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import sub

import numpy as np

from traceq.analysis.columns import Ints

_RATIO = 1.02
_LOG_RATIO = math.log(_RATIO)
BUCKETS = 4096
"""An upper bound of the number of buckets: 2^63 ns lies in bucket 2207."""
_NO_CELLS = np.zeros(0, dtype=np.int64)
_LOOSE_CELLS = 100_000
"""The maximum number of cells that wait to be added up: 1.6 MB."""


def bucket_of(values_ns: Ints) -> Ints:
    """Give the bucket of each value: 0 for 0 ns, else 1 + the power of 1.02 that just reaches it."""
    powers = np.ceil(np.log(np.maximum(values_ns, 1)) / _LOG_RATIO).astype(np.int64)
    return np.where(values_ns > 0, powers + 1, 0)


def value_of(bucket: int) -> int:
    """Give the value in ns that stands for a bucket: within 1 % of everything in it."""
    return 0 if bucket == 0 else round(2 * math.exp((bucket - 1) * _LOG_RATIO) / (1 + _RATIO))


@dataclass(frozen=True, slots=True)
class Histogram:
    """The number of values, or their sum, in each bucket; can be added to others."""

    buckets: tuple[int, ...] = ()
    """The buckets that are not empty, in rising order."""
    reached: tuple[int, ...] = ()
    """For each of these buckets, the sum of its content and that of all buckets below."""

    def __add__(self, other: Histogram) -> Histogram:
        amounts = dict(self.items())
        for bucket, amount in other.items():
            amounts[bucket] = amounts.get(bucket, 0) + amount
        buckets = sorted(amounts)
        return Histogram(tuple(buckets), tuple(accumulate(amounts[bucket] for bucket in buckets)))

    def items(self) -> Iterator[tuple[int, int]]:
        """Give each bucket with its content, in rising order."""
        return zip(self.buckets, map(sub, self.reached, (0, *self.reached[:-1])), strict=True)

    @property
    def total(self) -> int:
        """The sum over all buckets."""
        return self.reached[-1] if self.reached else 0

    def bucket_at(self, quantile: float) -> int:
        """Give the bucket that holds the value of this rank (nearest rank: the least that reaches the share).

        Raises:
            ValueError: If the histogram is empty.
        """
        if not self.buckets:
            raise ValueError("an empty histogram has no percentiles")
        wanted = max(1, math.ceil(quantile * self.total))
        return self.buckets[min(bisect_left(self.reached, wanted), len(self.buckets) - 1)]

    def percentile(self, quantile: float, low_ns: int, high_ns: int) -> int:
        """Give the value in ns below which this share lies, accurate to 1 %, and never outside the given extremes."""
        return min(max(value_of(self.bucket_at(quantile)), low_ns), high_ns)

    def sum_from(self, bucket: int) -> int:
        """Add up the content of this bucket and all above."""
        return self.total - self.sum_to(bucket - 1)

    def sum_to(self, bucket: int) -> int:
        """Add up the content of this bucket and all below."""
        count = bisect_right(self.buckets, bucket)
        return self.reached[count - 1] if count else 0


def histogram(values_ns: Iterable[int]) -> Histogram:
    """Count values in ns by bucket."""
    buckets = bucket_of(np.fromiter(values_ns, dtype=np.int64))
    return count_cells(np.zeros_like(buckets), buckets).histograms(1)[0]


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The histograms of many groups, as columns; can be added to others with the same numbers of groups."""

    parts: tuple[tuple[Ints, Ints], ...] = ()
    """Keys (`group * BUCKETS + bucket`) and amounts; the histograms are the sum of all parts."""

    def __add__(self, other: Cells) -> Cells:
        both = Cells((*self.parts, *other.parts))
        first, *others = (keys.size for keys, _ in both.parts or ((np.zeros(0), None),))
        # From time to time, not each time: adding up takes as long as everything that was added up before.
        return both.compact() if sum(others) > _LOOSE_CELLS + first else both

    def compact(self) -> Cells:
        """Give the same with each key once, in rising order."""
        if len(self.parts) == 1:
            return self
        if not self.parts:
            return Cells(((_NO_CELLS, _NO_CELLS),))
        keys, amounts = (np.concatenate(columns) for columns in zip(*self.parts, strict=True))
        return _summed(keys, amounts)

    def renumbered(self, numbers: Ints) -> Cells:
        """Give the same with each group under another number."""
        return Cells(
            tuple((numbers[keys // BUCKETS] * BUCKETS + keys % BUCKETS, amounts) for keys, amounts in self.parts)
        )

    def histograms(self, size: int) -> list[Histogram]:
        """Give a histogram for each of the groups 0 to `size` - 1."""
        ((keys, amounts),) = self.compact().parts
        ends = np.searchsorted(keys, BUCKETS * np.arange(size + 1))
        reached = np.cumsum(amounts)
        below = np.concatenate(([0], reached))[ends[:-1]]
        buckets = (keys % BUCKETS).tolist()
        amounts_reached = (reached - np.repeat(below, np.diff(ends))).tolist()
        return [
            Histogram(tuple(buckets[start:stop]), tuple(amounts_reached[start:stop]))
            for start, stop in pairwise(ends.tolist())
        ]


def count_cells(groups: Ints, buckets: Ints) -> Cells:
    """Count by group and bucket."""
    keys = np.sort(groups * BUCKETS + buckets)
    heads = np.flatnonzero(np.diff(keys, prepend=-1))
    return Cells(((keys[heads], np.diff(heads, append=keys.size)),))


def sum_cells(groups: Ints, buckets: Ints, amounts: Ints) -> Cells:
    """Add up amounts by group and bucket, exactly."""
    return _summed(groups * BUCKETS + buckets, amounts)


def _summed(keys: Ints, amounts: Ints) -> Cells:
    order = np.argsort(keys, kind="stable")  # fast, because the parts are sorted already
    keys = keys[order]
    heads = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(amounts[order], heads) if heads.size else amounts[:0]
    return Cells(((keys[heads], sums),))
