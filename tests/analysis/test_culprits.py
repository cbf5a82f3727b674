from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import traceq
from tests.analysis.arbitrary import tables
from tests.builders import EPOCH_NS, SpanSpec, span, trace
from tests.sources.replay import FIXTURES
from traceq.analysis.columns import columns
from traceq.analysis.comparison.alignment import align
from traceq.analysis.comparison.cohorts import collect
from traceq.analysis.critical_path import find_paths
from traceq.analysis.culprits import CULPRIT_COLUMNS, Examined, Wanted, charge, culprits, examine, select_spans
from traceq.analysis.findings.sightings import Scene, none_seen
from traceq.analysis.findings.single import network_times
from traceq.analysis.group_sums import sum_groups
from traceq.analysis.requests import Measure, RequestOptions
from traceq.analysis.thresholds import Thresholds
from traceq.report import document
from traceq.semantics import Kind
from traceq.traces import Event, Traces


def gaps(*spans: SpanSpec) -> dict[str, int]:
    traces = trace(*spans)
    table = columns(traces)
    found = charge(table, find_paths(table).own_ns)
    assert found.charged_ns.sum() == 100
    return {traces.span_ids[row]: gap for row, gap in enumerate(found.network_ns.tolist()) if gap}


def call(client_kind: Kind, server_kind: Kind) -> list[SpanSpec]:
    return [
        span("root", None, 0, 100, service="a"),
        span("client", "root", 10, 90, service="a", kind=client_kind),
        span("server", "client", 30, 60, service="b", kind=server_kind),
    ]


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (Kind.CLIENT, Kind.SERVER, {"server": 50}),
        (Kind.UNSPECIFIED, Kind.UNSPECIFIED, {"server": 50}),
        (Kind.CLIENT, Kind.INTERNAL, {"server": 50}),
        (Kind.INTERNAL, Kind.SERVER, {}),
        (Kind.INTERNAL, Kind.INTERNAL, {"server": 50}),
    ],
)
def test_calls_are_told_by_roles(client: Kind, server: Kind, expected: dict[str, int]) -> None:
    assert gaps(*call(client, server)) == expected


@pytest.mark.parametrize("server_kind", [Kind.SERVER, Kind.INTERNAL])
def test_a_client_span_that_does_more_than_one_call_waits_for_more_than_that(server_kind: Kind) -> None:
    other = span("other", "client", 65, 80, service="a" if server_kind is Kind.INTERNAL else "c", kind=server_kind)

    assert gaps(*call(Kind.CLIENT, Kind.SERVER), other) == {}


def test_where_other_spans_of_the_trace_tell_kinds_an_internal_one_calls_nobody() -> None:
    teller = span("teller", "root", 95, 99, service="a", kind=Kind.CLIENT)

    assert gaps(*call(Kind.INTERNAL, Kind.INTERNAL), teller) == {}


def test_without_kinds_a_span_with_other_work_below_it_is_no_client_side() -> None:
    assert gaps(*call(Kind.UNSPECIFIED, Kind.UNSPECIFIED), span("work", "client", 60, 70, service="a")) == {}


def test_without_kinds_the_span_at_which_a_service_was_entered_is_no_client_side() -> None:
    assert gaps(span("root", None, 0, 100, service="a"), span("b", "root", 10, 90, service="b")) == {}


def test_a_client_span_waits_for_nothing_that_only_follows_from_it() -> None:
    later = span("server", "client", 120, 150, service="b", kind=Kind.SERVER, follows_from=True)

    assert gaps(*call(Kind.CLIENT, Kind.SERVER)[:2], later) == {}


def test_every_question_charges_a_span_with_the_same() -> None:
    found = next(one for one in traceq.load(FIXTURES / "chat.json") if one.trace_ids[0].startswith("5266ff355aab16a3"))
    examined = examine(found, RequestOptions())

    row = next(row for row in range(found.span_count) if found.span(row).name == "GET /users/me")
    charged_ns, network_ns = int(examined.charged_ns[row]), int(examined.network_ns[row])
    ranked = next(line for line in traceq.bottlenecks(found).groups if line.key.name == "GET /users/me")
    aligned = next(call for call in align(found, found, RequestOptions()).calls if call.name == "GET /users/me")
    seen = network_times(Scene(examined, Thresholds(min_cost_ns=0, min_ratio=0, network_ns=1)), none_seen("payload"))
    assert charged_ns > network_ns > 0
    assert (ranked.sums.critical_ns, ranked.sums.network_ns) == (charged_ns, network_ns)
    assert aligned.after is not None
    assert aligned.after.held_ns == charged_ns
    assert dict(zip(seen.rows.tolist(), seen.cost_ns.tolist(), strict=True))[row] == network_ns


@given(tables())
def test_ranking_and_comparison_charge_operations_with_the_same(found: Traces) -> None:
    options = RequestOptions(with_fragments=True)
    groups = sum_groups(examine(found, options))
    cohort = collect(found, options)

    compared: Counter[str] = Counter()
    for batch in cohort.batches:
        names = [str(key) for key in batch.operations]
        for operation, own_ns in zip(batch.work.operations.tolist(), batch.work.own_ns.tolist(), strict=True):
            compared[names[operation]] += own_ns
        for callee, gap_ns in zip(batch.gaps.callees.tolist(), batch.gaps.gap_ns.tolist(), strict=True):
            compared[names[callee]] += gap_ns
    assert +compared == +Counter({str(key): sums.critical_ns for key, sums in groups.items()})


SLOW_MESSAGE = (
    span("POST", None, 0, 1200, service="chat", kind=Kind.SERVER),
    span("auth", "POST", 10, 40, service="chat", kind=Kind.CLIENT),
    span("GET", "auth", 15, 35, service="user", kind=Kind.SERVER),
    span("save", "POST", 50, 1150, service="chat"),
    span(
        "insert",
        "save",
        100,
        1100,
        service="chat",
        kind=Kind.CLIENT,
        attributes={"db.system": "mongodb", "db.statement": "insert messages"},
    ),
)


def flagged(traces: Traces, measure: Measure = "critical-time") -> list[tuple[str, int, int | None]]:
    examined = examine(traces, RequestOptions(measure=measure))
    found = culprits(examined, int(examined.requests.entries[0]), measure)
    return [(culprit.name, culprit.held_ns, culprit.network_ns) for culprit in found]


def test_the_span_that_holds_a_fifth_of_the_request_is_flagged_with_its_chain_and_statement() -> None:
    examined = examine(trace(*SLOW_MESSAGE), RequestOptions())

    (found,) = culprits(examined, 0, "critical-time")

    assert document(CULPRIT_COLUMNS, found) == {
        "span_id": "insert",
        "service": "chat",
        "operation": "insert",
        "peer": "mongodb",
        "call_count": 1,
        "held_ns": 1000,
        "ratio": 1000 / 1200,
        "network_ns": 0,
        "duration_ns": 1000,
        "chain": [
            {"service": "chat", "operation": "POST"},
            {"service": "chat", "operation": "save"},
            {"service": "chat", "operation": "insert"},
        ],
        "statement": "insert messages",
        "is_entry": False,
    }


def test_by_duration_everything_above_it_is_flagged_too() -> None:
    assert flagged(trace(*SLOW_MESSAGE), "duration") == [("save", 1100, None), ("insert", 1000, None)]


def test_without_a_call_of_a_fifth_the_greatest_is_flagged_unless_the_request_holds_more_itself() -> None:
    spans = [span(f"c{i}", "root", 10 * i, 10 * i + 9 + i % 2, name=f"c{i}") for i in range(10)]

    assert flagged(trace(span("root", None, 0, 100), *spans)) == [("c1", 10, 0)]
    assert flagged(trace(span("root", None, 0, 130), *spans)) == [("root", 35, 0)]


def test_nothing_is_a_bottleneck_where_the_request_itself_holds_most() -> None:
    table = trace(span("root", None, 0, 100), span("a", "root", 0, 40))
    examined = examine(table, RequestOptions())

    (found,) = culprits(examined, 0, "critical-time")

    assert (found.name, found.ratio, found.is_entry, found.chain) == ("root", 0.6, True, (("app", "root"),))
    assert flagged(trace(span("root", None, 0, 100), span("a", "root", 0, 60))) == [("a", 60, 0)]
    assert flagged(table, "duration") == [("a", 40, None)]
    assert flagged(trace(span("root", None, 0, 1000), span("a", "root", 0, 2)), "duration") == [("root", 998, None)]


def test_a_fragment_is_rated_against_its_trace() -> None:
    lost = [span("lost", "gone", 10, 20), span("a", "lost", 11, 19)]
    examined = examine(trace(span("root", None, 0, 100), *lost), RequestOptions(with_fragments=True))
    alone = examine(trace(span("root", None, 0, 30), *lost), RequestOptions(with_fragments=True))

    assert culprits(examined, 1, "critical-time") == ()
    assert [(one.name, one.ratio) for one in culprits(alone, 1, "critical-time")] == [("a", 8 / 30)]


def test_what_passes_between_caller_and_callee_is_charged_to_the_callee() -> None:
    spans: tuple[SpanSpec, ...] = (
        span("root", None, 0, 100, service="a"),
        span("call", "root", 0, 100, service="a", kind=Kind.CLIENT),
        span("serve", "call", 40, 60, service="b", kind=Kind.SERVER),
    )

    assert flagged(trace(*spans)) == [("serve", 100, 80)]


def test_alike_siblings_count_as_one_call() -> None:
    selects = [span(f"s{i}", "root", 20 * i, 20 * i + 15, name="SELECT") for i in range(4)]
    spans = [span("root", None, 0, 100), *selects, span("s4", "root", 80, 99, name="other")]

    assert flagged(trace(*spans)) == [("SELECT", 60, 0)]


def test_a_request_without_calls_holds_itself_up_if_it_takes_any_time() -> None:
    assert flagged(trace(("root", None, 0, 100))) == [("root", 100, 0)]
    assert flagged(trace(("root", None, 5, 5), ("a", "root", 5, 5))) == []


@given(tables())
def test_charging_moves_time_and_loses_none(traces: Traces) -> None:
    examined = examine(traces, RequestOptions(with_fragments=True))

    assert int(examined.charged_ns.sum()) == int(examined.paths.own_ns.sum())
    assert (examined.network_ns <= examined.charged_ns).all()


def examined(traces: Traces) -> Examined:
    return examine(traces, RequestOptions(with_fragments=True))


@pytest.fixture
def chat() -> Examined:
    return examined(
        trace(
            span("a1", None, 0, 100, service="chat-service", name="POST /rooms"),
            span("b2", "a1", 10, 60, service="chat-service", name="insert", attributes={"db.system": "mongodb"}),
            span("c3", "a1", 20, 40, service="user-service", name="GET", attributes={"http.status_code": 500}),
            span(
                *("d4", "c3", 25, 35),
                service="user-service",
                name="retry",
                events=(Event(EPOCH_NS + 30, "exception", {"exception.type": "TimeoutError"}),),
            ),
        )
    )


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("post", {0: ("operation",)}),
        ("USER-service", {2: ("service",), 3: ("service",)}),
        ("MongoDB", {1: ("peer", "attribute db.system")}),
        ("http.status_code=500", {2: ("attribute http.status_code",)}),
        ("timeouterror", {3: ("event exception",)}),
        ("exception", {3: ("event exception",)}),
        ("d4", {3: ("span",)}),
        ("nowhere", {}),
    ],
)
def test_a_text_is_found_wherever_a_span_has_it(text: str, matches: dict[int, tuple[str, ...]], chat: Examined) -> None:
    found = select_spans(chat, Wanted(text))

    assert (found.matches, found.rows) == (matches, frozenset(matches))


def test_the_path_and_a_subtree_are_selected(chat: Examined) -> None:
    assert select_spans(chat, Wanted(on_path=True)).rows == {0, 1}
    assert select_spans(chat, Wanted(root=2)).rows == {2, 3}
    assert select_spans(chat, Wanted("retry", root=2)).rows == {3}
    assert select_spans(chat, Wanted("retry", on_path=True)).rows == set()


@given(tables(), st.integers(0, 29))
def test_a_subtree_is_a_span_and_everything_below_it(table: Traces, number: int) -> None:
    if not table.span_count:
        return
    whole = examined(table)
    parents, root = whole.spans.parents.tolist(), number % table.span_count

    def leads_to_root(row: int) -> bool:
        while row >= 0 and row != root:
            row = parents[row]
        return row == root

    rows = select_spans(whole, Wanted(root=root)).rows

    assert rows == {row for row in range(table.span_count) if leads_to_root(row)}
