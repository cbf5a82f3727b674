"""The graph of a page, opened in a browser: what is seen is what is so, also after boxes were dragged."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.render.drawn_geometry import Rectangle, overlapping, touched
from tests.render.graphs import AWKWARD, meshed
from tests.render.page.conftest import Opened
from traceq.render import Imprint
from traceq.render.page import render_page
from traceq.report import Graph, GraphEdge, GraphNode, NodeKind, Report, Table

if TYPE_CHECKING:
    from playwright.sync_api import Page

_SEEN = """() => {
  const nodes = [...document.querySelectorAll(".node")].map(group => {
    const { e, f } = group.transform.baseVal.consolidate().matrix, frame = group.querySelector(".frame");
    const [width, height] = ["width", "height"].map(name => Number(frame.getAttribute(name)));
    return [group.querySelector("title").textContent, e, f, e + width, f + height];
  });
  const lines = [...document.querySelectorAll(".scene .edge .line")].map(line => line.getAttribute("d"));
  return { nodes, lines, labels: [...document.querySelectorAll(".scene .edge text")].map(text => text.textContent) };
}"""


def _page(graph: Graph) -> str:
    return render_page(Report("deps", {}, Table((), ()), (), graph=graph), Imprint("deps"))


def _seen(page: Page) -> tuple[list[Rectangle], dict[str, Any]]:
    seen = page.evaluate(_SEEN)
    return [Rectangle(*node) for node in seen["nodes"]], seen


def _shape(seed: int) -> Graph:
    """Make a graph of some shape: from one node to twenty, from a chain to everybody calling everybody."""
    chance = random.Random(seed)  # noqa: S311 - shapes, no secrets
    names = [f"n{number}" * chance.randint(1, 8) for number in range(chance.randint(1, 20))]
    count = chance.choice([len(names), 2 * len(names), 3 * len(names)])
    ends = {(chance.choice(names), chance.choice(names), chance.random() < 0.3) for _ in range(count)}
    kinds: tuple[NodeKind, ...] = ("service", "database", "messaging", "external")
    return Graph(
        tuple(GraphNode(name, name, chance.choice(kinds)) for name in names),
        tuple(GraphEdge(*pair[:2], str(chance.randint(1, 99999)), pair[2], weight=1) for pair in sorted(ends)),
    )


def _drag(page: Page, number: int, to: tuple[float, float]) -> None:
    box = page.locator(".node").nth(number).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 9, y + 9)
    page.mouse.move(*to)
    page.mouse.up()


@pytest.mark.parametrize("seed", range(4))
def test_no_line_touches_a_foreign_box_before_and_after_drags(seed: int, opened: Opened) -> None:
    graph, chance = _shape(seed), random.Random(seed)  # noqa: S311 - places, no secrets
    page = opened(_page(graph))
    boxes, seen = _seen(page)
    assert len(boxes) == len(graph.nodes)
    assert sorted(seen["labels"]) == sorted(edge.label for edge in graph.edges if edge.source != edge.target)
    page.locator(".whole").click()

    for _ in range(4):
        assert overlapping(boxes) == []
        assert [line for line in seen["lines"] if list(touched(line, boxes))] == []
        area = page.locator(".picture").bounding_box()
        assert area is not None
        to = (area["x"] + chance.random() * area["width"], area["y"] + chance.random() * area["height"])
        before = boxes
        _drag(page, chance.randrange(len(boxes)), to)
        boxes, seen = _seen(page)
        assert boxes != before


def test_what_is_around_a_node_has_no_lines_through_boxes_either(opened: Opened) -> None:
    page = opened(_page(meshed(60)))

    page.locator(".node").nth(3).dblclick()
    page.locator(".node").nth(59).wait_for(state="detached")

    boxes, seen = _seen(page)
    assert 1 < len(boxes) < 60
    assert [line for line in seen["lines"] if list(touched(line, boxes))] == []


@pytest.mark.parametrize("number", [0, 3, 30])
def test_two_presses_mean_the_node_of_the_first_although_it_has_moved_meanwhile(number: int, opened: Opened) -> None:
    page = opened(_page(meshed(43)))
    page.locator(".whole").click()
    node = page.locator(".node").nth(number)
    box, label = node.bounding_box(), (node.get_attribute("aria-label") or "").partition(",")[0]
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    page.mouse.down()
    page.mouse.up()
    page.locator(".facts h3").wait_for()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)

    assert page.locator(".status").inner_text().split()[1] == "of"
    assert page.locator(".facts h3").inner_text().startswith(label)


def test_a_graph_too_large_to_be_placed_shows_what_is_around_its_busiest_node(opened: Opened) -> None:
    page = opened(_page(meshed(200)))

    boxes, seen = _seen(page)
    assert 1 < len(boxes) < 200
    assert page.locator(".status").inner_text().startswith(f"{len(boxes)} of 200 nodes")
    assert [line for line in seen["lines"] if list(touched(line, boxes))] == []


def test_nodes_are_reached_and_told_of_with_the_keyboard_alone(opened: Opened) -> None:
    graph = Graph(
        (GraphNode("a", "chat"), GraphNode("b", "users"), GraphNode("c", "mysql", "database")),
        (GraphEdge("a", "b", "7", facts=(("calls", "7"),)), GraphEdge("b", "c", "9", facts=(("calls", "9"),))),
    )
    page = opened(_page(graph))
    name = "document.activeElement.getAttribute('aria-label')"
    panel = page.locator(".facts")

    page.locator(".nearer").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(name) == "chat, service; calls users"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(name) == "users, service; calls mysql; called by chat"
    page.keyboard.press("Enter")
    told = panel.inner_text().split("\n")
    assert [line.replace("\t", " ") for line in told if line][-6:] == (
        ["Calls", "mysql", "calls 9", "Called by", "chat", "calls 7"]
    )
    page.keyboard.press("Escape")

    assert panel.is_hidden()
    assert page.evaluate(name) == "users, service; calls mysql; called by chat"


@pytest.mark.parametrize(("size", "seen"), [(5, [0, 1, 2, 3, 4]), (43, [3, 4, 1])])
def test_the_panel_hides_nothing_of_what_was_seen_or_is_told_of(size: int, seen: list[int], opened: Opened) -> None:
    page = opened(_page(meshed(size)))

    page.locator(".node").nth(seen[0]).click()

    page.wait_for_function("document.querySelector('.picture').clientWidth < 900")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = page.locator(".picture").bounding_box()
    assert picture is not None
    for number in seen:
        box = page.locator(".node").nth(number).bounding_box()
        assert box is not None
        assert picture["x"] <= box["x"]
        assert box["x"] + box["width"] <= picture["x"] + picture["width"]


@pytest.mark.parametrize("width", [390, 1280, 2560])
def test_forty_nodes_can_be_read_at_any_width(width: int, opened: Opened) -> None:
    page = opened(_page(meshed(43)), width)

    letters = page.evaluate("13 * document.querySelector('.scene').getCTM().a")
    assert letters > 9
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_names_that_are_markup_stay_names(opened: Opened) -> None:
    page = opened(_page(AWKWARD))

    page.locator(".node").nth(2).click()

    assert page.locator(".facts h3").inner_text() == "</script><script>alert(1)</script> messaging"
    assert page.evaluate("document.querySelectorAll('.scene script, .facts script, .scene b').length") == 0


def test_paper_shows_all_of_it(opened: Opened) -> None:
    page = opened(_page(meshed(43)), 390)

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    left, top, width, height = map(float, (page.locator(".picture").get_attribute("viewBox") or "").split())

    boxes, _ = _seen(page)
    assert min(box.left for box in boxes) >= left
    assert max(box.right for box in boxes) <= left + width
    assert min(box.top for box in boxes) >= top
    assert max(box.bottom for box in boxes) <= top + height
