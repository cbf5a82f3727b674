"""A graph as a picture of its own: SVG that needs no script, font or page around it, for light and dark grounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from msgspec import Struct

from traceq.render.hues import COLOURS, Hues
from traceq.render.placing import ARROW, LINE, Box, Drawing, Line, Point, place, text_width
from traceq.report import Graph, Health, NodeKind
from traceq.untrusted import printable

_INK, _QUIET, _GROUND = ("#1c2329", "#dfe5ea"), ("#5d6873", "#9aa7b2"), ("#ffffff", "#15191d")
"""Colours on a light ground and on a dark one, here and below."""
_LINES: Mapping[Health, tuple[str, str]] = {
    "unknown": ("#78838c", "#8d99a3"),
    "good": ("#2e7d32", "#66bb6a"),
    "fair": ("#a87400", "#e0b040"),
    "poor": ("#c62828", "#ef6b6b"),
}
_BOXES: Mapping[NodeKind, tuple[tuple[str, str], tuple[str, str]]] = {
    "service": (("#eef4fb", "#1d2b3a"), ("#3b6ea5", "#6f9fd4")),
    "database": (("#eef7ee", "#1d2f1f"), ("#4c8c4a", "#74b572")),
    "messaging": (("#fbf3e4", "#33291a"), ("#b07d2b", "#d3a250")),
    "external": (("#f6f6f6", "#23282d"), ("#78838c", "#8d99a3")),
}
"""How boxes are filled, and how they are framed."""
_ROUNDING: Mapping[NodeKind, int] = {"service": 3, "database": 14, "messaging": 0, "external": 3}
_LIFT = 2.5
"""How far above its line a label stands."""
_MARGIN = 24.0
_SAMPLE = 30.0


def render_svg(graph: Graph, hues: Hues) -> str:
    """Draw boxes and arrows from left to right; what is known of an edge besides its label is its title."""
    drawing = place(graph)
    entries = list(_laid_out(legend(graph), drawing))
    width = max([drawing.width, *(x + _entry_width(entry) + _MARGIN for entry, (x, _) in entries)])
    height = max([drawing.height, *(y + _MARGIN for _, (_, y) in entries)])
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" role="img">',
        f"<title>Who calls whom: {len(graph.nodes)} nodes, {len(graph.edges)} edges</title>",
        _dark(),
        f'<rect class="ground" width="100%" height="100%" fill="{_GROUND[0]}"/>',
        *_heads(),
        *map(_edge, drawing.lines, stroke_widths([line.edge.weight for line in drawing.lines])),
        *(_node(box, hues) for box in drawing.boxes),
        *(_entry(entry, point) for entry, point in entries),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _dark() -> str:
    """Write the colours for a dark ground; those for a light one are attributes, for programs that know no styles."""
    rules = [f".ground{{fill:{_GROUND[1]}}}", f".ink{{fill:{_INK[1]}}}", f".quiet{{fill:{_QUIET[1]}}}"]
    rules.append(f".label{{stroke:{_GROUND[1]}}}")
    for health, (_, colour) in _LINES.items():
        rules += [f".line-{health}{{stroke:{colour}}}", f".fill-{health}{{fill:{colour}}}"]
    for kind, ((_, fill), (_, frame)) in _BOXES.items():
        rules.append(f".{kind}{{fill:{fill};stroke:{frame}}}")
    rules += [f".hue-{number}{{fill:{dark}}}" for number, (_, dark) in enumerate(COLOURS)]
    return f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"


def _heads() -> Iterator[str]:
    yield "<defs>"
    for health, (colour, _) in _LINES.items():
        yield (
            f'<marker id="{health}" viewBox="0 0 10 10" refX="5" refY="5" markerWidth="{ARROW:.0f}" '
            f'markerHeight="{ARROW:.0f}" markerUnits="userSpaceOnUse" orient="auto">'
            f'<path class="fill-{health}" d="M0 1 L10 5 L0 9 z" fill="{colour}"/></marker>'
        )
    yield "</defs>"


def _edge(line: Line, width: float) -> str:
    edge = line.edge
    told = "; ".join(f"{name} {value}".strip() for name, value in edge.facts)
    title = f"{edge.source} to {edge.target}" + (f": {told}" if told else "")
    path = _path(curve(_short_of_the_tip(line.points)), edge.health, width, is_dashed=edge.is_async)
    return f"<g><title>{_text(title)}</title>{path}{_label(line, width)}</g>"


def _path(data: str, health: Health, width: float, *, is_dashed: bool = False) -> str:
    dashes = ' stroke-dasharray="6 4"' if is_dashed else ""
    return (
        f'<path class="line-{health}" d="{data}" fill="none" stroke="{_LINES[health][0]}" stroke-width="{width:g}"'
        f'{dashes} marker-end="url(#{health})"/>'
    )


def _short_of_the_tip(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """End a line where the middle of its head is: a thick one would stand out at the tip."""
    (before, _), (x, y) = points[-2:]
    return (*points[:-1], (x - ARROW / 2 if before < x else x + ARROW / 2, y))


def _label(line: Line, width: float) -> str:
    """Stand the label on the level stretch at its arrow's head, where nothing else is."""
    edge = line.edge
    if not edge.label:
        return ""
    x, y = line.points[-1]
    anchor, shift = ("end", -ARROW - 3) if line.points[-2][0] < x else ("start", ARROW + 3)
    where = f'x="{x + shift:.1f}" y="{y - _LIFT - width / 2:.1f}" text-anchor="{anchor}"'
    return (
        f'<text class="label fill-{edge.health}" {where} '
        f'fill="{_LINES[edge.health][0]}" stroke="{_GROUND[0]}" stroke-width="3" paint-order="stroke">'
        f"{_text(edge.label)}</text>"
    )


def curve(points: Sequence[Point]) -> str:
    """Write a path: level, a bend, level and so on."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(points)):
        if number % 2 == 0 or y == next_y:
            parts.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            half = (x + next_x) / 2
            parts.append(f"C{half:.1f} {y:.1f} {half:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}")
    return " ".join(parts)


def _node(box: Box, hues: Hues) -> str:
    if box.node is None:
        raise ValueError("a passage is no node")
    shape = _shape(box.node.kind, (box.left, box.top), (box.width, box.height))
    first = box.middle + 4.5 - LINE * (len(box.lines) - 1) / 2
    start = f'<text class="ink" x="{box.left + 14:.1f}" fill="{_INK[0]}"'
    texts = "".join(
        f'{start} y="{first + LINE * number:.1f}">{_text(text)}</text>' for number, text in enumerate(box.lines)
    )
    edge = _hued_edge(box, hues.number(box.node.label)) if box.node.kind == "service" else ""
    return f"<g><title>{_text(f'{box.node.label} ({box.node.kind})')}</title>{shape}{edge}{texts}</g>"


def _hued_edge(box: Box, hue: int) -> str:
    """Give a service the hue that it has in the terminal and on pages."""
    where = f'x="{box.left + 0.5:.1f}" y="{box.top + 0.5:.1f}" width="4" height="{box.height - 1:.1f}"'
    return f'<rect class="hue-{hue}" {where} fill="{COLOURS[hue][0]}"/>'


def _shape(kind: NodeKind, corner: Point, size: Point) -> str:
    (x, y), (width, height) = corner, size
    fill, frame = _BOXES[kind]
    dashes = ' stroke-dasharray="5 3"' if kind == "external" else ""
    place = (
        f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{min(_ROUNDING[kind], height / 2):g}"'
    )
    shape = f'<rect class="{kind}" {place} fill="{fill[0]}" stroke="{frame[0]}"{dashes}/>'
    if kind == "messaging":
        # Two frames, as in the terminal.
        inner = f'x="{x + 3:.1f}" y="{y + 3:.1f}" width="{width - 6:.1f}" height="{height - 6:.1f}"'
        shape += f'<rect class="{kind}" {inner} fill="{fill[0]}" stroke="{frame[0]}"/>'
    return shape


def _laid_out(entries: Sequence[Entry], drawing: Drawing) -> Iterator[tuple[Entry, Point]]:
    """Put the entries of the legend below the drawing, side by side as far as it is wide."""
    x, y = _MARGIN, drawing.height + LINE / 2
    for entry in entries:
        width = _entry_width(entry)
        if x > _MARGIN and x + width > drawing.width - _MARGIN:
            x, y = _MARGIN, y + LINE + 4
        yield entry, (x, y)
        x += width + _MARGIN


def _entry_width(entry: Entry) -> float:
    return (0.0 if entry.mark == "label" else _SAMPLE + 8) + text_width(entry.text)


def _entry(entry: Entry, point: Point) -> str:
    x, y = point
    sample = _sample(entry.mark, x, y)
    x += _SAMPLE + 8 if sample else 0.0
    return f'{sample}<text class="quiet" x="{x:.1f}" y="{y + 4.5:.1f}" fill="{_QUIET[0]}">{_text(entry.text)}</text>'


def _sample(mark: NodeKind | Health | Mark, x: float, y: float) -> str:
    """Draw a mark as it is in the drawing."""
    across = f"M{x:.1f} {y:.1f} L{x + _SAMPLE - ARROW / 2:.1f} {y:.1f}"
    match mark:
        case "service" | "database" | "messaging" | "external":
            return _shape(mark, (x, y - 8), (_SAMPLE, 16))
        case "unknown" | "good" | "fair" | "poor":
            return _path(across, mark, USUAL)
        case "waited" | "unwaited":
            return _path(across, "unknown", USUAL, is_dashed=mark == "unwaited")
        case "thick":
            return _path(across, "unknown", THICK)
        case "label":
            return ""


def _text(text: str) -> str:
    return escape(printable(text))


Mark: TypeAlias = Literal["waited", "unwaited", "thick", "label"]
"""A line that is drawn solid, dashed and thick; what is written on lines."""

_KINDS: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")
_HEALTHS: tuple[Health, ...] = ("unknown", "good", "fair", "poor")
_THIN, USUAL, THICK = 1.2, 1.6, 3.6
"""How thick lines are, in pixels."""


class Entry(Struct, frozen=True):
    """A mark and what it means."""

    mark: NodeKind | Health | Mark
    text: str


def legend(graph: Graph) -> tuple[Entry, ...]:
    """Explain the marks of a graph; a mark that tells nothing apart in it is left out."""
    kinds = {node.kind for node in graph.nodes}
    entries = [Entry(kind, kind) for kind in _KINDS if kind in kinds] if len(kinds) > 1 else []
    if any(edge.is_async for edge in graph.edges):
        entries += [Entry("waited", "the caller waits"), Entry("unwaited", "asynchronous: nobody waits")]
    healths, words = {edge.health for edge in graph.edges}, dict(graph.health_legend)
    if healths - {"unknown"}:
        entries += [Entry(health, words[health]) for health in _HEALTHS if health in healths & words.keys()]
    if len({edge.weight for edge in graph.edges}) > 1:
        entries.append(Entry("thick", "thicker: more calls"))
    return (*entries, *([Entry("label", graph.label_legend)] if graph.edges and graph.label_legend else []))


def stroke_widths(weights: Sequence[int]) -> list[float]:
    """Say how thick lines are, in pixels, by how many calls each stands for: ten times as many always add as much."""
    if len(set(weights)) < 2:
        return [USUAL for _ in weights]
    logs = [math.log10(max(weight, 1)) for weight in weights]
    most = max(logs) or 1.0
    return [round(_THIN + (THICK - _THIN) * log / most, 2) for log in logs]
