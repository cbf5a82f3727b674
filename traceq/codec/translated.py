"""Spans of formats that are read by translation: each span becomes a `Translated`, and these become columns.

This is how formats are read that come in small files: what SDKs print, and what storages keep. All that such a format
needs is a decoder, and a function that translates one span.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from traceq import semantics
from traceq.codec.otlp_terms import Told, completed, meaning_of, takes_messages
from traceq.codec.parts import LocatedSpan, SpanFormat
from traceq.codec.spans import SpanDecoder, check_ids
from traceq.codec.wire import MAX_NS, VOID_IDS, failures_told
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, AttributeValue, abridged
from traceq.traces import Event, Link, normal_id

_SERVICE = "service.name"


class Translated(msgspec.Struct, gc=False):
    """A span in OpenTelemetry's terms; it serves as its own `SpanDetails`."""

    trace_id: str
    span_id: str
    parent_id: str = ""
    name: str = ""
    kind: int | str | None = None
    """OTLP's number, or its name."""
    start_ns: int = 0
    end_ns: int = 0
    status: int | str | None = None
    own_attributes: dict[str, AttributeValue] = {}
    resource_attributes: dict[str, AttributeValue] = {}
    told: Told = Told(None, None, None, None)
    own_events: list[Event] = []
    own_links: list[Link] = []
    """After reading: without the one that stands in for the parent."""

    def attributes(self) -> Attributes:
        """Return the span's attributes, and whatever else Jaeger's conversion turns into tags."""
        return completed(self.told, {}, self.own_attributes)

    def resource(self) -> Attributes:
        """Return the resource's attributes, `service.name` left out."""
        return {key: value for key, value in self.resource_attributes.items() if key != _SERVICE}

    def events(self) -> tuple[Event, ...]:
        """Return the events, earliest first."""
        return tuple(sorted(self.own_events, key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Return the links other than the one that stands in for the parent."""
        return tuple(self.own_links)

    def warnings(self) -> tuple[str, ...]:
        """Return none."""
        return ()


_Span = TypeVar("_Span")


@dataclass(frozen=True, slots=True)
class Translation(Generic[_Span]):
    """How the spans of a format are read."""

    decoder: SpanDecoder[_Span]
    translate: Callable[[_Span], Translated]
    """Raises `ValueError` or a `msgspec.ValidationError` where a value has no meaning."""

    def format(self) -> SpanFormat:
        """Return the format that is read in this way."""
        return SpanFormat(self._trace_ids, self._read)

    def _trace_ids(self, spans: Sequence[msgspec.Raw]) -> list[str]:
        decoded = self.decoder.many.decode(b"[%b]" % b",".join(spans))
        return [checked(self.translate, span).trace_id for span in decoded]

    def _read(self, spans: Sequence[LocatedSpan], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
        decoded = self.decoder.decode(spans, trace_id)
        found: list[Translated] = []
        for (place, _), span in zip(spans, decoded, strict=True):
            with failures_told(f"cannot read a span of trace {trace_id} in {place}"):
                found.append(checked(self.translate, span))
        return coded_of(found, trace_id, spans[0][0], codes, with_details=with_details)


def checked(translate: Callable[[_Span], Translated], span: _Span) -> Translated:
    """Translate a span, and check its times.

    Raises:
        msgspec.ValidationError: If it cannot be translated.
    """
    try:
        read = translate(span)
    except (ValueError, TypeError) as error:
        raise msgspec.ValidationError(str(error)) from error
    if not -MAX_NS <= read.start_ns <= MAX_NS or not -MAX_NS <= read.end_ns <= MAX_NS:
        raise msgspec.ValidationError("a time after the year 2116")
    return read


def coded_of(spans: list[Translated], trace_id: str, place: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    """Make columns of translated spans.

    Raises:
        DecodeError: If one of them has no id.
    """
    coded = _coded(spans, trace_id, codes)
    if with_details:
        coded.details += spans
    check_ids(coded, place)
    return coded


def _coded(spans: Sequence[Translated], trace_id: str, codes: Codebook) -> CodedTrace:
    coded = CodedTrace(trace_id)
    for span in spans:
        texts = _wanted_texts(span.own_attributes)
        coded.add_parents(*_take_parents(span, texts))
        coded.span_ids.append(span.span_id)
        coded.start_ns.append(span.start_ns)
        coded.duration_ns.append(span.end_ns - span.start_ns)
        coded.names.append(codes.names[span.name])
        service = semantics.value_text(span.resource_attributes.get(_SERVICE))
        coded.origins.append(codes.origin(service, semantics.host(span.resource_attributes)))
        coded.meanings.append(codes.meanings[meaning_of(texts, span.kind, span.status)])
    return coded


def _take_parents(span: Translated, texts: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """Return the candidates for the parent, as `otlp` does: links of what takes messages may stand in for it."""
    has_parent = span.parent_id not in VOID_IDS
    inside = [link for link in span.own_links if normal_id(link.trace_id) == normal_id(span.trace_id)]
    if not inside or not takes_messages(texts, span.kind):
        return (span.parent_id,) if has_parent else (), 1
    linked = tuple(link.span_id for link in inside)
    if has_parent:
        return (span.parent_id, *linked), 1
    span.own_links.remove(inside[0])
    return linked, 0


def _wanted_texts(attributes: Attributes) -> tuple[str, ...]:
    found: list[str] = []
    for key, value in attributes.items():
        if key in ABRIDGED:
            found += (key, abridged(key, value) if key in SHORTENED else "")
        elif key in TELLING:
            found += (key, semantics.value_text(value))
    return tuple(found)
