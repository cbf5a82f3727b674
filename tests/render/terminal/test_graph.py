from __future__ import annotations

import sys
from itertools import permutations

import graphlay
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.render.terminal import picture_cells, samples
from tests.render.terminal.drawing import lines
from traceq.report import Graph, GraphEdge, GraphNode


def _graph(calls: list[tuple[int, int]], *, is_async: bool = False) -> Graph:
    """A graph whose labels can be told from each other."""
    ids = sorted({node for call in calls for node in call})
    nodes = tuple(GraphNode(str(node), f"node-{node}-") for node in ids)
    return Graph(nodes, tuple(GraphEdge(str(a), str(b), f"call-{n}-", is_async) for n, (a, b) in enumerate(calls)))


_CALLS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=16)


@settings(max_examples=200, deadline=None)
@given(_CALLS, st.sampled_from([60, 120, 200]), st.sampled_from(["", "ascii", "async"]))
def test_every_label_is_in_the_drawing(calls: list[tuple[int, int]], width: int, special: str) -> None:
    graph = _graph(calls, is_async=special == "async")

    drawn = "\n".join(lines(graph, width, is_ascii=special == "ascii"))

    for label in (*(node.label for node in graph.nodes), *(edge.label for edge in graph.edges)):
        assert label in drawn


@settings(max_examples=200, deadline=None)
@given(_CALLS)
def test_wires_only_cross_and_touch_no_box(calls: list[tuple[int, int]]) -> None:
    picture_cells.assert_clean(_graph(calls))


@settings(max_examples=50, deadline=None)
@given(_CALLS, st.randoms())
def test_the_order_of_the_input_does_not_matter(calls: list[tuple[int, int]], random: object) -> None:
    graph = _graph(calls)
    nodes, edges = list(graph.nodes), list(graph.edges)
    random.shuffle(nodes)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    random.shuffle(edges)  # type: ignore[attr-defined]

    assert lines(Graph(tuple(nodes), tuple(edges)), 200) == lines(graph, 200)


def test_small_graphs_are_pictures() -> None:
    for name in ("one", "self", "two-cycle", "chain", "diamond", "crossed", "skipping", "kinds", "fifteen"):
        assert "┌" in "".join(lines(samples.GRAPHS[name], 100)), name


@pytest.mark.parametrize(
    "calls", [list(permutations(range(3), 2)), [(0, 1)] * 3, [(0, 0)] * 2], ids=["all", "same", "own"]
)
def test_dense_graphs_are_pictures(calls: list[tuple[int, int]]) -> None:
    drawn = lines(_graph(calls), 120)

    assert "└" in drawn[-1]
    picture_cells.assert_clean(_graph(calls))


def test_too_large_and_too_wide_graphs_are_trees() -> None:
    assert lines(samples.GRAPHS["thirty"])[1] == " ├─ leaf-00  0"
    assert lines(samples.GRAPHS["chain"], width=40)[:2] == [" a", " └─ b        10"]


def test_a_picture_that_was_asked_for_and_does_not_fit_is_explained() -> None:
    graph = Graph(samples.GRAPHS["chain"].nodes, samples.GRAPHS["chain"].edges, "graph")

    assert lines(graph, width=60)[0].startswith(" ┌───┐")
    assert lines(graph, width=40)[-2:] == [" drawn as a tree: boxes and arrows do", " not fit 40 columns"]


@pytest.fixture(params=["missing", "failing"])
def _no_layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise graphlay.GraphlayError("no")

    if request.param == "missing":
        monkeypatch.setitem(sys.modules, "graphlay", None)
    else:
        monkeypatch.setattr(graphlay, "layout", fail)


@pytest.mark.usefixtures("_no_layout")
def test_a_tree_is_drawn_where_there_is_no_layout() -> None:
    assert lines(samples.GRAPHS["diamond"]) == [
        " a",
        " ├─ b     1",
        " │  └─ d  3",
        " └─ c     2",
        "    └─ d  4",
    ]


def test_the_tree_tells_cycles_repetitions_and_kinds() -> None:
    nodes = (GraphNode("db", "db", "database"), GraphNode("idle", "idle"))
    edges = tuple(
        GraphEdge(source, target, label, label == "later")
        for source, target, label in (
            ("a", "b", "1"),
            ("b", "a", "2"),
            ("b", "b", "3"),
            ("b", "db", "4"),
            ("root", "b", "later"),
            ("root", "c", ""),
            ("c", "b", "5"),
        )
    )

    assert lines(Graph(nodes, edges, "tree")) == [
        " root",
        " ├┄ b                 later, asynchronous",
        " │  ├─ a              2",
        " │  │  └─ b (cycle)   1",
        " │  ├─ b (itself)     3",
        " │  └─ db (database)  4",
        " └─ c",
        "    └─ b (see above)  5",
        " idle",
    ]


def test_a_pure_cycle_starts_with_the_first_by_name() -> None:
    graph = Graph((), (GraphEdge("y", "x", "1"), GraphEdge("x", "y", "2")), "tree")

    assert lines(graph) == [" x", " └─ y             2", "    └─ x (cycle)  1"]
