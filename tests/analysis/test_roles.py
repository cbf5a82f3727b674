from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.analysis import obvious_roles
from tests.builders import SpanLike, SpanSpec, span, trace, traces
from traceq.analysis.columns import columns
from traceq.semantics import Attributes, Kind
from traceq.traces import Traces

KAFKA: Attributes = {"messaging.system": "kafka", "messaging.destination": "events"}
MYSQL: Attributes = {"db.system": "mysql", "db.name": "chat"}
CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER = (
    Kind.CLIENT,
    Kind.CONSUMER,
    Kind.INTERNAL,
    Kind.PRODUCER,
    Kind.SERVER,
)


def roles(*spans: SpanLike) -> dict[str, Kind]:
    """Give each span's role by its name."""
    found = trace(*spans)
    return {found.span(row).name: Kind(number) for row, number in enumerate(columns(found).roles.tolist())}


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        (Kind.UNSPECIFIED, {}, INTERNAL),
        (INTERNAL, {}, INTERNAL),
        (SERVER, {}, SERVER),
        (CLIENT, {}, CLIENT),
        (INTERNAL, MYSQL, CLIENT),
        (SERVER, MYSQL, SERVER),
        (INTERNAL, {"http.url": "http://a/b"}, INTERNAL),
        (Kind.UNSPECIFIED, {"http.url": "http://a/b"}, CLIENT),
        (Kind.UNSPECIFIED, {"http.route": "/b"}, SERVER),
        (CLIENT, {**KAFKA, "messaging.operation": "receive"}, CONSUMER),
        (CLIENT, {**KAFKA, "messaging.operation": "publish"}, PRODUCER),
        (CLIENT, {**KAFKA, "messaging.operation.type": "settle"}, CLIENT),
        (SERVER, {**KAFKA, "messaging.operation": "process"}, CONSUMER),
        (SERVER, KAFKA, CONSUMER),
        (SERVER, {**KAFKA, "http.route": "/rooms"}, SERVER),
        (SERVER, {**KAFKA, "messaging.operation": "publish"}, SERVER),
        (INTERNAL, {**KAFKA, "messaging.consumer_group": "n"}, CONSUMER),
        (INTERNAL, {"messaging.system": "kafka", "messaging.source": "events"}, CONSUMER),
        (PRODUCER, {**KAFKA, "messaging.operation": "receive"}, PRODUCER),
        (CONSUMER, {**KAFKA, "messaging.operation": "publish"}, CONSUMER),
    ],
    ids=str,
)
def test_by_itself(kind: Kind, attributes: Attributes, expected: Kind) -> None:
    assert roles(("root", None, 0, 9), span("it", "root", 1, 5, kind=kind, attributes=attributes))["it"] is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kafka.consume.events", CONSUMER),
        ("kafka.publish.events", PRODUCER),
        ("events receive", CONSUMER),
        ("notify", PRODUCER),
    ],
)
def test_names_count_where_attributes_name_a_broker(name: str, expected: Kind) -> None:
    broker = span(name, "root", 1, 5, kind=INTERNAL, attributes=KAFKA)

    assert roles(("root", None, 0, 9), broker)[name] is expected
    assert roles(("root", None, 0, 9), span(name, "root", 1, 5, kind=INTERNAL))[name] is INTERNAL


def test_a_message_as_it_is_written_by_hand() -> None:
    found = roles(
        span("POST /messages", None, 0, 180, kind=SERVER),
        span("save_message_to_mongodb", "POST /messages", 40, 65, kind=INTERNAL, attributes={"db.system": "mongodb"}),
        span(
            "chat.insert",
            "save_message_to_mongodb",
            42,
            62,
            kind=CLIENT,
            attributes={"db.system": "mongodb", "db.name": "chat"},
        ),
        span("publish_kafka_event", "POST /messages", 70, 82, kind=INTERNAL, attributes=KAFKA),
        span("kafka.publish.events", "publish_kafka_event", 71, 81, kind=INTERNAL, attributes=KAFKA),
        span(
            "kafka.consume.events",
            "kafka.publish.events",
            78,
            123,
            service="notifications",
            kind=INTERNAL,
            attributes={"messaging.system": "kafka", "messaging.source": "events"},
        ),
        span("send_sse", "kafka.consume.events", 88, 123, service="notifications", kind=INTERNAL),
    )

    assert found == {
        "POST /messages": SERVER,
        "save_message_to_mongodb": INTERNAL,
        "chat.insert": CLIENT,
        "publish_kafka_event": INTERNAL,
        "kafka.publish.events": PRODUCER,
        "kafka.consume.events": CONSUMER,
        "send_sse": INTERNAL,
    }


def test_of_a_message_taken_the_outermost_tells_and_what_it_sends_is_its_own() -> None:
    found = roles(
        span("process", None, 0, 90, kind=CONSUMER, attributes=KAFKA),
        span("handle", "process", 10, 80, kind=INTERNAL, attributes=KAFKA),
        span("publish", "handle", 20, 30, kind=INTERNAL, attributes=KAFKA),
        span("ack", "process", 80, 85, kind=CLIENT, attributes=KAFKA),
    )

    assert found == {"process": CONSUMER, "handle": INTERNAL, "publish": PRODUCER, "ack": CLIENT}


def test_a_poll_and_what_is_processed_below_it_are_both_consumers() -> None:
    found = roles(
        span("poll", None, 0, 40, kind=CLIENT, attributes={**KAFKA, "messaging.operation.type": "receive"}),
        span("process", "poll", 45, 55, kind=CONSUMER, attributes={**KAFKA, "messaging.operation.type": "process"}),
        span("commit", "poll", 56, 58, kind=CLIENT, attributes={**KAFKA, "messaging.operation.type": "settle"}),
    )

    assert found == {"poll": CONSUMER, "process": CONSUMER, "commit": CLIENT}


def test_a_drivers_span_beside_its_librarys_is_no_call() -> None:
    found = roles(
        ("root", None, 0, 100),
        span("SELECT chat", "root", 5, 20, kind=CLIENT, attributes=MYSQL),
        span("SELECT", "root", 6, 19, kind=CLIENT, attributes=MYSQL),
        span("INSERT chat", "root", 30, 40, kind=CLIENT, attributes=MYSQL),
        span("INSERT", "root", 35, 45, kind=CLIENT, attributes=MYSQL),
    )

    assert found == {
        "root": INTERNAL,
        "SELECT chat": CLIENT,
        "SELECT": INTERNAL,
        "INSERT chat": CLIENT,
        "INSERT": CLIENT,
    }


def test_without_kinds_the_tree_tells() -> None:
    found = roles(
        ("root", None, 0, 100),
        ("get", "root", 10, 60),
        span("users", "get", 20, 50, service="users"),
        ("publish", "root", 60, 70),
        span("other", "root", 70, 80, service="other"),
        span("sent", "root", 80, 90, kind=PRODUCER),
        span("taken", "sent", 95, 99, service="other"),
    )

    assert found == {
        "root": INTERNAL,
        "get": CLIENT,
        "users": SERVER,
        "publish": INTERNAL,
        "other": SERVER,
        "sent": PRODUCER,
        "taken": CONSUMER,
    }


def test_a_url_without_a_kind_is_served_where_the_service_was_entered() -> None:
    url = {"http.url": "http://a/b"}

    found = roles(
        span("gateway", None, 0, 100, service="nginx", attributes=url),
        span("web", "gateway", 10, 90, service="web", attributes=url),
        span("ask", "web", 20, 80, service="web", attributes=url),
        span("users", "ask", 30, 70, service="users", attributes={"url.full": "http://a/b"}),
    )

    assert found == {"gateway": SERVER, "web": SERVER, "ask": CLIENT, "users": CLIENT}


def test_a_wrapper_far_above_is_one_all_the_same() -> None:
    steps = [span(f"step {n}", "publish_event" if n == 0 else f"step {n - 1}", n + 1, 200 - n) for n in range(60)]

    found = roles(
        span("publish_event", None, 0, 300, kind=INTERNAL, attributes=KAFKA),
        *steps,
        span("publish", "step 59", 100, 110, kind=INTERNAL, attributes=KAFKA),
    )

    assert (found["publish_event"], found["publish"]) == (INTERNAL, PRODUCER)


_SYSTEMS: list[Attributes] = [
    {},
    {"http.url": "http://a/b"},
    {"url.full": "http://a/b"},
    {"http.route": "/b"},
    MYSQL,
    KAFKA,
    {**KAFKA, "messaging.operation": "receive"},
    {**KAFKA, "messaging.operation": "process"},
    {**KAFKA, "messaging.operation": "publish"},
    {**KAFKA, "messaging.operation": "settle"},
    {"messaging.system": "rabbitmq", "messaging.source": "q"},
]


@st.composite
def conversations(draw: st.DrawFn) -> list[SpanSpec]:
    """Give the spans of a trace that talk to each other, to brokers and databases, with and without kinds."""
    ids = [f"{number:x}" for number in range(1, draw(st.integers(2, 9)))]
    return [_said(draw, position, ids) for position in range(len(ids))]


def _said(draw: st.DrawFn, position: int, ids: list[str]) -> SpanSpec:
    start_ns = draw(st.integers(0, 9))
    return span(
        ids[position],
        draw(st.one_of(st.none(), st.sampled_from(ids))),
        start_ns,
        start_ns + draw(st.integers(0, 9)),
        service=draw(st.sampled_from("aab")),
        name=draw(st.sampled_from(("SELECT", "SELECT x", "publish", "events consume", "work"))),
        kind=draw(st.sampled_from(Kind)),
        attributes=draw(st.sampled_from(_SYSTEMS)),
    )


def roles_of(found: Traces) -> list[Kind]:
    return [Kind(number) for number in columns(found).roles.tolist()]


@given(st.lists(conversations(), max_size=2))
def test_agrees_with_the_obvious_decision(spans: list[list[SpanSpec]]) -> None:
    found = traces({f"{number:x}": some for number, some in enumerate(spans, 1)})

    assert roles_of(found) == [obvious_roles.role(found, row) for row in range(found.span_count)]


@given(conversations())
def test_is_never_unspecified_and_keeps_a_kind_that_nothing_contradicts(spans: list[SpanSpec]) -> None:
    found = trace(*spans)

    plain = {row for row in range(found.span_count) if found.span(row).peer is None and found.span(row).kind > INTERNAL}
    assert Kind.UNSPECIFIED not in roles_of(found)
    assert {row: roles_of(found)[row] for row in plain} == {row: found.span(row).kind for row in plain}


@given(conversations().flatmap(lambda spans: st.tuples(st.just(spans), st.permutations(spans))))
def test_does_not_depend_on_the_order_of_spans(orders: tuple[list[SpanSpec], list[SpanSpec]]) -> None:
    one, other = (trace(*spans) for spans in orders)
    assume(not one.warnings)  # a ring is cut where it is met first

    assert dict(zip(one.span_ids, roles_of(one), strict=True)) == dict(
        zip(other.span_ids, roles_of(other), strict=True)
    )
