"""Reads Zipkin's JSON, v2 and v1, and what imitates it: the traces that Next.js writes of itself (`.next/trace`).

Source: zipkin-api, zipkin2-api.yaml and zipkin-api.yaml. A client and the server that it called share a span id: they
are two spans here, as in v2, and `assembly` makes the server the client's child. What the other side was becomes the
attributes by which OpenTelemetry names it; the tag `error` is an error whatever its text, unless that is "false".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from traceq import semantics
from traceq.codec import zipkin_pieces, zipkin_v1
from traceq.codec.mending import Mender, decoded, id_of, is_odd, repairs, unit_told, warnings_of
from traceq.codec.parts import LocatedSpan, SpanFormat
from traceq.codec.spans import SpanDecoder
from traceq.codec.unsound import Remark
from traceq.codec.wire import BROKEN, VOID_IDS, is_empty
from traceq.codec.zipkin_span import ANNOTATIONS, QUEUE_KEYS, Microseconds, Span, WholeSpan, remote_attributes, to_ns
from traceq.records import Codebook, CodedTrace
from traceq.semantics import ABRIDGED, SHORTENED, TELLING, Attributes, Status, abridged, meaning
from traceq.units import NS_PER_US


class _TraceId(msgspec.Struct, gc=False):
    trace_id: Any = msgspec.field(name="traceId", default=None)


_TRACE_IDS = msgspec.json.Decoder(list[_TraceId])
_SPANS = SpanDecoder(
    msgspec.json.Decoder(Span, strict=False),
    msgspec.json.Decoder(list[Span], strict=False),
    Mender(msgspec.json.Decoder(WholeSpan, strict=False), start="timestamp", format_ns=NS_PER_US),
)
_SPANS_AT_A_TIME = 2_000
"""How many spans are decoded at once: decoded, they take three times the memory of their JSON."""
_NEXT_JS = "nextjs"
"""The service of Next.js, which does not name itself in its files, but does so where it sends the same to Zipkin."""
_CALENDAR_FROM_US = 10**15
"""Times before 2001 are by a clock that began when the machine did."""


def _trace_ids(spans: Sequence[msgspec.Raw]) -> list[str]:
    try:
        return [_id(span.trace_id) or "" for span in _TRACE_IDS.decode(b"[%b]" % b",".join(spans))]
    except BROKEN:
        found = map(decoded, spans)
        return [_id(span.get("traceId")) or "" if isinstance(span, dict) else "" for span in found]


def _id(written: object) -> str | None:
    """Give an id as text; None for one that names nothing."""
    text = written.lower() if isinstance(written, str) else str(written or "") if isinstance(written, int) else ""
    return None if text in VOID_IDS else text


def _read_coded(spans: Sequence[LocatedSpan], trace_id: str, codes: Codebook, *, with_details: bool) -> CodedTrace:
    coded = CodedTrace(trace_id)
    clock = _Clock()
    for some in zipkin_pieces.batches([raw for _, raw in spans], _SPANS_AT_A_TIME):
        read = _whole(_decoded(some, coded))
        _add(coded, read, codes)
        clock.look_at(read)
        if with_details:
            coded.details += read
    if clock.ahead_us:
        coded.start_ns = [start_ns + to_ns(clock.ahead_us) for start_ns in coded.start_ns]
    return coded


def _whole(spans: list[Span]) -> list[Span]:
    """Bring spans into v2's form, and put together what was reported in pieces."""
    if not any(map(zipkin_v1.is_v1, spans)):
        return zipkin_pieces.merged(spans)
    found = zipkin_pieces.merged(zipkin_v1.converted(spans))
    zipkin_v1.settle(found)
    return found


def _decoded(raws: Sequence[msgspec.Raw], coded: CodedTrace) -> list[Span]:
    """Decode spans, and take down what was wrong with them."""
    read = _SPANS.decode(raws)
    if read.mended is None and not all(map(_is_whole, read.decoded)):
        read = _SPANS.mended(raws)
    if read.unit_ns is not None:
        coded.repairs.append(unit_told(coded.trace_id, read.unit_ns, NS_PER_US))
    if read.mended is not None:
        coded.repairs += repairs(read.mended, len(raws), coded.trace_id, [_id(span.id) or "" for span in read.decoded])
    for position, span in zip(read.positions(), read.decoded, strict=True):
        if _id(span.id) is None:
            span.id = id_of(bytes(raws[position]))
            told = Remark("id-missing", f"it has no id, and is given {span.id}")
            coded.repairs += warnings_of([told], coded.trace_id, span.id)
    return read.decoded


def _is_whole(span: Span) -> bool:
    """Whether nothing is wrong with the annotations, and times are by the calendar, or by a clock that is known."""
    if not is_empty(span.annotations):
        try:
            ANNOTATIONS.decode(span.annotations)
        except BROKEN:
            return False
    return span.started_ms is not None or not is_odd([to_ns(span.timestamp)])


def _add(coded: CodedTrace, spans: list[Span], codes: Codebook) -> None:
    coded.span_ids += [_id(span.id) or "" for span in spans]
    coded.parent_ids += [_id(span.parent_id) for span in spans]
    coded.start_ns += [to_ns(span.timestamp) for span in spans]
    coded.duration_ns += [to_ns(span.duration) for span in spans]
    names = codes.names
    coded.names += [names[span.name or ""] for span in spans]
    coded.origins += _origins(spans, codes)
    _add_meanings(coded, spans, codes)


def _origins(spans: list[Span], codes: Codebook) -> Iterator[int]:
    known: dict[tuple[str | None, str], int] = {}
    for span in spans:
        local = span.local
        if local is None:
            yield codes.origin(_NEXT_JS if span.started_ms else "", "")
            continue
        key = (local.service, local.ipv4 or local.ipv6 or "")
        code = known.get(key)
        if code is None:
            code = known[key] = codes.origin(key[0] or "", key[1])
        yield code


def _add_meanings(coded: CodedTrace, spans: list[Span], codes: Codebook) -> None:
    """Select what becomes columns of tags and of the other side. This is the hot path of reading."""
    add, told = coded.meanings.append, codes.told
    for span in spans:
        kind, tags, remote = span.kind, span.tags, span.remote
        texts = _wanted_texts(tags) if tags else ()
        # The other side of a server has a port of its own for each connection, and is not the server's peer.
        other = None if remote is None or kind == "SERVER" else (remote.service, remote.address, remote.port)
        is_error = tags is not None and tags.get("error") not in _NO_ERROR
        key = (texts, kind, is_error, other)
        code = told.get(key)
        if code is None:
            code = told[key] = codes.meanings[_meaning(span, texts, is_error=is_error)]
        add(code)


_NO_ERROR = (False, "false", None)


def _meaning(span: Span, texts: tuple[str, ...], *, is_error: bool) -> semantics.Meaning:
    kind = semantics.kind_from_text(span.kind or "")
    remote = remote_attributes(kind, span.remote, span.tags or {})
    status = Status.ERROR if is_error else Status.UNSET
    # The tags come last: what they say of the other side counts.
    return meaning((*_wanted_texts(remote), *texts), kind, status)


def _wanted_texts(tags: Attributes) -> tuple[str, ...]:
    """Select the tags that become columns, as keys and values (text) in turn."""
    found: list[str] = []
    for key, value in tags.items():
        if key in TELLING:
            found.append(key)
            if key in ABRIDGED:
                found.append(abridged(key, value) if key in SHORTENED else "")
            else:
                found.append(value if type(value) is str else semantics.value_text(value))
        elif key in QUEUE_KEYS:
            found += (key, semantics.value_text(value))
    return tuple(found)


class _Clock:
    """How far the calendar is ahead of the clock by which spans were timed, where they tell both."""

    def __init__(self) -> None:
        self.ahead_us: Microseconds = None

    def look_at(self, spans: list[Span]) -> None:
        """Take the least that any span tells: some are written down only after they have ended."""
        for span in spans:
            started_us = (span.started_ms or 0) * 1000
            if started_us >= _CALENDAR_FROM_US > (span.timestamp or 0) > 0:
                ahead_us = started_us - (span.timestamp or 0)
                self.ahead_us = ahead_us if self.ahead_us is None else min(self.ahead_us, ahead_us)


FORMAT = SpanFormat(_trace_ids, _read_coded)
