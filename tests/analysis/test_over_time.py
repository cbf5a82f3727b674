from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import EPOCH_NS, span, traces
from traceq.analysis.comparison.cohorts import CohortQuestion
from traceq.analysis.group_sums import GroupKey
from traceq.analysis.over_time import Entry, Made, OverTime, SlowTime, Stretch, Typical, find_slow_time, over_time
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Status
from traceq.units import NS_PER_MS, NS_PER_S

Request = tuple[int, int, str, bool]
"""A request: its start in s, its duration in ms, its operation, whether it failed."""


def asked(*requests: Request, slow_count: int | None = None) -> OverTime:
    """Ask about requests, each a trace of its own."""
    table = traces(
        {
            f"{number + 1:032x}": [
                span(
                    f"{number + 1:016x}",
                    None,
                    start * NS_PER_S,
                    start * NS_PER_S + duration * NS_PER_MS,
                    service="shop",
                    name=name,
                    status=Status.ERROR if failed else Status.OK,
                )
            ]
            for number, (start, duration, name, failed) in enumerate(requests)
        }
    )
    question = CohortQuestion(RequestOptions("shop"))
    return over_time(question.rank(question.collect(table)).joined().batches[0], slow_count)


def test_requests_are_counted_by_when_they_were_made_and_where_they_entered() -> None:
    found = asked(
        (0, 10, "GET", False),
        (0, 30, "GET", False),
        (1, 20, "PUT", True),
        (150, 900, "GET", False),
        (151, 800, "GET", True),
        slow_count=2,
    )

    def at(seconds: int) -> int:
        return EPOCH_NS + seconds * NS_PER_S

    # A stretch begins at a whole number of its length.
    assert EPOCH_NS % (5 * NS_PER_S) == 0
    assert (found.slow_from_ns, found.width_ns) == (800 * NS_PER_MS, 5 * NS_PER_S)
    assert (found.first_slow_ns, found.last_slow_ns) == (at(150), at(151))
    assert found.stretches[0] == Stretch(at(0), 3, 0, 1, 20 * NS_PER_MS, 30 * NS_PER_MS)
    assert found.stretches[1] == Stretch(at(5), 0, 0, 0, None, None)
    assert found.stretches[-1] == Stretch(at(150), 2, 2, 1, 800 * NS_PER_MS, 900 * NS_PER_MS)
    assert len(found.stretches) == 31
    assert found.entries == (
        Entry("shop", "GET", 4, 2, 1, 30 * NS_PER_MS, 900 * NS_PER_MS),
        Entry("shop", "PUT", 1, 0, 1, 20 * NS_PER_MS, 20 * NS_PER_MS),
    )


def test_of_too_few_requests_none_is_slow() -> None:
    found = asked((0, 10, "GET", False))

    assert (found.slow_from_ns, found.first_slow_ns, found.last_slow_ns) == (None, None, None)
    assert [entry.slow_count for entry in found.entries] == [0]


def test_there_may_be_no_requests() -> None:
    found = over_time(CohortQuestion(RequestOptions("nobody")).nothing().cohort.joined().batches[0], None)

    assert (found.stretches, found.entries, found.cells(3)) == ((), (), ())


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 100), st.integers(0, 10**9)),
            st.integers(0, 10**6),
            st.sampled_from(["GET", "PUT"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=20,
    ),
    st.data(),
)
def test_every_request_is_counted_once(requests: list[Request], data: st.DataObject) -> None:
    slow_count = data.draw(st.none() | st.integers(1, len(requests)))
    found = asked(*requests, slow_count=slow_count)

    slow_from_ns = 10**18 if found.slow_from_ns is None else found.slow_from_ns
    slow = sum(duration * NS_PER_MS >= slow_from_ns for _, duration, _, _ in requests)
    assert slow >= (slow_count or 0)
    assert 1 <= len(found.stretches) <= 60
    for rows in (found.stretches, found.entries):
        assert sum(row.request_count for row in rows) == len(requests)
        assert sum(row.slow_count for row in rows) == slow
        assert sum(row.failed_count for row in rows) == sum(failed for *_, failed in requests)
    cells = found.cells(7)
    assert [sum(column) for column in cells] == [stretch.request_count for stretch in found.stretches]


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
