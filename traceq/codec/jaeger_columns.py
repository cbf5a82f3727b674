"""Jaeger's v1 JSON read for its columns alone: what analyses over many traces need.

One typed pass: logs are skipped where `jaeger` keeps them, tags are read at once rather than kept as JSON and read
again, and no span is kept. Measured on traces of 10 spans of 1 KB: a fifth to a quarter less time than with details,
and no memory beyond the columns.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from traceq.assembly import TraceRecord
from traceq.codec import jaeger
from traceq.codec.jaeger import Process, Reference, Tag, host_of, meaning_of, take_parents
from traceq.codec.meaning import NO_MEANING
from traceq.codec.wire import VOID_IDS, Body, Microseconds, Nanoseconds


class _Span(msgspec.Struct, gc=False):
    span_id: str = msgspec.field(name="spanID")
    name: str | None = msgspec.field(name="operationName", default=None)
    references: list[Reference] | None = None
    parent_id: str | None = msgspec.field(name="parentSpanID", default=None)
    start_us: Microseconds = msgspec.field(name="startTime", default=None)
    duration_us: Microseconds = msgspec.field(name="duration", default=None)
    start_ns: Nanoseconds = msgspec.field(name="startTimeUnixNano", default=None)
    duration_ns: Nanoseconds = msgspec.field(name="durationNano", default=None)
    tags: list[Tag] | None = None
    process_id: str | None = msgspec.field(name="processID", default=None)
    process: Process | None = None


class _Trace(msgspec.Struct, gc=False):
    spans: list[_Span] | None
    processes: dict[str, Process | None] | None = None
    warnings: list[str] | None = None


_TRACE = msgspec.json.Decoder(_Trace, strict=False)
_NOTHING = Process()


def decode_columns(trace: Body | msgspec.Raw, trace_id: str, place: str) -> TraceRecord:
    """Read a trace without details; see `jaeger.decode_trace`.

    The caller pauses the collector: done here, for each small trace, that would take as long as reading it.

    Raises:
        DecodeError: If it is not a v1 trace, or a span has no id.
    """
    try:
        record = _record(trace_id, _TRACE.decode(trace))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        record = None
    if record is None or not VOID_IDS.isdisjoint(record.span_ids):
        # Read once more by the one who says what is wrong, or knows how to read it all the same.
        return replace(jaeger.decode_trace(trace, trace_id, place), details=[])
    return record


def _record(trace_id: str, trace: _Trace) -> TraceRecord:
    spans = trace.spans or []
    if not spans:
        return TraceRecord(trace_id, warnings=trace.warnings or [])
    services, hosts = zip(*_origins(spans, trace.processes or {}), strict=True)
    kinds, statuses, peers = zip(*[meaning_of(span.tags) if span.tags else NO_MEANING for span in spans], strict=True)
    return TraceRecord(
        trace_id,
        [span.span_id.lower() for span in spans],
        _parents(spans, trace_id),
        [(span.start_us or 0) * 1000 if span.start_ns is None else span.start_ns for span in spans],
        [(span.duration_us or 0) * 1000 if span.duration_ns is None else span.duration_ns for span in spans],
        list(kinds),
        list(statuses),
        list(services),
        [span.name or "" for span in spans],
        list(hosts),
        list(peers),
        warnings=trace.warnings or [],
    )


def _parents(spans: list[_Span], trace_id: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for span in spans:
        references = span.references
        if not references and not span.parent_id:
            found.append(())
            continue
        parent = references[0] if references and len(references) == 1 else None
        # Nearly every span names its parent like this, and nothing else.
        if parent and parent.trace_id == trace_id and parent.span_id and parent.span_id not in VOID_IDS:
            found.append((parent.span_id.lower(),))
        else:
            found.append(take_parents(span, trace_id))
    return found


def _origins(spans: list[_Span], known: dict[str, Process | None]) -> list[tuple[str, str]]:
    """Give service and host of each span, by the process it names, else the one that stands within it."""
    told = {key: _origin(process) for key, process in known.items() if process is not None}
    try:
        return [told[span.process_id or ""] for span in spans]
    except KeyError:
        return [told.get(span.process_id or "") or _origin(span.process or _NOTHING) for span in spans]


def _origin(process: Process) -> tuple[str, str]:
    return (process.service or "", host_of(bytes(process.tags)))
