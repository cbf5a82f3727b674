"""Calls of one span: which were waited for, which one covers an interval, when they begin if some are shorter."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from heapq import heappop, heappush
from operator import le
from typing import Literal, TypeAlias

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import TimeKeys, distinct

_OVERLAP = Fraction(1, 100)
"""Share of the caller's duration: a call that overlaps the next one by at most this has been waited for."""


def tolerance_ns(duration_ns: Ints) -> Ints:
    """Give the time by which a call may seem to end too late, for a caller of this duration."""
    return duration_ns * _OVERLAP.numerator // _OVERLAP.denominator


class Siblings(Struct, frozen=True, eq=False):
    """Children that are waited for, sorted by (parent, clipped end), with ties such that the one to choose comes last.

    All arrays except `rows` and `parents` hold positions in this order, -1 for none. Siblings are adjacent.
    """

    rows: Ints
    parents: Ints
    """Rows of the parents."""
    low_ns: Ints
    high_ns: Ints
    latest: Ints
    """The sibling that ends last of those that began before this one."""
    filler: Ints
    """The same among those that their callers are not known to leave running."""
    before: Ints
    """The sibling that was waited for before this one began: the last to end by then, within the tolerance."""

    @property
    def heads(self) -> Ints:
        """Give the last one of each parent."""
        return np.flatnonzero(np.diff(self.parents, append=-1))


class Pieces(Struct, frozen=True, eq=False):
    """Intervals that spans leave to their children."""

    parents: Ints
    rows: Ints
    """The rows of the children."""
    low_ns: Ints
    high_ns: Ints

    def among(self, parents: Flags) -> Pieces:
        """Give those that these spans leave to their children."""
        kept = np.flatnonzero(parents[self.parents])
        return Pieces(self.parents[kept], self.rows[kept], self.low_ns[kept], self.high_ns[kept])


def find_siblings(
    spans: Columns, candidates: Ints, left_running: Flags, clipped: tuple[Ints, Ints], keys: TimeKeys
) -> Siblings:
    """Sort children, and find for each the ones before it.

    Args:
        spans: The table.
        candidates: Rows of children that are waited for and lie within their parents for some time.
        left_running: For every span, whether its caller is known to go on while it runs.
        clipped: Starts and ends of all spans, clipped to their ancestors.
        keys: Keys for all these times.
    """
    low_ns, high_ns = clipped
    rows = _by_end(spans, keys, candidates, high_ns)
    parents, lows, highs = spans.parents[rows], low_ns[rows], high_ns[rows]
    starts = keys.key(parents, lows)
    by_start = np.argsort(starts, kind="stable")
    latest = filler = _latest(parents, starts, by_start, by_start)
    left = left_running[rows]
    if left.any():
        filler = _latest(parents, starts, by_start, np.where(left[by_start], -1, by_start))
    before = latest.copy()
    # Where no earlier one is still running, the last one to end is the one that was waited for.
    beside = np.flatnonzero((latest >= 0) & (highs[latest] > lows))
    if beside.size:
        before[beside] = _nearest_end(
            keys, (parents, lows, highs), beside, tolerance_ns((high_ns - low_ns)[parents[beside]])
        )
    return Siblings(rows, parents, lows, highs, latest, filler, before)


def _by_end(spans: Columns, keys: TimeKeys, candidates: Ints, high_ns: Ints) -> Ints:
    """Sort candidates by (parent, clipped end), with ties such that the one to choose comes last."""
    ends = keys.key(spans.parents[candidates], high_ns[candidates])
    sorting = np.argsort(ends, kind="stable")  # fast, because most are in order already
    order, ends = candidates[sorting], ends[sorting]
    same = ends[1:] == ends[:-1]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        rows = order[tied]
        order[tied] = rows[np.lexsort((-rows, -spans.start_ns[rows], spans.end_ns[rows], ends[tied]))]
    return order


def _latest(parents: Ints, starts: Ints, by_start: Ints, positions: Ints) -> Ints:
    """Find which sibling ends last of those that began before each one.

    Args:
        parents: Rows of the parents.
        starts: Keys of (parent, start).
        by_start: The order of these.
        positions: The same, with -1 for siblings that do not count.
    """
    # Positions are ordered by parent first, so the running maximum begins anew with each one.
    reached = np.append(np.maximum.accumulate(positions), -1)
    begins = np.diff(starts[by_start], prepend=-1) != 0
    first = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    latest = np.empty_like(parents)
    latest[by_start] = reached[first - 1]
    latest[(latest >= 0) & (parents[latest] != parents)] = -1
    return latest


def _nearest_end(keys: TimeKeys, calls: tuple[Ints, Ints, Ints], which: Ints, most_ns: Ints) -> Ints:
    """Find the sibling that ended last before each of these began, or within the tolerance after, if that is nearer."""
    parents, lows, highs = calls
    begins = lows[which]
    ends = keys.key(parents, highs)
    ended = np.searchsorted(ends, keys.key(parents[which], begins), side="right") - 1
    has_ended = (ended >= 0) & (parents[ended] == parents[which])
    slack_ns = np.where(has_ended, np.minimum(begins - highs[ended], most_ns), most_ns)
    after = np.minimum(ended + 1, ends.size - 1)
    near = np.flatnonzero((parents[after] == parents[which]) & (highs[after] - begins <= slack_ns))
    found = np.where(has_ended, ended, -1)
    if near.size:
        at = ends.size - 1 - last_lower(lows[::-1], ends.size - 1 - after[near], begins[near])
        at[at == ends.size] = -1
        is_near = (at >= 0) & (parents[at] == parents[which[near]]) & (highs[at] - begins[near] <= slack_ns[near])
        found[near[is_near]] = at[is_near]
    return found


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
    for number in distinct(level).tolist():
        here = np.flatnonzero(level == number)
        is_lower[here] = levels[number][at[here]] < below[here]
    return is_lower


def _climb(level: Ints, at: Ints, searching: Ints) -> None:
    """Continue with the whole pair where its second half is next, since nothing in it was examined yet."""
    climbing = searching[at[searching] % 2 == 1]
    level[climbing] += 1
    at[climbing] //= 2


_FEW = 64
"""With fewer chains than this a plain loop is faster than another round over arrays."""


def walk_back(siblings: Siblings) -> tuple[Ints, Pieces]:
    """Follow for each parent the calls that were waited for, from its end to its start, and clip each to the next.

    Returns:
        The positions of these calls, and the interval that each of them holds.
    """
    met = np.zeros(siblings.rows.size, dtype=np.bool_)
    _follow(siblings.heads, siblings.before, met)
    at = np.flatnonzero(met)
    high_ns = siblings.high_ns.copy()
    later = at[siblings.before[at] >= 0]
    earlier = siblings.before[later]
    high_ns[earlier] = np.minimum(high_ns[earlier], siblings.low_ns[later])
    return at, Pieces(siblings.parents[at], siblings.rows[at], siblings.low_ns[at], high_ns[at])


def _follow(heads: Ints, previous: Ints, met: Flags) -> None:
    """Mark all positions on the disjoint chains of `previous` that begin at the heads."""
    while heads.size > _FEW:
        met[heads] = True
        heads = previous[heads]
        heads = heads[heads >= 0]
    for head in heads.tolist():
        at = head
        while at >= 0:
            met[at] = True
            at = previous.item(at)


def fill_in(siblings: Siblings, met: Ints, low_ns: Ints) -> Pieces:
    """Find the calls that cover the intervals in which no call was waited for, though some were running.

    Of several that cover an instant, it is the one that ends last. A call that callers are known to leave running
    covers nothing: the time before the next call is the caller's own, unless another call covers it.

    Args:
        siblings: All siblings.
        met: Positions of the calls that the backward walks visit.
        low_ns: Starts of all spans, clipped to their ancestors.
    """
    before = siblings.before[met]
    from_ns = np.where(before >= 0, siblings.high_ns[before], low_ns[siblings.parents[met]])
    is_open = (siblings.filler[met] > before) & (from_ns < siblings.low_ns[met])
    met, before, from_ns = met[is_open], before[is_open], from_ns[is_open]
    found: list[Ints] = [np.zeros((0, 3), dtype=np.int64)]
    cursor_ns = siblings.low_ns[met]
    at = siblings.filler[met]
    while at.size > _FEW:
        reached_ns = np.maximum(siblings.low_ns[at], from_ns)
        found.append(np.column_stack((at, reached_ns, cursor_ns)))
        on = (siblings.filler[at] > before) & (reached_ns > from_ns)
        before, from_ns, cursor_ns, at = before[on], from_ns[on], reached_ns[on], siblings.filler[at][on]
    few = zip(at.tolist(), cursor_ns.tolist(), before.tolist(), from_ns.tolist(), strict=True)
    found += [_fill_in_one(siblings, *stretch) for stretch in few]
    at, begins_ns, ends_ns = np.concatenate(found).T
    return Pieces(siblings.parents[at], siblings.rows[at], begins_ns, ends_ns)


def _fill_in_one(siblings: Siblings, at: int, cursor_ns: int, before: int, from_ns: int) -> Ints:
    """Fill one interval, backwards from its end: position, start and end of every piece."""
    pieces: list[tuple[int, int, int]] = []
    while at > before and cursor_ns > from_ns:
        reached_ns = max(siblings.low_ns.item(at), from_ns)
        pieces.append((at, reached_ns, cursor_ns))
        at, cursor_ns = siblings.filler.item(at), reached_ns
    return np.array(pieces, dtype=np.int64)


Waiting: TypeAlias = Literal["chains", "all", "last"]
"""What a call that begins is taken to have waited for: what its chain tells, all calls that had ended, or only the one
that had ended last."""
_MOST = 64
"""Number of calls that have ended and are looked at, the last ones."""
_AT_ONCE = 20
"""A call begins right after another one where everything else that it may have waited for is this much longer ago."""


class Calls(Struct, frozen=True):
    """Calls of one caller in order of start, none of zero duration; times in ns."""

    start_ns: Sequence[int]
    end_ns: Sequence[int]
    new_ns: Sequence[int]
    """Their new durations."""
    places: Sequence[int]
    """What each call is among those of its caller."""
    unordered: AbstractSet[tuple[int, int]]
    """Pairs of places of which the second is known not to wait for the first."""


def replay(calls: Calls, waiting: Waiting = "chains") -> tuple[list[int], int]:
    """Calculate when calls begin if some are shorter, and by how much earlier their caller ends.

    Calls form chains. A call continues the chains that are idle when it begins: it waited for the last call of each,
    and keeps its distance from the last end among these. Where no chain is idle, or another call has ended right before
    it, it waited for what ended last, and begins a new chain. It waits for nothing that other traces refute; where that
    leaves nothing, it continues what ended right before it, or begins when it began. So chains side by side do not wait
    for each other, and what comes after them waits for all.

    Returns:
        By how much each start moves, never above 0, and by how much the caller's end comes earlier.

    Source: a longest path in the graph of what waited for what, as by Kelley and Walker, Critical-path planning and
    scheduling, 1959; the graph is found as described.
    """
    if not (calls.unordered and waiting == "chains") and all(map(le, calls.end_ns, calls.start_ns[1:])):
        return _in_turn(calls)
    replaying = _Replay(calls, waiting, latest_ns=min(calls.start_ns, default=0))
    moves = [replaying.begin(call) for call in range(len(calls.start_ns))]
    return moves, max(calls.end_ns, default=0) - max(replaying.new_end_ns, default=0)


def _in_turn(calls: Calls) -> tuple[list[int], int]:
    """Do the same where each call waited for the one before: most do, and this takes a fraction of the time."""
    moves_ns, moved_ns = [], 0
    for start_ns, end_ns, new_ns in zip(calls.start_ns, calls.end_ns, calls.new_ns, strict=True):
        moves_ns.append(moved_ns)
        moved_ns += start_ns + new_ns - end_ns
    return moves_ns, -moved_ns


class _Replay(Struct):
    calls: Calls
    waiting: Waiting
    new_end_ns: list[int] = []
    running: list[tuple[int, int]] = []
    """A heap of ends and calls."""
    over: list[int] = []
    """Calls that have ended, in order of end ..."""
    idle: list[int] = []
    """... and those of them that nothing has continued yet."""
    released_ns: dict[int, int] = {}
    """When what continued a call could begin, in new times."""
    latest_ns: int = 0
    """The latest new end of the calls that have ended."""

    def begin(self, call: int) -> int:
        """Give by how much a call begins earlier, after all those before it."""
        calls, start_ns = self.calls, self.calls.start_ns[call]
        while self.running and self.running[0][0] <= start_ns:
            ended = heappop(self.running)[1]
            self.over.append(ended)
            self.idle.append(ended)
            self.latest_ns = max(self.latest_ns, self.new_end_ns[ended])
        after = self._waited(call) if self.waiting == "chains" else self.over[-1] if self.over else -1
        moved_ns = 0 if after < 0 else self._released_ns(after) - calls.end_ns[after]
        self.new_end_ns.append(start_ns + moved_ns + calls.new_ns[call])
        heappush(self.running, (calls.end_ns[call], call))
        return moved_ns

    def _released_ns(self, after: int) -> int:
        """Give when what waited for a call, and perhaps for others, could begin."""
        return self.latest_ns if self.waiting == "all" else self.released_ns.get(after, self.new_end_ns[after])

    def _waited(self, call: int) -> int:
        """Find the call from whose end this one keeps its distance, and continue what it continues; -1 for none."""
        if not self.over:
            return -1
        nearest = self.over[-1]
        # Most calls are made in turn: this takes a third of the time, and gives the same.
        if self.idle == [nearest] and self._may_wait(call, nearest):
            self.idle = []
            return nearest
        idle = [other for other in self.idle[-_MOST:] if self._may_wait(call, other)]
        last = next((other for other in reversed(self.over[-_MOST:]) if self._may_wait(call, other)), -1)
        continued = idle[-1] if idle else -1
        after = last if continued < 0 or self._is_at_once(call, last, continued) else continued
        if nearest != after and self._is_at_once(call, nearest, after):
            after, idle = nearest, [nearest] if nearest in self.idle else []
        if idle and after == idle[-1]:
            self.released_ns[after] = max(self.new_end_ns[other] for other in idle)
            self.idle = [other for other in self.idle if other not in idle]
        return after

    def _may_wait(self, call: int, other: int) -> bool:
        return (self.calls.places[other], self.calls.places[call]) not in self.calls.unordered

    def _is_at_once(self, call: int, other: int, instead: int) -> bool:
        """Tell whether a call begins right after another one, and all else that it may have waited for is long ago."""
        if other < 0:
            return False
        start_ns, end_ns = self.calls.start_ns, self.calls.end_ns
        since_ns = end_ns[instead] if instead >= 0 else start_ns[0]
        return (start_ns[call] - end_ns[other]) * _AT_ONCE < start_ns[call] - since_ns
