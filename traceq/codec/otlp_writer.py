"""Writes traces as OTLP JSON, one document a trace, as collectors write lines of their files.

What Jaeger's conversion makes attributes of (scope, status message, trace state) goes back to where OTLP has it. OTLP
has no place for a trace without spans, for a server's warning about a whole trace, and for the reference FOLLOWS_FROM
to a parent.
"""

from __future__ import annotations

import base64
import math
from typing import TypeAlias

import msgspec

from traceq.codec.nesting import is_too_deep
from traceq.codec.otlp_terms import TAGS, WARNINGS, named
from traceq.codec.wire import collector_paused
from traceq.semantics import Attributes, AttributeValue, value_text
from traceq.traces import Event, Link, Span, Traces
from traceq.untrusted import shown_json_bytes

_Json: TypeAlias = dict[str, object]
_SCOPE_NAME, _SCOPE_VERSION, _MESSAGE, _STATE = TAGS
_INT64 = range(-(2**63), 2**63)


def encode_trace(traces: Traces, position: int) -> bytes:
    """Write one trace of a table that was read with details, without line ends.

    Raises:
        ValueError: If the table was read without attributes.
    """
    groups: dict[bytes, tuple[_Json, dict[tuple[str, str], list[_Json]]]] = {}
    trace_id = traces.trace_ids[position]
    with collector_paused():
        for row in traces.rows(position):
            span = traces.span(row)
            resource: _Json = {"attributes": _attributes(named(span.service, span.details.resource()))}
            _, scopes = groups.setdefault(msgspec.json.encode(resource), (resource, {}))
            scope, written = _span(span, trace_id)
            scopes.setdefault(scope, []).append(written)
    written = {"resourceSpans": [_group(resource, scopes) for resource, scopes in groups.values()]}
    return shown_json_bytes(msgspec.json.encode(written))


def _group(resource: _Json, scopes: dict[tuple[str, str], list[_Json]]) -> _Json:
    scoped = [
        {"scope": {key: text for key, text in (("name", name), ("version", version)) if text}, "spans": spans}
        for (name, version), spans in scopes.items()
    ]
    return {"resource": resource, "scopeSpans": scoped}


def _span(span: Span, trace_id: str) -> tuple[tuple[str, str], _Json]:
    details = span.details
    attributes = dict(details.attributes())
    name, version, message, state = (_taken(attributes, key) for key in TAGS)
    if details.warnings():
        attributes[WARNINGS] = list(details.warnings())
    written: _Json = {
        "traceId": trace_id.rjust(32, "0"),
        "spanId": span.span_id.rjust(16, "0"),
        "parentSpanId": (span.parent_id or "").rjust(16, "0") if span.parent_id else "",
        "traceState": state,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.start_ns + span.duration_ns),
        "attributes": _attributes(attributes),
        "events": [_event(event) for event in details.events()],
        "links": [_link(link) for link in details.links()],
        "status": {"code": int(span.status), "message": message},
    }
    return (name, version), written


def _taken(attributes: dict[str, AttributeValue], key: str) -> str:
    """Take an attribute out that has another place in OTLP; one that is no text stays."""
    value = attributes.get(key)
    if not isinstance(value, str):
        return ""
    del attributes[key]
    return value


def _event(event: Event) -> _Json:
    return {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _attributes(event.attributes)}


def _link(link: Link) -> _Json:
    ids = {"traceId": link.trace_id.rjust(32, "0"), "spanId": link.span_id.rjust(16, "0")}
    return {**ids, "attributes": _attributes(link.attributes)}


def _attributes(attributes: Attributes) -> list[_Json]:
    return [
        {"key": key, "value": _value(value_text(value) if is_too_deep(value) else value)}
        for key, value in attributes.items()
    ]


def _value(value: AttributeValue) -> _Json:
    match value:
        case None:
            return {}
        case str():
            return {"stringValue": value}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)} if value in _INT64 else {"stringValue": value_text(value)}
        case float():
            return {"doubleValue": value if math.isfinite(value) else _NOT_FINITE[str(value)]}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode("ascii")}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case _:
            return {"kvlistValue": {"values": _attributes(value)}}


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
