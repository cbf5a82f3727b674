"""What tests of codecs look at: bytes as a table, and a table as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from traceq.codec import by_trace, read_table
from traceq.codec.documents import read_document
from traceq.codec.parts import Part
from traceq.records import Codebook
from traceq.semantics import Attributes, AttributeValue, Kind, Peer, Status, value_text
from traceq.traces import Span, SpanDetails, Traces

# A writer adds these where v1 has no field for them, so they are more after writing than before.
WRITTEN_KEYS = frozenset(("span.kind", "error", "otel.status_code", "internal.span.format"))


@dataclass(frozen=True, slots=True)
class Record:
    """A trace as a codec reads it, with what its codes stand for."""

    trace_id: str
    span_ids: list[str]
    parent_ids: list[tuple[str, ...]]
    child_of_counts: dict[int, int]
    start_ns: list[int]
    duration_ns: list[int]
    kinds: list[Kind]
    statuses: list[Status]
    services: list[str]
    names: list[str]
    hosts: list[str]
    peers: list[Peer | None]
    details: list[SpanDetails]
    warnings: list[str]


def records(body: bytes) -> list[Record]:
    return [record_of(part) for part in read_document(body, "x.json").parts]


def record_of(part: Part) -> Record:
    codes = Codebook()
    coded = part.coded(codes, with_details=True)
    origins, meanings, names = tuple(codes.origins), tuple(codes.meanings), tuple(codes.names)
    return Record(
        coded.trace_id,
        coded.span_ids,
        [coded.candidates(position) for position in range(len(coded.span_ids))],
        coded.child_of_counts,
        coded.start_ns,
        coded.duration_ns,
        kinds=[meanings[code].kind for code in coded.meanings],
        statuses=[meanings[code].status for code in coded.meanings],
        services=[origins[code][0] for code in coded.origins],
        names=[names[code] for code in coded.names],
        hosts=[origins[code][1] for code in coded.origins],
        peers=[meanings[code].peer for code in coded.meanings],
        details=coded.details,
        warnings=coded.warnings,
    )


def table(*bodies: bytes) -> Traces:
    parts = [part for body in bodies for part in read_document(body, "x.json").parts]
    return read_table(by_trace(parts).values(), with_details=True)


def described(traces: Traces, *, without: frozenset[str] = frozenset()) -> list[str]:
    """Give all that a table tells of its spans, as text: -0.0 is not 0.0 there, and NaN is NaN."""
    return [repr(_described(traces.span(row), without)) for row in range(traces.span_count)]


def _described(span: Span, without: frozenset[str]) -> tuple[object, ...]:
    details = span.details
    attributes = {key: value for key, value in details.attributes().items() if key not in without}
    return (
        (span.trace_id, span.span_id, span.parent_id, span.traces.parents[span.row], span.start_ns, span.duration_ns),
        span.follows_from,
        (span.kind, span.status, span.service, span.name, span.peer, span.host),
        _flat(attributes),
        _flat(details.resource()),
        [(event.time_ns, event.name, _flat(event.attributes)) for event in details.events()],
        [(link.trace_id, link.span_id, _flat(link.attributes)) for link in details.links()],
        details.warnings(),
    )


def _flat(attributes: Attributes) -> list[tuple[str, AttributeValue]]:
    """Give attributes as v1 can hold them: lists, maps and nothing at all as text."""
    is_text: Callable[[AttributeValue], bool] = lambda value: value is None or isinstance(value, (list, dict))  # noqa: E731
    return sorted((key, value_text(value) if is_text(value) else value) for key, value in attributes.items())
