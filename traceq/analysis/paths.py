"""Call paths: spans with the same callers, all the way up, count as one, and are summed up.

Paths are numbered exactly, whatever their depth, in a few passes over arrays. Their number is bounded: of more paths
the deepest are merged into one `other` below each caller that is kept, the same ones however spans were divided into
tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from traceq.analysis.group_sums import GroupKey
from traceq.analysis.grouping import Ints, depths, find_roots, fold_ancestors, numbered, numbered_rows, sum_by_group

MOST_PATHS = 50_000
"""Maximum number of paths that are kept, besides an `other` below each of them."""

OTHER = -1
"""The code of a path that stands for those that were not kept."""

SPANS, ERRORS, DURATION, SELF, CRITICAL = range(5)
"""What is summed up: numbers of spans and failed spans; durations, self times and critical times in ns."""
SUMMED = 5

_SPREAD = 0x5851F42D4C957F2D
"""An odd number without a pattern in its bits: its powers tell a caller of a callee from a callee of a caller."""


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


def _nothing() -> npt.NDArray[np.int64]:
    return np.zeros((SUMMED, 0), dtype=np.int64)


class PathTable(Struct, frozen=True, eq=False):
    """Any number of call paths, summed up; can be added to others. Arrays have one entry for each path."""

    keys: tuple[GroupKey, ...] = ()
    """The calls that paths are made of."""
    codes: Ints = field(default_factory=_none)
    """The position of the key of the path's last call; `OTHER` for a path that stands for many."""
    parents: Ints = field(default_factory=_none)
    """The path of the caller; -1 for a path of one call."""
    sums: npt.NDArray[np.int64] = field(default_factory=_nothing)
    """A row for each of `SPANS` to `CRITICAL`; those of a table of several sides follow each other."""

    def __len__(self) -> int:
        return self.codes.size

    def __add__(self, other: PathTable) -> PathTable:
        if not (len(self) and len(other)):
            return self if len(self) else other
        return merged_paths((self, other), np.concatenate((self.sums, other.sums), axis=1))


def sum_paths(keys: tuple[GroupKey, ...], codes: Ints, parents: Ints, sums: npt.NDArray[np.int64]) -> PathTable:
    """Sum up the calls that have the same path.

    Args:
        keys: The calls.
        codes: For each span, or path, the position of its key.
        parents: The position of its caller among these, -1 where there is none; free of cycles.
        sums: What to sum up, a row for each of `SPANS` to `CRITICAL`.
    """
    places, numbers = number_paths(parents, codes)
    above = parents[places]
    size = places.size
    return _bounded(
        PathTable(
            keys,
            codes[places],
            np.where(above >= 0, numbers[above], -1),
            np.array([sum_by_group(numbers, row, size) for row in sums], dtype=np.int64).reshape(len(sums), size),
        )
    )


def merged_paths(tables: Sequence[PathTable], sums: npt.NDArray[np.int64]) -> PathTable:
    """Merge the paths of several tables.

    Args:
        tables: The tables.
        sums: What to sum up, by row, with a column for each path of the first table, the second, and so on.
    """
    keys = tuple(dict.fromkeys(key for table in tables for key in table.keys))
    positions = {key: number for number, key in enumerate(keys)}
    # One more entry at the end, where the code of `OTHER` leads.
    moves = [np.array([*(positions[key] for key in table.keys), OTHER], dtype=np.int64) for table in tables]
    firsts = accumulate(map(len, tables[:-1]), initial=0)
    codes = [move[table.codes] for move, table in zip(moves, tables, strict=True)]
    parents = [
        np.where(each.parents >= 0, each.parents + first, -1) for first, each in zip(firsts, tables, strict=True)
    ]
    return sum_paths(keys, np.concatenate(codes), np.concatenate(parents), sums)


def number_paths(parents: Ints, codes: Ints) -> tuple[Ints, Ints]:
    """Number call paths: rows with the same code whose callers, all the way up, have the same codes.

    After a pass, numbers tell apart the last call, the last two, four, eight, ...: the number of a row combined with
    that of the row so far above it. Twenty passes do for a chain of a million calls.

    Returns:
        For each number the position of a row that has it, and for each row its number.

    Source: Karp, Miller, Rosenberg, Rapid identification of repeated patterns in strings, trees and arrays, 1972.
    """
    places, numbers = numbered_rows(codes)
    ahead = parents
    while (ahead >= 0).any():
        above = np.where(ahead >= 0, numbers[ahead], -1)
        places, numbers = numbered_rows(numbers, above)
        ahead = np.where(ahead >= 0, ahead[ahead], -1)
    return places, numbers


def _bounded(table: PathTable) -> PathTable:
    """Merge paths into `other` until there are few enough.

    Those kept come first by depth, so that callers are kept, and then by a hash: an order that depends on nothing but
    the path. A path that is left out of a part is therefore left out of the whole, and the sums of those that are kept
    are complete, however spans were divided.
    """
    regular = table.codes != OTHER
    if np.count_nonzero(regular) <= MOST_PATHS:
        return table
    rank = np.lexsort((_hashes(table), depths(table.parents), ~regular))
    kept = np.zeros(len(table), dtype=np.bool_)
    kept[rank[:MOST_PATHS]] = True
    merged = np.flatnonzero(~kept)
    nearest = find_roots(np.where(kept, -1, table.parents))
    parents, codes, sums = table.parents.copy(), table.codes.copy(), table.sums.copy()
    parents[merged] = np.where(kept[nearest[merged]], nearest[merged], -1)
    codes[merged] = OTHER
    # Spans below each other last at the same time: the uppermost that is merged counts for its callees, too.
    inner = merged[(table.parents[merged] >= 0) & ~kept[table.parents[merged]]]
    sums[DURATION::SUMMED, inner] = 0
    used, codes[kept] = numbered(codes[kept])
    return sum_paths(tuple(table.keys[code] for code in used.tolist()), codes, parents, sums)


def _hashes(table: PathTable) -> Ints:
    """Give a number for each path that depends on all its calls and their order, and on nothing else."""
    told = [blake2b(repr(key).encode("utf-8", "replace"), digest_size=8).digest() for key in table.keys]
    # One more entry at the end, where the code of `OTHER` leads.
    of_keys = np.frombuffer(b"".join((*told, bytes(8))), dtype="<i8").astype(np.int64)
    powers = np.power(np.uint64(_SPREAD), depths(table.parents).astype(np.uint64)).view(np.int64)
    return fold_ancestors(table.parents, of_keys[table.codes] * powers, np.add)
