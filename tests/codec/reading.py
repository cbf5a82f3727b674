"""What tests of codecs look at: bytes as a table, and a table as plain values."""

from __future__ import annotations

from collections.abc import Callable

from traceq.assembly import assemble
from traceq.codec import read_document
from traceq.records import TraceRecord
from traceq.semantics import Attributes, AttributeValue, value_text
from traceq.traces import Span, Traces

# A writer adds these where v1 has no field for them, so they are more after writing than before.
WRITTEN_KEYS = frozenset(("span.kind", "error", "otel.status_code"))


def records(body: bytes) -> list[TraceRecord]:
    return [part.record() for part in read_document(body, "x.json").parts]


def table(body: bytes) -> Traces:
    return assemble(records(body))


def described(traces: Traces, *, without: frozenset[str] = frozenset()) -> list[str]:
    """Give all that a table tells of its spans, as text: -0.0 is not 0.0 there, and NaN is NaN."""
    return [repr(_described(traces.span(row), without)) for row in range(traces.span_count)]


def _described(span: Span, without: frozenset[str]) -> tuple[object, ...]:
    details = span.details
    attributes = {key: value for key, value in details.attributes().items() if key not in without}
    return (
        (span.trace_id, span.span_id, span.parent_id, span.traces.parents[span.row], span.start_ns, span.duration_ns),
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
