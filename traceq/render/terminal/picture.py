"""Boxes, wires and labels painted on a grid of cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.segment import Segment
from rich.style import Style

from traceq.render.terminal.canvas import DIM, Pen, Strip, pad, width_of
from traceq.render.terminal.routing import Channel, Layer, Leg, Plan, Stop
from traceq.report import GraphEdge, Health

HEALTH: dict[Health, Style] = {
    "unknown": DIM,
    "good": Style(color="green"),
    "fair": Style(color="yellow"),
    "poor": Style(color="red", bold=True),
}
_NORTH, _EAST, _SOUTH, _WEST = 1, 2, 4, 8


class _Grid:
    """Cells with a text and a style each; a text wider than a cell lies in its first one, the others are empty."""

    def __init__(self, rows: int, width: int) -> None:
        self._texts = [[" "] * width for _ in range(rows)]
        self._styles: list[list[Style | None]] = [[None] * width for _ in range(rows)]
        self._sides: dict[tuple[int, int], int] = {}
        self._edges: dict[tuple[int, int], GraphEdge] = {}

    def write(self, row: int, column: int, text: str, style: Style | None = None) -> None:
        """Write a text over whatever is there."""
        width = width_of(text)
        self._texts[row][column : column + width] = [text, *[""] * (width - 1)] if width else []
        self._styles[row][column : column + width] = [style] * width

    def wire(self, row: int, column: int, sides: int, edge: GraphEdge) -> None:
        """Let a wire leave a cell by some of its sides; wires that meet in a cell cross."""
        self._sides[row, column] = self._sides.get((row, column), 0) | sides
        self._edges[row, column] = edge

    def wires(self, pen: Pen) -> None:
        """Write the wires; what is written later lies over them."""
        dashes = {_EAST | _WEST: pen.glyphs.async_across, _NORTH | _SOUTH: pen.glyphs.async_down}
        for (row, column), sides in self._sides.items():
            glyph, edge = pen.glyphs.wires[sides], self._edges[row, column]
            self.write(row, column, dashes.get(sides, glyph) if edge.is_async else glyph, HEALTH[edge.health])

    def strips(self) -> Iterator[Strip]:
        """Hand the rows out as lines, a cell's width in from the left."""
        for texts, styles in zip(self._texts, self._styles, strict=True):
            cells = groupby(zip(texts, styles, strict=True), key=lambda cell: cell[1])
            yield [Segment(" "), *(Segment("".join(text for text, _ in run), style) for style, run in cells)]


def paint(plan: Plan, pen: Pen) -> Iterator[Strip]:
    """Paint a routed graph."""
    grid = _Grid(plan.rows, plan.width)
    for channel in plan.channels:
        for leg in channel.legs:
            _paint_leg(grid, channel, leg)
    for layer in plan.layers:
        _paint_passages(grid, layer)
    grid.wires(pen)
    for channel in plan.channels:
        for leg in channel.legs:
            _paint_ends(grid, channel, leg, pen)
    for layer in plan.layers:
        for stop in layer.stops:
            if stop.node:
                _paint_box(grid, layer, stop, plan.room.padding + 1, pen)
    return grid.strips()


def _paint_leg(grid: _Grid, channel: Channel, leg: Leg) -> None:
    end = channel.start + channel.width
    if leg.track is None:
        _paint_across(grid, leg, leg.left_row, channel.start, end)
        return
    turn = channel.turn(leg.track)
    is_down = leg.right_row > leg.left_row
    _paint_across(grid, leg, leg.left_row, channel.start, turn)
    grid.wire(leg.left_row, turn, _WEST | (_SOUTH if is_down else _NORTH), leg.edge)
    for row in range(min(leg.left_row, leg.right_row) + 1, max(leg.left_row, leg.right_row)):
        grid.wire(row, turn, _NORTH | _SOUTH, leg.edge)
    grid.wire(leg.right_row, turn, _EAST | (_NORTH if is_down else _SOUTH), leg.edge)
    _paint_across(grid, leg, leg.right_row, turn + 1, end)


def _paint_across(grid: _Grid, leg: Leg, row: int, start: int, end: int) -> None:
    for column in range(start, end):
        grid.wire(row, column, _EAST | _WEST, leg.edge)


def _paint_passages(grid: _Grid, layer: Layer) -> None:
    for stop in layer.stops:
        if stop.node is None:
            _paint_across(grid, stop.outs[0], stop.top, layer.start, layer.start + layer.width)


def _paint_ends(grid: _Grid, channel: Channel, leg: Leg, pen: Pen) -> None:
    style = None if leg.edge.health == "unknown" else HEALTH[leg.edge.health]
    if leg.label:
        start = channel.label_start + (channel.label_width - width_of(leg.label)) // 2
        grid.write(leg.right_row, start, f" {leg.label} ", style)
    if leg.has_head_left:
        grid.write(leg.left_row, channel.start, pen.glyphs.head_left, style)
    if leg.has_head_right:
        grid.write(leg.right_row, channel.start + channel.width - 1, pen.glyphs.head_right, style)


def _paint_box(grid: _Grid, layer: Layer, stop: Stop, inset: int, pen: Pen) -> None:
    if stop.node is None:
        return
    box = pen.glyphs.boxes[stop.node.kind]
    edge = box.top * (layer.width - 2)
    grid.write(stop.top, layer.start, box.top_left + edge + box.top_right, DIM)
    for row in range(stop.top + 1, stop.top + stop.rows - 1):
        grid.write(row, layer.start, box.side, DIM)
        grid.write(row, layer.start + layer.width - 1, box.side, DIM)
    for number, line in enumerate(stop.lines):
        style = None if number else pen.hue(stop.node.label)
        grid.write(stop.top + 1 + number, layer.start + inset, pad(line, layer.width - 2 * inset), style)
    grid.write(stop.top + stop.rows - 1, layer.start, box.bottom_left + edge + box.bottom_right, DIM)
