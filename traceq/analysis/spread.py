"""Distributions of durations: count, sum, extremes and percentiles of any number of values in a few hundred numbers.

Percentiles come from histograms, which can be added: counts in buckets of equal ratio. A bucket's ends differ by 2 %,
and its middle stands for its values, so a percentile is off by at most 1 %. Histograms of parts add up to the histogram
of the whole, so one worker and many give the same answer.
Source: DDSketch, Masson, Rim and Lee, VLDB 2019.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from operator import sub
from typing import TypeVar

import numpy as np
from msgspec import Struct, field

from traceq.analysis.columns import Ints
from traceq.analysis.grouping import least_by_group, most_by_group, moved, sum_by_group
from traceq.report import Column, Unit

_RATIO = 1.02
_LOG_RATIO = math.log(_RATIO)
_BUCKETS = 4096
"""An upper bound of the number of buckets: 2^63 ns lies in bucket 2207."""
_NO_CELLS = np.zeros(0, dtype=np.int64)
_DENSE = 8
"""With at most this number of possible cells a value, counting in a table of all of them is faster than a sort."""
_LOOSE_CELLS = 100_000
"""The maximum number of cells that wait to be added up: 1.6 MB."""


def bucket_of(values_ns: Ints) -> Ints:
    """Give the bucket of each value: 0 for 0 ns, else 1 + the power of 1.02 that just reaches it."""
    powers = np.ceil(np.log(np.maximum(values_ns, 1)) / _LOG_RATIO).astype(np.int64)
    return np.where(values_ns > 0, powers + 1, 0)


def value_of(bucket: int) -> int:
    """Give the value in ns that stands for a bucket: within 1 % of everything in it."""
    return 0 if bucket == 0 else round(2 * math.exp((bucket - 1) * _LOG_RATIO) / (1 + _RATIO))


class Buckets(Struct, frozen=True):
    """The number of values, or their sum, in each bucket; can be added to others."""

    buckets: tuple[int, ...] = ()
    """The buckets that are not empty, in rising order."""
    reached: tuple[int, ...] = ()
    """For each of these buckets, the sum of its content and that of all buckets below."""

    def __add__(self, other: Buckets) -> Buckets:
        amounts = dict(self.items())
        for bucket, amount in other.items():
            amounts[bucket] = amounts.get(bucket, 0) + amount
        buckets = sorted(amounts)
        return Buckets(tuple(buckets), tuple(accumulate(amounts[bucket] for bucket in buckets)))

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


class Cells(Struct, frozen=True, eq=False):
    """The histograms of many groups, as columns; can be added to others with the same numbers of groups."""

    parts: tuple[tuple[Ints, Ints], ...] = ()
    """Keys (`group * _BUCKETS + bucket`) and amounts; the histograms are the sum of all parts."""

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
            tuple((numbers[keys // _BUCKETS] * _BUCKETS + keys % _BUCKETS, amounts) for keys, amounts in self.parts)
        )

    def histograms(self, size: int) -> list[Buckets]:
        """Give a histogram for each of the groups 0 to `size` - 1."""
        ((keys, amounts),) = self.compact().parts
        ends = np.searchsorted(keys, _BUCKETS * np.arange(size + 1))
        reached = np.cumsum(amounts)
        below = np.concatenate(([0], reached))[ends[:-1]]
        buckets = (keys % _BUCKETS).tolist()
        amounts_reached = (reached - np.repeat(below, np.diff(ends))).tolist()
        return [
            Buckets(tuple(buckets[start:stop]), tuple(amounts_reached[start:stop]))
            for start, stop in pairwise(ends.tolist())
        ]


def _count_cells(groups: Ints, buckets: Ints) -> Cells:
    """Count by group and bucket."""
    low = int(buckets.min(initial=_BUCKETS))
    width = int(buckets.max(initial=low)) - low + 1
    size = (int(groups.max(initial=0)) + 1) * width
    if size <= _DENSE * groups.size:
        counts = np.bincount(groups * width + (buckets - low), minlength=size)
        found = np.flatnonzero(counts > 0)
        return Cells(((found // width * _BUCKETS + found % width + low, counts[found]),))
    keys = np.sort(groups * _BUCKETS + buckets)
    heads = np.flatnonzero(np.diff(keys, prepend=-1))
    return Cells(((keys[heads], np.diff(heads, append=keys.size)),))


def sum_cells(groups: Ints, buckets: Ints, amounts: Ints) -> Cells:
    """Add up amounts by group and bucket, exactly."""
    return _summed(groups * _BUCKETS + buckets, amounts)


def _summed(keys: Ints, amounts: Ints) -> Cells:
    order = np.argsort(keys, kind="stable")  # fast, because the parts are sorted already
    keys = keys[order]
    heads = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(amounts[order], heads) if heads.size else amounts[:0]
    return Cells(((keys[heads], sums),))


class Spread(Struct, frozen=True):
    """The distribution of durations in ns; can be added to others."""

    counts: Buckets = field(default_factory=Buckets)
    total_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0

    def __add__(self, other: Spread) -> Spread:
        if not self.count or not other.count:
            return self if self.count else other
        return Spread(
            self.counts + other.counts,
            self.total_ns + other.total_ns,
            min(self.min_ns, other.min_ns),
            max(self.max_ns, other.max_ns),
        )

    @property
    def count(self) -> int:
        """The number of values."""
        return self.counts.total

    @property
    def average_ns(self) -> int:
        """The average to the nanosecond; 0 for none."""
        return round(self.total_ns / self.count) if self.count else 0

    def percentile(self, quantile: float) -> int:
        """Give the value below which this share lies, accurate to 1 %; exact at the ends and for a single value."""
        if quantile >= 1:
            return self.max_ns
        return self.counts.percentile(quantile, self.min_ns, self.max_ns)


_Row = TypeVar("_Row")


_FACTS: dict[str, tuple[str, Callable[[Spread], int]]] = {
    "count": ("number", lambda spread: spread.count),
    "total": ("sum", lambda spread: spread.total_ns),
    "avg": ("average", lambda spread: spread.average_ns),
    "min": ("minimum", lambda spread: spread.min_ns),
    "p50": ("median", lambda spread: spread.percentile(0.5)),
    "p90": ("90th percentile", lambda spread: spread.percentile(0.9)),
    "p95": ("95th percentile", lambda spread: spread.percentile(0.95)),
    "p99": ("99th percentile", lambda spread: spread.percentile(0.99)),
    "max": ("maximum", lambda spread: spread.max_ns),
}
"""By heading: what it is, and how it is taken from a spread."""
_NAMES = {"count": "count", "avg": "average_ns"}
_USUAL = ("total", "min", "p50", "p95", "p99", "max")


def spread_specs(
    key: str, title: str, taken: Callable[[_Row], Spread | None], about: str, facts: Iterable[str] = _USUAL
) -> tuple[Column[_Row], ...]:
    """Describe the columns of a spread.

    Args:
        key: Key of the object that holds them.
        title: Beginning of their headings; empty for none.
        taken: How the spread is taken from a row; None or an empty one makes the object null.
        about: What the durations are: "durations of the spans".
        facts: Which facts: `count`, `total`, `avg`, `min`, `max` and percentiles.
    """

    def column(heading: str) -> Column[_Row]:
        what, fact = _FACTS[heading]

        def value(row: _Row) -> int | None:
            spread = taken(row)
            return None if spread is None or not spread.count else fact(spread)

        name, full = _NAMES.get(heading, f"{heading}_ns"), f"{title} {heading}".strip()
        unit = Unit.COUNT if heading == "count" else Unit.DURATION
        return Column(name, full, unit, value, f"The {what} of the {about}.", within=key)

    return tuple(column(heading) for heading in facts)


def spread(values_ns: Ints) -> Spread:
    """Sum up durations."""
    return spreads(np.zeros(values_ns.size, dtype=np.int64), values_ns, 1)[0]


def spreads(groups: Ints, values_ns: Ints, size: int) -> list[Spread]:
    """Sum up durations by group; a group without any has an empty spread."""
    return spread_columns(groups, values_ns, size).spreads()


_HIGHEST = np.iinfo(np.int64).max


class SpreadColumns(Struct, frozen=True, eq=False):
    """The spreads of many groups; can be added to others with the same numbers. Arrays have one entry per group."""

    counts: Cells
    total_ns: Ints
    min_ns: Ints
    """The smallest value of each group; the highest possible number for a group without values."""
    max_ns: Ints

    def __add__(self, other: SpreadColumns) -> SpreadColumns:
        return SpreadColumns(
            self.counts + other.counts,
            self.total_ns + other.total_ns,
            np.minimum(self.min_ns, other.min_ns),
            np.maximum(self.max_ns, other.max_ns),
        )

    def renumbered(self, numbers: Ints, size: int) -> SpreadColumns:
        """Give the same with each group under another number, among `size` of them."""
        return SpreadColumns(
            self.counts.renumbered(numbers),
            moved(self.total_ns, numbers, size),
            moved(self.min_ns, numbers, size, _HIGHEST),
            moved(self.max_ns, numbers, size),
        )

    def spreads(self) -> list[Spread]:
        """Give a spread for each group."""
        histograms = self.counts.histograms(self.total_ns.size)
        numbers = zip(self.total_ns.tolist(), self.min_ns.tolist(), self.max_ns.tolist(), strict=True)
        return [
            Spread(counts, total_ns, min_ns if counts.total else 0, max_ns)
            for counts, (total_ns, min_ns, max_ns) in zip(histograms, numbers, strict=True)
        ]


def spread_columns(groups: Ints, values_ns: Ints, size: int) -> SpreadColumns:
    """Sum up durations by group."""
    low, high = least_by_group(groups, values_ns, size, _HIGHEST), most_by_group(groups, values_ns, size, 0)
    return SpreadColumns(_count_cells(groups, bucket_of(values_ns)), sum_by_group(groups, values_ns, size), low, high)
