"""Traces for tests, in as few words as the case needs.

    trace(("root", None, 0, 100), span("call", "root", 10, 60, service="db", kind=Kind.CLIENT))

Names are ids: `("root", None, 0, 100)` is a span with the id and name `root`, no parent, from 0 to 100. Times are
nanoseconds after `EPOCH_NS`, so that a start of 0 is not a missing one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from traceq import semantics
from traceq.assembly import TableBuilder
from traceq.records import Codebook, CodedTrace, join
from traceq.semantics import Activity, Attributes, Kind, Meaning, Peer, Status
from traceq.traces import Event, Link, Traces, normal_id

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
    activity: Activity
    details: Details
    follows_from: bool = False
    """Whether it names its parents by FOLLOWS_FROM."""


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
    follows_from: bool = False,
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
        semantics.activity(own) or semantics.least_activity(peer),
        Details(own, ran_in, tuple(events), tuple(links), tuple(warnings)),
        follows_from,
    )


@dataclass(frozen=True, slots=True)
class Record:
    """A trace, or a part of one, to be."""

    trace_id: str
    spans: tuple[SpanSpec, ...] = ()
    warnings: tuple[str, ...] = ()

    def coded(self, codes: Codebook) -> CodedTrace:
        """Give the trace as a codec would read it."""
        coded = CodedTrace(self.trace_id, warnings=list(self.warnings))
        for spec in self.spans:
            coded.span_ids.append(spec.span_id)
            coded.add_parents(spec.parent_ids, 0 if spec.follows_from else len(spec.parent_ids))
            coded.start_ns.append(EPOCH_NS + spec.start_ns)
            coded.duration_ns.append(spec.end_ns - spec.start_ns)
            coded.names.append(codes.names[spec.name])
            coded.origins.append(codes.origin(spec.service, spec.host))
            coded.meanings.append(codes.meanings[Meaning(spec.kind, spec.status, spec.peer, spec.activity)])
            coded.details.append(spec.details)
        return coded


def record(*spans: SpanLike, trace_id: str = "a1", warnings: Sequence[str] = ()) -> Record:
    """Give a trace to be, or a part of one."""
    specs = (spec if isinstance(spec, SpanSpec) else span(*spec) for spec in spans)
    return Record(trace_id, tuple(specs), tuple(warnings))


def assemble(records: Iterable[Record], *, with_details: bool = True) -> Traces:
    """Give a table of these traces, in this order; records whose ids are the same but for padding are one trace."""
    builder = TableBuilder()
    by_id: dict[str, list[CodedTrace]] = {}
    for each in records:
        by_id.setdefault(normal_id(each.trace_id), []).append(each.coded(builder.codes))
    for parts in by_id.values():
        builder.add(join(parts))
    return builder.table(with_details=with_details)


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
        traces.follows_from,
        traces.warnings,
        [(span.span_id, span.start_ns, span.duration_ns, span.kind, span.status) for span in spans],
        [(span.service, span.name, span.host, span.peer, span.activity) for span in spans],
    ]
