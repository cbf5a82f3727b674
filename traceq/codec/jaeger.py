"""Jaeger's v1 JSON: what its HTTP API answers, its UI downloads, and others imitate.

Source: Jaeger 1.51 to 2.20, `internal/uimodel`. Read leniently, since imitations send numbers as text, null for empty
lists, every tag as a string, or no processes. The writer is in `jaeger_writer`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from traceq import semantics
from traceq.assembly import TableBuilder
from traceq.codec.wire import (
    READABLE,
    VOID_IDS,
    Body,
    Microseconds,
    Nanoseconds,
    collector_paused,
    decode,
    failures_told,
    first_void,
    is_empty,
)
from traceq.errors import DecodeError
from traceq.records import CodedTrace, TraceRecord
from traceq.semantics import TELLING, Attributes, AttributeValue, meaning
from traceq.traces import Event, Link, normal_id

_NOTHING = msgspec.Raw(b"null")


class Tag(msgspec.Struct, gc=False):
    """An attribute with its type as text."""

    key: str
    type: str | None = None
    value: Any = None


class Reference(msgspec.Struct, gc=False):
    """What a span refers to: its parent, or any other span."""

    type: str | None = msgspec.field(name="refType", default=None)
    trace_id: str | None = msgspec.field(name="traceID", default=None)
    span_id: str | None = msgspec.field(name="spanID", default=None)
    tags: msgspec.Raw = _NOTHING
    """Jaeger has no attributes of links here; traceq's own files do."""


class _Log(msgspec.Struct, gc=False):
    time_us: Microseconds = msgspec.field(name="timestamp", default=None)
    time_ns: Nanoseconds = msgspec.field(name="timeUnixNano", default=None)
    """In traceq's own files, when microseconds do not tell the whole time."""
    fields: list[Tag] | None = None


class Process(msgspec.Struct, gc=False):
    """What spans ran in."""

    service: str | None = msgspec.field(name="serviceName", default=None)
    tags: msgspec.Raw = _NOTHING


class _Span(msgspec.Struct, gc=False):
    """A span as it stands in JSON; it doubles as its own `SpanDetails`, so that a span costs one object."""

    span_id: str = msgspec.field(name="spanID")
    name: str | None = msgspec.field(name="operationName", default=None)
    references: list[Reference] | None = None
    """After reading: only those that name no parent."""
    parent_id: str | None = msgspec.field(name="parentSpanID", default=None)
    """In exports of Jaeger before 1.8, which had no references."""
    start_us: Microseconds = msgspec.field(name="startTime", default=None)
    duration_us: Microseconds = msgspec.field(name="duration", default=None)
    start_ns: Nanoseconds = msgspec.field(name="startTimeUnixNano", default=None)
    """In traceq's own files, when microseconds do not tell the whole time; wins."""
    duration_ns: Nanoseconds = msgspec.field(name="durationNano", default=None)
    tags: msgspec.Raw = _NOTHING
    logs: msgspec.Raw = _NOTHING
    process_id: str | None = msgspec.field(name="processID", default=None)
    process: Process | None = None
    """After reading: the one that `processID` names, where there is one."""
    remarks: msgspec.Raw = msgspec.field(name="warnings", default=_NOTHING)

    def attributes(self) -> Attributes:
        """Read the tags."""
        return _attributes(self.tags)

    def resource(self) -> Attributes:
        """Read the tags of the process."""
        return {} if self.process is None else _resource(bytes(self.process.tags))

    def events(self) -> tuple[Event, ...]:
        """Read the logs, named by their first field `event`."""
        if is_empty(self.logs):
            return ()
        logs = decode(_LOGS, self.logs, f"cannot read the logs of span {self.span_id}") or ()
        return tuple(sorted((_event(log) for log in logs), key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Read the references other than the one that was the first choice for a parent."""
        return tuple(
            Link((reference.trace_id or "").lower(), (reference.span_id or "").lower(), _attributes(reference.tags))
            for reference in self.references or ()
            if _is_reference(reference)
        )

    def warnings(self) -> tuple[str, ...]:
        """Read what the server remarked."""
        if is_empty(self.remarks):
            return ()
        return tuple(decode(_REMARKS, self.remarks, f"cannot read the warnings of span {self.span_id}") or ())


class _Trace(msgspec.Struct, gc=False):
    spans: list[_Span] | None
    processes: dict[str, Process | None] | None = None
    warnings: list[str] | None = None


class _SpanId(msgspec.Struct, gc=False):
    trace_id: str | None = msgspec.field(name="traceID", default=None)


class _TraceId(msgspec.Struct, gc=False):
    spans: list[_SpanId] | None
    trace_id: str | None = msgspec.field(name="traceID", default=None)


class _BareSpan(msgspec.Struct, gc=False):
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


class _BareTrace(msgspec.Struct, gc=False):
    spans: list[_BareSpan] | None
    processes: dict[str, Process | None] | None = None
    warnings: list[str] | None = None


class _LargeTrace(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None
    processes: dict[str, Process | None] | None = None
    warnings: list[str] | None = None


_TRACE = msgspec.json.Decoder(_Trace, strict=False)
_TRACE_ID = msgspec.json.Decoder(_TraceId)
_TAGS = msgspec.json.Decoder(list[Tag] | None)
_LOGS = msgspec.json.Decoder(list[_Log] | None, strict=False)
_REMARKS = msgspec.json.Decoder(list[str] | None)
_BARE_TRACE = msgspec.json.Decoder(_BareTrace, strict=False)
_LARGE_TRACE = msgspec.json.Decoder(_LargeTrace, strict=False)
_SPANS = msgspec.json.Decoder(list[_BareSpan], strict=False)
_NO_PROCESS = Process()

_LARGE_BYTES = 4 * 2**20
"""Spans of larger traces are decoded some at a time: whole, they take three times the memory of their JSON."""
_SPANS_AT_A_TIME = 2_000

_ID_FIRST = re.compile(rb'\s*\{\s*"traceID"\s*:\s*"([0-9a-fA-F]{1,32})"')


def begins_with_trace_id(trace: msgspec.Raw) -> bool:
    """Whether these bytes begin as Jaeger writes a trace."""
    return _ID_FIRST.match(trace) is not None


def as_line(trace: Body | msgspec.Raw) -> bytes | None:
    """Give a trace without line ends; None where it does not begin with its id, as Jaeger and traceq write traces."""
    if not _ID_FIRST.match(trace):
        return None
    line = bytes(trace)
    # Text holds no line ends: they are escaped there.
    return msgspec.json.format(line, indent=-1) if b"\n" in line or b"\r" in line else line.strip()


def read_trace_id(trace: msgspec.Raw | memoryview, place: str) -> str | None:
    """Read the id of a trace without decoding its spans; None for a trace without spans and id.

    Args:
        trace: A v1 trace object.
        place: Where it stands, for people.

    Raises:
        DecodeError: If it is not a trace, or its spans do not tell which trace they are of.
    """
    # Jaeger writes the id first, and then the rest of the trace, often megabytes, need not be looked at.
    found = _ID_FIRST.match(trace)
    if found:
        return found.group(1).decode("ascii").lower()
    read = decode(_TRACE_ID, trace, f"cannot read a trace of {place}")
    trace_id = read.trace_id or next((span.trace_id for span in read.spans or ()), None)
    if not trace_id and read.spans:
        raise DecodeError(f"cannot read a trace of {place}: its spans have no traceID", hint=READABLE)
    return trace_id.lower() if trace_id else None


def decode_trace(trace: Body | msgspec.Raw, trace_id: str, place: str) -> TraceRecord:
    """Read a trace; details stay JSON until they are asked for.

    Args:
        trace: A v1 trace object.
        trace_id: What `read_trace_id` gave for it.
        place: Where it stands, for people.

    Raises:
        DecodeError: If it is not a v1 trace, or a span has no id.
    """
    what = f"cannot read trace {trace_id} of {place}"
    with collector_paused(), failures_told(what):
        record = _record(trace_id, _TRACE.decode(trace))
    if not VOID_IDS.isdisjoint(record.span_ids):
        raise DecodeError(f"{what}: spans[{first_void(record.span_ids)}] has no spanID", hint=READABLE)
    return record


def read_coded(trace: Body | msgspec.Raw, trace_id: str, place: str, builder: TableBuilder) -> CodedTrace:
    """Read a trace without details, in codes of this builder; see `decode_trace`.

    The caller pauses the collector: done here, for each small trace, that would take as long as reading it.

    Raises:
        DecodeError: If it is not a v1 trace, or a span has no id.
    """
    what = f"cannot read trace {trace_id} of {place}"
    with failures_told(what):
        if len(memoryview(trace)) < _LARGE_BYTES:
            whole = _BARE_TRACE.decode(trace)
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


def _some_at_a_time(spans: list[msgspec.Raw]) -> Iterable[list[_BareSpan]]:
    for start in range(0, len(spans), _SPANS_AT_A_TIME):
        yield _SPANS.decode(b"[%b]" % b",".join(spans[start : start + _SPANS_AT_A_TIME]))


def _coded(
    trace_id: str, batches: Iterable[list[_BareSpan]], trace: _BareTrace | _LargeTrace, builder: TableBuilder
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


def _add_parents(coded: CodedTrace, spans: list[_BareSpan]) -> None:
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


def _add_meanings(coded: CodedTrace, spans: list[_BareSpan], builder: TableBuilder) -> None:
    add, told = coded.meanings.append, builder.told
    for span in spans:
        texts = wanted_texts(span.tags) if span.tags else ()
        code = told.get(texts)
        if code is None:
            code = told[texts] = builder.meanings[meaning(texts)]
        add(code)


def _origins(spans: list[_BareSpan], known: dict[str, int], builder: TableBuilder) -> list[int]:
    """Give the code of each span's process: of the one it names, else of the one that stands within it."""
    try:
        return [known[span.process_id or ""] for span in spans]
    except KeyError:
        return [_origin_of(span, known, builder) for span in spans]


def _origin_of(span: _BareSpan, known: dict[str, int], builder: TableBuilder) -> int:
    code = known.get(span.process_id or "")
    return _origin(span.process or _NO_PROCESS, builder) if code is None else code


def _origin(process: Process, builder: TableBuilder) -> int:
    return builder.origin(process.service or "", host_of(bytes(process.tags)))


def find_attributes(
    trace: Body | msgspec.Raw, trace_id: str, place: str, span_ids: Collection[str]
) -> Iterator[tuple[str, str, Attributes]]:
    """Find spans of these ids, and give id, name and attributes of each, without a look into the others' tags.

    Raises:
        DecodeError: If it is not a v1 trace.
    """
    with collector_paused():
        spans = decode(_TRACE, trace, f"cannot read trace {trace_id} of {place}").spans or ()
    for span in spans:
        if span.span_id.lower() in span_ids:
            yield span.span_id.lower(), span.name or "", span.attributes()


def _record(trace_id: str, trace: _Trace) -> TraceRecord:
    spans = trace.spans or []
    processes = _find_processes(spans, trace.processes or {})
    # One process serves many spans, so what its tags say is read once.
    hosts = {id(process): host_of(bytes(process.tags)) for process in {id(each): each for each in processes}.values()}
    meanings = [meaning(wanted_texts(_TAGS.decode(span.tags) or ())) for span in spans]
    return TraceRecord(
        trace_id,
        span_ids=[span.span_id.lower() for span in spans],
        parent_ids=[take_parents(span, trace_id) for span in spans],
        start_ns=[(span.start_us or 0) * 1000 if span.start_ns is None else span.start_ns for span in spans],
        duration_ns=[
            (span.duration_us or 0) * 1000 if span.duration_ns is None else span.duration_ns for span in spans
        ],
        kinds=[kind for kind, _, _ in meanings],
        statuses=[status for _, status, _ in meanings],
        services=[process.service or "" for process in processes],
        names=[span.name or "" for span in spans],
        hosts=[hosts[id(process)] for process in processes],
        peers=[peer for _, _, peer in meanings],
        details=list(spans),
        warnings=trace.warnings or [],
    )


def _find_processes(spans: list[_Span], known: dict[str, Process | None]) -> list[Process]:
    """Let each span have its process: the one it names, else the one that stands within it, else an empty one."""
    nothing = Process()
    for span in spans:
        span.process = known.get(span.process_id or "") or span.process or nothing
    return [span.process or nothing for span in spans]


class _Referring(Protocol):
    references: list[Reference] | None
    parent_id: str | None


def take_parents(span: _Referring, trace_id: str) -> tuple[str, ...]:
    """Give the candidates for the parent, and leave the other references to be links."""
    references = span.references
    if not references:
        parent_id = (span.parent_id or "").lower()
        return () if parent_id in VOID_IDS else (parent_id,)
    first = references[0]
    if len(references) == 1 and first.trace_id == trace_id and first.span_id and first.span_id not in VOID_IDS:
        # Nearly every span; what follows gives the same in four times the time.
        span.references = None
        return (first.span_id.lower(),)
    candidates = [reference for reference in references if _is_reference(reference, trace_id)]
    candidates.sort(key=lambda reference: reference.type == "FOLLOWS_FROM")
    if candidates:
        references.remove(candidates[0])
    return tuple([(candidate.span_id or "").lower() for candidate in candidates])


def _is_reference(reference: Reference, trace_id: str | None = None) -> bool:
    """Whether it names a span (Jaeger's own clients write zeros for no parent), and one of this trace."""
    named = reference.trace_id or ""
    if (reference.span_id or "") in VOID_IDS or named in VOID_IDS:
        return False
    return trace_id is None or normal_id(named) == normal_id(trace_id)


def wanted_texts(tags: Iterable[Tag]) -> tuple[tuple[str, str], ...]:
    """Pick the tags that tell kind, status and peer, values as text: the hot path of reading."""
    return tuple(
        [
            # Written out for plain text, since a call a tag would double the time of this pass.
            (
                tag.key,
                tag.value if tag.type == "string" and type(tag.value) is str else semantics.value_text(_value(tag)),
            )
            for tag in tags
            if tag.key in TELLING
        ]
    )


def _attributes(tags: msgspec.Raw | bytes) -> dict[str, AttributeValue]:
    # Written out for text, as in `wanted_texts`.
    return {
        tag.key: tag.value if tag.type == "string" else _value(tag)
        for tag in decode(_TAGS, tags, "cannot read tags") or ()
    }


# Services send the same process with trace after trace.
@lru_cache(maxsize=1024)
def _resource(tags: bytes) -> Mapping[str, AttributeValue]:
    return MappingProxyType(_attributes(tags))


@lru_cache(maxsize=1024)
def host_of(tags: bytes) -> str:
    """Name the machine or pod that the tags of a process tell, as JSON; empty when they tell none."""
    return semantics.host(_resource(tags))


def _event(log: _Log) -> Event:
    time_ns = (log.time_us or 0) * 1000 if log.time_ns is None else log.time_ns
    fields = log.fields or []
    name = next((field for field in fields if field.key == "event"), None)
    text = semantics.value_text(_value(name)) if name else ""
    return Event(time_ns, text or "log", {field.key: _value(field) for field in fields if field is not name})


def _value(tag: Tag) -> AttributeValue:
    """Give the value that the tag's type says, whatever JSON it came as; what does not fit stays as it came."""
    value: AttributeValue = tag.value
    match tag.type:
        case "int64":
            return _whole(value)
        case "float64":
            return _fractional(value)
        case "binary":
            return _binary(value)
        case "bool" if isinstance(value, str) and value in {"true", "false"}:
            return value == "true"
        case _:
            return value


def _whole(value: AttributeValue) -> AttributeValue:
    # Jaeger writes numbers beyond 2^53 as text, for JavaScript.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,40}", value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _fractional(value: AttributeValue) -> AttributeValue:
    if not isinstance(value, (int, str)) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _binary(value: AttributeValue) -> AttributeValue:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return value
