from __future__ import annotations

import math

import numpy as np
import pytest

from tests.builders import traces
from traceq.analysis.comparison.batches import match, on_one_table
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.comparison.measuring import Estimate, Sides, amounts, estimate, estimate_specs
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
