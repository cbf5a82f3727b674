from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.spread import Buckets, bucket_of, spread, value_of

durations = st.integers(0, 2**53)


def counts(values: list[int]) -> Buckets:
    return spread(np.array(values, dtype=np.int64)).counts


@given(durations)
def test_a_bucket_stands_for_its_values_to_one_percent(value_ns: int) -> None:
    shown = value_of(int(bucket_of(np.array([value_ns]))[0]))

    assert abs(shown - value_ns) <= value_ns * 0.01 + 0.5


@given(st.lists(durations, min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_value_of_that_rank_to_one_percent(values: list[int], quantile: float) -> None:
    exact = sorted(values)[max(1, math.ceil(quantile * len(values))) - 1]

    found = counts(values).percentile(quantile, min(values), max(values))

    assert abs(found - exact) <= exact * 0.01 + 0.5


@given(st.lists(durations), st.lists(durations))
def test_the_histogram_of_parts_adds_up_to_that_of_the_whole(some: list[int], others: list[int]) -> None:
    assert counts(some) + counts(others) == counts(some + others)


def test_sums_are_split_at_a_bucket() -> None:
    amounts = Buckets((1, 2, 5), (10, 30, 70))

    assert list(amounts.items()) == [(1, 10), (2, 20), (5, 40)]
    assert (amounts.sum_from(2), amounts.sum_to(2), amounts.total) == (60, 30, 70)
    assert (amounts.sum_from(3), amounts.sum_to(0), amounts.sum_from(6)) == (40, 0, 0)


def test_an_empty_histogram_has_no_percentiles() -> None:
    with pytest.raises(ValueError, match="an empty histogram has no percentiles"):
        Buckets().bucket_at(0.5)
