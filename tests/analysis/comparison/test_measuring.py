from __future__ import annotations

import math

import numpy as np
import pytest

from tests.builders import traces
from traceq.analysis.comparison.batches import Batch, on_one_table
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.comparison.dealing import amounts
from traceq.analysis.comparison.levels import find_edges, measure
from traceq.analysis.comparison.measuring import (
    Chance,
    Estimate,
    Sides,
    estimate,
    estimate_specs,
    pair,
    reach_of,
    settled,
)
from traceq.analysis.requests import RequestOptions
from traceq.report import document


def test_amounts_add_up_by_request_and_group_and_then_by_weight() -> None:
    found = amounts(np.array([0, 1, 0, 2, 0]), np.array([1, 1, 1, 3, 0]), np.array([2.0, 3, 4, 5, 7]), 5)

    assert (found.groups.tolist(), found.heads.tolist(), found.size) == ([0, 1, 3], [0, 1, 3], 5)
    assert (found.requests.tolist(), found.values.tolist()) == ([0, 0, 1, 2], [7, 6, 3, 5])
    assert found.sums(np.array([0.5, 1, 2])).tolist() == [3.5, 6, 0, 10, 0]
    assert found.squares(np.array([0.5, 1, 2])).tolist() == [24.5, 27, 0, 50, 0]


def test_nothing_adds_up_to_nothing() -> None:
    none = np.zeros(0, dtype=np.int64)

    assert amounts(none, none, np.zeros(0), 2).sums(np.zeros(0)).tolist() == [0, 0]


def sides(before_ns: list[int], after_ns: list[int]) -> Sides:
    cohorts = [
        collect(
            traces({f"{prefix}{at}": [("1", None, 0, length)] for at, length in enumerate(lengths)}), RequestOptions()
        )
        for prefix, lengths in (("a", before_ns), ("b", after_ns))
    ]
    one, other = on_one_table(cohorts[0].batches, cohorts[1].batches)
    return pair(one, other)


def measured(both: Sides) -> Estimate:
    columns = [batch.requests.latency_ns.astype(float) for batch in (both.before, both.after)]
    alone = [np.arange(column.size) for column in columns]
    first, second = (amounts(at, at * 0, column, 1) for at, column in zip(alone, columns, strict=True))
    ((found,),), _ = estimate(both, (((first, second),),))
    return found


def test_what_every_request_gained_alike_is_sure() -> None:
    found = measured(sides([10] * 6, [30] * 6))

    assert [found.before, found.after] == pytest.approx([10, 30])
    assert (found.is_sure, found.is_likely, found.effect) == (True, True, None)


def test_the_effect_is_told_in_deviations_of_single_requests() -> None:
    found = measured(sides([10, 30] * 10, [40, 60] * 10))

    assert found.effect == pytest.approx(30 / 10)


def test_of_few_requests_nothing_is_sure() -> None:
    found = measured(sides([10] * 4, [30] * 40))

    assert (found.low, found.high, found.is_likely) == (-math.inf, math.inf, False)
    assert document(estimate_specs("", lambda one: one, is_time=True), found) == {
        "before_ns": 10,
        "after_ns": 30,
        "change_ns": 20,
        "change_low_ns": None,
        "change_high_ns": None,
        "is_sure": False,
        "is_likely": False,
        "effect_size": None,
    }


def chance(replicates: list[list[float]], changes: list[float], shares: list[float]) -> Chance:
    return Chance(np.array(replicates), np.array(changes), np.full(len(changes), 99.0), np.array(shares))


NONE_LEFT = [0.0] * 4


def test_the_reach_is_the_greatest_change_of_39_of_40_deals_in_deviations() -> None:
    found = chance([[1.0, 0], [-1, 0], [1, 4], [-1, -4]], [0, 0], NONE_LEFT)

    assert found.deviations.tolist() == [1, math.sqrt(8)]
    assert found.greatest().tolist() == pytest.approx([1, 1, math.sqrt(2), math.sqrt(2)])
    assert reach_of(np.arange(100.0)) == 97
    assert reach_of(np.arange(20.0)) == 19


def test_a_change_that_chance_does_not_reach_is_sure_and_others_have_intervals_over_0() -> None:
    found = chance([[1.0] * 3, [-1] * 3, [1] * 3, [-1] * 3], [2.5, 2, -1], NONE_LEFT)

    low, high = found.intervals(2)

    assert (low.tolist(), high.tolist()) == ([0.5, 0, -3], [4.5, 4, 1])


def test_what_deals_left_in_place_widens_no_interval() -> None:
    found = chance([[11.0], [-11], [9], [-9]], [10], [1.0, -1, 1, -1])

    # Of each deal's change 10 are what changed; 1 is chance. But deals do reach a change of 10.05.
    assert [end.tolist() for end in found.intervals(0.9)] == [[9.1], [10.9]]
    assert [end.tolist() for end in found.intervals(1)] == [[0], [20]]


def test_what_lost_spans_may_explain_widens_intervals_and_is_not_sure() -> None:
    dealt = np.array([[1.0], [-1], [1], [-1]])

    ends = [
        Chance(dealt, np.array([4.0]), np.array([99.0]), np.zeros(4), lost).intervals(2) for lost in (0.0, 1.5, 2.0)
    ]

    assert [[end.item() for end in bounds] for bounds in ends] == [[2, 6], [0.5, 7.5], [0, 8]]


def test_spans_are_lost_where_more_of_those_with_others_below_them_are_missing() -> None:
    def batch(prefix: str, complete: int, cut: int) -> Batch:
        whole = [("1", None, 0, 1000), ("2", "1", 0, 900), ("3", "2", 0, 800)]
        made = {f"{prefix}{at}": whole[:1] + whole[1 + (at >= complete) :] for at in range(complete + cut)}
        return collect(traces(made), RequestOptions()).batches[0]

    one, other = on_one_table([batch("a", 10, 0)], [batch("b", 6, 4)])

    # Of the ten traces after, six have two spans with others below, and four name one that is missing.
    assert (one.missing_ratio, other.missing_ratio) == (0, 4 / 16)
    assert pair(one, other).lost_ns == pytest.approx(1000 * 4 / 16)
    assert pair(other, one).lost_ns == pair(one, other).lost_ns


def test_lost_spans_widen_intervals_of_time_alone() -> None:
    def batch(prefix: str, complete: int, cut: int) -> Batch:
        whole = [("1", None, 0, 10**6), ("2", "1", 0, 900_000), ("3", "2", 0, 800_000)]
        made = {f"{prefix}{at}": whole[:1] + whole[1 + (at >= complete) :] for at in range(complete + cut)}
        return collect(traces(made), RequestOptions()).batches[0]

    one, other = on_one_table([batch("a", 20, 0)], [batch("b", 12, 8)])
    measured = measure(pair(one, other), find_edges(one, other))

    assert all(each.high - each.low > 10_000 for each in measured.operation_held)
    assert all(each.high - each.low < 10 for each in (*measured.operation_calls, *measured.operation_errors))


def test_what_rounding_makes_is_no_change_and_no_deviation() -> None:
    found = Chance(np.array([[1e-16], [-3e-16]]), np.array([0.0]), np.array([2.0]), np.zeros(2))

    assert settled(np.array([1e-12, -1e-12, 1e-6, 0]), np.array([1.0, 1, 1, 0])).tolist() == [0, 0, 1e-6, 0]
    assert (found.deviations.tolist(), [end.tolist() for end in found.intervals(3)]) == ([0], [[0], [0]])


def test_a_change_in_fewer_than_five_requests_of_both_sides_is_never_sure() -> None:
    rare, frequent = (measured(sides([0] * 300, [0] * (20 - count) + [100] * count)) for count in (4, 5))

    assert (rare.change, rare.low, rare.high, rare.is_sure, rare.is_likely) == (20, -math.inf, math.inf, False, False)
    assert (frequent.change, frequent.is_sure) == (25, True)


@pytest.mark.parametrize(
    ("change", "deviation", "weight"),
    [(10.0, 2.0, 50.0), (-10.0, 2.0, -50.0), (10.0, 0.0, 1000.0), (0.0, 0.0, 0.0), (10.0, math.inf, 10.0)],
)
def test_a_change_weighs_more_the_less_chance_reaches_it(change: float, deviation: float, weight: float) -> None:
    assert Estimate(5, 5 + change, 0, 0, False, deviation).weight == weight  # noqa: FBT003  only the change matters
