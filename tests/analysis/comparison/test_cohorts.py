from __future__ import annotations

import pytest
from hypothesis import given

from tests.analysis.arbitrary import knowing, tables
from tests.builders import EPOCH_NS, SpanSpec, span, traces
from traceq.analysis.comparison.batches import Batch, CohortRequests, Gaps, TraceColumns, Work, on_one_table
from traceq.analysis.comparison.cohorts import (
    Cohort,
    Split,
    collect,
    slowest_requests,
    split_by_failure,
    split_by_latency,
    split_by_tag,
)
from traceq.analysis.requests import RequestOptions
from traceq.errors import NotFoundError
from traceq.semantics import Kind, Status
from traceq.traces import Traces

OPTIONS = RequestOptions()


def shop(start_ns: int, *, has_failed: bool = False) -> list[SpanSpec]:
    """Give a request of 100 ns: the shop calls the cart for 60, which works for 40 of these, 10 of them in a cache."""
    return [
        span("1", None, start_ns, start_ns + 100, service="shop", name="GET", kind=Kind.SERVER),
        span("2", "1", start_ns + 10, start_ns + 70, service="shop", name="ask", kind=Kind.CLIENT),
        span(
            "3",
            "2",
            start_ns + 20,
            start_ns + 60,
            service="cart",
            name="Get",
            kind=Kind.SERVER,
            status=Status.ERROR if has_failed else Status.UNSET,
        ),
        span("4", "3", start_ns + 30, start_ns + 40, service="cart", name="Get", kind=Kind.INTERNAL),
        span("5", "3", start_ns + 40, start_ns + 45, service="cart", name="Get", kind=Kind.INTERNAL),
    ]


def columns_of(batch: Batch) -> dict[str, list[object]]:
    parts: dict[str, TraceColumns | CohortRequests | Work | Gaps] = {
        "trace": batch.traces,
        "request": batch.requests,
        "work": batch.work,
        "gap": batch.gaps,
    }
    told = {
        f"{name}.{column}": getattr(part, column).tolist()
        for name, part in parts.items()
        for column in part.__struct_fields__
    }
    hashed = {"trace.hashes", "trace.entries", "trace.shapes", "request.reached"}
    return {name: values for name, values in told.items() if name not in hashed} | {
        "operations": [f"{key.service} {key.name} {key.kind.name}" for key in batch.operations],
        "durations_ns": batch.durations_ns.tolist(),
    }


def test_a_request_becomes_a_few_numbers_an_operation() -> None:
    (batch,) = collect(traces({"b": shop(0, has_failed=True)}), OPTIONS).batches

    assert columns_of(batch) == {
        "operations": ["cart Get INTERNAL", "cart Get SERVER", "shop GET SERVER", "shop ask CLIENT"],
        "trace.ids": ["b"],
        "trace.start_ns": [EPOCH_NS],
        "trace.failed": [True],
        "trace.moved_spans": [0],
        "trace.shift_ns": [0],
        "trace.apart": [[0, 0, 0, 0, 0, 0, 0, 0]],
        "trace.parents": [3],
        "trace.missing": [0],
        "request.traces": [0],
        "request.operations": [2],
        "request.latency_ns": [100],
        "request.failed": [False],
        "work.requests": [0, 0, 0, 0],
        "work.operations": [0, 1, 2, 3],
        "work.own_ns": [15, 25, 40, 0],
        "work.calls": [2, 1, 1, 1],
        "work.errors": [0, 1, 0, 0],
        "work.entered": [0, 1, 1, 0],
        "work.entered_errors": [0, 1, 0, 0],
        "gap.requests": [0],
        "gap.callers": [3],
        "gap.callees": [1],
        "gap.gap_ns": [20],
        "gap.calls": [1],
        "durations_ns": [10, 5, 40, 100, 60],
    }


def test_two_cohorts_come_on_one_table_newest_trace_first() -> None:
    other = [span("1", None, 0, 7, service="bank", name="pay")]
    first = collect(traces({"b": shop(0), "a": shop(500)}), OPTIONS) + collect(traces({"c": other}), OPTIONS)

    before, after = on_one_table(first.batches, collect(traces({"d": shop(0)}), OPTIONS).batches)

    names = ["bank pay", "cart Get", "cart Get", "shop GET", "shop ask"]
    assert [[f"{key.service} {key.name}" for key in batch.operations] for batch in (before, after)] == [names, names]
    assert before.traces.ids.tolist() == ["a", "b", "c"]
    assert before.requests.operations.tolist() == [3, 3, 0]
    assert before.requests.latency_ns.tolist() == [100, 100, 7]
    assert before.work.requests.tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 2]
    assert before.work.operations.tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 0]
    assert after.work.operations.tolist() == [1, 2, 3, 4]


def test_part_of_a_cohort_is_the_cohort_of_the_part() -> None:
    pay = [span("1", None, 0, 7, service="bank", name="pay")]
    table = traces({"a": shop(0), "b": pay, "c": shop(9, has_failed=True)})
    cohort = collect(table, OPTIONS) + collect(traces({"d": pay}), OPTIONS)

    (batch, nothing) = cohort.of([2]).batches
    (expected,) = collect(table.select([2]), OPTIONS).batches

    assert columns_of(batch) == columns_of(expected)
    assert (nothing.operations, len(nothing.traces)) == ((), 0)


@given(tables())
def test_any_part_is_the_cohort_of_the_part(table: Traces) -> None:
    table = knowing(table)
    positions = range(0, len(table), 2)

    parts = collect(table, OPTIONS).of(positions).batches
    expected = collect(table.select(list(positions)), OPTIONS).batches

    assert [columns_of(batch) for batch in parts] == [columns_of(batch) for batch in expected]


@given(tables())
def test_batches_join_to_the_same_in_any_order(table: Traces) -> None:
    table = knowing(table)
    whole, _ = on_one_table(collect(table, OPTIONS).batches, ())
    backward = sum((collect(part, OPTIONS) for part in reversed(list(table))), Cohort())
    joined, _ = on_one_table(backward.batches, ())

    for batch in (whole, joined):
        assert batch.traces.start_ns.tolist() == sorted(batch.traces.start_ns.tolist(), reverse=True)
    assert columns_of(joined)["request.latency_ns"] == columns_of(whole)["request.latency_ns"]
    assert sorted(joined.durations_ns.tolist()) == sorted(whole.durations_ns.tolist())


def test_nothing_joins_to_nothing() -> None:
    before, after = on_one_table((), ())

    assert (len(before.traces), len(after.requests), before.operations) == (0, 0, ())
    assert Cohort().of([]).batches == ()
    assert len(Cohort().traces) == 0


@pytest.mark.parametrize(("service", "expected"), [(None, {0: 100, 1: 7}), ("cart", {0: 40}), ("nobody", {})])
def test_a_trace_is_as_slow_as_its_slowest_request(service: str | None, expected: dict[int, int]) -> None:
    pay = [span("1", None, 0, 7, service="bank"), span("2", None, 0, 5, service="bank")]

    cohort = collect(traces({"a": shop(0), "b": pay}), RequestOptions(service))

    assert slowest_requests(cohort) == expected


def test_moved_clocks_are_told_by_trace() -> None:
    early = [
        span("c", None, 0, 10, kind=Kind.CLIENT, service="a", host="h1"),
        span("s", "c", -40, -34, kind=Kind.SERVER, service="b", host="h2"),
    ]

    (batch,) = collect(traces({"a": shop(0), "b": early}), OPTIONS).batches

    assert (batch.traces.moved_spans.tolist(), batch.traces.shift_ns.tolist()) == ([0, 1], [0, 42])
    assert batch.traces.start_ns.tolist() == [EPOCH_NS, EPOCH_NS - 40]


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
        ([()], "zone", "no span carries the tag 'zone'", "`traceq show 1 --attributes` lists tags"),
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
        split_by_tag(values, [0] * len(values), text, "`traceq show 1 --attributes` lists tags")

    assert (str(refused.value), refused.value.hint) == (error, hint)
