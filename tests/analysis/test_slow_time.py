"""Since when requests are slow: found where it is so, and not found where chance would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.analysis.group_sums import GroupKey
from traceq.analysis.slow_time import Made, SlowTime, Typical, find_slow_time
from traceq.semantics import Kind

_KEYS = tuple(GroupKey("shop", name, Kind.SERVER, None) for name in ("GET /", "POST /"))


def made(latencies_ns: Sequence[int], operations: Sequence[int] = (), starts_ns: Sequence[int] = ()) -> Made:
    count = len(latencies_ns)
    return Made(
        np.array(starts_ns or range(100, 100 + count), dtype=np.int64),
        np.array(latencies_ns, dtype=np.int64),
        np.array(operations or [0] * count, dtype=np.int32),
    )


def alike(count: int) -> list[int]:
    """Latencies around 1000 ns that differ in no order."""
    return [1000 + 37 * number % 101 for number in range(count)]


def test_a_time_in_which_requests_were_slower_has_a_beginning_and_an_end() -> None:
    found = find_slow_time(made([*alike(30), *(9000 + number for number in range(8)), *alike(10)]), _KEYS)

    assert found == SlowTime(
        start_ns=130,
        end_ns=137,
        service="shop",
        name="GET /",
        slow_from_ns=9000,
        request_count=8,
        slow_count=8,
        other_count=40,
        other_slow_count=0,
        then=Typical(9003, 9006),
        otherwise=Typical(1047, 1094),
    )


@pytest.mark.parametrize(
    ("latencies_ns", "ends"),
    [([*alike(30), *[9000] * 20], (130, None)), ([*[9000] * 20, *alike(30)], (None, 119))],
    ids=["until the last request", "from the first one on"],
)
def test_what_lies_beyond_what_was_looked_at_is_not_known(
    latencies_ns: list[int], ends: tuple[int | None, int | None]
) -> None:
    found = find_slow_time(made(latencies_ns), _KEYS)

    assert found is not None
    assert (found.start_ns, found.end_ns) == ends


@pytest.mark.parametrize(
    "latencies_ns",
    [[], [5], [5, 9000], alike(100), [9000 if number % 7 == 3 else 1000 for number in range(70)], [1000] * 50],
    ids=["none", "one", "two", "alike", "now and then", "equal"],
)
def test_no_time_stands_out_where_slow_requests_are_spread(latencies_ns: list[int]) -> None:
    assert find_slow_time(made(latencies_ns), _KEYS) is None


def test_a_difference_too_small_to_matter_is_none() -> None:
    assert find_slow_time(made([*alike(100), *(1100 + latency // 100 for latency in alike(100))]), _KEYS) is None


def test_another_mix_of_operations_is_no_slow_time() -> None:
    """Longer requests are made at one time, and each takes as long as ever."""
    operations = [*[0] * 40, *[1] * 40]

    assert find_slow_time(made([*alike(40), *(9 * latency for latency in alike(40))], operations), _KEYS) is None


def test_the_operation_that_is_hit_is_named_and_its_requests_decide_about_the_ends() -> None:
    operations = [number % 2 for number in range(120)]
    latencies_ns = alike(120)
    for number in range(61, 90, 2):
        latencies_ns[number] = 5000
    found = find_slow_time(made(latencies_ns, operations), _KEYS)

    assert found is not None
    assert (found.name, found.start_ns, found.end_ns) == ("POST /", 161, 189)
    assert (found.slow_count, found.request_count, found.other_slow_count, found.other_count) == (15, 15, 0, 45)


def test_ends_are_exact_among_many_requests() -> None:
    random = np.random.default_rng(7)
    latencies_ns = random.integers(1000, 2000, 20_000)
    latencies_ns[7_777:8_123] *= 3

    found = find_slow_time(made(latencies_ns.tolist()), _KEYS)

    assert found is not None
    assert (found.start_ns, found.end_ns) == (100 + 7_777, 100 + 8_122)


def test_chance_is_hardly_ever_taken_for_a_slow_time() -> None:
    random = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        count = int(random.integers(2, 150))
        latencies_ns = (1000 * random.lognormal(3, 1, count)).astype(np.int64).tolist()
        found += find_slow_time(made(latencies_ns, random.integers(0, 2, count).tolist()), _KEYS) is not None

    assert found <= 1


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=60),
    st.lists(st.integers(100, 200), min_size=5, max_size=20),
    st.integers(0, 60),
    st.integers(2, 1000),
)
def test_neither_units_nor_later_clocks_change_what_is_found(
    latencies_ns: list[int], slow_ns: list[int], at: int, times: int
) -> None:
    mixed = [*latencies_ns[:at], *slow_ns, *latencies_ns[at:]]
    found = find_slow_time(made(mixed), _KEYS)
    starts_ns = [times * (100 + number) for number in range(len(mixed))]
    longer = find_slow_time(made([times * latency for latency in mixed], starts_ns=starts_ns), _KEYS)

    if found is None:
        assert longer is None
        return
    assert longer == replace(
        found,
        start_ns=None if found.start_ns is None else times * found.start_ns,
        end_ns=None if found.end_ns is None else times * found.end_ns,
        slow_from_ns=times * found.slow_from_ns,
        then=Typical(*(times * latency for latency in found.then)),
        otherwise=Typical(*(times * latency for latency in found.otherwise)),
    )
    assert found.slow_count * found.other_count > found.other_slow_count * found.request_count
