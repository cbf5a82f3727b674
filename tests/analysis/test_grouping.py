"""Numbers for groups agree with the plain way to find them."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from traceq.analysis.grouping import (
    added,
    distinct,
    flags_at,
    least_by_group,
    most_by_group,
    moved,
    numbered,
    numbered_rows,
    sum_by_group,
)

close = st.integers(-3, 9)
anywhere = st.integers(-(2**40), 2**40)


@given(st.lists(close) | st.lists(anywhere))
@example([])
@example([7])
@example([2**40, -(2**40)])
def test_codes_are_numbered_in_rising_order(codes: list[int]) -> None:
    found, numbers = numbered(np.array(codes, dtype=np.int64))

    assert found.tolist() == sorted(set(codes))
    assert found[numbers].tolist() == codes
    assert distinct(np.array(codes, dtype=np.int64)).tolist() == found.tolist()


@given(st.lists(st.tuples(close, st.integers(-1, 2**30), st.integers(0, 1))))
@example([])
def test_rows_are_numbered_in_rising_order(rows: list[tuple[int, int, int]]) -> None:
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T

    places, numbers = numbered_rows(*columns)

    assert [rows[place] for place in places.tolist()] == sorted(set(rows))
    assert [rows[place] for place in places[numbers].tolist()] == rows


def test_groups_are_added_up_exactly_and_moved() -> None:
    sums = sum_by_group(np.array([1, 0, 1]), np.array([2**60, 5, 1]), 3)

    assert sums.tolist() == [5, 2**60 + 1, 0]
    assert moved(sums, np.array([3, 0, 1]), 4, empty=-1).tolist() == [2**60 + 1, 0, -1, 5]


class Counted(Struct, frozen=True):
    count: int
    names: tuple[str, ...]
    longest_ns: int = 0


def test_values_add_field_by_field_but_for_what_is_told() -> None:
    one, other = Counted(2, ("a",), 9), Counted(3, ("b",), 4)

    assert added(one, other, longest_ns=max(one.longest_ns, other.longest_ns)) == Counted(5, ("a", "b"), 9)


def test_flags_and_values_are_put_where_rows_say() -> None:
    rows = np.array([3, 0], dtype=np.int64)

    assert flags_at(rows, 4).tolist() == [True, False, False, True]
    assert moved(np.array([7, 9]), rows, 4, -1).tolist() == [9, -1, -1, 7]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-9, 9)), max_size=20))
def test_extremes_by_group_are_those_of_each_group_alone(pairs: list[tuple[int, int]]) -> None:
    groups, values = np.array(pairs, dtype=np.int64).reshape(-1, 2).T

    least, most = least_by_group(groups, values, 4, 5), most_by_group(groups, values, 4, 0)

    assert least.tolist() == [min([5, *(value for group, value in pairs if group == number)]) for number in range(4)]
    assert most.tolist() == [max([0, *(value for group, value in pairs if group == number)]) for number in range(4)]
