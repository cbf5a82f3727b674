"""Reads OTLP in protobuf: bodies of export requests, and what collectors and SDKs write of them to files.

Source: opentelemetry-proto 1.x, trace.proto. What becomes of a span is the same as in OTLP JSON, see `otlp`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
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
    unknown_codes,
)
from traceq.codec.wire import MAX_NS, READABLE, VOID_IDS
from traceq.errors import DecodeError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, AttributeValue, abridged
from traceq.traces import Event, Link, normal_id


class Origin(Struct, frozen=True):
    """What the spans of one scope have in common."""

    resource: bytes
    scope: bytes
    place: str


Located: TypeAlias = tuple[Origin, bytes]
"""A span, and where it is."""


@contextmanager
def _failures_told(what: str) -> Iterator[None]:
    try:
        yield
    except messages.BrokenMessageError as error:
        raise DecodeError(f"{what}: broken protobuf", hint=READABLE) from error


def read_coded(spans: Sequence[Located], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    """Read the spans of a trace; details stay protobuf until they are asked for.

    Args:
        spans: The spans of the trace that `Requests` found.
        trace_id: The trace's id.
        codes: The codes of the table that the trace will be part of.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If one of them cannot be read even after what is broken was left out.
    """
    coded = CodedTrace(trace_id)
    wanted = bytes.fromhex(trace_id)
    parsed = _parsed(spans)
    if parsed is None or {span.trace_id for span in parsed} != {wanted}:
        spans = _put_right(spans, coded)
        parsed = [messages.Span.FromString(span) for _, span in spans]
    coded.span_ids += _span_ids(parsed, coded)
    starts = _times([span.start_time_unix_nano for span in parsed])
    coded.start_ns += starts
    ends = _times([span.end_time_unix_nano for span in parsed])
    coded.duration_ns += [end - start for start, end in zip(starts, ends, strict=True)]
    written_names = [span.name for span in parsed]
    names = {name: codes.names[_text(name)] for name in dict.fromkeys(written_names)}
    coded.names += map(names.__getitem__, written_names)
    coded.origins += _origin_codes(spans, codes)
    with _failures_told(f"cannot read the attributes of trace {trace_id}"):
        _add_meanings(coded, parsed, codes)
        _add_parents(coded, parsed)
    if with_details:
        coded.details += [_Details(span, origin, trace_id) for origin, span in spans]
    return coded


def _parsed(spans: Sequence[Located]) -> Sequence[Any] | None:
    """Parse spans; None if anything is wrong with them, down to the last attribute, or with what they ran in."""
    written = messages.WrittenSpans(spans=[span for _, span in spans]).SerializeToString()
    try:
        messages.WholeSpans.FromString(written)
    except messages.BrokenMessageError:
        return None
    are_whole = all(
        _is_whole(messages.WholeResource, each.resource) and _is_whole(messages.WholeScope, each.scope)
        for each in _origins(spans)
    )
    return messages.Spans.FromString(written).spans[:] if are_whole else None


def _origins(spans: Sequence[Located]) -> Iterator[Origin]:
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
    except messages.BrokenMessageError:
        return False
    return True


def _put_right(spans: Sequence[Located], coded: CodedTrace) -> list[Located]:
    """Leave out what is broken in spans, and in what they ran in, and tell it."""
    origins: dict[int, Origin] = {}
    for origin in _origins(spans):
        if id(origin) not in origins:
            remarks: list[Remark] = []
            resource = _mended_part(messages.Resource, origin.resource, "resource", remarks)
            scope = _mended_part(messages.Scope, origin.scope, "scope", remarks)
            origins[id(origin)] = Origin(resource, scope, origin.place)
            coded.repairs += warnings_of(remarks, coded.trace_id, "")
    kept: list[Located] = []
    for origin, written in spans:
        span = _mended(written, coded)
        if span is None:
            coded.repairs.append(left_out(coded.trace_id, f"a span in {origin.place} is broken"))
        else:
            kept.append((origins[id(origin)], span))
    return kept


def _mended(written: bytes, coded: CodedTrace) -> bytes | None:
    """Leave out what is broken in a span; None if all of it is, or it is of another trace."""
    try:
        span = messages.Span.FromString(written)
    except messages.BrokenMessageError:
        return None
    if span.trace_id.hex() != coded.trace_id:
        return None
    if _is_readable(messages.WholeSpan, written):
        return written
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
    except messages.BrokenMessageError:
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


def _span_ids(spans: Sequence[Any], coded: CodedTrace) -> list[str]:
    """Read the ids of spans; one that has none is given one, which is told."""
    ids = [span.span_id.hex() for span in spans]
    for position, (span_id, span) in enumerate(zip(ids, spans, strict=True)) if not VOID_IDS.isdisjoint(ids) else ():
        if span_id in VOID_IDS:
            given = ids[position] = id_of(span.SerializeToString(deterministic=True))
            told = Remark("id-missing", f"it has no id, and is given {given}")
            coded.repairs += warnings_of([told], coded.trace_id, given)
    return ids


def _times(written: list[int]) -> list[int]:
    """Take a time after the year 2116, such as all ones, as missing, which is told of the span."""
    return [time if time <= MAX_NS else 0 for time in written] if max(written, default=0) > MAX_NS else written


def _text(written: bytes) -> str:
    """Decode text; bytes that are not UTF-8 are shown as they are written in Python."""
    return written.decode("utf-8", "backslashreplace")


def _origin_codes(spans: Sequence[Located], codes: Codebook) -> Iterator[int]:
    """Yield the code of what each span ran in; the spans of a scope follow each other."""
    last: Origin | None = None
    code = 0
    for origin, _ in spans:
        if origin is not last:
            last = origin
            code = codes.told.get((origin.resource,), -1)
            if code < 0:
                resource = _resource(origin.resource)
                code = codes.origin(semantics.value_text(resource.get(_SERVICE)), semantics.host(resource))
                codes.told[origin.resource,] = code
        yield code


_SERVICE = "service.name"


def _add_meanings(coded: CodedTrace, spans: Iterable[Any], codes: Codebook) -> None:
    add, told = coded.meanings.append, codes.told
    for span in spans:
        key = (_wanted_texts(span.attributes), span.kind, span.status)
        code = told.get(key)
        if code is None:
            status = messages.Status.FromString(span.status).code
            code = codes.meanings[meaning_of(key[0], span.kind, status)]
            if unknown := unknown_codes(span.kind, status):
                coded.repairs += warnings_of(unknown, coded.trace_id, span.span_id.hex())
            else:
                told[key] = code  # others are told of each span
        add(code)


_TELLING = frozenset(key.encode() for key in TELLING)
_KEY, _VALUE = 0x0A, 0x12
"""The tags in an attribute."""
_ONE_BYTE = 0x80
"""Lengths from here on take more than one byte."""


def _wanted_texts(attributes: Sequence[bytes]) -> tuple[str, ...]:
    """Select the attributes that become columns, as keys and values (text) in turn. This is the hot path of reading."""
    found: tuple[str, ...] = ()
    try:
        # A copy is made faster than attribute after attribute is taken.
        for attribute in attributes[:]:
            # SDKs write the key first, collectors the value, and nearly all of them are short.
            tag, length = attribute[0], attribute[1]
            if tag == _KEY and length < _ONE_BYTE:
                if attribute[2 : 2 + length] in _TELLING:
                    found += _wanted_text(attribute)
            elif (
                tag != _VALUE
                or length >= _ONE_BYTE
                or attribute[2 + length] != _KEY
                or attribute[3 + length] != len(attribute) - length - 4
                or attribute[4 + length :] in _TELLING
            ):
                found += _wanted_text(attribute)
    except IndexError:  # one ends too early
        return tuple(chain.from_iterable(map(_wanted_text, attributes)))
    return found


# The same few values occur in span after span.
@lru_cache(maxsize=4096)
def _wanted_text(attribute: bytes) -> tuple[str, ...]:
    try:
        key, value = _pair(messages.KeyValue.FromString(attribute))
    except messages.BrokenMessageError:
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
    origin: Origin
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
        times = _times([event.time_unix_nano for event in events])
        read = [
            Event(time_ns, _text(event.name) or "log", _attributes(event.attributes))
            for time_ns, event in zip(times, events, strict=True)
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
        except messages.BrokenMessageError:
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
