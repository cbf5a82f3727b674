from __future__ import annotations

import json

import pytest
from hypothesis import given
from msgspec.structs import replace

import traceq
from tests.analysis.arbitrary import tables
from tests.builders import SpanSpec, assemble, record, span, trace, traces
from tests.sources.replay import FIXTURES
from traceq.analysis.calls import Node
from traceq.analysis.dependencies import Dependencies, from_jaeger, together
from traceq.analysis.dependencies import disagreement as differing
from traceq.catalog import ServiceCall
from traceq.library import dependencies
from traceq.semantics import Kind, Status
from traceq.traces import Link, Traces

KAFKA = {"messaging.system": "kafka", "messaging.destination.name": "events"}
MYSQL = {"db.system": "mysql", "db.name": "orders"}


def edges(found: Dependencies) -> list[tuple[str, str, bool, str, int]]:
    """Give who calls whom, whether by messages, through what, and how often."""
    return [(call.caller, call.callee, call.is_async, call.via, call.call_count) for call in found.calls]


def test_what_only_follows_from_its_caller_is_not_waited_for() -> None:
    spans = (
        span("1", None, 0, 100, service="user", kind=Kind.SERVER),
        span("2", "1", 10, 20, service="user", kind=Kind.CLIENT),
        span("3", "2", 15, 300, service="audit", kind=Kind.SERVER, follows_from=True),
        span("4", "1", 30, 60, service="user", kind=Kind.CLIENT),
        span("5", "4", 35, 50, service="audit", kind=Kind.SERVER),
    )

    assert edges(dependencies(trace(*spans))) == [
        ("user", "audit", False, "", 1),
        ("user", "audit", True, "", 1),
    ]


def test_calls_between_services_are_counted_and_messages_told_apart() -> None:
    spans = (
        span("1", None, 0, 100, service="user"),
        span("2", "1", 0, 50, service="chat"),
        span("3", "2", 0, 50, service="chat"),
        span("4", "1", 50, 90, service="chat"),
        span("5", "2", 10, 20, service="chat", kind=Kind.PRODUCER),
        span("6", "5", 120, 150, service="notification", kind=Kind.CONSUMER),
    )

    found = dependencies(trace(*spans))

    assert edges(found) == [("chat", "notification", True, "", 1), ("user", "chat", False, "", 2)]
    assert (found.origin, found.services, found.trace_count) == ("traces", ("chat", "notification", "user"), 1)


def test_a_call_has_both_views_and_what_lies_between() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 1000, service="a", kind=Kind.SERVER),
            span("2", "1", 100, 500, service="a", kind=Kind.CLIENT, attributes={"http.request.method": "GET"}),
            span("3", "2", 150, 450, service="b", kind=Kind.SERVER, status=Status.ERROR),
        )
    )

    (call,) = found.calls
    assert call.sums is not None
    views = [view.max_ns for view in (call.sums.caller, call.sums.callee, call.sums.network)]
    assert (views, call.sums.error_count, call.sums.trace_count, call.protocol) == ([400, 300, 100], 1, 1, "http")


def test_what_misses_its_server_span_is_called_by_whom_other_traces_show() -> None:
    whole = [
        span("1", None, 0, 100, service="a", name="GET", kind=Kind.SERVER),
        span("2", "1", 10, 90, service="a", name="ask", kind=Kind.CLIENT),
        span("3", "2", 20, 80, service="b", name="find", kind=Kind.SERVER),
        span("4", "3", 30, 50, service="b", name="one", kind=Kind.INTERNAL),
        span("5", "3", 50, 70, service="b", name="two", kind=Kind.INTERNAL),
    ]
    without_server = [spec for spec in whole if spec.span_id != "3"]
    without_client = [spec for spec in whole if spec.span_id != "2"]

    (call,) = dependencies(traces({"1": whole, "2": without_server, "3": without_client})).calls

    # The two spans of the lost server were called once; its duration and the time between are not known.
    assert call.sums is not None
    assert (call.caller, call.callee, call.call_count, call.sums.rejoined_count) == ("a", "b", 3, 2)
    views = (call.sums.caller, call.sums.callee, call.sums.network)
    assert [(view.count, view.max_ns) for view in views] == [(2, 80), (2, 60), (1, 20)]
    assert dependencies(traces({"2": without_server})).calls == ()


def test_a_failure_that_only_the_caller_saw_is_one() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 10, service="a", kind=Kind.CLIENT, status=Status.ERROR),
            span("2", "1", 0, 90, service="b", kind=Kind.SERVER),
        )
    )

    assert found.calls[0].error_ratio == 1


def test_two_servers_below_one_client_span_are_two_calls_and_one_view_of_the_caller() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 90, service="a", kind=Kind.CLIENT),
            span("2", "1", 0, 30, service="b", kind=Kind.SERVER),
            span("3", "1", 30, 60, service="b", kind=Kind.SERVER),
        )
    )

    sums = found.calls[0].sums
    assert sums is not None
    assert (sums.call_count, sums.caller.count, sums.callee.count, sums.network.count) == (2, 1, 2, 0)


@pytest.mark.parametrize(
    ("kinds", "count"),
    [
        ((Kind.CLIENT, Kind.SERVER), 1),
        ((Kind.PRODUCER, Kind.CONSUMER), 1),
        ((Kind.SERVER, Kind.INTERNAL), 0),
        ((Kind.INTERNAL, Kind.CLIENT), 0),
    ],
)
def test_a_service_calls_itself_when_the_call_has_left_it(kinds: tuple[Kind, Kind], count: int) -> None:
    found = dependencies(trace(span("1", None, 0, 9, kind=kinds[0]), span("2", "1", 1, 8, kind=kinds[1])))

    assert sum(call.call_count for call in found.calls) == count


def test_a_database_is_a_node_and_only_the_innermost_span_a_call_to_it() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 90, service="shop", kind=Kind.SERVER),
            span("2", "1", 0, 60, service="shop", kind=Kind.INTERNAL, attributes=MYSQL),
            span(
                "3",
                "2",
                0,
                30,
                service="shop",
                kind=Kind.CLIENT,
                attributes={"db.system.name": "mysql", "db.namespace": "orders"},
            ),
            span("4", "2", 30, 60, service="shop", kind=Kind.CLIENT, attributes=MYSQL, status=Status.ERROR),
        )
    )

    assert found.nodes == (Node("mysql orders", "database", "mysql"), Node("shop"))
    (call,) = found.calls
    assert (call.callee, call.call_count, call.error_ratio, call.protocol) == ("mysql orders", 2, 0.5, "mysql")


def test_a_peer_that_sends_spans_is_not_there_twice() -> None:
    by_id: dict[str, list[SpanSpec]] = {
        "a1": [
            span("1", None, 0, 9, service="web", kind=Kind.CLIENT, attributes={"peer.service": "users"}),
            span("2", "1", 1, 8, service="users", kind=Kind.SERVER),
        ],
        "a2": [span("1", None, 0, 9, service="web", kind=Kind.CLIENT, attributes={"peer.service": "users"})],
        "a3": [
            span("1", None, 0, 9, service="web", kind=Kind.CLIENT, attributes={"server.address": "users.shop.svc:80"})
        ],
        "a4": [
            span("1", None, 0, 9, service="web", kind=Kind.CLIENT, attributes={"server.address": "api.example.com"})
        ],
    }

    found = dependencies(traces(by_id))

    assert edges(found) == [("web", "api.example.com", False, "", 1), ("web", "users", False, "", 3)]
    assert found.kinds == {"api.example.com": "external", "users": "service", "web": "service"}


def test_a_database_that_traces_itself_does_not_call_itself() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 9, service="customer", kind=Kind.SERVER),
            span("2", "1", 0, 9, service="redis", kind=Kind.CLIENT, attributes={"db.system": "redis"}),
        )
    )

    assert edges(found) == [("customer", "redis", False, "", 1)]
    assert found.services == ("customer", "redis")


def message(
    *, links: tuple[Link, ...] = (), parent: str | None = None, trace_id: str = "a1"
) -> dict[str, list[SpanSpec]]:
    """A message from `shop` and whoever takes it, in one trace or in another."""
    sent = [
        span("1", None, 0, 50, service="shop", kind=Kind.SERVER),
        span("2", "1", 10, 20, service="shop", kind=Kind.PRODUCER, attributes=KAFKA),
    ]
    taken = span("3", parent, 60, 90, service="mailer", kind=Kind.CONSUMER, attributes=KAFKA, links=links)
    return {"a1": [*sent, taken]} if trace_id == "a1" else {"a1": sent, trace_id: [taken]}


@pytest.mark.parametrize(
    "by_id",
    [
        message(parent="2"),
        message(links=(Link("a1", "2", {}),)),
        message(links=(Link("000a1", "0002", {}),), trace_id="b2"),
    ],
    ids=["child", "link in the trace", "link to another trace"],
)
def test_a_consumer_is_called_by_its_producer_through_the_broker(by_id: dict[str, list[SpanSpec]]) -> None:
    found = dependencies(traces(by_id))

    assert edges(found) == [
        ("kafka events", "mailer", True, "", 1),
        ("shop", "kafka events", True, "", 1),
        ("shop", "mailer", True, "kafka events", 1),
    ]
    assert [call.callee for call in found.drawn] == ["mailer", "kafka events"]


def test_links_are_tied_together_across_batches() -> None:
    by_id = message(links=(Link("a1", "2", {}),), trace_id="b2")

    assert dependencies(iter(traces(by_id))) == dependencies(traces(by_id))


@pytest.mark.parametrize(
    ("sent", "taken", "error_count"),
    [
        (Status.UNSET, Status.UNSET, 0),
        (Status.ERROR, Status.UNSET, 1),
        (Status.UNSET, Status.ERROR, 1),
        (Status.ERROR, Status.ERROR, 1),
    ],
)
def test_a_linked_message_failed_when_either_end_saw_it_fail(sent: Status, taken: Status, error_count: int) -> None:
    link = Link("a1", "1", {})
    found = dependencies(
        traces(
            {
                "a1": [span("1", None, 0, 9, service="shop", kind=Kind.PRODUCER, status=sent)],
                "b2": [span("1", None, 9, 20, service="mailer", kind=Kind.CONSUMER, status=taken, links=[link])],
            }
        )
    )

    (call,) = found.calls
    assert call.sums is not None
    assert (call.caller, call.callee, call.sums.call_count) == ("shop", "mailer", 1)
    assert call.sums.error_count == error_count


def test_what_a_consumer_does_in_the_name_of_its_broker_is_no_message() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 9, service="mailer", kind=Kind.CONSUMER, attributes=KAFKA),
            span("2", "1", 1, 8, service="mailer", kind=Kind.INTERNAL, attributes=KAFKA),
        )
    )

    assert edges(found) == [("kafka events", "mailer", True, "", 1)]


RECEIVE = {**KAFKA, "messaging.operation.type": "receive"}
PROCESS = {**KAFKA, "messaging.operation.type": "process"}


def published() -> list[SpanSpec]:
    return [span("p", None, 0, 10, service="shop", kind=Kind.PRODUCER, attributes=KAFKA)]


def link(trace_id: str) -> Link:
    return Link(trace_id, "p", {})


@pytest.mark.parametrize("kind", [Kind.CLIENT, Kind.CONSUMER])
def test_of_a_batch_each_message_counts_where_it_is_processed(kind: Kind) -> None:
    batch = [
        span("r", None, 20, 30, service="pay", kind=kind, attributes=RECEIVE, links=[link("a1"), link("a2")]),
        span("s", "r", 30, 40, service="pay", kind=Kind.CONSUMER, attributes=PROCESS, links=[link("a1")]),
        span("t", "r", 50, 60, service="pay", kind=Kind.SERVER, attributes=PROCESS, links=[link("a2")]),
        span("u", "r", 60, 62, service="pay", kind=Kind.CLIENT, attributes={**KAFKA, "messaging.operation": "commit"}),
    ]

    found = dependencies(traces({"a1": published(), "a2": published(), "b1": batch}))

    assert edges(found) == [
        ("kafka events", "pay", True, "", 2),
        ("shop", "kafka events", True, "", 2),
        ("shop", "pay", True, "kafka events", 2),
    ]


def test_a_poll_counts_for_messages_that_nothing_below_it_links_to() -> None:
    batch = [
        span("r", None, 20, 30, service="pay", kind=Kind.CLIENT, attributes=RECEIVE, links=[link("a1"), link("a2")]),
        span("s", "r", 30, 40, service="pay", kind=Kind.CONSUMER, attributes=PROCESS, links=[link("a1")]),
    ]

    found = dependencies(traces({"a1": published(), "a2": published(), "b1": batch}))

    assert ("shop", "pay", True, "kafka events", 2) in edges(found)


@pytest.mark.parametrize("start", [5, 20], ids=["waits before", "asks after"])
def test_what_is_received_below_its_producer_goes_through_the_broker_once(start: int) -> None:
    taken = [
        span("r", "p", start, 30, service="pay", kind=Kind.CONSUMER, attributes=RECEIVE),
        span("s", "r", 30, 40, service="pay", kind=Kind.CONSUMER, attributes=PROCESS),
    ]

    assert edges(dependencies(trace(*published(), *taken))) == [
        ("kafka events", "pay", True, "", 1),
        ("shop", "kafka events", True, "", 1),
        ("shop", "pay", True, "kafka events", 1),
    ]


def test_a_consumer_of_several_messages_hangs_on_one_and_links_to_the_others() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 90, service="flow"),
            span("2", "1", 10, 30, service="left", kind=Kind.PRODUCER),
            span("3", "1", 10, 60, service="right", kind=Kind.PRODUCER),
            span(
                "4", "2", 70, 99, service="join", kind=Kind.CONSUMER, links=[Link("a1", "3", {}), Link("a1", "2", {})]
            ),
        )
    )

    assert edges(found) == [
        ("flow", "left", False, "", 1),
        ("flow", "right", False, "", 1),
        ("left", "join", True, "", 1),
        ("right", "join", True, "", 1),
    ]


def test_a_mapper_and_its_driver_ask_once_nested_or_side_by_side() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 90, service="api"),
            span("2", "1", 0, 20, service="api", name="SELECT orders", kind=Kind.CLIENT, attributes=MYSQL),
            span("3", "1", 5, 15, service="api", name="SELECT", kind=Kind.CLIENT, attributes=MYSQL),
            span("4", "1", 30, 50, service="api", name="orders.query", kind=Kind.CLIENT, attributes=MYSQL),
            span("5", "4", 35, 45, service="api", name="SELECT", kind=Kind.CLIENT, attributes=MYSQL),
        )
    )

    assert edges(found) == [("api", "mysql orders", False, "", 2)]


def test_a_url_names_the_host_and_ports_tell_the_loopbacks_services_apart() -> None:
    urls = ("https://pay.example/v1", "http://geo.example:8085/a", "http://localhost:8001/", "http://localhost:8002/")
    calls = [
        span(str(n), "1", n, n + 1, service="shop", kind=Kind.CLIENT, attributes={"url.full": url})
        for n, url in enumerate(urls, 2)
    ]

    found = dependencies(trace(span("1", None, 0, 90, service="shop"), *calls))

    assert [call.callee for call in found.calls] == ["geo.example", "localhost:8001", "localhost:8002", "pay.example"]


@pytest.mark.parametrize(
    ("grouping", "names"),
    [
        ("name", ["mysql orders", "mysql users"]),
        ("system", ["mysql"]),
        ("host", ["mysql db-1", "mysql db-2"]),
        ("none", ["mysql orders db-1", "mysql orders db-2", "mysql users db-1"]),
    ],
)
def test_peers_are_grouped_as_asked(grouping: str, names: list[str]) -> None:
    hosts = (("orders", "db-1"), ("orders", "db-2"), ("users", "db-1"))
    spans = (
        span(
            str(number),
            None,
            0,
            9,
            kind=Kind.CLIENT,
            attributes={"db.system": "mysql", "db.name": name, "server.address": host},
        )
        for number, (name, host) in enumerate(hosts, 1)
    )

    found = dependencies(trace(*spans), group_peers=grouping)  # type: ignore[arg-type]  # a plain str

    assert [node.name for node in found.nodes if node.kind == "database"] == names


@pytest.mark.parametrize(
    ("attributes", "name", "spoken"),
    [
        ({"rpc.system": "grpc", "rpc.service": "Cart"}, "x", "grpc"),
        ({"http.method": "GET"}, "x", "http"),
        ({"component": "net/http"}, "x", "http"),
        ({}, "GET /users", "http"),
        ({}, "/shop.Cart/Get", "grpc"),
        ({}, "and/or", ""),
    ],
)
def test_the_protocol_is_told_by_old_and_new_attributes_or_the_name(
    attributes: dict[str, str], name: str, spoken: str
) -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 9, service="a", name="call", kind=Kind.CLIENT),
            span("2", "1", 1, 8, service="b", name=name, kind=Kind.SERVER, attributes=attributes),
        )
    )

    assert found.calls[0].protocol == spoken


def test_without_attributes_names_and_peers_still_tell() -> None:
    specs = (
        span("1", None, 0, 9, service="a", kind=Kind.CLIENT),
        span("2", "1", 1, 8, service="b", name="GET /", kind=Kind.SERVER),
        span("3", "2", 1, 8, service="b", kind=Kind.CLIENT, attributes=MYSQL),
    )

    found = dependencies(assemble([record(*specs)], with_details=False))

    assert [call.protocol for call in found.calls] == ["http", "mysql"]


def test_critical_time_goes_to_the_last_call_above() -> None:
    found = dependencies(
        trace(
            span("1", None, 0, 100, service="a", kind=Kind.SERVER),
            span("2", "1", 10, 90, service="a", kind=Kind.CLIENT),
            span("3", "2", 20, 80, service="b", kind=Kind.SERVER),
            span("4", "3", 30, 60, service="b", kind=Kind.CLIENT, attributes=MYSQL),
        ),
        with_critical=True,
    )

    held = {(call.caller, call.callee): call.sums.critical_ns for call in found.calls if call.sums}
    assert (held, found.critical_ns) == ({("a", "b"): 50, ("b", "mysql orders"): 30}, 100)


def test_a_service_without_calls_is_still_there() -> None:
    assert dependencies(trace(span("1", None, 0, 1, service="cron"))).services == ("cron",)


@given(tables())
def test_one_table_or_trace_by_trace_is_the_same(found: Traces) -> None:
    whole, parts = dependencies(found, with_critical=True), dependencies(iter(found), with_critical=True)

    assert whole == parts
    assert [call.sums for call in whole.calls] == [call.sums for call in parts.calls]


def test_which_call_tells_what_is_spoken_does_not_depend_on_the_order_of_traces() -> None:
    by_id = {
        trace_id: (
            span("1", None, 0, 9, service="a", kind=Kind.CLIENT, attributes=attributes),
            span("2", "1", 0, 9, service="b", name="call"),
        )
        for trace_id, attributes in (("a1", {"component": "grpc"}), ("a2", {"http.method": "GET"}), ("a3", {}))
    }
    backwards = dict(reversed(by_id.items()))

    found = [dependencies(each) for each in (traces(by_id), iter(traces(by_id)), traces(backwards))]

    assert [call.protocol for each in found for call in each.calls] == ["grpc"] * 3


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_every_name_of_a_peer_is_tried_whichever_span_is_read_first(order: tuple[str, str]) -> None:
    """Both spans name the peer `users.shop`; only the one that names a host makes `users` a name for it too."""
    calls = {
        "1": span("1", None, 0, 9, service="a", kind=Kind.CLIENT, attributes={"peer.service": "users.shop"}),
        "2": span("2", None, 0, 9, service="a", kind=Kind.CLIENT, attributes={"server.address": "users.shop"}),
    }
    table = traces({"a1": [calls[order[0]]], "a2": [calls[order[1]]], "a3": [span("3", None, 0, 9, service="users")]})

    for found in (dependencies(table), dependencies(iter(table))):
        assert edges(found) == [("a", "users", False, "", 2)]
        assert found.services == ("a", "users")


@given(tables())
def test_critical_time_is_shared_out_once(found: Traces) -> None:
    shared = dependencies(found, with_critical=True)

    held = sum(call.sums.critical_ns for call in shared.calls if call.sums)
    assert (shared.critical_ns is None) == (len(found) == 0)
    assert 0 <= held <= (shared.critical_ns or 0)


@given(tables())
def test_every_span_below_another_service_is_a_call(found: Traces) -> None:
    """Fragments that other traces show a place for are calls too, and counted apart."""
    spans = [found.span(row) for row in range(found.span_count)]
    crossing = [
        span for span in spans if not span.is_root and span.service != found.span(found.parents[span.row]).service
    ]

    between = [call for call in dependencies(found).calls if call.caller != call.callee]

    rejoined_count = sum(call.sums.rejoined_count for call in between if call.sums)
    assert sum(call.call_count for call in between) - rejoined_count == len(crossing)


@pytest.mark.parametrize("folder", ["jaeger-1.51", "jaeger-2.20", "jaeger-2.21-dev"])
def test_counts_are_those_of_jaegers_own_memory_storage(folder: str) -> None:
    recorded = json.loads((FIXTURES / folder / "bodies" / "dependencies.json").read_text(encoding="utf-8"))["data"]
    table = {(edge["parent"], edge["child"]): edge["callCount"] for edge in recorded}

    found = dependencies(traceq.load(FIXTURES / "chat.json"))

    counted: dict[tuple[str, str], int] = {}
    for call in found.calls:
        if {found.kinds[call.caller], found.kinds[call.callee]} == {"service"}:
            assert call.sums is not None
            # Jaeger does not know of calls to a service that sent no span of them.
            with_span = call.sums.callee.count
            counted[call.caller, call.callee] = counted.get((call.caller, call.callee), 0) + with_span
    counted = {ends: count for ends, count in counted.items() if count}
    # From 2.0 on Jaeger counts every span below another of its service as a call to itself, 1.51 none.
    assert counted == {ends: count for ends, count in table.items() if ends[0] != ends[1]}


def test_both_counts_stand_side_by_side_and_what_one_does_not_know_is_told() -> None:
    counted = dependencies(
        trace(span("1", None, 0, 9, service="a"), span("2", "1", 0, 9, service="b"), span("3", "2", 0, 9, service="c"))
    )
    recorded = from_jaeger([ServiceCall("a", "b", 7), ServiceCall("a", "x", 2), ServiceCall("a", "a", 90)])

    found = together(counted, recorded)

    assert [(call.caller + call.callee, call.call_count, call.jaeger_count, call.known_to) for call in found.calls] == [
        ("aa", 90, 90, "jaeger"),
        ("ab", 1, 7, "both"),
        ("ax", 2, 2, "jaeger"),
        ("bc", 1, None, "traces"),
    ]
    assert [call.caller for call in found.spurious] == ["a"]
    assert "aa" not in [call.caller + call.callee for call in found.drawn]
    only = differing(found)
    assert ([call.callee for call in only.only_traces], [call.callee for call in only.only_jaeger]) == (["c"], ["x"])
    assert differing(replace(found, origin="traces")).only_jaeger == ()


def test_rows_of_jaegers_table_for_the_same_services_are_summed() -> None:
    assert edges(from_jaeger([ServiceCall("a", "b", 1), ServiceCall("a", "b", 2)])) == [("a", "b", False, "", 3)]


def test_the_frame_has_a_row_an_edge_even_when_there_are_none() -> None:
    columns = list(from_jaeger([]).to_frame().columns)

    assert columns[:6] == ["caller", "callee", "asynchronous", "via", "call_count", "trace_count"]
    assert columns == list(dependencies(trace(("1", None, 0, 1))).to_frame().columns)
