"""OTLP's protobuf messages, as far as they are read, with what is inside of spans left as bytes.

Source: opentelemetry-proto 1.x: common.proto, resource.proto, trace.proto. The classes that OpenTelemetry generates
make an object of every attribute; here attributes, events, links and scopes are the bytes that they were written as,
which means the same on the wire, so that a span costs far less. Text is bytes as well, since parsing must not stop at
text that is not UTF-8.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_BYTES = _Field.TYPE_BYTES
_TEXT = _Field.TYPE_STRING
_FIXED64 = _Field.TYPE_FIXED64
_PACKAGE = "traceq.otlp"

_Kind = int | str
"""A type of protobuf, or the name of a message."""

_SINGLE: dict[str, dict[str, tuple[int, _Kind]]] = {
    "ResourceSpans": {"resource": (1, _BYTES)},
    "ScopeSpans": {"scope": (1, _BYTES)},
    "Span": {
        "trace_id": (1, _BYTES),
        "span_id": (2, _BYTES),
        "trace_state": (3, _BYTES),
        "parent_span_id": (4, _BYTES),
        "name": (5, _BYTES),
        "kind": (6, _Field.TYPE_INT32),
        "start_time_unix_nano": (7, _FIXED64),
        "end_time_unix_nano": (8, _FIXED64),
        "status": (15, _BYTES),
    },
    "Status": {"message": (2, _BYTES), "code": (3, _Field.TYPE_INT32)},
    "Event": {"time_unix_nano": (1, _FIXED64), "name": (2, _BYTES)},
    "Link": {"trace_id": (1, _BYTES), "span_id": (2, _BYTES)},
    "Scope": {"name": (1, _BYTES), "version": (2, _BYTES)},
    "KeyValue": {"key": (1, _BYTES), "value": (2, "AnyValue")},
    # With nothing left to parse, and with text that must be UTF-8.
    "WholeSpan": {"trace_state": (3, _TEXT), "name": (5, _TEXT), "status": (15, "WholeStatus")},
    "WholeStatus": {"message": (2, _TEXT), "code": (3, _Field.TYPE_INT32)},
    "WholeEvent": {"time_unix_nano": (1, _FIXED64), "name": (2, _TEXT)},
    "WholeLink": {"trace_id": (1, _BYTES), "span_id": (2, _BYTES)},
    "WholeScope": {"name": (1, _TEXT), "version": (2, _TEXT)},
    "WholeKeyValue": {"key": (1, _TEXT), "value": (2, "WholeValue")},
    "WholeValue": {
        "string_value": (1, _TEXT),
        "bool_value": (2, _Field.TYPE_BOOL),
        "int_value": (3, _Field.TYPE_INT64),
        "double_value": (4, _Field.TYPE_DOUBLE),
        "array_value": (5, "WholeValues"),
        "kvlist_value": (6, "WholeResource"),
        "bytes_value": (7, _BYTES),
    },
}
_REPEATED: dict[str, dict[str, tuple[int, _Kind]]] = {
    "WrittenRequests": {"requests": (1, _BYTES)},
    "Requests": {"requests": (1, "Request")},
    "Request": {"resource_spans": (1, "ResourceSpans")},
    # The last of these is what scopes were called before OTLP 0.15 (2022).
    "ResourceSpans": {"scope_spans": (2, "ScopeSpans"), "instrumentation_library_spans": (1000, "ScopeSpans")},
    "ScopeSpans": {"spans": (2, _BYTES)},
    "Span": {"attributes": (9, _BYTES), "events": (11, _BYTES), "links": (13, _BYTES)},
    "Event": {"attributes": (3, _BYTES)},
    "Link": {"attributes": (4, _BYTES)},
    "Scope": {"attributes": (3, _BYTES)},
    "Resource": {"attributes": (1, _BYTES)},
    "WrittenSpans": {"spans": (1, _BYTES)},
    "Spans": {"spans": (1, "Span")},
    "Values": {"values": (1, "AnyValue")},
    "KeyValues": {"values": (1, "KeyValue")},
    "WholeSpan": {"attributes": (9, "WholeKeyValue"), "events": (11, "WholeEvent"), "links": (13, "WholeLink")},
    "WholeEvent": {"attributes": (3, "WholeKeyValue")},
    "WholeLink": {"attributes": (4, "WholeKeyValue")},
    "WholeScope": {"attributes": (3, "WholeKeyValue")},
    # Maps of values are like this, too.
    "WholeResource": {"attributes": (1, "WholeKeyValue")},
    "WholeValues": {"values": (1, "WholeValue")},
    "WholeSpans": {"spans": (1, "WholeSpan")},
}
_ONE_OF: dict[str, dict[str, tuple[int, _Kind]]] = {
    "AnyValue": {
        "string_value": (1, _BYTES),
        "bool_value": (2, _Field.TYPE_BOOL),
        "int_value": (3, _Field.TYPE_INT64),
        "double_value": (4, _Field.TYPE_DOUBLE),
        "array_value": (5, "Values"),
        "kvlist_value": (6, "KeyValues"),
        "bytes_value": (7, _BYTES),
    },
}


def _classes() -> dict[str, Any]:
    """Make a class of every message."""
    file = descriptor_pb2.FileDescriptorProto(name="traceq/otlp.proto", package=_PACKAGE, syntax="proto3")
    messages = {name: file.message_type.add(name=name) for name in {**_SINGLE, **_REPEATED, **_ONE_OF}}
    for table, label in ((_SINGLE, "OPTIONAL"), (_REPEATED, "REPEATED"), (_ONE_OF, "OPTIONAL")):
        for name, declared in table.items():
            for field, (number, kind) in declared.items():
                added = messages[name].field.add(name=field, number=number, label=f"LABEL_{label}")
                if isinstance(kind, str):
                    added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
                else:
                    added.type = kind
    messages["AnyValue"].oneof_decl.add(name="value")
    for added in messages["AnyValue"].field:
        added.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in messages
    }


BrokenMessageError = message.DecodeError
"""Raised for bytes that are no such message."""
_CLASSES = _classes()
# The classes are made at run time, so nothing is known of their fields before.
WrittenRequests: Any = _CLASSES["WrittenRequests"]
Requests: Any = _CLASSES["Requests"]
Request: Any = _CLASSES["Request"]
Resource: Any = _CLASSES["Resource"]
Scope: Any = _CLASSES["Scope"]
WrittenSpans: Any = _CLASSES["WrittenSpans"]
Spans: Any = _CLASSES["Spans"]
Span: Any = _CLASSES["Span"]
Status: Any = _CLASSES["Status"]
Event: Any = _CLASSES["Event"]
Link: Any = _CLASSES["Link"]
KeyValue: Any = _CLASSES["KeyValue"]
WholeSpans: Any = _CLASSES["WholeSpans"]
WholeSpan: Any = _CLASSES["WholeSpan"]
WholeEvent: Any = _CLASSES["WholeEvent"]
WholeLink: Any = _CLASSES["WholeLink"]
WholeScope: Any = _CLASSES["WholeScope"]
WholeResource: Any = _CLASSES["WholeResource"]
WholeKeyValue: Any = _CLASSES["WholeKeyValue"]
