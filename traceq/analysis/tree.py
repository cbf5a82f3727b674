"""Walks over all span trees at once, without recursion and without a loop over levels.

Pointer doubling: every span first looks at its parent, then at its grandparent, then four up, eight up: a chain of a
million spans takes twenty rounds. Source: Hillis and Steele, Data parallel algorithms, CACM 1986.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Ints

_Number = TypeVar("_Number", np.int64, np.bool_)


def fold_ancestors(parents: Ints, values: npt.NDArray[_Number], fold: np.ufunc) -> npt.NDArray[_Number]:
    """Combine each span's value with those of all its ancestors.

    Args:
        parents: Row of the parent, -1 for a root; free of cycles.
        values: One value a span.
        fold: An associative and commutative operation (`np.maximum`, `np.minimum`, `np.logical_and`, `np.add`).
    """
    folded = values.copy()
    ahead = parents.copy()
    rows = np.flatnonzero(ahead >= 0)
    while rows.size:
        folded[rows] = fold(folded[rows], folded[ahead[rows]])
        ahead[rows] = ahead[ahead[rows]]
        rows = rows[ahead[rows] >= 0]
    return folded


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

    Where group and nanoseconds do not fit 63 bits together, times go by their rank, which always fits.
    """

    def __init__(self, group_count: int, *times: Ints) -> None:
        self._low = min((int(part.min()) for part in times if part.size), default=0)
        high = max((int(part.max()) for part in times if part.size), default=0)
        self._bits = (high - self._low).bit_length()
        self._ranked: Ints | None = None
        if self._bits + group_count.bit_length() > 62:
            self._ranked = np.unique(np.concatenate(times))
            self._bits = int(self._ranked.size).bit_length()

    def key(self, groups: Ints, times: Ints) -> Ints:
        """Encode; every time has to be among those the keys were made for."""
        codes = times - self._low if self._ranked is None else np.searchsorted(self._ranked, times)
        return (groups << self._bits) | codes

    def time(self, keys: Ints) -> Ints:
        """Give the times back."""
        codes = keys & ((1 << self._bits) - 1)
        return codes + self._low if self._ranked is None else self._ranked[codes]


def sum_by_run(groups: Ints, values: Ints, size: int) -> Ints:
    """Add up values by group, exactly; equal groups have to stand side by side.

    Returns:
        One sum for each of the groups 0 to `size` - 1.
    """
    sums = np.zeros(size, dtype=np.int64)
    if groups.size:
        heads = np.flatnonzero(np.diff(groups, prepend=-1))
        sums[groups[heads]] = np.add.reduceat(values, heads)
    return sums
