"""The boxes and wires of a graph put on a grid of cells, left to right, layer by layer.

Every wire has a port of its own at either end, and boxes are as tall as their ports ask for: mostly wires run straight.
Where one cannot, it changes rows in the channel between two layers, in a column that no other wire uses on those rows.
Labels stand to the right of these columns and wires have rows of their own there, so nothing ever runs through a label;
a wire that passes a layer has a row there that no box has, so nothing runs through a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import accumulate, pairwise

from msgspec import Struct

from traceq.render.layering import Layout, stacked
from traceq.render.terminal.canvas import Pen, width_of
from traceq.report import GraphEdge, GraphNode

_SWEEPS = 6


class Room(Struct, frozen=True):
    """How much of it there is between things."""

    padding: int
    """Columns between a box's border and its text."""
    track: int
    """Columns from one track to the next: lines side by side read badly."""
    stub: int
    """Columns of a wire before its first track."""
    head: int
    """Columns of a wire after its label, the arrow's head included."""


ROOMY = Room(padding=1, track=2, stub=1, head=2)
SNUG = Room(padding=1, track=1, stub=1, head=1)
TIGHT = Room(padding=0, track=1, stub=1, head=1)


class Stop(Struct, eq=False):
    """What stands in a layer: a box, or the place where a wire passes."""

    node: GraphNode | None
    height_in_layout: float
    lines: tuple[str, ...] = ()
    """The text of a box: its name, and its calls to itself."""
    ins: list[Leg] = []
    outs: list[Leg] = []
    top: int = 0
    rows: int = 1

    def port(self, offset: int) -> int:
        """The grid row of a port; a box has a border above its first."""
        return self.top + offset + (1 if self.node else 0)


class Leg(Struct, eq=False):
    """A stretch of a wire between neighbouring layers."""

    edge: GraphEdge
    left: Stop
    right: Stop
    has_head_left: bool
    has_head_right: bool
    left_offset: int = 0
    right_offset: int = 0
    label: str = ""
    track: int | None = None
    """The column, within its channel, in which it changes rows."""

    @property
    def left_row(self) -> int:
        """The row in which it leaves the left layer."""
        return self.left.port(self.left_offset)

    @property
    def right_row(self) -> int:
        """The row in which it reaches the right layer."""
        return self.right.port(self.right_offset)


class Channel(Struct, eq=False):
    """The room between two layers."""

    room: Room
    legs: list[Leg] = []
    start: int = 0
    tracks: int = 0
    label_width: int = 0

    @property
    def width(self) -> int:
        """Cells: a stub, the tracks, the labels between blanks, and the arrow."""
        labels = self.label_width + 2 if self.label_width else 0
        return self.room.stub + self.room.track * self.tracks + labels + self.room.head

    def turn(self, track: int) -> int:
        """The column of a track."""
        return self.start + self.room.stub + self.room.track * track

    @property
    def label_start(self) -> int:
        """The first cell in which a label may stand."""
        return self.start + self.room.stub + self.room.track * self.tracks


class Layer(Struct, eq=False):
    """Stops below each other; its boxes are equally wide."""

    stops: list[Stop] = []
    start: int = 0
    width: int = 0


class Plan(Struct, eq=False):
    """A graph on the grid, ready to be painted."""

    room: Room
    layers: list[Layer]
    channels: list[Channel]
    width: int = 0
    rows: int = 0


def route(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], layout: Layout, room: Room, pen: Pen) -> Plan | None:
    """Give every box, wire and label its cells; None where two wires would have to share some."""
    plan = _built(nodes, edges, layout, room, pen)
    for layer in plan.layers:
        layer.stops.sort(key=lambda stop: stop.height_in_layout)
        for stop in layer.stops:
            _give_ports(stop)
    _settle(plan.layers)
    for number, channel in enumerate(plan.channels):
        if not _give_tracks(channel, plan.layers[number + 1 :]):
            return None
    _give_columns(plan)
    return plan


def _built(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], layout: Layout, room: Room, pen: Pen) -> Plan:
    layers = [Layer() for _ in range(max(layout.layers) + 1)]
    channels = [Channel(room) for _ in layers[1:]]
    border = 2 * (room.padding + 1)
    own = {node.node_id: _lines(node, pen) for node in nodes}
    for edge in edges:
        if edge.source == edge.target:
            own[edge.source].append(f"{pen.glyphs.loop}{pen.safe(edge.label)}".rstrip())
    boxes = {}
    for node, number, height in zip(nodes, layout.layers, layout.heights, strict=True):
        boxes[node.node_id] = number, Stop(node, height, tuple(own[node.node_id]))
        layers[number].stops.append(boxes[node.node_id][1])
        layers[number].width = max(layers[number].width, *(width_of(line) + border for line in own[node.node_id]))
    calls = [edge for edge in edges if edge.source != edge.target]
    wires = []
    for edge, passages in zip(calls, layout.passages, strict=True):
        wires.append(_wire(edge, sorted((boxes[edge.source], boxes[edge.target]), key=lambda end: end[0]), passages))
        for number, leg in wires[-1]:
            channels[number].legs.append(leg)
            if leg.right.node is None:
                layers[number + 1].stops.append(leg.right)
    _give_labels(wires, channels, pen)
    return Plan(room, layers, channels)


def _lines(node: GraphNode, pen: Pen) -> list[str]:
    # The second line is what the short label leaves out of the full one.
    is_short = bool(node.detail) and node.label == node.short_label
    return [pen.safe(text) for text in ((node.label, node.detail) if is_short else (node.label,))]


def _wire(edge: GraphEdge, ends: Sequence[tuple[int, Stop]], passages: Sequence[float]) -> list[tuple[int, Leg]]:
    """Cut an edge into legs, each with the channel it lies in; a call back to the left has its arrow there."""
    (first, left), (_, right) = ends
    is_back = left.node is not None and left.node.node_id != edge.source
    stops = [left, *(Stop(None, height) for height in passages), right]
    legs = []
    for number, (start, end) in enumerate(pairwise(stops)):
        leg = Leg(edge, start, end, is_back and start is left, not is_back and end is right)
        start.outs.append(leg)
        end.ins.append(leg)
        legs.append((first + number, leg))
    return legs


def _give_labels(wires: Sequence[list[tuple[int, Leg]]], channels: Sequence[Channel], pen: Pen) -> None:
    """Write each label on one leg of its wire: of several the one in the channel that is widest already."""
    for wire in sorted(wires, key=len):
        number, leg = max(wire, key=lambda leg: channels[leg[0]].label_width)
        leg.label = pen.safe(leg.edge.label)
        channels[number].label_width = max(channels[number].label_width, width_of(leg.label))


def _give_ports(stop: Stop) -> None:
    """Order the ports as what they lead to is ordered, as far apart as that needs, and make the box tall enough."""
    stop.ins.sort(key=lambda leg: leg.left.height_in_layout)
    stop.outs.sort(key=lambda leg: leg.right.height_in_layout)
    ins = _offsets([leg.left for leg in stop.ins])
    outs = _offsets([leg.right for leg in stop.outs])
    for leg, offset in zip(stop.ins, ins, strict=True):
        leg.right_offset = offset
    for leg, offset in zip(stop.outs, outs, strict=True):
        leg.left_offset = offset
    if stop.node:
        stop.rows = max(*ins, *outs, len(stop.lines) - 1, 0) + 3


def _offsets(neighbours: Sequence[Stop]) -> list[int]:
    """Space ports so that neighbours of the usual height can lie straight across."""
    offsets = [0] if neighbours else []
    for above, below in pairwise(neighbours):
        step = 2 if above is below else (2 if above.node else 1) + (2 if below.node else 1)
        offsets.append(offsets[-1] + step)
    return offsets


def _settle(layers: Sequence[Layer]) -> None:
    """Move stops up and down until wires are as straight as they get, keeping the order in each layer."""
    for layer in layers:
        _place(layer, [0] * len(layer.stops))
    best_bend, best = -1, [[0]]
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _place(layer, [_wanted(stop, from_left=sweep % 2 == 0) for stop in layer.stops])
        bend = sum(abs(leg.left_row - leg.right_row) for layer in layers for stop in layer.stops for leg in stop.outs)
        if best_bend < 0 or bend < best_bend:
            best_bend, best = bend, [[stop.top for stop in layer.stops] for layer in layers]
    highest = min(min(tops) for tops in best if tops)
    for layer, tops in zip(layers, best, strict=True):
        for stop, top in zip(layer.stops, tops, strict=True):
            stop.top = top - highest


def _wanted(stop: Stop, *, from_left: bool) -> int:
    """Where a stop would lie if only its wires on one side mattered."""
    if from_left:
        shifts = [leg.left_row - leg.right_row for leg in stop.ins]
    else:
        shifts = [leg.right_row - leg.left_row for leg in stop.outs]
    return stop.top + (_median(shifts) if shifts else 0)


def _place(layer: Layer, wanted: Sequence[int]) -> None:
    floors = list(accumulate((stop.rows + 1 for stop in layer.stops[:-1]), initial=0))[: len(layer.stops)]
    for stop, top in zip(layer.stops, stacked(floors, wanted, _median), strict=True):
        stop.top = top


def _median(values: Sequence[int]) -> int:
    # By hand: the statistics module costs 20 ms to import.
    return sorted(values)[(len(values) - 1) // 2]


def _give_tracks(channel: Channel, right_layers: Sequence[Layer]) -> bool:
    """Find a column for every leg that changes rows.

    Where legs wait for each other in a circle, everything to the right moves down a row until none does.
    """
    for _ in range(2 * len(channel.legs) + 2):
        order = _order(channel.legs)
        if order is not None:
            _assign(channel, order)
            return True
        for layer in right_layers:
            for stop in layer.stops:
                stop.top += 1
    return False


def _order(legs: Sequence[Leg]) -> list[Leg] | None:
    """Order the bent legs from left to right: one that leaves a row must have left before another comes in on it."""
    bent = [leg for leg in legs if leg.left_row != leg.right_row]
    # Downward legs from below, upward legs from above: then those of one kind do not cross each other.
    bent.sort(key=lambda leg: -leg.left_row if leg.right_row > leg.left_row else leg.left_row)
    leaving = {leg.left_row: position for position, leg in enumerate(bent)}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for position, leg in enumerate(bent):
        before = leaving.get(leg.right_row)
        sorter.add(position, *(() if before is None else (before,)))
    try:
        return [bent[position] for position in sorter.static_order()]
    except CycleError:
        return None


def _assign(channel: Channel, order: Sequence[Leg]) -> None:
    leaving = {leg.left_row: leg for leg in order}
    for leg in order:
        before = leaving.get(leg.right_row)
        track = 0 if before is None or before.track is None else before.track + 1
        while any(other.track == track and _overlap(leg, other) for other in order):
            track += 1
        leg.track = track
        channel.tracks = max(channel.tracks, track + 1)


def _overlap(leg: Leg, other: Leg) -> bool:
    first, second = sorted((leg.left_row, leg.right_row)), sorted((other.left_row, other.right_row))
    return leg is not other and first[0] <= second[1] and second[0] <= first[1]


def _give_columns(plan: Plan) -> None:
    column = 0
    for number, layer in enumerate(plan.layers):
        layer.start = column
        column += layer.width
        if number < len(plan.channels):
            plan.channels[number].start = column
            column += plan.channels[number].width
    plan.width = column
    plan.rows = max(stop.top + stop.rows for layer in plan.layers for stop in layer.stops)
