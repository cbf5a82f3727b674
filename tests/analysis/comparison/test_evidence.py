from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.comparison.evidence import Difference, Sample, differences

ONE = np.zeros(1, dtype=np.int64)


def sample(*values: float, strata: Sequence[int] = ()) -> Sample:
    """Give one value of a single group for each request."""
    entries = np.array(strata or [0] * len(values), dtype=np.int64)
    seen = np.flatnonzero(values)
    return Sample(np.zeros_like(seen), entries[seen], np.array(values)[seen], np.zeros_like(entries), entries)


def told(before: Sample, after: Sample, *, are_shares: bool = False) -> Difference:
    (found,) = differences(before, after, ONE, are_shares=are_shares)
    return found


def test_a_share_that_grew_is_told_in_deviations_of_what_chance_makes_of_it() -> None:
    found = told(sample(*[0] * 20), sample(*[0] * 10, *[1] * 10), are_shares=True)

    # 10 of 40: 5 expected after, with a variance of 20 * 20 / 39 * 0.1875.
    assert (found.before, found.after, found.is_sure) == (0, 0.5, True)
    assert found.deviations == pytest.approx((10 - 5 - 0.5) / (400 / 39 * 0.1875) ** 0.5)


@pytest.mark.parametrize(
    ("before", "after", "is_sure"),
    [
        pytest.param(sample(*[1] * 5), sample(*[6] * 5), True, id="five requests, all of them otherwise"),
        pytest.param(sample(*[1] * 4), sample(*[6] * 40), False, id="four requests are never sure"),
        pytest.param(sample(*[0] * 20), sample(*[0] * 16, *[1] * 4), False, id="four of twenty may be chance"),
        pytest.param(sample(*[1] * 20), sample(*[1] * 19, 60), False, id="one request alone may be chance"),
        pytest.param(sample(*[1] * 20), sample(*[1] * 20), False, id="nothing differs"),
    ],
)
def test_a_difference_is_sure_where_hardly_any_deal_gives_it(before: Sample, after: Sample, *, is_sure: bool) -> None:
    assert told(before, after).is_sure == is_sure


def test_another_mix_of_entries_is_no_difference() -> None:
    before = sample(*[1] * 30, *[0] * 10, strata=[0] * 30 + [1] * 10)
    after = sample(*[1] * 10, *[0] * 30, strata=[0] * 10 + [1] * 30)

    assert told(before, after) == Difference(0.5, 0.5, 0, is_sure=False)


def test_an_entry_of_one_side_alone_is_not_compared() -> None:
    found = told(sample(*[1] * 9), sample(*[1] * 9, *[7] * 9, strata=[0] * 9 + [1] * 9))

    assert found == Difference(1, 1, 0, is_sure=False)


@pytest.mark.parametrize(
    ("after", "is_sure"),
    [
        # C(40, 6) deals, of which C(20, 6) have all six on one side: twice 0.0101; of seven, twice 0.00416.
        pytest.param(7, True, id="seven of twenty, once in 120 deals"),
        pytest.param(6, False, id="six of twenty, once in 50 deals"),
    ],
)
def test_deals_are_counted_where_few_requests_fail(after: int, *, is_sure: bool) -> None:
    found = told(sample(*[0] * 20), sample(*[0] * (20 - after), *[1] * after), are_shares=True)

    assert found.is_sure == is_sure


def test_deals_of_all_entries_are_counted_together() -> None:
    # Twice C(5, 3) / C(10, 3) in each entry alone, which nobody would be sure of; twice 1 / 12 / 12 / 12 together.
    strata = [number % 3 for number in range(15)]
    found = told(sample(*[0] * 15, strata=strata), sample(*[1] * 9, *[0] * 6, strata=strata), are_shares=True)

    assert found.is_sure


def test_what_could_never_be_sure_takes_nothing_from_others() -> None:
    def side(failed: int) -> Sample:
        groups = np.arange(101).repeat([failed, *[failed > 0] * 100])
        zeros = np.zeros(20, dtype=np.int64)
        return Sample(groups, groups * 0, np.ones(groups.size), zeros, zeros)

    found = differences(side(0), side(7), np.zeros(101, dtype=np.int64), are_shares=True)

    assert [line.is_sure for line in found] == [True, *[False] * 100]


def test_of_many_groups_each_needs_more() -> None:
    values = np.array([1.0] * 8)
    rows = np.arange(20)

    def many(groups: int, has_values: int) -> Sample:
        of = np.repeat(np.arange(groups), 8) if has_values else np.zeros(0, dtype=np.int64)
        zeros = np.zeros(of.size, dtype=np.int64)
        return Sample(of, zeros, np.tile(values, groups)[: of.size], rows * 0, rows * 0)

    alone = differences(many(1, 0), many(1, 1), ONE)
    together = differences(many(400, 0), many(400, 1), np.zeros(400, dtype=np.int64))

    assert [alone[0].is_sure, together[0].is_sure] == [True, False]
    assert alone[0].deviations == pytest.approx(together[0].deviations)


_VALUES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30)


@given(one=_VALUES, other=_VALUES, are_shares=st.booleans())
def test_swapped_sides_mirror_the_difference(
    one: list[tuple[int, int]], other: list[tuple[int, int]], *, are_shares: bool
) -> None:
    most = 1.0 if are_shares else 3.0
    sides = [
        sample(*(min(value, most) for value, _ in side), strata=[entry for _, entry in side]) for side in (one, other)
    ]

    there, back = (told(*pair, are_shares=are_shares) for pair in (sides, sides[::-1]))

    assert (there.before, there.after, there.is_sure) == pytest.approx((back.after, back.before, back.is_sure))
    assert there.deviations == pytest.approx(-back.deviations, abs=1e-9)


@given(_VALUES)
def test_a_side_against_itself_does_not_differ(one: list[tuple[int, int]]) -> None:
    side = sample(*(float(value) for value, _ in one), strata=[entry for _, entry in one])

    found = told(side, side)

    assert (found.change, found.deviations, found.is_sure) == pytest.approx((0, 0, False), abs=1e-9)
