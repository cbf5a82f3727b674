"""Spans of formats that are read by translation: each span becomes a `Translated`, and these become columns.

This is how formats are read that come in small files: what SDKs print, and what storages keep. All that such a format
needs is a decoder, and a function that translates one span.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from traceq import semantics
from traceq.codec.damage import Remark
from traceq.codec.mending import (
    Mended,
    SpanDecoder,
    Spans,
    id_of,
    repairs,
    unit_of,
    unit_remark,
    unit_told,
    warnings_of,
)
from traceq.codec.otlp_fields import Told, completed, meaning_of, takes_messages
from traceq.codec.parts import LocatedSpan, SpanFormat
from traceq.codec.wire import BROKEN, MAX_NS, VOID_IDS
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, AttributeValue, abridged
from traceq.traces import Event, Link, TraceWarning, normal_id
from traceq.units import NS_PER_US

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
    remarks: list[Remark] = []
    """What was done to fit it into its format."""

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


class Translation(Struct, Generic[_Span], frozen=True):
    """How the spans of a format are read."""

    decoder: SpanDecoder[_Span]
    translate: Callable[[_Span], Translated]
    """Raises `ValueError` or a `msgspec.ValidationError` where a value has no meaning."""

    def format(self) -> SpanFormat:
        """Return the format that is read in this way."""
        return SpanFormat(self._trace_ids, self._read)

    def _trace_ids(self, spans: Sequence[msgspec.Raw]) -> list[str]:
        found = [""] * len(spans)
        read = self.decoder.decode(spans)
        for position, span in zip(read.positions(), read.decoded, strict=True):
            try:
                found[position] = self.translate(span).trace_id
            except _NOT_TRANSLATED:
                continue  # it names no trace, as far as can be seen
        return found

    def _read(self, spans: Sequence[LocatedSpan], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
        raws = [raw for _, raw in spans]
        read = self.decoder.decode(raws)
        if read.mended is None:
            read = Spans(read.decoded, list(map(Mended, range(len(raws)), raws)), len(raws))
        return coded_of(read, self.translate, CodedTrace(trace_id), codes, with_details=with_details)


_NOT_TRANSLATED = (*BROKEN, ValueError, TypeError, OverflowError)


def coded_of(
    spans: Spans[_Span],
    translate: Callable[[_Span], Translated],
    coded: CodedTrace,
    codes: Codebook,
    *,
    with_details: bool,
) -> CodedTrace:
    """Make columns of spans; one that cannot be translated is left out, and told.

    Args:
        spans: Each with what was done to it before.
        translate: Translates one.
        coded: The trace, without spans; it gets these.
        codes: The codes of the table that the trace will be part of.
        with_details: Whether to keep attributes, events and links.
    """
    kept: list[Mended] = []
    found: list[Translated] = []
    for mended, span in zip(spans.mended or (), spans.decoded, strict=True):
        try:
            read = translate(span)
        except _NOT_TRANSLATED:
            continue  # told below, like what is no span
        kept.append(_with_id(read, mended._replace(remarks=(*mended.remarks, *read.remarks))))
        found.append(read)
    coded.repairs += _in_right_unit(found, coded.trace_id)
    coded.repairs += repairs(kept, spans.given, coded.trace_id, [span.span_id for span in found])
    _add(coded, found, codes)
    if with_details:
        coded.details += found
    return coded


def _with_id(span: Translated, mended: Mended) -> Mended:
    """Give a span an id if it has none."""
    if span.span_id not in VOID_IDS:
        return mended
    span.span_id = id_of(bytes(mended.span))
    told = Remark("id-missing", f"it has no id, and is given {span.span_id}")
    return mended._replace(remarks=(*mended.remarks, told))


def _in_right_unit(spans: Sequence[Translated], trace_id: str) -> list[TraceWarning]:
    """Put times right that are in another unit than the format's, and leave out those that fit no table."""
    unit_ns = unit_of([span.start_ns // NS_PER_US for span in spans], NS_PER_US)
    told = [] if unit_ns is None else [unit_told(trace_id, unit_ns, NS_PER_US)]
    for span in spans:
        if unit_ns is not None:
            _count_in(unit_ns, span)
        elif span.start_ns > MAX_NS and unit_of([span.start_ns // NS_PER_US], NS_PER_US) == 1:
            _count_in(1, span)
            told += warnings_of([unit_remark(1, NS_PER_US)], trace_id, span.span_id)
        if not all(0 < event.time_ns <= MAX_NS for event in span.own_events):
            span.own_events = [replace(each, time_ns=_known(each.time_ns)) for each in span.own_events]
            remark = Remark("value-left-out", "an event of it has no time that makes sense")
            told += warnings_of([remark], trace_id, span.span_id)
        for name in ("start_ns", "end_ns"):
            if not -MAX_NS <= getattr(span, name) <= MAX_NS:
                setattr(span, name, 0)
                remark = Remark("value-left-out", f"its {name.removesuffix('_ns')} is after the year 2116")
                told += warnings_of([remark], trace_id, span.span_id)
    return told


def _count_in(unit_ns: int, span: Translated) -> None:
    """Count the times of a span in another unit than microseconds."""
    span.start_ns, span.end_ns = (time_ns * unit_ns // NS_PER_US for time_ns in (span.start_ns, span.end_ns))
    span.own_events = [replace(event, time_ns=event.time_ns * unit_ns // NS_PER_US) for event in span.own_events]


def _known(time_ns: int) -> int:
    return time_ns if 0 <= time_ns <= MAX_NS else 0


def _add(coded: CodedTrace, spans: Sequence[Translated], codes: Codebook) -> None:
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
