"""A span in Zipkin's JSON, what it tells in OpenTelemetry's terms, and the pieces in which it may be reported.

Source of how pieces are put together: zipkin 3, `Trace.merge` and `Span.Builder.merge`. Pieces have the same id, and
nothing against each other: the kind, the parent and each part of the endpoint are the same, or known to one of them
only. Zipkin also merges what was timed twice, and drops one of the two times; here such spans stay apart, and
`assembly` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from traceq.codec.fitting import scaled
from traceq.codec.wire import BROKEN, MAX_NS, decode, is_empty
from traceq.semantics import Attributes, AttributeValue, Kind, kind_from_text
from traceq.traces import Event, Link
from traceq.units import NS_PER_US

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
    return written * NS_PER_US if isinstance(written, int) else scaled(written or 0, NS_PER_US)


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


class _Id(msgspec.Struct, gc=False):
    id: Any = None


_ONE = msgspec.json.Decoder(_Id)
_IDS = msgspec.json.Decoder(list[_Id])
_MOST = 16
"""How many spans may share an id before they are taken for something other than pieces."""


def batches(spans: Sequence[msgspec.Raw], size: int) -> Iterator[Sequence[msgspec.Raw]]:
    """Divide spans into batches of about this size, with those that share an id in the same one."""
    if len(spans) <= size:
        yield spans
        return
    firsts: dict[str, int] = {}
    places = [firsts.setdefault(each, place) for place, each in enumerate(_ids(spans))]
    order = sorted(range(len(spans)), key=places.__getitem__)
    begin = 0
    while begin < len(order):
        end = min(begin + size, len(order))
        while end < len(order) and places[order[end]] == places[order[end - 1]]:
            end += 1
        yield [spans[place] for place in order[begin:end]]
        begin = end


def _ids(spans: Sequence[msgspec.Raw]) -> Iterator[str]:
    try:
        yield from (str(each.id) for each in _IDS.decode(b"[%b]" % b",".join(spans)))
    except BROKEN:
        for span in spans:
            yield str(_ONE.decode(span).id) if memoryview(span)[0] == ord("{") else ""


def merged(spans: list[Span]) -> list[Span]:
    """Make one span of the pieces of each; exact copies of a span are left to be dropped as such."""
    shared: dict[object, list[Span]] = {}
    for span in spans:
        shared.setdefault(span.id, []).append(span)
    if len(shared) == len(spans):
        return spans
    return [whole for pieces in shared.values() for whole in (pieces if len(pieces) == 1 else _wholes(pieces))]


def _wholes(pieces: list[Span]) -> list[Span]:
    kinds = {piece.kind for piece in pieces}
    if len(kinds) == len(pieces) and None not in kinds:
        return pieces  # a client and its server, nearly always
    distinct = {msgspec.json.encode(piece): piece for piece in pieces}
    if len(distinct) == 1:
        return pieces
    wholes: list[Span] = []
    for piece in sorted(distinct.values(), key=_telling_first):
        if piece.kind is None and piece.shared is True:
            piece.kind = "SERVER"
        whole = next((each for each in wholes if _is_piece(piece, each)), None)
        if whole is not None:
            _add(whole, piece)
        elif len(wholes) == _MOST:
            return pieces
        else:
            wholes.append(piece)
    return wholes if len(wholes) < len(distinct) else pieces


def _telling_first(piece: Span) -> tuple[bool, ...]:
    """Sort clients first, as Zipkin does, and what tells little last: it belongs to the first that it fits."""
    is_server = piece.kind == "SERVER" or piece.shared is True
    return is_server, piece.kind is None, not piece.duration, not piece.timestamp, piece.local is None


def _is_piece(piece: Span, whole: Span) -> bool:
    """Whether nothing speaks against both telling of the same span."""
    times = {(each.timestamp, each.duration) for each in (piece, whole) if each.timestamp and each.duration}
    starts = {each.timestamp for each in (piece, whole) if each.timestamp and each.kind}
    return (
        _agree(piece.kind, whole.kind)
        and _agree(piece.parent_id, whole.parent_id)
        and all(map(_agree, _parts(piece.local), _parts(whole.local)))
        and len(times) < 2
        and len(starts) < 2
    )


def _agree(one: object, other: object) -> bool:
    return not one or not other or one == other


def _parts(endpoint: Endpoint | None) -> tuple[object, ...]:
    return msgspec.structs.astuple(endpoint or Endpoint())


def _add(whole: Span, piece: Span) -> None:
    """Add what a piece tells besides; of what both tell, tags are taken from the later one."""
    whole.name = whole.name or piece.name
    whole.kind = whole.kind or piece.kind
    whole.parent_id = whole.parent_id or piece.parent_id
    whole.timestamp = whole.timestamp or piece.timestamp
    whole.duration = whole.duration or piece.duration
    whole.ended = whole.ended or piece.ended
    whole.started_ms = whole.started_ms or piece.started_ms
    whole.local = _together(whole.local, piece.local)
    whole.remote = _together(whole.remote, piece.remote)
    whole.tags = {**(whole.tags or {}), **(piece.tags or {})} or None
    whole.annotations = _all_annotations((whole, piece))


def _together(one: Endpoint | None, other: Endpoint | None) -> Endpoint | None:
    if one is None or other is None:
        return one or other
    ours = zip(Endpoint.__struct_fields__, _parts(one), _parts(other), strict=True)
    return msgspec.structs.replace(one, **{field: mine or theirs for field, mine, theirs in ours})


def _all_annotations(spans: Iterable[Span]) -> msgspec.Raw:
    written = [span for span in spans if not is_empty(span.annotations)]
    if len(written) < 2:
        return written[0].annotations if written else NOTHING
    found = (
        each
        for span in written
        for each in decode(ANNOTATIONS, span.annotations, f"cannot read the annotations of span {span.id}") or ()
    )
    return msgspec.Raw(msgspec.json.encode(list({msgspec.json.encode(each): each for each in found}.values())))
