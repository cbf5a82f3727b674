from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import span, trace
from traceq.analysis.dependencies import Dependencies, from_jaeger
from traceq.analysis.graph_questions import around, busiest, busy, collapse, cycles, ways
from traceq.catalog import ServiceCall
from traceq.library import dependencies
from traceq.semantics import Kind, Status


def graph(*edges: str, counts: Sequence[int] = ()) -> Dependencies:
    """Make a graph of services with names of one letter."""
    numbers = counts or [1] * len(edges)
    return from_jaeger([ServiceCall(edge[0], edge[1], number) for edge, number in zip(edges, numbers, strict=True)])


def drawn(found: Dependencies) -> list[str]:
    return [f"{call.caller}{call.callee}" for call in found.calls]


RING = graph("AB", "AC", "BC", "CA", "CC", "DA", "CE", "EF")
ANY = st.lists(st.tuples(st.sampled_from("ABCDEF"), st.sampled_from("ABCDEF")), max_size=14).map(
    lambda pairs: graph(*("".join(pair) for pair in pairs))
)


def test_every_edge_among_the_chosen_services_is_kept() -> None:
    near = around(RING, "A", 2, 2)

    assert near.services == ("A", "B", "C", "D", "E")
    assert drawn(near) == ["AB", "AC", "BC", "CA", "CC", "CE", "DA"]


@pytest.mark.parametrize(("up", "down", "kept"), [(0, 0, "A"), (1, 0, "ACD"), (0, 1, "ABC"), (0, 2, "ABCE")])
def test_up_and_down_are_counted_apart(up: int, down: int, kept: str) -> None:
    assert around(RING, "A", up, down).services == tuple(kept)


def test_a_service_that_is_not_there_has_nothing_around_it() -> None:
    with pytest.raises(ValueError, match="no service named 'X' among the dependencies"):
        around(RING, "X", 1, 1)


def test_rare_and_flawless_calls_can_be_left_out() -> None:
    failing = dependencies(
        trace(
            span("1", None, 0, 9, service="A"),
            span("2", "1", 0, 9, service="B", status=Status.ERROR),
            span("3", "1", 0, 9, service="C"),
        )
    )

    assert drawn(busy(graph("AB", "BC", counts=(5, 2)), 3)) == ["AB"]
    assert (drawn(busy(failing, 1, failing_only=True)), busy(failing, 2).nodes) == (["AB"], ())


def test_the_busiest_edges_are_those_with_most_calls_as_far_as_nodes_go() -> None:
    found = busiest(graph("AB", "BC", "CD", "AC", counts=(1, 9, 8, 7)), most_nodes=3, most_calls=9)

    assert drawn(found) == ["BC", "CD"]
    assert drawn(busiest(graph("AB", "BC", counts=(1, 9)), most_nodes=3, most_calls=1)) == ["BC"]


def test_collapsed_services_are_one_that_calls_itself() -> None:
    found = collapse(graph("AB", "BC", "CA", "CD", counts=(1, 2, 4, 8)), ["[AB]", "D?"])

    assert [(call.caller, call.callee, call.call_count) for call in found.calls] == [
        ("C", "D", 8),
        ("C", "[AB]", 4),
        ("[AB]", "C", 2),
        ("[AB]", "[AB]", 1),
    ]


@given(ANY)
def test_collapsing_loses_no_call(found: Dependencies) -> None:
    collapsed = collapse(found, ["[A-C]", "[C-F]"])

    assert sum(call.call_count for call in collapsed.calls) == sum(call.call_count for call in found.calls)


def test_ways_are_told_shortest_first_and_up_to_two_calls_longer() -> None:
    found = ways(graph("AD", "AB", "BD", "BC", "CD", "DE", "EA", "AE"), "A", "D")

    assert ["".join(way.names) for way in found] == ["AD", "ABD", "ABCD"]
    assert ways(graph("AB"), "B", "A") == ()
    assert ways(graph("AB"), "A", "A") == ()


@given(ANY)
def test_a_way_is_made_of_calls_one_after_the_other_and_comes_to_no_node_twice(found: Dependencies) -> None:
    for way in ways(found, "A", "F"):
        pairs = [(call.caller, call.callee) for call in way.calls]
        assert pairs == list(zip(way.names[:-1], way.names[1:], strict=True))
        assert (way.names[0], way.names[-1]) == ("A", "F")
        assert set(way.calls) <= set(found.calls)


def test_cycles_are_groups_that_all_reach_each_other_and_self_calls() -> None:
    found = cycles(RING).cycles

    assert [("".join(cycle.names), "".join(cycle.example)) for cycle in found] == [("ABC", "ACA"), ("C", "CC")]


def test_a_message_on_the_way_keeps_a_cycle_from_waiting_for_itself() -> None:
    found = cycles(
        dependencies(
            trace(
                span("1", None, 0, 9, service="A", kind=Kind.PRODUCER),
                span("2", "1", 0, 9, service="B", kind=Kind.CONSUMER),
                span("3", "2", 0, 9, service="A", kind=Kind.SERVER),
            )
        )
    ).cycles

    assert [(cycle.names, cycle.is_blocking) for cycle in found] == [(("A", "B"), False)]


@given(ANY)
def test_nodes_are_in_one_cycle_exactly_when_they_reach_each_other(found: Dependencies) -> None:
    reach = {name: set(around(found, name, 0, 99).services) for name in found.services}

    groups = [set(cycle.names) for cycle in cycles(found).cycles if len(cycle.names) > 1]

    for one in found.services:
        for other in found.services:
            together = any({one, other} <= group for group in groups)
            assert together == (one in reach[other] and other in reach[one] and (one != other or together))


def test_a_chain_of_two_thousand_is_walked_without_recursion() -> None:
    chain = from_jaeger([ServiceCall(f"{number:05}", f"{number + 1:05}", 1) for number in range(2_000)])

    assert cycles(chain).cycles == ()
    assert len(ways(chain, "00000", "02000")[0].calls) == 2_000
