"""The script that finds lines their ways after boxes were moved, held against laws in node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from tests.render.drawn_geometry import Rectangle, graphs, overlapping, touched
from traceq.render.placing import place
from traceq.report import Graph

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")

_ASKED = """
const lines = require("readline").createInterface({ input: process.stdin });
lines.on("line", line => {
  const { boxes, lines, drags } = JSON.parse(line);
  for (const [number, left, top] of drags) {
    [boxes[number].left, boxes[number].top] = routing.freeSpot(boxes, number, left, top);
    boxes[number].isMoved = true;
  }
  console.log(JSON.stringify({ boxes, routes: routing.routes(boxes, lines) }));
});
"""

Ask = Callable[[object], dict[str, Any]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    script = (files("traceq.render") / "page/routing.js").read_text(encoding="utf-8")
    words = ["node", "-e", script + _ASKED]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        reader, writer = node.stdout, node.stdin
        assert reader is not None
        assert writer is not None

        def put(question: object) -> dict[str, Any]:
            writer.write(json.dumps(question) + "\n")
            writer.flush()
            answer: dict[str, Any] = json.loads(reader.readline())
            return answer

        yield put


@dataclass(frozen=True)
class _Moved:
    """A graph and where its boxes are dragged to, one after the other."""

    graph: Graph
    drags: tuple[tuple[int, float, float], ...]
    has_homes: bool


@st.composite
def _moved(draw: st.DrawFn) -> _Moved:
    graph = draw(graphs(12))
    somewhere = st.integers(-200, 1500).map(float)
    drag = st.tuples(st.integers(0, len(graph.nodes) - 1), somewhere, somewhere)
    return _Moved(graph, tuple(draw(st.lists(drag, max_size=6))), draw(st.booleans()))


def _question(moved: _Moved) -> dict[str, Any]:
    drawing, ids = place(moved.graph), {node.node_id: number for number, node in enumerate(moved.graph.nodes)}
    return {
        "boxes": [
            {"left": box.left, "top": box.top, "width": box.width, "height": box.height} for box in drawing.boxes
        ],
        "lines": [
            {
                "from": ids[line.edge.source],
                "to": ids[line.edge.target],
                "home": line.points if moved.has_homes else None,
                "room": 7.3 * len(line.edge.label),
            }
            for line in drawing.lines
        ],
        "drags": moved.drags,
    }


def _rectangles(boxes: list[dict[str, float]]) -> list[Rectangle]:
    return [
        Rectangle(str(number), box["left"], box["top"], box["left"] + box["width"], box["top"] + box["height"])
        for number, box in enumerate(boxes)
    ]


@given(_moved())
@examples(0.75)
def test_no_line_touches_a_box_wherever_boxes_are_dragged(ask: Ask, moved: _Moved) -> None:
    question = _question(moved)

    answer = ask(question)

    boxes = _rectangles(answer["boxes"])
    assert overlapping(boxes) == []
    assert len(answer["routes"]) == len(question["lines"])
    assert [[*touched(route["path"], boxes)] for route in answer["routes"]] == [[] for _ in question["lines"]]


@given(_moved())
@examples(0.3)
def test_every_line_leads_from_its_source_to_its_target(ask: Ask, moved: _Moved) -> None:
    question = _question(moved)

    answer = ask(question)

    boxes = _rectangles(answer["boxes"])
    for line, route in zip(question["lines"], answer["routes"], strict=True):
        points = route["points"]
        for end, (x, y), (_, level) in (("from", points[0], points[1]), ("to", points[-1], points[-2])):
            box = boxes[line[end]]
            assert min(abs(x - box.left), abs(x - box.right)) < 0.1
            assert box.top < y < box.bottom
            assert y == level


@given(graphs(12))
@examples(0.25)
def test_lines_keep_the_layouts_ways_while_nothing_was_moved(ask: Ask, graph: Graph) -> None:
    question = _question(_Moved(graph, (), has_homes=True))

    routes = ask(question)["routes"]

    assert [route["points"] for route in routes] == [
        [list(point) for point in line["home"]] for line in question["lines"]
    ]
