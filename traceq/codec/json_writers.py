"""Writes traces as JSON: Jaeger's v1 and OTLP's, both read back here; says what a format cannot hold.

Jaeger's UI opens v1. What it has no place for is written to fields that others ignore: nanoseconds below a microsecond
(`startTimeUnixNano`, `durationNano`, and `timeUnixNano` of a log), and the attributes of links (`tags` of a reference).
Lists and maps become JSON text, as in Jaeger's own conversion, and OTLP's empty value becomes empty text. A root with
links within its trace is marked as a span of OTLP, as Jaeger 1.51 does it, so that these do not read back as its
parent. One thing is lost: of a root that takes messages, such as one that was found to be its own ancestor, the first
of these links does.

OTLP is one document a trace, as collectors write lines of their files.
"""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from traceq import semantics
from traceq.codec.otlp_fields import TAGS, WARNINGS, named
from traceq.codec.wire import collector_paused
from traceq.semantics import Attributes, AttributeValue, Kind, Status, value_text
from traceq.traces import Event, Link, Span, Traces, is_same_trace
from traceq.untrusted import shown_json_bytes

_Json: TypeAlias = dict[str, object]

_EXACT_IN_JAVASCRIPT = 2**53 - 1


def encode_trace(traces: Traces, position: int) -> bytes:
    """Write one trace of a table that was read with details as a v1 trace object, without line ends.

    Raises:
        ValueError: If the table was read without attributes.
    """
    processes = _Processes()
    trace_id = traces.trace_ids[position]
    with collector_paused():
        spans = [_span(traces.span(row), trace_id, processes) for row in traces.rows(position)]
    warnings = [
        warning.message
        for warning in traces.warnings
        if warning.code == "from-source" and warning.trace_id == trace_id and not warning.span_id
    ]
    written = {"traceID": trace_id, "spans": spans, "processes": processes.by_id, "warnings": warnings or None}
    return shown_json_bytes(msgspec.json.encode(written))


class _Processes:
    """Collects the services of a trace with their resources, each written once."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Json] = {}
        self._ids: dict[bytes, str] = {}
        self._met: dict[tuple[str, int], tuple[str, Attributes]] = {}
        """By identity: codecs return one object for all spans of a process. Kept alive, so that ids stay unique."""

    def id_of(self, service: str, resource: Attributes) -> str:
        met = self._met.get((service, id(resource)))
        if met is None:
            met = self._met[service, id(resource)] = (self._new_id(service, resource), resource)
        return met[0]

    def _new_id(self, service: str, resource: Attributes) -> str:
        process: _Json = {"serviceName": service, "tags": _tags(resource)}
        process_id = self._ids.setdefault(msgspec.json.encode(process), f"p{len(self._ids) + 1}")
        self.by_id.setdefault(process_id, process)
        return process_id


def _span(span: Span, trace_id: str, processes: _Processes) -> _Json:
    details = span.details
    parent_id = span.parent_id
    kind = "FOLLOWS_FROM" if span.follows_from else "CHILD_OF"
    references = [] if parent_id is None else [_reference(kind, trace_id, parent_id)]
    references += [_follows(link) for link in details.links()]
    written: _Json = {
        "traceID": trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns // 1000,
        "duration": span.duration_ns // 1000,
        "tags": _tags(_complete(span, trace_id)),
        "logs": [_log(event) for event in details.events()],
        "processID": processes.id_of(span.service, details.resource()),
        "warnings": list(details.warnings()) or None,
    }
    if span.start_ns % 1000 or span.duration_ns % 1000:
        written |= {"startTimeUnixNano": str(span.start_ns), "durationNano": str(span.duration_ns)}
    return written


def _follows(link: Link) -> _Json:
    reference = _reference("FOLLOWS_FROM", link.trace_id, link.span_id)
    return {**reference, "tags": _tags(link.attributes)} if link.attributes else reference


def _reference(kind: str, trace_id: str, span_id: str) -> _Json:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def _is_linked_root(span: Span, trace_id: str) -> bool:
    """Tell a root that is linked to spans of its trace, without a sign that these references were links."""
    if not span.is_root or span.follows_from:
        return False
    is_linked = any(is_same_trace(link.trace_id, trace_id) for link in span.details.links())
    return is_linked and not semantics.is_from_opentelemetry(span.details.attributes(), span.details.resource())


def _complete(span: Span, trace_id: str) -> Attributes:
    """Add kind and status to the attributes, since v1 has no other place for them, unless they say the same already."""
    complete, kind, status = dict(span.details.attributes()), span.kind, span.status
    if kind is not semantics.kind_from_text(semantics.value_text(complete.get("span.kind"))):
        complete["span.kind"] = _KIND_TEXTS[kind]
    if status is not semantics.status_from_attributes(complete):
        complete["otel.status_code"] = status.name
        if status is Status.ERROR and "error" not in complete:
            complete["error"] = True
    if _is_linked_root(span, trace_id):
        complete["internal.span.format"] = "otlp"
    return complete


_KIND_TEXTS = {kind: "" if kind is Kind.UNSPECIFIED else kind.name.lower() for kind in Kind}


def _log(event: Event) -> _Json:
    log: _Json = {
        "timestamp": event.time_ns // 1000,
        "fields": [_tag("event", event.name), *_tags(event.attributes)],
    }
    return {**log, "timeUnixNano": str(event.time_ns)} if event.time_ns % 1000 else log


def _tags(attributes: Attributes) -> list[_Json]:
    return [_tag(key, value) for key, value in attributes.items()]


def _tag(key: str, value: AttributeValue) -> _Json:
    match value:
        case str():
            return {"key": key, "type": "string", "value": value}
        case bool():
            return {"key": key, "type": "bool", "value": value}
        case int():
            # Numbers that JavaScript would round are written as text, as Jaeger does.
            return {"key": key, "type": "int64", "value": value if abs(value) <= _EXACT_IN_JAVASCRIPT else str(value)}
        case float():
            return {"key": key, "type": "float64", "value": value if math.isfinite(value) else str(value)}
        case bytes():
            return {"key": key, "type": "binary", "value": base64.b64encode(value).decode("ascii")}
        case _:
            return {"key": key, "type": "string", "value": semantics.value_text(value)}


_SCOPE_NAME, _SCOPE_VERSION, _MESSAGE, _STATE = TAGS
_INT64 = range(-(2**63), 2**63)


def encode_otlp_trace(traces: Traces, position: int) -> bytes:
    """Write one trace of a table that was read with details as OTLP JSON, without line ends.

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
            scope, written = _otlp_span(span, trace_id)
            scopes.setdefault(scope, []).append(written)
    written = {"resourceSpans": [_group(resource, scopes) for resource, scopes in groups.values()]}
    return shown_json_bytes(msgspec.json.encode(written))


def _group(resource: _Json, scopes: dict[tuple[str, str], list[_Json]]) -> _Json:
    scoped = [
        {"scope": {key: text for key, text in (("name", name), ("version", version)) if text}, "spans": spans}
        for (name, version), spans in scopes.items()
    ]
    return {"resource": resource, "scopeSpans": scoped}


def _otlp_span(span: Span, trace_id: str) -> tuple[tuple[str, str], _Json]:
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


MOST_LEVELS = 100
"""Attributes that are nested deeper are written as JSON text."""


def is_too_deep(value: AttributeValue) -> bool:
    """Whether lists and maps are nested deeper than `MOST_LEVELS`."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        if not any(isinstance(each, (list, dict)) for each in level):
            return False
        level = [
            inner
            for each in level
            if isinstance(each, (list, dict))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return True


_Target: TypeAlias = Literal["parquet", "otap", "jaeger", "otlp"]


def lost(traces: Traces, target: _Target) -> Counter[str]:
    """Count what is lost of a table that was read with details, by what becomes of it; nothing in traceq's Parquet."""
    found: Counter[str] = Counter()
    if target != "jaeger":
        told = f"attributes that are nested deeper than {MOST_LEVELS} levels become JSON text"
        found[told] = sum(map(is_too_deep, _values(traces)))
    if target == "jaeger":
        found["attributes that are lists or maps become JSON text"] = _nested(traces)
    elif target in ("otlp", "otap"):
        found["traces without spans are left out"] = sum(not traces.rows(at) for at in range(len(traces)))
        found["parents named by FOLLOWS_FROM become parents like others"] = len(traces.follows_from)
        found["warnings about whole traces are left out"] = sum(
            warning.code == "from-source" and not warning.span_id for warning in traces.warnings
        )
    if target == "otap":
        found["attributes with bytes, or numbers that are not finite, become text"] = _not_json(traces)
    return +found


def _nested(traces: Traces) -> int:
    return sum(isinstance(value, list | dict) for value in _values(traces))


def _not_json(traces: Traces) -> int:
    return sum(_is_not_json(value) for value in _values(traces) if not is_too_deep(value))


def _is_not_json(value: AttributeValue) -> bool:
    if isinstance(value, list | dict):
        return any(map(_is_not_json, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bytes) or (isinstance(value, float) and not math.isfinite(value))


def _values(traces: Traces) -> Iterator[AttributeValue]:
    for details in traces.details or ():
        yield from details.attributes().values()
