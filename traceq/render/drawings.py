"""A graph as text that other programs draw: a Mermaid flowchart, for pages of code hosts, and DOT, for Graphviz."""

from __future__ import annotations

import re
from typing import assert_never

from traceq.render import GraphFormat
from traceq.report import Graph, GraphEdge, GraphNode, Health, NodeKind
from traceq.untrusted import printable

_BRACKETS: dict[NodeKind, tuple[str, str]] = {
    "service": ("[", "]"),
    "database": ("[(", ")]"),
    "messaging": ("[[", "]]"),
    "external": ("{{", "}}"),
}
_COLOURS: dict[Health, str] = {"good": "#2e7d32", "fair": "#b58900", "poor": "#c62828"}
_UNSAFE = re.compile(r"[^\w .,:/!+-]", re.ASCII)
"""What may mean something to Mermaid or to the page around it."""


def render_drawing(graph: Graph, chosen: GraphFormat) -> str:
    """Write a graph in one of the languages."""
    match chosen:
        case "mermaid":
            return render_mermaid(graph)
        case "dot":
            return render_dot(graph)
    assert_never(chosen)


def render_mermaid(graph: Graph) -> str:
    """Write a flowchart from left to right; nodes are `n0`, `n1`, ... in the graph's order, names are labels."""
    ids = {node.node_id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        before, after = _BRACKETS[node.kind]
        lines.append(f'  {ids[node.node_id]}{before}"{_escaped(node.label)}"{after}')
    lines += [f"  {ids[edge.source]} {_arrow(edge)} {ids[edge.target]}" for edge in graph.edges]
    lines += [
        f"  linkStyle {number} stroke:{_COLOURS[edge.health]}"
        for number, edge in enumerate(graph.edges)
        if edge.health in _COLOURS
    ]
    return "\n".join(lines) + "\n"


def _arrow(edge: GraphEdge) -> str:
    arrow = "-.->" if edge.is_async else "-->"
    return f'{arrow}|"{_escaped(edge.label)}"|' if edge.label else arrow


def _escaped(text: str) -> str:
    return _UNSAFE.sub(lambda found: f"#{ord(found.group())};", printable(text))


_SHAPES: dict[NodeKind, str] = {
    "service": "shape=box",
    "database": "shape=cylinder",
    "messaging": "shape=cds",
    "external": 'shape=box style="dashed,rounded"',
}


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
