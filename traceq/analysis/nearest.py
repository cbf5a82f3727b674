"""Searches to the left in an array for something lower, many at once."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints


def last_lower(values: Ints, upto: Ints, below: Ints) -> Ints:
    """Find for each search the last position that is not after `upto` and holds less than `below`; -1 for none.

    Minima of pairs, of pairs of pairs, and so on make a tree: up to the first that is low enough, then down in it.
    However far away what is found may be, a search takes about twice as many steps as the tree has levels.
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
    """Give the values, the lesser of each two, of each four, and so on; what has no partner at the end is left out."""
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
    """Go on with the whole pair where its second half is next; nothing in it was looked at yet."""
    climbing = searching[at[searching] % 2 == 1]
    level[climbing] += 1
    at[climbing] //= 2
