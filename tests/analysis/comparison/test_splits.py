from __future__ import annotations

import pytest

from tests.builders import SpanSpec, span, traces
from traceq.analysis.comparison.cohorts import Cohort, collect
from traceq.analysis.comparison.splits import Split, split_by_failure, split_by_latency, split_by_tag
from traceq.analysis.requests import RequestOptions
from traceq.errors import NotFoundError
from traceq.semantics import Status

MS = 1_000_000


def lasting(*lengths_ms: int) -> Cohort:
    """Give traces of one request each, with ids in rising order."""
    table = traces({f"{at:02x}": [("1", None, 0, length * MS)] for at, length in enumerate(lengths_ms)})
    return collect(table, RequestOptions())


def test_the_slowest_share_is_told_from_the_rest() -> None:
    cohort = lasting(*range(1, 201))

    found = split_by_latency(cohort, 0.05)

    assert found == Split(
        before=list(range(190)),
        after=list(range(190, 200)),
        before_title="the others",
        after_title="the slowest 5 %, from 191 ms on",
    )


def test_at_least_five_are_slow_where_there_are_twice_as_many() -> None:
    assert split_by_latency(lasting(*range(1, 13)), 0.01).after == [7, 8, 9, 10, 11]
    assert split_by_latency(lasting(3, 1, 2, 4), 0.01).after == [0, 3]


def test_of_traces_as_slow_as_each_other_those_with_the_least_ids_are_slow() -> None:
    assert split_by_latency(lasting(5, 5, 5, 5), 0.5).after == [0, 1]


def test_a_trace_without_requests_is_in_neither_part() -> None:
    table = traces({"a": [span("1", None, 0, 9, service="shop")], "b": [span("1", None, 0, 9, service="bank")]})

    assert split_by_latency(collect(table, RequestOptions("bank")), 0.5) == Split(
        [], [1], "the others", "the slowest 50 %, from 9 ns on"
    )
    assert split_by_latency(Cohort(), 0.5) == Split([], [], "the others", "the slowest 50 %")


def test_traces_with_failed_spans_are_told_from_the_rest() -> None:
    def spans(status: Status) -> list[SpanSpec]:
        return [span("1", None, 0, 9), span("2", "1", 0, 9, status=status)]

    cohort = collect(
        traces({"a": spans(Status.ERROR), "b": spans(Status.OK), "c": spans(Status.ERROR)}), RequestOptions()
    )

    assert split_by_failure(cohort) == Split([1], [0, 2], "without failed spans", "with failed spans")


def test_without_a_value_it_is_the_one_seen_first_last() -> None:
    values = [("v1",), ("v2",), ("v1", "v3"), (), ("v2",)]

    found = split_by_tag(values, [10, 50, 40, 90, 20], "resource.version")

    assert found == Split(
        before=[0, 1, 4],
        after=[2],
        before_title="2 other values of resource.version",
        after_title="resource.version=v3",
        key="version",
        notes=("left out: 1 trace without resource.version",),
    )


def test_a_value_is_told_from_the_only_other_one() -> None:
    found = split_by_tag([("a",), ("b",)], [1, 2], "zone=a")

    assert found == Split([1], [0], "zone=b", "zone=a", "zone")


@pytest.mark.parametrize(
    ("values", "text", "error", "hint"),
    [
        ([()], "zone", "no span carries the tag 'zone'", "`traceq show TRACE --attributes` lists tags"),
        (
            [(value,) for value in "gfedcbaab"],
            "zone=x",
            "no span carries zone=x",
            "there is 'a', 'b', 'c', 'd', 'e'",
        ),
        (
            [("a",), ("a",)],
            "zone",
            "every span that carries 'zone' says 'a': nothing to split by",
            "another tag?",
        ),
    ],
)
def test_what_splits_nothing_is_refused(values: list[tuple[str, ...]], text: str, error: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        split_by_tag(values, [0] * len(values), text)

    assert (str(refused.value), refused.value.hint) == (error, hint)
