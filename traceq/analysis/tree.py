"""Walks over all span trees at once, without recursion and without a loop over levels.

Pointer doubling: every span first looks at its parent, then at its grandparent, then four up, eight up: a chain of a
million spans takes twenty rounds. Source: Hillis and Steele, Data parallel algorithms, CACM 1986.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Flags, Ints

_Number = TypeVar("_Number", np.int64, np.bool_)


def fold_ancestors(parents: Ints, values: npt.NDArray[_Number], fold: np.ufunc) -> npt.NDArray[_Number]:
    """Combine each span's value with those of all its ancestors.

    Args:
        parents: Row of the parent, -1 for a root; free of cycles.
        values: One value a span.
        fold: An associative and commutative operation (`np.maximum`, `np.minimum`, `np.add`).
    """
    folded = values.copy()
    for rows, above in _rounds(parents, np.flatnonzero(parents >= 0)):
        folded[rows] = fold(folded[rows], folded[above])
    return folded


def all_above(parents: Ints, flags: Flags) -> Flags:
    """Tell the spans that are flagged with all their ancestors."""
    folded = flags.copy()
    # Who is not flagged needs no walk, and who looks at one of those while walking learns all there is to know.
    for rows, above in _rounds(parents, np.flatnonzero(flags & (parents >= 0))):
        folded[rows] &= folded[above]
    return folded


def clip_to_ancestors(parents: Ints, low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Give each span's greatest low and least high, its own or an ancestor's."""
    low, high = low.copy(), high.copy()
    children = np.flatnonzero(parents >= 0)
    above = parents[children]
    outside = children[(low[children] < low[above]) | (high[children] > high[above])]
    if not outside.size:
        return low, high
    # Only they, and what is below them, have to be cut.
    cut = parents.copy()
    cut[outside] = -1
    touched = np.zeros(parents.size, dtype=np.bool_)
    touched[outside] = True
    for rows, above in _rounds(parents, np.flatnonzero(touched[find_roots(cut)])):
        low[rows] = np.maximum(low[rows], low[above])
        high[rows] = np.minimum(high[rows], high[above])
    return low, high


def _rounds(parents: Ints, rows: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Give the rows that still look at somebody above, and the rows they look at."""
    ahead = parents.copy()
    above = ahead[rows]
    while rows.size:
        yield rows, above
        higher = ahead[above]
        ahead[rows] = higher
        kept = np.flatnonzero(higher >= 0)
        rows, above = rows[kept], higher[kept]


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
