"""A graph as a page to look around in: drag, search, focus. One file that asks nobody for anything."""

from __future__ import annotations

from importlib.resources import files

from traceq.render.json import encode
from traceq.render.placing import place
from traceq.report import Graph
from traceq.untrusted import printable

_MOST_PLACED = 150
"""So many nodes have places of their own; of more the page shows what is around one, and places that itself."""


def render_html(graph: Graph) -> str:
    """Write one page with the whole graph in it; it loads nothing, and its policy forbids it to."""
    template = (files("traceq.render") / "graph.html").read_text(encoding="utf-8")
    # In a script element only `</script` and `<!--` end or change anything: no `<` is left.
    data = encode(_data(graph)).replace("<", "\\u003c")
    return template.replace("/*DATA*/null", data)


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
