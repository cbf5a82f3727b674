"""Reads spans as storages keep them and as Jaeger sends them.

- Documents of Elasticsearch and OpenSearch: Jaeger 1.51 to 2.20, `internal/storage/elasticsearch/dbmodel`. A span has
  its process, and with `--es.tags-as-fields` its tags are an object, with `@` in place of the dots in their names.
- Protobuf messages as JSON, as `api_v2` and Kafka have them: jaeger-idl, model.proto, and protobuf's JSON mapping. Ids
  are base64, times RFC 3339, durations `1.5s`.
- The same as Go's own JSON writes them, of Jaeger's `model` and of the collector's test data: keys in snake_case,
  durations in nanoseconds, types as numbers.
- Documents of OpenSearch's Data Prepper (`otel-v1-apm-span`): data-prepper 2.x, `JacksonSpan`, and the index template.
  Earlier ones have attributes as keys of the span (`span.attributes.http@method`), later ones as objects.

All but the last are converted to v1 JSON.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from traceq.codec import jaeger
from traceq.codec.damage import Remark
from traceq.codec.fitting import fitted, known_time, read_id, read_time
from traceq.codec.mending import SpanDecoder, repairs
from traceq.codec.otlp_fields import WARNINGS, Told
from traceq.codec.parts import LocatedSpan, SpanFormat
from traceq.codec.translated import Translated, Translation
from traceq.records import Codebook, CodedTrace
from traceq.semantics import AttributeValue, value_text
from traceq.traces import Event, Link
from traceq.units import parse_duration

_Json = dict[str, Any]
_Span = TypeVar("_Span", bound="_Document | _Message")


class _Process(msgspec.Struct, frozen=True, gc=False):
    service: str | None = msgspec.field(name="serviceName", default=None)
    tags: list[_Json] | None = None
    tag: _Json | None = None


class _Document(msgspec.Struct, gc=False):
    """A span as Elasticsearch keeps it; what is not listed is as in v1 JSON."""

    trace_id: str | None = msgspec.field(name="traceID", default=None)
    span_id: Any = msgspec.field(name="spanID", default=None)
    parent_id: Any = msgspec.field(name="parentSpanID", default=None)
    name: Any = msgspec.field(name="operationName", default=None)
    references: Any = None
    start: Any = msgspec.field(name="startTime", default=None)
    duration: Any = None
    tags: list[_Json] | None = None
    tag: _Json | None = None
    logs: Any = None
    process: _Process | None = None
    warnings: Any = None

    @property
    def trace(self) -> str:
        """The id of the trace."""
        return (self.trace_id or "").lower()

    def as_v1(self) -> _Json:
        """Convert to a span in v1 JSON."""
        process = self.process or _Process()
        tags = [*_in_base64(self.tags), *_tags(self.tag)]
        told = [each for tag in tags if tag.get("key") == WARNINGS for each in _texts(tag.get("value"))]
        return {
            "traceID": self.trace,
            "spanID": self.span_id or "",
            "parentSpanID": self.parent_id,
            "operationName": self.name,
            "references": self.references,
            "startTime": self.start,
            "duration": self.duration,
            "tags": [tag for tag in tags if tag.get("key") != WARNINGS] if told else tags,
            "logs": _logs(self.logs),
            "process": {"serviceName": process.service, "tags": [*_in_base64(process.tags), *_tags(process.tag)]},
            "warnings": [*(self.warnings or ()), *told] if told else self.warnings,
        }


def _texts(written: Any) -> list[str]:
    """Read a list of texts, which documents have as JSON text."""
    try:
        return _TEXTS.decode(written)
    except (msgspec.MsgspecError, TypeError):
        return [value_text(written)]


_TEXTS = msgspec.json.Decoder(list[str])


def _tags(fields: _Json | None) -> list[_Json]:
    return [
        {
            "key": key if key == WARNINGS else key.replace("@", "."),
            "type": _TYPES.get(type(value), "string"),
            "value": value,
        }
        for key, value in (fields or {}).items()
    ]


_TYPES = {bool: "bool", int: "int64", float: "float64"}


def _logs(logs: Any) -> Any:
    if not isinstance(logs, list) or not all(isinstance(log, dict) and _is_tags(log.get("fields")) for log in logs):
        return logs
    return [{**log, "fields": _in_base64(log.get("fields"))} for log in logs]


def _is_tags(fields: object) -> bool:
    return fields is None or (isinstance(fields, list) and all(isinstance(field, dict) for field in fields))


def _in_base64(tags: list[_Json] | None) -> list[_Json]:
    """Give bytes in base64, as v1 JSON has them; documents have them in hex, the long ones cut."""
    return [
        {**tag, "value": base64.b64encode(bytes.fromhex(tag["value"])).decode()}
        if tag.get("type") == "binary" and _HEX.fullmatch(str(tag.get("value")))
        else tag
        for tag in tags or ()
    ]


_HEX = re.compile(r"(?:[0-9a-f]{2})*")


class _KeyValue(msgspec.Struct, gc=False):
    """A tag; protobuf's JSON leaves out what is empty, false or 0."""

    key: str
    type: str | int = msgspec.field(name="vType", default="STRING")
    text: str = msgspec.field(name="vStr", default="")
    truth: bool = msgspec.field(name="vBool", default=False)
    whole: int | str = msgspec.field(name="vInt64", default=0)
    fraction: float | str = msgspec.field(name="vFloat64", default=0.0)
    binary: str = msgspec.field(name="vBinary", default="")

    def as_v1(self) -> _Json:
        """Convert to a tag in v1 JSON."""
        known: dict[str | int, tuple[str, Any]] = {
            "STRING": ("string", self.text),
            "BOOL": ("bool", self.truth),
            "INT64": ("int64", self.whole),
            "FLOAT64": ("float64", self.fraction),
            "BINARY": ("binary", self.binary),
        }
        name = list(known)[self.type] if isinstance(self.type, int) and 0 <= self.type < len(known) else self.type
        kind, value = known.get(name, ("string", self.text))
        return {"key": self.key, "type": kind, "value": value}


class _Reference(msgspec.Struct, gc=False):
    trace_id: str | None = msgspec.field(name="traceId", default=None)
    span_id: str | None = msgspec.field(name="spanId", default=None)
    type: str | int | None = msgspec.field(name="refType", default=None)


class _Log(msgspec.Struct, gc=False):
    timestamp: str | None = None
    fields: list[_KeyValue] | None = None


class _MessageProcess(msgspec.Struct, frozen=True, gc=False):
    service: str | None = msgspec.field(name="serviceName", default=None)
    tags: list[_KeyValue] | None = None


class _Message(msgspec.Struct, gc=False):
    """A span as a protobuf message in JSON."""

    trace_id: str | None = msgspec.field(name="traceId", default=None)
    span_id: str | None = msgspec.field(name="spanId", default=None)
    name: str | None = msgspec.field(name="operationName", default=None)
    references: list[_Reference] | None = None
    start: str | None = msgspec.field(name="startTime", default=None)
    duration: str | int | None = None
    tags: list[_KeyValue] | None = None
    logs: list[_Log] | None = None
    process: _MessageProcess | None = None
    warnings: list[str] | None = None

    @property
    def trace(self) -> str:
        """The id of the trace."""
        return read_id(self.trace_id)

    def as_v1(self) -> _Json:
        """Convert to a span in v1 JSON, with the nanoseconds that `jaeger` reads first."""
        process = self.process or _MessageProcess()
        return {
            "traceID": self.trace,
            "spanID": read_id(self.span_id),
            "operationName": self.name,
            "references": [_reference(each) for each in self.references or ()],
            "startTimeUnixNano": _or_text(read_time, self.start),
            "durationNano": self.duration
            if isinstance(self.duration, int)
            else _or_text(_duration_ns, self.duration or "0s"),
            "tags": [tag.as_v1() for tag in self.tags or ()],
            "logs": [
                {
                    "timeUnixNano": _or_text(read_time, log.timestamp),
                    "fields": [field.as_v1() for field in log.fields or ()],
                }
                for log in self.logs or ()
            ],
            "process": {"serviceName": process.service, "tags": [tag.as_v1() for tag in process.tags or ()]},
            "warnings": self.warnings,
        }


def _reference(reference: _Reference) -> _Json:
    kind = "FOLLOWS_FROM" if reference.type in ("FOLLOWS_FROM", 1) else "CHILD_OF"
    return {"refType": kind, "traceID": read_id(reference.trace_id), "spanID": read_id(reference.span_id)}


_SECONDS = re.compile(r"(-?)(\d+)(?:\.(\d{1,9}))?s")


def _duration_ns(written: str) -> int:
    """Read a duration as protobuf writes it, or as Go does (`22938000ns`).

    Raises:
        ValueError: If it is neither.
    """
    found = _SECONDS.fullmatch(written)
    if found is None:
        return parse_duration(written)
    duration_ns = int(found[2]) * 10**9 + int((found[3] or "").ljust(9, "0"))
    return -duration_ns if found[1] else duration_ns


def _or_text(read: Callable[[str], int], written: str | None) -> int | str | None:
    """Read a time; what is none stays as it is, for `jaeger` to leave out and to tell."""
    try:
        return read(written or "")
    except (ValueError, OverflowError):
        return written


def _as_they_are(spans: Sequence[msgspec.Raw]) -> Sequence[msgspec.Raw]:
    return spans


_SNAKE_CASE = re.compile(rb'"(?:trace|span|operation|service|start|ref|v)_[a-z0-9]+"(?=\s*:)')
"""Keys of messages; within text, quotes have a backslash before them."""


def _in_camel_case(spans: Sequence[msgspec.Raw]) -> Sequence[msgspec.Raw]:
    return [msgspec.Raw(_SNAKE_CASE.sub(_camel, bytes(span))) for span in spans]


def _camel(found: re.Match[bytes]) -> bytes:
    first, _, second = found[0].partition(b"_")
    return first + second.capitalize()


class _Conversion(Struct, Generic[_Span], frozen=True):
    decoder: SpanDecoder[_Span]
    prepared: Callable[[Sequence[msgspec.Raw]], Sequence[msgspec.Raw]] = _as_they_are
    """Makes of spans, as they are written, what the decoder knows."""

    def trace_ids(self, spans: Sequence[msgspec.Raw]) -> list[str]:
        """Read the ids of the spans' traces."""
        found = [""] * len(spans)
        read = self.decoder.decode(self.prepared(spans))
        for position, span in zip(read.positions(), read.decoded, strict=True):
            found[position] = span.trace
        return found

    def read(self, spans: Sequence[LocatedSpan], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
        """Read the spans of a trace."""
        read = self.decoder.decode(self.prepared([raw for _, raw in spans]))
        converted = msgspec.json.encode({"traceID": trace_id, "spans": [span.as_v1() for span in read.decoded]})
        coded = jaeger.read_coded(converted, trace_id, spans[0][0], codes, with_details=with_details)
        if read.mended is not None:
            coded.repairs += repairs(read.mended, len(spans), trace_id, coded.span_ids)
        return coded


def _format(conversion: _Conversion[_Span]) -> SpanFormat:
    return SpanFormat(conversion.trace_ids, conversion.read)


_MESSAGE = SpanDecoder(msgspec.json.Decoder(_Message), msgspec.json.Decoder(list[_Message]))
DOCUMENTS = _format(_Conversion(SpanDecoder(msgspec.json.Decoder(_Document), msgspec.json.Decoder(list[_Document]))))
MESSAGES = _format(_Conversion(_MESSAGE))
GO_MESSAGES = _format(_Conversion(_MESSAGE, _in_camel_case))


class _Batch(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None = None
    process: msgspec.Raw = msgspec.Raw(b"null")


_BATCH = msgspec.json.Decoder(_Batch)
_SPAN = msgspec.json.Decoder(dict[str, msgspec.Raw])


def batch_spans(batch: memoryview) -> list[msgspec.Raw]:
    """Give the spans of a batch of protobuf messages, each with the process that they have in common."""
    read = _BATCH.decode(batch)
    if bytes(read.process) in (b"null", b"{}"):
        return read.spans or []
    common = {"process": read.process}
    return [
        msgspec.Raw(msgspec.json.encode(common | _SPAN.decode(span))) if bytes(span).startswith(b"{") else span
        for span in read.spans or ()
    ]


class _PrepperEvent(msgspec.Struct, gc=False):
    name: str | None = None
    time: str | None = None
    attributes: _Json | None = None


class _PrepperLink(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    span_id: str | None = None
    attributes: _Json | None = None


class _PrepperStatus(msgspec.Struct, frozen=True, gc=False):
    code: int | str | None = None
    message: str | None = None


class _PrepperScope(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    version: str | None = None


class _PrepperResource(msgspec.Struct, frozen=True, gc=False):
    attributes: _Json | None = None


class _PrepperSpan(msgspec.Struct, gc=False, rename="camel"):
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
    resource: _PrepperResource | None = None
    status: _PrepperStatus | None = None
    status_code: int | str | None = msgspec.field(name="status.code", default=None)
    """In earlier documents, as is the message."""
    status_message: str | None = msgspec.field(name="status.message", default=None)
    events: list[_PrepperEvent] | None = None
    links: list[_PrepperLink] | None = None
    instrumentation_scope: _PrepperScope | None = None
    scope_name: str | None = msgspec.field(name="instrumentationScope.name", default=None)
    """In earlier documents, as is the version; before, under another name still."""
    scope_version: str | None = msgspec.field(name="instrumentationScope.version", default=None)
    library_name: str | None = msgspec.field(name="instrumentationLibrary.name", default=None)
    library_version: str | None = msgspec.field(name="instrumentationLibrary.version", default=None)

    def scope(self) -> _PrepperScope:
        """Give what in the program made the span."""
        name, version = self.scope_name or self.library_name, self.scope_version or self.library_version
        return self.instrumentation_scope or _PrepperScope(name, version)


def _prepper_span(written: _Json) -> Translated:
    remarks: list[Remark] = []
    span = fitted(written, _PrepperSpan, remarks)
    scope = span.scope()
    status = span.status or _PrepperStatus(span.status_code, span.status_message)
    resource = _prepper_attributes(written, "resource.attributes.", span.resource.attributes if span.resource else None)
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
        own_attributes=_prepper_attributes(written, "span.attributes.", span.attributes),
        resource_attributes=resource,
        told=Told(scope.name, scope.version, status.message, span.trace_state),
        own_events=[Event(known_time(e.time), e.name or "log", _dotted(e.attributes)) for e in span.events or ()],
        own_links=[Link(read_id(e.trace_id), read_id(e.span_id), _dotted(e.attributes)) for e in span.links or ()],
        remarks=remarks,
    )


def _prepper_attributes(span: _Json, prefix: str, nested: _Json | None) -> dict[str, AttributeValue]:
    flat = {key.removeprefix(prefix): value for key, value in span.items() if key.startswith(prefix)}
    return _dotted({**flat, **(nested or {})})


def _dotted(attributes: _Json | None) -> dict[str, AttributeValue]:
    return {key.replace("@", "."): value for key, value in (attributes or {}).items()}


DATA_PREPPER = Translation(
    SpanDecoder(msgspec.json.Decoder(_Json), msgspec.json.Decoder(list[_Json])), _prepper_span
).format()
