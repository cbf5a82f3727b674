"""Graphs of any size, made up by rule: the same every time."""

from __future__ import annotations

from traceq.report import Graph, GraphEdge, GraphNode, NodeKind

_KINDS: tuple[NodeKind, ...] = ("service", "service", "service", "database", "messaging", "external")


def meshed(size: int) -> Graph:
    """Make a graph of this many nodes and half as many edges again, with labels, a ring and a call to itself."""
    nodes = tuple(GraphNode(f"{number:02}", f"node-{number:02}.", _KINDS[number % 6]) for number in range(size))
    tree = [(number // 2, number + 1) for number in range(size - 1)]
    more = [(number, (number * 5 + 7) % size) for number in range(0, size, 2)]
    ring = [(size - 1, 0), (1, 1)]
    pairs = dict.fromkeys([*tree, *(pair for pair in more if pair[0] != pair[1]), *ring])
    edges = tuple(
        GraphEdge(f"{source:02}", f"{target:02}", f"call-{number}.", is_async=number % 5 == 0)
        for number, (source, target) in enumerate(pairs)
    )
    return Graph(nodes, edges, "graph")


AWKWARD = Graph(
    (
        GraphNode("a", 'a "quoted" <b>&amp;'),
        GraphNode("b", "back\\slash\n#1;", "database"),
        GraphNode("c", "</script><script>alert(1)</script>", "messaging"),
        GraphNode("d", "日本 \x1b[31m", "external"),
    ),
    (
        GraphEdge("a", "b", 'say "hi" | & <i>', health="poor", facts=(("calls", "1"), ("", "asynchronous"))),
        GraphEdge("b", "c", "]]>--x", is_async=True, health="fair"),
        GraphEdge("c", "a", "", health="good"),
        GraphEdge("d", "d", "itself"),
    ),
)
"""Names and labels that mean something to one format or another, one of each kind and health, a ring, a self-call."""
