"""Whether shares and numbers differ between two sides by more than chance: a permutation test within kinds of entries.

If nothing changed, requests of one entry operation could have been on either side: each deal is as likely as any other.
So the sum of a group's values on the one side has a known mean and variance, whatever the values are, and both add up
over entry operations. With many groups the one that differs most is looked at, so each counts only beyond what the
greatest of all would reach by chance. How probable each number of requests is, in which something is so, is counted
exactly, as long as they are few.

Source: Mantel, Chi-square tests with one degree of freedom: extensions of the Mantel-Haenszel procedure, 1963; Fisher,
Statistical Methods for Research Workers, 1934, section 21.02; Tarone, A modified Bonferroni method for discrete data,
1990.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import MIN_REQUESTS, Floats
from traceq.analysis.comparison.measuring import CLEAREST
from traceq.analysis.grouping import distinct
from traceq.report import Column

_CHANCE = 0.01
"""How often anything of one kind may be called sure though nothing changed."""
_ALONE = 0.05
"""The same of what is looked at alone, beside something else that is sure."""
_FEW = 500
"""For more requests than this the normal distribution does as well."""
_NOISE = 1e-12
_Row = TypeVar("_Row")


class Sample(Struct, frozen=True, eq=False):
    """What was seen on one side: values of groups in requests, where they are not zero."""

    groups: Ints | Codes
    strata: Ints | Codes
    """The entry operation of each request."""
    values: Floats
    wholes: Ints | Codes
    """For each request that could have had a value, of which whole its groups are parts ..."""
    whole_strata: Ints | Codes
    """... and its entry operation."""


class Difference(Struct, frozen=True):
    """How a mean differs between the two sides."""

    before: float
    after: float
    deviations: float
    """The difference, in standard deviations of what chance makes of it; positive for more after."""
    is_sure: bool
    """Whether it is beyond chance, as one of many."""

    @property
    def change(self) -> float:
        """The mean after minus the mean before."""
        return self.after - self.before

    @property
    def weight(self) -> float:
        """The change times how many deviations it is."""
        return self.change * min(abs(self.deviations), CLEAREST)


def difference_specs(key: str, taken: Callable[[_Row], Difference], about: str) -> tuple[Column[_Row], ...]:
    """Describe the columns of a difference.

    Args:
        key: Key of the object that holds the columns.
        taken: Takes the difference from a row.
        about: What differs.
    """
    return (
        Column(
            "before", "before", value=lambda row: taken(row).before, about=f"{about}, before", within=key, holds="share"
        ),
        Column(
            "after", "after", value=lambda row: taken(row).after, about=f"{about}, after", within=key, holds="share"
        ),
        Column(
            "deviations",
            "deviations",
            value=lambda row: taken(row).deviations,
            about="the change in standard deviations of what chance makes of it",
            within=key,
            holds="number",
        ),
        Column(
            "is_sure", "sure", value=lambda row: taken(row).is_sure, about="beyond chance, as one of many", within=key
        ),
    )


def differences(
    before: Sample, after: Sample, whole_of: Ints, *, are_shares: bool = False, is_one: bool = False
) -> list[Difference]:
    """Compare the means of each group; those of wholes with fewer than `MIN_REQUESTS` on a side are never sure.

    Args:
        before: What was seen before.
        after: The same after.
        whole_of: The whole that each group is a part of.
        are_shares: Whether values are 1, for whatever is so, or else 0: chance may reach half a request further
            (continuity correction), and is counted where there are few.
        is_one: Whether each group is looked at alone, not as one of many.
    """
    sides, whole_count = (before, after), int(whole_of.max(initial=0)) + 1
    strata = [part for side in sides for part in (side.strata, side.whole_strata)]
    width = 1 + max(int(part.max(initial=0)) for part in strata)
    wholes, counts = _counted(combined(side.wholes, side.whole_strata, width) for side in sides)
    cells, _ = _counted(combined(side.groups, side.strata, width) for side in sides)
    groups, strata_of = np.divmod(cells, width)
    place = np.searchsorted(wholes, whole_of[groups] * width + strata_of)
    sums, squares = _sums(sides, cells, width)
    is_common = np.minimum(*counts) > 0
    common = np.where(is_common, counts, 0)
    of_whole = [np.bincount(wholes // width, weights=side, minlength=whole_count)[whole_of] for side in common]
    here, total = common[:, place], common[:, place].sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(here > 0, sums / here, 0) * total
        excess = np.where(total > 0, sums[1] - here[1] * sums.sum(axis=0) / total, 0)
        spread = np.maximum(squares - sums.sum(axis=0) ** 2 / total, 0)
        variance = np.where(total > 0, here[0] * here[1] / (total * (total - 1)) * spread, 0)
    added = [np.bincount(groups, weights=part, minlength=whole_of.size) for part in (*means, excess, variance)]
    reach = np.sign(added[2]) * np.maximum(np.abs(added[2]) - are_shares / 2, 0)
    varies = added[3] > _NOISE
    deviations = np.divide(reach, np.sqrt(added[3]), out=np.zeros(whole_of.size), where=varies)
    is_enough = np.minimum(*of_whole) >= MIN_REQUESTS
    chances = np.array([math.erfc(abs(off) / math.sqrt(2)) for off in deviations.tolist()])
    least = np.zeros(whole_of.size)
    if are_shares:
        _Shares(groups, here, np.where(here[0] > 0, sums, 0), whole_of.size).count(varies, deviations, chances, least)
    bound = _ALONE if is_one else _bound(least[is_enough & varies])
    scale = np.maximum(of_whole[0] + of_whole[1], 1)
    is_sure = is_enough & varies & (chances <= bound)
    rows = ((added[0] / scale).tolist(), (added[1] / scale).tolist(), deviations.tolist(), is_sure.tolist())
    return [Difference(*row) for row in zip(*rows, strict=True)]


def _bound(least: Floats) -> float:
    """Give how improbable each of many has to be: what could not be as improbable as that does not count as one.

    Args:
        least: How improbable each could be at most.
    """
    in_order = np.sort(least)
    for count in range(1, least.size):
        if np.searchsorted(in_order, _CHANCE / count, side="right") <= count:
            return _CHANCE / count
    return _CHANCE / max(least.size, 1)


class _Shares:
    """How probable each number of requests is in which something is so, if they are dealt out; by group."""

    def __init__(self, groups: Ints, counts: Ints, ones: Floats, size: int) -> None:
        """Prepare it; arrays have one entry for each group in each entry operation, or one row for each side."""
        self._groups, self._counts, self._size = groups, counts, size
        self._after, self._total = np.rint(ones[1]).astype(np.int64), np.rint(ones.sum(axis=0)).astype(np.int64)
        self._fractions = np.abs(ones - np.rint(ones)).sum(axis=0)
        self._low = np.maximum(self._total - counts[0], 0)
        self._high = np.minimum(self._total, counts[1])
        self._are_few = np.bincount(groups, weights=self._total, minlength=size) <= _FEW
        numbers = np.arange(1, int(counts.sum(axis=0).max(initial=0)) + 1)
        self._log_factorials = np.concatenate(((0.0,), np.cumsum(np.log(numbers))))

    def _log_chance(self, cells: Ints | slice, after: Ints) -> Floats:
        """Give the logarithm of how probable these numbers after are."""
        before, whole = self._total[cells] - after, self._counts[:, cells]
        parts = ((whole[0], before), (whole[1], after))
        found: Floats = sum(self._log_ways(*part) for part in parts) - self._log_ways(
            whole.sum(axis=0), self._total[cells]
        )
        return found

    def _log_ways(self, whole: Ints, part: Ints) -> Floats:
        found: Floats = self._log_factorials[whole] - self._log_factorials[part] - self._log_factorials[whole - part]
        return found

    def count(self, varies: Flags, deviations: Floats, chances: Floats, least: Floats) -> None:
        """Replace what the normal distribution says by what is counted, where that may matter."""
        fractions = np.bincount(self._groups, weights=self._fractions, minlength=self._size)
        is_counted = varies & self._are_few & (fractions == 0)
        least[is_counted] = self.least()[is_counted]
        for group in np.flatnonzero(is_counted & (np.abs(deviations) > 1)).tolist():
            chances[group] = self.chance(group)

    def least(self) -> Floats:
        """Give for each group how improbable the most extreme deals are."""
        ends = (self._log_chance(slice(None), end) for end in (self._low, self._high))
        sums = [np.bincount(self._groups, weights=end, minlength=self._size) for end in ends]
        found: Floats = np.minimum(2 * np.exp(np.minimum(*sums)), 1)
        return found

    def chance(self, group: int) -> float:
        """Give how often deals are as extreme as what was seen, either way."""
        chances, at = np.ones(1), 0
        for cell in np.flatnonzero(self._groups == group).tolist():
            after = np.arange(self._low[cell], self._high[cell] + 1)
            chances = np.convolve(chances, np.exp(self._log_chance(np.full(after.size, cell), after)))
            at += int(self._after[cell] - self._low[cell])
        return min(2 * float(min(chances[: at + 1].sum(), chances[at:].sum())), 1.0)


def combined(groups: Ints | Codes, strata: Ints | Codes, width: int) -> Ints:
    """Give pairs of numbers as one number each; those of the second kind are below `width`."""
    keys = groups.astype(np.int64)
    keys *= width
    keys += strata
    return keys


def _counted(sides: Iterable[Ints]) -> tuple[Ints, Ints]:
    """Give all keys once, in rising order, and how often each occurs on both sides."""
    runs = []
    for keys in map(np.sort, sides):
        heads = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
        runs.append((keys[heads], np.diff(heads, append=keys.size)))
    found = distinct(np.concatenate([keys for keys, _ in runs]))
    counts = np.zeros((len(runs), found.size), dtype=np.int64)
    for side, (keys, counted) in zip(counts, runs, strict=True):
        side[np.searchsorted(found, keys)] = counted
    return found, counts


def _sums(sides: tuple[Sample, Sample], cells: Ints, width: int) -> tuple[Floats, Floats]:
    """Give the sums of the values in each cell on both sides, and the sums of their squares."""
    sums, squares = np.zeros((2, cells.size)), np.zeros(cells.size)
    for number, side in enumerate(sides):
        at = np.searchsorted(cells, combined(side.groups, side.strata, width))
        np.add.at(sums[number], at, side.values)
        np.add.at(squares, at, side.values**2)
    return sums, squares
