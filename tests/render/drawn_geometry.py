"""What a drawing shows: which lines touch which boxes, as exactly as an eye with a magnifying glass would see it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from traceq.report import Graph, GraphEdge, GraphNode, NodeKind

Point = tuple[float, float]
_STEPS = 40
"""Straight pieces that a bend is taken apart into."""
_TOLERANCE = 0.5


@dataclass(frozen=True)
class Rectangle:
    """A box as drawn."""

    name: str
    left: float
    top: float
    right: float
    bottom: float

    def is_touched(self, start: Point, end: Point) -> bool:
        """Clip a piece of a line to the box (Liang and Barsky): is anything left?"""
        enter, leave = 0.0, 1.0
        for at, to, low, high in (
            (start[0], end[0], self.left + _TOLERANCE, self.right - _TOLERANCE),
            (start[1], end[1], self.top + _TOLERANCE, self.bottom - _TOLERANCE),
        ):
            if at == to:
                if not low < at < high:
                    return False
                continue
            first, second = sorted(((low - at) / (to - at), (high - at) / (to - at)))
            enter, leave = max(enter, first), min(leave, second)
        return enter < leave


def flattened(path: str) -> list[Point]:
    """Take the path data of an SVG (M, L, C and Q with absolute numbers) apart into points."""
    points: list[Point] = []
    for command, numbers in re.findall(r"([MLCQ])([^MLCQ]*)", path):
        found = [float(number) for number in re.findall(r"-?[\d.]+(?:e-?\d+)?", numbers)]
        given = list(zip(found[::2], found[1::2], strict=True))
        if command in "ML":
            points += given
            continue
        bend = [points[-1], *given]
        points += [_on_bend(bend, step / _STEPS) for step in range(1, _STEPS + 1)]
    return points


def _on_bend(bend: Sequence[Point], share: float) -> Point:
    """Find a point of a Bezier curve (de Casteljau)."""
    while len(bend) > 1:
        bend = [(x + (to_x - x) * share, y + (to_y - y) * share) for (x, y), (to_x, to_y) in pairwise(bend)]
    return bend[0]


def touched(path: str, boxes: Sequence[Rectangle]) -> Iterator[str]:
    """Name the boxes that a line leads through."""
    pieces = list(pairwise(flattened(path)))
    for box in boxes:
        if any(box.is_touched(start, end) for start, end in pieces):
            yield box.name


def overlapping(boxes: Sequence[Rectangle]) -> list[tuple[str, str]]:
    """Name the pairs of boxes that lie on each other."""
    return [
        (one.name, other.name)
        for number, one in enumerate(boxes)
        for other in boxes[:number]
        if one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom
    ]


_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")


@st.composite
def graphs(draw: st.DrawFn, most: int = 14) -> Graph:
    """Make graphs of every shape: chains, rings, hubs, parts without each other, edges side by side, self-calls."""
    count = draw(st.integers(1, most))
    names = [f"n{number}" for number in range(count)]
    nodes = tuple(GraphNode(name, name * draw(st.integers(1, 9)), draw(st.sampled_from(_KINDS))) for name in names)
    ends = st.tuples(st.sampled_from(names), st.sampled_from(names), st.booleans())
    calls = draw(st.lists(ends, max_size=3 * count, unique=True))
    edges = tuple(
        GraphEdge(source, target, "7" * draw(st.integers(0, 12)), is_async, weight=draw(st.integers(0, 9999)))
        for source, target, is_async in calls
    )
    return Graph(nodes, edges)
