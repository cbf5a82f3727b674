"""Finds the traces in OTLP's protobuf requests, which may be many small ones.

Exporters send a group of spans for each process, and collectors write a message for each request, so that there may be
hardly more than one span in each. So they are parsed many at a time, which costs far less than one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from msgspec import Struct

from traceq.codec import otlp_messages as messages
from traceq.codec import wire
from traceq.codec.otlp_frames import (
    OLD_SCOPES,
    Message,
    is_plain_span,
    other_signal,
    split_frames,
    unframed,
    whole_part,
)
from traceq.codec.otlp_protobuf import Located, Origin, read_coded
from traceq.codec.parts import Part, SpansPart
from traceq.codec.wire import READABLE, Body, refusal
from traceq.errors import DecodeError, NothingWholeError
from traceq.units import plural
from traceq.untrusted import printable


class Requests(Struct):
    """Looks for traces in messages `ExportTraceServiceRequest` (or `TracesData`, which is the same) from one place."""

    place: str
    """Where they come from, safe to show."""
    refused: list[DecodeError] = []
    """For each message with logs or metrics why it was left out."""
    nameless: int = 0
    """How many spans were left out since they name no trace."""
    damaged: int = 0
    """How many messages are broken, or cut off; only what is whole in them was taken."""

    def parts(self, requests: Iterable[Body]) -> list[Part]:
        """Find the traces; the spans are checked by `Part.coded`."""
        traces: dict[bytes, list[Located]] = {}
        origins: dict[tuple[bytes, bytes], Origin] = {}
        for resource, scope, spans in chain.from_iterable(self._scoped(requests)):
            origin = origins.get((resource, scope))
            if origin is None:
                origin = origins[resource, scope] = Origin(resource, scope, self.where)
            for span in spans:
                traces.setdefault(_trace_id(span), []).append((origin, span))
        self.nameless += sum(len(traces.pop(trace_id, ())) for trace_id in _NAMELESS)
        return [SpansPart(trace_id.hex(), spans, read_coded) for trace_id, spans in traces.items()]

    def trace_ids(self, requests: Iterable[Body]) -> Iterator[set[str]]:
        """Find the ids of the traces in each message."""
        for scoped in self._scoped(requests):
            found = [_trace_id(span) for _, _, spans in scoped for span in spans]
            named = set(found)
            if not _NAMELESS.isdisjoint(named):
                named -= _NAMELESS
                self.nameless += sum(trace_id not in named for trace_id in found)
            yield {trace_id.hex() for trace_id in named}

    @property
    def where(self) -> str:
        """The place of spans that cannot be named otherwise."""
        return f"resourceSpans of {self.place}"

    def notes(self, found: Sequence[Message], *, is_all: bool) -> list[str]:
        """Say what was left out, except for spans that name no trace.

        Args:
            found: The messages.
            is_all: Whether no traces were found, so that nothing is left.

        Raises:
            DecodeError: If nothing is left, for the first reason.
        """
        is_cut = not found[-1].is_whole
        if is_all and self.refused:
            raise self.refused[0]
        if is_all and is_cut:
            raise NothingWholeError(
                self.place, "broken protobuf: it ends in the middle, and nothing before that is whole", READABLE
            )
        if is_all and self.damaged:
            raise DecodeError(f"cannot read traces from {self.place}: broken protobuf", hint=READABLE)
        count = plural(self.damaged, "message")
        told = f"broken, or cut off: {count}, of which the spans before the break are read; others are missing"
        cut = [wire.cut_off(f"the message at byte {found[-1].start}")] if is_cut and found[-1].is_framed else []
        return [*cut, *([told] if self.damaged else ()), *wire.left_out(self.refused, "message", self.place)]

    def _scoped(self, requests: Iterable[Body]) -> Iterator[list[tuple[bytes, bytes, Sequence[bytes]]]]:
        """Give for each message the resource and scope, and the spans that ran in them."""
        for written, request in self._parsed(requests):
            is_old = OLD_SCOPES in written
            found = [
                (group.resource, scoped.scope, scoped.spans[:])
                for group in request.resource_spans
                for scoped in (
                    (*group.scope_spans, *group.instrumentation_library_spans) if is_old else group.scope_spans
                )
            ]
            signals = [_other_signal(spans) for _, _, spans in found]
            if any(signals):
                found = [each for each, signal in zip(found, signals, strict=True) if not signal]
                self.refused.append(refusal(self.place, f"it looks like {next(filter(None, signals))}"))
            yield found

    def _parsed(self, requests: Iterable[Body]) -> Iterator[tuple[bytes, Any]]:
        for some in _batches(requests):
            try:
                together = messages.WrittenRequests(requests=some).SerializeToString()
                yield from zip(some, messages.Requests.FromString(together).requests, strict=True)
            except messages.BrokenMessageError:
                yield from zip(some, map(self._mended, some), strict=True)

    def _mended(self, request: bytes) -> Any:
        for written in (request, whole_part(memoryview(request))):
            try:
                return messages.Request.FromString(written)
            except messages.BrokenMessageError:
                self.damaged += written is request
        return messages.Request()


def request_parts(ranges: Iterable[memoryview], location: str, *, are_framed: bool) -> list[Part]:
    """Find the traces in ranges of a file that are messages; what is left out of them is told already."""
    place = printable(location)
    if are_framed:
        return Requests(place).parts(
            unframed(frames[frame.start : frame.stop], place) for frames in ranges for frame in split_frames(frames)
        )
    return Requests(place).parts(ranges)


def _batches(requests: Iterable[Body]) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    size = 0
    for request in requests:
        some.append(bytes(request))
        size += len(request)
        if size >= _BATCH_BYTES:
            yield some
            some, size = [], 0
    yield some


_BATCH_BYTES = 2**20
"""Enough that the messages outweigh what parsing costs, and little beside what is read."""


def _other_signal(items: Sequence[bytes]) -> str | None:
    """Name what a scope holds, if it is no spans: protobuf names no type, and other signals differ in their items."""
    if not items or is_plain_span(items[0]):
        return None
    signals = list(map(other_signal, items))
    return signals[0] if all(signals) else None


_TRACE_ID = b"\x0a\x10"
"""The tag of the field `trace_id`, and the length of an id."""
_SPAN_ID = b"\x12\x08"
_NAMELESS = frozenset((b"", bytes(16)))


def _trace_id(span: bytes) -> bytes:
    """Read the id of a span's trace; empty if it names none.

    SDKs write it first, and collectors, which write backwards, last, so that nothing needs to be parsed for it. Reading
    the span checks it.
    """
    if span[:2] == _TRACE_ID:
        return span[2:18]
    if span[-18:-16] == _TRACE_ID and span[-28:-26] == _SPAN_ID:
        return span[-16:]
    try:
        trace_id: bytes = messages.Span.FromString(span).trace_id
    except messages.BrokenMessageError:
        return b""
    return trace_id
