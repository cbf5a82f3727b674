from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.arbitrary import tables
from traceq.analysis.columns import columns
from traceq.analysis.grouping import TimeKeys, depths, find_roots, fold_ancestors, sum_by_run
from traceq.traces import Traces


def ancestors(traces: Traces, row: int) -> list[int]:
    found = [row]
    while traces.parents[found[-1]] >= 0:
        found.append(traces.parents[found[-1]])
    return found


@given(tables())
def test_walks_agree_with_going_up_step_by_step(traces: Traces) -> None:
    spans = columns(traces)
    lineages = [ancestors(traces, row) for row in range(traces.span_count)]

    assert depths(spans.parents).tolist() == [len(lineage) - 1 for lineage in lineages]
    assert find_roots(spans.parents).tolist() == [lineage[-1] for lineage in lineages]
    latest = fold_ancestors(spans.parents, spans.start_ns, np.maximum).tolist()
    assert latest == [max(traces.start_ns[row] for row in lineage) for lineage in lineages]


@given(st.lists(st.tuples(st.integers(0, 1000), st.one_of(st.integers(0, 50), st.integers(0, 2**62 - 1))), min_size=1))
def test_keys_sort_by_group_then_time_and_give_both_back(pairs: list[tuple[int, int]]) -> None:
    groups, times = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    keys = TimeKeys(1001, times)

    encoded = keys.key(groups, times)

    assert [pairs[at] for at in np.argsort(encoded, kind="stable")] == sorted(pairs)
    assert keys.time(encoded).tolist() == times.tolist()


def test_runs_are_added_up_exactly() -> None:
    groups = np.array([0, 0, 3, 3, 3], dtype=np.int64)
    values = np.array([2**61, 1, 5, 6, 7], dtype=np.int64)

    assert sum_by_run(groups, values, 5).tolist() == [2**61 + 1, 0, 0, 18, 0]
    assert sum_by_run(groups[:0], values[:0], 2).tolist() == [0, 0]
