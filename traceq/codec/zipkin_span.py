"""A span in Zipkin's v2 JSON, and what it tells in OpenTelemetry's terms."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from traceq.codec.wire import MAX_NS, decode, is_empty
from traceq.semantics import Attributes, AttributeValue, Kind, kind_from_text
from traceq.traces import Event, Link

NOTHING = msgspec.Raw(b"null")
_MAX_US = MAX_NS // 1000
Microseconds: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-_MAX_US, le=_MAX_US)]
    | Annotated[float, msgspec.Meta(ge=-_MAX_US, le=_MAX_US)]
    | None
)
"""A time or duration; some tracers write fractions."""


def to_ns(written: float | None) -> int:
    """Convert microseconds; null is 0."""
    return (written or 0) * 1000 if isinstance(written, int) else round((written or 0) * 1000)


class Endpoint(msgspec.Struct, gc=False):
    """A side of a conversation."""

    service: str | None = msgspec.field(name="serviceName", default=None)
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None

    @property
    def address(self) -> str:
        """The IP address; empty if there is none."""
        return self.ipv4 or self.ipv6 or ""


class Annotation(msgspec.Struct, gc=False):
    """Something that happened at one instant."""

    timestamp: Microseconds = None
    value: str | None = None
    endpoint: Endpoint | None = None
    """In v1: where it happened."""


class BinaryAnnotation(msgspec.Struct, gc=False):
    """What v1 has in place of tags."""

    key: str
    value: Any = None
    endpoint: Endpoint | None = None


ANNOTATIONS = msgspec.json.Decoder(list[Annotation] | None, strict=False)


class Span(msgspec.Struct, gc=False):
    """A span; it serves as its own `SpanDetails`."""

    id: str | int | None = None
    """Next.js counts its spans."""
    name: str | None = None
    parent_id: str | int | None = msgspec.field(name="parentId", default=None)
    kind: str | None = None
    timestamp: Microseconds = None
    duration: Microseconds = None
    local: Endpoint | None = msgspec.field(name="localEndpoint", default=None)
    remote: Endpoint | None = msgspec.field(name="remoteEndpoint", default=None)
    tags: dict[str, Any] | None = None
    annotations: msgspec.Raw = NOTHING
    binary_annotations: list[BinaryAnnotation] | None = msgspec.field(name="binaryAnnotations", default=None)
    started_ms: Microseconds = msgspec.field(name="startTime", default=None)
    """In traces of Next.js: the start by the calendar; `timestamp` is by a clock that begins when the machine does."""
    shared: Any = None
    """True where the other side began the span, and gave it its id."""
    ended: Microseconds = msgspec.field(name="cr, ss", default=None)
    """What `cr` or `ss` of v1 tell; as a key, no format has this."""

    def attributes(self) -> Attributes:
        """Read the tags, and what the other side was."""
        tags = self.tags or {}
        return {**remote_attributes(kind_from_text(self.kind or ""), self.remote, tags), **tags}

    def resource(self) -> Attributes:
        """Read the address of the span's own side."""
        if self.local is None:
            return {}
        told: dict[str, AttributeValue] = {"ip": self.local.address or None, "port": self.local.port}
        return {key: value for key, value in told.items() if value is not None}

    def events(self) -> tuple[Event, ...]:
        """Read the annotations, earliest first."""
        if is_empty(self.annotations):
            return ()
        found = decode(ANNOTATIONS, self.annotations, f"cannot read the annotations of span {self.id}") or ()
        events = [Event(to_ns(each.timestamp), each.value or "", {}) for each in found]
        return tuple(sorted(events, key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Return none, since Zipkin has no links."""
        return ()

    def warnings(self) -> tuple[str, ...]:
        """Return none."""
        return ()


class WholeSpan(Span, gc=False):
    """A span with nothing left to decode."""

    annotations: list[Annotation] | None = None  # type: ignore[assignment]  # decoded here


def remote_attributes(kind: Kind, remote: Endpoint | None, tags: Attributes) -> dict[str, AttributeValue]:
    """Name the other side as OpenTelemetry does; for messages that is the broker, with the topic or queue."""
    told: dict[str, AttributeValue] = {}
    if kind in (Kind.PRODUCER, Kind.CONSUMER):
        queue = next((key for key in _QUEUES if key in tags), None)
        told["messaging.system"] = (remote and remote.service) or (_QUEUES[queue] if queue else None)
        told["messaging.destination.name"] = tags[queue] if queue else None
    if remote is not None:
        told |= {"peer.service": remote.service, "net.peer.ip": remote.address, "net.peer.port": remote.port}
    return {key: value for key, value in told.items() if value}


_QUEUES = {
    "kafka.topic": "kafka",
    "jms.queue": "jms",
    "jms.topic": "jms",
    "rabbit.queue": "rabbitmq",
    "rabbit.routing_key": "rabbitmq",
    "rabbit.exchange": "rabbitmq",
}
"""The tags in which Brave names topics and queues, with the system if the other side is not told."""
QUEUE_KEYS = frozenset(_QUEUES)
