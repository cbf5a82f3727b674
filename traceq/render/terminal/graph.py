"""A graph: boxes and arrows where they fit, a tree where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.segment import Segment

from traceq.render.terminal.canvas import DIM, Pen, Strip
from traceq.render.terminal.cells import wrapped
from traceq.render.terminal.layout import lay_out
from traceq.render.terminal.picture import paint
from traceq.render.terminal.routing import route
from traceq.render.terminal.tree import draw_tree
from traceq.report import Graph, GraphEdge, GraphNode, NodeKind

_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")


def draw_graph(graph: Graph, pen: Pen) -> Iterator[Strip]:
    """Draw a graph the way it asks for, or as a tree where a picture cannot be had; input order does not matter."""
    nodes = _all_nodes(graph)
    order = {node.node_id: position for position, node in enumerate(nodes)}
    edges = sorted(graph.edges, key=lambda edge: (order[edge.source], order[edge.target], edge.label, edge.is_async))
    picture = None if graph.view == "tree" else _picture(nodes, edges, order, pen)
    if picture is not None:
        yield from picture
        return
    yield from draw_tree(nodes, edges, pen)
    if graph.view == "graph" and nodes:
        note = f"drawn as a tree: boxes and arrows do not fit {pen.width} columns"
        yield from ([Segment(" "), Segment(line, DIM)] for line in wrapped(note, pen.width - 1))


def _all_nodes(graph: Graph) -> list[GraphNode]:
    """Sort the nodes by name, with those that only edges speak of."""
    known = {node.node_id: node for node in graph.nodes}
    for edge in graph.edges:
        for node_id in (edge.source, edge.target):
            known.setdefault(node_id, GraphNode(node_id, node_id))
    return sorted(known.values(), key=lambda node: (node.label, node.node_id))


def _picture(
    nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], order: dict[str, int], pen: Pen
) -> list[Strip] | None:
    calls = [edge for edge in edges if edge.source != edge.target]
    layout = lay_out(len(nodes), [(order[edge.source], order[edge.target]) for edge in calls])
    if layout is None:
        return None
    plan = route(nodes, edges, layout, pen)
    if plan is None or plan.width > pen.width - 1:
        return None
    return [*paint(plan, pen), *_legend(nodes, edges, pen)]


def _legend(nodes: Sequence[GraphNode], edges: Sequence[GraphEdge], pen: Pen) -> list[Strip]:
    """Explain the shapes, where there is more than one."""
    kinds = [kind for kind in _KINDS if any(node.kind == kind for node in nodes)]
    boxes = [(pen.glyphs.boxes[kind], kind) for kind in kinds]
    entries = [f"{box.top_left}{box.top}{box.top_right} {kind}" for box, kind in boxes] if len(boxes) > 1 else []
    if any(edge.is_async for edge in edges):
        entries.append(f"{pen.glyphs.async_across * 2}{pen.glyphs.head_right} asynchronous")
    lines = wrapped("   ".join(entries), pen.width - 1) if entries else []
    return [[Segment(" "), Segment(line, DIM)] for line in lines]
