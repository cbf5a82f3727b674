from __future__ import annotations

import math

import numpy as np
import pytest

from tests.builders import traces
from traceq.analysis.comparison.batches import match, on_one_table
from traceq.analysis.comparison.cohorts import collect, stable_hash
from traceq.analysis.comparison.measuring import (
    REPLICATES,
    Estimate,
    Sides,
    amounts,
    drawn,
    estimate,
    estimate_specs,
    intervals,
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
    return Sides(one, other, match(one, other))


def measured(both: Sides) -> Estimate:
    columns = [batch.requests.latency_ns.astype(float) for batch in (both.before, both.after)]
    alone = [np.arange(column.size) for column in columns]
    first, second = (amounts(at, at * 0, column, 1) for at, column in zip(alone, columns, strict=True))
    ((found,),) = estimate(both, ((first, second),))
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


YES = np.array([True])


def test_a_trace_is_drawn_as_its_hash_says() -> None:
    seed = np.array([1234567, 0, 1234567], dtype=np.uint64)

    # SplitMix64 from this seed, as published: 0.35, 0.17, 0.53, 0.25 and 0.89 of 2^64; Poisson's steps are at 0.37,
    # 0.74 and 0.92.
    first, other, again = zip(*(drawn(seed, replicate).tolist() for replicate in range(5)), strict=True)
    assert first == again == (0, 0, 1, 0, 2)
    assert other != first


def test_traces_are_drawn_once_on_average_with_a_variance_of_one() -> None:
    hashes = np.array([stable_hash(str(number)) for number in range(500)], dtype=np.uint64)

    times = np.stack([drawn(hashes, replicate) for replicate in range(REPLICATES)])

    assert times.mean() == pytest.approx(1, abs=0.02)
    assert times.var() == pytest.approx(1, abs=0.02)


def test_the_interval_reaches_as_far_as_replicates_deviate() -> None:
    replicates = np.array([[10.0 + number % 5 - 2] for number in range(100)])

    low, high, likely = intervals(np.array([10.0]), replicates, np.array([20.0]), YES)

    assert (low.tolist(), high.tolist(), likely.tolist()) == ([8], [12], [True])


def test_replicates_that_do_not_deviate_count_half_on_either_side() -> None:
    rare = np.array([[0.0]] * 96 + [[1.0]] * 2 + [[-1.0]] * 2)

    changes = [intervals(np.array([size]), rare + size, np.array([9.0]), YES) for size in (0.39, 0.4)]

    # Half of 96 and 2 make 50, so a deviation is sqrt(2 / 50): 0.2.
    assert [likely.tolist() for *_, likely in changes] == [[False], [True]]


def test_of_many_changes_the_most_uncertain_one_bounds_all() -> None:
    steady = [1.0, -1.0] * 50
    tailed = [0.1, -0.1] * 40 + [4.0, -4.0] * 10
    replicates = np.array([steady, tailed]).T
    none, sizes = np.zeros(2), np.full(2, 100.0)

    alone, _, _ = intervals(none, replicates, sizes, np.array([True, False]))
    together, _, _ = intervals(none, replicates, sizes, np.array([True, True]))

    assert alone[0] == -1
    assert together[0] < -2


def test_a_change_within_two_deviations_may_be_chance() -> None:
    replicates = np.array([[value] for value in (0.0, 2.0) * 50])

    ends = [intervals(np.array([change]), replicates - 1 + change, np.array([9.0]), YES) for change in (1.9, 2.0, -2.0)]

    assert [likely.tolist() for *_, likely in ends] == [[False], [True], [True]]


def test_what_rounding_makes_is_no_change_and_no_deviation() -> None:
    settled_ones = settled(np.array([1e-12, -1e-12, 1e-6, 0]), np.array([1.0, 1, 1, 0]))
    low, high, likely = intervals(np.array([0.0]), np.array([[1e-16], [-3e-16], [0.0]]), np.array([2.0]), YES)

    assert settled_ones.tolist() == [0, 0, 1e-6, 0]
    assert (low.tolist(), high.tolist(), likely.tolist()) == ([0], [0], [False])


def test_without_anything_that_counts_changes_stand_as_they_are() -> None:
    low, high, likely = intervals(np.array([0.0, 3.0]), np.zeros((4, 2)), np.zeros(2), np.array([False, False]))

    assert (low.tolist(), high.tolist(), likely.tolist()) == ([0, 3], [0, 3], [False, True])
