"""Reads span stubs of OpenTelemetry's Go SDK: what `stdouttrace` prints, and BuildKit keeps.

Source: opentelemetry-go, sdk/trace/tracetest `SpanStub`, exporters/stdout/stdouttrace.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

from traceq.codec.foreign_values import known_time, read_id
from traceq.codec.otlp_terms import Told
from traceq.codec.spans import SpanDecoder
from traceq.codec.translated import Translated, Translation
from traceq.semantics import AttributeValue
from traceq.traces import Event, Link


class _Context(msgspec.Struct, frozen=True, gc=False):
    trace_id: str | None = msgspec.field(name="TraceID", default=None)
    span_id: str | None = msgspec.field(name="SpanID", default=None)
    state: str | None = msgspec.field(name="TraceState", default=None)


class _Value(msgspec.Struct, gc=False, rename="pascal"):
    type: str | None = None
    value: Any = None


class _Attribute(msgspec.Struct, gc=False, rename="pascal"):
    key: str
    value: _Value | None = None


class _Event(msgspec.Struct, gc=False, rename="pascal"):
    name: str | None = None
    attributes: list[_Attribute] | None = None
    time: str | int | None = None


class _Link(msgspec.Struct, gc=False, rename="pascal"):
    span_context: _Context = _Context()
    attributes: list[_Attribute] | None = None


class _Status(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    code: str | int | None = None
    description: str | None = None


class _Scope(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    name: str | None = None
    version: str | None = None


class _Stub(msgspec.Struct, gc=False, rename="pascal"):
    span_context: _Context
    parent: _Context | None = None
    name: str | None = None
    span_kind: int | None = None
    """With OTLP's numbers."""
    start_time: str | int | None = None
    end_time: str | int | None = None
    attributes: list[_Attribute] | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    status: _Status = _Status()
    resource: list[_Attribute] | None = None
    instrumentation_scope: _Scope | None = None
    instrumentation_library: _Scope | None = None
    """The name before 2022."""


_DECODER = SpanDecoder(msgspec.json.Decoder(_Stub), msgspec.json.Decoder(list[_Stub]))


def _translate(stub: _Stub) -> Translated:
    scope = stub.instrumentation_scope or stub.instrumentation_library or _Scope()
    return Translated(
        trace_id=read_id(stub.span_context.trace_id),
        span_id=read_id(stub.span_context.span_id),
        parent_id=read_id(stub.parent.span_id) if stub.parent else "",
        name=stub.name or "",
        kind=stub.span_kind,
        start_ns=known_time(stub.start_time),
        end_ns=known_time(stub.end_time),
        status=_STATUSES.get(stub.status.code, stub.status.code),
        own_attributes=_attributes(stub.attributes),
        resource_attributes=_attributes(stub.resource),
        told=Told(scope.name, scope.version, stub.status.description, stub.span_context.state),
        own_events=[
            Event(known_time(each.time), each.name or "log", _attributes(each.attributes)) for each in stub.events or ()
        ],
        own_links=[
            Link(read_id(each.span_context.trace_id), read_id(each.span_context.span_id), _attributes(each.attributes))
            for each in stub.links or ()
        ],
    )


_STATUSES: dict[str | int | None, str | int] = {"Unset": "UNSET", "Error": "ERROR", "Ok": "OK", 1: "ERROR", 2: "OK"}
"""Go's numbers are not OTLP's."""


def _attributes(attributes: Iterable[_Attribute] | None) -> dict[str, AttributeValue]:
    return {each.key: _value(each.value or _Value()) for each in attributes or ()}


def _value(value: _Value) -> AttributeValue:
    """Read a value by its type: Go writes whole fractions without a point, and bytes as base64."""
    written: AttributeValue = value.value
    match value.type:
        case "FLOAT64" if isinstance(written, int) and not isinstance(written, bool):
            return float(written)
        case "BYTESLICE" | "BYTES" if isinstance(written, str):
            return base64.b64decode(written)
        case _:
            return written


FORMAT = Translation(_DECODER, _translate).format()
