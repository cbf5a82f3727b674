"""Amounts per request on both sides of a comparison, with their changes and how sure these are.

How sure a change is, is measured by the bootstrap over traces, without a random number generator. Each replicate draws
every trace 0, 1, 2, ... times (Poisson with mean 1, the limit of drawing with replacement for many traces). The number
of times is computed from the trace's id and the replicate's number: it is the same in every run, for every order of
traces, and for a trace on both sides, so that a set compared with itself has no spread at all.

Source: Chamandy, Muralidharan, Najmi and Naidu, Estimating uncertainty for massive data streams, 2012.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import MIN_REQUESTS, Batch, Floats, Hashes, Matching
from traceq.analysis.grouping import numbered
from traceq.report import Column, Unit

REPLICATES = 200
_COVERAGE = 0.95
_ALONE = 1.96
"""Number of standard deviations within which 95 of 100 single values lie."""
_NOISE = 1e-9
"""Differences below this share of the compared values come from rounding, at 1e-16 per operation."""
_POISSON = np.cumsum(np.exp(-1) / np.array([1, 1, 2, 6, 24, 120, 720, 5040, 40320], dtype=np.float64))
"""The probability that a trace is drawn at most 0, 1, 2, ... times."""


def drawn(hashes: Hashes, replicate: int) -> Floats:
    """Give the number of times that a replicate draws each trace.

    Source of the mixing: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    mixed = hashes + np.uint64((replicate + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.searchsorted(_POISSON, uniform, side="right").astype(np.float64)


def settled(differences: Floats, sizes: Floats) -> Floats:
    """Set differences that come from rounding to 0: in units of their own deviation they would be large.

    Args:
        differences: Differences of amounts.
        sizes: The size of the amounts that were subtracted.
    """
    return np.where(np.abs(differences) > _NOISE * sizes, differences, 0.0)


def intervals(changes: Floats, replicates: Floats, sizes: Floats, counted: Flags) -> tuple[Floats, Floats, Flags]:
    """Give bounds between which all changes lie simultaneously, in 95 of 100 cases.

    They are simultaneous because the greatest of many changes is reported: of hundreds of operations some seem to
    change by chance. The greatest deviation over all of them, each in units of its own standard deviation, determines
    the bounds, separately for the lower and the upper ones.

    Args:
        changes: The measured change of each group.
        replicates: One row for each replicate, one column for each group.
        sizes: The size of the amounts that change.
        counted: Which groups to bound simultaneously. The intervals of the others have the same width in units of their
        own standard deviation.

    Returns:
        The lower bounds, the upper bounds, and which changes are beyond chance when taken alone.
    """
    if not counted.any():
        return changes, changes, changes != 0
    deviations = settled(replicates - changes, sizes)
    below, above = (_half_deviation(deviations, sign) for sign in (-1, 1))
    scale = np.where(deviations < 0, below, above)
    greatest = np.abs(deviations / np.where(scale > 0, scale, 1))[:, counted].max(axis=1)
    reach = np.sort(greatest)[int(_COVERAGE * (greatest.size - 1))]
    likely = np.where(changes > 0, changes > _ALONE * below, -changes > _ALONE * above)
    low, high = (settled(end, sizes) for end in (changes - reach * below, changes + reach * above))
    return low, high, likely


def _half_deviation(deviations: Floats, sign: int) -> Floats:
    """Give the standard deviation on one side of the middle, since times have long tails on one side only.

    Values without any deviation, frequent in counts and errors of few requests, count half on each side.
    """
    one_side = np.maximum(sign * deviations, 0)
    counts = np.count_nonzero(one_side, axis=0) + np.count_nonzero(deviations == 0, axis=0) / 2
    half: Floats = np.sqrt((one_side**2).sum(axis=0) / np.maximum(counts, 1))
    return half


_RARE = 0.01


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean per request before and after, with the interval of its change."""

    before: float
    after: float
    low: float
    """The lower bound of the change; up to `high`, in 95 of 100 cases for all changes of a measure simultaneously."""
    high: float
    is_likely: bool
    """Whether the change is beyond chance when taken alone, not as the greatest of many."""
    effect: float | None
    """The change in standard deviations of single requests (Cohen's d); None where the deviation is 0."""

    @property
    def change(self) -> float:
        """The mean after minus the mean before."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


_Row = TypeVar("_Row")


def estimate_specs(
    key: str, taken: Callable[[_Row], Estimate], about: str = "", *, is_time: bool = False
) -> tuple[Column[_Row], ...]:
    """Describe the columns of an estimate.

    Args:
        key: Key of the object that holds the columns.
        taken: Takes the estimate from a row.
        about: What is estimated, per request.
        is_time: Whether it is a time, which is written in whole nanoseconds.
    """
    number = _numbers(key, taken, is_time=is_time)
    return (
        number("before", "before", lambda found: found.before, f"{about}, before" if about else ""),
        number("after", "after", lambda found: found.after),
        *change_specs(key, taken, is_time=is_time),
        Column(
            "effect_size",
            "effect",
            value=lambda row: taken(row).effect,
            about="the change in standard deviations of single requests (Cohen's d)",
            within=key,
        ),
    )


def change_specs(
    key: str, taken: Callable[[_Row], Estimate], about: str = "", *, is_time: bool = False
) -> tuple[Column[_Row], ...]:
    """Describe the columns of a change alone; arguments as in `estimate_specs`."""
    number = _numbers(key, taken, is_time=is_time)
    return (
        number("change", "change", lambda found: found.change, about),
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
    )


class _Number(Protocol[_Row]):
    def __call__(self, name: str, title: str, fact: Callable[[Estimate], float], about: str = "") -> Column[_Row]: ...


def _numbers(key: str, taken: Callable[[_Row], Estimate], *, is_time: bool) -> _Number[_Row]:
    suffix, unit = ("_ns", Unit.DURATION) if is_time else ("", Unit.TEXT)

    def number(name: str, title: str, fact: Callable[[Estimate], float], about: str = "") -> Column[_Row]:
        def value(row: _Row) -> float | None:
            found = fact(taken(row))
            if not math.isfinite(found):
                return None
            return round(found) if is_time else found

        return Column(f"{name}{suffix}", title, unit, value, about, within=key)

    return number


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """Amounts of groups in requests that are not zero, ordered by group and then by the number of the request."""

    requests: Ints
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

    def squares(self, weights: Floats) -> Floats:
        """Add up the squares by group, with the weights of requests."""
        return self._added_up(weights[self.requests] * self.values**2)

    def _added_up(self, values: Floats) -> Floats:
        # Adding up runs takes half the time of scattered groups, and the bootstrap does it 200 times.
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


def both(one: Amounts, other: Amounts) -> Amounts:
    """Add two kinds of amounts of the same groups."""
    groups = (np.repeat(part.groups, np.diff(part.heads, append=part.requests.size)) for part in (one, other))
    requests, values = np.concatenate((one.requests, other.requests)), np.concatenate((one.values, other.values))
    return amounts(requests, np.concatenate(tuple(groups)), values, one.size)


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Two sets of requests, prepared for comparison."""

    before: Batch
    after: Batch
    matching: Matching

    def weights(self) -> tuple[Floats, Floats]:
        """Give the weights of all requests, before and after."""
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
        """Whether both sides have enough requests for an interval."""
        return min(len(self.before.requests), len(self.after.requests)) >= MIN_REQUESTS


def estimate(sides: Sides, levels: tuple[tuple[Amounts, Amounts], ...]) -> list[list[Estimate]]:
    """Measure what changed, for each group of each level.

    With fewer than `MIN_REQUESTS` requests on a side, nothing is sure: the intervals are unbounded.
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


_AT_ONCE = 1 << 20
"""So many sums are kept for several replicates at once."""


def estimate_derived(
    sides: Sides,
    levels: tuple[tuple[Amounts, Amounts], ...],
    change: Callable[[tuple[Floats, ...], tuple[Floats, ...]], Floats],
    sizes: Floats,
) -> list[Estimate]:
    """Measure a change that is no difference of sums, but is computed from sums of both sides.

    Args:
        sides: Two sets of requests.
        levels: The amounts that are added up.
        change: Computes the changes from the sums before and after; one row for each replicate.
        sizes: The size of what changes, for each change.
    """
    whole = [
        tuple(level[side].sums(weights)[None, :] for level in levels) for side, weights in enumerate(sides.weights())
    ]
    scale = np.full(sizes.size, sizes.sum())
    changes = settled(change(whole[0], whole[1])[0], scale)
    if not sides.is_enough:
        low, high, likely = _unknown(changes.size)
    else:
        rows = max(1, min(REPLICATES, _AT_ONCE // max(levels[0][0].size, 1)))
        parts = [
            change(*_sums(sides, levels, range(first, min(first + rows, REPLICATES))))
            for first in range(0, REPLICATES, rows)
        ]
        low, high, likely = intervals(changes, np.concatenate(parts), scale, _matters(sizes))
    columns = (changes.tolist(), low.tolist(), high.tolist(), likely.tolist())
    return [Estimate(0.0, *parts, None) for parts in zip(*columns, strict=True)]


def _sums(
    sides: Sides, levels: tuple[tuple[Amounts, Amounts], ...], numbers: range
) -> tuple[tuple[Floats, ...], tuple[Floats, ...]]:
    found = [tuple(np.zeros((len(numbers), level[side].size)) for level in levels) for side in (0, 1)]
    for row, number in enumerate(numbers):
        for side, weights in enumerate(sides.drawn_weights(number)):
            for sums, level in zip(found[side], levels, strict=True):
                sums[row] = level[side].sums(weights)
    return found[0], found[1]


def _unknown(size: int) -> tuple[Floats, Floats, Flags]:
    return np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size, dtype=np.bool_)


def _matters(sizes: Floats) -> Flags:
    """Tell the groups with at least a hundredth of everything: rarer ones vary most and would widen all intervals."""
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
