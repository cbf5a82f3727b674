from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.builders import SpanSpec, span, traces
from traceq.analysis.comparison.batches import Batch, Calls, on_one_table
from traceq.analysis.comparison.called import settle_calls
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Peer, Status

OPTIONS = RequestOptions()
ORDERS = Peer("host", "orders.shop", "")
MYSQL = Peer("database", "mysql", "shop")


def request(*, answered: bool = True, peer: Peer | None = ORDERS) -> list[SpanSpec]:
    """Give a request of 100: the shop calls orders for 60, which asks a database for 20 of the 40 that it works."""
    failed = Status.UNSET if answered else Status.ERROR
    orders = [
        span("3", "2", 20, 60, service="orders", name="GET /orders", kind=Kind.SERVER),
        span("4", "3", 30, 50, service="orders", name="SELECT", kind=Kind.CLIENT, peer=MYSQL),
    ]
    return [
        span("1", None, 0, 100, service="shop", name="POST", kind=Kind.SERVER),
        span("2", "1", 10, 70, service="shop", name="GET", kind=Kind.CLIENT, peer=peer, status=failed),
        *(orders if answered else ()),
    ]


def batches(before: Sequence[list[SpanSpec]], after: Sequence[list[SpanSpec]]) -> tuple[Batch, Batch]:
    one, other = (
        collect(traces({f"{prefix}{number}": spans for number, spans in enumerate(side)}), OPTIONS).batches
        for prefix, side in (("a", before), ("b", after))
    )
    return on_one_table(one, other)


def listed(batch: Batch) -> list[tuple[object, ...]]:
    def name(number: int) -> str | None:
        return None if number < 0 else batch.operations[number].name

    calls: Calls = batch.calls
    codes = zip(calls.callers.tolist(), calls.clients.tolist(), calls.callees.tolist(), strict=True)
    amounts = (calls.depths, calls.calls, calls.errors, calls.begun, calls.own_ns, calls.gap_ns)
    return [
        (*map(name, ends), *values)
        for ends, *values in zip(codes, *(amount.tolist() for amount in amounts), strict=True)
    ]


def test_a_request_becomes_its_calls_each_with_what_the_callee_did_itself() -> None:
    batch, _ = batches([request()], [])

    assert listed(batch) == [
        (None, None, "POST", 0, 1, 0, 0, 40, 0),
        ("POST", "GET", "GET /orders", 1, 1, 0, 0, 20, 20),
        ("GET /orders", "SELECT", None, 2, 1, 0, 0, 20, 0),
    ]


def test_a_call_that_nobody_answered_holds_the_time_of_its_client_and_its_error_begins_in_it() -> None:
    batch, _ = batches([request(answered=False)], [])

    assert listed(batch) == [
        (None, None, "POST", 0, 1, 0, 0, 40, 0),
        ("POST", "GET", None, 1, 1, 1, 1, 60, 0),
    ]


def test_where_only_the_client_side_failed_the_error_began_in_the_callee() -> None:
    spans = request()
    spans[1] = span("2", "1", 10, 70, service="shop", name="GET", kind=Kind.CLIENT, peer=ORDERS, status=Status.ERROR)
    batch, _ = batches([spans], [])

    assert [(line[2], line[5], line[6]) for line in listed(batch)] == [
        ("POST", 0, 0),
        ("GET /orders", 0, 1),
        (None, 0, 0),
    ]


def given_up(*, lost: bool) -> list[SpanSpec]:
    """Give a request that gives up on orders, which works on and asks the stock; that call's client may be lost."""
    spans = request()
    spans[1] = span("2", "1", 10, 70, service="shop", name="GET", kind=Kind.CLIENT, peer=ORDERS, status=Status.ERROR)
    spans[2] = span("3", "2", 20, 90, service="orders", name="GET /orders", kind=Kind.SERVER)
    spans[3] = span("4", "3", 30, 60, service="orders", name="GET stock", kind=Kind.CLIENT)
    stock = span("5", "4", 35, 55, service="stock", name="GET /stock", kind=Kind.SERVER)
    return [*spans[: 3 if lost else 4], stock]


def test_an_error_does_not_begin_in_what_is_below_its_client_only_since_spans_are_missing() -> None:
    batch, _ = batches([*[given_up(lost=False)] * 5, given_up(lost=True)], [])

    begun = [(line[2], line[6]) for line in listed(batch)]
    assert begun.count(("GET /orders", 1)) == 6
    assert begun.count(("GET /stock", 0)) == 6


@pytest.mark.parametrize(
    ("before", "after", "names", "called"),
    [
        pytest.param(
            [request()],
            [request(answered=False)],
            ("mysql shop", "orders", "shop"),
            ["shop", "orders"],
            id="answers of the other side tell the callee",
        ),
        pytest.param(
            [request(answered=False)],
            [request(answered=False)],
            ("orders.shop", "shop"),
            ["shop", "orders.shop"],
            id="without any answer it is the peer",
        ),
        pytest.param(
            [request(answered=False, peer=Peer("service", "shop-db", ""))],
            [],
            ("shop", "shop-db"),
            ["shop", "shop-db"],
            id="a peer that is named is that peer",
        ),
        pytest.param(
            [[*request(answered=False, peer=None)]],
            [],
            ("shop",),
            ["shop", "shop"],
            id="a call that names nobody is its caller's",
        ),
    ],
)
def test_calls_that_nobody_answered_are_settled(
    before: list[list[SpanSpec]], after: list[list[SpanSpec]], names: tuple[str, ...], called: list[str]
) -> None:
    one, other = batches(before, after)

    network, first, second = settle_calls(one, other)

    side = second if after else first
    assert network.names == names
    assert [names[network.called[group]] for group in side.groups.tolist()] == called
    assert side.shares.tolist() == [1, 1]


def test_a_call_that_several_operations_may_have_got_is_shared_as_they_answered() -> None:
    def answered(name: str) -> list[SpanSpec]:
        return [
            *request(answered=False),
            span("3", "2", 20, 60, service="orders", name=name, kind=Kind.SERVER),
        ]

    one, other = batches([answered("a"), answered("a"), answered("a"), answered("b")], [request(answered=False)])

    network, _, settled = settle_calls(one, other)

    assert network.names == ("orders", "shop")
    assert [one.operations[network.callees[group]].name for group in settled.groups.tolist()] == ["POST", "a", "b"]
    assert settled.shares.tolist() == [1, 0.75, 0.25]
