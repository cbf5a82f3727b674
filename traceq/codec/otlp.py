"""Reads OTLP JSON: Jaeger's v3 answers, old and new, files of collectors, exports of Tempo.

Source: opentelemetry-proto 1.x, trace.proto, and its JSON mapping; Jaeger 1.51 to 2.20, `api_v3`. Ids come as hex or as
base64, enums as numbers or names, 64-bit numbers as text or numbers. What Jaeger's own conversion to v1 puts into tags
(scope, status message, trace state) becomes an attribute of the same name, so that both dialects give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from traceq import semantics
from traceq.codec.damage import Remark
from traceq.codec.fitting import Fitting
from traceq.codec.mending import Mender, decoded, encoded, is_odd, repairs, unit_told, warnings_of
from traceq.codec.otlp_fields import (
    ATTRIBUTES,
    FOLLOWS_FROM,
    REFERENCE_TYPE,
    WARNINGS,
    Attribute,
    DetailedSpan,
    PlainDocument,
    ResourceSpans,
    Scope,
    Span,
    SpanEvent,
    SpanLink,
    Told,
    TraceId,
    WholeEvent,
    WholeLink,
    WholeSpan,
    completed,
    is_whole,
    meaning_of,
    read_attributes,
    read_value,
    remarks,
    takes_messages,
    unknown_codes,
    values_of,
)
from traceq.codec.parts import Part, SpansPart
from traceq.codec.wire import (
    BROKEN,
    VOID_IDS,
    decode,
    failures_told,
    hex_id,
    is_empty,
    is_plain_hex,
)
from traceq.errors import DecodeError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import (
    ABRIDGED,
    SHORTENED,
    TELLING,
    Attributes,
    AttributeValue,
    abridged,
)
from traceq.traces import Event, Link, normal_id
from traceq.untrusted import printable

_WARNINGS_WRITTEN = WARNINGS.encode()
"""As it is written, unless letters are escaped."""


_SPAN = msgspec.json.Decoder(Span, strict=False)
_DETAILED_SPAN = msgspec.json.Decoder(DetailedSpan, strict=False)
_TRACE_ID = msgspec.json.Decoder(TraceId)
_EVENTS = msgspec.json.Decoder(list[SpanEvent] | None, strict=False)

_WHOLE_EVENTS = msgspec.json.Decoder(list[WholeEvent] | None, strict=False)
_MENDER = Mender(
    msgspec.json.Decoder(WholeSpan, strict=False),
    frozenset(("spanId", "name", "startTimeUnixNano")),
    "spanId",
    "startTimeUnixNano",
    end="endTimeUnixNano",
)

_ID_DIGITS = 16
"""The length of a span id in hex, and of half a trace id."""
_SPANS_AT_A_TIME = 128
"""How many spans are decoded before their columns are made: decoded, so many stay in a processor's cache."""


class _Details(msgspec.Struct, gc=False):
    """A span's details, as JSON until they are asked for."""

    span: DetailedSpan
    resource_attributes: bytes
    scope: Scope

    def attributes(self) -> Attributes:
        """Read the span's attributes, and whatever else Jaeger's conversion turns into tags."""
        span, scope, status = self.span, self.scope, self.span.status
        told = Told(scope.name, scope.version, status.message if status else None, span.trace_state)
        return completed(told, read_attributes(scope.attributes), read_attributes(span.attributes))

    def resource(self) -> Attributes:
        """Read the resource's attributes, `service.name` left out."""
        return _resource_beside_service(self.resource_attributes)

    def events(self) -> tuple[Event, ...]:
        """Read the events, earliest first."""
        if is_empty(self.span.events):
            return ()
        events = decode(_EVENTS, self.span.events, f"cannot read the events of span {self.span.span_id}") or ()
        return tuple(sorted((_event(event) for event in events), key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Read the links other than the one that was the first candidate for the parent."""
        return tuple(
            Link(hex_id(link.trace_id or ""), hex_id(link.span_id or ""), read_attributes(link.attributes))
            for link in self.span.links or ()
            if _is_reference(link)
        )

    def warnings(self) -> tuple[str, ...]:
        """Read the server's remarks."""
        written = bytes(self.span.attributes)
        if _WARNINGS_WRITTEN not in written and b"\\u" not in written:
            return ()
        return remarks(read_attributes(self.span.attributes))


class _Origin(Struct, frozen=True):
    """What the spans of one scope have in common."""

    resource_attributes: bytes
    scope: Scope
    place: str


Located: TypeAlias = tuple[_Origin, msgspec.Raw]


def split(groups: Iterable[ResourceSpans[msgspec.Raw] | None], place: str) -> dict[str, list[Located]]:
    """Group a document's spans by trace; nothing of a span but its trace id is decoded.

    Args:
        groups: The document's `resourceSpans`.
        place: Where it is, for messages.

    Returns:
        The spans by the id of their trace; those that name none by an empty one.
    """
    traces: dict[str, list[Located]] = {}
    by_written: dict[bytes, list[Located]] = {}
    for origin, spans in _origins(groups, place):
        for span in spans:
            # Exporters write the id first, so that the rest of the span need not be decoded twice.
            found = _ID_FIRST.match(span)
            located = by_written.get(found[1]) if found else None
            if located is None:
                written = found[1].decode("ascii") if found else None
                located = traces.setdefault(_trace_id(written, span), [])
                if found:
                    by_written[found[1]] = located
            located.append((origin, span))
    return traces


def _origins(groups: Iterable[ResourceSpans[Any] | None], place: str) -> Iterator[tuple[_Origin, list[Any]]]:
    for position, group in enumerate(groups):
        if group is None:
            continue
        resource = bytes(group.resource.attributes) if group.resource else b"null"
        for scoped in [*(group.scope_spans or ()), *(group.instrumentation_library_spans or ())]:
            scope = scoped.scope or scoped.instrumentation_library or Scope()
            yield _Origin(resource, scope, f"resourceSpans[{position}] of {place}"), scoped.spans or []


_ID_FIRST = re.compile(rb'\s*\{\s*"traceId"\s*:\s*"([0-9a-fA-F]{32}|[0-9a-zA-Z+/]{22}==)"')


def _trace_id(written: str | None, span: msgspec.Raw) -> str:
    """Read the id of a span's trace; empty if it names none."""
    text: object = written
    if written is None:
        try:
            text = _TRACE_ID.decode(span).trace_id
        except BROKEN:
            found = decoded(span)
            text = found.get("traceId") if isinstance(found, dict) else None
    trace_id = hex_id(text if isinstance(text, str) else "")
    return "" if trace_id in VOID_IDS else trace_id


_IDS = msgspec.json.Decoder(PlainDocument[TraceId])
_PLAIN = msgspec.json.Decoder(PlainDocument[Span], strict=False)
_DETAILED = msgspec.json.Decoder(PlainDocument[DetailedSpan], strict=False)
_DIVIDED = msgspec.json.Decoder(PlainDocument[msgspec.Raw])
_FIRST_ID = re.compile(rb'"traceId"\s*:\s*"([^"]*)"')


def trace_ids(document: memoryview) -> frozenset[str]:
    """Read the ids of all traces in a document that holds spans and nothing else; none if there is more to tell."""
    try:
        groups = _IDS.decode(document).resource_spans
    except BROKEN:
        return frozenset()
    written = {span.trace_id or "" for _, spans in _origins(groups, "") for span in spans}
    found = frozenset(map(hex_id, written))
    return found if VOID_IDS.isdisjoint(found) else frozenset()


def first_trace_id(document: memoryview) -> str:
    """Read the first id of a trace in a document; empty if there is none."""
    found = _FIRST_ID.search(document)
    return hex_id(found[1].decode("utf-8", "replace")) if found else ""


def plain_parts(documents: Iterable[memoryview], location: str) -> Iterator[Part]:
    """Treat each document as spans of one trace, that of its `first_trace_id`, and nothing else; none is decoded."""
    place = printable(location)
    for document in documents:
        yield SpansPart(first_trace_id(document), [(place, document)], _read_plain)


def _read_plain(
    spans: Sequence[tuple[str, memoryview]], trace_id: str, codes: Codebook, *, with_details: bool
) -> CodedTrace:
    """Read documents with spans of one trace, each in one go; see `read_coded`."""
    coded = CodedTrace(trace_id)
    try:
        for place, document in spans:
            found = _DETAILED.decode(document) if with_details else _PLAIN.decode(document)
            # All at once: most scopes have one span or two.
            scopes = list(_origins(found.resource_spans, place))
            origins = [origin for origin, some in scopes for _ in some]
            _add(coded, origins, [span for _, some in scopes for span in some], codes)
    except (*BROKEN, DecodeError):
        coded = CodedTrace(trace_id)
    _normalize(coded)
    if not coded.span_ids or _is_odd(coded):
        divided = (split(_DIVIDED.decode(document).resource_spans, place) for place, document in spans)
        located = [each for traces in divided for each in traces[trace_id]]
        return read_coded(located, trace_id, codes, with_details=with_details)
    return coded


def read_coded(spans: Sequence[Located], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    """Read the spans of a trace; details stay JSON until they are asked for.

    The caller pauses the garbage collector.

    Args:
        spans: The spans of the trace that `split` found.
        trace_id: The trace's id.
        codes: The codes of the table that the trace will be part of.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If one of them is not an OTLP span, or has no id.
    """
    try:
        coded = _read(spans, trace_id, codes, with_details=with_details)
    except (*BROKEN, DecodeError):
        coded = None
    if coded is None or _is_odd(coded):
        with failures_told(f"cannot read trace {trace_id} in {spans[0][0].place}"):
            coded = _read_mended(spans, trace_id, codes, with_details=with_details)
    return coded


def _is_odd(coded: CodedTrace) -> bool:
    return is_odd(coded.start_ns) or not VOID_IDS.isdisjoint(coded.span_ids)


def _read(located: Sequence[Located], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    coded = CodedTrace(trace_id)
    # One by one: joining them into a list copies them, and details would keep the copy alive.
    decoder: msgspec.json.Decoder[Any] = _DETAILED_SPAN if with_details else _SPAN
    for start in range(0, len(located), _SPANS_AT_A_TIME):
        origins, spans = zip(*located[start : start + _SPANS_AT_A_TIME], strict=True)
        _add(coded, origins, list(map(decoder.decode, spans)), codes)
    _normalize(coded)
    return coded


def _read_mended(spans: Sequence[Located], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    """Read spans the slow way, with what is wrong put right."""
    raws = [raw for _, raw in spans]
    unit_ns = _MENDER.unit_of(raws)
    mended = list(_MENDER.mend(raws, unit_ns))
    told = [] if unit_ns is None else [unit_told(trace_id, unit_ns, 1)]
    origins: dict[int, _Origin] = {}
    for origin in {id(origin): origin for origin, _ in spans}.values():
        origins[id(origin)], remarks = _mended_origin(origin)
        told += warnings_of(remarks, trace_id, "")
    located = [(origins[id(spans[each.position][0])], each.span) for each in mended]
    coded = _read(located, trace_id, codes, with_details=with_details)
    coded.repairs += [*told, *repairs(mended, len(spans), trace_id, coded.span_ids)]
    return coded


def _mended_origin(origin: _Origin) -> tuple[_Origin, list[Remark]]:
    """Put right the attributes of a resource and a scope."""
    fitting = Fitting(1, 1)

    def put_right(written: bytes, what: str) -> bytes:
        if is_whole(written):
            return written
        return encoded(fitting.value(decoded(msgspec.Raw(fitting.sound(written))), ATTRIBUTES.type, what))

    resource = put_right(origin.resource_attributes, "resource")
    scope = put_right(bytes(origin.scope.attributes), "scope")
    name, version = origin.scope.name, origin.scope.version
    return _Origin(resource, Scope(name, version, msgspec.Raw(scope)), origin.place), fitting.remarks


def _add(
    coded: CodedTrace, origins: Sequence[_Origin], spans: Sequence[Span] | Sequence[DetailedSpan], codes: Codebook
) -> None:
    _add_meanings(coded, spans, codes)
    _add_parents(coded, spans)
    coded.span_ids += [span.span_id or "" for span in spans]
    coded.start_ns += [span.start_time_unix_nano or 0 for span in spans]
    coded.duration_ns += [(span.end_time_unix_nano or 0) - (span.start_time_unix_nano or 0) for span in spans]
    names = codes.names
    coded.names += [names[span.name or ""] for span in spans]
    coded.origins += _origin_codes(origins, codes)
    if spans and isinstance(spans[0], DetailedSpan):
        coded.details += [
            _Details(_whole_details(span), origin.resource_attributes, origin.scope)
            for origin, span in zip(origins, spans, strict=True)
            if isinstance(span, DetailedSpan)
        ]


def _whole_details(span: DetailedSpan) -> DetailedSpan:
    """Decode what is in the details; fails here, and not later, if it has to be mended."""
    if not is_empty(span.events):
        _WHOLE_EVENTS.decode(span.events)
    for link in span.links or ():
        if not is_empty(link.attributes):
            ATTRIBUTES.decode(link.attributes)
    return span


def _normalize(coded: CodedTrace) -> None:
    """Convert ids to lower-case hex; nearly all of them are."""
    if not is_plain_hex(coded.span_ids):
        coded.span_ids = [hex_id(span_id) for span_id in coded.span_ids]
    parent_ids = [parent_id for parent_id in coded.parent_ids if parent_id]
    if not is_plain_hex(parent_ids):
        coded.parent_ids = [parent_id and hex_id(parent_id) for parent_id in coded.parent_ids]


def _origin_codes(origins: Sequence[_Origin], codes: Codebook) -> list[int]:
    """Return the code of what each span ran in; the spans of a scope follow each other."""
    found: list[int] = []
    last: _Origin | None = None
    code = 0
    for origin in origins:
        if origin is not last:
            if not is_empty(origin.scope.attributes):
                ATTRIBUTES.decode(origin.scope.attributes)  # fails here, and not later, if they have to be mended
            last, code = origin, codes.origin(*_service_and_host(origin.resource_attributes))
        found.append(code)
    return found


def _add_parents(coded: CodedTrace, spans: Sequence[Span] | Sequence[DetailedSpan]) -> None:
    add, low_half = coded.parent_ids.append, coded.trace_id[-_ID_DIGITS:].zfill(_ID_DIGITS)
    for span in spans:
        parent_id, links = span.parent_span_id or None, span.links
        # Nearly every span names its parent like this, if it has one. Zeros in base64 take the long way.
        is_plain = parent_id is None or (len(parent_id) == _ID_DIGITS and parent_id not in VOID_IDS)
        if is_plain and (not links or _are_elsewhere(links, low_half)):
            add(parent_id)
        else:
            coded.add_parents(*_take_parents(span, coded.trace_id))


def _are_elsewhere(links: Iterable[SpanLink], low_half: str) -> bool:
    """Whether links lead into other traces than that of this low half, as nearly all do; False if in doubt."""
    for link in links:
        named = link.trace_id or ""
        if len(named) != 2 * _ID_DIGITS or named[_ID_DIGITS:].lower() == low_half:
            return False
    return True


def _take_parents(span: Span | DetailedSpan, trace_id: str) -> tuple[tuple[str, ...], int]:
    """Return the candidates for the parent and how many of them count as CHILD_OF; the other links remain links.

    A link is no parent: a root that has one is still a root. But what takes a message may know its producer by a link
    alone, and then a link into the same trace stands in for a missing parent, as FOLLOWS_FROM.
    """
    parent_id = hex_id(span.parent_span_id or "")
    has_parent = parent_id not in VOID_IDS
    inside = [link for link in span.links or () if _is_reference(link, trace_id)]
    child_of_count = 1
    if has_parent and any(hex_id(link.span_id or "") == parent_id and _follows_from(link) for link in inside):
        child_of_count = 0
    if not inside or not takes_messages(_wanted_texts(_attributes_of(span)), span.kind):
        return (parent_id,) if has_parent else (), child_of_count
    if span.links and not has_parent:
        span.links.remove(inside[0])  # type: ignore[arg-type]  # it is one of them
    linked = [hex_id(link.span_id or "") for link in inside]
    return ((parent_id, *linked), child_of_count) if has_parent else (tuple(linked), 0)


def _follows_from(link: SpanLink) -> bool:
    """Whether the link stands for a reference of OpenTracing that was FOLLOWS_FROM.

    Jaeger adds it beside the parent where its storage knows references only: Elasticsearch, OpenSearch.
    """
    found = values_of(link.attributes or ()) if isinstance(link, WholeLink) else read_attributes(link.attributes)
    return found.get(REFERENCE_TYPE) == FOLLOWS_FROM


def _is_reference(link: SpanLink, trace_id: str | None = None) -> bool:
    """Whether a link names a span and, if asked, one of this trace."""
    named = hex_id(link.trace_id or "")
    if hex_id(link.span_id or "") in VOID_IDS or named in VOID_IDS:
        return False
    return trace_id is None or normal_id(named) == normal_id(trace_id)


def _add_meanings(coded: CodedTrace, spans: Sequence[Span] | Sequence[DetailedSpan], codes: Codebook) -> None:
    add, told = coded.meanings.append, codes.told
    for span in spans:
        attributes = span.attributes if isinstance(span, Span) else ATTRIBUTES.decode(span.attributes)
        status = span.status
        key = (_wanted_texts(attributes) if attributes else (), span.kind, status.code if status else None)
        code = told.get(key)
        if code is None:
            code = codes.meanings[meaning_of(*key)]
            if unknown := unknown_codes(*key[1:]):
                coded.repairs += warnings_of(unknown, coded.trace_id, hex_id(span.span_id or ""))
            else:
                told[key] = code  # others are told of each span
        add(code)


def _attributes_of(span: Span | DetailedSpan) -> list[Attribute]:
    return (span.attributes if isinstance(span, Span) else ATTRIBUTES.decode(span.attributes)) or []


def _wanted_texts(attributes: Iterable[Attribute]) -> tuple[str, ...]:
    """Select the attributes that become columns, as keys and values (text) in turn. This is the hot path of reading."""
    found: list[str] = []
    for attribute in attributes:
        key = attribute.key
        if key in TELLING:
            found.append(key)
            value = attribute.value
            if key in ABRIDGED:
                found.append(abridged(key, read_value(value)) if key in SHORTENED else "")
            elif value is not None and (text := value.string_value) is not None:
                found.append(text)  # most of them
            else:
                found.append(semantics.value_text(read_value(value)))
    return tuple(found)


# Collectors repeat the same resource in every batch.
@lru_cache(maxsize=1024)
def _resource(attributes: bytes) -> Mapping[str, AttributeValue]:
    return MappingProxyType(read_attributes(attributes))


@lru_cache(maxsize=1024)
def _resource_beside_service(attributes: bytes) -> Mapping[str, AttributeValue]:
    return MappingProxyType({key: value for key, value in _resource(attributes).items() if key != "service.name"})


@lru_cache(maxsize=1024)
def _service_and_host(attributes: bytes) -> tuple[str, str]:
    """Find the service, and the machine or pod, in a resource's attributes; empty if they name none."""
    resource = _resource(attributes)
    return semantics.value_text(resource.get("service.name")), semantics.host(resource)


def _event(event: SpanEvent) -> Event:
    return Event(event.time_unix_nano or 0, event.name or "log", read_attributes(event.attributes))
