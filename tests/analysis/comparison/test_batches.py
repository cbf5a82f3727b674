from __future__ import annotations

import numpy as np
import pytest

from traceq.analysis.comparison.batches import Batch, CohortRequests, match, unmatched_operations
from traceq.analysis.group_sums import GroupKey
from traceq.semantics import Kind

GET, PUT = (GroupKey("shop", name, Kind.SERVER, None) for name in ("get", "put"))


def requests(*kinds: tuple[int, int]) -> Batch:
    """Give requests by the number of their entry operation and what they reached."""
    entries, reached = zip(*kinds, strict=True) if kinds else ((), ())
    size = len(kinds)
    columns = CohortRequests(
        traces=np.arange(size, dtype=np.int32),
        operations=np.array(entries, dtype=np.int32),
        reached=np.array(reached, dtype=np.uint64),
        latency_ns=np.zeros(size, dtype=np.int64),
        failed=np.zeros(size, dtype=np.bool_),
    )
    return Batch(operations=(GET, PUT), requests=columns)


def weights(before: Batch, after: Batch) -> list[list[float]]:
    matching = match(before, after)
    return [
        matching.weights(matching.before_kinds, matching.before_strata).tolist(),
        matching.weights(matching.after_kinds, matching.after_strata).tolist(),
    ]


def test_kinds_of_which_both_sides_have_enough_count_by_the_requests_of_both() -> None:
    before = requests(*[(0, 1)] * 5, *[(0, 2)] * 10)
    after = requests(*[(0, 1)] * 15, *[(0, 2)] * 10)

    assert weights(before, after) == [
        pytest.approx([0.5 / 5] * 5 + [0.5 / 10] * 10),
        pytest.approx([0.5 / 15] * 15 + [0.5 / 10] * 10),
    ]


def test_rare_kinds_of_one_entry_are_compared_together() -> None:
    before = requests((0, 1), (0, 2), (0, 3), (0, 4), (0, 5))
    after = requests((0, 6), (0, 7), (0, 8), (0, 9), (0, 9), (0, 9), (0, 9), (0, 9))

    assert weights(before, after) == [pytest.approx([1 / 5] * 5), pytest.approx([1 / 8] * 8)]


def test_a_rare_kind_alone_is_compared_with_all_of_its_entry() -> None:
    before = requests(*[(0, 1)] * 6)
    after = requests(*[(0, 1)] * 5, (0, 2))

    common, alone = 11 / 12, 1 / 12
    assert weights(before, after) == [
        pytest.approx([common / 6 + alone / 6] * 6),
        pytest.approx([common / 5] * 5 + [alone]),
    ]


def test_an_entry_that_the_other_side_lacks_counts_nothing_and_is_named() -> None:
    before = requests(*[(0, 1)] * 5, (1, 1), (1, 2))
    after = requests(*[(0, 1)] * 5)

    matching = match(before, after)

    assert weights(before, after) == [pytest.approx([0.2] * 5 + [0, 0]), pytest.approx([0.2] * 5)]
    assert unmatched_operations(before, matching.before_kinds, matching) == {"shop put": 2}
    assert unmatched_operations(after, matching.after_kinds, matching) == {}


def test_kinds_that_are_compared_together_are_alike() -> None:
    kinds = [*[(0, 1)] * 5, *[(0, 2)] * 5, *[(0, 3)] * 2, *[(0, 4)] * 2]
    matching = match(requests(*kinds, (1, 1)), requests(*kinds[:-2], (0, 5)))

    ones, numbers = matching.alike()

    # Kinds 3 and 4 are too rare on both sides, and so are 5 and the other entry, each of one side alone.
    of = dict(zip(((0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 1)), numbers.tolist(), strict=True))
    assert len({of[0, 1], of[0, 2], of[0, 3], of[1, 1]}) == 4
    assert of[0, 3] == of[0, 4] == of[0, 5]
    assert numbers[ones].tolist() == [0, 1, 2, 3]


def test_no_requests_match_nothing() -> None:
    assert weights(requests(), requests()) == [[], []]
