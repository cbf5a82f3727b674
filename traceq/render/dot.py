"""A graph in the DOT language, for Graphviz and what reads its input."""

from __future__ import annotations

from traceq.report import Graph, GraphEdge, GraphNode, Health, NodeKind
from traceq.untrusted import printable

_SHAPES: dict[NodeKind, str] = {
    "service": "shape=box",
    "database": "shape=cylinder",
    "messaging": "shape=cds",
    "external": 'shape=box style="dashed,rounded"',
}
_COLOURS: dict[Health, str] = {"good": "#2e7d32", "fair": "#b58900", "poor": "#c62828"}


def render_dot(graph: Graph) -> str:
    """Write a directed graph from left to right; what is known of an edge besides its label is its tooltip."""
    lines = ["digraph traceq {", "  rankdir=LR;", '  node [fontname="sans-serif"];', '  edge [fontname="sans-serif"];']
    lines += [f"  {_node(node)};" for node in graph.nodes]
    lines += [f"  {_edge(edge)};" for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _node(node: GraphNode) -> str:
    return f"{_quoted(node.node_id)} [label={_quoted(node.label)} {_SHAPES[node.kind]}]"


def _edge(edge: GraphEdge) -> str:
    attributes = [f"label={_quoted(edge.label)}"] if edge.label else []
    if edge.is_async:
        attributes.append("style=dashed")
    if edge.health in _COLOURS:
        colour = _COLOURS[edge.health]
        attributes.append(f'color="{colour}" fontcolor="{colour}"')
    if edge.facts:
        told = "; ".join(f"{name} {value}".strip() for name, value in edge.facts)
        attributes.append(f"tooltip={_quoted(told)}")
    told_attributes = f" [{' '.join(attributes)}]" if attributes else ""
    return f"{_quoted(edge.source)} -> {_quoted(edge.target)}{told_attributes}"


def _quoted(text: str) -> str:
    # In a label a backslash begins an escape (`\n`, `\l`): doubled it is one.
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
