"""Requests for tests of findings: a server's span with whatever is below it, times in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence

from tests.builders import SpanSpec, span, trace
from traceq.analysis.findings import Finding, Thresholds
from traceq.library import findings
from traceq.semantics import Attributes, Kind, Status
from traceq.traces import Event
from traceq.units import NS_PER_MS

SELECT = {"db.system": "mysql", "db.statement": "SELECT * FROM users WHERE id = 7"}
EVERYTHING = Thresholds(min_cost_ns=1, min_ratio=0)


def part(
    span_id: str,
    parent_id: str | None,
    start_ms: float,
    end_ms: float,
    *,
    service: str = "app",
    name: str | None = None,
    kind: Kind = Kind.INTERNAL,
    status: Status = Status.UNSET,
    host: str = "",
    attributes: Attributes | None = None,
    events: Sequence[Event] = (),
) -> SpanSpec:
    start_ns, end_ns = round(start_ms * NS_PER_MS), round(end_ms * NS_PER_MS)
    return span(
        span_id,
        parent_id,
        start_ns,
        end_ns,
        service=service,
        name=name,
        kind=kind,
        status=status,
        host=host,
        attributes=attributes,
        events=events,
    )


def rest(start_ms: float, end_ms: float) -> SpanSpec:
    """Give what the request does after its calls: where something has a span, there is no gap."""
    return part("rest", "0", start_ms, end_ms, name="render")


def entry(end_ms: float, start_ms: float = 0) -> SpanSpec:
    """Give the request itself."""
    return part("0", None, start_ms, end_ms, name="GET /", kind=Kind.SERVER)


def query(span_id: str, start_ms: float, end_ms: float, parent_id: str = "0", **more: object) -> SpanSpec:
    """Give a query; `attributes` replaces what it asks."""
    attributes = more.get("attributes", SELECT)
    assert isinstance(attributes, dict)
    return part(span_id, parent_id, start_ms, end_ms, name="SELECT users", kind=Kind.CLIENT, attributes=attributes)


def call(span_id: str, start_ms: float, end_ms: float, parent_id: str = "0", name: str = "GET") -> SpanSpec:
    """Give a call to a service."""
    return part(span_id, parent_id, start_ms, end_ms, name=name, kind=Kind.CLIENT)


def found(*spans: SpanSpec, thresholds: Thresholds | None = None) -> list[Finding]:
    """Give what is found in a trace of these spans."""
    return list(findings(trace(*spans), thresholds=thresholds).findings)


def costs(*spans: SpanSpec, thresholds: Thresholds | None = None) -> dict[str, float]:
    """Give the kinds that are found, and what each costs in milliseconds."""
    return {finding.key.kind: finding.totals.cost_ns / NS_PER_MS for finding in found(*spans, thresholds=thresholds)}
