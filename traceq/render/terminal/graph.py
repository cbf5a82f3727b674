"""A graph: boxes and arrows where they fit, a tree where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace
from rich.segment import Segment
from rich.style import Style

from traceq.render.layering import lay_out
from traceq.render.terminal.canvas import DIM, Pen, Strip, pad, shorten, width_of, wrapped
from traceq.render.terminal.routing import ROOMY, SNUG, TIGHT, Channel, Layer, Leg, Plan, Room, Stop, route
from traceq.render.terminal.timeline import Branches
from traceq.report import Graph, GraphEdge, GraphNode, Health, NodeKind

_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")
_MOST_UNASKED = (25, 60)
"""Maximum number of nodes and edges that are drawn unasked: a picture of more is no answer."""
_MOST = (100, 300)
_MAX_NAME_RATIO = 0.6
_MIN_LABEL = 12


def draw_graph(graph: Graph, pen: Pen) -> Iterator[Strip]:
    """Draw a graph the way it asks for, or as a tree where a picture cannot be had; input order does not matter.

    A tree has everything, also where a picture would have a part.
    """
    nodes, edges = _in_order(graph)
    if graph.view != "tree":
        picture = _picture(replace(graph, nodes=tuple(nodes), edges=tuple(edges)), pen)
        if picture is not None:
            yield from picture
            yield from _remarks([graph.left_out] if graph.left_out else [], pen)
            return
    nodes, edges = _in_order(graph.whole or graph)
    yield from _draw_tree(nodes, edges, pen)
    if graph.view != "tree" and edges:
        why = f"boxes and arrows do not fit {pen.width} columns"
        if _is_large(graph):
            why = "too large for boxes and arrows" + (" unless --view graph asks for them" * (graph.view == "auto"))
        yield from _remarks([f"drawn as a tree: {why}"], pen)


def _is_large(graph: Graph) -> bool:
    """Tell a graph that is not drawn with boxes and arrows, however wide the terminal."""
    most_nodes, most_edges = _MOST_UNASKED if graph.view == "auto" else _MOST
    return len(graph.nodes) > most_nodes or len(graph.edges) > most_edges


def _in_order(graph: Graph) -> tuple[list[GraphNode], list[GraphEdge]]:
    nodes = _all_nodes(graph)
    order = {node.node_id: position for position, node in enumerate(nodes)}
    edges = sorted(graph.edges, key=lambda edge: (order[edge.source], order[edge.target], edge.label, edge.is_async))
    return nodes, edges


def _all_nodes(graph: Graph) -> list[GraphNode]:
    """Sort the nodes by name, with those that only edges speak of."""
    known = {node.node_id: node for node in graph.nodes}
    for edge in graph.edges:
        for node_id in (edge.source, edge.target):
            known.setdefault(node_id, GraphNode(node_id, node_id))
    return sorted(known.values(), key=lambda node: (node.label, node.node_id))


def _picture(graph: Graph, pen: Pen) -> list[Strip] | None:
    if not graph.nodes or _is_large(graph):
        return None
    linked = {end for edge in graph.edges for end in (edge.source, edge.target)}
    # A box that nothing leads to or from says no more than its name does.
    lonely = [node for node in graph.nodes if node.node_id not in linked] if linked else []
    nodes = [node for node in graph.nodes if node not in lonely]
    for drawn, room in _shapes(replace(graph, nodes=tuple(nodes))):
        plan = _plan(drawn, room, pen)
        if plan is not None and plan.width <= pen.width - 1:
            note = graph.short_note if drawn.nodes != tuple(nodes) else ""
            alone = f"without calls: {', '.join(pen.safe(node.label) for node in lonely)}" if lonely else ""
            legend = _legend(nodes, graph.edges, note, pen)
            return [*paint(plan, pen), *_remarks([text for text in (legend, alone) if text], pen)]
    return None


def _shapes(graph: Graph) -> Iterator[tuple[Graph, Room]]:
    """Give the graph in ever less words, and at last with ever less room between them."""
    edges = tuple(replace(edge, label=edge.short_label or edge.label) for edge in graph.edges)
    nodes = tuple(replace(node, label=node.short_label) if node.short_label else node for node in graph.nodes)
    briefer = replace(graph, edges=edges)
    shapes = [graph, briefer, replace(briefer, nodes=nodes)]
    for number, shape in enumerate(shapes):
        if shape not in shapes[:number]:
            yield shape, ROOMY
    yield shapes[-1], SNUG
    yield shapes[-1], TIGHT


def _plan(graph: Graph, room: Room, pen: Pen) -> Plan | None:
    order = {node.node_id: position for position, node in enumerate(graph.nodes)}
    calls = [edge for edge in graph.edges if edge.source != edge.target]
    layout = lay_out(len(graph.nodes), [(order[edge.source], order[edge.target]) for edge in calls])
    return route(graph.nodes, graph.edges, layout, room, pen)


def _remarks(texts: Sequence[str], pen: Pen) -> list[Strip]:
    return [[Segment(" "), Segment(line, DIM)] for text in texts for line in wrapped(text, pen.width - 1)]


def _legend(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], note: str, pen: Pen) -> str:
    """Explain the shapes, where there is more than one, and what short labels leave out."""
    kinds = [kind for kind in _KINDS if any(node.kind == kind for node in nodes)]
    boxes = [(pen.glyphs.boxes[kind], kind) for kind in kinds]
    entries = [f"{box.top_left}{box.top}{box.top_right} {kind}" for box, kind in boxes] if len(boxes) > 1 else []
    if any(edge.is_async for edge in edges):
        entries.append(f"{pen.glyphs.async_across * 2}{pen.glyphs.head_right} asynchronous")
    return "   ".join([*entries, *([note] if note else [])])


class _Visit(Struct, frozen=True):
    """A node met on the way through the graph, and the edge that led to it."""

    node: GraphNode
    edge: GraphEdge | None
    depth: int
    is_last: bool
    remark: str = ""


class _TreeRow(Struct, frozen=True):
    branch: str
    below: str
    name: str
    remark: str
    label: str
    service: str
    health: Health

    def width(self) -> int:
        return width_of(self.branch) + width_of(self.name) + width_of(self.remark)


def _draw_tree(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], pen: Pen) -> Iterator[Strip]:
    """Draw each node below its callers, and what it calls below the first of them."""
    visits = list(_visits({node.node_id: node for node in nodes}, edges))
    if not visits:
        return
    branches = Branches(pen.glyphs, pen.width // 2, max(visit.depth for visit in visits))
    rows = [_written(visits, number, branches, pen) for number in range(len(visits))]
    fitting = [row.width() for row in rows if row.width() <= pen.width * _MAX_NAME_RATIO]
    column = max(fitting, default=0)
    for row in rows:
        yield from _drawn(row, column, pen)


def _visits(nodes: Mapping[str, GraphNode], edges: Sequence[GraphEdge]) -> Iterator[_Visit]:
    """Walk from every node without callers, then into cycles that nothing leads to; each node's calls are told once."""
    calls: dict[str, list[GraphEdge]] = {node_id: [] for node_id in nodes}
    for edge in edges:
        calls[edge.source].append(edge)
    called = {edge.target for edge in edges if edge.source != edge.target}
    # Nodes nobody calls first, those with no calls at all last; the sort is stable, so names decide within.
    starts = sorted(nodes, key=lambda node_id: 1 if node_id in called else 0 if calls[node_id] else 2)
    told: set[str] = set()
    for start in starts:
        if start in told:
            continue
        path: list[str] = []
        waiting = [_Visit(nodes[start], None, 0, is_last=True)]
        while waiting:
            visit = waiting.pop()
            node_id = visit.node.node_id
            del path[visit.depth :]
            yield _remarked(visit, path, told, has_calls=bool(calls[node_id]))
            path.append(node_id)
            if node_id in told:
                continue
            told.add(node_id)
            last = len(calls[node_id]) - 1
            below = [
                _Visit(nodes[edge.target], edge, visit.depth + 1, is_last=number == last)
                for number, edge in enumerate(calls[node_id])
            ]
            waiting += reversed(below)


def _remarked(visit: _Visit, path: Sequence[str], told: set[str], *, has_calls: bool) -> _Visit:
    node_id = visit.node.node_id
    remarks: list[str] = [visit.node.kind] if visit.node.kind != "service" else []
    if path and path[-1] == node_id:
        remarks.append("itself")
    elif node_id in told and node_id in path:
        remarks.append("cycle")
    elif node_id in told and has_calls:
        remarks.append("see above")
    return _Visit(visit.node, visit.edge, visit.depth, visit.is_last, ", ".join(remarks))


def _written(visits: Sequence[_Visit], number: int, branches: Branches, pen: Pen) -> _TreeRow:
    visit = visits[number]
    is_async = visit.edge is not None and visit.edge.is_async
    branch = branches.row(visit.depth, is_last=visit.is_last, is_async=is_async)
    has_children = number + 1 < len(visits) and visits[number + 1].depth > visit.depth
    label = pen.safe(visit.edge.label) if visit.edge else ""
    if is_async:
        label = f"{label}, asynchronous" if label else "asynchronous"
    remark = f" ({visit.remark})" if visit.remark else ""
    below = branches.below(has_children=has_children)
    health = visit.edge.health if visit.edge else "unknown"
    return _TreeRow(branch, below, pen.safe(visit.node.label), remark, label, visit.node.label, health)


def _drawn(row: _TreeRow, column: int, pen: Pen) -> Iterator[Strip]:
    room = pen.width - 1
    style = None if row.health == "unknown" else HEALTH[row.health]
    name_room = max(room - width_of(row.branch) - width_of(row.remark), 1)
    name = shorten(row.name, name_room, pen.glyphs.ellipsis)
    strip: Strip = [Segment(" "), Segment(row.branch, DIM), Segment(name, pen.hue(row.service))]
    used = width_of(row.branch) + width_of(name)
    remark = shorten(row.remark, max(room - used, 0), pen.glyphs.ellipsis)
    strip.append(Segment(remark, DIM))
    used += width_of(remark)
    gap = max(column - used, 0) + 2
    if row.label and used + gap + width_of(row.label) <= room:
        yield [*strip, Segment(" " * gap), Segment(row.label, style)]
        return
    yield strip
    below = row.below if room - width_of(row.below) >= _MIN_LABEL else ""
    for line in wrapped(row.label, max(room - width_of(below), 1)) if row.label else ():
        yield [Segment(" "), Segment(pad(below, 0), DIM), Segment(line, style)]


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
