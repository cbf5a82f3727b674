"""Distributions of durations: count, sum, extremes and percentiles of any number of values in a few hundred numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from traceq.analysis.columns import Ints
from traceq.analysis.grouping import moved, sum_by_group
from traceq.analysis.histogram import Cells, Histogram, bucket_of, count_cells
from traceq.report import Column, Unit


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of durations in ns; can be added to others."""

    counts: Histogram = field(default_factory=Histogram)
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

    def percentile(self, quantile: float) -> int:
        """Give the value below which this share lies, accurate to 1 %; exact at the ends and for a single value."""
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


_Row = TypeVar("_Row")


def spread_specs(
    key: str, title: str, taken: Callable[[_Row], Spread | None], about: str = ""
) -> tuple[Column[_Row], ...]:
    """Describe the columns of a spread.

    Args:
        key: Key of the object that holds them.
        title: Beginning of their headings; empty for none.
        taken: How the spread is taken from a row; None or an empty one makes the object null.
        about: What the durations are.
    """
    facts: tuple[tuple[str, str, Callable[[Spread], int]], ...] = (
        ("total_ns", "total", lambda spread: spread.total_ns),
        ("min_ns", "min", lambda spread: spread.min_ns),
        ("p50_ns", "p50", lambda spread: spread.percentile(0.5)),
        ("p95_ns", "p95", lambda spread: spread.percentile(0.95)),
        ("p99_ns", "p99", lambda spread: spread.percentile(0.99)),
        ("max_ns", "max", lambda spread: spread.max_ns),
    )

    def column(name: str, heading: str, fact: Callable[[Spread], int]) -> Column[_Row]:
        def value(row: _Row) -> int | None:
            spread = taken(row)
            return None if spread is None or not spread.count else fact(spread)

        heading = f"{title} {heading}".strip()
        return Column(name, heading, Unit.DURATION, value, f"{about}: {heading}" if about else heading, within=key)

    return tuple(column(*fact) for fact in facts)


def spread(values_ns: Ints) -> Spread:
    """Sum up durations."""
    return spreads(np.zeros(values_ns.size, dtype=np.int64), values_ns, 1)[0]


def spreads(groups: Ints, values_ns: Ints, size: int) -> list[Spread]:
    """Sum up durations by group; a group without any has an empty spread."""
    return spread_columns(groups, values_ns, size).spreads()


_HIGHEST = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class SpreadColumns:
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
    low, high = np.full(size, _HIGHEST), np.zeros(size, dtype=np.int64)
    np.minimum.at(low, groups, values_ns)
    np.maximum.at(high, groups, values_ns)
    return SpreadColumns(count_cells(groups, bucket_of(values_ns)), sum_by_group(groups, values_ns, size), low, high)
