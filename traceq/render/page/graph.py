"""A graph as a part of a page."""

from __future__ import annotations

from traceq.render.page.parts import PagePart, resource
from traceq.render.placing import place
from traceq.report import Graph
from traceq.untrusted import printable

_MOST_PLACED = 150
"""So many nodes have places of their own; of more the page shows what is around one, and places that itself."""

_MARKUP = """<div class="bar-of-tools">
<label>Search <input class="search" type="search" list="names" autocomplete="off"></label>
<datalist id="names" class="names"></datalist>
<label>around <input class="reach" type="number" min="0" max="9" value="1"> calls</label>
<button type="button" class="all">All</button><span class="status"></span></div>
<svg class="picture"><defs><marker id="head" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="9" markerHeight="9"
markerUnits="userSpaceOnUse" orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="context-stroke"/></marker></defs>
<g class="scene"></g></svg>
<aside class="facts"></aside>"""


def graph_part(graph: Graph) -> PagePart:
    """Draw a graph to look around in: drag, search, focus."""
    return PagePart(_MARKUP, resource("graph.css"), resource("graph.js"), _data(graph), "graph")


def _data(graph: Graph) -> dict[str, object]:
    ids = {node.node_id: number for number, node in enumerate(graph.nodes)}
    is_placed = len(graph.nodes) <= _MOST_PLACED
    boxes = place(graph).boxes if is_placed else ()
    places = [[round(box.left), round(box.middle)] for box in boxes]
    return {
        "nodes": [
            {"label": printable(node.label), "kind": node.kind, "at": places[number] if is_placed else None}
            for number, node in enumerate(graph.nodes)
        ],
        "edges": [
            {
                "from": ids[edge.source],
                "to": ids[edge.target],
                "label": printable(edge.label),
                "isAsync": edge.is_async,
                "health": edge.health,
                "weight": edge.weight,
                "facts": [[printable(name), printable(value)] for name, value in edge.facts],
            }
            for edge in graph.edges
        ],
    }
