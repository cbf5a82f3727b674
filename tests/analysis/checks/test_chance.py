from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.checks.chance import (
    Growth,
    Sample,
    adjusted,
    crowding,
    failure_growth,
    joined,
    mean_growth,
    percentile_growth,
    rank_growth,
    tail,
)


def sample(values: Sequence[int], first: int = 0) -> Sample:
    """Give values of one trace each, one after the other."""
    numbers = np.arange(first, first + len(values), dtype=np.int64)
    return Sample(np.array(values, dtype=np.int64), np.ones_like(numbers), numbers, numbers.astype(np.uint64))


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 24), st.integers(0, 13))
def test_tails_are_those_of_counting_every_draw(marked: int, others: int, drawn: int, least: int) -> None:
    drawn = min(drawn, marked + others)
    ways = sum(comb(marked, found) * comb(others, drawn - found) for found in range(least, min(marked, drawn) + 1))

    assert tail(marked, others, drawn, least) == pytest.approx(ways / comb(marked + others, drawn), abs=1e-12)


def test_tails_of_many_are_exact_too() -> None:
    assert tail(500_000, 500_000, 20, 20) == pytest.approx(0.5**20, rel=1e-3)
    assert tail(1_000_000, 1_000_000, 1_000_000, 500_000) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "values", [tuple(range(12)), (0, 0, 0, 1, 1, 2, 3, 3, 9, 50, 50, 700)], ids=["all differ", "ties"]
)
@pytest.mark.parametrize(
    "test",
    [
        lambda before, after: percentile_growth(before, after, 0.5),
        lambda before, after: percentile_growth(before, after, 0.8),
        rank_growth,
    ],
    ids=["p50", "p80", "ranks"],
)
def test_chance_is_never_told_too_small(test: Callable[[Sample, Sample], Growth], values: tuple[int, ...]) -> None:
    """Deal the values out in every possible way: a chance of c or less is told in at most that share of all deals."""
    everything = range(len(values))
    chances = sorted(
        test(
            sample([values[at] for at in everything if at not in second]), sample([values[at] for at in second])
        ).chance
        for second in combinations(everything, 6)
    )

    told = [(chance, (place + 1) / len(chances)) for place, chance in enumerate(chances)]
    slack = 1.35 if test is rank_growth else 1 + 1e-9  # ranks are compared by a normal distribution
    assert not [(chance, share) for chance, share in told if share > slack * chance and share > 0.001]


def test_failures_are_compared_exactly() -> None:
    before, after = sample([0] * 20), sample([1, 0, 0] * 6 + [0, 0])

    assert failure_growth(before, after).chance == pytest.approx(comb(20, 6) / comb(40, 6))
    assert failure_growth(after, before).chance == 1


@given(st.lists(st.integers(0, 1000), min_size=20, max_size=40), st.integers(2, 5))
def test_what_grows_twofold_in_every_value_has_grown_by_at_most_that(values: list[int], factor: int) -> None:
    before = sample([value + 1 for value in values])
    after = sample([factor * (value + 1) for value in values])

    growth = percentile_growth(before, after, 0.5)

    assert growth.low is None or growth.low <= factor
    assert percentile_growth(after, before, 0.5).chance > 0.3


def test_means_are_compared() -> None:
    before = sample([100, 110, 90, 105, 95] * 4)

    assert mean_growth(before, sample([120, 130, 110, 125, 115] * 4)).chance < 1e-7
    assert mean_growth(before, before).chance == pytest.approx(0.5)
    assert mean_growth(sample([5] * 9), sample([5] * 9)).chance == 1


def test_values_that_come_in_stretches_count_for_less() -> None:
    rng = np.random.default_rng(1)
    several = [(rng.random(400) < 0.2).astype(np.float64) for _ in range(20)]
    mixed = several[0]
    stretches = np.repeat((rng.random(20) < 0.2).astype(np.float64), 20)
    hashes = np.arange(400, dtype=np.uint64)

    found = sorted(crowding([(values, hashes)]) for values in several)
    assert (found[:14], sum(found) / 20 < 1.5) == ([1.0] * 14, True)
    assert crowding([(stretches, hashes)]) > 10
    assert crowding([(np.sort(mixed), np.repeat(np.uint64(7), 400))]) == 1, "one trace has no stretches"
    assert crowding([(mixed[:8], hashes[:8])]) == 1


def test_slow_requests_that_come_together_may_be_one_pause() -> None:
    """The same times, but in the one run they come one after the other, as if something had stood still once."""
    calm = sample([100 + number % 7 for number in range(100)])
    apart = sample([300 if number % 8 == 3 else 100 + number % 7 for number in range(100)])
    together = sample([300 if 40 <= number < 52 else 100 + number % 7 for number in range(100)])

    assert percentile_growth(calm, apart, 0.95).chance < 1e-3
    assert percentile_growth(calm, together, 0.95).chance > 0.1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_samples_are_the_same_in_whatever_order_they_were_collected(values: list[int]) -> None:
    whole = joined([sample(values)])
    parts = [sample([value], at) for at, value in enumerate(values)][::-1]

    found = joined(parts)

    assert [found.values.tolist(), found.start_ns.tolist()] == [whole.values.tolist(), whole.start_ns.tolist()]


def test_chances_are_adjusted_for_their_number() -> None:
    assert adjusted([0.5, 0.001, 0.02, 0.03]) == pytest.approx([0.5, 0.004, 0.06, 0.06])
    assert adjusted([]) == []
