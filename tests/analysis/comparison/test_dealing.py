"""Deals: what chance alone would make of the requests of two sides."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import examples
from traceq.analysis.comparison.batches import Batch, CohortRequests, Floats, TraceColumns, match
from traceq.analysis.comparison.cohorts import stable_hash
from traceq.analysis.comparison.dealing import DEALS, Deals, amounts, mixed
from traceq.analysis.group_sums import GroupKey
from traceq.semantics import Kind

_KEY = GroupKey("shop", "get", Kind.SERVER, None)


def side(*requests: tuple[str, int]) -> Batch:
    """Build requests from the ids of their traces and their kinds."""
    ids = sorted({trace for trace, _ in requests})
    return Batch(
        (_KEY,),
        TraceColumns(
            ids=np.array(ids, dtype=np.object_), hashes=np.array([stable_hash(trace) for trace in ids], dtype=np.uint64)
        ),
        CohortRequests(
            traces=np.array([ids.index(trace) for trace, _ in requests], dtype=np.int32),
            operations=np.zeros(len(requests), dtype=np.int32),
            reached=np.array([kind for _, kind in requests], dtype=np.uint64),
            latency_ns=np.ones(len(requests), dtype=np.int64),
            failed=np.zeros(len(requests), dtype=np.bool_),
        ),
    )


def named(prefix: str, count: int, kind: int = 1) -> list[tuple[str, int]]:
    return [(f"{prefix}{number}", kind) for number in range(count)]


def deals(before: Batch, after: Batch) -> Deals:
    return Deals(before, after, match(before, after))


def weights(found: Deals, number: int) -> tuple[Floats, Floats]:
    """Give the weight of each request, before and after."""
    sizes = (found.half, found.size - found.half)
    alone = [(np.arange(size) + first, np.arange(size)) for first, size in zip((0, found.half), sizes, strict=True)]
    level = [amounts(requests, groups, np.ones(groups.size), found.size) for groups, requests in alone]
    before, after = found(range(number, number + 1)).sums((level[0], level[1]))
    return before[0], after[0]


def test_the_order_of_a_deal_is_mixed_as_published() -> None:
    # SplitMix64 from this seed.
    first = [int(mixed(np.array([1234567], dtype=np.uint64), deal)[0]) for deal in range(3)]

    assert first == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_every_deal_has_as_many_requests_of_a_kind_on_each_side_as_there_were() -> None:
    found = deals(side(*named("a", 6), *named("b", 9, 2)), side(*named("c", 10), *named("d", 5, 2)))

    kinds = np.array([1] * 6 + [2] * 9 + [1] * 10 + [2] * 5)
    for number in range(len(found)):
        before, after = weights(found, number)
        assert [int(np.count_nonzero(before[kinds == kind])) for kind in (1, 2)] == [6, 9]
        assert [int(np.count_nonzero(after[kinds == kind])) for kind in (1, 2)] == [10, 5]
        assert not (before * after).any()
        assert np.allclose([before.sum(), after.sum()], 1)


def test_every_request_comes_to_either_side_as_often_as_the_sides_are_large() -> None:
    found = deals(side(*named("a", 10)), side(*named("b", 30)))

    shares = np.mean([weights(found, number)[1] > 0 for number in range(DEALS)], axis=0)

    assert abs(shares - 0.75).max() < 0.12
    assert abs(shares.mean() - 0.75) < 1e-9


def test_the_requests_of_a_trace_stay_together() -> None:
    twice = [request for request in named("a", 8) for _ in (0, 1)]
    found = deals(side(*twice), side(*[request for request in named("b", 8) for _ in (0, 1)]))

    for number in range(len(found)):
        comes_after = weights(found, number)[1] > 0
        assert (comes_after[::2] == comes_after[1::2]).all()


def test_a_trace_of_both_sides_comes_once_before_and_once_after() -> None:
    both = side(*named("a", 12))
    found = deals(both, both)

    for number in range(len(found)):
        comes_after = weights(found, number)[1] > 0
        assert (comes_after[:12] != comes_after[12:]).all()


@given(sizes=st.tuples(st.integers(5, 12), st.integers(5, 12)))
@examples(0.2)
def test_deals_of_swapped_sides_are_swapped(sizes: tuple[int, int]) -> None:
    one, other = side(*named("a", sizes[0])), side(*named("b", sizes[1]))
    found, swapped = deals(one, other), deals(other, one)

    for number in range(0, len(found), 20):
        there, back = weights(found, number), weights(swapped, number)
        assert np.roll(there[1], -sizes[0]).tolist() == back[0].tolist()
        assert np.roll(there[0], -sizes[0]).tolist() == back[1].tolist()
