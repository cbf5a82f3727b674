"""Bytes to traces: recognizes the format, splits documents into traces, decodes these into tables of some size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import inf
from typing import Protocol, TypeVar

import msgspec

from traceq.assembly import TableBuilder
from traceq.catalog import ServiceCall, sum_calls
from traceq.codec import jaeger, otlp, wire
from traceq.codec.wire import Body, collector_paused, reason, refusal
from traceq.records import Codebook, CodedTrace, join
from traceq.semantics import Attributes
from traceq.traces import FoundAttributes, Traces, low_half, normal_id
from traceq.untrusted import printable

_Value = TypeVar("_Value")


class Part(Protocol):
    """A trace, or the part of it that one document holds, not decoded yet."""

    @property
    def trace_id(self) -> str:
        """Lower-case hex, as long as the source gave it."""

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        """Decode the spans, now, with codes from this codebook.

        Callers that decode many parts should pause the garbage collector meanwhile.

        Args:
            codes: Gains the names, origins and meanings that it lacks.
            with_details: Whether to keep attributes, events and links.

        Raises:
            DecodeError: If they cannot be read.
        """

    def line(self) -> bytes | None:
        """Return the trace as it was written, without line ends, if that is Jaeger's v1 JSON; otherwise None."""

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        """Find the spans with these ids, and yield the id, name and attributes of each.

        Raises:
            DecodeError: If the spans cannot be read.
        """


@dataclass(frozen=True, slots=True)
class _JaegerPart:
    trace_id: str
    trace: msgspec.Raw | memoryview
    place: str

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        return jaeger.read_coded(self.trace, self.trace_id, self.place, codes, with_details=with_details)

    def line(self) -> bytes | None:
        return jaeger.as_line(self.trace)

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        return jaeger.find_attributes(self.trace, self.trace_id, self.place, span_ids)


@dataclass(frozen=True, slots=True)
class _OtlpPart:
    trace_id: str
    spans: Sequence[otlp.Located]

    def coded(self, codes: Codebook, *, with_details: bool) -> CodedTrace:
        return otlp.read_coded(self.spans, self.trace_id, codes, with_details=with_details)

    def line(self) -> bytes | None:
        return None

    def attributes(self, span_ids: Collection[str]) -> Iterator[tuple[str, str, Attributes]]:
        codes = Codebook()
        with collector_paused():
            coded = self.coded(codes, with_details=True)
        names = tuple(codes.names)
        for span_id, name, details in zip(coded.span_ids, coded.names, coded.details, strict=True):
            if span_id in span_ids:
                yield span_id, names[name], details.attributes()


@dataclass(frozen=True, slots=True)
class Document:
    """The contents of a document."""

    parts: Sequence[Part] = ()
    """In the order of the bytes; a trace may be spread over several."""
    calls: tuple[ServiceCall, ...] = ()
    """Empty unless the bytes are Jaeger's dependency table."""
    notes: tuple[str, ...] = ()
    """Failures that a server reported besides the traces that it did return, safe to show."""


def read_document(body: Body, location: str) -> Document:
    """Find the traces in Jaeger v1 or OTLP JSON: a single document, or one per line.

    Args:
        body: The bytes, uncompressed. Parts refer to them until they are decoded, so they must not change.
        location: Where they come from, for messages.

    Raises:
        DecodeError: If they are anything else, or broken. The spans themselves are checked by `Part.coded`.
    """
    place = printable(location)
    view = memoryview(body)
    start = wire.json_start(view, place)
    reader = _Reader()
    with collector_paused():
        try:
            reader.read(view[start:], place, start)
        except _MoreFollowsError as more:
            wire.check_lines(view, start, start + more.end, place)
            for number, line in wire.lines(view):
                reader.read_line(line, f"{place} line {number}")
    return Document(tuple(reader.parts), sum_calls(reader.calls), tuple(dict.fromkeys(reader.notes)))


def read_trace(trace: memoryview, location: str) -> Part:
    """Treat bytes as one trace in Jaeger's v1 JSON.

    Raises:
        DecodeError: If they hold no trace id.
    """
    place = printable(location)
    trace_id = jaeger.read_trace_id(trace, place)
    if trace_id is None:
        raise refusal(place, "a trace has neither id nor spans")
    return _JaegerPart(trace_id, trace, place)


class _MoreFollowsError(Exception):
    """Something follows a complete JSON document, perhaps the next line of JSON lines."""

    def __init__(self, end: int) -> None:
        super().__init__(end)
        self.end = end


_MISSING = msgspec.Raw()


class _Object(msgspec.Struct, gc=False, rename="camel"):
    """Every key that shows what a JSON object holds. Values are decoded only down to where traces begin."""

    data: list[msgspec.Raw] | dict[str, msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    resource_spans: list[otlp.ResourceSpans | None] | msgspec.UnsetType | None = msgspec.UNSET
    batches: list[otlp.ResourceSpans | None] | msgspec.UnsetType | None = msgspec.UNSET
    errors: msgspec.Raw = _MISSING
    error: msgspec.Raw = _MISSING
    spans: msgspec.Raw = _MISSING
    result: msgspec.Raw = _MISSING
    trace: msgspec.Raw = _MISSING
    child: msgspec.Raw = _MISSING
    call_count: msgspec.Raw = _MISSING


class _Data(msgspec.Struct, gc=False):
    data: msgspec.Raw


_OBJECT = msgspec.json.Decoder(_Object, strict=False)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_DATA = msgspec.json.Decoder(_Data)

_MAX_DEPTH = 4
"""How deeply documents may be nested: a list of envelopes of traces is 3 deep, and no known format is deeper."""


@dataclass(slots=True)
class _Reader:
    """Collects what a document holds."""

    parts: list[Part] = field(default_factory=list)
    calls: list[ServiceCall] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def read_line(self, line: memoryview, place: str) -> None:
        start = wire.json_start(line, place)
        try:
            self.read(line[start:], place, start)
        except _MoreFollowsError as more:
            raise refusal(place, f"something follows the JSON document, at byte {start + more.end}") from more

    def read(self, body: memoryview, place: str, start: int = 0, depth: int = 0) -> None:
        """Read an object or list.

        Raises:
            DecodeError: If it is broken, or not of traces.
            _MoreFollowsError: If something follows it.
        """
        if depth > _MAX_DEPTH:
            raise refusal(place, "nested too deep for traces")
        if body[0] == ord("["):
            self._read_list(_decode(_LIST, body, place, start), place, depth)
        else:
            self._read_object(_decode(_OBJECT, body, place, start), body, place, depth)

    def _read_list(self, items: list[msgspec.Raw], place: str, depth: int) -> None:
        for position, item in enumerate(items):
            # In a long list of traces only the first is examined closely, as long as the others begin in the same way.
            if position and jaeger.begins_with_trace_id(item):
                self._add_trace(item, place)
            elif memoryview(item)[0] in b"{[":
                self.read(memoryview(item), place, depth=depth + 1)
            else:
                raise refusal(place, "it looks like a list of names or numbers, as Jaeger's API answers for services")

    def _read_object(self, found: _Object, body: memoryview, place: str, depth: int) -> None:
        message = _told(found)
        if self._read_content(found, body, place, depth):
            self.notes += [message] if message else []
        elif message:
            raise refusal(place, f"it tells an error: {message}")
        elif not _is_empty(found):
            keys = _decode(wire.KEYS, body, place)
            if keys:
                raise refusal(place, f"it looks like {wire.looks_like(keys)}")

    def _read_content(self, found: _Object, body: memoryview, place: str, depth: int) -> bool:
        """Read the traces that the object holds; return whether it is about traces at all: an empty list counts."""
        if isinstance(found.resource_spans, list) or isinstance(found.batches, list):
            self._add_spans([*(found.resource_spans or ()), *(found.batches or ())], place)
        elif isinstance(found.data, list):
            self._read_list(found.data, place, depth)
        elif isinstance(found.data, dict):
            self.read(memoryview(_decode(_DATA, body, place).data), place, depth=depth + 1)
        elif found.spans is not _MISSING:
            self._add_trace(body, place)
        elif found.child is not _MISSING and found.call_count is not _MISSING:
            # Late, as in `_told`: few files hold anything but traces.
            from traceq.codec.answers import CALL

            call = _decode(CALL, body, place)
            self.calls.append(ServiceCall(call.parent, call.child, call.call_count))
        else:
            return self._read_wrapped(found, place, depth)
        return True

    def _read_wrapped(self, found: _Object, place: str, depth: int) -> bool:
        """Read the contents of `result`, as in Jaeger's v3 answers, and of `trace`, as in Tempo's."""
        wrapped = [memoryview(each) for each in (found.result, found.trace) if each is not _MISSING]
        objects = [each for each in wrapped if each[0] in b"{["]
        for each in objects:
            self.read(each, place, depth=depth + 1)
        return bool(objects)

    def _add_trace(self, trace: msgspec.Raw | memoryview, place: str) -> None:
        trace_id = jaeger.read_trace_id(trace, place)
        if trace_id:
            self.parts.append(_JaegerPart(trace_id, trace, place))

    def _add_spans(self, groups: list[otlp.ResourceSpans | None], place: str) -> None:
        self.parts += (_OtlpPart(trace_id, spans) for trace_id, spans in otlp.split(groups, place).items())


def _decode(decoder: msgspec.json.Decoder[_Value], body: memoryview, place: str, start: int = 0) -> _Value:
    try:
        return decoder.decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(place, reason(error)) from error
    except msgspec.DecodeError as error:
        end = wire.document_end(error)
        if end is not None:
            raise _MoreFollowsError(end) from error
        raise wire.broken(body, error, place, start) from error


def _told(found: _Object) -> str:
    """Return the failure that the object reports; empty if there is none."""
    errors, error = (bytes(each) or b"null" for each in (found.errors, found.error))
    if errors == error == b"null":
        return ""
    from traceq.codec.answers import error_message

    return error_message(b'{"errors":%b,"error":%b}' % (errors, error))


def _is_empty(found: _Object) -> bool:
    """Whether the object says that it holds no traces, by a null in their place."""
    return None in (found.data, found.resource_spans, found.batches)


BATCH_SPANS = 50_000
"""The larger a table, the less its sums cost per span; a table takes about 150 bytes per span."""
DETAILED_SPANS = 20_000
"""Details take about 1 KB more per span."""


def by_trace(parts: Iterable[Part]) -> dict[str, list[Part]]:
    """Collect the parts of each trace, by `normal_id`.

    What is stored under the low 64 bits of a trace's id belongs to it.
    """
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(normal_id(part.trace_id), []).append(part)
    halves = [trace_id for trace_id in groups if len(trace_id) <= 16]
    if 0 < len(halves) < len(groups):
        whole = {low_half(trace_id): trace_id for trace_id in groups if len(trace_id) > 16}
        for half in halves:
            if half in whole:
                groups[whole[half]] += groups.pop(half)
    return groups


def read_tables(groups: Iterable[Sequence[Part]], *, with_details: bool) -> Iterator[Traces]:
    """Decode traces into tables; each trace is whole in one of them.

    Args:
        groups: The parts of each trace.
        with_details: Whether to keep attributes, events and links.

    Raises:
        DecodeError: If one of them cannot be read.
    """
    remaining = iter(groups)
    enough = DETAILED_SPANS if with_details else BATCH_SPANS
    while True:
        with collector_paused():
            table = _read_table(remaining, enough, with_details=with_details)
        if not len(table):
            return
        yield table


def read_table(groups: Iterable[Sequence[Part]], *, with_details: bool) -> Traces:
    """Decode traces into one table; see `read_tables`."""
    with collector_paused():
        return _read_table(iter(groups), inf, with_details=with_details)


def read_attributes(
    groups: Mapping[str, Sequence[Part]], wanted: Mapping[str, Collection[str]]
) -> Iterator[FoundAttributes]:
    """Read the attributes of some spans.

    Args:
        groups: The parts of each trace, by `normal_id`.
        wanted: Span ids by trace id, as they are in tables.

    Raises:
        DecodeError: If a trace cannot be read.
    """
    for trace_id, span_ids in wanted.items():
        for part in groups[normal_id(trace_id)]:
            for found in part.attributes(span_ids):
                yield FoundAttributes(trace_id, *found)


def _read_table(groups: Iterator[Sequence[Part]], enough: float, *, with_details: bool) -> Traces:
    builder = TableBuilder()
    for group in groups:
        builder.add(join([part.coded(builder.codes, with_details=with_details) for part in group]))
        if builder.span_count >= enough:
            break
    return builder.table(with_details=with_details)


@dataclass(frozen=True, slots=True)
class PartsLeftOut:
    """Reads the details of traces that were decoded without them."""

    groups: Mapping[str, Sequence[Part]]
    """The parts of each trace of the table, by `normal_id`, in the table's order."""
    read: Callable[[Sequence[Sequence[Part]]], Traces]
    """Decodes parts into a table with attributes."""
    failures_told: Callable[[], AbstractContextManager[None]] = nullcontext
    """Wraps every read, to say whose bytes cannot be read."""

    @classmethod
    def of(
        cls,
        traces: Traces,
        groups: Mapping[str, Sequence[Part]],
        read: Callable[[Sequence[Sequence[Part]]], Traces],
        failures_told: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> PartsLeftOut:
        """Keep only the parts that the table was read from."""
        return cls({key: groups[key] for key in map(normal_id, traces.trace_ids)}, read, failures_told)

    def table(self) -> Traces:
        """Read the same traces with attributes, events and links."""
        with self.failures_told():
            return self.read(tuple(self.groups.values()))

    def document(self, trace_id: str) -> bytes:
        """Return a trace as Jaeger's v1 JSON in one line, unchanged if that is what the source wrote."""
        parts = self.groups[normal_id(trace_id)]
        written = parts[0].line() if len(parts) == 1 else None
        if written is not None:
            return written
        # Late, as in `Found.document`: few commands write traces.
        from traceq.codec.jaeger_writer import encode_trace

        with self.failures_told():
            return encode_trace(self.read([parts]), 0)

    def attributes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[FoundAttributes]:
        """Read the attributes of some spans."""
        with self.failures_told():
            yield from read_attributes(self.groups, wanted)
