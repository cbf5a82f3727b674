from __future__ import annotations

import numpy as np
import pytest

from traceq.analysis.comparison.batches import Batch, Gaps
from traceq.analysis.comparison.levels import Edges, caller_shares, find_edges
from traceq.analysis.group_sums import GroupKey
from traceq.semantics import Kind

KEYS = tuple(GroupKey(service, "x", Kind.SERVER, None) for service in ("a", "b", "c"))


def called(*pairs: tuple[int, int]) -> Batch:
    """Give calls between operations, each of another service."""
    callers, callees = (np.array([pair[side] for pair in pairs], dtype=np.int32) for side in (0, 1))
    ones = np.ones(len(pairs), dtype=np.int32)
    return Batch(operations=KEYS, gaps=Gaps(ones * 0, callers, callees, ones.astype(np.int64), ones))


def test_edges_are_those_of_both_sides() -> None:
    edges = find_edges(called((0, 1), (0, 1)), called((2, 1), (0, 1)))

    assert edges.services == ("a", "b", "c")
    assert (edges.callers.tolist(), edges.callees.tolist()) == ([0, 2], [1, 1])
    assert edges.of(called((2, 1), (0, 1)).gaps).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("growths", "expected"),
    [
        pytest.param([30], [0], id="of one callee alone nothing is told"),
        pytest.param([30, 30, 40], [1, 1, 0.75], id="what most gained is the caller's, the rest the callee's"),
        pytest.param([0, 0, 40], [0, 0, 0], id="one of three is to blame itself"),
        pytest.param([20, 30], [1, 2 / 3], id="of two medians the one nearer to nothing"),
        pytest.param([-20, 30], [0, 0], id="medians that disagree say nothing"),
        pytest.param([-20, -30, -10], [1, 2 / 3, 1], id="what most lost is the caller's too"),
    ],
)
def test_a_caller_takes_what_most_of_its_callees_gained(growths: list[float], expected: list[float]) -> None:
    size = len(growths)
    edges = Edges(("caller",), np.zeros(0, dtype=np.int64), np.zeros(size, dtype=np.int64), np.arange(size))
    calls = np.full(size, 2.0)

    shares = caller_shares(edges, (np.full(size, 80.0), calls), (80 + 2 * np.array(growths, dtype=float), calls))

    assert shares.tolist() == pytest.approx(expected)


def test_calls_of_one_side_alone_tell_nothing() -> None:
    edges = find_edges(called((0, 1), (0, 2)), called())
    none = np.zeros(2)

    assert caller_shares(edges, (np.array([5.0, 9.0]), np.ones(2)), (none, none)).tolist() == [0, 0]
