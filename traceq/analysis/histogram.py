"""Percentiles that add up: counts in buckets of equal ratio.

A bucket's ends differ by 2 %, and its middle stands for what is in it, so a percentile is off by 1 % at most.
Histograms of parts add up to the histogram of the whole, so one worker and many give the same answer.
Source: DDSketch, Masson, Rim and Lee, VLDB 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from traceq.analysis.columns import Ints

_RATIO = 1.02
_LOG_RATIO = math.log(_RATIO)


def bucket_of(values_ns: Ints) -> Ints:
    """Give the bucket of each value: 0 for 0 ns, else 1 + the power of 1.02 that just reaches it."""
    buckets = np.zeros(values_ns.size, dtype=np.int64)
    positive = values_ns > 0
    buckets[positive] = np.ceil(np.log(values_ns[positive]) / _LOG_RATIO).astype(np.int64) + 1
    return buckets


def value_of(bucket: int) -> int:
    """Give the value in ns that stands for a bucket: within 1 % of everything in it."""
    return 0 if bucket == 0 else round(2 * math.exp((bucket - 1) * _LOG_RATIO) / (1 + _RATIO))


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many, or how much, lies in each bucket; adds to others."""

    amounts: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Histogram) -> Histogram:
        amounts = dict(self.amounts)
        for bucket, amount in other.amounts.items():
            amounts[bucket] = amounts.get(bucket, 0) + amount
        return Histogram(amounts)

    @property
    def total(self) -> int:
        """The sum over all buckets."""
        return sum(self.amounts.values())

    def bucket_at(self, quantile: float) -> int:
        """Give the bucket that holds the value of this rank (nearest rank: the least that reaches the share).

        Raises:
            ValueError: If the histogram is empty.
        """
        if not self.amounts:
            raise ValueError("an empty histogram has no percentiles")
        wanted = max(1, math.ceil(quantile * self.total))
        seen = 0
        for bucket in sorted(self.amounts):
            seen += self.amounts[bucket]
            if seen >= wanted:
                break
        return bucket

    def percentile(self, quantile: float, low_ns: int, high_ns: int) -> int:
        """Give the value in ns below which this share lies, to 1 %, never outside the least and greatest known."""
        return min(max(value_of(self.bucket_at(quantile)), low_ns), high_ns)

    def sum_from(self, bucket: int) -> int:
        """Add up what lies in this bucket and above."""
        return sum(amount for key, amount in self.amounts.items() if key >= bucket)

    def sum_to(self, bucket: int) -> int:
        """Add up what lies in this bucket and below."""
        return sum(amount for key, amount in self.amounts.items() if key <= bucket)


def histogram(values_ns: Iterable[int]) -> Histogram:
    """Count values in ns by bucket."""
    buckets, counts = np.unique(bucket_of(np.fromiter(values_ns, dtype=np.int64)), return_counts=True)
    return Histogram(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))
