"""A graph as a part of a page, to look around in: focus, search, drag, zoom."""

from __future__ import annotations

from traceq.render.page.parts import Ink, PagePart, resource, safe
from traceq.render.placing import Drawing, Line, boxes_of, place, text_width
from traceq.render.svg import THICK, USUAL, Entry, legend, stroke_widths
from traceq.report import Graph
from traceq.untrusted import printable

_MOST_PLACED = 150
"""Maximum number of nodes that are placed here; of more, the page shows what is around one, and places that itself."""

_MARKUP = """<div class="tools">
<label>Search <input class="search" type="search" autocomplete="off"></label>
<datalist class="names"></datalist>
<label>around <input class="reach" type="number" min="0" max="9" value="1"> calls</label>
<span class="group"><button type="button" class="all">All</button>
<button type="button" class="whole" title="Show all of it">Fit</button>
<button type="button" class="farther" aria-label="Smaller">−</button>
<button type="button" class="nearer" aria-label="Larger">+</button></span>
<span class="status" role="status"></span></div>
<svg class="picture" role="group" aria-label="{label}"><defs>
<marker id="head" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="9" markerHeight="9"
markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 1 L10 5 L0 9 z" fill="#78838c"/></marker></defs>
<g class="scene"></g></svg>
<aside class="facts" aria-live="polite" hidden></aside>
<ul class="legend" aria-label="Legend">{legend}<li class="keys">{keys}</li></ul>"""  # noqa: RUF001 - a minus sign
_KEYS = (
    "Tab and arrows: from node to node. Enter: what is known of it. Escape: back. Drag: move. Ctrl and wheel, or two "
    "fingers: zoom."
)


def graph_part(graph: Graph, ink: Ink) -> PagePart:
    """Draw a graph; its lines are those of the SVG until somebody moves a box."""
    label = f"Who calls whom: {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    entries = "".join(f"<li>{_sample(entry)}{safe(entry.text)}</li>" for entry in legend(graph))
    html = _MARKUP.format(label=label, legend=entries, keys=_KEYS)
    script = resource("routing.js") + resource("graph.js")
    return PagePart(html, resource("graph.css"), script, _data(graph, ink), "graph")


def _sample(entry: Entry) -> str:
    match entry.mark:
        case "service" | "database" | "messaging" | "external":
            rounding = 8 if entry.mark == "database" else 2
            inner = '<rect class="frame" x="3" y="4" width="24" height="8"/>' if entry.mark == "messaging" else ""
            shape = f'<rect class="frame" y="1" width="30" height="14" rx="{rounding}"/>{inner}'
            return f'<svg aria-hidden="true"><g class="{entry.mark}">{shape}</g></svg>'
        case "label":
            return ""
    health = entry.mark if entry.mark in {"good", "fair", "poor"} else "unknown"
    dashes = " async" if entry.mark == "unwaited" else ""
    width = THICK if entry.mark == "thick" else USUAL
    path = f'<path class="line" d="M0 8 L25 8" stroke-width="{width}" marker-end="url(#head)"/>'
    return f'<svg aria-hidden="true"><g class="edge {health}{dashes}">{path}</g></svg>'


def _data(graph: Graph, ink: Ink) -> dict[str, object]:
    ids = {node.node_id: number for number, node in enumerate(graph.nodes)}
    is_placed = len(graph.nodes) <= _MOST_PLACED
    drawing = place(graph) if is_placed else Drawing(tuple(boxes_of(graph)), (), 0.0, 0.0)
    homes: dict[int, Line] = {id(line.edge): line for line in drawing.lines}
    widths = stroke_widths([edge.weight for edge in graph.edges])
    return {
        "nodes": [
            {
                "label": printable(box.node.label),
                "kind": box.node.kind,
                "lines": box.lines,
                "hue": ink.hues.number(box.node.label) if box.node.kind == "service" else None,
                "at": [round(box.left, 1), round(box.top, 1)] if is_placed else None,
                "size": [round(box.width, 1), round(box.height, 1)],
            }
            for box in drawing.boxes
            if box.node is not None
        ],
        "edges": [
            {
                "from": ids[edge.source],
                "to": ids[edge.target],
                "label": printable(edge.label),
                "room": round(text_width(printable(edge.label)), 1),
                "isAsync": edge.is_async,
                "health": edge.health,
                "weight": edge.weight,
                "width": width,
                "home": _points(homes.get(id(edge))),
                "facts": [[printable(name), printable(value)] for name, value in edge.facts],
            }
            for edge, width in zip(graph.edges, widths, strict=True)
        ],
    }


def _points(line: Line | None) -> list[list[float]] | None:
    return None if line is None else [[round(x, 1), round(y, 1)] for x, y in line.points]
