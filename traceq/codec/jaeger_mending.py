"""Puts right what is wrong with a trace in Jaeger's v1 JSON, span by span; see `mending`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from traceq.codec.damage import marked
from traceq.codec.fitting import Fitting
from traceq.codec.jaeger_fields import Process, Reference, Span, Tag
from traceq.codec.mending import Mended, Mender, decoded, encoded, unit_told, warnings_of
from traceq.codec.wire import BROKEN, Body
from traceq.traces import TraceWarning
from traceq.units import NS_PER_US


class _WholeReference(Reference, gc=False):
    tags: list[Tag] | None = None  # type: ignore[assignment]  # decoded here


class _WholeProcess(Process, gc=False):
    tags: list[Tag] | None = None  # type: ignore[assignment]


class _WholeSpan(Span, gc=False):
    """A span with nothing left to decode."""

    trace_id: str | None = msgspec.field(name="traceID", default=None)
    references: list[_WholeReference] | None = None  # type: ignore[assignment]  # decoded here
    process: _WholeProcess | None = None


class _RawSpans(msgspec.Struct, gc=False):
    spans: list[msgspec.Raw] | None


class _Shell(msgspec.Struct, gc=False):
    """What a trace has besides its spans."""

    processes: dict[str, _WholeProcess | None] | None = None
    warnings: list[str] | None = None


_MENDER = Mender(
    msgspec.json.Decoder(_WholeSpan, strict=False),
    frozenset(("spanID", "operationName", "startTime", "startTimeUnixNano")),
    "spanID",
    "startTime",
    NS_PER_US,
)
_RAW_SPANS = msgspec.json.Decoder(_RawSpans)
_RAW_SHELL = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SHELL = msgspec.json.Decoder(_Shell, strict=False)


class MendedTrace(NamedTuple):
    """A trace that was put right."""

    trace: bytes
    spans: list[Mended]
    span_count: int
    """How many there were."""
    repairs: list[TraceWarning]
    """What was done to the trace as a whole."""


def mended_trace(trace: Body | msgspec.Raw, trace_id: str) -> MendedTrace:
    """Put right what is wrong with a trace, span by span.

    Raises:
        msgspec.MsgspecError: If it is not JSON, or has no list of spans.
    """
    written = msgspec.Raw(bytes(trace))
    try:
        spans = _RAW_SPANS.decode(written).spans or []
    except BROKEN as error:
        readable = marked(memoryview(written), error)
        if readable is None:
            raise
        written = msgspec.Raw(bytes(readable))
        spans = _RAW_SPANS.decode(written).spans or []
    unit_ns = _MENDER.unit_of(spans)
    mended = list(_MENDER.mend(spans, unit_ns))
    told = [] if unit_ns is None else [unit_told(trace_id, unit_ns, NS_PER_US)]
    shell: dict[str, Any] = {
        key: value for key, value in _RAW_SHELL.decode(written).items() if key in _Shell.__struct_fields__
    }
    try:
        _SHELL.decode(written)
    except BROKEN:
        fitting = Fitting(NS_PER_US, NS_PER_US)
        found = {key: decoded(msgspec.Raw(fitting.sound(bytes(value)))) for key, value in shell.items()}
        shell = fitting.object(found, _Shell) or {}
        told += warnings_of(fitting.remarks, trace_id, "")
    return MendedTrace(encoded({"spans": [each.span for each in mended], **shell}), mended, len(spans), told)
