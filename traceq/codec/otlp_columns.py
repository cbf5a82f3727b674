"""OTLP JSON read for its columns alone: what analyses over many traces need.

As in `jaeger_columns`: one typed pass, events are skipped, no span is kept, and what repeats becomes a code of the
table to be at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec

from traceq.assembly import TableBuilder
from traceq.codec.otlp import (
    Located,
    Origin,
    Sketch,
    SpanLink,
    SpanStatus,
    kind_of,
    service_and_host,
    status_of,
    take_parents,
    wanted_texts,
)
from traceq.codec.wire import BROKEN, READABLE, VOID_IDS, Nanoseconds, failures_told, first_void, hex_id, is_plain_hex
from traceq.errors import DecodeError
from traceq.records import CodedTrace
from traceq.semantics import meaning


class _Span(msgspec.Struct, gc=False, rename="camel"):
    span_id: str | None = None
    parent_span_id: str | None = None
    name: str | None = None
    kind: int | str | None = None
    start_time_unix_nano: Nanoseconds = None
    end_time_unix_nano: Nanoseconds = None
    attributes: list[Sketch] | None = None
    links: list[SpanLink] | None = None
    status: SpanStatus | None = None


_SPANS = msgspec.json.Decoder(list[_Span], strict=False)

_ID_DIGITS = 16
"""Of a span's id in hex."""
_SPANS_AT_A_TIME = 2_000
"""Decoded, spans take three times the memory of their JSON."""


def read_coded(spans: Sequence[Located], trace_id: str, builder: TableBuilder) -> CodedTrace:
    """Read the spans of a trace without details, in codes of this builder; see `otlp.decode_trace`.

    The caller pauses the collector.

    Raises:
        DecodeError: If one of them is not an OTLP span, or has no id.
    """
    coded = CodedTrace(trace_id)
    remaining = iter(spans)
    while some := list(islice(remaining, _SPANS_AT_A_TIME)):
        _add(coded, some, builder)
    _normalize(coded)
    if not VOID_IDS.isdisjoint(coded.span_ids):
        place = spans[first_void(coded.span_ids)][0].place
        raise DecodeError(f"cannot read trace {trace_id} in {place}: a span has no spanId", hint=READABLE)
    return coded


def _add(coded: CodedTrace, located: list[Located], builder: TableBuilder) -> None:
    with _failures_placed(located, coded.trace_id):
        spans = _SPANS.decode(b"[%b]" % b",".join([raw for _, raw in located]))
        _add_meanings(coded, spans, builder)
    _add_parents(coded, spans)
    coded.span_ids += [span.span_id or "" for span in spans]
    starts = [span.start_time_unix_nano or 0 for span in spans]
    coded.start_ns += starts
    coded.duration_ns += [
        (span.end_time_unix_nano or 0) - start_ns for span, start_ns in zip(spans, starts, strict=True)
    ]
    names = builder.names
    coded.names += [names[span.name or ""] for span in spans]
    coded.origins += _origins(located, builder)


@contextmanager
def _failures_placed(located: list[Located], trace_id: str) -> Iterator[None]:
    """Say of the first span that cannot be read where it stands; it is looked for one by one."""
    try:
        yield
    except BROKEN:
        for origin, raw in located:
            with failures_told(f"cannot read a span of trace {trace_id} in {origin.place}"):
                for span in _SPANS.decode(b"[%b]" % raw):
                    wanted_texts(span.attributes or ())
        raise


def _normalize(coded: CodedTrace) -> None:
    """Write ids as lower-case hex; nearly all are."""
    if not is_plain_hex(coded.span_ids):
        coded.span_ids = [hex_id(span_id) for span_id in coded.span_ids]
    parent_ids = [parent_id for parent_id in coded.parent_ids if parent_id]
    if not is_plain_hex(parent_ids):
        coded.parent_ids = [parent_id and hex_id(parent_id) for parent_id in coded.parent_ids]


def _add_parents(coded: CodedTrace, spans: list[_Span]) -> None:
    add = coded.parent_ids.append
    for span in spans:
        if not span.links:
            parent_id = span.parent_span_id or None
            # Nearly every span names its parent like this, and nothing else. Zeros in base64 take the long way.
            if parent_id is None or (len(parent_id) == _ID_DIGITS and parent_id not in VOID_IDS):
                add(parent_id)
                continue
        coded.add_parents(take_parents(span, coded.trace_id))


def _add_meanings(coded: CodedTrace, spans: list[_Span], builder: TableBuilder) -> None:
    add, meanings = coded.meanings.append, builder.meanings
    for span in spans:
        texts = wanted_texts(span.attributes) if span.attributes else ()
        add(meanings[meaning(texts, kind_of(span.kind), status_of(span.status))])


def _origins(located: list[Located], builder: TableBuilder) -> Iterator[int]:
    """Give the code of what each span ran in; spans of one scope stand one after the other."""
    last: Origin | None = None
    code = 0
    for origin, _ in located:
        if origin is not last:
            last, code = origin, builder.origin(*service_and_host(origin.resource_attributes))
        yield code
