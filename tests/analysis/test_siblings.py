from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.siblings import last_lower


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
