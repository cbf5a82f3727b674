from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given

from tests.analysis.arbitrary import tables
from tests.builders import Record, SpanSpec, assemble, record, span
from tests.laws import examples
from traceq.analysis.comparison.changes import OPERATION_COLUMNS
from traceq.analysis.comparison.cohorts import Cohort, collect
from traceq.analysis.comparison.compare import Comparison, compare
from traceq.analysis.comparison.verdict import judge
from traceq.analysis.requests import RequestOptions
from traceq.report import document
from traceq.semantics import Kind, Status
from traceq.traces import Traces

MS = 1_000_000
OPTIONS = RequestOptions()


def request(insert_ms: int, network_ms: int = 0, *, has_failed: bool = False) -> list[SpanSpec]:
    """Give a request: 20 ms in the shop, a call to the cart of 10 ms, and what passes between the two."""
    called, end = 10 * MS, (20 + insert_ms + network_ms) * MS
    return [
        span("1", None, 0, end, service="shop", name="POST", kind=Kind.SERVER),
        span("2", "1", called, end - 10 * MS, service="shop", name="call", kind=Kind.CLIENT),
        span(
            "3",
            "2",
            called + network_ms * MS // 2,
            called + (network_ms // 2 + insert_ms) * MS,
            service="cart",
            name="Insert",
            kind=Kind.SERVER,
            status=Status.ERROR if has_failed else Status.UNSET,
        ),
    ]


def batch(spans: Sequence[list[SpanSpec]], prefix: str) -> list[Record]:
    return [record(*request, trace_id=f"{prefix}{number:03x}") for number, request in enumerate(spans)]


def varying(base_ms: int, network_ms: int = 0) -> list[list[SpanSpec]]:
    return [request(base_ms + number % 5, network_ms) for number in range(40)]


def compared(before: Sequence[list[SpanSpec]], after: Sequence[list[SpanSpec]]) -> Comparison:
    return compare(collect(assemble(batch(before, "a")), OPTIONS), collect(assemble(batch(after, "b")), OPTIONS))


def test_what_holds_requests_longer_comes_first_with_an_interval_around_it() -> None:
    found = compared(varying(10), varying(40))

    first = found.services[0]
    assert first.service == "cart"
    assert [first.held.before, first.held.after] == pytest.approx([12 * MS, 42 * MS])
    assert first.held.low < 30 * MS < first.held.high
    assert first.held.is_sure
    assert [change.held.change for change in found.services[1:]] == [pytest.approx(0)]
    assert found.latency.change == pytest.approx(30 * MS)


def test_what_passes_between_caller_and_callee_is_charged_to_the_callee() -> None:
    first = compared(varying(10), varying(10, network_ms=30)).services[0]

    assert first.service == "cart"
    assert [first.held.change, first.between_ns] == pytest.approx([30 * MS, 30 * MS])


def test_operations_and_edges_tell_the_same() -> None:
    found = compared(varying(10), varying(10, network_ms=30))

    assert found.operations[0].key.name == "Insert"
    assert found.operations[0].held.change == pytest.approx(30 * MS)
    assert [(edge.caller, edge.callee) for edge in found.edges] == [("shop", "cart")]
    assert found.edges[0].between.change == pytest.approx(30 * MS)


def fan_out(gaps_ms: Sequence[int]) -> list[SpanSpec]:
    """Give a request that calls services one after the other, each of which works 10 ms, with time in between."""
    spans, at = [], 0
    for number, gap in enumerate(gaps_ms):
        end = at + 10 + gap
        spans += [
            span(f"c{number}", "root", at * MS, end * MS, service="front", name=f"to {number}", kind=Kind.CLIENT),
            span(
                f"s{number}",
                f"c{number}",
                at * MS + gap * MS // 2,
                (at + 10) * MS + gap * MS // 2,
                service=f"s{number}",
                name="Get",
                kind=Kind.SERVER,
            ),
        ]
        at = end
    return [span("root", None, 0, at * MS, service="front", name="GET", kind=Kind.SERVER), *spans]


def test_a_caller_that_waits_longer_for_most_that_it_calls_is_to_blame_itself() -> None:
    calm = [fan_out([2, 2, 2 + number % 2]) for number in range(20)]
    busy = [fan_out([42, 42, 42 + number % 2]) for number in range(20)]

    found = compared(calm, busy)

    assert found.services[0].service == "front"
    assert found.services[0].held.change == pytest.approx(120 * MS)
    assert "look at front itself" in " ".join(judge(found).remarks)


def test_a_callee_that_is_waited_for_longer_alone_is_to_blame() -> None:
    calm = [fan_out([2, 2, 2 + number % 2]) for number in range(20)]
    slow = [fan_out([2, 42, 2 + number % 2]) for number in range(20)]

    assert compared(calm, slow).services[0].service == "s1"


def test_another_mix_of_requests_is_no_change() -> None:
    def mix(short: int, long: int) -> list[list[SpanSpec]]:
        return [[span("1", None, 0, 10 * MS, name="short")]] * short + [
            [span("1", None, 0, 90 * MS, name="long")]
        ] * long

    found = compared(mix(30, 10), mix(10, 30))

    assert found.latency.change == pytest.approx(0)
    assert judge(found).outcome == "same"


def test_errors_and_calls_are_told_a_request() -> None:
    after = [request(10, has_failed=number % 2 == 0) for number in range(40)]

    found = compared(varying(10), after)

    insert = next(change for change in found.operations if change.key.name == "Insert")
    assert insert.errors.is_sure
    assert [insert.errors.before, insert.errors.after] == pytest.approx([0, 0.5])
    assert [insert.calls.before, insert.calls.after] == pytest.approx([1, 1])


def test_what_lost_spans_may_explain_is_not_sure_on_any_level() -> None:
    def made(number: int, audits: int) -> list[SpanSpec]:
        insert = span("4", "3", 12 * MS, 16 * MS, service="db", name="insert", kind=Kind.SERVER)
        calls = [span(f"a{at}", "1", 0, 0, service="shop", name="audit", kind=Kind.CLIENT) for at in range(audits)]
        return [*request(10 + number % 5), insert, *calls]

    before = [made(number, audits=1) for number in range(40)]
    # Most lost their Insert: what it called seems to hold what it held, and to be called by the shop.
    whole = [made(number, audits=3) for number in range(40)]
    after = [spans[:2] + spans[2 + (number % 10 > 0) :] for number, spans in enumerate(whole)]

    found = compared(before, after)

    assert [line.key.name for line in found.operations if abs(line.held.change) > MS] == ["insert", "Insert"]
    assert [edge.callee for edge in found.edges if abs(edge.between.change) > MS] == ["db"]
    assert not [line for line in found.operations if line.held.is_sure]
    assert not [line for line in found.services if line.held.is_sure]
    assert not [line for line in found.edges if line.between.is_sure]
    (audit,) = (line for line in found.operations if line.key.name == "audit")
    assert audit.calls.change == pytest.approx(2)
    assert audit.calls.is_sure


@pytest.mark.parametrize(("lost", "is_sure"), [(4, False), (0, True)])
def test_fewer_calls_are_not_sure_where_as_many_spans_are_lost(lost: int, *, is_sure: bool) -> None:
    def made(number: int, audits: int) -> list[SpanSpec]:
        insert = span("4", "3", 12 * MS, 16 * MS, service="db", name="insert", kind=Kind.SERVER)
        calls = [span(f"a{at}", "1", 0, 0, service="shop", name="audit", kind=Kind.CLIENT) for at in range(audits)]
        return [*request(10 + number % 5), insert, *calls]

    before = [made(number, audits=20) for number in range(40)]
    # One in twenty calls is missing, and of the spans that have others below them one in thirty.
    after = [spans[:2] + spans[2 + (at < lost) :] for at, spans in enumerate(made(n, audits=19) for n in range(40))]

    (audit,) = (line for line in compared(before, after).operations if line.key.name == "audit")

    assert audit.calls.change == pytest.approx(-1)
    assert audit.calls.is_sure == is_sure


def test_few_requests_are_never_sure() -> None:
    found = compared([request(10)] * 3, [request(90)] * 3)

    assert not found.services[0].held.is_sure
    assert judge(found).headline == "Too few requests to tell change from chance: 3 before, 3 after"


def test_without_requests_or_a_common_operation_there_is_nothing_to_compare() -> None:
    other = [[span("1", None, 0, 10, name="other")]] * 6

    assert judge(compared([], varying(10))).headline == "Nothing to compare: no requests before"
    assert judge(compared(varying(10), other)).headline == "Nothing to compare: the two sides share no entry operation"
    assert compared(varying(10), other).after.unmatched == {"app other": 6}


def test_the_headline_says_what_changed_by_how_much_and_how_sure() -> None:
    verdict = judge(compared(varying(10), varying(40)))

    assert (verdict.outcome, verdict.service) == ("slower", "cart")
    assert verdict.headline.startswith("cart makes requests 30.0 ms longer on average (95 % sure: 2")
    assert verdict.headline.endswith("mean latency 32.0 ms → 62.0 ms (+94 %)")
    assert verdict.remarks == ("100 % of it in Insert",)


@examples(0.2)  # each deals 200 times, which takes a while
@given(tables())
def test_a_set_against_itself_has_not_changed(traces: Traces) -> None:
    cohort = collect(traces, OPTIONS)
    found = compare(cohort, cohort)

    estimates = [change.held for change in found.services]
    estimates += [part for change in found.operations for part in (change.held, change.calls, change.errors)]
    assert all((one.change, one.is_sure) == (0, False) for one in estimates)
    assert judge(found).outcome in {"same", "too-few", "incomparable"}


@examples(0.2)  # each deals 200 times, which takes a while
@given(tables(), tables())
def test_swapped_sets_mirror_every_change(one: Traces, other: Traces) -> None:
    first, second = collect(one, OPTIONS), collect(other, OPTIONS)
    there, back = compare(first, second), compare(second, first)

    mirrored = {change.service: change.held for change in back.services}
    for change in there.services:
        held, swapped = change.held, mirrored[change.service]
        assert held.is_sure == swapped.is_sure
        # Sums over kinds of requests come in another order, so they may differ in the last digit.
        assert (held.before, held.after, held.low) == pytest.approx((swapped.after, swapped.before, -swapped.high))


@examples(0.2)  # each deals 200 times, which takes a while
@given(tables())
def test_the_order_of_traces_and_batches_does_not_matter(traces: Traces) -> None:
    forward = collect(traces, OPTIONS)
    backward = sum((collect(part, OPTIONS) for part in reversed(list(traces))), Cohort())
    base = collect(assemble(batch(varying(10), "c")), OPTIONS)

    one, other = compare(base, forward), compare(base, backward)
    for mine, theirs in zip(one.operations, other.operations, strict=True):
        assert document(OPERATION_COLUMNS, mine) == document(OPERATION_COLUMNS, theirs)


@examples(0.2)  # each deals 200 times, which takes a while
@given(tables())
def test_what_services_hold_adds_up_to_the_latency(traces: Traces) -> None:
    cohort = collect(traces, OPTIONS)
    found = compare(cohort, cohort)

    assert sum(change.held.before for change in found.services) == pytest.approx(found.latency.before)
