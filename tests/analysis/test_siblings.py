from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.siblings import Calls, last_lower, replay


@given(st.lists(st.integers(0, 30), min_size=1), st.data())
def test_agrees_with_a_plain_search(values: list[int], data: st.DataObject) -> None:
    searches = data.draw(st.lists(st.tuples(st.integers(-1, len(values) - 1), st.integers(0, 31))))
    upto, below = np.array(searches, dtype=np.int64).reshape(-1, 2).T

    found = last_lower(np.array(values, dtype=np.int64), upto, below)

    expected = [max((at for at in range(end + 1) if values[at] < bound), default=-1) for end, bound in searches]
    assert found.tolist() == expected


def test_far_away_is_found_without_many_steps() -> None:
    size = 100_000
    values = np.ones(size, dtype=np.int64)
    values[0] = 0

    found = last_lower(values, np.arange(size, dtype=np.int64), np.ones(size, dtype=np.int64))

    assert not found.any()


Call = tuple[str, int, int, int]
"""A name, start and end, and the new duration."""


def replayed(*calls: Call, unordered: frozenset[str] = frozenset()) -> tuple[dict[str, int], int]:
    """Give when calls begin now, and what their caller saves; `ab` in `unordered`: b does not wait for a."""
    names = [name for name, *_ in calls]
    _, starts, ends, lengths = zip(*calls, strict=True)
    pairs = frozenset((names.index(pair[0]), names.index(pair[1])) for pair in unordered)
    moves, saved_ns = replay(Calls(starts, ends, lengths, range(len(calls)), pairs))
    return {name: start + moved for name, start, moved in zip(names, starts, moves, strict=True)}, saved_ns


CHAINS: dict[str, tuple[tuple[Call, ...], frozenset[str], tuple[dict[str, int], int]]] = {
    "in turn": (
        (("a", 0, 40, 10), ("b", 42, 70, 28), ("c", 75, 90, 15)),
        frozenset(),
        ({"a": 0, "b": 12, "c": 45}, 30),
    ),
    "chains side by side": (
        (("a", 0, 40, 40), ("b", 0, 50, 25), ("c", 40, 70, 30), ("d", 50, 90, 40), ("e", 90, 99, 9)),
        frozenset(),
        ({"a": 0, "b": 0, "c": 40, "d": 25, "e": 70}, 20),
    ),
    "a fork after a join": (
        (("a", 0, 40, 40), ("b", 0, 50, 20), ("c", 50, 70, 20), ("d", 51, 60, 9)),
        frozenset(),
        ({"a": 0, "b": 0, "c": 40, "d": 41}, 10),
    ),
    "a chain of which others are over by chance": (
        (("a", 0, 30, 30), ("b", 0, 50, 10), ("c", 60, 90, 30)),
        frozenset(("ac",)),
        ({"a": 0, "b": 0, "c": 20}, 40),
    ),
    "begun by itself while nothing ran": (
        (("a", 0, 30, 10), ("b", 45, 90, 45)),
        frozenset(("ab",)),
        ({"a": 0, "b": 45}, 0),
    ),
    "a pool of two": (
        (("a", 0, 300, 150), ("b", 0, 400, 200), ("c", 301, 700, 200), ("d", 401, 600, 100)),
        frozenset(("ac", "bd", "ad", "bc", "ab", "cd")),
        ({"a": 0, "b": 0, "c": 151, "d": 201}, 349),
    ),
}


@pytest.mark.parametrize(("calls", "unordered", "expected"), CHAINS.values(), ids=CHAINS)
def test_calls_wait_for_what_their_chain_waited_for(
    calls: tuple[Call, ...], unordered: frozenset[str], expected: tuple[dict[str, int], int]
) -> None:
    assert replayed(*calls, unordered=unordered) == expected


@st.composite
def drawn(draw: st.DrawFn) -> Calls:
    count = draw(st.integers(1, 8))
    starts = sorted(draw(st.lists(st.integers(0, 60), min_size=count, max_size=count)))
    lengths = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    shares = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    new = [length * share // 4 for length, share in zip(lengths, shares, strict=True)]
    pairs = draw(st.frozensets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    return Calls(starts, ends, new, range(count), pairs)


@given(drawn())
def test_nothing_begins_later_and_nothing_saves_more_than_all_calls_together(calls: Calls) -> None:
    moves, saved_ns = replay(calls)

    old = [end - start for start, end in zip(calls.start_ns, calls.end_ns, strict=True)]
    assert all(moved <= 0 for moved in moves)
    assert 0 <= saved_ns <= sum(old) - sum(calls.new_ns)


@given(drawn())
def test_without_a_change_nothing_moves(calls: Calls) -> None:
    old = [end - start for start, end in zip(calls.start_ns, calls.end_ns, strict=True)]

    assert replay(Calls(calls.start_ns, calls.end_ns, old, calls.places, calls.unordered)) == ([0] * len(old), 0)
