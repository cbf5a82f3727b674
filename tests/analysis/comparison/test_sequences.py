from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import SpanSpec, assemble, record, span
from tests.laws import examples
from traceq.analysis.comparison.cohorts import Cohort, collect
from traceq.analysis.comparison.compare import Comparison, compare
from traceq.analysis.requests import RequestOptions
from traceq.semantics import Kind, Peer

MS = 1_000_000
PEERS = {
    "s": Peer("database", "mysql", "shop"),
    "r": Peer("database", "redis", ""),
    "k": Peer("messaging", "kafka", ""),
}


def request(calls: str, *, lasts_ms: int = 2, every_ms: int = 3) -> list[SpanSpec]:
    """Give a request of a shop that makes calls at regular times: one letter of `PEERS` for each."""
    spans = [span("1", None, 0, 100 * MS, service="shop", name="POST /order", kind=Kind.SERVER)]
    for number, letter in enumerate(calls):
        at, peer = number * every_ms * MS, PEERS[letter]
        spans.append(
            span(
                f"c{number}", "1", at, at + lasts_ms * MS, service="shop", name=peer.system, kind=Kind.CLIENT, peer=peer
            )
        )
    return spans


def cohort(requests: Sequence[list[SpanSpec]], prefix: str) -> Cohort:
    records = [record(*spans, trace_id=f"{prefix}{number:03x}") for number, spans in enumerate(requests)]
    return collect(assemble(records), RequestOptions())


def compared(before: Sequence[list[SpanSpec]], after: Sequence[list[SpanSpec]]) -> Comparison:
    return compare(cohort(before, "a"), cohort(after, "b"))


def told(found: Comparison) -> list[tuple[str, str, float, float]]:
    return [(line.first, line.second, line.share.before, line.share.after) for line in found.order_changes]


def test_the_case_worked_by_hand() -> None:
    after = [request("rs" if number else "sr") for number in range(10)]

    found = compared([request("sr")] * 10, after)

    (line,) = found.order_changes
    assert (line.caller, line.caller_operation) == ("shop", "POST /order")
    assert told(found) == [("redis", "mysql shop", 0.0, 0.9)]
    assert line.share.deviations == pytest.approx(4 / 1.303**0.5, rel=1e-3)
    assert found.services[0].service == "shop"
    assert (found.verdict.outcome, found.verdict.subject, found.verdict.service) == ("different", "order", "shop")
    assert found.verdict.headline == (
        "shop now calls redis (redis) before mysql shop (mysql) in POST /order (in 0 % → 90 % of requests) (99 % sure)"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([request("sr")] * 4, [request("rs")] * 40, id="too few requests"),
        pytest.param([request("sr")] * 20, [request("rs" if at < 3 else "sr") for at in range(20)], id="within chance"),
        pytest.param([request("sr")] * 200, [request("rs" if at < 30 else "sr") for at in range(200)], id="in few"),
        pytest.param([request("srs")] * 20, [request("rs")] * 20, id="the first one is lost, or left out"),
        pytest.param([request("sr", lasts_ms=4)] * 20, [request("rs", lasts_ms=4)] * 20, id="side by side"),
        pytest.param([request("sr", every_ms=0, lasts_ms=0)] * 20, [request("rs")] * 20, id="at the same time"),
        pytest.param([request("s")] * 20, [request("r")] * 20, id="never together"),
    ],
)
def test_nothing_is_told_of(before: list[list[SpanSpec]], after: list[list[SpanSpec]]) -> None:
    assert told(compared(before, after)) == []


def test_calls_made_several_times_have_the_order_of_the_first_ones() -> None:
    found = compared([request("ssrk")] * 20, [request("rssk")] * 20)

    assert told(found) == [("redis", "mysql shop", 0.0, 1.0)]


def test_a_call_that_passes_several_others_is_told_with_each() -> None:
    found = compared([request("srk")] * 20, [request("ksr")] * 20)

    assert told(found) == [("kafka", "mysql shop", 0.0, 1.0), ("kafka", "redis", 0.0, 1.0)]
    assert found.verdict.remarks[0] == (
        "also: shop now calls kafka (kafka) before redis (redis) in POST /order (in 0 % → 100 % of requests)"
    )


REQUESTS = st.lists(
    st.sampled_from(["sr", "rs", "srk", "krs", "ssr", "rss", "s"]).map(request), min_size=5, max_size=30
)


@examples(0.2)
@given(before=REQUESTS, after=REQUESTS)
def test_swapped_sides_tell_the_same_the_other_way_round(
    before: list[list[SpanSpec]], after: list[list[SpanSpec]]
) -> None:
    there, back = compare(cohort(before, "a"), cohort(after, "b")), compare(cohort(after, "b"), cohort(before, "a"))

    assert {(line.first, line.second, line.share.change) for line in there.order_changes} == {
        (line.second, line.first, line.share.change) for line in back.order_changes
    }


@examples(0.2)
@given(requests=REQUESTS)
def test_a_set_has_the_same_order_as_itself_and_parts_add_up_to_the_whole(requests: list[list[SpanSpec]]) -> None:
    whole, other = cohort(requests, "a"), cohort([request("krs")] * 20, "b")
    ids = {f"a{number:03x}": spans for number, spans in enumerate(requests)}
    parts = [collect(assemble([record(*spans, trace_id=each)]), RequestOptions()) for each, spans in ids.items()]

    assert compare(whole, whole).order_changes == ()
    assert compare(sum(parts, Cohort()), other).order_changes == compare(whole, other).order_changes
