"""A graph: boxes and arrows where they fit, a tree where not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.segment import Segment

from traceq.render.layering import lay_out
from traceq.render.terminal.canvas import DIM, Pen, Strip, wrapped
from traceq.render.terminal.picture import paint
from traceq.render.terminal.routing import ROOMY, SNUG, TIGHT, Plan, Room, route
from traceq.render.terminal.tree import draw_tree
from traceq.report import Graph, GraphEdge, GraphNode, NodeKind

_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")
_MOST_UNASKED = (25, 60)
"""So many nodes and edges are drawn without being asked: a picture of more is no answer."""
_MOST = (100, 300)


def draw_graph(graph: Graph, pen: Pen) -> Iterator[Strip]:
    """Draw a graph the way it asks for, or as a tree where a picture cannot be had; input order does not matter."""
    nodes = _all_nodes(graph)
    order = {node.node_id: position for position, node in enumerate(nodes)}
    edges = sorted(graph.edges, key=lambda edge: (order[edge.source], order[edge.target], edge.label, edge.is_async))
    if graph.view != "tree":
        picture = _picture(replace(graph, nodes=tuple(nodes), edges=tuple(edges)), pen)
        if picture is not None:
            yield from picture
            return
    yield from draw_tree(nodes, edges, pen)
    if graph.view == "graph" and nodes:
        yield from _remarks([f"drawn as a tree: boxes and arrows do not fit {pen.width} columns"], pen)


def _all_nodes(graph: Graph) -> list[GraphNode]:
    """Sort the nodes by name, with those that only edges speak of."""
    known = {node.node_id: node for node in graph.nodes}
    for edge in graph.edges:
        for node_id in (edge.source, edge.target):
            known.setdefault(node_id, GraphNode(node_id, node_id))
    return sorted(known.values(), key=lambda node: (node.label, node.node_id))


def _picture(graph: Graph, pen: Pen) -> list[Strip] | None:
    most_nodes, most_edges = _MOST_UNASKED if graph.view == "auto" else _MOST
    if not graph.nodes or len(graph.nodes) > most_nodes or len(graph.edges) > most_edges:
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
