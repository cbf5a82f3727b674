"""The fields of Jaeger's v1 JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from traceq.codec.wire import VOID_IDS, Microseconds, Nanoseconds
from traceq.traces import is_same_trace

NOTHING = msgspec.Raw(b"null")


class Tag(msgspec.Struct, gc=False):
    """An attribute, with its type as text."""

    key: str
    type: str | None = None
    value: Any = None


class Reference(msgspec.Struct, gc=False):
    """A reference of a span to its parent, or to any other span."""

    type: str | None = msgspec.field(name="refType", default=None)
    trace_id: str | None = msgspec.field(name="traceID", default=None)
    span_id: str | None = msgspec.field(name="spanID", default=None)
    tags: msgspec.Raw = NOTHING
    """Attributes of a link: not in Jaeger's answers, only in files that traceq wrote."""


class Log(msgspec.Struct, gc=False):
    """Something that happened at one instant."""

    time_us: Microseconds = msgspec.field(name="timestamp", default=None)
    time_ns: Nanoseconds = msgspec.field(name="timeUnixNano", default=None)
    """In files that traceq wrote, if the time is not a whole number of microseconds."""
    fields: list[Tag] | None = None


class Process(msgspec.Struct, gc=False):
    """What spans ran in."""

    service: str | None = msgspec.field(name="serviceName", default=None)
    tags: msgspec.Raw = NOTHING


class Mixable(msgspec.Struct, gc=False):
    """All that tells to which trace a span belongs."""

    trace_id: str | None = msgspec.field(name="traceID", default=None)


class AnySpan(msgspec.Struct, gc=False):
    """What is read of every span."""

    span_id: str = msgspec.field(name="spanID")
    trace_id: str | None = msgspec.field(name="traceID", default=None)
    """Only to find out that it is another one than that of the trace which lists the span."""
    name: str | None = msgspec.field(name="operationName", default=None)
    references: list[Reference] | None = None
    """After reading details: only those that do not name the parent."""
    parent_id: str | None = msgspec.field(name="parentSpanID", default=None)
    """In exports of Jaeger before 1.8, which had no references."""
    start_us: Microseconds = msgspec.field(name="startTime", default=None)
    duration_us: Microseconds = msgspec.field(name="duration", default=None)
    start_ns: Nanoseconds = msgspec.field(name="startTimeUnixNano", default=None)
    """In files that traceq wrote, if the time is not a whole number of microseconds; takes precedence."""
    duration_ns: Nanoseconds = msgspec.field(name="durationNano", default=None)
    process_id: str | None = msgspec.field(name="processID", default=None)
    process: Process | None = None
    """After reading details: the one that `processID` names, if there is one."""


class Span(AnySpan, gc=False):
    """A span as it is read where only columns are wanted."""

    tags: list[Tag] | None = None
    # Not looked at here, but decoded, which takes 1 %: what is wrong with them is told by every command.
    logs: list[Log] | None = None
    remarks: list[str] | None = msgspec.field(name="warnings", default=None)


def is_other(named: str | None, trace_id: str) -> bool:
    """Whether the id that a span names is that of another trace than this one."""
    return named not in (None, trace_id) and named not in VOID_IDS and not is_same_trace(named or "", trace_id)
