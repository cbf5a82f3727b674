"""The Jaeger API's answers other than spans, in both dialects: names, calls, summaries, and errors.

Source: Jaeger 1.51 to 2.20, HTTP JSON API (v1) and `api_v3` over HTTP; servers that imitate them send numbers as text,
null for empty lists, and errors as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from traceq.catalog import Operation, ServiceCall, ServiceSummary, TraceSummary, rank_services, sum_calls
from traceq.codec.wire import Body, decode, hex_id
from traceq.errors import DecodeError
from traceq.untrusted import quoted

_Data = TypeVar("_Data")


class _Failure(msgspec.Struct, gc=False):
    """One entry of v1's `errors`."""

    code: int | str | None = None
    msg: str | None = None


class _Envelope(msgspec.Struct, Generic[_Data], gc=False):
    """The envelope of every v1 answer; `data` has to be present, if only as null."""

    data: list[_Data] | None
    errors: list[_Failure | str] | None = None


class _Operation(msgspec.Struct, gc=False):
    name: str
    kind: str | None = msgspec.field(name="spanKind", default=None)


class _Call(msgspec.Struct, gc=False):
    parent: str
    child: str
    call_count: int = msgspec.field(name="callCount")


class _ServiceShare(msgspec.Struct, gc=False, rename="camel"):
    name: str = ""
    span_count: int | None = None
    error_span_count: int | None = None


class _Summary(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | None = None
    old_trace_id: str | None = msgspec.field(name="traceID", default=None)
    root_service_name: str | None = None
    root_operation_name: str | None = None
    min_start_time_unix_nano: int | None = None
    max_end_time_unix_nano: int | None = None
    span_count: int | None = None
    error_span_count: int | None = None
    orphan_span_count: int | None = None
    services: list[_ServiceShare] | None = None


class _V3Answer(msgspec.Struct, gc=False):
    """What v3 answers hold, each one of these."""

    services: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    operations: list[_Operation | str] | msgspec.UnsetType | None = msgspec.UNSET
    summaries: list[_Summary] | msgspec.UnsetType | None = msgspec.UNSET


class _Told(msgspec.Struct, gc=False):
    """Every place in which a body may say what went wrong."""

    errors: list[_Failure | str] | None = None
    error: _V3Failure | str | None = None
    message: str | None = None


class _V3Failure(msgspec.Struct, gc=False):
    message: str | None = None
    code: int | str | None = None


_LONGEST_ERROR = 1000
_ASKED = re.compile(rb'^remoteAddr: "[^"]*"; requestURI: .*?; ')
"""How the Victoria servers begin their errors: with the question."""
_SERVICES = msgspec.json.Decoder(_Envelope[str], strict=False)
_OPERATIONS = msgspec.json.Decoder(_Envelope[_Operation | str], strict=False)
_CALLS = msgspec.json.Decoder(_Envelope[_Call] | list[_Call], strict=False)
_V3 = msgspec.json.Decoder(_V3Answer, strict=False)
_TOLD = msgspec.json.Decoder(_Told, strict=False)

CALL = msgspec.json.Decoder(_Call, strict=False)
"""Reads one entry of Jaeger's dependency table."""


def read_services(body: Body) -> tuple[str, ...]:
    """Read the names of services from a v1 answer, sorted.

    Raises:
        DecodeError: If it is not such an answer, or reports an error and no data.
    """
    return tuple(sorted(set(_data(_SERVICES, body, "services"))))


def read_operations(body: Body) -> tuple[Operation, ...]:
    """Read operations from a v1 answer, sorted; servers that know no kinds send plain names.

    Raises:
        DecodeError: If it is not such an answer, or reports an error and no data.
    """
    return _operations(_data(_OPERATIONS, body, "operations"))


def read_dependencies(body: Body) -> tuple[ServiceCall, ...]:
    """Read the calls between services from a v1 answer or a bare list, sorted, with the counts of each edge summed.

    Raises:
        DecodeError: If it is neither, or reports an error and no data.
    """
    answer = _decode(_CALLS, body, "dependencies")
    calls = answer if isinstance(answer, list) else _unwrapped(answer, "dependencies")
    return sum_calls(ServiceCall(call.parent, call.child, call.call_count) for call in calls)


def read_v3_services(body: Body) -> tuple[str, ...]:
    """Read the names of services from a v3 answer, sorted.

    Raises:
        DecodeError: If it is not such an answer.
    """
    names = _decode(_V3, body, "services").services
    return tuple(sorted(set(_v3_list(names, body, "services"))))


def read_v3_operations(body: Body) -> tuple[Operation, ...]:
    """Read operations from a v3 answer, sorted; Jaeger 2.15 and later report an unknown kind as `internal`.

    Raises:
        DecodeError: If it is not such an answer.
    """
    operations = _decode(_V3, body, "operations").operations
    return _operations(_v3_list(operations, body, "operations"))


def read_summaries(body: Body) -> tuple[TraceSummary, ...]:
    """Read trace summaries (v3, Jaeger 2.19 and later) in the server's order, which has no meaning.

    Raises:
        DecodeError: If it is not such an answer, or a summary names no trace.
    """
    summaries = _decode(_V3, body, "trace summaries").summaries
    return tuple(_summary(summary) for summary in _v3_list(summaries, body, "trace summaries"))


def error_message(body: Body) -> str:
    """Find the error that an answer reports, whatever its shape; empty if it reports none.

    An answer with data may report an error too: a trace id that was not found, a stream that broke off.
    """
    stripped = bytes(body).strip()
    if not stripped.startswith((b"{", b"[")):
        return _plain_message(stripped)
    # Jaeger 1.51 streams v3 answers as lines, and the last line may be an error.
    documents = [stripped] if _told(stripped) is not None else stripped.splitlines()
    told = [message for document in documents for message in _messages(_told(document))]
    return quoted("; ".join(dict.fromkeys(told)), 200)


def tells_not_found(body: Body) -> bool:
    """Return whether an answer says in an error object that there is no such thing, as mocha does with status 200."""
    told = _told(bytes(body)) if len(body) <= _LONGEST_ERROR else None
    return told is not None and isinstance(told.error, _V3Failure) and str(told.error.code) == "404"


def _decode(decoder: msgspec.json.Decoder[_Data], body: Body, what: str) -> _Data:
    try:
        return decode(decoder, body, f"not an answer with {what}")
    except DecodeError as error:
        message = error_message(body)
        if not message:
            raise
        raise DecodeError(f"an error instead of {what}: {message}") from error


def _data(decoder: msgspec.json.Decoder[_Envelope[_Data]], body: Body, what: str) -> list[_Data]:
    return _unwrapped(_decode(decoder, body, what), what)


def _unwrapped(envelope: _Envelope[_Data], what: str) -> list[_Data]:
    if envelope.data is None and envelope.errors:
        raise DecodeError(f"an error instead of {what}: {'; '.join(_failure_texts(envelope.errors))}")
    return envelope.data or []


def _v3_list(values: list[_Data] | msgspec.UnsetType | None, body: Body, what: str) -> list[_Data]:
    """Return the list in an answer; v3 may omit an empty one, but then the answer holds nothing else either."""
    if not isinstance(values, msgspec.UnsetType):
        return values or []
    if bytes(body).split() not in ([b"{}"], [b"{", b"}"]):
        message = error_message(body)
        raise DecodeError(f"an error instead of {what}: {message}" if message else f"not an answer with {what}")
    return []


def _operations(operations: Iterable[_Operation | str]) -> tuple[Operation, ...]:
    return tuple(sorted({_operation(operation) for operation in operations}))


def _operation(operation: _Operation | str) -> Operation:
    if isinstance(operation, str):
        return Operation(operation)
    kind = (operation.kind or "").removeprefix("SPAN_KIND_").lower()
    # Jaeger 1.51 with memory storage reports this for spans without a kind.
    return Operation(operation.name, "" if kind == "unspecified" else kind)


def _summary(summary: _Summary) -> TraceSummary:
    trace_id = summary.trace_id or summary.old_trace_id
    if not trace_id:
        raise DecodeError("not an answer with trace summaries: one of them names no trace")
    start_ns = summary.min_start_time_unix_nano or 0
    return TraceSummary(
        trace_id=hex_id(trace_id),
        root_service=summary.root_service_name or "",
        root_name=summary.root_operation_name or "",
        start_ns=start_ns,
        duration_ns=max(0, (summary.max_end_time_unix_nano or 0) - start_ns),
        span_count=summary.span_count or 0,
        error_count=summary.error_span_count or 0,
        orphan_count=summary.orphan_span_count or 0,
        services=rank_services(
            ServiceSummary(share.name, share.span_count or 0, share.error_span_count or 0)
            for share in summary.services or ()
        ),
    )


def _told(document: bytes) -> _Told | None:
    """Read the errors that a JSON document reports; None for anything but a JSON object."""
    try:
        return decode(_TOLD, document, "not an error")
    except DecodeError:
        return None


def _messages(told: _Told | None) -> list[str]:
    if told is None:
        return []
    if told.errors:
        return _failure_texts(told.errors)
    if isinstance(told.error, _V3Failure):
        return [quoted(told.error.message, 200)] if told.error.message else []
    text = told.error or told.message
    return [quoted(text, 200)] if text else []


def _failure_texts(failures: Iterable[_Failure | str]) -> list[str]:
    texts = (failure if isinstance(failure, str) else failure.msg for failure in failures)
    return [quoted(text, 200) for text in texts if text] or ["no reason given"]


def _plain_message(body: bytes) -> str:
    """Take the first line of plain text; an HTML page holds nothing worth quoting."""
    if not body or body.startswith(b"<"):
        return ""
    return quoted(_ASKED.sub(b"", body.splitlines()[0]).decode("utf-8", "replace"), 200)
