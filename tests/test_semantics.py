from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traceq.semantics import (
    ABRIDGED,
    Activity,
    Attributes,
    AttributeValue,
    Kind,
    Peer,
    Status,
    abridged,
    activity,
    activity_from_name,
    authority,
    host,
    kind_from_text,
    operation,
    peer,
    status_from_attributes,
    value_text,
)


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        pytest.param(
            Kind.CLIENT, {"db.system": "mysql", "db.name": "chat"}, Peer("database", "mysql", "chat"), id="old"
        ),
        pytest.param(
            Kind.CLIENT,
            {"db.system.name": "mysql", "db.namespace": "chat"},
            Peer("database", "mysql", "chat"),
            id="new",
        ),
        pytest.param(Kind.INTERNAL, {"db.system": "redis"}, Peer("database", "redis", ""), id="made by hand"),
        pytest.param(Kind.SERVER, {"db.system": "redis"}, None, id="the database's own span"),
        pytest.param(
            Kind.PRODUCER,
            {"messaging.system": "kafka", "messaging.destination": "message.events"},
            Peer("messaging", "kafka", "message.events"),
            id="topic, old name",
        ),
        pytest.param(
            Kind.CONSUMER,
            {"messaging.system": "kafka", "messaging.source": "message.events"},
            Peer("messaging", "kafka", "message.events"),
            id="topic, the consumer's name for it",
        ),
        pytest.param(
            Kind.CLIENT, {"peer.service": "pay", "net.peer.name": "h"}, Peer("service", "pay", ""), id="service"
        ),
        pytest.param(Kind.CLIENT, {"rpc.system": "grpc", "rpc.service": "Cart"}, Peer("rpc", "grpc", "Cart"), id="rpc"),
        pytest.param(Kind.CLIENT, {"server.address": "api.example"}, Peer("host", "api.example", ""), id="host"),
        pytest.param(Kind.INTERNAL, {"server.address": "api.example"}, None, id="a host and an internal span"),
        pytest.param(
            Kind.CLIENT,
            {"url.full": "https://api.example:8443/v1?q=http://other/"},
            Peer("host", "api.example", ""),
            id="a whole URL",
        ),
        pytest.param(
            Kind.CLIENT, {"http.url": "http://me:secret@api.example"}, Peer("host", "api.example", ""), id="credentials"
        ),
        pytest.param(Kind.CLIENT, {"http.url": "/users/7"}, None, id="a URL without a host"),
        pytest.param(Kind.UNSPECIFIED, {"url.full": "http://a/b"}, Peer("host", "a", ""), id="a client's URL, no kind"),
        pytest.param(Kind.UNSPECIFIED, {"http.url": "http://a/b"}, None, id="a URL of either side, no kind"),
        pytest.param(Kind.SERVER, {"http.url": "http://a/b"}, None, id="a server's own URL"),
        pytest.param(
            Kind.CLIENT,
            {"net.peer.name": "localhost", "http.url": "http://localhost:8001/a"},
            Peer("host", "localhost:8001", ""),
            id="a port of the loopback",
        ),
        pytest.param(
            Kind.CLIENT,
            {"server.address": "127.0.0.1", "server.port": 9000},
            Peer("host", "127.0.0.1:9000", ""),
            id="a port of the loopback beside the address",
        ),
        pytest.param(
            Kind.CLIENT, {"url.full": "http://[::1]:81/"}, Peer("host", "[::1]:81", ""), id="IPv6 stands in brackets"
        ),
        pytest.param(
            Kind.PRODUCER,
            {
                "messaging.system": "rabbitmq",
                "messaging.destination.name": "q7",
                "messaging.destination.temporary": True,
            },
            Peer("messaging", "rabbitmq", "(temporary)"),
            id="a queue for one conversation",
        ),
        pytest.param(
            Kind.PRODUCER,
            {"messaging.system": "rabbitmq", "messaging.destination": "amq.gen-Jz"},
            Peer("messaging", "rabbitmq", "(temporary)"),
            id="a queue that RabbitMQ named",
        ),
        pytest.param(
            Kind.CLIENT,
            {"net.peer.name": "localhost", "net.peer.port": "8001"},
            Peer("host", "localhost:8001", ""),
            id="a port of the loopback, old name",
        ),
        pytest.param(
            Kind.CLIENT,
            {"net.peer.name": "127.0.0.5", "net.peer.port": 51234},
            Peer("host", "127.0.0.5", ""),
            id="a port of the loopback that only a client has",
        ),
        pytest.param(
            Kind.CLIENT,
            {"net.peer.name": "api.example", "net.peer.port": 443},
            Peer("host", "api.example", ""),
            id="a port elsewhere",
        ),
        pytest.param(
            Kind.CLIENT,
            {"upstream_cluster": "outbound|9080||reviews.default.svc", "http.url": "http://shop.example/reviews/0"},
            Peer("host", "reviews.default.svc", ""),
            id="a proxy passes a request on, which has the URL of the whole site",
        ),
        pytest.param(
            Kind.CLIENT,
            {"upstream_cluster": "PassthroughCluster", "http.url": "http://api.example/v1"},
            Peer("host", "api.example", ""),
            id="a proxy passes a request through",
        ),
        pytest.param(
            Kind.SERVER, {"upstream_cluster": "inbound|9080||", "http.url": "http://a/b"}, None, id="a proxy's server"
        ),
        pytest.param(Kind.CLIENT, {"db.system": ""}, None, id="empty is not told"),
        pytest.param(Kind.CLIENT, {}, None, id="nothing told"),
    ],
)
def test_what_a_span_talked_to(kind: Kind, attributes: Attributes, expected: Peer | None) -> None:
    assert peer(kind, attributes) == expected


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        ("outbound|9080||reviews.default.svc.cluster.local", "reviews.default.svc.cluster.local"),
        ("outbound|9080|v1|reviews.default.svc.cluster.local;", "reviews.default.svc.cluster.local"),
        ("outbound_.80_._.httpbin.example.com", "httpbin.example.com"),
        ("outbound_.80_.v2_.httpbin.example.com", "httpbin.example.com"),
        ("reviews.default.dc1.internal.0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0.consul", "reviews.default.dc1"),
        ("service_backend", "service_backend"),
        ("inbound|9080||", None),
        ("inbound|9080|http|reviews.default.svc.cluster.local", None),
        ("InboundPassthroughClusterIpv4", None),
        ("BlackHoleCluster", None),
        ("outbound|||", None),
        ("-", "-"),
    ],
)
@pytest.mark.parametrize("key", ["upstream_cluster", "upstream_cluster.name"])
def test_a_proxys_cluster_names_the_service_behind_it(key: str, cluster: str, expected: str | None) -> None:
    found = peer(Kind.CLIENT, {key: cluster})

    assert found == (None if expected is None else Peer("host", expected, ""))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("_INBOX.Xk3vB0aT.1", "(temporary)"),
        ("amq.gen-JzTY20BRgKO-HjmUJj0wLg", "(temporary)"),
        ("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "(temporary)"),
        ("temp-queue://ID:host-4242-1", "(temporary)"),
        ("orders.reply.0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "orders.reply.*"),
        ("orders.reply.0B1C2D3E4F506172", "orders.reply.*"),
        ("orders-replies-17", "orders-replies-*"),
        ("tmp_3", "tmp_*"),
        ("devices/48213377/telemetry", "devices/*/telemetry"),
        ("jobs.1764110000123", "jobs.*"),
        ("spring.anonymous.CbMIwdkJSBO1ZoPDOtHtCg", "spring.anonymous.*"),
        ("celeryev.0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "celeryev.*"),
        ("message.events", "message.events"),
        ("orders-v2", "orders-v2"),
        ("shard-17", "shard-17"),
        ("events.2026", "events.2026"),
        ("deadbeef", "deadbeef"),
        ("sha256sums", "sha256sums"),
        ("", ""),
    ],
)
def test_queues_and_topics_made_for_one_conversation_have_one_name(name: str, expected: str) -> None:
    found = peer(Kind.PRODUCER, {"messaging.system": "nats", "messaging.destination.name": name})

    assert found == Peer("messaging", "nats", expected)


def test_a_peer_is_labelled_by_system_and_name() -> None:
    assert Peer("messaging", "kafka", "message.events").label == "kafka message.events"
    assert Peer("host", "api.example", "").label == "api.example"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, Status.UNSET),
        ({"error": True}, Status.ERROR),
        ({"error": "true"}, Status.ERROR),
        ({"error": "false"}, Status.UNSET),
        ({"error": False}, Status.UNSET),
        ({"error": "unset"}, Status.UNSET),
        ({"error": 1}, Status.UNSET),
        ({"otel.status_code": "ERROR"}, Status.ERROR),
        ({"otel.status_code": "OK"}, Status.OK),
        ({"otel.status_code": "OK", "error": True}, Status.ERROR),
    ],
)
def test_an_error_is_only_what_says_so(attributes: Attributes, expected: Status) -> None:
    assert status_from_attributes(attributes) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("client", Kind.CLIENT),
        ("SPAN_KIND_CONSUMER", Kind.CONSUMER),
        ("Internal", Kind.INTERNAL),
        ("", Kind.UNSPECIFIED),
    ],
)
def test_kinds_are_read_in_both_spellings(text: str, expected: Kind) -> None:
    assert kind_from_text(text) is expected


def test_the_clock_is_the_hosts() -> None:
    assert host({"k8s.pod.name": "chat-1", "host.name": "node-7"}) == "node-7"
    assert host({"service.version": "1"}) == ""


_KAFKA = {"messaging.system": "kafka", "messaging.destination": "events"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, Activity.UNTOLD),
        ({"http.route": "/a", "http.url": "http://a/b"}, Activity.SERVES),
        ({"http.target": "/a"}, Activity.SERVES),
        ({"url.path": "/a"}, Activity.SERVES),
        ({"http.url": "/a"}, Activity.SERVES),
        ({"url.full": "http://a/b"}, Activity.CALLS),
        ({"db.system": "mysql"}, Activity.QUERIES),
        ({"db.system.name": "mysql"}, Activity.QUERIES),
        (_KAFKA, Activity.MESSAGES),
        ({**_KAFKA, "messaging.operation": "publish"}, Activity.PUBLISHES),
        ({**_KAFKA, "messaging.operation.type": "send"}, Activity.PUBLISHES),
        ({**_KAFKA, "messaging.operation.name": "poll"}, Activity.RECEIVES),
        ({**_KAFKA, "messaging.operation.type": "receive", "messaging.operation.name": "ack"}, Activity.RECEIVES),
        ({**_KAFKA, "messaging.operation": "process"}, Activity.PROCESSES),
        ({**_KAFKA, "messaging.operation.type": "settle"}, Activity.SETTLES),
        ({**_KAFKA, "messaging.operation": "levitate"}, Activity.MESSAGES),
        ({"messaging.system": "kafka", "messaging.source": "events"}, Activity.PROCESSES),
        ({**_KAFKA, "messaging.consumer_group": "notifications"}, Activity.PROCESSES),
        ({**_KAFKA, "messaging.consumer.group.name": "notifications"}, Activity.PROCESSES),
        ({**_KAFKA, "http.route": "/rooms"}, Activity.SERVES),
        ({"messaging.operation": "publish"}, Activity.UNTOLD),
    ],
    ids=str,
)
def test_what_a_span_does_by_its_attributes(attributes: Attributes, expected: Activity) -> None:
    assert activity(attributes) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kafka.publish.message.events", Activity.PUBLISHES),
        ("kafka.consume.message.events", Activity.PROCESSES),
        ("publish_kafka_event", Activity.PUBLISHES),
        ("orders.received send", Activity.PUBLISHES),
        ("OrderConsumer", Activity.PROCESSES),
        ("onMessage: Processing", Activity.PROCESSES),
        ("poll orders", Activity.RECEIVES),
        ("basic_ack", Activity.SETTLES),
        ("package", Activity.MESSAGES),
        ("", Activity.MESSAGES),
    ],
)
def test_what_a_span_does_by_its_name(name: str, expected: Activity) -> None:
    assert activity_from_name(name, "orders.received") is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/b", "a.example"),
        ("https://a.example:81?q=//c", "a.example:81"),
        ("redis://:secret@a#x", "a"),
        ("//a/b", "a"),
        ("/b", ""),
        ("a.example", ""),
        ("", ""),
    ],
)
def test_where_a_url_leads(url: str, expected: str) -> None:
    assert authority(url) == expected


@pytest.mark.parametrize("key", sorted(ABRIDGED))
@pytest.mark.parametrize("value", ["http://me:secret@a.example:81/b?c", "/b", "", "8080", 51234, 7, True, ["a"], None])
def test_what_is_abridged_says_what_the_whole_says(key: str, value: AttributeValue) -> None:
    for beside in ({}, {"messaging.system": "kafka"}):
        whole: Attributes = {**beside, key: value_text(value)}
        little: Attributes = {**beside, key: abridged(key, value)}

        assert activity(little) is activity(whole)
        assert [peer(kind, little) for kind in Kind] == [peer(kind, whole) for kind in Kind]


@pytest.mark.parametrize(
    ("name", "without_ids"),
    [
        ("GET /orders/1234", "GET /orders/{id}"),
        ("GET /orders/1234/items/7?page=2", "GET /orders/{id}/items/{id}?page={id}"),
        ("GET /v1/parts/part0/550e8400-e29b-41d4-a716-446655440000", "GET /v1/parts/part0/{id}"),
        ("task-550e8400-e29b-41d4-a716-446655440000.run", "task-{id}.run"),
        ("GET /objects/65f1c0ffee12ab34cd56ef78", "GET /objects/{id}"),
        ("GET user:12", "GET user:{id}"),
        ("job #17", "job #{id}"),
        ("GET /feedfacefeedface", "GET /feedfacefeedface"),
        ("GET http://10.0.0.7:8080/users/5", "GET http://10.0.0.7:8080/users/{id}"),
        ("GET localhost:8080/users/5", "GET localhost:8080/users/{id}"),
        ("GET orders.shop:443", "GET orders.shop:443"),
        ("GET /api/2/users/5", "GET /api/2/users/{id}"),
        ("HTTP 200", "HTTP 200"),
        ("a.B/Get2", "a.B/Get2"),
        ("GET /files/12.json", "GET /files/12.json"),
        ("GET /users/{id}", "GET /users/{id}"),
        ("", ""),
    ],
)
def test_operations_are_named_without_ids(name: str, without_ids: str) -> None:
    assert operation(name) == without_ids


@given(st.text(alphabet="ab19/:=#-. {}?", max_size=20))
def test_names_of_operations_keep_their_words(name: str) -> None:
    """Named twice they stay the same, and only digits and letters of ids are gone."""
    found = operation(name)

    assert operation(found) == found
    assert [part for part in re.split(r"[^a-z]+", found.replace("{id}", "")) if part] == [
        part for part in re.split(r"[^a-z]+", name.replace("{id}", "")) if part
    ]
