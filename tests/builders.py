"""Traces for tests, in as few words as the case needs.

    trace(("root", None, 0, 100), span("call", "root", 10, 60, service="db", kind=Kind.CLIENT))

Names are ids: `("root", None, 0, 100)` is a span with the id and name `root`, no parent, from 0 to 100. Times are
nanoseconds after `EPOCH_NS`, so that a start of 0 is not a missing one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from traceq import semantics
from traceq.assembly import assemble
from traceq.records import TraceRecord
from traceq.semantics import Attributes, Kind, Peer, Status
from traceq.traces import Event, Link, Traces

EPOCH_NS = 1_700_000_000_000_000_000
"""When the traces of tests begin."""


@dataclass(frozen=True, slots=True)
class Details:
    """Span details that are simply there."""

    attribute_values: Attributes = field(default_factory=dict)
    resource_values: Attributes = field(default_factory=dict)
    event_values: tuple[Event, ...] = ()
    link_values: tuple[Link, ...] = ()
    warning_values: tuple[str, ...] = ()

    def attributes(self) -> Attributes:
        return self.attribute_values

    def resource(self) -> Attributes:
        return self.resource_values

    def events(self) -> tuple[Event, ...]:
        return self.event_values

    def links(self) -> tuple[Link, ...]:
        return self.link_values

    def warnings(self) -> tuple[str, ...]:
        return self.warning_values


@dataclass(frozen=True, slots=True)
class SpanSpec:
    """A span to be; built by `span`."""

    span_id: str
    parent_ids: tuple[str, ...]
    start_ns: int
    end_ns: int
    service: str
    name: str
    kind: Kind
    status: Status
    host: str
    peer: Peer | None
    details: Details


SpanLike: TypeAlias = "SpanSpec | tuple[str, str | None, int, int]"


def span(
    span_id: str,
    parent_id: str | tuple[str, ...] | None,
    start_ns: int,
    end_ns: int,
    *,
    service: str = "app",
    name: str | None = None,
    kind: Kind = Kind.UNSPECIFIED,
    status: Status = Status.UNSET,
    host: str = "",
    peer: Peer | None = None,
    attributes: Attributes | None = None,
    resource: Attributes | None = None,
    events: Sequence[Event] = (),
    links: Sequence[Link] = (),
    warnings: Sequence[str] = (),
) -> SpanSpec:
    """Describe a span; its name is its id, its peer and host are what attributes and resource tell, unless given."""
    own, ran_in = dict(attributes or {}), dict(resource or {})
    return SpanSpec(
        span_id,
        parent_id if isinstance(parent_id, tuple) else () if parent_id is None else (parent_id,),
        start_ns,
        end_ns,
        service,
        span_id if name is None else name,
        kind,
        status,
        host or semantics.host(ran_in),
        peer or semantics.peer(kind, own),
        Details(own, ran_in, tuple(events), tuple(links), tuple(warnings)),
    )


def record(*spans: SpanLike, trace_id: str = "a1", warnings: Sequence[str] = ()) -> TraceRecord:
    """Give a trace as a codec would read it."""
    specs = [spec if isinstance(spec, SpanSpec) else span(*spec) for spec in spans]
    return TraceRecord(
        trace_id,
        span_ids=[spec.span_id for spec in specs],
        parent_ids=[spec.parent_ids for spec in specs],
        start_ns=[EPOCH_NS + spec.start_ns for spec in specs],
        duration_ns=[spec.end_ns - spec.start_ns for spec in specs],
        kinds=[spec.kind for spec in specs],
        statuses=[spec.status for spec in specs],
        services=[spec.service for spec in specs],
        names=[spec.name for spec in specs],
        hosts=[spec.host for spec in specs],
        peers=[spec.peer for spec in specs],
        details=[spec.details for spec in specs],
        warnings=list(warnings),
    )


def trace(*spans: SpanLike, trace_id: str = "a1", warnings: Sequence[str] = ()) -> Traces:
    """Give a table of one trace."""
    return assemble([record(*spans, trace_id=trace_id, warnings=warnings)])


def traces(by_id: Mapping[str, Sequence[SpanLike]]) -> Traces:
    """Give a table of several traces, by trace id."""
    return assemble([record(*spans, trace_id=trace_id) for trace_id, spans in by_id.items()])


def columns(traces: Traces) -> list[object]:
    """Give what a table says without a look at attributes, to be compared with another."""
    rows = range(traces.span_count)
    spans = [traces.span(row) for row in rows]
    return [
        traces.trace_ids,
        list(traces.offsets),
        list(traces.parents),
        traces.missing_parents,
        traces.warnings,
        [(span.span_id, span.start_ns, span.duration_ns, span.kind, span.status) for span in spans],
        [(span.service, span.name, span.host, span.peer) for span in spans],
    ]
