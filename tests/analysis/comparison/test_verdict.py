from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.builders import SpanSpec, assemble, record, span
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.comparison.compare import Comparison, compare
from traceq.analysis.comparison.verdict import Verdict
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Peer, Status

MS = 1_000_000
STOCK = Peer("service", "stock", "")
MYSQL = Peer("database", "mysql", "shop")


def request(
    works_ms: int,
    *,
    calls: int = 1,
    query_ms: int = 10,
    answers: bool = True,
    fails: bool = False,
    has_failed: bool = False,
) -> list[SpanSpec]:
    """Give a request: the shop works, and calls the stock, which asks a database, as often as said."""
    at = works_ms * MS
    spans = []
    for number in range(calls):
        status = Status.ERROR if fails else Status.UNSET
        end = at + query_ms * MS
        client = f"c{number}"
        spans += [span(client, "1", at, end, service="shop", name="GET", kind=Kind.CLIENT, status=status, peer=STOCK)]
        if answers:
            server = f"s{number}"
            spans += [
                span(server, client, at, end, service="stock", name="GET /stock", kind=Kind.SERVER, status=status),
                span(f"q{number}", server, at, end, service="stock", name="SELECT", kind=Kind.CLIENT, peer=MYSQL),
            ]
        at = end
    failed = Status.ERROR if has_failed else Status.UNSET
    return [span("1", None, 0, at, service="shop", name="POST /order", kind=Kind.SERVER, status=failed), *spans]


def compared(before: Sequence[list[SpanSpec]], after: Sequence[list[SpanSpec]]) -> Comparison:
    one, other = (
        collect(
            assemble([record(*spans, trace_id=f"{prefix}{number:03x}") for number, spans in enumerate(side)]),
            RequestOptions(),
        )
        for prefix, side in (("a", before), ("b", after))
    )
    return compare(one, other)


def told(verdict: Verdict) -> tuple[str, str | None, str, str]:
    return (verdict.outcome, verdict.subject, verdict.service, verdict.headline)


CALM = [request(20 + number % 5) for number in range(40)]


@pytest.mark.parametrize(
    ("after", "outcome", "service", "headline"),
    [
        pytest.param(
            [request(20 + number % 5, query_ms=50) for number in range(40)],
            "slower",
            "mysql shop",
            "mysql shop makes requests 40.0 ms longer on average (95 % sure: 40.0 ms to 40.0 ms); "
            "mean latency 32.0 ms → 72.0 ms (+125 %)",
            id="a database that is slow",
        ),
        pytest.param(
            [request(20 + number % 5, calls=6) for number in range(40)],
            "slower",
            "shop",
            "shop makes 6 calls of stock (GET /stock) instead of 1 in POST /order: requests take 50.0 ms longer on "
            "average (95 % sure: 49.2 ms to 50.8 ms); mean latency 32.0 ms → 82.0 ms (+156 %)",
            id="calls that multiply",
        ),
        pytest.param(
            [request(20 + number % 5, calls=0) for number in range(40)],
            "faster",
            "shop",
            "shop no longer calls stock (GET /stock) in POST /order (0 calls instead of 1): requests take 10.0 ms "
            "less on average (95 % sure: 9.20 ms to 10.8 ms); mean latency 32.0 ms → 22.0 ms (-31 %)",
            id="calls that stop",
        ),
        pytest.param(
            [request(20 + number % 5, query_ms=500, answers=False, fails=True) for number in range(40)],
            "slower",
            "stock",
            "stock makes requests 490 ms longer on average (95 % sure: 489 ms to 491 ms); "
            "mean latency 32.0 ms → 522 ms (+1,530 %)",
            id="a service that is down",
        ),
        pytest.param(
            [
                request(20 + number % 5, query_ms=1, calls=3, answers=False, fails=True, has_failed=number < 20)
                for number in range(40)
            ],
            "failing",
            "stock",
            "More requests fail, 0 % → 50 % (99 % sure): errors begin in stock in 100 % of requests instead of 0 %",
            id="a service that refuses calls, and is asked again",
        ),
        pytest.param(
            [request(20 + number % 5, fails=number < 12, has_failed=number < 12) for number in range(40)],
            "failing",
            "stock",
            "More requests fail, 0 % → 30 % (99 % sure): errors begin in stock in 30 % of requests instead of 0 %",
            id="errors that reach users",
        ),
        pytest.param(
            [request(20 + number % 5, fails=number < 12) for number in range(40)],
            "failing",
            "stock",
            "Errors begin in stock in 30 % of requests instead of 0 % (99 % sure); failed requests 0 % → 0 %",
            id="errors that reach no users",
        ),
        pytest.param(
            [request(20 + number % 5, fails=number < 3, has_failed=number < 3) for number in range(40)],
            "same",
            "",
            "Nothing changed: mean latency 32.0 ms → 32.0 ms (±0 %)",
            id="errors that may be chance",
        ),
    ],
)
def test_the_headline_names_who_is_to_blame(
    after: list[list[SpanSpec]], outcome: str, service: str, headline: str
) -> None:
    verdict = compared(CALM, after).verdict

    assert (verdict.outcome, verdict.service, verdict.headline) == (outcome, service, headline)


def test_calls_that_take_no_time_are_a_headline_where_nothing_else_changed() -> None:
    after = [request(20 + number % 5, calls=3, query_ms=0) for number in range(40)]
    before = [request(20 + number % 5, query_ms=0) for number in range(40)]

    assert told(compared(before, after).verdict) == (
        "different",
        "calls",
        "shop",
        "shop makes 3 calls of stock (GET /stock) instead of 1 in POST /order (99 % sure)",
    )


def test_what_got_worse_is_told_before_what_got_better() -> None:
    after = [request(20 + number % 5, query_ms=1, fails=number < 16) for number in range(40)]
    verdict = compared(CALM, after).verdict

    assert told(verdict)[:3] == ("failing", "errors", "stock")
    assert "shorter: mysql shop 9.00 ms" in verdict.remarks


def test_failures_that_may_be_chance_are_told_beside_the_headline() -> None:
    after = [request(20 + number % 5, fails=number < 3, has_failed=number < 3) for number in range(40)]

    assert compared(CALM, after).verdict.remarks == ("failed requests 0 % → 7.5 %, which may be chance",)
    assert compared(CALM, CALM).verdict.remarks == ()


def test_a_new_call_is_told_as_one() -> None:
    before = [request(20 + number % 5, calls=0) for number in range(40)]

    assert compared(before, CALM).verdict.headline.startswith(
        "shop now calls stock (GET /stock) in POST /order (1 call instead of 0): requests take 10.0 ms longer on "
    )


def test_the_example_of_more_errors_is_a_trace_in_which_they_begin_although_others_took_longer() -> None:
    after = [request(20 + number % 5, query_ms=1, fails=number >= 12, has_failed=number >= 12) for number in range(40)]

    (first, *_) = compared(CALM, after).services

    assert (first.service, first.example_id, first.is_example_after) == ("stock", "b00c", True)


@pytest.mark.parametrize(
    ("redis_ms", "told_first"),
    [
        pytest.param(25, ("faster", "latency", "mysql shop"), id="as long as before"),
        pytest.param(60, ("mixed", "latency", "redis"), id="longer"),
    ],
)
def test_a_call_that_is_waited_for_since_the_one_beside_it_is_faster_did_not_get_worse(
    redis_ms: int, told_first: tuple[str, str, str]
) -> None:
    def side(mysql_ms: int, redis_ms: int) -> list[list[SpanSpec]]:
        asked = ((MYSQL, mysql_ms), (Peer("database", "redis", ""), redis_ms))
        return [
            [
                span("1", None, 0, max(mysql_ms, redis_ms) * MS, service="shop", name="GET /", kind=Kind.SERVER),
                *(
                    span(peer.system, "1", 0, ms * MS + at, service="shop", name="ask", kind=Kind.CLIENT, peer=peer)
                    for peer, ms in asked
                ),
            ]
            for at in range(20)
        ]

    assert told(compared(side(30, 25), side(5, redis_ms)).verdict)[:3] == told_first


def test_calls_that_failures_explain_are_told_with_whose_and_make_no_headline() -> None:
    after = [request(20 + number % 5, query_ms=4, calls=3, answers=False, fails=True) for number in range(40)]

    found = compared(CALM, after)

    (line,) = found.call_changes
    assert (line.kind, line.caller, line.callee, line.source) == ("more", "shop", "stock", "stock")
    assert told(found.verdict)[:3] == ("failing", "errors", "stock")


def test_calls_are_explained_only_by_failures_of_the_requests_that_make_them() -> None:
    def refused(*, has_failed: bool) -> list[SpanSpec]:
        check = Status.ERROR if has_failed else Status.UNSET
        calls = request(20, calls=0 if has_failed else 1)
        return [*calls, span("k", "1", 0, MS, service="shop", name="check", kind=Kind.INTERNAL, status=check)]

    after = [*([refused(has_failed=True)] * 20), *([request(20, fails=True)] * 20)]
    found = compared([refused(has_failed=False)] * 40, after)

    assert [(line.kind, line.callee, line.source) for line in found.call_changes] == [("fewer", "stock", "shop")]


def test_services_come_by_what_they_change_for_users() -> None:
    after = [request(20 + number % 5, query_ms=14, fails=number < 20) for number in range(40)]

    assert [line.service for line in compared(CALM, after).services] == ["stock", "mysql shop", "shop"]


def test_swapped_sides_tell_the_same_the_other_way_round() -> None:
    other = [request(20 + number % 5, calls=6) for number in range(40)]

    there, back = compared(CALM, other), compared(other, CALM)

    assert [(line.kind, line.calls.before, line.calls.after) for line in there.call_changes] == [("more", 1, 6)]
    assert [(line.kind, line.calls.before, line.calls.after) for line in back.call_changes] == [("fewer", 6, 1)]
    assert there.call_changes[0].caused_ns == pytest.approx(-back.call_changes[0].caused_ns)
    assert (there.verdict.service, back.verdict.service) == ("shop", "shop")
    assert (there.verdict.outcome, back.verdict.outcome) == ("slower", "faster")


def given_up(works_ms: int) -> list[SpanSpec]:
    """Give a request whose database is slow, so that the shop gives up on the stock, which does not fail itself."""
    spans = request(works_ms, query_ms=13)
    at, end = works_ms * MS, (works_ms + 13) * MS
    client = span("c0", "1", at, end, service="shop", name="GET", kind=Kind.CLIENT, status=Status.ERROR, peer=STOCK)
    return [spans[0], client, *spans[2:]]


def test_where_callers_give_up_what_takes_longer_is_to_blame_not_who_waits_for_it() -> None:
    after = [given_up(20 + number % 5) if number % 2 else request(20 + number % 5, query_ms=13) for number in range(40)]
    found = compared(CALM, after)

    assert {line.service for line in found.services if line.begun.is_sure} == {"stock"}
    assert (found.verdict.subject, found.verdict.service) == ("latency", "mysql shop")
    assert [line.service for line in found.services] == ["mysql shop", "stock", "shop"]


def gathered(works_ms: int, *, in_turn: bool, query_ms: int = 10) -> list[SpanSpec]:
    """Give a request of which the shop calls three services for 10 ms each, side by side or one after the other."""
    spans, at = [], works_ms * MS
    for number, callee in enumerate(("ads", "price", "stock")):
        lasts_ms = query_ms if callee == "stock" else 10
        begun = at + number * (10 * MS if in_turn else 0)
        end = begun + lasts_ms * MS
        client = span(f"c{number}", "1", begun, end, service="shop", name="GET", kind=Kind.CLIENT)
        served = span(f"s{number}", f"c{number}", begun, end, service=callee, name=f"GET /{callee}", kind=Kind.SERVER)
        spans += [client, served]
    last = max(part.end_ns for part in spans)
    return [span("1", None, 0, last, service="shop", name="POST /order", kind=Kind.SERVER), *spans]


def test_who_makes_calls_in_turn_is_to_blame_not_who_is_called_as_long_as_before() -> None:
    together, in_turn = ([gathered(20 + number % 5, in_turn=way) for number in range(40)] for way in (False, True))

    slower, faster = compared(together, in_turn), compared(in_turn, together)

    headline = (
        "shop now calls ads, price and 1 other in turn instead of side by side in POST /order; "
        "mean latency 32.0 ms → 52.0 ms (+62 %)"
    )
    assert told(slower.verdict) == ("slower", "latency", "shop", headline)
    assert slower.services[0].service == "shop"
    assert (faster.verdict.outcome, faster.verdict.service) == ("faster", "shop")
    assert "side by side instead of in turn" in faster.verdict.headline


def test_a_callee_that_takes_longer_itself_is_to_blame_though_calls_are_made_otherwise() -> None:
    before = [gathered(20 + number % 5, in_turn=False) for number in range(40)]
    after = [gathered(20 + number % 5, in_turn=True, query_ms=90) for number in range(40)]

    assert compared(before, after).verdict.service == "stock"
