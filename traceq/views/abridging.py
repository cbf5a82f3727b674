"""A drawn trace of thousands of rows cut down to those that tell most: what is flagged, failed, or on the path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from traceq.report import TimelineRow
from traceq.units import plural

_WHOLE = 100
"""Up to this number of rows, all are drawn."""
_MOST = 60
"""Number of rows that are kept of more, besides what surrounds flagged ones."""
_NEAREST, _TOPMOST = 4, 3
"""Levels above a row that are drawn with it, next to it and at the top: a trace may be thousands deep."""
_MOST_CHILDREN = 5


class Abridged(Struct, frozen=True):
    """The rows that are kept."""

    rows: tuple[TimelineRow, ...]
    sizes: tuple[int, ...]
    """The number of spans that each of them stands for."""
    hidden_count: int = 0
    """Spans that stand in no row."""

    @property
    def folded_count(self) -> int:
        """Spans that share a row with others like them."""
        return sum(size - 1 for size in self.sizes if size > 1)


def abridge(rows: Sequence[TimelineRow], sizes: Sequence[int]) -> Abridged:
    """Keep the rows that tell most, and those above them; everything where there are few.

    Args:
        rows: Depth first.
        sizes: The number of spans that each row stands for.
    """
    if len(rows) <= _WHOLE:
        return Abridged(tuple(rows), tuple(sizes))
    above = _parents(rows)
    kept: set[int] = set()
    for at in _by_weight(rows):
        if len(kept) >= _MOST and not rows[at].is_flagged:
            break
        kept |= {at, *_ancestors(at, above)}
    for at in [at for at in sorted(kept) if rows[at].is_flagged]:
        kept.update(_surroundings(at, rows, above))
    hidden = _hidden(rows, sizes, above, kept)
    told = [_with_note(rows[at], hidden.get(at, 0)) for at in sorted(kept)]
    left = tuple(sizes[at] for at in sorted(kept))
    return Abridged(tuple(_with_ends(told)), left, sum(sizes) - sum(left))


def _parents(rows: Sequence[TimelineRow]) -> list[int]:
    """Find the row above each one; -1 for roots."""
    path: list[int] = []
    parents = []
    for at, row in enumerate(rows):
        del path[row.depth :]
        parents.append(path[-1] if path else -1)
        path.append(at)
    return parents


def _by_weight(rows: Sequence[TimelineRow]) -> list[int]:
    """Order rows: flagged ones, then by their own time on the critical path, failures, and then by duration."""

    def weight(at: int) -> tuple[bool, bool, int, int, int]:
        row = rows[at]
        on_path_ns = sum(end - start for start, end in row.critical)
        return (not row.is_flagged, not (row.has_error or row.note), -on_path_ns, -row.duration_ns, at)

    flagged = [at for at, row in enumerate(rows) if row.is_flagged]
    remarked = sorted((at for at, row in enumerate(rows) if row.has_error or row.note), key=weight)
    path = sorted((at for at, row in enumerate(rows) if row.critical), key=lambda at: weight(at)[2:])
    longest = sorted(range(len(rows)), key=lambda at: weight(at)[3:])
    # Half of the room is for the path, however much has failed.
    first = [*flagged, *remarked[: _MOST // 4], *path[: _MOST // 2], *remarked, *path, *longest]
    return list(dict.fromkeys(first))


def _ancestors(at: int, above: Sequence[int]) -> list[int]:
    """Give the rows that lead to one: all of them, or of many those at both ends."""
    found = []
    while (at := above[at]) >= 0:
        found.append(at)
    return found if len(found) <= _NEAREST + _TOPMOST else [*found[:_NEAREST], *found[-_TOPMOST:]]


def _surroundings(at: int, rows: Sequence[TimelineRow], above: Sequence[int]) -> Iterator[int]:
    """Give what is next to a row under the same one, and the first of what is below it."""
    before = at - 1
    while before > above[at] and rows[before].depth > rows[at].depth:
        before = above[before]
    if before > above[at]:
        yield before
    children, after = 0, at + 1
    while after < len(rows) and rows[after].depth > rows[at].depth:
        if rows[after].depth == rows[at].depth + 1 and children < _MOST_CHILDREN:
            children += 1
            yield after
        after += 1
    if after < len(rows) and rows[after].depth == rows[at].depth:
        yield after


def _hidden(rows: Sequence[TimelineRow], sizes: Sequence[int], above: Sequence[int], kept: set[int]) -> dict[int, int]:
    """Count for each kept row the spans below it that no other kept row is nearer to."""
    nearest: list[int] = []
    hidden: dict[int, int] = {}
    for at in range(len(rows)):
        near = at if at in kept else nearest[above[at]] if above[at] >= 0 else -1
        nearest.append(near)
        if at not in kept:
            hidden[near] = hidden.get(near, 0) + sizes[at]
    return hidden


def _with_note(row: TimelineRow, hidden_count: int) -> TimelineRow:
    if not hidden_count:
        return row
    return replace(row, note=", ".join(filter(None, (row.note, f"{plural(hidden_count, 'span')} below not shown"))))


def _with_ends(rows: Sequence[TimelineRow]) -> Iterator[TimelineRow]:
    """Say anew which rows no sibling follows."""
    ends: list[bool] = []
    depths: set[int] = set()
    for row in reversed(rows):
        depths = {depth for depth in depths if depth <= row.depth}
        ends.append(row.depth not in depths)
        depths.add(row.depth)
    return (replace(row, is_last=is_last) for row, is_last in zip(rows, reversed(ends), strict=True))
