"""A graph as a picture of its own: SVG that needs no script, font or page around it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from traceq.render.placing import Box, Drawing, Line, Point, place
from traceq.report import Graph, Health, NodeKind
from traceq.untrusted import printable

_COLOURS: dict[Health, str] = {"unknown": "#78838c", "good": "#2e7d32", "fair": "#b58900", "poor": "#c62828"}
_FILLS: dict[NodeKind, str] = {
    "service": 'fill="#eef4fb" stroke="#3b6ea5"',
    "database": 'fill="#eef7ee" stroke="#4c8c4a"',
    "messaging": 'fill="#fbf3e4" stroke="#b07d2b"',
    "external": 'fill="#f6f6f6" stroke="#78838c" stroke-dasharray="5 3"',
}
_ARROW = 9.0
_LIFT = 4.0
"""How far above its line a label stands."""


def render_svg(graph: Graph) -> str:
    """Draw boxes and arrows from left to right; what is known of an edge besides its label is its title."""
    drawing = place(graph)
    size = f'width="{drawing.width:.0f}" height="{drawing.height:.0f}"'
    view = f'viewBox="0 0 {drawing.width:.0f} {drawing.height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} font-family="sans-serif" font-size="13">',
        f'<rect {size} fill="#ffffff"/>',
        *_definitions(),
        *_body(drawing),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _definitions() -> Iterator[str]:
    yield "<defs>"
    for health, colour in _COLOURS.items():
        yield (
            f'<marker id="{health}" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="{_ARROW:.0f}" '
            f'markerHeight="{_ARROW:.0f}" markerUnits="userSpaceOnUse" orient="auto">'
            f'<path d="M0 1 L10 5 L0 9 z" fill="{colour}"/></marker>'
        )
    yield "</defs>"


def _body(drawing: Drawing) -> Iterator[str]:
    for line in drawing.lines:
        yield _edge(line)
    for box in drawing.boxes:
        yield _node(box)


def _edge(line: Line) -> str:
    edge = line.edge
    colour = _COLOURS[edge.health]
    dashes = ' stroke-dasharray="6 4"' if edge.is_async else ""
    told = "; ".join(f"{name} {value}".strip() for name, value in edge.facts)
    title = f"{edge.source} to {edge.target}" + (f": {told}" if told else "")
    path = (
        f'<path d="{curve(line.points)}" fill="none" stroke="{colour}" stroke-width="1.4"{dashes} '
        f'marker-end="url(#{edge.health})"/>'
    )
    return f"<g><title>{_text(title)}</title>{path}{_label(line, colour)}</g>"


def _label(line: Line, colour: str) -> str:
    """Stand the label at its arrow's head, where every line has a height of its own."""
    if not line.edge.label:
        return ""
    x, y = line.points[-1]
    is_rightward = line.points[-2][0] < x
    anchor, shift = ("end", -_ARROW - 4) if is_rightward else ("start", _ARROW + 4)
    return (
        f'<text x="{x + shift:.1f}" y="{y - _LIFT:.1f}" text-anchor="{anchor}" fill="{colour}" stroke="#ffffff" '
        f'stroke-width="3" paint-order="stroke">{_text(line.edge.label)}</text>'
    )


def curve(points: tuple[Point, ...]) -> str:
    """Write a path: bends between the points of a pair, and level from pair to pair."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(points)):
        if number % 2:
            parts.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            half = (x + next_x) / 2
            parts.append(f"C{half:.1f} {y:.1f} {half:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}")
    return " ".join(parts)


def _node(box: Box) -> str:
    if box.node is None:
        raise ValueError("a passage is no node")
    radius = {"service": 3, "database": 14, "messaging": 0, "external": 3}[box.node.kind]
    shape = (
        f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius}" {_FILLS[box.node.kind]}/>'
    )
    inner = ""
    if box.node.kind == "messaging":
        inner = (
            f'<rect x="{box.left + 3:.1f}" y="{box.top + 3:.1f}" width="{box.width - 6:.1f}" '
            f'height="{box.height - 6:.1f}" fill="none" stroke="#b07d2b"/>'
        )
    texts = "".join(
        f'<text x="{box.left + 14:.1f}" y="{box.top + 20 + 18 * number:.1f}" fill="#1c2329">{_text(text)}</text>'
        for number, text in enumerate(box.lines)
    )
    return f"<g><title>{_text(f'{box.node.label} ({box.node.kind})')}</title>{shape}{inner}{texts}</g>"


def _text(text: str) -> str:
    return escape(printable(text))
