"""Graphs as pictures: what is drawn is what is so."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import example, given
from msgspec.structs import replace

from tests.laws import examples
from tests.render.drawn_geometry import Rectangle, flattened, graphs, overlapping, touched
from tests.render.graphs import meshed
from traceq.render.hues import Hues
from traceq.render.svg import render_svg
from traceq.report import Graph, GraphEdge, GraphNode

_SVG = "{http://www.w3.org/2000/svg}"


def _shown(graph: Graph) -> tuple[list[Rectangle], dict[tuple[str, str], list[str]]]:
    """Read a picture: its boxes by label, and its lines by the ends that their titles name."""
    boxes, lines = [], dict[tuple[str, str], list[str]]()
    for group in ET.fromstring(render_svg(graph, Hues())).iter(f"{_SVG}g"):  # noqa: S314 - we wrote it
        title = group.findtext(f"{_SVG}title", "")
        frame, path = group.find(f"{_SVG}rect"), group.find(f"{_SVG}path")
        if frame is not None:
            x, y, width, height = (float(frame.get(key, "")) for key in ("x", "y", "width", "height"))
            boxes.append(Rectangle(title.partition(" (")[0], x, y, x + width, y + height))
        elif path is not None:
            source, _, target = title.partition(":")[0].partition(" to ")
            lines.setdefault((source, target), []).append(path.get("d", ""))
    return boxes, lines


def _by_id(graph: Graph) -> Graph:
    return replace(graph, nodes=tuple(replace(node, label=node.node_id) for node in graph.nodes))


@given(graphs())
@examples(0.3)
@example(meshed(60))
def test_a_line_touches_no_box_at_all_and_every_edge_is_drawn(graph: Graph) -> None:
    boxes, lines = _shown(_by_id(graph))

    assert overlapping(boxes) == []
    assert {ends: len(paths) for ends, paths in lines.items()} == _counts(graph)
    assert {ends: hit for ends, paths in lines.items() for path in paths if (hit := [*touched(path, boxes)])} == {}


def _counts(graph: Graph) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for edge in graph.edges:
        if edge.source != edge.target:
            counts[edge.source, edge.target] = counts.get((edge.source, edge.target), 0) + 1
    return counts


@given(graphs())
@examples(0.25)
def test_a_line_begins_at_its_source_and_ends_at_its_target(graph: Graph) -> None:
    boxes, lines = _shown(_by_id(graph))
    by_name = {box.name: box for box in boxes}

    for ends, paths in lines.items():
        for path in paths:
            points = flattened(path)
            for name, (x, y), reach in zip(ends, (points[0], points[-1]), (0.1, 5.0), strict=True):
                box = by_name[name]
                assert min(abs(x - box.left), abs(x - box.right)) <= reach
                assert box.top < y < box.bottom


def test_the_legend_explains_what_is_there_and_nothing_else() -> None:
    graph = Graph(
        (GraphNode("a", "a"), GraphNode("b", "b", "database")),
        (GraphEdge("a", "b", "3 !1", health="poor", weight=3), GraphEdge("a", "b", "2", is_async=True, weight=2)),
        health_legend=(("unknown", "no failures known"), ("fair", "some failed"), ("poor", "many failed")),
        label_legend="number of calls, !failed ones",
    )

    root = ET.fromstring(render_svg(graph, Hues()))  # noqa: S314 - we wrote it
    texts = [text.text for text in root.iter(f"{_SVG}text") if text.get("class") == "quiet"]
    assert texts == [
        *("service", "database", "the caller waits", "asynchronous: nobody waits"),
        *("no failures known", "many failed", "thicker: more calls", "number of calls, !failed ones"),
    ]


def test_a_picture_loads_nothing() -> None:
    picture = render_svg(meshed(15), Hues()).replace('xmlns="http://www.w3.org/2000/svg"', "")

    assert not any(word in picture for word in ("http", "href", "@import", "@font-face", "<script", "<image"))
