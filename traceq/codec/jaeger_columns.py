"""Jaeger's v1 JSON read for its columns alone: what analyses over many traces need.

One typed pass: logs are skipped where `jaeger` keeps them, tags are read at once rather than kept as JSON and read
again, and no span is kept. What repeats (names, origins, meanings) becomes a code of the table to be at once.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from traceq.assembly import TableBuilder
from traceq.codec.jaeger import Process, Reference, Tag, host_of, take_parents, wanted_texts
from traceq.codec.wire import (
    READABLE,
    VOID_IDS,
    Body,
    Microseconds,
    Nanoseconds,
    failures_told,
    first_void,
)
from traceq.errors import DecodeError
from traceq.records import CodedTrace
from traceq.semantics import meaning


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


class _LargeTrace(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None
    processes: dict[str, Process | None] | None = None
    warnings: list[str] | None = None


_TRACE = msgspec.json.Decoder(_Trace, strict=False)
_LARGE_TRACE = msgspec.json.Decoder(_LargeTrace, strict=False)
_SPANS = msgspec.json.Decoder(list[_Span], strict=False)
_NOTHING = Process()

_LARGE_BYTES = 4 * 2**20
"""Spans of larger traces are decoded some at a time: whole, they take three times the memory of their JSON."""
_SPANS_AT_A_TIME = 2_000


def read_coded(trace: Body | msgspec.Raw, trace_id: str, place: str, builder: TableBuilder) -> CodedTrace:
    """Read a trace without details, in codes of this builder; see `jaeger.decode_trace`.

    The caller pauses the collector: done here, for each small trace, that would take as long as reading it.

    Raises:
        DecodeError: If it is not a v1 trace, or a span has no id.
    """
    what = f"cannot read trace {trace_id} of {place}"
    with failures_told(what):
        if len(memoryview(trace)) < _LARGE_BYTES:
            whole = _TRACE.decode(trace)
            coded = _coded(trace_id, [whole.spans or []], whole, builder)
        else:
            large = _LARGE_TRACE.decode(trace)
            coded = _coded(trace_id, _some_at_a_time(large.spans or []), large, builder)
    _lower(coded)
    if not VOID_IDS.isdisjoint(coded.span_ids):
        raise DecodeError(f"{what}: spans[{first_void(coded.span_ids)}] has no spanID", hint=READABLE)
    return coded


def _lower(coded: CodedTrace) -> None:
    """Write ids in lower case; nearly all are."""
    ids = "".join(coded.span_ids) + "".join(filter(None, coded.parent_ids))
    if ids != ids.lower():
        coded.span_ids = [span_id.lower() for span_id in coded.span_ids]
        coded.parent_ids = [parent_id and parent_id.lower() for parent_id in coded.parent_ids]


def _some_at_a_time(spans: list[msgspec.Raw]) -> Iterable[list[_Span]]:
    for start in range(0, len(spans), _SPANS_AT_A_TIME):
        yield _SPANS.decode(b"[%b]" % b",".join(spans[start : start + _SPANS_AT_A_TIME]))


def _coded(
    trace_id: str, batches: Iterable[list[_Span]], trace: _Trace | _LargeTrace, builder: TableBuilder
) -> CodedTrace:
    coded = CodedTrace(trace_id, warnings=trace.warnings or [])
    processes = trace.processes or {}
    origins = {key: _origin(process, builder) for key, process in processes.items() if process is not None}
    for spans in batches:
        _add_parents(coded, spans)
        _add_meanings(coded, spans, builder)
        coded.span_ids += [span.span_id for span in spans]
        coded.start_ns += [(span.start_us or 0) * 1000 if span.start_ns is None else span.start_ns for span in spans]
        coded.duration_ns += [
            (span.duration_us or 0) * 1000 if span.duration_ns is None else span.duration_ns for span in spans
        ]
        names = builder.names
        coded.names += [names[span.name or ""] for span in spans]
        coded.origins += _origins(spans, origins, builder)
    return coded


def _add_parents(coded: CodedTrace, spans: list[_Span]) -> None:
    add, trace_id = coded.parent_ids.append, coded.trace_id
    for span in spans:
        references = span.references
        if not references and not span.parent_id:
            add(None)
            continue
        first = references[0] if references and len(references) == 1 else None
        # Nearly every span names its parent like this, and nothing else.
        if first and first.trace_id == trace_id and first.span_id and first.span_id not in VOID_IDS:
            add(first.span_id)
            continue
        coded.add_parents(take_parents(span, trace_id))


def _add_meanings(coded: CodedTrace, spans: list[_Span], builder: TableBuilder) -> None:
    add, told = coded.meanings.append, builder.told
    for span in spans:
        texts = wanted_texts(span.tags) if span.tags else ()
        code = told.get(texts)
        if code is None:
            code = told[texts] = builder.meanings[meaning(texts)]
        add(code)


def _origins(spans: list[_Span], known: dict[str, int], builder: TableBuilder) -> list[int]:
    """Give the code of each span's process: of the one it names, else of the one that stands within it."""
    try:
        return [known[span.process_id or ""] for span in spans]
    except KeyError:
        return [_origin_of(span, known, builder) for span in spans]


def _origin_of(span: _Span, known: dict[str, int], builder: TableBuilder) -> int:
    code = known.get(span.process_id or "")
    return _origin(span.process or _NOTHING, builder) if code is None else code


def _origin(process: Process, builder: TableBuilder) -> int:
    return builder.origin(process.service or "", host_of(bytes(process.tags)))
