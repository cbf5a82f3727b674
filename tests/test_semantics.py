from __future__ import annotations

import pytest

from traceq.semantics import Attributes, Kind, Peer, Status, host, kind_from_text, peer, status_from_attributes


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
        pytest.param(Kind.CLIENT, {"db.system": ""}, None, id="empty is not told"),
        pytest.param(Kind.CLIENT, {}, None, id="nothing told"),
    ],
)
def test_what_a_span_talked_to(kind: Kind, attributes: Attributes, expected: Peer | None) -> None:
    assert peer(kind, attributes) == expected


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
