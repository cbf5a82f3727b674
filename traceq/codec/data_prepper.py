"""Reads spans as OpenSearch's Data Prepper stores them (`otel-v1-apm-span`).

Source: data-prepper 2.x, `JacksonSpan`, and the index template `otel-v1-apm-span`. Earlier documents have attributes as
keys of the span (`span.attributes.http@method`), later ones as objects.
"""

from __future__ import annotations

from typing import Any

import msgspec

from traceq.codec.damage import Remark
from traceq.codec.fitting import fitted, known_time, read_id
from traceq.codec.mending import SpanDecoder
from traceq.codec.otlp_fields import Told
from traceq.codec.translated import Translated, Translation
from traceq.semantics import AttributeValue
from traceq.traces import Event, Link

_Json = dict[str, Any]


class _Event(msgspec.Struct, gc=False):
    name: str | None = None
    time: str | None = None
    attributes: _Json | None = None


class _Link(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    attributes: _Json | None = None


class _Status(msgspec.Struct, frozen=True, gc=False):
    code: int | str | None = None
    message: str | None = None


class _Scope(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    version: str | None = None


class _Resource(msgspec.Struct, frozen=True, gc=False):
    attributes: _Json | None = None


class _Span(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    name: str | None = None
    kind: str | int | None = None
    start_time: str | int | None = None
    end_time: str | int | None = None
    service_name: str | None = None
    attributes: _Json | None = None
    resource: _Resource | None = None
    status: _Status | None = None
    status_code: int | str | None = msgspec.field(name="status.code", default=None)
    """In earlier documents, as is the message."""
    status_message: str | None = msgspec.field(name="status.message", default=None)
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    instrumentation_scope: _Scope | None = None


def _translate(written: _Json) -> Translated:
    remarks: list[Remark] = []
    span = fitted(written, _Span, remarks)
    scope = span.instrumentation_scope or _Scope()
    status = span.status or _Status(span.status_code, span.status_message)
    resource = _attributes(written, "resource.attributes.", span.resource.attributes if span.resource else None)
    if span.service_name:
        resource.setdefault("service.name", span.service_name)
    return Translated(
        trace_id=read_id(span.trace_id),
        span_id=read_id(span.span_id),
        parent_id=read_id(span.parent_span_id),
        name=span.name or "",
        kind=span.kind,
        start_ns=known_time(span.start_time),
        end_ns=known_time(span.end_time),
        status=status.code,
        own_attributes=_attributes(written, "span.attributes.", span.attributes),
        resource_attributes=resource,
        told=Told(scope.name, scope.version, status.message, span.trace_state),
        own_events=[Event(known_time(e.time), e.name or "log", e.attributes or {}) for e in span.events or ()],
        own_links=[Link(read_id(e.trace_id), read_id(e.span_id), e.attributes or {}) for e in span.links or ()],
        remarks=remarks,
    )


def _attributes(span: _Json, prefix: str, nested: _Json | None) -> dict[str, AttributeValue]:
    flat = {key.removeprefix(prefix): value for key, value in span.items() if key.startswith(prefix)}
    return {key.replace("@", "."): value for key, value in {**flat, **(nested or {})}.items()}


FORMAT = Translation(SpanDecoder(msgspec.json.Decoder(_Json), msgspec.json.Decoder(list[_Json])), _translate).format()
