"""Where boxes and lines of a graph lie in pixels: layers from left to right, lines between them and never through one.

A line that passes a layer has a place of its own there, and crosses it level; between layers it may bend, and there
are no boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from traceq.render.layering import Layout, lay_out, stacked
from traceq.report import Graph, GraphEdge, GraphNode
from traceq.untrusted import printable

LETTER = 7.3
"""How wide a letter is at most, nearly, in a sans-serif of 13 pixels."""
_LINE = 18.0
_PORT = 18.0
_GAP = 16.0
_MARGIN = 24.0
_SWEEPS = 8

Point = tuple[float, float]


@dataclass(slots=True, eq=False)
class Box:
    """A node, or the place where a line passes a layer."""

    node: GraphNode | None
    lines: tuple[str, ...] = ()
    """The text of a node: its name, and its calls to itself."""
    order: float = 0.0
    ins: list[tuple[int, Box]] = field(default_factory=list)
    """Edges, by number, that come from the left, and from where."""
    outs: list[tuple[int, Box]] = field(default_factory=list)
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def middle(self) -> float:
        """How far down its middle lies."""
        return self.top + self.height / 2

    def port(self, edge: int, *, is_left: bool) -> Point:
        """Give the point at which an edge touches it; those of a side are spread over it."""
        edges = [number for number, _ in (self.ins if is_left else self.outs)]
        down = self.height * (edges.index(edge) + 1) / (len(edges) + 1)
        return self.left + (0.0 if is_left else self.width), self.top + down


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as points: pairs of them are level, between pairs it bends."""

    edge: GraphEdge
    points: tuple[Point, ...]
    """From its source to its target."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph in pixels."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    width: float
    height: float


def place(graph: Graph) -> Drawing:
    """Give every box and line its place; the same graph always has the same."""
    order = {node.node_id: number for number, node in enumerate(graph.nodes)}
    calls = [edge for edge in graph.edges if edge.source != edge.target]
    ends = [(order[edge.source], order[edge.target]) for edge in calls]
    layout = lay_out(len(graph.nodes), ends)
    boxes = [Box(node, _text(node, graph.edges)) for node in graph.nodes]
    layers: list[list[Box]] = [[] for _ in range(max(layout.layers, default=0) + 1)]
    for box, layer, height in zip(boxes, layout.layers, layout.heights, strict=True):
        box.order = height
        layers[layer].append(box)
    chains = [_chain(number, pair, boxes, layout, layers) for number, pair in enumerate(ends)]
    for stack in layers:
        _shape(stack)
    _settle(layers)
    width = _columns(layers, calls, chains)
    height = max((box.top + box.height for stack in layers for box in stack), default=0.0)
    lines = tuple(
        _line(number, edge, chain, boxes[order[edge.source]])
        for number, (edge, chain) in enumerate(zip(calls, chains, strict=True))
    )
    return Drawing(tuple(boxes), lines, width + 2 * _MARGIN, height + 2 * _MARGIN)


def _text(node: GraphNode, edges: Sequence[GraphEdge]) -> tuple[str, ...]:
    own = (edge for edge in edges if edge.source == edge.target == node.node_id)
    return (printable(node.label), *(f"↻ {printable(edge.label)}".rstrip() for edge in own))


def _chain(
    number: int, ends: tuple[int, int], boxes: Sequence[Box], layout: Layout, layers: Sequence[list[Box]]
) -> list[Box]:
    """Give the boxes and passages that an edge leads through, from left to right."""
    left, right = sorted(ends, key=lambda node: layout.layers[node])
    chain = [boxes[left]]
    for step, height in enumerate(layout.passages[number], layout.layers[left] + 1):
        passage = Box(None, order=height, height=2.0)
        layers[step].append(passage)
        chain.append(passage)
    chain.append(boxes[right])
    for near, far in pairwise(chain):
        near.outs.append((number, far))
        far.ins.append((number, near))
    return chain


def _shape(layer: list[Box]) -> None:
    layer.sort(key=lambda box: box.order)
    for box in layer:
        box.ins.sort(key=lambda found: (found[1].order, found[0]))
        box.outs.sort(key=lambda found: (found[1].order, found[0]))
        if box.node is not None:
            ports = max(len(box.ins), len(box.outs))
            box.height = max(_LINE * len(box.lines) + 14, _PORT * (ports + 1))
            box.width = max(len(line) for line in box.lines) * LETTER + 28


def _settle(layers: Sequence[list[Box]]) -> None:
    """Move boxes up and down until lines are nearly level, keeping the order in each layer."""
    for layer in layers:
        _stack(layer, [0.0] * len(layer))
    for sweep in range(_SWEEPS):
        is_rightward = sweep % 2 == 0
        for layer in layers if is_rightward else layers[::-1]:
            _stack(layer, [_wanted(box, is_rightward=is_rightward) for box in layer])
    highest = min((box.top for layer in layers for box in layer), default=0.0)
    for layer in layers:
        for box in layer:
            box.top += _MARGIN - highest


def _wanted(box: Box, *, is_rightward: bool) -> float:
    near = box.ins if is_rightward else box.outs
    return sum(other.middle for _, other in near) / len(near) - box.height / 2 if near else box.top


def _stack(layer: Sequence[Box], wanted: Sequence[float]) -> None:
    floors = list(accumulate((box.height + _GAP for box in layer[:-1]), initial=0.0))[: len(layer)]
    for box, top in zip(layer, stacked(floors, wanted, _mean), strict=True):
        box.top = top


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _columns(layers: Sequence[Sequence[Box]], calls: Sequence[GraphEdge], chains: Sequence[Sequence[Box]]) -> float:
    """Put the layers next to each other, with room for labels between, and give the width of all."""
    room = [0.0] * len(layers)
    layer_of = {id(box): number for number, layer in enumerate(layers) for box in layer}
    for edge, chain in zip(calls, chains, strict=True):
        is_back = chain[0].node is None or chain[0].node.node_id != edge.source
        channel = layer_of[id(chain[0])] if is_back else layer_of[id(chain[-1])] - 1
        room[channel] = max(room[channel], len(edge.label) * LETTER)
    left = _MARGIN
    for number, layer in enumerate(layers):
        width = max((box.width for box in layer), default=0.0)
        for box in layer:
            box.left, box.width = left, width
        left += width + (room[number] + 70 if number + 1 < len(layers) else 0.0)
    return left - _MARGIN


def _line(number: int, edge: GraphEdge, chain: Sequence[Box], source: Box) -> Line:
    points: list[Point] = []
    for near, far in pairwise(chain):
        points += [near.port(number, is_left=False), far.port(number, is_left=True)]
    return Line(edge, tuple(points if chain[0] is source else points[::-1]))
