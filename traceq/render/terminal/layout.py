"""Where the boxes of a graph go: the only place that knows graphlay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

_MAX_NODES = 25
_MAX_EDGES = 60
"""graphlay is young, and a picture of more is no answer: beyond these a tree is drawn."""

# Sizes are made up: only the order of things is taken over, and that does not depend on them.
_NODE_WIDTH = 100.0
_NODE_HEIGHT = 40.0


@dataclass(frozen=True, slots=True)
class Layout:
    """A layered layout, left to right."""

    layers: tuple[int, ...]
    """The layer of each node, the leftmost 0."""
    heights: tuple[float, ...]
    """How far down each node lies; comparable within a layer."""
    passages: tuple[tuple[float, ...], ...]
    """For each edge how far down it crosses each layer between its ends, from left to right."""


def lay_out(node_count: int, edges: Sequence[tuple[int, int]]) -> Layout | None:
    """Find layers with few crossings for a graph of nodes 0, 1, ... without edges from a node to itself.

    Returns:
        None where there is no layout: graphlay is missing, it gave up, the graph is too large, or an edge stays within
        a layer.
    """
    if node_count > _MAX_NODES or len(edges) > _MAX_EDGES:
        return None
    try:
        import graphlay
    except ImportError:
        return None
    graph = graphlay.Graph()
    for node in range(node_count):
        graph.node(node, width=_NODE_WIDTH, height=_NODE_HEIGHT)
    for source, target in edges:
        graph.edge(source, target)
    try:
        placed = graphlay.layout(graph)
    except graphlay.GraphlayError:
        return None
    return _read(placed.nodes, placed.edges, edges)


def _read(nodes: Sequence[Any], lines: Sequence[Any], edges: Sequence[tuple[int, int]]) -> Layout | None:
    # Nodes without edges get no rank: they stand first, below the others.
    layers = tuple(int(node["rank"] or 0) for node in nodes)
    if any(layers[source] == layers[target] for source, target in edges):
        return None
    ranked = [node for node in nodes if node["rank"] is not None]
    middles = {int(node["rank"]): float(node["center"]["x"]) for node in ranked}
    passages = []
    for (source, target), line in zip(edges, lines, strict=True):
        between = range(min(layers[source], layers[target]) + 1, max(layers[source], layers[target]))
        points = [(float(point["x"]), float(point["y"])) for point in line["points"]]
        passages.append(tuple(_height_at(middles[layer], points) for layer in between))
    heights = tuple(inf if node["rank"] is None else float(node["center"]["y"]) for node in nodes)
    return Layout(layers, heights, tuple(passages))


def _height_at(x: float, points: Sequence[tuple[float, float]]) -> float:
    """Follow a line of horizontal and vertical stretches to a position; its nearest end where it does not reach it."""
    for (start_x, start_y), (end_x, _) in pairwise(points):
        if min(start_x, end_x) <= x <= max(start_x, end_x):
            return start_y
    return min(points, key=lambda point: abs(point[0] - x))[1]
