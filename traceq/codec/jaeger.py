"""Reads Jaeger's v1 JSON: what its HTTP API answers, its UI downloads, and others imitate.

Source: Jaeger 1.51 to 2.20, `internal/uimodel`. Reading is lenient, since imitations send numbers as text, null for
empty lists, every tag as a string, or no processes. The writer is `json_writers`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import msgspec

from traceq import semantics
from traceq.codec.jaeger_fields import NOTHING, AnySpan, Log, Process, Reference, Span, Tag, is_other
from traceq.codec.mending import decoded, is_odd, repairs
from traceq.codec.wire import (
    BROKEN,
    READABLE,
    VOID_IDS,
    Body,
    collector_paused,
    decode,
    failure,
    failures_told,
    is_empty,
)
from traceq.errors import DecodeError
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, AttributeValue, abridged, meaning
from traceq.traces import Event, Link, TraceWarning, is_same_trace
from traceq.untrusted import quoted

if TYPE_CHECKING:
    from traceq.codec.jaeger_mending import MendedTrace

_FOLLOWS_FROM = "FOLLOWS_FROM"
"""The type of reference that names what a span comes after, without saying that it waited for the span."""


class _DetailedSpan(AnySpan, gc=False):
    """A span as it is in JSON; it serves as its own `SpanDetails`, so that a span costs one object."""

    tags: msgspec.Raw = NOTHING
    logs: msgspec.Raw = NOTHING
    remarks: list[str] | None = msgspec.field(name="warnings", default=None)

    def attributes(self) -> Attributes:
        """Read the tags."""
        return _attributes(self.tags)

    def resource(self) -> Attributes:
        """Read the tags of the process."""
        return {} if self.process is None else _resource(bytes(self.process.tags))

    def events(self) -> tuple[Event, ...]:
        """Read the logs; an event is named by its first field called `event`."""
        if is_empty(self.logs):
            return ()
        logs = decode(_LOGS, self.logs, f"cannot read the logs of span {self.span_id}") or ()
        return tuple(sorted((_event(log) for log in logs), key=lambda event: event.time_ns))

    def links(self) -> tuple[Link, ...]:
        """Read the references other than the one that was the first candidate for the parent."""
        return tuple(
            Link((reference.trace_id or "").lower(), (reference.span_id or "").lower(), _attributes(reference.tags))
            for reference in self.references or ()
            if _is_reference(reference)
        )

    def warnings(self) -> tuple[str, ...]:
        """Read the server's remarks."""
        return tuple(self.remarks or ())


class _SpanId(msgspec.Struct, gc=False):
    trace_id: str | None = msgspec.field(name="traceID", default=None)


class _TraceId(msgspec.Struct, gc=False):
    spans: list[_SpanId] | None
    trace_id: str | None = msgspec.field(name="traceID", default=None)


_Item = TypeVar("_Item")
_Processes: TypeAlias = dict[str, Process | None]


class _Trace(msgspec.Struct, Generic[_Item], gc=False):
    spans: list[_Item] | None
    processes: _Processes | None = None
    warnings: list[str] | None = None


_DETAILED_TRACE = msgspec.json.Decoder(_Trace[_DetailedSpan], strict=False)
_TRACE_ID = msgspec.json.Decoder(_TraceId)
_TAGS = msgspec.json.Decoder(list[Tag] | None)
_LOGS = msgspec.json.Decoder(list[Log] | None, strict=False)
_TRACE = msgspec.json.Decoder(_Trace[Span], strict=False)
_LARGE_TRACE = msgspec.json.Decoder(_Trace[msgspec.Raw], strict=False)
_SPAN = msgspec.json.Decoder(Span, strict=False)
_NO_PROCESS = Process()

_LARGE_BYTES = 4 * 2**20
"""Spans of larger traces are decoded in batches: decoded, they take three times the memory of their JSON."""
_SPANS_AT_A_TIME = 128
"""Decoded, so many stay in a processor's cache."""
_HALF_DIGITS = 16
"""The length of half a trace id, for which the whole may stand."""

_ID_FIRST = re.compile(rb'\s*\{\s*"traceID"\s*:\s*"([0-9a-fA-F]{1,32})"')


_TRACE_FIRST = re.compile(rb'%b\s*,\s*"(?!spanID")' % _ID_FIRST.pattern)


def begins_as_trace(trace: msgspec.Raw | memoryview) -> bool:
    """Whether these bytes begin with a trace's id, and not a span's after it, as traces do that Jaeger writes."""
    return _TRACE_FIRST.match(trace) is not None


def as_line(trace: Body | msgspec.Raw) -> bytes | None:
    """Return a trace without line ends; None unless it begins with its id, as traces by Jaeger and traceq do."""
    if not _ID_FIRST.match(trace):
        return None
    line = bytes(trace)
    # Strings hold no line ends, since they are escaped.
    return msgspec.json.format(line, indent=-1) if b"\n" in line or b"\r" in line else line.strip()


def read_trace_id(trace: msgspec.Raw | memoryview, place: str) -> str | None:
    """Read the id of a trace without decoding its spans; None for a trace without spans and id.

    Args:
        trace: A v1 trace object.
        place: Where it is, for messages.

    Raises:
        DecodeError: If it is not a trace, or neither the trace nor its spans have a trace id.
    """
    # Jaeger writes the id first, so that the rest of the trace, often megabytes, need not be decoded.
    found = _ID_FIRST.match(trace)
    if found:
        return found.group(1).decode("ascii").lower()
    spans: Sequence[object]
    try:
        read = _TRACE_ID.decode(trace)
        spans, named = read.spans or [], read.trace_id or next((span.trace_id for span in read.spans or ()), None)
    except BROKEN as error:
        spans, named = _ids_however_written(trace)
        if named is None:
            raise failure(f"cannot read a trace of {place}", error) from error
    if not named and spans:
        raise DecodeError(f"cannot read a trace of {place}: its spans have no traceID", hint=READABLE)
    return named.lower() if named else None


def _ids_however_written(trace: msgspec.Raw | memoryview) -> tuple[list[object], str | None]:
    """Read the spans of a trace that has to be mended, and the first id among those of the trace and of its spans."""
    try:
        found = decoded(msgspec.Raw(bytes(trace)))
    except BROKEN:
        return [], None
    spans = found.get("spans")
    listed = spans if isinstance(spans, list) else []
    named = (each.get("traceID") for each in (found, *listed) if isinstance(each, dict))
    return listed, next((str(each) for each in named if each and isinstance(each, (str, int))), None)


def read_coded(
    trace: Body | msgspec.Raw, trace_id: str, place: str, codes: Codebook, *, with_details: bool
) -> CodedTrace:
    """Read a trace; details stay JSON until they are asked for.

    The caller pauses the garbage collector: doing so here, for each small trace, would take as long as reading it.

    Args:
        trace: A v1 trace object.
        trace_id: What `read_trace_id` gave for it.
        place: Where it is, for messages.
        codes: The codes of the table that the trace will be part of.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If it is not a v1 trace, or a span has no id.
    """
    what = f"cannot read trace {trace_id} of {place}"
    try:
        coded = _read(trace, trace_id, codes, with_details=with_details)
    except (*BROKEN, DecodeError):
        coded = None
    if coded is None or is_odd(coded.start_ns) or not VOID_IDS.isdisjoint(coded.span_ids):
        with failures_told(what):
            mended = _mended(trace, trace_id)
            coded = _read(mended.trace, trace_id, codes, with_details=with_details)
        coded.repairs += [*mended.repairs, *repairs(mended.spans, mended.span_count, trace_id, coded.span_ids)]
    _lower(coded)
    return coded


def _mended(trace: Body | msgspec.Raw, trace_id: str) -> MendedTrace:
    # Late: hardly any trace needs it.
    from traceq.codec.jaeger_mending import mended_trace

    return mended_trace(trace, trace_id)


def _read(trace: Body | msgspec.Raw, trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    if with_details:
        return _read_detailed(_DETAILED_TRACE.decode(trace), trace_id, codes)
    if len(memoryview(trace)) < _LARGE_BYTES:
        whole = _TRACE.decode(trace)
        return _coded(trace_id, [whole.spans or []], whole, codes)
    large = _LARGE_TRACE.decode(trace)
    return _coded(trace_id, _some_at_a_time(large.spans or []), large, codes)


def _read_detailed(trace: _Trace[_DetailedSpan], trace_id: str, codes: Codebook) -> CodedTrace:
    spans, processes = trace.spans or [], trace.processes or {}
    coded = _coded(trace_id, [spans], trace, codes)
    for span in spans:
        if not is_empty(span.logs):
            _LOGS.decode(span.logs)  # fails here, and not later, if they have to be mended
        span.process = processes.get(span.process_id or "") or span.process
    coded.details += spans
    return coded


def _lower(coded: CodedTrace) -> None:
    """Convert ids to lower case; nearly all of them are."""
    ids = "".join(coded.span_ids) + "".join(filter(None, coded.parent_ids))
    if ids != ids.lower():
        coded.span_ids = [span_id.lower() for span_id in coded.span_ids]
        coded.parent_ids = [parent_id and parent_id.lower() for parent_id in coded.parent_ids]


def _some_at_a_time(spans: list[msgspec.Raw]) -> Iterable[list[Span]]:
    for start in range(0, len(spans), _SPANS_AT_A_TIME):
        yield list(map(_SPAN.decode, spans[start : start + _SPANS_AT_A_TIME]))


def _coded(
    trace_id: str,
    batches: Iterable[list[Span] | list[_DetailedSpan]],
    trace: _Trace[_Item],
    codes: Codebook,
) -> CodedTrace:
    coded = CodedTrace(trace_id, warnings=trace.warnings or [])
    processes = trace.processes or {}
    origins = {key: _origin(process, codes) for key, process in processes.items() if process is not None}
    for spans in batches:
        _add_parents(coded, spans, processes)
        _add_meanings(coded, spans, codes)
        coded.span_ids += [span.span_id for span in spans]
        if [span.trace_id for span in spans].count(trace_id) < len(spans):
            coded.repairs += _strays(spans, trace_id)
        coded.start_ns += [(span.start_us or 0) * 1000 if span.start_ns is None else span.start_ns for span in spans]
        coded.duration_ns += [
            (span.duration_us or 0) * 1000 if span.duration_ns is None else span.duration_ns for span in spans
        ]
        names = codes.names
        coded.names += [names[span.name or ""] for span in spans]
        coded.origins += _origins(spans, origins, codes)
    return coded


def _strays(spans: list[Span] | list[_DetailedSpan], trace_id: str) -> Iterator[TraceWarning]:
    """Name the spans that belong to another trace than the one that lists them."""
    for span in spans:
        if is_other(span.trace_id, trace_id):
            told = f"it names the trace {quoted(span.trace_id or '', 40)}, and is kept in the one that lists it"
            yield TraceWarning("other-trace", trace_id, told, span.span_id.lower())


def _add_parents(coded: CodedTrace, spans: list[Span] | list[_DetailedSpan], processes: _Processes) -> None:
    parent_ids, trace_id = coded.parent_ids, coded.trace_id
    low_half = trace_id[-_HALF_DIGITS:].zfill(_HALF_DIGITS)
    # What is left of them are links, which only spans with details have.
    has_links = bool(spans) and isinstance(spans[0], _DetailedSpan)
    for span in spans:
        references = span.references
        # Nearly every span has this single reference, to its parent; others have links into other traces after it.
        if (
            references
            and (first := references[0]).trace_id == trace_id
            and first.type != _FOLLOWS_FROM
            and (parent_id := first.span_id or "") not in VOID_IDS
            and (len(references) == 1 or _are_elsewhere(references[1:], low_half))
        ):
            parent_ids.append(parent_id)
            if has_links:
                span.references = references[1:] or None
        elif _are_elsewhere(references, low_half) if references else not span.parent_id:
            parent_ids.append(None)
        else:
            coded.add_parents(*_take_parents(span, trace_id, processes))


def _are_elsewhere(references: Iterable[Reference], low_half: str) -> bool:
    """Whether these lead into other traces than that of this low half, as nearly all links do; False if in doubt."""
    for reference in references:
        named = reference.trace_id or ""
        if len(named) < _HALF_DIGITS or named[-_HALF_DIGITS:].lower() == low_half:
            return False
    return True


def _add_meanings(coded: CodedTrace, spans: list[Span] | list[_DetailedSpan], codes: Codebook) -> None:
    """Select the tags that become columns, as keys and values (text) in turn. This is the hot path of reading."""
    meanings, told = coded.meanings, codes.told
    for span in spans:
        found: list[str] = []
        for tag in (span.tags if isinstance(span, Span) else _TAGS.decode(span.tags)) or ():
            key = tag.key
            if key in TELLING:
                found.append(key)
                value = tag.value
                if key in ABRIDGED:
                    found.append(abridged(key, value) if key in SHORTENED else "")
                elif tag.type == "string" and type(value) is str:
                    found.append(value)  # most of them
                else:
                    found.append(semantics.value_text(_value(tag)))
        texts = tuple(found)
        code = told.get(texts)
        if code is None:
            code = told[texts] = codes.meanings[meaning(texts)]
        meanings.append(code)


def _origins(spans: list[Span] | list[_DetailedSpan], known: dict[str, int], codes: Codebook) -> list[int]:
    """Return the code of each span's process: the one that it names, or else the one inside the span."""
    try:
        return [known[span.process_id or ""] for span in spans]
    except KeyError:
        return [_origin_of(span, known, codes) for span in spans]


def _origin_of(span: Span | _DetailedSpan, known: dict[str, int], codes: Codebook) -> int:
    code = known.get(span.process_id or "")
    return _origin(span.process or _NO_PROCESS, codes) if code is None else code


def _origin(process: Process, codes: Codebook) -> int:
    return codes.origin(process.service or "", _host(bytes(process.tags)))


def find_attributes(
    trace: Body | msgspec.Raw, trace_id: str, place: str, span_ids: Collection[str]
) -> Iterator[tuple[str, str, Attributes]]:
    """Find the spans with these ids, and yield the id, name and attributes of each; other tags are not decoded.

    Raises:
        DecodeError: If it is not a v1 trace.
    """
    with collector_paused():
        try:
            spans = _DETAILED_TRACE.decode(trace).spans or ()
        except BROKEN:
            with failures_told(f"cannot read trace {trace_id} of {place}"):
                spans = _DETAILED_TRACE.decode(_mended(trace, trace_id).trace).spans or ()
    for span in spans:
        if span.span_id.lower() in span_ids:
            yield span.span_id.lower(), span.name or "", span.attributes()


def _take_parents(span: Span | _DetailedSpan, trace_id: str, processes: _Processes) -> tuple[tuple[str, ...], int]:
    """Return the candidates for the parent and how many of them are named by CHILD_OF; the rest remain as links.

    OpenTracing's clients name the parent of what is not waited for by FOLLOWS_FROM. Of spans that came over OTLP these
    references are links, which stand in for a parent only where `otlp` lets them do so, too.
    """
    references = span.references
    if not references:
        parent_id = (span.parent_id or "").lower()
        return () if parent_id in VOID_IDS else (parent_id,), 1
    candidates = [reference for reference in references if _is_reference(reference, trace_id)]
    candidates.sort(key=lambda reference: reference.type == _FOLLOWS_FROM)
    child_of_count = sum(candidate.type != _FOLLOWS_FROM for candidate in candidates)
    if child_of_count < len(candidates) and _has_only_links(span, processes):
        candidates = candidates[:child_of_count]
    if candidates:
        references.remove(candidates[0])
    return tuple([(candidate.span_id or "").lower() for candidate in candidates]), child_of_count


def _has_only_links(span: Span | _DetailedSpan, processes: _Processes) -> bool:
    """Whether FOLLOWS_FROM references of this span are links that name no parent."""
    tags = (span.tags if isinstance(span, Span) else _TAGS.decode(span.tags)) or ()
    attributes = {tag.key: _value(tag) for tag in tags}
    process = processes.get(span.process_id or "") or span.process
    if not semantics.is_from_opentelemetry(attributes, _resource(bytes(process.tags)) if process else {}):
        return False
    kind = semantics.kind_from_text(semantics.value_text(attributes.get("span.kind")))
    return not semantics.takes_messages(kind, semantics.activity(attributes))


def _is_reference(reference: Reference, trace_id: str | None = None) -> bool:
    """Whether it names a span (Jaeger's clients write zeros for no parent), and, if asked, one of this trace."""
    named = reference.trace_id or ""
    if (reference.span_id or "") in VOID_IDS or named in VOID_IDS:
        return False
    return trace_id is None or is_same_trace(named, trace_id)


def _attributes(tags: msgspec.Raw | bytes) -> dict[str, AttributeValue]:
    # Text is handled inline, as in `_add_meanings`.
    return {
        tag.key: tag.value if tag.type == "string" else _value(tag)
        for tag in decode(_TAGS, tags, "cannot read tags") or ()
    }


# Services send the same process with trace after trace.
@lru_cache(maxsize=1024)
def _resource(tags: bytes) -> Mapping[str, AttributeValue]:
    return MappingProxyType(_attributes(tags))


@lru_cache(maxsize=1024)
def _host(tags: bytes) -> str:
    """Find the machine or pod in the tags of a process (JSON); empty if they name none."""
    return semantics.host(_resource(tags))


def _event(log: Log) -> Event:
    time_ns = (log.time_us or 0) * 1000 if log.time_ns is None else log.time_ns
    fields = log.fields or []
    name = next((field for field in fields if field.key == "event"), None)
    text = semantics.value_text(_value(name)) if name else ""
    return Event(time_ns, text or "log", {field.key: _value(field) for field in fields if field is not name})


def _value(tag: Tag) -> AttributeValue:
    """Convert the value to the tag's type, whatever JSON it came as; a value that does not fit stays as it is."""
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
