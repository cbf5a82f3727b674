from __future__ import annotations

from itertools import permutations
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.laws import examples
from tests.render.graphs import meshed
from tests.render.terminal import picture_cells, samples
from tests.render.terminal.drawing import lines
from traceq.report import Graph, GraphEdge, GraphNode, Matrix


def _graph(calls: list[tuple[int, int]], *, is_async: bool = False) -> Graph:
    """A graph whose labels can be distinguished from each other."""
    ids = sorted({node for call in calls for node in call})
    nodes = tuple(GraphNode(str(node), f"node-{node}-") for node in ids)
    return Graph(nodes, tuple(GraphEdge(str(a), str(b), f"call-{n}-", is_async) for n, (a, b) in enumerate(calls)))


_CALLS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=16)


@examples(2)
@given(_CALLS, st.sampled_from([60, 120, 200]), st.sampled_from(["", "ascii", "async"]))
def test_every_label_is_in_the_drawing(calls: list[tuple[int, int]], width: int, special: str) -> None:
    graph = _graph(calls, is_async=special == "async")

    drawn = "\n".join(lines(graph, width, is_ascii=special == "ascii"))

    for label in (*(node.label for node in graph.nodes), *(edge.label for edge in graph.edges)):
        assert label in drawn


@examples(2)
@given(_CALLS)
def test_wires_only_cross_and_touch_no_box(calls: list[tuple[int, int]]) -> None:
    picture_cells.assert_clean(_graph(calls))


@examples(0.5)
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


@pytest.mark.parametrize("size", [4, 15, 60])
def test_pictures_of_any_size_have_every_label_and_no_wire_in_a_box(size: int) -> None:
    graph = meshed(size)

    drawn = "\n".join(lines(graph, 2_000))

    assert "┌" in drawn
    for label in (*(node.label for node in graph.nodes), *(edge.label for edge in graph.edges)):
        assert label in drawn
    picture_cells.assert_clean(graph)


def test_short_labels_are_used_where_the_width_asks_for_them_and_said_to_be_short() -> None:
    nodes = (GraphNode("a", "a-service", short_label="a"), GraphNode("k", "kafka x", "messaging", "kafka", "x"))
    graph = Graph(nodes, (GraphEdge("a", "k", "kafka 12", short_label="12"),), short_note="names without -service")

    assert lines(graph, 40)[1] == " │ a-service │─ kafka 12 ─▶║ kafka x ║"
    assert lines(graph, 30)[1:3] == [" │ a │─ 12 ─▶║ kafka ║", " └───┘       ║ x     ║"]
    assert lines(graph, 30)[-1].endswith("names without -service")


def test_a_matrix_has_a_row_a_caller_and_a_column_a_callee() -> None:
    nodes = tuple(GraphNode(name, name) for name in ("alpha", "beta", "gamma"))
    edges = (GraphEdge("alpha", "beta", "http 12", short_label="12"), GraphEdge("beta", "beta", "3"))
    more = (GraphEdge("alpha", "gamma", "7"), GraphEdge("alpha", "gamma", "2", is_async=True))

    assert lines(Matrix(nodes, (*edges, *more))) == [
        "           2    3",
        " 1 alpha  12  7+2",
        " 2 beta    3    ·",
        " 3 gamma",
    ]


def test_a_matrix_that_is_too_wide_goes_on_below() -> None:
    nodes = tuple(GraphNode(f"{number:02}", f"n{number:02}") for number in range(30))
    edges = tuple(GraphEdge("00", node.node_id, "1000") for node in nodes)

    drawn = lines(Matrix(nodes, edges), 40)

    assert "".join(drawn).count("1000") == 30
    assert max(map(len, drawn)) <= 40


def test_too_large_and_too_wide_graphs_are_trees() -> None:
    assert lines(samples.GRAPHS["thirty"])[1] == " ├─ leaf-00  0"
    assert lines(samples.GRAPHS["chain"], width=30)[:2] == [" a", " └─ b        10"]


def test_a_picture_that_was_asked_for_and_does_not_fit_is_explained() -> None:
    graph = Graph(samples.GRAPHS["chain"].nodes, samples.GRAPHS["chain"].edges, "graph")

    assert lines(graph, width=60)[0].startswith(" ┌───┐")
    assert lines(graph, width=30)[-2:] == [" drawn as a tree: boxes and", " arrows do not fit 30 columns"]


def test_a_tree_that_was_asked_for_is_drawn() -> None:
    diamond = samples.GRAPHS["diamond"]

    assert lines(Graph(diamond.nodes, diamond.edges, "tree")) == [
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


@given(_CALLS, st.integers(40, 200), st.sampled_from(["auto", "tree", "graph"]))
def test_every_edge_is_drawn_or_told_to_be_left_out(
    calls: list[tuple[int, int]], width: int, view: Literal["auto", "tree", "graph"]
) -> None:
    whole = replace(_graph(calls), view=view)
    edges = whole.edges[: len(whole.edges) // 2]
    ends = {end for edge in edges for end in (edge.source, edge.target)}
    nodes = tuple(node for node in whole.nodes if node.node_id in ends)
    told = f"the busiest {len(edges)} of {len(whole.edges)} edges"
    part = Graph(nodes, edges, view, whole=whole, left_out=told)

    drawn = " ".join(lines(part, width))

    labels = [f"call-{number}-" for number in range(len(calls))]
    shown = sum(label in drawn for label in labels)
    assert shown == len(edges) if "the busiest" in drawn else shown == len(labels)
