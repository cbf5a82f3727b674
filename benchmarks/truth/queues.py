"""Ask traceq about messages: who sent how many to whom through which broker, and how long they waited.

Systems of producers, topics and groups of consumers are drawn, which write messages down in different ways: as children
or with links, one by one or in batches, received and processed in one span or several, under old or new names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, NamedTuple, TypeAlias, get_args

import msgspec

import traceq
from benchmarks.truth.measuring import count_edges, load
from benchmarks.truth.recording import Edge, Recorded

Style: TypeAlias = Literal[
    "child",
    "child with link",
    "link",
    "batch",
    "received, links below",
    "received, links above",
    "received, links on both",
    "received, one span for all",
    "received beside",
    "received elsewhere",
]
STYLES: tuple[Style, ...] = get_args(Style)
"""How consumers write down what they take."""
_EPOCH_US = 1_760_000_000_000_000
_SHOPS = ("shop", "web", "mobile")
_GROUPS = ("billing", "mail", "audit", "search")
_KEYS = (
    ("messaging.destination", "messaging.operation"),
    ("messaging.destination.name", "messaging.operation.type"),
)
_TOPICS = ("orders", "users", "items", "payments")


@dataclass(frozen=True, slots=True)
class Queued:
    """How messages of one style were counted; adds to others."""

    message_count: int = 0
    edge_difference: int = 0
    """Sum over edges from and to brokers, and from producers to consumers, of messages counted too many or too few."""
    call_count: int = 0
    """Messages along all of these edges."""
    known_count: int = 0
    """Messages of which a queue delay is told."""
    delay_ns: int = 0
    """True delays of all messages ..."""
    told_ns: int = 0
    """... and those that are told."""

    def __add__(self, other: Queued) -> Queued:
        return Queued(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


class _Message(NamedTuple):
    trace_id: str
    span_id: str
    shop: str
    begun_us: int
    sent_us: int


class _Place(NamedTuple):
    """Where a span is put."""

    trace_id: str
    parent_id: str
    service: str


@dataclass(slots=True)
class _Written:
    """Traces in the making, and what is true of them."""

    random: Random
    traces: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    services: dict[str, set[str]] = field(default_factory=dict)
    edges: Counter[Edge] = field(default_factory=Counter)
    delay_us: int = 0
    count: int = 0

    def id(self, size: int = 64) -> str:
        return f"{self.random.getrandbits(size):0{size // 4}x}"

    def span(
        self, place: _Place, times_us: tuple[int, int], tags: dict[str, object], links: Sequence[_Message] = ()
    ) -> str:
        """Write a span; gives its id."""
        span_id = self.id()
        above = [("CHILD_OF", place.trace_id, place.parent_id)] if place.parent_id else []
        named = [*above, *(("FOLLOWS_FROM", link.trace_id, link.span_id) for link in links)]
        row: dict[str, object] = {
            "traceID": place.trace_id,
            "spanID": span_id,
            "operationName": tags.pop("name"),
            "references": [{"refType": kind, "traceID": trace, "spanID": span} for kind, trace, span in named],
            "startTime": times_us[0],
            "duration": times_us[1] - times_us[0],
            "tags": [{"key": key, "type": "string", "value": value} for key, value in tags.items()],
            "logs": [],
            "processID": place.service,
        }
        self.traces.setdefault(place.trace_id, []).append(row)
        self.services.setdefault(place.trace_id, set()).add(place.service)
        return span_id

    def document(self) -> bytes:
        data = [
            {
                "traceID": trace_id,
                "spans": spans,
                "processes": {name: {"serviceName": name} for name in self.services[trace_id]},
            }
            for trace_id, spans in self.traces.items()
        ]
        return msgspec.json.encode({"data": data})


def queue(seed: int, message_count: int) -> dict[str, Queued]:
    """Draw a system for each style, and ask how many messages went where."""
    return {style: _queue(style, seed, message_count) for style in STYLES}


def _queue(style: Style, seed: int, message_count: int) -> Queued:
    random = Random(f"queues {style} {seed}")  # noqa: S311  the same every time is the point
    written = _Written(random)
    for topic in random.sample(_TOPICS, random.randint(1, 3)):
        messages = list(_publish(written, topic, message_count))
        for group in random.sample(_GROUPS, random.randint(1, 3)):
            _consume(written, style, topic, group, messages)
    traces = load(Recorded(written.document(), ()))
    counted = count_edges(traces)
    told = [call for call in traceq.dependencies(traces).calls if call.is_async and call.caller.startswith("kafka")]
    return Queued(
        written.count,
        sum(abs(written.edges[edge] - counted[edge]) for edge in written.edges.keys() | counted.keys()),
        written.edges.total(),
        sum(call.counted.queue.count for call in told),
        written.delay_us * 1000,
        sum(call.counted.queue.total_ns for call in told),
    )


def _tags(written: _Written, topic: str, does: str, kind: str) -> dict[str, object]:
    is_old = written.random.random() < 0.5
    keys = (
        ("messaging.destination", "messaging.operation")
        if is_old
        else ("messaging.destination.name", "messaging.operation.type")
    )
    own = dict(zip(keys, (topic, does), strict=True))
    return {"name": f"{topic} {does}", "span.kind": kind, "messaging.system": "kafka", **own}


def _publish(written: _Written, topic: str, message_count: int) -> Iterator[_Message]:
    """Send messages from requests, one by one or created first and sent together."""
    random = written.random
    shops, sent = _SHOPS[: random.randint(1, 3)], 0
    while sent < message_count:
        shop, trace_id = random.choice(shops), written.id(128)
        start_us = _EPOCH_US + sent * 20_000
        entry: dict[str, object] = {"name": "POST /order", "span.kind": "server"}
        root = written.span(_Place(trace_id, "", shop), (start_us, start_us + 15_000), entry)
        below = _Place(trace_id, root, shop)
        together = random.random() < 0.3
        count = random.randint(1, 4)
        for number in range(count):
            begun_us = start_us + 1000 + number * 2000
            times_us = (begun_us, begun_us + (50 if together else random.randint(500, 1500)))
            does = "create" if together else "publish"
            span_id = written.span(below, times_us, _tags(written, topic, does, "producer"))
            yield _Message(trace_id, span_id, shop, *times_us)
        if together:
            written.span(below, (start_us + 9000, start_us + 10_000), _tags(written, topic, "send", "client"))
        written.edges[Edge(shop, f"kafka {topic}", "")] += count
        sent += count


def _consume(written: _Written, style: Style, topic: str, group: str, messages: list[_Message]) -> None:
    random = written.random
    while messages:
        size = 1 if style in {"child", "child with link", "link"} else random.randint(1, 6)
        batch, messages = messages[:size], messages[size:]
        _Batch(written, style, topic, group, batch).take()
        for message in batch:
            written.edges[Edge(f"kafka {topic}", group, "")] += 1
            written.edges[Edge(message.shop, group, f"kafka {topic}")] += 1
        written.count += len(batch)


@dataclass(slots=True)
class _Batch:
    """Messages that are taken at once."""

    written: _Written
    style: Style
    topic: str
    group: str
    messages: list[_Message]
    now_us: int = 0

    def take(self) -> None:
        random = self.written.random
        self.now_us = max(message.sent_us for message in self.messages) + int(random.lognormvariate(0, 1) * 20_000)
        match self.style:
            case "child" | "child with link" | "link":
                self.apart(self.messages[0])
            case "batch":
                self.process(self.written.id(128), "", self.messages, self.messages)
            case "received elsewhere":
                self.receive(self.written.id(128), "", self.messages)
                for message in self.messages:
                    self.process(message.trace_id, message.span_id, [], [message])
            case _:
                self.received()

    def apart(self, message: _Message) -> None:
        trace_id = self.written.id(128) if self.style == "link" else message.trace_id
        parent_id = "" if self.style == "link" else message.span_id
        self.process(trace_id, parent_id, [] if self.style == "child" else [message], [message])

    def received(self) -> None:
        trace_id = self.written.id(128)
        around = ""
        if self.style == "received beside":
            times_us = (self.now_us - 10, self.now_us + 10**6)
            around = self.written.span(_Place(trace_id, "", self.group), times_us, {"name": "loop"})
        above = [] if self.style == "received, links below" else self.messages
        poll = self.receive(trace_id, around, above)
        if self.style == "received, one span for all":
            self.process(trace_id, poll, [], self.messages)
            return
        is_linked = self.style in {"received, links below", "received, links on both"}
        for message in self.messages:
            self.process(trace_id, around or poll, [message] if is_linked else [], [message])
        if self.written.random.random() < 0.3:
            times_us = (self.now_us, self.now_us + 300)
            tags = _tags(self.written, self.topic, "settle", "client")
            self.written.span(_Place(trace_id, around or poll, self.group), times_us, tags)

    def receive(self, trace_id: str, parent_id: str, links: Sequence[_Message]) -> str:
        kind = self.written.random.choice(("client", "consumer", "internal"))
        tags, times_us = _tags(self.written, self.topic, "receive", kind), (self.now_us, self.now_us + 2000)
        self.now_us += 2100
        return self.written.span(_Place(trace_id, parent_id, self.group), times_us, tags, links)

    def process(self, trace_id: str, parent_id: str, links: Sequence[_Message], messages: Sequence[_Message]) -> None:
        """Process messages in one span."""
        self.written.delay_us += sum(max(self.now_us - message.sent_us, 0) for message in messages)
        times_us = (self.now_us, self.now_us + self.written.random.randint(1000, 8000))
        tags = _tags(self.written, self.topic, "process", "consumer")
        self.written.span(_Place(trace_id, parent_id, self.group), times_us, tags, links)
        self.now_us = times_us[1] + 50
