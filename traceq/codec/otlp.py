"""Reads OTLP JSON: Jaeger's v3 answers, old and new, files of collectors, exports of Tempo.

Source: opentelemetry-proto 1.x, trace.proto, and its JSON mapping; Jaeger 1.51 to 2.20, `api_v3`. Ids come as hex or as
base64, enums as numbers or names, 64-bit numbers as text or numbers. What Jaeger's own conversion to v1 puts into tags
(scope, status message, trace state) becomes an attribute of the same name, so that both dialects give the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from traceq import semantics
from traceq.codec.otlp_terms import (
    FOLLOWS_FROM,
    REFERENCE_TYPE,
    WARNINGS,
    Told,
    completed,
    meaning_of,
    remarks,
    takes_messages,
)
from traceq.codec.otlp_values import read_attributes, read_text, read_value
from traceq.codec.wire import (
    BROKEN,
    READABLE,
    VOID_IDS,
    Nanoseconds,
    decode,
    failures_told,
    first_void,
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

_NOTHING = msgspec.Raw(b"null")
_WARNINGS_WRITTEN = WARNINGS.encode()
"""As it is written, unless letters are escaped."""


class _Sketch(msgspec.Struct, gc=False):
    """An attribute whose value is decoded only if its key is wanted."""

    key: str
    value: msgspec.Raw = _NOTHING


class _Resource(msgspec.Struct, gc=False):
    attributes: msgspec.Raw = _NOTHING


class _Scope(msgspec.Struct, gc=False):
    name: str | None = None
    version: str | None = None
    attributes: msgspec.Raw = _NOTHING


class _ScopeSpans(msgspec.Struct, gc=False, rename="camel"):
    scope: _Scope | None = None
    instrumentation_library: _Scope | None = None
    spans: list[msgspec.Raw] | None = None


class ResourceSpans(msgspec.Struct, gc=False, rename="camel"):
    """What documents of OTLP and Tempo consist of: spans by scope, scopes by resource."""

    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None
    instrumentation_library_spans: list[_ScopeSpans] | None = None
    """The name before OTLP 0.15 (2022)."""


class _SpanStatus(msgspec.Struct, gc=False):
    """How a span ended."""

    code: int | str | None = None
    message: str | None = None


class _SpanLink(msgspec.Struct, gc=False, rename="camel"):
    """A reference of a span to another than its parent."""

    trace_id: str | None = None
    span_id: str | None = None
    attributes: msgspec.Raw = _NOTHING


class _Event(msgspec.Struct, gc=False, rename="camel"):
    time_unix_nano: Nanoseconds = None
    name: str | None = None
    attributes: msgspec.Raw = _NOTHING


class _TraceId(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | None = None


class _AnySpan(msgspec.Struct, gc=False, rename="camel"):
    """What is read of every span."""

    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: Nanoseconds = None
    end_time_unix_nano: Nanoseconds = None
    links: list[_SpanLink] | None = None
    """After reading details: only those that do not stand in for the parent."""
    status: _SpanStatus | None = None


class _Span(_AnySpan, gc=False, rename="camel"):
    attributes: list[_Sketch] | None = None


class _DetailedSpan(_AnySpan, gc=False, rename="camel"):
    trace_state: str | None = None
    attributes: msgspec.Raw = _NOTHING
    events: msgspec.Raw = _NOTHING


_DETAILED_SPAN = msgspec.json.Decoder(_DetailedSpan, strict=False)
_TRACE_ID = msgspec.json.Decoder(_TraceId)
_SKETCHES = msgspec.json.Decoder(list[_Sketch] | None)
_EVENTS = msgspec.json.Decoder(list[_Event] | None, strict=False)
_SPANS = msgspec.json.Decoder(list[_Span], strict=False)

_ID_DIGITS = 16
"""The length of a span id in hex."""
_SPANS_AT_A_TIME = 2_000
"""How many spans are decoded at once: decoded, they take three times the memory of their JSON."""


class _Details(msgspec.Struct, gc=False):
    """A span's details, as JSON until they are asked for."""

    span: _DetailedSpan
    resource_attributes: bytes
    scope: _Scope

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


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the spans of one scope have in common."""

    resource_attributes: bytes
    scope: _Scope
    place: str


Located: TypeAlias = tuple[_Origin, msgspec.Raw]


def split(groups: Iterable[ResourceSpans | None], place: str) -> dict[str, list[Located]]:
    """Group a document's spans by trace; nothing of a span but its trace id is decoded.

    Args:
        groups: The document's `resourceSpans`.
        place: Where it is, for messages.

    Raises:
        DecodeError: If a span names no trace.
    """
    traces: dict[str, list[Located]] = {}
    by_written: dict[bytes, list[Located]] = {}
    for position, group in enumerate(groups):
        for origin, spans in _origins(group or ResourceSpans(), f"resourceSpans[{position}] of {place}"):
            for span in spans:
                # Exporters write the id first, so that the rest of the span need not be decoded twice.
                found = _ID_FIRST.match(span)
                located = by_written.get(found[1]) if found else None
                if located is None:
                    written = found[1].decode("ascii") if found else None
                    located = traces.setdefault(_trace_id(written, span, origin.place), [])
                    if found:
                        by_written[found[1]] = located
                located.append((origin, span))
    return traces


def _origins(group: ResourceSpans, place: str) -> Iterable[tuple[_Origin, list[msgspec.Raw]]]:
    resource = bytes(group.resource.attributes) if group.resource else b"null"
    for scoped in [*(group.scope_spans or ()), *(group.instrumentation_library_spans or ())]:
        scope = scoped.scope or scoped.instrumentation_library or _Scope()
        yield _Origin(resource, scope, place), scoped.spans or []


_ID_FIRST = re.compile(rb'\s*\{\s*"traceId"\s*:\s*"([0-9a-fA-F]{32}|[0-9a-zA-Z+/]{22}==)"')


def _trace_id(written: str | None, span: msgspec.Raw, place: str) -> str:
    text = decode(_TRACE_ID, span, f"cannot read a span in {place}").trace_id if written is None else written
    trace_id = hex_id(text or "")
    if trace_id in VOID_IDS:
        raise DecodeError(f"cannot read a span in {place}: it has no traceId", hint=READABLE)
    return trace_id


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
    coded = CodedTrace(trace_id)
    remaining = iter(spans)
    while some := list(islice(remaining, _SPANS_AT_A_TIME)):
        _add(coded, some, codes, with_details=with_details)
    _normalize(coded)
    if not VOID_IDS.isdisjoint(coded.span_ids):
        place = spans[first_void(coded.span_ids)][0].place
        raise DecodeError(f"cannot read trace {trace_id} in {place}: a span has no spanId", hint=READABLE)
    return coded


def _add(coded: CodedTrace, located: list[Located], codes: Codebook, *, with_details: bool) -> None:
    with _failures_placed(located, coded.trace_id, with_details=with_details):
        spans = _decoded([raw for _, raw in located], with_details=with_details)
        _add_meanings(coded, spans, codes)
    _add_parents(coded, spans)
    coded.span_ids += [span.span_id or "" for span in spans]
    coded.start_ns += [span.start_time_unix_nano or 0 for span in spans]
    coded.duration_ns += [(span.end_time_unix_nano or 0) - (span.start_time_unix_nano or 0) for span in spans]
    names = codes.names
    coded.names += [names[span.name or ""] for span in spans]
    coded.origins += _origin_codes(located, codes)
    if with_details:
        coded.details += _details(located, spans)


def _decoded(spans: list[msgspec.Raw], *, with_details: bool) -> list[_Span] | list[_DetailedSpan]:
    if with_details:
        # One by one: details refer to the bytes they were decoded from, and should not keep a copy of them alive.
        return [_DETAILED_SPAN.decode(span) for span in spans]
    return _SPANS.decode(b"[%b]" % b",".join(spans))


def _details(located: list[Located], spans: list[_Span] | list[_DetailedSpan]) -> list[_Details]:
    return [
        _Details(span, origin.resource_attributes, origin.scope)
        for (origin, _), span in zip(located, spans, strict=True)
        if isinstance(span, _DetailedSpan)
    ]


@contextmanager
def _failures_placed(located: list[Located], trace_id: str, *, with_details: bool) -> Iterator[None]:
    """If decoding fails, decode the spans one by one to say where the first one is that cannot be read."""
    try:
        yield
    except BROKEN:
        for origin, raw in located:
            with failures_told(f"cannot read a span of trace {trace_id} in {origin.place}"):
                for span in _decoded([raw], with_details=with_details):
                    _wanted_texts(_sketches(span))
        raise


def _normalize(coded: CodedTrace) -> None:
    """Convert ids to lower-case hex; nearly all of them are."""
    if not is_plain_hex(coded.span_ids):
        coded.span_ids = [hex_id(span_id) for span_id in coded.span_ids]
    parent_ids = [parent_id for parent_id in coded.parent_ids if parent_id]
    if not is_plain_hex(parent_ids):
        coded.parent_ids = [parent_id and hex_id(parent_id) for parent_id in coded.parent_ids]


def _origin_codes(located: list[Located], codes: Codebook) -> Iterator[int]:
    """Yield the code of what each span ran in; the spans of a scope follow each other."""
    last: _Origin | None = None
    code = 0
    for origin, _ in located:
        if origin is not last:
            last, code = origin, codes.origin(*_service_and_host(origin.resource_attributes))
        yield code


def _add_parents(coded: CodedTrace, spans: list[_Span] | list[_DetailedSpan]) -> None:
    add = coded.parent_ids.append
    for span in spans:
        if not span.links:
            parent_id = span.parent_span_id or None
            # Nearly every span names its parent like this, and has no links. Zeros in base64 take the long way.
            if parent_id is None or (len(parent_id) == _ID_DIGITS and parent_id not in VOID_IDS):
                add(parent_id)
                continue
        coded.add_parents(*_take_parents(span, coded.trace_id))


def _take_parents(span: _Span | _DetailedSpan, trace_id: str) -> tuple[tuple[str, ...], int]:
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
    if not inside or not takes_messages(_wanted_texts(_sketches(span)), span.kind):
        return (parent_id,) if has_parent else (), child_of_count
    if span.links and not has_parent:
        span.links.remove(inside[0])
    linked = [hex_id(link.span_id or "") for link in inside]
    return ((parent_id, *linked), child_of_count) if has_parent else (tuple(linked), 0)


def _follows_from(link: _SpanLink) -> bool:
    """Whether the link stands for a reference of OpenTracing that was FOLLOWS_FROM.

    Jaeger adds it beside the parent where its storage knows references only: Elasticsearch, OpenSearch.
    """
    return read_attributes(link.attributes).get(REFERENCE_TYPE) == FOLLOWS_FROM


def _is_reference(link: _SpanLink, trace_id: str | None = None) -> bool:
    """Whether a link names a span and, if asked, one of this trace."""
    named = hex_id(link.trace_id or "")
    if hex_id(link.span_id or "") in VOID_IDS or named in VOID_IDS:
        return False
    return trace_id is None or normal_id(named) == normal_id(trace_id)


def _add_meanings(coded: CodedTrace, spans: list[_Span] | list[_DetailedSpan], codes: Codebook) -> None:
    add, told = coded.meanings.append, codes.told
    for span in spans:
        attributes, status = _sketches(span), span.status
        key = (_wanted_texts(attributes) if attributes else (), span.kind, status.code if status else None)
        code = told.get(key)
        if code is None:
            code = told[key] = codes.meanings[meaning_of(*key)]
        add(code)


def _sketches(span: _Span | _DetailedSpan) -> list[_Sketch]:
    return (span.attributes if isinstance(span, _Span) else _SKETCHES.decode(span.attributes)) or []


def _wanted_texts(attributes: Iterable[_Sketch]) -> tuple[str, ...]:
    """Select the attributes that become columns, as keys and values (text) in turn. This is the hot path of reading."""
    found: list[str] = []
    add = found.append
    for sketch in attributes:
        key = sketch.key
        if key in TELLING:
            add(key)
            if key not in ABRIDGED:
                add(read_text(bytes(sketch.value)))
            else:
                # There are too many URLs to cache their texts.
                add(abridged(key, read_value(sketch.value)) if key in SHORTENED else "")
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


def _event(event: _Event) -> Event:
    return Event(event.time_unix_nano or 0, event.name or "log", read_attributes(event.attributes))
