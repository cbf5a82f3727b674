"""Reads Zipkin's JSON, v2 and v1, and what imitates it: the traces that Next.js writes of itself (`.next/trace`).

Source: zipkin-api, zipkin2-api.yaml and zipkin-api.yaml; zipkin 3, `V1SpanConverter`. Spans of v1 become v2's: `cs`,
`sr`, `ss` and `cr` tell the sides, and one object may be both client and server. A client and the server that it called
share a span id: they are two spans here, as in v2, and `assembly` makes the server the client's child. What the other
side was becomes the attributes by which OpenTelemetry names it; the tag `error` is an error whatever its text, unless
that is "false".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from traceq import semantics
from traceq.codec.damage import Remark
from traceq.codec.mending import Mender, SpanDecoder, decoded, id_of, is_odd, repairs, unit_told, warnings_of
from traceq.codec.parts import LocatedSpan, SpanFormat
from traceq.codec.wire import BROKEN, VOID_IDS, decode, is_empty
from traceq.codec.zipkin_span import (
    ANNOTATIONS,
    QUEUE_KEYS,
    Annotation,
    BinaryAnnotation,
    Endpoint,
    Microseconds,
    Span,
    WholeSpan,
    batches,
    merged,
    remote_attributes,
    to_ns,
)
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, Status, abridged, meaning
from traceq.units import NS_PER_US


class _TraceId(msgspec.Struct, gc=False):
    trace_id: Any = msgspec.field(name="traceId", default=None)


_TRACE_IDS = msgspec.json.Decoder(list[_TraceId])
_SPANS = SpanDecoder(
    msgspec.json.Decoder(Span, strict=False),
    msgspec.json.Decoder(list[Span], strict=False),
    Mender(msgspec.json.Decoder(WholeSpan, strict=False), start="timestamp", format_ns=NS_PER_US),
)
_SPANS_AT_A_TIME = 2_000
"""How many spans are decoded at once: decoded, they take three times the memory of their JSON."""
_NEXT_JS = "nextjs"
"""The service of Next.js, which does not name itself in its files, but does so where it sends the same to Zipkin."""
_CALENDAR_FROM_US = 10**15
"""Times before 2001 are by a clock that began when the machine did."""


def _trace_ids(spans: Sequence[msgspec.Raw]) -> list[str]:
    try:
        return [_id(span.trace_id) or "" for span in _TRACE_IDS.decode(b"[%b]" % b",".join(spans))]
    except BROKEN:
        found = map(decoded, spans)
        return [_id(span.get("traceId")) or "" if isinstance(span, dict) else "" for span in found]


def _id(written: object) -> str | None:
    """Give an id as text; None for one that names nothing."""
    text = written.lower() if isinstance(written, str) else str(written or "") if isinstance(written, int) else ""
    return None if text in VOID_IDS else text


def _read_coded(spans: Sequence[LocatedSpan], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    coded = CodedTrace(trace_id)
    clock = _Clock()
    for some in batches([raw for _, raw in spans], _SPANS_AT_A_TIME):
        read = _whole(_decoded(some, coded))
        _add(coded, read, codes)
        clock.look_at(read)
        if with_details:
            coded.details += read
    if clock.ahead_us:
        ahead_ns = to_ns(clock.ahead_us)
        coded.start_ns = [start_ns + ahead_ns if start_ns > 0 else 0 for start_ns in coded.start_ns]
    return coded


def _whole(spans: list[Span]) -> list[Span]:
    """Bring spans into v2's form, and put together what was reported in pieces."""
    if not any(map(_is_v1, spans)):
        return merged(spans)
    found = merged(_in_v2(spans))
    _settle(found)
    return found


def _decoded(raws: Sequence[msgspec.Raw], coded: CodedTrace) -> list[Span]:
    """Decode spans, and take down what was wrong with them."""
    read = _SPANS.decode(raws)
    if read.mended is None and not all(map(_is_whole, read.decoded)):
        read = _SPANS.mended(raws)
    if read.unit_ns is not None:
        coded.repairs.append(unit_told(coded.trace_id, read.unit_ns, NS_PER_US))
    if read.mended is not None:
        coded.repairs += repairs(read.mended, len(raws), coded.trace_id, [_id(span.id) or "" for span in read.decoded])
    for position, span in zip(read.positions(), read.decoded, strict=True):
        if _id(span.id) is None:
            span.id = id_of(bytes(raws[position]))
            told = Remark("id-missing", f"it has no id, and is given {span.id}")
            coded.repairs += warnings_of([told], coded.trace_id, span.id)
    return read.decoded


def _is_whole(span: Span) -> bool:
    """Whether nothing is wrong with the annotations, and times are by the calendar, or by a clock that is known."""
    if not is_empty(span.annotations):
        try:
            ANNOTATIONS.decode(span.annotations)
        except BROKEN:
            return False
    return span.started_ms is not None or not is_odd([to_ns(span.timestamp)])


def _add(coded: CodedTrace, spans: list[Span], codes: Codebook) -> None:
    coded.span_ids += [_id(span.id) or "" for span in spans]
    coded.parent_ids += [_id(span.parent_id) for span in spans]
    coded.start_ns += [to_ns(span.timestamp) for span in spans]
    coded.duration_ns += [to_ns(span.duration) for span in spans]
    names = codes.names
    coded.names += [names[span.name or ""] for span in spans]
    coded.origins += _origins(spans, codes)
    _add_meanings(coded, spans, codes)


def _origins(spans: list[Span], codes: Codebook) -> Iterator[int]:
    known: dict[tuple[str | None, str], int] = {}
    for span in spans:
        local = span.local
        if local is None:
            yield codes.origin(_NEXT_JS if span.started_ms else "", "")
            continue
        key = (local.service, local.ipv4 or local.ipv6 or "")
        code = known.get(key)
        if code is None:
            code = known[key] = codes.origin(key[0] or "", key[1])
        yield code


def _add_meanings(coded: CodedTrace, spans: list[Span], codes: Codebook) -> None:
    """Select what becomes columns of tags and of the other side. This is the hot path of reading."""
    add, told = coded.meanings.append, codes.told
    for span in spans:
        kind, tags, remote = span.kind, span.tags, span.remote
        texts = _wanted_texts(tags) if tags else ()
        # The other side of a server has a port of its own for each connection, and is not the server's peer.
        other = None if remote is None or kind == "SERVER" else (remote.service, remote.address, remote.port)
        is_error = tags is not None and tags.get("error") not in _NO_ERROR
        key = (texts, kind, is_error, other)
        code = told.get(key)
        if code is None:
            code = told[key] = codes.meanings[_meaning(span, texts, is_error=is_error)]
        add(code)


_NO_ERROR = (False, "false", None)


def _meaning(span: Span, texts: tuple[str, ...], *, is_error: bool) -> semantics.Meaning:
    kind = semantics.kind_from_text(span.kind or "")
    remote = remote_attributes(kind, span.remote, span.tags or {})
    status = Status.ERROR if is_error else Status.UNSET
    # The tags come last: what they say of the other side counts.
    return meaning((*_wanted_texts(remote), *texts), kind, status)


def _wanted_texts(tags: Attributes) -> tuple[str, ...]:
    """Select the tags that become columns, as keys and values (text) in turn."""
    found: list[str] = []
    for key, value in tags.items():
        if key in TELLING:
            found.append(key)
            if key in ABRIDGED:
                found.append(abridged(key, value) if key in SHORTENED else "")
            else:
                found.append(value if type(value) is str else semantics.value_text(value))
        elif key in QUEUE_KEYS:
            found += (key, semantics.value_text(value))
    return tuple(found)


class _Clock:
    """How far the calendar is ahead of the clock by which spans were timed, where they tell both."""

    def __init__(self) -> None:
        self.ahead_us: Microseconds = None

    def look_at(self, spans: list[Span]) -> None:
        """Take the least that any span tells: some are written down only after they have ended."""
        for span in spans:
            started_us = (span.started_ms or 0) * 1000
            if started_us >= _CALENDAR_FROM_US > (span.timestamp or 0) > 0:
                ahead_us = started_us - (span.timestamp or 0)
                self.ahead_us = ahead_us if self.ahead_us is None else min(self.ahead_us, ahead_us)


class _Side(NamedTuple):
    """A side of a conversation, with the annotations that tell when it began and ended, and the other's address."""

    kind: str
    begin: str
    end: str
    address: str


_SIDES = (
    _Side("CLIENT", "cs", "cr", "sa"),
    _Side("SERVER", "sr", "ss", "ca"),
    _Side("PRODUCER", "ms", "ws", "ma"),
    _Side("CONSUMER", "wr", "mr", "ma"),
)
_CORE = frozenset(word for side in _SIDES for word in (side.begin, side.end))
_ADDRESSES = frozenset(side.address for side in _SIDES)
_LOCAL = "lc"


def _is_v1(span: Span) -> bool:
    """Whether a span is in v1's form: with tags as annotations, or without an endpoint of its own."""
    if span.binary_annotations is not None:
        return True
    return span.local is None and span.kind is None and not is_empty(span.annotations)


def _in_v2(spans: Iterable[Span]) -> list[Span]:
    """Convert those that are in v1's form, each to one span or two with the same id.

    Where a side is told by its end only, or has no duration, its times are left to `_settle`.
    """
    return [found for span in spans for found in (_converted(span) if _is_v1(span) else (span,))]


def _settle(spans: Iterable[Span]) -> None:
    """Take times from the ends of spans, now that their pieces are together."""
    for span in spans:
        if span.ended and not span.timestamp:
            span.timestamp = span.ended - (span.duration or 0)
        elif span.ended and span.timestamp and span.duration is None:
            span.duration = span.ended - span.timestamp


class _Told(NamedTuple):
    """What a v1 span holds."""

    span: Span
    core: dict[str, Annotation]
    """The annotations that tell when a side began or ended."""
    others: list[Annotation]
    tags: list[BinaryAnnotation]
    addresses: dict[str, Endpoint | None]
    """Those of the other sides, by key."""


def _converted(span: Span) -> Iterator[Span]:
    told = _told(span)
    sides = [side for side in _SIDES if side.begin in told.core or side.end in told.core]
    if not sides:
        yield _made(told, None, _only_endpoint(told), (span.timestamp or _earliest(told), span.duration, None), told)
        return
    homes = [_home(told, side) for side in sides]
    services = [home.service if home else None for home in homes]
    for number, (side, home) in enumerate(zip(sides, homes, strict=True)):
        # What happened in the service of another side is that side's; everything else is the first side's.
        mine = told._replace(
            others=[each for each in told.others if _owner(each.endpoint, services) == number],
            tags=[each for each in told.tags if _owner(each.endpoint, services) == number],
        )
        yield _made(told, side, home, _times(told, side, is_alone=len(sides) == 1), mine)


def _told(span: Span) -> _Told:
    annotations = decode(ANNOTATIONS, span.annotations, f"cannot read the annotations of span {span.id}") or []
    binary = span.binary_annotations or []
    core = {each.value: each for each in reversed(annotations) if each.value in _CORE}
    if "mr" in core and "wr" not in core:
        core["wr"] = core.pop("mr")  # without the way from the wire, receiving is an instant
    return _Told(
        span,
        core=core,
        others=[each for each in annotations if each.value not in _CORE],
        tags=[each for each in binary if not _is_address(each)],
        addresses={each.key: each.endpoint for each in binary if _is_address(each)},
    )


def _is_address(tag: BinaryAnnotation) -> bool:
    return tag.key in _ADDRESSES and tag.endpoint is not None


def _home(told: _Told, side: _Side) -> Endpoint | None:
    core = told.core.get(side.begin) or told.core.get(side.end)
    return core.endpoint if core else None


def _only_endpoint(told: _Told) -> Endpoint | None:
    """Find where a span that is no side of a conversation ran: a local component, or wherever anything is told of."""
    tags = sorted(told.tags, key=lambda tag: tag.key != _LOCAL)
    endpoints = [*(tag.endpoint for tag in tags), *(each.endpoint for each in told.others)]
    return next((endpoint for endpoint in endpoints if endpoint is not None), told.span.local)


def _owner(endpoint: Endpoint | None, services: list[str | None]) -> int:
    service = endpoint.service if endpoint else None
    return services.index(service) if service in services else 0


def _earliest(told: _Told) -> float | None:
    return min((each.timestamp for each in told.others if each.timestamp), default=None)


def _times(told: _Told, side: _Side, *, is_alone: bool) -> tuple[float | None, float | None, float | None]:
    """Return start, duration and end; those of the object are the client's where it is both client and server."""
    span, begin, end = told.span, told.core.get(side.begin), told.core.get(side.end)
    began, ended = begin.timestamp if begin else None, end.timestamp if end else None
    taken = ended - began if began and ended else None
    is_own = is_alone or side is _SIDES[0]
    start = (span.timestamp if is_own else None) or began
    duration = taken if span.duration is None or not is_own else span.duration
    return start or None, duration, ended or None


def _made(
    told: _Told,
    side: _Side | None,
    home: Endpoint | None,
    times: tuple[float | None, float | None, float | None],
    mine: _Told,
) -> Span:
    span = told.span
    return Span(
        id=span.id,
        name=span.name,
        parent_id=span.parent_id,
        kind=side.kind if side else None,
        timestamp=times[0],
        duration=times[1],
        ended=times[2],
        local=home,
        remote=told.addresses.get(side.address) if side else None,
        tags={tag.key: tag.value for tag in mine.tags if (tag.key, tag.value) != (_LOCAL, "")} | (span.tags or {}),
        annotations=msgspec.Raw(msgspec.json.encode(mine.others)),
    )


FORMAT = SpanFormat(_trace_ids, _read_coded)
