"""The chat product as its own code makes the spans: no kinds on those made by hand, and no operations."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np

import traceq
from tests.sources.replay import FIXTURES
from traceq.analysis.columns import columns
from traceq.analysis.critical_path import find_paths
from traceq.analysis.outliving import is_handed_over
from traceq.semantics import Kind
from traceq.traces import Traces


@cache
def as_written() -> Traces:
    return traceq.load(FIXTURES / "chat-as-written.otlp.json.gz")


def test_each_message_goes_once_through_the_broker_and_no_arrow_is_reversed() -> None:
    found = traceq.dependencies(as_written())

    assert [(call.caller, call.callee, call.is_async, call.via, call.call_count) for call in found.calls] == [
        ("chat-service", "kafka message.events", True, "", 37),
        ("chat-service", "mongodb bigtech_chat", False, "", 28),
        ("chat-service", "mysql bigtech_chat", False, "", 28),
        ("chat-service", "notification-service", True, "kafka message.events", 27),
        ("chat-service", "redis", False, "", 27),
        ("chat-service", "user-service", False, "", 28),
        ("kafka message.events", "notification-service", True, "", 27),
    ]


def test_every_hand_made_span_has_its_role() -> None:
    spans = columns(as_written())

    roles = Counter(
        (spans.traces.names[name], Kind(role).name)
        for name, role in zip(spans.names.tolist(), spans.roles.tolist(), strict=True)
        if " " not in spans.traces.names[name]
    )
    assert roles == {
        ("GET", "CLIENT"): 28,
        ("check_room_permission", "INTERNAL"): 28,
        ("save_message_to_mongodb", "INTERNAL"): 28,
        ("mongodb.insert", "CLIENT"): 28,
        ("publish_kafka_event", "INTERNAL"): 28,
        ("kafka.publish.message.events", "PRODUCER"): 37,
        ("kafka.consume.message.events", "CONSUMER"): 27,
        ("send_sse_notification", "INTERNAL"): 27,
    }


def test_nobody_waits_for_the_consumer_though_it_begins_before_the_acknowledgement_is_back() -> None:
    spans = columns(as_written())
    paths = find_paths(spans)

    consumers = np.flatnonzero(spans.roles == Kind.CONSUMER)
    parents = spans.parents[consumers]
    assert (spans.start_ns[consumers] < spans.end_ns[parents]).any()
    assert is_handed_over(spans)[consumers].all()
    assert not paths.on_path[consumers].any()
    assert not paths.on_path[spans.services == spans.traces.services.index("notification-service")].any()


def test_the_consumers_work_is_its_own_services() -> None:
    ranked = traceq.bottlenecks(as_written(), "notification-service")

    assert [(line.key.service, line.key.name, line.key.kind) for line in ranked.groups] == [
        ("notification-service", "kafka.consume.message.events", Kind.CONSUMER),
        ("notification-service", "send_sse_notification", Kind.INTERNAL),
    ]
