from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders import SpanSpec, span, trace
from traceq import load
from traceq.analysis.columns import columns
from traceq.analysis.streams import LIFETIME_NS, find_streams
from traceq.semantics import Attributes, Kind, Peer
from traceq.traces import Traces

SECOND = 10**9
CHAT = Path(__file__).parents[2] / "fixtures/chat.json"


def streams(table: Traces) -> list[str]:
    return [table.span_ids[row] for row in find_streams(columns(table)).nonzero()[0].tolist()]


def served(name: str = "GET /stream", length_ns: int = 600 * SECOND, kind: Kind = Kind.SERVER) -> SpanSpec:
    return span("entry", None, 0, length_ns, name=name, kind=kind)


def sent(count: int, every_ns: int, name: str = "GET /stream http send", **options: object) -> list[SpanSpec]:
    return [
        span(f"s{i}", "entry", i * every_ns, i * every_ns + 1000, name=name, **{"kind": Kind.INTERNAL, **options})  # type: ignore[arg-type]
        for i in range(count)
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        {"http.response.header.content_type": "text/event-stream"},
        {"http.response.header.content-type": ["text/event-stream; charset=utf-8"]},
        {"http.request.header.upgrade": "websocket"},
        {"rpc.type": "BIDI_STREAMING", "rpc.system": "grpc"},
    ],
)
def test_attributes_tell_a_stream(attributes: Attributes) -> None:
    one = span("one", None, 0, SECOND, name="GET /stream", kind=Kind.SERVER, attributes=attributes)
    other = span("other", None, 0, SECOND, name="GET /page", kind=Kind.SERVER, attributes={"http.route": "/page"})

    assert streams(trace(one, other)) == ["one"]


def test_an_answer_that_comes_in_pieces_is_an_answer() -> None:
    attributes = {"http.response.header.content_type": "text/event-stream"}
    answer = span("answer", None, 0, SECOND, name="POST /chat/completions", kind=Kind.SERVER, attributes=attributes)

    assert streams(trace(answer)) == []


def test_messages_of_a_websocket_tell_it() -> None:
    message = span("in", "entry", 10, 20, name="GET /ws websocket receive", kind=Kind.INTERNAL)

    assert streams(trace(served(length_ns=100), message)) == ["entry"]


def test_messages_sent_with_long_pauses_and_nothing_else_tell_a_stream() -> None:
    assert streams(trace(served(), *sent(40, 15 * SECOND))) == ["entry"]


@pytest.mark.parametrize(
    ("entry", "below"),
    [
        (served(length_ns=LIFETIME_NS - 1), sent(20, SECOND)),
        (served(), sent(4, 100 * SECOND)),
        (served(), sent(500, SECOND // 2)),
        (served(), [*sent(40, 15 * SECOND), span("query", "entry", 0, 60 * SECOND, name="SELECT")]),
        (served(), sent(40, 15 * SECOND, name="load page")),
        (served(), sent(40, 15 * SECOND, name="orders send", kind=Kind.PRODUCER)),
        (served(), sent(40, 15 * SECOND, name="mail.send", peer=Peer("host", "mail", ""))),
        (served(name="nightly", kind=Kind.INTERNAL), sent(40, 15 * SECOND)),
        (served(), []),
    ],
    ids=["short", "few", "quick", "busy", "other names", "published", "sent elsewhere", "job", "merely slow"],
)
def test_a_slow_request_is_no_stream(entry: SpanSpec, below: list[SpanSpec]) -> None:
    assert streams(trace(entry, *below)) == []


def test_no_request_of_the_recorded_product_is_a_stream() -> None:
    assert streams(load(CHAT)) == []
