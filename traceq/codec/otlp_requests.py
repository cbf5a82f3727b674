"""Requests of exporters (OTLP/HTTP and OTLP/gRPC) as lines of OTLP JSON, and the answers that exporters expect.

Source: the OTLP specification 1.x (opentelemetry.io/docs/specs/otlp): ids are hexadecimal in JSON, enumerations are
numbers, and what a receiver leaves out it reports as a partial success, so that exporters do not send it again.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from traceq.codec.wire import BROKEN, reason
from traceq.errors import DecodeError, SourceError

JSON = "application/json"
PROTOBUF = "application/x-protobuf"

_HINT = "pip install opentelemetry-proto"
_IDS = ("traceId", "spanId", "parentSpanId")


class Exported(Struct, frozen=True):
    """One request of an exporter."""

    line: bytes
    """Its spans as OTLP JSON on one line, with the line end."""
    span_count: int
    services: frozenset[str]


class _AnyValue(msgspec.Struct, rename="camel"):
    string_value: str = ""


class _KeyValue(msgspec.Struct):
    key: str = ""
    value: _AnyValue | None = None


class _Resource(msgspec.Struct):
    attributes: list[_KeyValue] | None = None


class _ScopeSpans(msgspec.Struct):
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def exported(body: bytes, content_type: str) -> Exported:
    """Read a request.

    Args:
        body: `ExportTraceServiceRequest`, not compressed.
        content_type: `JSON` or `PROTOBUF`.

    Raises:
        DecodeError: If it is none.
        SourceError: If it is protobuf, and the package that reads it is not installed.
    """
    if content_type == PROTOBUF:
        body = msgspec.json.encode(_json_of(body))
    try:
        request = _REQUEST.decode(body)
        line = msgspec.json.format(body, indent=-1)
    except BROKEN as error:
        raise DecodeError(f"not an OTLP request: {reason(error)}") from error
    groups = request.resource_spans or ()
    span_count = sum(len(scope.spans or ()) for group in groups for scope in group.scope_spans or ())
    return Exported(line + b"\n", span_count, frozenset(_services(groups)))


def _services(groups: Any) -> Iterator[str]:
    for group in groups:
        for attribute in (group.resource and group.resource.attributes) or ():
            if attribute.key == "service.name" and attribute.value is not None:
                yield attribute.value.string_value


def _json_of(body: bytes) -> dict[str, Any]:
    """Give a protobuf message as OTLP JSON has it, every field of it."""
    trace_service, json_format, message = require_protobuf()
    request = trace_service.ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except message.DecodeError as error:
        raise DecodeError("not an OTLP request: broken protobuf") from error
    told: dict[str, Any] = json_format.MessageToDict(request, use_integers_for_enums=True)
    for group in told.get("resourceSpans", ()):
        for scope in group.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    _with_hexadecimal_ids(holder)
    return told


def _with_hexadecimal_ids(holder: dict[str, Any]) -> None:
    """Write ids as OTLP JSON does; protobuf's own JSON has all bytes in base64."""
    for key in _IDS:
        if key in holder:
            holder[key] = binascii.hexlify(b64decode(holder[key])).decode()


def require_protobuf() -> tuple[Any, Any, Any]:
    """Import what reads protobuf: the service's messages, the writer of JSON, and the module of its errors.

    Raises:
        SourceError: If it is not installed.
    """
    try:
        from google.protobuf import json_format, message
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise SourceError("OTLP in protobuf needs opentelemetry-proto, which is not installed", hint=_HINT) from error
    return trace_service_pb2, json_format, message


def answer(content_type: str, rejected_count: int, told: str) -> bytes:
    """Write the answer to a request.

    Args:
        content_type: That of the request.
        rejected_count: The number of spans that are not kept; 0 for all kept.
        told: Why.
    """
    if content_type == JSON:
        partial = {"partialSuccess": {"rejectedSpans": str(rejected_count), "errorMessage": told}}
        return msgspec.json.encode(partial if rejected_count else {})
    trace_service, _, _ = require_protobuf()
    response = trace_service.ExportTraceServiceResponse()
    if rejected_count:
        response.partial_success.rejected_spans = rejected_count
        response.partial_success.error_message = told
    written: bytes = response.SerializeToString()
    return written
