"""Walks over all span trees at once, without recursion and without a loop over levels.

Pointer doubling: every span first looks at its parent, then at its grandparent, then four up, eight up: a chain of a
million spans takes twenty rounds. Source: Hillis and Steele, Data parallel algorithms, CACM 1986.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from traceq.analysis.grouping import Flags, Ints

_Number = TypeVar("_Number", np.int64, np.bool_)


def fold_ancestors(parents: Ints, values: npt.NDArray[_Number], fold: np.ufunc) -> npt.NDArray[_Number]:
    """Combine each span's value with those of all its ancestors.

    Args:
        parents: Row of the parent, -1 for a root; free of cycles.
        values: One value per span.
        fold: An associative and commutative operation (`np.maximum`, `np.minimum`, `np.add`, `np.logical_and`).
    """
    # One more row at the end is above all roots and above itself: -1 leads there, and it changes no value.
    ahead = np.append(parents, -1)
    folded = np.append(values, np.array(_neutral(fold, values.dtype), dtype=values.dtype))
    while ahead.max() >= 0:
        folded = fold(folded, folded[ahead])
        ahead = ahead[ahead]
    return folded[:-1]


def _neutral(fold: np.ufunc, dtype: np.dtype[_Number]) -> int | bool:
    """Give the neutral element."""
    if fold in {np.maximum, np.minimum}:
        extremes = np.iinfo(dtype.name)
        return int(extremes.min if fold is np.maximum else extremes.max)
    neutral: int | bool = fold.identity
    return neutral


def all_above(parents: Ints, flags: Flags) -> Flags:
    """Tell the spans that are flagged together with all their ancestors."""
    return fold_ancestors(parents, flags, np.logical_and)


def clip_to_ancestors(parents: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Give each span's greatest low and least high, its own or an ancestor's."""
    # Usually every child lies within its parent, and nothing has to be clipped. For roots -1 gives any row's value.
    if not (((low < low[parents]) | (high > high[parents])) & (parents >= 0)).any():
        return low.copy(), high.copy()
    return fold_ancestors(parents, low, np.maximum), fold_ancestors(parents, high, np.minimum)


def find_roots(parents: Ints) -> Ints:
    """Give the row of each span's root, its own for a root."""
    roots = np.where(parents < 0, np.arange(parents.size, dtype=np.int64), parents)
    while True:
        higher = roots[roots]
        if np.array_equal(higher, roots):
            return roots
        roots = higher


def depths(parents: Ints) -> Ints:
    """Count the ancestors of each span; 0 for a root."""
    return fold_ancestors(parents, np.ones(parents.size, dtype=np.int64), np.add) - 1


class TimeKeys:
    """Orders pairs of (group, time) as single integers, so that one sort and one search serve all groups.

    Where group and nanoseconds do not fit into 63 bits, times are replaced by their ranks, which always fit.
    """

    def __init__(self, group_count: int, *times: Ints) -> None:
        self._low = min((int(part.min()) for part in times if part.size), default=0)
        self._high = max((int(part.max()) for part in times if part.size), default=0)
        self._bits = (self._high - self._low).bit_length()
        self._ranked: Ints | None = None
        if self._bits + group_count.bit_length() > 62:
            self._ranked = np.unique(np.concatenate(times))
            self._bits = int(self._ranked.size).bit_length()

    def key(self, groups: Ints, times: Ints) -> Ints:
        """Encode pairs; every time has to be among those for which the keys were made."""
        codes = times - self._low if self._ranked is None else np.searchsorted(self._ranked, times)
        return (groups << self._bits) | codes

    def key_at_most(self, groups: Ints, times: Ints) -> Ints:
        """Encode any times, each as the last time among those of the keys that is not after it.

        A time before all of them is encoded as the end of the previous group.
        """
        if self._ranked is None:
            codes = np.clip(times, self._low - 1, self._high) - self._low
        else:
            codes = np.searchsorted(self._ranked, times, side="right") - 1
        key: Ints = (groups << self._bits) + codes
        return key

    def time(self, keys: Ints) -> Ints:
        """Decode the times of keys."""
        codes = keys & ((1 << self._bits) - 1)
        return codes + self._low if self._ranked is None else self._ranked[codes]


def sum_by_run(groups: Ints, values: Ints, size: int) -> Ints:
    """Add up values by group, exactly; entries of one group have to be adjacent.

    Returns:
        One sum for each of the groups 0 to `size` - 1.
    """
    sums = np.zeros(size, dtype=np.int64)
    if groups.size:
        heads = np.flatnonzero(np.diff(groups, prepend=-1))
        sums[groups[heads]] = np.add.reduceat(values, heads)
    return sums
