"""A graph as an indented tree: what is drawn where a picture does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment

from traceq.render.terminal.canvas import DIM, Pen, Strip, pad, shorten, width_of, wrapped
from traceq.render.terminal.picture import HEALTH
from traceq.render.terminal.timeline import Branches
from traceq.report import GraphEdge, GraphNode, Health

_MAX_NAME_RATIO = 0.6
_MIN_LABEL = 12


@dataclass(frozen=True, slots=True)
class _Visit:
    """A node met on the way through the graph, and the edge that led to it."""

    node: GraphNode
    edge: GraphEdge | None
    depth: int
    is_last: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    branch: str
    below: str
    name: str
    remark: str
    label: str
    service: str
    health: Health

    def width(self) -> int:
        return width_of(self.branch) + width_of(self.name) + width_of(self.remark)


def draw_tree(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], pen: Pen) -> Iterator[Strip]:
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


def _written(visits: Sequence[_Visit], number: int, branches: Branches, pen: Pen) -> _Row:
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
    return _Row(branch, below, pen.safe(visit.node.label), remark, label, visit.node.label, health)


def _drawn(row: _Row, column: int, pen: Pen) -> Iterator[Strip]:
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
