"""Where boxes and lines of a graph lie in pixels: layers from left to right, lines between them and never through one.

A line that passes a layer has a place of its own there, and crosses it level. It bends in the middle of the channel
between two layers, where neither boxes nor labels are: labels stand at the heads of arrows, on either side of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import accumulate, pairwise

from msgspec import Struct

from traceq.render.layering import Layout, lay_out, stacked
from traceq.report import Graph, GraphEdge, GraphNode
from traceq.untrusted import printable

LINE = 18.0
"""From one line of a box's text to the next."""
ARROW = 9.0
"""How long the head of an arrow is."""
_LETTER = 7.3
"""How wide a letter is at most, nearly, in a sans-serif of 13 pixels."""
_WIDE_LETTER = 13.5
_PORT = 18.0
_GAP = 16.0
"""Between boxes above each other; the page's script counts on it when it finds lines a way between them."""
_STUB = 8.0
"""A line leaves a box and reaches one level, at least so far."""
_MARGIN = 24.0
_SWEEPS = 8
_LEAST_BEND, _MOST_BEND = 60.0, 150.0
_SLOPE = 0.2
"""How wide a channel's bends are for each pixel that the steepest of its lines has to go up or down."""

Point = tuple[float, float]


class Box(Struct, eq=False):
    """A node, or the place where a line passes a layer."""

    node: GraphNode | None
    lines: tuple[str, ...] = ()
    """The text of a node: its name, and its calls to itself."""
    order: float = 0.0
    ins: list[tuple[int, Box]] = []
    """Edges, by number, that come from the left, and from where."""
    outs: list[tuple[int, Box]] = []
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


class Line(Struct, frozen=True):
    """An edge as it runs from port to port."""

    edge: GraphEdge
    points: tuple[Point, ...]
    """From its source to its target: level to the second, a bend to the third, level to the fourth and so on."""


class Drawing(Struct, frozen=True):
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
    boxes = boxes_of(graph)
    layers: list[list[Box]] = [[] for _ in range(max(layout.layers, default=0) + 1)]
    for box, layer, height in zip(boxes, layout.layers, layout.heights, strict=True):
        box.order = height
        layers[layer].append(box)
    chains = [_chain(number, pair, boxes, layout, layers) for number, pair in enumerate(ends)]
    for stack in layers:
        _shape(stack)
    _settle(layers)
    channels = _channels(layers, calls, chains)
    width = _columns(layers, channels)
    height = max((box.top + box.height for stack in layers for box in stack), default=0.0)
    lines = tuple(
        _line(number, edge, chain, channels[layout.layers[order[_left_end(edge, chain)]] :])
        for number, (edge, chain) in enumerate(zip(calls, chains, strict=True))
    )
    return Drawing(tuple(boxes), lines, width + _MARGIN, height + _MARGIN)


def boxes_of(graph: Graph) -> list[Box]:
    """Give every node a box that holds its text, anywhere."""
    texts: dict[str, list[str]] = {node.node_id: [printable(node.label)] for node in graph.nodes}
    for edge in graph.edges:
        if edge.source == edge.target:
            texts[edge.source].append(f"↻ {printable(edge.label)}".rstrip())
    boxes = []
    for node in graph.nodes:
        lines = tuple(texts[node.node_id])
        boxes.append(Box(node, lines, width=max(map(text_width, lines)) + 28, height=LINE * len(lines) + 14))
    return boxes


def text_width(text: str) -> float:
    """Estimate how wide a text is at most, nearly, in a sans-serif of 13 pixels."""
    if text.isascii():
        return len(text) * _LETTER
    return sum(_WIDE_LETTER if unicodedata.east_asian_width(letter) in "WF" else _LETTER for letter in text)


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
            box.height = max(box.height, _PORT * (ports + 1))


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


class _Channel(Struct, eq=False):
    """The room between two layers: labels of arrows to the left, bends, labels of arrows to the right."""

    label_left: float = 0.0
    label_right: float = 0.0
    drop: float = 0.0
    """How far the steepest line goes up or down in it."""
    bend_start: float = 0.0
    bend_end: float = 0.0


def _left_end(edge: GraphEdge, chain: Sequence[Box]) -> str:
    first = chain[0].node
    return edge.source if first is not None and first.node_id == edge.source else edge.target


def _channels(
    layers: Sequence[Sequence[Box]], calls: Sequence[GraphEdge], chains: Sequence[Sequence[Box]]
) -> list[_Channel]:
    """Find what each channel has to hold."""
    channels = [_Channel() for _ in layers[1:]]
    layer_of = {id(box): number for number, layer in enumerate(layers) for box in layer}
    for number, (edge, chain) in enumerate(zip(calls, chains, strict=True)):
        room = text_width(printable(edge.label)) + ARROW + _STUB
        first, last = layer_of[id(chain[0])], layer_of[id(chain[-1])]
        if _left_end(edge, chain) == edge.source:
            channels[last - 1].label_right = max(channels[last - 1].label_right, room)
        else:
            channels[first].label_left = max(channels[first].label_left, room)
        for channel, (near, far) in zip(channels[first:last], pairwise(chain), strict=True):
            drop = abs(near.port(number, is_left=False)[1] - far.port(number, is_left=True)[1])
            channel.drop = max(channel.drop, drop)
    return channels


def _columns(layers: Sequence[Sequence[Box]], channels: Sequence[_Channel]) -> float:
    """Put layers and channels next to each other, and give where the last one ends."""
    right = _MARGIN
    for number, layer in enumerate(layers):
        width = max((box.width for box in layer), default=0.0)
        for box in layer:
            box.left, box.width = right, width
        right += width
        if number < len(channels):
            channel = channels[number]
            channel.bend_start = right + max(channel.label_left, _STUB)
            channel.bend_end = channel.bend_start + min(max(channel.drop * _SLOPE, _LEAST_BEND), _MOST_BEND)
            right = channel.bend_end + max(channel.label_right, _STUB)
    return right


def _line(number: int, edge: GraphEdge, chain: Sequence[Box], channels: Sequence[_Channel]) -> Line:
    points = [chain[0].port(number, is_left=False)]
    for channel, (near, far) in zip(channels, pairwise(chain), strict=False):
        points.append((channel.bend_start, near.port(number, is_left=False)[1]))
        points.append((channel.bend_end, far.port(number, is_left=True)[1]))
    points.append(chain[-1].port(number, is_left=True))
    return Line(edge, tuple(points if _left_end(edge, chain) == edge.source else points[::-1]))
