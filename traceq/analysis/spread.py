"""How durations spread: count, sum, extremes and percentiles, of any number of values, in a few hundred numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from traceq.analysis.columns import Ints
from traceq.analysis.histogram import Histogram, bucket_of
from traceq.analysis.tree import sum_by_run

_BUCKETS = 4096
"""More than there are: 2^63 ns lies in bucket 2207."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Durations in ns, summed up; adds to others."""

    counts: Histogram = field(default_factory=Histogram)
    total_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0

    def __add__(self, other: Spread) -> Spread:
        if not self.counts.amounts or not other.counts.amounts:
            return self if self.counts.amounts else other
        return Spread(
            self.counts + other.counts,
            self.total_ns + other.total_ns,
            min(self.min_ns, other.min_ns),
            max(self.max_ns, other.max_ns),
        )

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.counts.total

    def percentile(self, quantile: float) -> int:
        """Give the value below which this share lies, to 1 %; exact at the ends and for a single value."""
        if quantile >= 1:
            return self.max_ns
        return self.counts.percentile(quantile, self.min_ns, self.max_ns)

    def to_dict(self) -> dict[str, int]:
        """Give the spread as it stands in JSON."""
        return {
            "total_ns": self.total_ns,
            "min_ns": self.min_ns,
            "p50_ns": self.percentile(0.5),
            "p95_ns": self.percentile(0.95),
            "p99_ns": self.percentile(0.99),
            "max_ns": self.max_ns,
        }


def spread(values_ns: Ints) -> Spread:
    """Sum up durations."""
    return spreads(np.zeros(values_ns.size, dtype=np.int64), values_ns, 1)[0]


def spreads(groups: Ints, values_ns: Ints, size: int) -> list[Spread]:
    """Sum up durations by group; a group without any has an empty spread."""
    order = np.argsort(groups, kind="stable")
    groups, values_ns = groups[order], values_ns[order]
    if not groups.size:
        return [Spread()] * size
    heads = np.flatnonzero(np.diff(groups, prepend=-1))
    low, high = np.zeros((2, size), dtype=np.int64)
    low[groups[heads]] = np.minimum.reduceat(values_ns, heads)
    high[groups[heads]] = np.maximum.reduceat(values_ns, heads)
    histograms = amounts_by_bucket(groups, bucket_of(values_ns), np.ones(groups.size, dtype=np.int64), size)
    totals = sum_by_run(groups, values_ns, size).tolist()
    return [Spread(*parts) for parts in zip(histograms, totals, low.tolist(), high.tolist(), strict=True)]


def amounts_by_bucket(groups: Ints, buckets: Ints, amounts: Ints, size: int) -> list[Histogram]:
    """Add up amounts by group and bucket: one histogram a group."""
    keys = groups * _BUCKETS + buckets
    order = np.argsort(keys, kind="stable")
    keys, amounts = keys[order], amounts[order]
    heads = np.flatnonzero(np.diff(keys, prepend=-1))
    filled: list[dict[int, int]] = [{} for _ in range(size)]
    if heads.size:
        sums = np.add.reduceat(amounts, heads)
        for key, amount in zip(keys[heads].tolist(), sums.tolist(), strict=True):
            filled[key // _BUCKETS][key % _BUCKETS] = amount
    return [Histogram(cells) for cells in filled]
