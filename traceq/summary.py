"""A trace in one line: what `search` lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from traceq.report import Column, Rows, Unit, document
from traceq.semantics import Status
from traceq.traces import Traces


@dataclass(frozen=True, slots=True, order=True)
class ServiceSummary:
    """What a trace holds of one service."""

    name: str
    span_count: int
    error_count: int = 0


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in one line.

    Source: jaeger-ui, model/trace-summary.ts; Jaeger API v3, TraceSummary. Differs: a root that is whole goes before an
    orphan that started earlier.
    """

    trace_id: str
    root_service: str
    """Empty when the server does not tell."""
    root_name: str
    start_ns: int
    """Earliest start of a span."""
    duration_ns: int
    """From there to the latest end of a span."""
    span_count: int
    error_count: int
    orphan_count: int
    """Spans whose parent is missing; 0 from servers that do not count them (Elasticsearch's own summaries)."""
    services: tuple[ServiceSummary, ...]
    """Most spans first, then by name."""

    def to_dict(self) -> dict[str, object]:
        """Give the summary as it stands in JSON."""
        return document(SUMMARY_COLUMNS, self)


_SERVICE_COLUMNS: tuple[Column[ServiceSummary], ...] = (
    Column("name", "service", Unit.SERVICE, lambda share: share.name),
    Column("span_count", "spans", Unit.COUNT, lambda share: share.span_count),
    Column("error_count", "errors", Unit.ERRORS, lambda share: share.error_count),
)

SUMMARY_COLUMNS: tuple[Column[TraceSummary] | Rows[TraceSummary], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID, lambda summary: summary.trace_id),
    Column(
        "root_service",
        "service",
        Unit.SERVICE,
        lambda summary: summary.root_service,
        "of the span that the trace is named after; empty where the server does not tell",
    ),
    Column("root_operation", "operation", value=lambda summary: summary.root_name, about="of the same span"),
    Column("start_ns", "start", Unit.TIME, lambda summary: summary.start_ns, "earliest start of a span"),
    Column(
        "duration_ns", "duration", Unit.DURATION, lambda summary: summary.duration_ns, "from there to the latest end"
    ),
    Column("span_count", "spans", Unit.COUNT, lambda summary: summary.span_count),
    Column("error_count", "errors", Unit.ERRORS, lambda summary: summary.error_count, "spans that failed"),
    Column("orphan_count", "orphans", Unit.COUNT, lambda summary: summary.orphan_count, "spans without their parent"),
    Rows(
        "services",
        _SERVICE_COLUMNS,
        lambda summary: summary.services,
        "most spans first; in CSV their names",
        text=lambda summary: tuple(share.name for share in summary.services),
    ),
)


def summarize(traces: Traces) -> list[TraceSummary]:
    """Give the summary of each trace that has spans, in the table's order."""
    return [_summary(traces, position) for position in range(len(traces)) if len(traces.rows(position))]


def _summary(traces: Traces, position: int) -> TraceSummary:
    rows = traces.rows(position)
    part = slice(rows.start, rows.stop)
    starts = traces.start_ns[part]
    first_ns = min(starts)
    last_ns = max(start + duration for start, duration in zip(starts, traces.duration_ns[part], strict=True))
    root = traces.span(root_row(traces, position))
    statuses = traces.statuses[part]
    return TraceSummary(
        trace_id=traces.trace_ids[position],
        root_service=root.service,
        root_name=root.name,
        start_ns=first_ns,
        duration_ns=last_ns - first_ns,
        span_count=len(rows),
        error_count=statuses.count(Status.ERROR),
        orphan_count=sum(row in traces.missing_parents for row in rows) if traces.missing_parents else 0,
        services=_services(traces, part),
    )


def root_row(traces: Traces, position: int) -> int:
    """Find the row a trace is named after: of the roots that miss no parent, else of the orphans, the earliest."""
    roots = [row for row in traces.rows(position) if traces.parents[row] < 0]
    return min(roots, key=lambda row: (row in traces.missing_parents, traces.start_ns[row], row))


def _services(traces: Traces, part: slice) -> tuple[ServiceSummary, ...]:
    codes = traces.service_codes[part]
    statuses = traces.statuses[part]
    failed = Counter(code for code, status in zip(codes, statuses, strict=True) if status == Status.ERROR)
    shares = [ServiceSummary(traces.services[code], count, failed[code]) for code, count in Counter(codes).items()]
    return rank_services(shares)


def rank_services(shares: Iterable[ServiceSummary]) -> tuple[ServiceSummary, ...]:
    """Put the services of a trace in order: most spans first, then by name."""
    return tuple(sorted(shares, key=lambda share: (-share.span_count, share.name)))
