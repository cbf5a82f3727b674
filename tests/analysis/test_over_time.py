from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import EPOCH_NS, span, traces
from traceq.analysis.comparison.cohorts import CohortQuestion
from traceq.analysis.over_time import Entry, OverTime, Stretch, over_time
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Status
from traceq.units import NS_PER_MS, NS_PER_S

Made = tuple[int, int, str, bool]
"""A request: its start in s, its duration in ms, its operation, whether it failed."""


def asked(*requests: Made, slow_count: int | None = None) -> OverTime:
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
def test_every_request_is_counted_once(requests: list[Made], data: st.DataObject) -> None:
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
