"""When calls of one caller begin if some of them are shorter, by what each of them waited for."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from heapq import heappop, heappush
from operator import le
from typing import Literal, TypeAlias

from msgspec import Struct

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
    if not (calls.unordered and waiting == "chains") and _are_in_turn(calls):
        return _in_turn(calls)
    replaying = _Replay(calls, waiting, latest_ns=min(calls.start_ns, default=0))
    moves = [replaying.begin(call) for call in range(len(calls.start_ns))]
    return moves, max(calls.end_ns, default=0) - max(replaying.new_end_ns, default=0)


def _are_in_turn(calls: Calls) -> bool:
    return all(map(le, calls.end_ns, calls.start_ns[1:]))


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
