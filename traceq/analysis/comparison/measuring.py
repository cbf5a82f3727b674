"""Amounts per request on both sides of a comparison, with their changes and how sure these are.

How sure a change is, is measured by dealing out the requests anew (`dealing`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Flags
from traceq.analysis.comparison.batches import MIN_REQUESTS, Batch, Floats, Matching, match
from traceq.analysis.comparison.dealing import Amounts, Deals
from traceq.report import Column, Unit

_COVERAGE = 0.975
"""The share of deals that chance stays within: so few deals tell 95 % only roughly, and not more often may it fail."""
_ALONE = 1.96
"""Number of standard deviations within which 95 of 100 single values lie."""
CLEAREST = 100.0
"""More deviations than these make a change no clearer."""
_ENDS = 2
"""A call is not counted if either of its spans is lost: its own, or that of its caller."""
_NOISE = 1e-9
"""Differences below this share of the compared values come from rounding, at 1e-16 per operation."""


def settled(differences: Floats, sizes: Floats) -> Floats:
    """Set differences that come from rounding to 0: in units of their own deviation they would be large.

    Args:
        differences: Differences of amounts.
        sizes: The size of the amounts that were subtracted.
    """
    return np.where(np.abs(differences) > _NOISE * sizes, differences, 0.0)


class Chance(Struct, frozen=True, eq=False):
    """What deals made of the changes of some groups; one row for each deal, one column for each group."""

    replicates: Floats
    changes: Floats
    """What really changed."""
    sizes: Floats
    """The size of the amounts that change."""
    shares: Floats
    """How much of the sides was not dealt anew: 1 for the sides as they are, -1 for the sides exchanged."""
    lost: float | Floats = 0.0
    """Up to how much spans that are missing on one side may change each."""

    @property
    def deviations(self) -> Floats:
        """How far chance deviates, for each group: the standard deviation."""
        return _deviation(settled(self.replicates, self.sizes))

    def greatest(self) -> Floats:
        """Give for each deal the greatest change, each in units of its own deviation."""
        scale = self.deviations
        found: Floats = np.abs(settled(self.replicates, self.sizes) / np.where(scale > 0, scale, 1)).max(
            axis=1, initial=0
        )
        return found

    def intervals(self, reach: float) -> tuple[Floats, Floats]:
        """Give bounds of the changes.

        Deals mix what changed into chance, so the part that each deal left in place is taken out first. A change that
        deals reach too is never called sure.

        Args:
            reach: How many deviations chance reaches.
        """
        left = settled(self.replicates - self.shares[:, None] * self.changes, self.sizes)
        size, half = np.abs(self.changes), reach * _deviation(left) + self.lost
        half = np.where(size > reach * self.deviations, half, np.maximum(half, size))
        low, high = (settled(end, self.sizes) for end in (self.changes - half, self.changes + half))
        return low, high


def _deviation(values: Floats) -> Floats:
    found: Floats = np.sqrt((values**2).mean(axis=0))
    return found


def reach_of(greatest: Floats) -> float:
    """Give how many deviations the greatest of many changes reaches in 39 of 40 deals."""
    return float(np.sort(greatest)[math.ceil(_COVERAGE * greatest.size) - 1])


class Estimate(Struct, frozen=True):
    """A mean per request before and after, with the interval of its change."""

    before: float
    after: float
    low: float
    """The lower bound of the change; up to `high`, in 95 of 100 cases for all changes of a measure simultaneously."""
    high: float
    is_likely: bool
    """Whether the change is beyond chance when taken alone, not as the greatest of many."""
    deviation: float
    """The standard deviation of the changes that chance makes; infinite with too few requests."""
    effect: float | None = None
    """The change in standard deviations of single requests (Cohen's d); None where the deviation is 0."""

    @property
    def change(self) -> float:
        """The mean after minus the mean before."""
        return self.after - self.before

    @property
    def weight(self) -> float:
        """The change times how many deviations it is: what is great and hardly by chance weighs most."""
        if not math.isfinite(self.deviation):
            return self.change
        beyond = abs(self.change) / self.deviation if self.deviation else CLEAREST
        return self.change * min(beyond, CLEAREST)

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
            holds="number",
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
        Column(
            "is_sure",
            "sure",
            value=lambda row: _told(taken(row), taken(row).is_sure),
            about="whether the interval excludes 0; null where nothing was compared",
            within=key,
            is_known=False,
        ),
        Column(
            "is_likely",
            "likely",
            value=lambda row: _told(taken(row), taken(row).is_likely),
            about="whether it is beyond chance when looked at alone, not as one of many",
            within=key,
            is_known=False,
        ),
    )


def _told(found: Estimate, is_so: bool) -> bool | None:  # noqa: FBT001 - the fact itself
    """Give what is so of a change; None where none is known, for False says that it was looked for."""
    return is_so if math.isfinite(found.change) else None


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

        return Column(f"{name}{suffix}", title, unit, value, about, within=key, holds=None if is_time else "number")

    return number


class Sides(Struct, frozen=True, eq=False):
    """Two sets of requests, prepared for comparison."""

    before: Batch
    after: Batch
    matching: Matching
    deals: Deals | None
    """The requests dealt out anew; None with too few requests for an interval."""

    @property
    def lost_ratio(self) -> float:
        """How many more of its spans the second side lost than the first; negative for fewer.

        Of spans that have others below them it shows when they are missing; the others are lost as often.
        """
        return self.after.missing_ratio - self.before.missing_ratio

    @property
    def lost_ns(self) -> float:
        """Up to how much of the latency may seem to be held elsewhere since one side lost more of its spans."""
        latencies = [batch.requests.latency_ns for batch in (self.before, self.after)]
        mean_ns = sum(float(latency_ns.mean()) if latency_ns.size else 0.0 for latency_ns in latencies) / 2
        return abs(self.lost_ratio) * mean_ns

    def weights(self) -> tuple[Floats, Floats]:
        """Give the weights of all requests, before and after."""
        matching = self.matching
        return (
            matching.weights(matching.before_kinds, matching.before_strata),
            matching.weights(matching.after_kinds, matching.after_strata),
        )


def pair(before: Batch, after: Batch) -> Sides:
    """Prepare two batches with the same numbers for operations."""
    matching = match(before, after)
    is_enough = min(len(before.requests), len(after.requests)) >= MIN_REQUESTS
    return Sides(before, after, matching, Deals(before, after, matching) if is_enough else None)


class _Level(Struct, frozen=True, eq=False):
    """What was measured of amounts; one entry for each group."""

    before: Floats
    after: Floats
    effects: list[float | None]
    few: Flags
    """Whether there are amounts in fewer requests than `MIN_REQUESTS` on both sides."""
    chance: Chance | None
    """What deals made of them; None without deals."""


def estimate(
    sides: Sides,
    levels: Iterable[tuple[tuple[Amounts, Amounts], ...]],
    times: frozenset[int] = frozenset(),
    numbers: frozenset[int] = frozenset(),
) -> tuple[list[list[Estimate]], Seen]:
    """Measure what changed, for each group of each level.

    With fewer than `MIN_REQUESTS` requests on a side, nothing is sure: the intervals are unbounded. So are those of
    groups that have amounts in fewer requests on both sides.

    Args:
        sides: Two sets of requests.
        levels: The amounts that are added up, of some levels at a time: only these are held at once.
        times: The positions of those levels that divide up the latency, which spans that are missing change.
        numbers: The positions of those levels that count spans.

    Returns:
        The estimates, and what was seen of the deals.
    """
    found: list[_Level] = []
    for some in levels:
        places = range(len(found), len(found) + len(some))
        lost = [(sides.lost_ns * (at in times), _ENDS * sides.lost_ratio * (at in numbers)) for at in places]
        found += _measure(sides, some, lost)
        # The next ones are made only then.
        del some
    chances = [level.chance for level in found if level.chance is not None]
    greatest = np.max([chance.greatest() for chance in chances], axis=0) if chances else np.zeros(0)
    seen = Seen(greatest, chances[0].shares if chances else np.zeros(0))
    return [_estimates(level, greatest) for level in found], seen


class Seen(Struct, frozen=True, eq=False):
    """What was seen of the deals; one entry for each."""

    greatest: Floats
    """The greatest change of all, in deviations."""
    shares: Floats
    """How much was left in place; see `Chance`."""


def _measure(
    sides: Sides, levels: tuple[tuple[Amounts, Amounts], ...], lost: list[tuple[float, float]]
) -> list[_Level]:
    """Measure some levels, of which lost spans may change each amount by a time, and by a share of it."""
    weights = sides.weights()
    dealt = [None] * len(levels) if sides.deals is None else _deal(sides.deals, levels)
    found = []
    for level, (lost_ns, lost_ratio), replicates in zip(levels, lost, dealt, strict=True):
        before, after = (part.sums(weight) for part, weight in zip(level, weights, strict=True))
        size = before + after
        change = settled(after - before, size)
        # What the side with fewer losses has may be missing on the other one.
        most = lost_ns + abs(lost_ratio) * (before if lost_ratio > 0 else after)
        chance = None if replicates is None else Chance(replicates[0], change, size, replicates[1], most)
        few = np.maximum(level[0].counts(), level[1].counts()) < MIN_REQUESTS
        effects = _effects(level, weights, change)
        found.append(_Level(before, np.where(change == 0, before, after), effects, few, chance))
    return found


def _deal(deals: Deals, levels: tuple[tuple[Amounts, Amounts], ...]) -> list[tuple[Floats, Floats]]:
    """Give for each level the changes in all deals, and how much each deal left in place."""
    parts = []
    for numbers in deals.ranges():
        dealt = deals(numbers)
        parts.append((dealt.shares, *(after - before for before, after in map(dealt.sums, levels))))
    shares, *changes = (np.concatenate(found) for found in zip(*parts, strict=True))
    return [(change, shares) for change in changes]


def _estimates(level: _Level, greatest: Floats) -> list[Estimate]:
    chance = level.chance
    bounds = _unknown(level.before.size) if chance is None else _bounded(chance, greatest, level.few)
    columns = (column.tolist() for column in (level.before, level.after, *bounds))
    return [Estimate(*row) for row in zip(*columns, level.effects, strict=True)]


_Bounds = tuple[Floats, Floats, Flags, Floats]
"""Lower and upper bounds, what is beyond chance alone, and deviations."""


def _bounded(chance: Chance, greatest: Floats, few: Flags) -> _Bounds:
    low, high = chance.intervals(reach_of(greatest))
    is_likely = np.abs(chance.changes) > _ALONE * chance.deviations + chance.lost
    unknown = few & (chance.changes != 0)
    return (
        np.where(unknown, -np.inf, low),
        np.where(unknown, np.inf, high),
        is_likely & ~unknown,
        chance.deviations,
    )


def estimate_derived(
    sides: Sides,
    levels: tuple[tuple[Amounts, Amounts], ...],
    change: Callable[[tuple[Floats, ...], tuple[Floats, ...]], Floats],
    sizes: Floats,
    seen: Seen,
) -> list[Estimate]:
    """Measure a change that is no difference of sums, but is computed from sums of both sides.

    Args:
        sides: Two sets of requests.
        levels: The amounts that are added up.
        change: Computes the changes from the sums before and after; one row for each deal.
        sizes: The size of what changes, for each change.
        seen: What was seen of the deals when other changes were measured.
    """
    whole = [
        tuple(level[side].sums(weights)[None, :] for level in levels) for side, weights in enumerate(sides.weights())
    ]
    scale = np.full(sizes.size, sizes.sum())
    changes = settled(change(whole[0], whole[1])[0], scale)
    if sides.deals is None:
        bounds = _unknown(changes.size)
    else:
        parts = []
        for numbers in sides.deals.ranges(8 * levels[0][0].size):
            sums = map(sides.deals(numbers).sums, levels)
            parts.append(change(*zip(*sums, strict=True)))
        chance = Chance(np.concatenate(parts), changes, scale, seen.shares, sides.lost_ns)
        bounds = _bounded(chance, np.maximum(chance.greatest(), seen.greatest), np.zeros(changes.size, dtype=np.bool_))
    columns = (column.tolist() for column in (changes, *bounds))
    return [Estimate(0.0, *parts) for parts in zip(*columns, strict=True)]


def _unknown(size: int) -> _Bounds:
    return np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size, dtype=np.bool_), np.full(size, np.inf)


def _effects(level: tuple[Amounts, Amounts], weights: tuple[Floats, Floats], changes: Floats) -> list[float | None]:
    variances = [_variance(amounts, weight) for amounts, weight in zip(level, weights, strict=True)]
    pooled = np.sqrt((variances[0] + variances[1]) / 2)
    return [
        change / scale if scale > 0 else None for change, scale in zip(changes.tolist(), pooled.tolist(), strict=True)
    ]


def _variance(amounts: Amounts, weights: Floats) -> Floats:
    squares = amounts.squares(weights)
    return settled(np.maximum(squares - amounts.sums(weights) ** 2, 0), squares)
