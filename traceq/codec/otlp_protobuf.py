"""Reads OTLP in protobuf: bodies of export requests, and what collectors and SDKs write of them to files.

Source: opentelemetry-proto 1.x, trace.proto. What becomes of a span is the same as in OTLP JSON, see `otlp`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from google.protobuf.message import DecodeError as BrokenMessageError
from msgspec import Struct

from traceq import semantics
from traceq.codec import otlp_messages as messages
from traceq.codec.damage import Remark
from traceq.codec.mending import id_of, left_out, warnings_of
from traceq.codec.otlp_fields import (
    FOLLOWS_FROM,
    REFERENCE_TYPE,
    WARNINGS,
    Told,
    completed,
    meaning_of,
    remarks,
    takes_messages,
)
from traceq.codec.otlp_frames import other_signal
from traceq.codec.parts import Part, SpansPart
from traceq.codec.wire import MAX_NS, READABLE, VOID_IDS, Body, refusal
from traceq.errors import DecodeError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, AttributeValue, abridged
from traceq.traces import Event, Link, normal_id


class _Origin(Struct, frozen=True):
    """What the spans of one scope have in common."""

    resource: bytes
    scope: bytes
    place: str


_Located: TypeAlias = tuple[_Origin, bytes]


def read_request(body: Body, place: str) -> tuple[list[Part], list[str]]:
    """Find the traces in one `ExportTraceServiceRequest` (or `TracesData`, which is the same); an empty one is valid.

    Args:
        body: The message, not compressed.
        place: Where it comes from, safe to show.

    Raises:
        DecodeError: If it is no such message. The spans are checked by `Part.coded`.

    Returns:
        The traces, and where spans are that name none.
    """
    with _failures_told(f"cannot read traces from {place}"):
        request = messages.Request.FromString(bytes(body))
    _refuse_others(request, place)
    traces: dict[bytes, list[_Located]] = {}
    for number, group in enumerate(request.resource_spans):
        for scoped in _scopes(group):
            origin = _Origin(group.resource, scoped.scope, f"resourceSpans[{number}] of {place}")
            for span in scoped.spans:
                # Everybody writes the id first, so that the rest of the span need not be parsed twice.
                trace_id = span[2:18] if span.startswith(_ID_FIRST) else _trace_id(span)
                traces.setdefault(trace_id, []).append((origin, span))
    nameless = [origin.place for trace_id in (b"", _NO_ID) for origin, _ in traces.pop(trace_id, ())]
    return [SpansPart(trace_id.hex(), spans, read_coded) for trace_id, spans in traces.items()], nameless


def _refuse_others(request: Any, place: str) -> None:
    """Refuse logs and metrics: protobuf names no type, and their requests differ in what the scopes hold."""
    scopes = (each for group in request.resource_spans for each in _scopes(group))
    signals = (other_signal(item) for scoped in scopes for item in scoped.spans)
    found = next(signals, None)
    if found and all(signals):
        raise refusal(place, f"it looks like {found}")


def _scopes(group: Any) -> Sequence[Any]:
    return (*group.scope_spans, *group.instrumentation_library_spans)


_ID_FIRST = b"\x0a\x10"
"""The tag of the field `trace_id`, and the length of an id."""
_NO_ID = bytes(16)


def _trace_id(span: bytes) -> bytes:
    """Read the id of a span's trace; empty if it names none."""
    try:
        trace_id: bytes = messages.Span.FromString(span).trace_id
    except BrokenMessageError:
        return b""
    return trace_id if trace_id.strip(b"\0") else b""


@contextmanager
def _failures_told(what: str) -> Iterator[None]:
    try:
        yield
    except BrokenMessageError as error:
        raise DecodeError(f"{what}: broken protobuf", hint=READABLE) from error


def read_coded(spans: Sequence[_Located], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    """Read the spans of a trace; details stay protobuf until they are asked for.

    Args:
        spans: The spans of the trace that `read_request` found.
        trace_id: The trace's id.
        codes: The codes of the table that the trace will be part of.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If one of them cannot be read even after what is broken was left out.
    """
    coded = CodedTrace(trace_id)
    if not _are_whole(spans):
        spans = _put_right(spans, coded)
    parsed = [messages.Span.FromString(span) for _, span in spans]
    coded.span_ids += [_span_id(span, coded) for span in parsed]
    starts = [_time(span.start_time_unix_nano) for span in parsed]
    coded.start_ns += starts
    ends = [_time(span.end_time_unix_nano) for span in parsed]
    coded.duration_ns += [end - start for start, end in zip(starts, ends, strict=True)]
    names = codes.names
    coded.names += [names[_text(span.name)] for span in parsed]
    coded.origins += _origin_codes(spans, codes)
    with _failures_told(f"cannot read the attributes of trace {trace_id}"):
        _add_meanings(coded, parsed, codes)
        _add_parents(coded, parsed)
    if with_details:
        coded.details += [_Details(span, origin, trace_id) for origin, span in spans]
    return coded


def _are_whole(spans: Sequence[_Located]) -> bool:
    """Whether nothing is wrong with spans, down to the last attribute, nor with what they ran in."""
    try:
        messages.WholeSpans.FromString(messages.Spans(spans=[span for _, span in spans]).SerializeToString())
    except BrokenMessageError:
        return False
    return all(
        _is_whole(messages.WholeResource, each.resource) and _is_whole(messages.WholeScope, each.scope)
        for each in _origins(spans)
    )


def _origins(spans: Sequence[_Located]) -> Iterator[_Origin]:
    """Give what spans ran in; the spans of a scope follow each other."""
    last = None
    for origin, _ in spans:
        if origin is not last:
            last = origin
            yield origin


# Collectors repeat the same resource in every batch.
@lru_cache(maxsize=1024)
def _is_whole(kind: Any, written: bytes) -> bool:
    return _is_readable(kind, written)


def _is_readable(kind: Any, written: bytes) -> bool:
    try:
        kind.FromString(written)
    except BrokenMessageError:
        return False
    return True


def _put_right(spans: Sequence[_Located], coded: CodedTrace) -> list[_Located]:
    """Leave out what is broken in spans, and in what they ran in, and tell it."""
    origins: dict[int, _Origin] = {}
    for origin in _origins(spans):
        if id(origin) not in origins:
            remarks: list[Remark] = []
            resource = _mended_part(messages.Resource, origin.resource, "resource", remarks)
            scope = _mended_part(messages.Scope, origin.scope, "scope", remarks)
            origins[id(origin)] = _Origin(resource, scope, origin.place)
            coded.repairs += warnings_of(remarks, coded.trace_id, "")
    kept: list[_Located] = []
    for origin, written in spans:
        span = written if _is_readable(messages.WholeSpan, written) else _mended(written, coded)
        if span is None:
            coded.repairs.append(left_out(coded.trace_id, f"a span in {origin.place} is broken"))
        else:
            kept.append((origins[id(origin)], span))
    return kept


def _mended(written: bytes, coded: CodedTrace) -> bytes | None:
    """Leave out what is broken in a span; None if all of it is."""
    try:
        span = messages.Span.FromString(written)
    except BrokenMessageError:
        return None
    remarks: list[Remark] = []
    _look_at_attributes(span.attributes, "attributes", remarks)
    for name, kind in (("events", messages.Event), ("links", messages.Link)):
        found = [
            _mended_part(kind, each, f"{name}[{position}]", remarks)
            for position, each in enumerate(getattr(span, name))
        ]
        span.ClearField(name)
        getattr(span, name).extend(filter(None, found))
    span.status = _mended_part(messages.Status, span.status, "status", remarks)
    if not (_is_text(span.name) and _is_text(span.trace_state)):
        remarks.append(_BROKEN_TEXT)
    coded.repairs += warnings_of(remarks, coded.trace_id, span.span_id.hex())
    mended: bytes = span.SerializeToString()
    return mended


_BROKEN_TEXT = Remark("value-repaired", "some of its text is broken")


def _mended_part(kind: Any, written: bytes, place: str, remarks: list[Remark]) -> bytes:
    """Look at a part of a span, or what it ran in; empty if it is broken."""
    try:
        part = kind.FromString(written)
    except BrokenMessageError:
        remarks.append(Remark("value-left-out", f"{place} is broken"))
        return b""
    if kind is not messages.Status:
        _look_at_attributes(part.attributes, f"{place}.attributes", remarks)
    if not all(_is_text(getattr(part, name, b"")) for name in ("name", "version", "message")):
        remarks.append(_BROKEN_TEXT)
    return written


def _look_at_attributes(attributes: Iterable[bytes], place: str, remarks: list[Remark]) -> None:
    for position, attribute in enumerate(attributes):
        if not _is_readable(messages.KeyValue, attribute):
            remarks.append(Remark("value-repaired", f"{place}[{position}] is broken, and shown as its bytes"))
        elif not _is_readable(messages.WholeKeyValue, attribute):
            remarks.append(_BROKEN_TEXT)


def _is_text(written: bytes) -> bool:
    try:
        written.decode()
    except UnicodeDecodeError:
        return False
    return True


def _span_id(span: Any, coded: CodedTrace) -> str:
    written: str = span.span_id.hex()
    if written not in VOID_IDS:
        return written
    given = id_of(span.SerializeToString(deterministic=True))
    told = Remark("id-missing", f"it has no id, and is given {given}")
    coded.repairs += warnings_of([told], coded.trace_id, given)
    return given


def _time(written: int) -> int:
    """Take a time after the year 2116, such as all ones, as missing, which is told of the span."""
    return written if written <= MAX_NS else 0


def _text(written: bytes) -> str:
    """Decode text; bytes that are not UTF-8 are shown as they are written in Python."""
    return written.decode("utf-8", "backslashreplace")


def _origin_codes(spans: Sequence[_Located], codes: Codebook) -> Iterator[int]:
    """Yield the code of what each span ran in; the spans of a scope follow each other."""
    last: _Origin | None = None
    code = 0
    for origin, _ in spans:
        if origin is not last:
            resource = _resource(origin.resource)
            last, code = origin, codes.origin(semantics.value_text(resource.get(_SERVICE)), semantics.host(resource))
        yield code


_SERVICE = "service.name"


def _add_meanings(coded: CodedTrace, spans: Iterable[Any], codes: Codebook) -> None:
    add, told = coded.meanings.append, codes.told
    for span in spans:
        key = (_wanted_texts(span.attributes), span.kind, span.status)
        code = told.get(key)
        if code is None:
            status = messages.Status.FromString(span.status).code
            code = told[key] = codes.meanings[meaning_of(key[0], span.kind, status)]
        add(code)


_TELLING = frozenset(key.encode() for key in TELLING)
_KEY_FIRST = 0x0A
"""The tag of an attribute's key."""
_ONE_BYTE = 0x80
"""Lengths from here on take more than one byte."""


def _wanted_texts(attributes: Iterable[bytes]) -> tuple[str, ...]:
    """Select the attributes that become columns, as keys and values (text) in turn. This is the hot path of reading."""
    found: tuple[str, ...] = ()
    for attribute in attributes:
        # Everybody writes the key first, and nearly all keys are short.
        is_plain = len(attribute) > 1 and attribute[0] == _KEY_FIRST and attribute[1] < _ONE_BYTE
        if not is_plain or attribute[2 : 2 + attribute[1]] in _TELLING:
            found += _wanted_text(attribute)
    return found


# The same few values occur in span after span.
@lru_cache(maxsize=4096)
def _wanted_text(attribute: bytes) -> tuple[str, ...]:
    try:
        key, value = _pair(messages.KeyValue.FromString(attribute))
    except BrokenMessageError:
        return ()  # it is shown where attributes are
    if key not in TELLING:
        return ()
    if key in ABRIDGED:
        return key, abridged(key, value) if key in SHORTENED else ""
    return key, semantics.value_text(value)


def _add_parents(coded: CodedTrace, spans: Iterable[Any]) -> None:
    add = coded.parent_ids.append
    for span in spans:
        if span.links:
            coded.add_parents(*_take_parents(span, coded.trace_id)[0])
        else:
            parent_id = span.parent_span_id.hex()
            add(None if parent_id in VOID_IDS else parent_id)


def _take_parents(span: Any, trace_id: str) -> tuple[tuple[tuple[str, ...], int], int | None]:
    """Return the candidates for the parent as `otlp` does, and the position of the link that stands in for it."""
    parent_id = span.parent_span_id.hex()
    has_parent = parent_id not in VOID_IDS
    links = [messages.Link.FromString(link) for link in span.links]
    inside = [position for position, link in enumerate(links) if _is_link(link) and _is_within(link.trace_id, trace_id)]
    linked = [links[position].span_id.hex() for position in inside]
    named = [links[position] for position in inside if links[position].span_id.hex() == parent_id]
    child_of_count = 0 if any(map(_follows_from, named)) else 1
    if not linked or not takes_messages(_wanted_texts(span.attributes), span.kind):
        return ((parent_id,) if has_parent else (), child_of_count), None
    return (((parent_id, *linked), child_of_count), None) if has_parent else ((tuple(linked), 0), inside[0])


def _follows_from(link: Any) -> bool:
    return _attributes(link.attributes).get(REFERENCE_TYPE) == FOLLOWS_FROM


def _is_link(link: Any) -> bool:
    return link.trace_id.hex() not in VOID_IDS and link.span_id.hex() not in VOID_IDS


def _is_within(named: bytes, trace_id: str) -> bool:
    return normal_id(named.hex()) == normal_id(trace_id)


class _Details(msgspec.Struct, gc=False):
    """A span's details, parsed when they are asked for."""

    written: bytes
    origin: _Origin
    trace_id: str

    def attributes(self) -> Attributes:
        """Read the span's attributes, and whatever else Jaeger's conversion turns into tags."""
        span = self._span()
        with _failures_told("cannot read the scope or status of a span"):
            scope = messages.Scope.FromString(self.origin.scope)
            message = messages.Status.FromString(span.status).message
        told = Told(_text(scope.name), _text(scope.version), _text(message), _text(span.trace_state))
        return completed(told, _attributes(scope.attributes), _attributes(span.attributes))

    def resource(self) -> Attributes:
        """Read the resource's attributes, `service.name` left out."""
        return _resource_beside_service(self.origin.resource)

    def events(self) -> tuple[Event, ...]:
        """Read the events, earliest first."""
        with _failures_told("cannot read the events of a span"):
            events = [messages.Event.FromString(event) for event in self._span().events]
        read = [
            Event(_time(event.time_unix_nano), _text(event.name) or "log", _attributes(event.attributes))
            for event in events
        ]
        return tuple(sorted(read, key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Read the links other than the one that stands in for the parent."""
        span = self._span()
        with _failures_told("cannot read the links of a span"):
            parent = _take_parents(span, self.trace_id)[1]
            links = [messages.Link.FromString(link) for link in span.links]
        return tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes))
            for position, link in enumerate(links)
            if position != parent and _is_link(link)
        )

    def warnings(self) -> tuple[str, ...]:
        """Read the server's remarks."""
        return remarks(_attributes(self._span().attributes)) if _REMARKS in self.written else ()

    def _span(self) -> Any:
        return messages.Span.FromString(self.written)


_REMARKS = WARNINGS.encode()


_BROKEN = "broken-attribute"


def _attributes(attributes: Iterable[bytes]) -> dict[str, AttributeValue]:
    """Read attributes; one that is broken is shown as its bytes."""
    read: dict[str, AttributeValue] = {}
    for attribute in attributes:
        try:
            key, value = _pair(messages.KeyValue.FromString(attribute))
        except BrokenMessageError:
            key, value = _BROKEN, bytes(attribute)
        read[key] = value
    return read


def _pair(attribute: Any) -> tuple[str, AttributeValue]:
    return _text(attribute.key), _value(attribute.value)


def _value(value: Any) -> AttributeValue:
    match value.WhichOneof("value"):
        case None:
            return None
        case "string_value":
            return _text(value.string_value)
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case "kvlist_value":
            return dict(_pair(each) for each in value.kvlist_value.values)
        case plain:
            read: AttributeValue = getattr(value, plain)
            return read


# Collectors repeat the same resource in every batch.
@lru_cache(maxsize=1024)
def _resource(resource: bytes) -> Mapping[str, AttributeValue]:
    with _failures_told("cannot read a resource"):
        attributes = messages.Resource.FromString(resource).attributes
    return MappingProxyType(_attributes(attributes))


@lru_cache(maxsize=1024)
def _resource_beside_service(resource: bytes) -> Mapping[str, AttributeValue]:
    return MappingProxyType({key: value for key, value in _resource(resource).items() if key != _SERVICE})
