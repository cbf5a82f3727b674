"""Reads what console exporters of OpenTelemetry's SDKs print, and what Phoenix, BuildKit and others make of the same.

Source: opentelemetry-python, `ReadableSpan.to_json`; opentelemetry-js, `ConsoleSpanExporter`, whose objects become JSON
in `console_log`; opentelemetry-go, `stdouttrace` and its `tracetest.SpanStub`; arize-phoenix, its REST API and
`get_spans_dataframe`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from traceq.codec.damage import Remark
from traceq.codec.fitting import fitted, known_time, read_id, scaled
from traceq.codec.mending import SpanDecoder
from traceq.codec.otlp_fields import Told, of_scope
from traceq.codec.translated import Translated, Translation
from traceq.semantics import AttributeValue
from traceq.traces import Event, Link
from traceq.units import NS_PER_US

_Time = str | int | float | None
_Object = dict[str, Any]


class _Context(msgspec.Struct, frozen=True, gc=False):
    """Names a span; Python and JS write the same keys in two ways."""

    trace_id: str | None = None
    span_id: str | None = None
    js_trace_id: str | None = msgspec.field(name="traceId", default=None)
    js_span_id: str | None = msgspec.field(name="spanId", default=None)
    trace_state: str | None = None
    """Python's text of a list: `['{key=a, value=1}']`."""

    @property
    def trace(self) -> str:
        """The id of the trace."""
        return read_id(self.trace_id or self.js_trace_id)

    @property
    def span(self) -> str:
        """The id of the span."""
        return read_id(self.span_id or self.js_span_id)


class _Event(msgspec.Struct, gc=False):
    name: str | None = None
    timestamp: _Time = None
    time: list[int] | _Time = None
    """JS: seconds and nanoseconds."""
    attributes: _Object | None = None

    def read(self) -> Event:
        """Convert to an event."""
        told = self.time
        time_ns = told[0] * 10**9 + told[1] if isinstance(told, list) and len(told) == 2 else None
        if time_ns is None:
            time_ns = known_time(self.timestamp if isinstance(told, list) else told or self.timestamp)
        # In tables every event has the attributes of all, most of them null.
        told_attributes = {key: value for key, value in (self.attributes or {}).items() if value is not None}
        return Event(time_ns, self.name or "log", told_attributes)


class _Link(msgspec.Struct, gc=False):
    context: _Context = _Context()
    attributes: _Object | None = None

    def read(self) -> Link:
        """Convert to a link."""
        return Link(self.context.trace, self.context.span, self.attributes or {})


class _Status(msgspec.Struct, frozen=True, gc=False):
    status_code: str | int | None = None
    description: str | None = None
    code: int | str | None = None
    message: str | None = None


class _Scope(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    version: str | None = None


class _AnySpan(msgspec.Struct, gc=False):
    """What both have."""

    name: str | None = None
    kind: int | str | None = None
    attributes: _Object | None = None
    events: list[_Event] | None = None
    links: list[_Link] | None = None
    resource: _Object | str | None = None
    instrumentation_scope: _Scope | None = None
    js_scope: _Scope | None = msgspec.field(name="instrumentationScope", default=None)
    library: _Scope | None = msgspec.field(name="instrumentationLibrary", default=None)


class _PythonSpan(_AnySpan, gc=False):
    context: _Context = _Context()
    trace_id: str | None = None
    """In files of those who write their own exporter: beside the span's id instead of in `context`."""
    span_id: str | None = None
    parent_id: str | None = None
    start_time: _Time = None
    end_time: _Time = None
    status: _Status | str | None = None
    status_code: str | None = None
    """Phoenix."""
    status_message: str | None = None
    span_kind: str | None = None
    """Phoenix: what OpenInference calls the kind, a chain or a tool."""


class _JsSpan(_AnySpan, gc=False):
    trace_id: str | None = msgspec.field(name="traceId", default=None)
    id: str | None = None
    parent_id: str | None = msgspec.field(name="parentId", default=None)
    parent_context: _Context | None = msgspec.field(name="parentSpanContext", default=None)
    trace_state: Any = msgspec.field(name="traceState", default=None)
    timestamp: float | int | None = None
    """Microseconds, as is the duration."""
    duration: float | int | None = None
    status: _Status = _Status()


def _python_span(span: _PythonSpan) -> Translated:
    status = span.status if isinstance(span.status, _Status) else _Status(span.status)
    attributes = dict(span.attributes or {})
    if span.span_kind:
        attributes.setdefault("openinference.span.kind", span.span_kind)
    return _translated(
        span,
        trace_id=span.context.trace or read_id(span.trace_id),
        span_id=span.context.span or read_id(span.span_id),
        parent_id=read_id(span.parent_id),
        kind=span.kind.rpartition(".")[2] if isinstance(span.kind, str) else span.kind,
        start_ns=known_time(span.start_time),
        end_ns=known_time(span.end_time),
        status=_code(status.status_code or span.status_code),
        own_attributes=attributes,
        message=status.description or span.status_message,
        trace_state=",".join(f"{key}={value}" for key, value in _ENTRY.findall(span.context.trace_state or "")),
    )


_ENTRY = re.compile(r"\{key=(.*?), value=(.*?)\}")


def _code(written: str | int | None) -> str | int | None:
    return written.rpartition(".")[2] if isinstance(written, str) else written


def _js_span(span: _JsSpan) -> Translated:
    start_ns = scaled(span.timestamp or 0, NS_PER_US)
    return _translated(
        span,
        trace_id=read_id(span.trace_id),
        span_id=read_id(span.id),
        parent_id=span.parent_context.span if span.parent_context else read_id(span.parent_id),
        # In JS, kinds are counted from INTERNAL.
        kind=span.kind + 1 if isinstance(span.kind, int) else span.kind,
        start_ns=start_ns,
        end_ns=start_ns + scaled(span.duration or 0, NS_PER_US),
        status={1: "OK", 2: "ERROR"}.get(span.status.code) if isinstance(span.status.code, int) else span.status.code,
        own_attributes=span.attributes or {},
        message=span.status.message,
        trace_state=span.trace_state if isinstance(span.trace_state, str) else None,
    )


def _translated(span: _AnySpan, *, message: str | None, trace_state: str | None = None, **columns: Any) -> Translated:
    scope = span.instrumentation_scope or span.js_scope or span.library or _Scope()
    return Translated(
        name=span.name or "",
        resource_attributes=_resource(span.resource),
        told=Told(scope.name, scope.version, message, trace_state),
        own_events=[event.read() for event in span.events or ()],
        own_links=[link.read() for link in span.links or ()],
        **columns,
    )


def _resource(written: _Object | str | None) -> dict[str, AttributeValue]:
    """Read a resource; early SDKs had no object around its attributes."""
    if not isinstance(written, dict):
        return {}
    inner = written.get("attributes")
    return inner if isinstance(inner, dict) else written


def phoenix_row(row: _Object) -> Translated:
    """Read a row of `get_spans_dataframe`, in which keys are paths: `context.trace_id`, `attributes.llm.model_name`."""
    nested: _Object = {"context": {}, "attributes": {}}
    for key, value in row.items():
        group, _, rest = key.partition(".")
        if rest and group in nested and value is not None:
            nested[group][rest] = value
        elif not rest:
            nested.setdefault(key, value)
    remarks: list[Remark] = []
    read = _python_span(fitted(nested, _PythonSpan, remarks))
    read.remarks = remarks
    return read


PHOENIX = Translation(
    SpanDecoder(msgspec.json.Decoder(_Object), msgspec.json.Decoder(list[_Object])), phoenix_row
).format()
PYTHON = Translation(
    SpanDecoder(msgspec.json.Decoder(_PythonSpan), msgspec.json.Decoder(list[_PythonSpan])), _python_span
).format()
JS = Translation(SpanDecoder(msgspec.json.Decoder(_JsSpan), msgspec.json.Decoder(list[_JsSpan])), _js_span).format()


class _StubContext(msgspec.Struct, frozen=True, gc=False):
    trace_id: str | None = msgspec.field(name="TraceID", default=None)
    span_id: str | None = msgspec.field(name="SpanID", default=None)
    state: str | None = msgspec.field(name="TraceState", default=None)


class _Value(msgspec.Struct, gc=False, rename="pascal"):
    type: str | None = None
    value: Any = None


class _Attribute(msgspec.Struct, gc=False, rename="pascal"):
    key: str
    value: _Value | None = None


class _StubEvent(msgspec.Struct, gc=False, rename="pascal"):
    name: str | None = None
    attributes: list[_Attribute] | None = None
    time: str | int | None = None


class _StubLink(msgspec.Struct, gc=False, rename="pascal"):
    span_context: _StubContext = _StubContext()
    attributes: list[_Attribute] | None = None


class _StubStatus(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    code: str | int | None = None
    description: str | None = None


class _StubScope(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    name: str | None = None
    version: str | None = None
    attributes: list[_Attribute] | None = None


class _Stub(msgspec.Struct, gc=False, rename="pascal"):
    span_context: _StubContext
    parent: _StubContext | None = None
    name: str | None = None
    span_kind: int | None = None
    """With OTLP's numbers."""
    start_time: str | int | None = None
    end_time: str | int | None = None
    attributes: list[_Attribute] | None = None
    events: list[_StubEvent] | None = None
    links: list[_StubLink] | None = None
    status: _StubStatus | None = None
    resource: list[_Attribute] | None = None
    instrumentation_scope: _StubScope | None = None
    instrumentation_library: _StubScope | None = None
    """The name before 2022."""
    parent_span_id: str | None = msgspec.field(name="ParentSpanID", default=None)
    """This and what follows were the names before Go's SDK was 1.0 (2021)."""
    message_events: list[_StubEvent] | None = None
    status_code: str | int | None = None
    status_message: str | None = None


def _go_span(stub: _Stub) -> Translated:
    scope = stub.instrumentation_scope or stub.instrumentation_library or _StubScope()
    status = stub.status or _StubStatus(stub.status_code, stub.status_message)
    return Translated(
        trace_id=read_id(stub.span_context.trace_id),
        span_id=read_id(stub.span_context.span_id),
        parent_id=read_id(stub.parent.span_id if stub.parent else stub.parent_span_id),
        name=stub.name or "",
        kind=stub.span_kind,
        start_ns=known_time(stub.start_time),
        end_ns=known_time(stub.end_time),
        status=_STATUSES.get(status.code, status.code),
        own_attributes=of_scope(_attributes(scope.attributes)) | _attributes(stub.attributes),
        resource_attributes=_attributes(stub.resource),
        told=Told(scope.name, scope.version, status.description, stub.span_context.state),
        own_events=[
            Event(known_time(each.time), each.name or "log", _attributes(each.attributes))
            for each in stub.events or stub.message_events or ()
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


GO = Translation(SpanDecoder(msgspec.json.Decoder(_Stub), msgspec.json.Decoder(list[_Stub])), _go_span).format()
