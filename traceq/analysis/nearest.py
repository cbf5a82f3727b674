"""Searches for the nearest lower value to the left in an array, many at once."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints


def last_lower(values: Ints, upto: Ints, below: Ints) -> Ints:
    """Find for each search the last position up to `upto` with a value less than `below`; -1 for none.

    Minima of pairs, of pairs of pairs, and so on form a tree: a search goes up to the first minimum that is low enough,
    then down. At any distance it takes at most about twice as many steps as the tree has levels.
    """
    levels = _minima(values)
    level = np.zeros(upto.size, dtype=np.int64)
    at = upto.copy()
    searching = np.flatnonzero(at >= 0)
    while searching.size:
        searching = searching[~_is_lower(levels, level[searching], at[searching], below[searching])]
        at[searching] -= 1
        searching = searching[at[searching] >= 0]
        _climb(level, at, searching)
    found = np.flatnonzero((at >= 0) & (level > 0))
    while found.size:
        level[found] -= 1
        at[found] = 2 * at[found] + 1
        at[found] -= ~_is_lower(levels, level[found], at[found], below[found])
        found = found[level[found] > 0]
    return at


def _minima(values: Ints) -> list[Ints]:
    """Give the values, the minima of each two, of each four, and so on; an entry without a partner is left out."""
    levels = [values]
    while levels[-1].size > 1:
        last = levels[-1]
        even = last.size // 2 * 2
        levels.append(np.minimum(last[:even:2], last[1:even:2]))
    return levels


def _is_lower(levels: list[Ints], level: Ints, at: Ints, below: Ints) -> Flags:
    is_lower = np.zeros(at.size, dtype=np.bool_)
    for number in np.unique(level).tolist():
        here = np.flatnonzero(level == number)
        is_lower[here] = levels[number][at[here]] < below[here]
    return is_lower


def _climb(level: Ints, at: Ints, searching: Ints) -> None:
    """Continue with the whole pair where its second half is next, since nothing in it was examined yet."""
    climbing = searching[at[searching] % 2 == 1]
    level[climbing] += 1
    at[climbing] //= 2
