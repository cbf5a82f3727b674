"""A graph as a Mermaid flowchart, for pages that draw those (GitHub, GitLab, wikis)."""

from __future__ import annotations

import re

from traceq.report import Graph, GraphEdge, Health, NodeKind
from traceq.untrusted import printable

_SHAPES: dict[NodeKind, tuple[str, str]] = {
    "service": ("[", "]"),
    "database": ("[(", ")]"),
    "messaging": ("[[", "]]"),
    "external": ("{{", "}}"),
}
_COLOURS: dict[Health, str] = {"good": "#2e7d32", "fair": "#b58900", "poor": "#c62828"}
_UNSAFE = re.compile(r"[^\w .,:/!+-]", re.ASCII)
"""What may mean something to Mermaid or to the page around it."""


def render_mermaid(graph: Graph) -> str:
    """Write a flowchart from left to right; nodes are `n0`, `n1`, ... in the graph's order, names are labels."""
    ids = {node.node_id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        before, after = _SHAPES[node.kind]
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
