"""Spans side by side on lanes, for formats in which what overlaps on a lane has to be nested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from msgspec import Struct

from traceq.report import TimelineRow


class Edge(NamedTuple):
    """The start or the end of a span."""

    at_ns: int
    row: int
    """The position of the span among the rows."""
    is_start: bool


class Lane(Struct, eq=False):
    """Spans that are nested in each other or follow each other."""

    key: str
    """What its spans have in common."""
    edges: list[Edge] = []
    """In order of time; a span that lies in another one starts after it and ends before it."""
    _open: list[tuple[int, int]] = []
    """The rows of spans that have not ended yet, with their ends, the innermost last."""

    def close_until(self, at_ns: int, parent: int = -1) -> None:
        """End the spans that end by a time, but not the one that the next span is called by."""
        while self._open and self._open[-1][1] <= at_ns and self._open[-1][0] != parent:
            row, end_ns = self._open.pop()
            self.edges.append(Edge(end_ns, row, is_start=False))

    def close(self) -> None:
        """End what is left."""
        while self._open:
            self.close_until(self._open[-1][1])

    def can_hold(self, parent: int, end_ns: int) -> bool:
        """Tell whether a span that ends then lies directly in the one that calls it."""
        return bool(self._open) and self._open[-1][0] == parent and end_ns <= self._open[-1][1]

    def start(self, row: int, start_ns: int, end_ns: int) -> None:
        """Put a span on the lane."""
        self._open.append((row, end_ns))
        self.edges.append(Edge(start_ns, row, is_start=True))


def find_lanes(rows: Sequence[TimelineRow], key: Callable[[TimelineRow], str]) -> list[Lane]:
    """Put spans on as few lanes as their callers allow, those of different keys on different ones.

    A span lies in its caller where no other call of the caller is there at that time; otherwise, or if it lasts longer
    than its caller, it gets a lane on which nothing else is at that time. Nothing ever lies in a span that did not call
    it.

    Args:
        rows: All spans, depth first.
        key: What spans of a lane have in common.
    """
    parents = list(_parents(rows))
    lanes: list[Lane] = []
    lane_of = [-1] * len(rows)
    # By key: when lanes are free, and which of them are.
    busy: dict[str, list[tuple[int, int]]] = {}
    idle: dict[str, list[int]] = {}
    for row in sorted(range(len(rows)), key=lambda row: (rows[row].start_ns, row)):
        span, parent = rows[row], parents[row]
        kind, end_ns = key(span), span.start_ns + span.duration_ns
        above = lane_of[parent] if parent >= 0 else -1
        if above >= 0 and lanes[above].key == kind:
            lanes[above].close_until(span.start_ns, parent)
            if lanes[above].can_hold(parent, end_ns):
                lanes[above].start(row, span.start_ns, end_ns)
                lane_of[row] = above
                continue
        waiting, free = busy.setdefault(kind, []), idle.setdefault(kind, [])
        while waiting and waiting[0][0] <= span.start_ns:
            heappush(free, heappop(waiting)[1])
        if not free:
            free.append(len(lanes))
            lanes.append(Lane(kind))
        lane_of[row] = heappop(free)
        heappush(waiting, (end_ns, lane_of[row]))
        lanes[lane_of[row]].close_until(span.start_ns)
        lanes[lane_of[row]].start(row, span.start_ns, end_ns)
    for lane in lanes:
        lane.close()
    return lanes


def _parents(rows: Sequence[TimelineRow]) -> Iterator[int]:
    """Give for each row the one that it hangs on; -1 for a root."""
    above: list[int] = []
    for position, row in enumerate(rows):
        del above[row.depth :]
        yield above[-1] if above else -1
        above.append(position)
