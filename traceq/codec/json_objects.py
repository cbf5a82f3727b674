"""What a JSON object holds, told by its keys; values are decoded only down to where traces begin.

Besides Jaeger's and OTLP's there are formats whose spans are JSON objects of their own: each is a `SpanFormat` in a
module of its own, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

import msgspec

from traceq.codec import wire
from traceq.codec.damage import whole_text
from traceq.codec.otlp_fields import ResourceSpans
from traceq.codec.parts import SpanFormat
from traceq.codec.wire import reason, refusal
from traceq.errors import DecodeError

_Value = TypeVar("_Value")


class MoreFollowsError(Exception):
    """Something follows a complete JSON document, perhaps the next line of JSON lines."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


MISSING = msgspec.Raw()


class Object(msgspec.Struct, gc=False, rename="camel"):
    """Every key that shows what a JSON object holds. Values are decoded only down to where traces begin."""

    data: list[msgspec.Raw] | dict[str, msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    resource_spans: list[ResourceSpans[msgspec.Raw] | None] | msgspec.UnsetType | None = msgspec.UNSET
    batches: list[ResourceSpans[msgspec.Raw] | None] | msgspec.UnsetType | None = msgspec.UNSET
    errors: msgspec.Raw = MISSING
    error: msgspec.Raw = MISSING
    spans: msgspec.Raw = MISSING
    result: msgspec.Raw = MISSING
    trace: msgspec.Raw = MISSING
    traces: msgspec.Raw = MISSING
    hits: msgspec.Raw = MISSING
    source: msgspec.Raw = msgspec.field(name="_source", default=MISSING)
    responses: msgspec.Raw = MISSING
    raw_response: msgspec.Raw = MISSING
    child: msgspec.Raw = MISSING
    call_count: msgspec.Raw = MISSING


class Data(msgspec.Struct, gc=False):
    """An object around another one."""

    data: msgspec.Raw


OBJECT = msgspec.json.Decoder(Object, strict=False)
RAW = msgspec.json.Decoder(msgspec.Raw)
DATA = msgspec.json.Decoder(Data)


def decode(decoder: msgspec.json.Decoder[_Value], body: memoryview, place: str, start: int = 0) -> _Value:
    """Decode a whole document.

    Raises:
        DecodeError: If it is broken.
        MoreFollowsError: If something follows it.
    """
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(place, reason(error)) from error
    except msgspec.DecodeError as error:
        end = wire.document_end(error)
        if end is not None:
            raise MoreFollowsError(end) from error
        raise wire.broken(body, error, place, start) from error


def span_format_of(items: Sequence[msgspec.Raw], place: str) -> SpanFormat | None:
    """Recognise the format of a list of spans by the first one, if that is one."""
    first = memoryview(items[0]) if items else memoryview(b"null")
    if first[0] != ord("{"):
        return None
    try:
        return format_of(keys_of(first, place))
    except MoreFollowsError:
        return None


def first_keys(items: memoryview, place: str) -> Collection[str]:
    """Read the keys of the first object in a list that has any; none if there is no such object."""
    start = wire.next_text(items, 1)
    if items[0] != ord("[") or start == len(items):
        return ()
    if items[start] != ord("{") or items[wire.next_text(items, start + 1)] == ord("}"):
        objects = [each for each in decode(wire.ITEMS, items, place) if bytes(each).startswith(b"{")]
        return next((keys for each in objects if (keys := keys_of(memoryview(each), place))), ())
    try:
        return keys_of(items[start:], place)
    except MoreFollowsError as more:
        return keys_of(items[start : start + more.end], place)


def keys_of(body: memoryview, place: str) -> Collection[str]:
    """Read the keys of an object; of a span also where text in it is broken, which is told when it is read."""
    try:
        return decode(wire.KEYS, body, place).keys()
    except DecodeError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        keys = _first_keys_of(memoryview(whole_text(bytes(body))), place)
        if format_of(keys) is None:
            raise
        return keys


def _first_keys_of(body: memoryview, place: str) -> Collection[str]:
    """Read the keys of an object, whatever follows it."""
    try:
        return decode(wire.KEYS, body, place).keys()
    except MoreFollowsError as more:
        return decode(wire.KEYS, body[: more.end], place).keys()


def refuse_known(keys: Collection[str], place: str) -> None:
    """Refuse an object whose keys are those of something that is not read."""
    shape = wire.shape_of(keys)
    if shape:
        raise refusal(place, f"it looks like {shape}")


def end_of_first(body: memoryview, place: str) -> int | None:
    """Return where a document ends that is followed by others; None if none follows, or it is broken."""
    try:
        decode(RAW, body, place)
    except MoreFollowsError as more:
        return more.end
    except DecodeError:
        pass
    return None


_ACTIONS = ({"index"}, {"create"}, {"update"}, {"delete"})


def is_action(keys: Collection[str]) -> bool:
    """Whether this is the line before a document in a bulk file of Elasticsearch, or a service's name beside spans."""
    return set(keys) in _ACTIONS or set(keys) == {"serviceName", "operationName"}


def failure_told(found: Object) -> str:
    """Return the failure that the object reports; empty if there is none."""
    errors, error = (bytes(each) or b"null" for each in (found.errors, found.error))
    if errors == error == b"null":
        return ""
    from traceq.codec.answers import error_message

    return error_message(b'{"errors":%b,"error":%b}' % (errors, error))


def is_empty(found: Object) -> bool:
    """Whether the object says that it holds no traces, by a null in their place."""
    return None in (found.data, found.resource_spans, found.batches)


def format_of(keys: Collection[str]) -> SpanFormat | None:
    """Recognise a span by the keys of its JSON object; None if it is none of these formats."""
    found = set(keys)
    return next((load() for telling, load in _TOLD_BY if telling <= found), None)


# Each module is imported when it is needed: nearly all files are in one format.
def _stubs() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.GO


def _python_console() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.PYTHON


def _phoenix() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.PHOENIX


def _js_console() -> SpanFormat:
    from traceq.codec import sdk_console

    return sdk_console.JS


def _stored_by_jaeger() -> SpanFormat:
    from traceq.codec import stored_spans

    return stored_spans.DOCUMENTS


def _sent_by_jaeger() -> SpanFormat:
    from traceq.codec import stored_spans

    return stored_spans.MESSAGES


def _written_by_go() -> SpanFormat:
    from traceq.codec import stored_spans

    return stored_spans.GO_MESSAGES


def _data_prepper() -> SpanFormat:
    from traceq.codec import stored_spans

    return stored_spans.DATA_PREPPER


def _zipkin() -> SpanFormat:
    from traceq.codec import zipkin

    return zipkin.FORMAT


def _row() -> SpanFormat:
    from traceq.codec import span_rows

    return span_rows.FORMAT


# The first entry whose keys are all present is taken, so specific ones precede vague ones.
_TOLD_BY: tuple[tuple[frozenset[str], Callable[[], SpanFormat]], ...] = (
    (frozenset(("traceID", "spanID", "operationName")), _stored_by_jaeger),
    (frozenset(("traceId", "spanId", "operationName")), _sent_by_jaeger),
    (frozenset(("trace_id", "span_id", "operation_name")), _written_by_go),
    (frozenset(("traceId", "spanId", "startTime", "endTime")), _data_prepper),
    (frozenset(("Name", "SpanContext")), _stubs),
    (frozenset(("TraceId", "SpanId", "Timestamp")), _row),
    (frozenset(("trace_id", "span_id", "duration_time_unix_nano")), _row),
    (frozenset(("name", "context", "start_time")), _python_console),
    (frozenset(("name", "trace_id", "span_id", "start_time")), _python_console),
    (frozenset(("name", "context.trace_id", "context.span_id", "start_time")), _phoenix),
    (frozenset(("traceId", "id", "attributes", "status")), _js_console),
    (frozenset(("traceId", "id", "attributes", "timestamp")), _js_console),
    (frozenset(("traceId", "id", "status", "timestamp")), _js_console),
    (frozenset(("traceId", "id", "localEndpoint")), _zipkin),
    (frozenset(("traceId", "id", "binaryAnnotations")), _zipkin),
    (frozenset(("traceId", "id", "annotations")), _zipkin),
    (frozenset(("traceId", "id", "name", "timestamp")), _zipkin),
    # Spans that lack one of these keys: an id, a name, or an end.
    (frozenset(("traceID", "spanID", "startTime")), _stored_by_jaeger),
    (frozenset(("traceID", "operationName", "startTime")), _stored_by_jaeger),
    (frozenset(("spanID", "operationName", "startTime")), _stored_by_jaeger),
    (frozenset(("traceId", "spanId", "startTime", "process")), _sent_by_jaeger),
    (frozenset(("traceId", "operationName", "startTime")), _sent_by_jaeger),
    (frozenset(("spanId", "operationName", "startTime")), _sent_by_jaeger),
    (frozenset(("trace_id", "span_id", "start_time", "process")), _written_by_go),
    (frozenset(("trace_id", "operation_name", "start_time")), _written_by_go),
    (frozenset(("span_id", "operation_name", "start_time")), _written_by_go),
    (frozenset(("traceId", "spanId", "startTime", "serviceName")), _data_prepper),
    (frozenset(("traceId", "spanId", "endTime", "serviceName")), _data_prepper),
    (frozenset(("traceId", "startTime", "endTime", "serviceName")), _data_prepper),
    (frozenset(("spanId", "startTime", "endTime", "serviceName")), _data_prepper),
    (frozenset(("SpanContext", "StartTime")), _stubs),
    (frozenset(("Name", "SpanKind", "StartTime")), _stubs),
    (frozenset(("context", "start_time")), _python_console),
    (frozenset(("name", "context", "end_time")), _python_console),
    (frozenset(("context.trace_id", "context.span_id", "start_time")), _phoenix),
    (frozenset(("name", "context.trace_id", "start_time")), _phoenix),
    (frozenset(("name", "context.span_id", "start_time")), _phoenix),
    (frozenset(("name", "context.trace_id", "context.span_id", "end_time")), _phoenix),
    (frozenset(("name", "kind", "parent_id", "start_time")), _python_console),
    (frozenset(("name", "span_kind", "parent_id", "start_time")), _python_console),
    (frozenset(("traceId", "attributes", "status", "timestamp")), _js_console),
    (frozenset(("id", "attributes", "status", "timestamp")), _js_console),
    (frozenset(("traceId", "localEndpoint", "timestamp")), _zipkin),
    (frozenset(("id", "localEndpoint", "timestamp")), _zipkin),
    (frozenset(("traceId", "binaryAnnotations")), _zipkin),
    (frozenset(("id", "binaryAnnotations")), _zipkin),
    (frozenset(("traceId", "name", "timestamp", "duration")), _zipkin),
    (frozenset(("traceId", "id", "timestamp", "duration")), _zipkin),
    (frozenset(("traceId", "id", "name", "duration")), _zipkin),
    (frozenset(("id", "name", "timestamp", "duration", "tags")), _zipkin),
)
