"""Amounts a request, on both sides of a comparison, with what changed and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import MIN_REQUESTS, Batch, Floats, Matching
from traceq.analysis.comparison.chance import REPLICATES, drawn, intervals, settled
from traceq.analysis.grouping import numbered
from traceq.report import Column, Unit

_RARE = 0.01


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean a request before and after, and between which ends its change lies."""

    before: float
    after: float
    low: float
    """With `high`: where the change lies in 95 of 100 cases, all changes of a kind at once."""
    high: float
    is_likely: bool
    """Whether the change is beyond chance when looked at alone, not as the greatest of many."""
    effect: float | None
    """The change in standard deviations of single requests (Cohen's d); None where they do not differ at all."""

    @property
    def change(self) -> float:
        """What is more after than before."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves no change at all out."""
        return self.low > 0 or self.high < 0


_Row = TypeVar("_Row")


def estimate_specs(
    key: str, taken: Callable[[_Row], Estimate], about: str = "", *, is_time: bool = False
) -> tuple[Column[_Row], ...]:
    """Describe the columns of an estimate.

    Args:
        key: What the columns are within.
        taken: How the estimate is taken from a row.
        about: What is estimated, a request.
        is_time: Whether it is a time, which is told in whole nanoseconds.
    """
    suffix, unit = ("_ns", Unit.DURATION) if is_time else ("", Unit.TEXT)

    def number(name: str, title: str, fact: Callable[[Estimate], float], about: str = "") -> Column[_Row]:
        def value(row: _Row) -> float | None:
            found = fact(taken(row))
            if not math.isfinite(found):
                return None
            return round(found) if is_time else found

        return Column(f"{name}{suffix}", title, unit, value, about, within=key)

    return (
        number("before", "before", lambda found: found.before, f"{about}, before" if about else ""),
        number("after", "after", lambda found: found.after),
        number("change", "change", lambda found: found.change),
        number("change_low", "low", lambda found: found.low, "the lower end of the change; null with too few requests"),
        number("change_high", "high", lambda found: found.high, "the upper end; 95 % of intervals hold the change"),
        Column("is_sure", "sure", value=lambda row: taken(row).is_sure, about="the interval excludes 0", within=key),
        Column(
            "is_likely",
            "likely",
            value=lambda row: taken(row).is_likely,
            about="beyond chance when looked at alone, not as one of many",
            within=key,
        ),
        Column(
            "effect_size",
            "effect",
            value=lambda row: taken(row).effect,
            about="the change in standard deviations of single requests (Cohen's d)",
            within=key,
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """Amounts of groups in requests: those that are not zero, group by group, in each by the number of the request."""

    requests: Ints
    values: Floats
    groups: Ints
    """Those that have an amount at all, rising."""
    heads: Ints
    """Where the amounts of each of these begin."""
    size: int
    """How many groups there are."""

    def sums(self, weights: Floats) -> Floats:
        """Add up by group, each request counting as its weight says."""
        return self._added_up(weights[self.requests] * self.values)

    def squares(self, weights: Floats) -> Floats:
        """Add up the squares."""
        return self._added_up(weights[self.requests] * self.values**2)

    def _added_up(self, values: Floats) -> Floats:
        # Runs are added up in half the time that scattered groups take, and the bootstrap does it 200 times.
        sums = np.zeros(self.size)
        if self.heads.size:
            sums[self.groups] = np.add.reduceat(values, self.heads)
        return sums


def amounts(requests: Ints | Codes, groups: Ints | Codes, values: Floats, size: int) -> Amounts:
    """Add up values by request and group."""
    reach = int(requests.max(initial=0)) + 1
    found, numbers = numbered(groups.astype(np.int64) * reach + requests)
    sums = np.bincount(numbers, weights=values, minlength=found.size).astype(np.float64)
    of_group = found // reach
    heads = np.flatnonzero(np.diff(of_group, prepend=-1))
    return Amounts(found % reach, sums, of_group[heads], heads, size)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Two sets of requests, ready to be measured against each other."""

    before: Batch
    after: Batch
    matching: Matching

    def weights(self) -> tuple[Floats, Floats]:
        """Give how much each request counts, before and after."""
        matching = self.matching
        return (
            matching.weights(matching.before_kinds, matching.before_strata),
            matching.weights(matching.after_kinds, matching.after_strata),
        )

    def drawn_weights(self, replicate: int) -> tuple[Floats, Floats]:
        """Give the same for one replicate of the bootstrap."""
        matching = self.matching
        times = [drawn(batch.traces.hashes, replicate)[batch.requests.traces] for batch in (self.before, self.after)]
        return (
            matching.weights(matching.before_kinds, matching.before_strata, times[0]),
            matching.weights(matching.after_kinds, matching.after_strata, times[1]),
        )

    @property
    def is_enough(self) -> bool:
        """Whether both sides have requests enough for an interval."""
        return min(len(self.before.requests), len(self.after.requests)) >= MIN_REQUESTS


def estimate(sides: Sides, levels: tuple[tuple[Amounts, Amounts], ...]) -> list[list[Estimate]]:
    """Measure what changed, for each group of each level.

    With fewer than `MIN_REQUESTS` requests on a side, nothing is sure: the intervals reach from end to end.
    """
    weights = sides.weights()
    before = [first.sums(weights[0]) for first, _ in levels]
    after = [second.sums(weights[1]) for _, second in levels]
    sizes = [behind + ahead for behind, ahead in zip(before, after, strict=True)]
    changes = [settled(ahead - behind, size) for behind, ahead, size in zip(before, after, sizes, strict=True)]
    after = [np.where(change == 0, behind, ahead) for change, behind, ahead in zip(changes, before, after, strict=True)]
    ends = _intervals(sides, levels, changes, sizes)
    effects = [_effects(level, weights, change) for level, change in zip(levels, changes, strict=True)]
    return [
        [Estimate(*parts) for parts in zip(*map(np.ndarray.tolist, columns), found_effects, strict=True)]
        for *columns, found_effects in zip(before, after, *zip(*ends, strict=True), effects, strict=True)
    ]


def _intervals(
    sides: Sides, levels: tuple[tuple[Amounts, Amounts], ...], changes: list[Floats], sizes: list[Floats]
) -> list[tuple[Floats, Floats, Flags]]:
    if not sides.is_enough:
        return [_unknown(change.size) for change in changes]
    replicates = [np.zeros((REPLICATES, change.size)) for change in changes]
    for number in range(REPLICATES):
        weights = sides.drawn_weights(number)
        for found, (first, second) in zip(replicates, levels, strict=True):
            found[number] = second.sums(weights[1]) - first.sums(weights[0])
    counted = [_matters(size) for size in sizes]
    return [intervals(*parts) for parts in zip(changes, replicates, sizes, counted, strict=True)]


def _unknown(size: int) -> tuple[Floats, Floats, Flags]:
    return np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size, dtype=np.bool_)


def _matters(sizes: Floats) -> Flags:
    """Tell the groups that have a hundredth of everything: rare ones vary most and would widen all intervals."""
    matters: Flags = (sizes > 0) & (sizes >= _RARE * sizes.sum())
    return matters


def _effects(level: tuple[Amounts, Amounts], weights: tuple[Floats, Floats], changes: Floats) -> list[float | None]:
    variances = [_variance(amounts, weight) for amounts, weight in zip(level, weights, strict=True)]
    pooled = np.sqrt((variances[0] + variances[1]) / 2)
    return [
        change / scale if scale > 0 else None for change, scale in zip(changes.tolist(), pooled.tolist(), strict=True)
    ]


def _variance(amounts: Amounts, weights: Floats) -> Floats:
    squares = amounts.squares(weights)
    return settled(np.maximum(squares - amounts.sums(weights) ** 2, 0), squares)
