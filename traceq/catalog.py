"""What a source has besides spans, also as answers: summaries of traces, services, operations, and their calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from msgspec import Struct
from msgspec.structs import replace

from traceq.answer import Answer
from traceq.report import Column, Rows, Table, Unit, document, json_key, table
from traceq.semantics import Kind, Status
from traceq.traces import Traces


class Operation(Struct, frozen=True, order=True):
    """A name under which a service records spans."""

    name: str
    kind: str = ""
    """`server`, `client`, `producer`, `consumer`, `internal`; empty when the source does not tell."""


class ServiceCall(Struct, frozen=True, order=True):
    """An edge of the dependency table that Jaeger itself keeps."""

    parent: str
    child: str
    call_count: int


def sum_calls(calls: Iterable[ServiceCall]) -> tuple[ServiceCall, ...]:
    """Add up the calls of each edge; sorted."""
    counts: Counter[tuple[str, str]] = Counter()
    for call in calls:
        counts[call.parent, call.child] += call.call_count
    return tuple(ServiceCall(parent, child, count) for (parent, child), count in sorted(counts.items()))


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, both ends included, in nanoseconds since the epoch; None is open."""

    start_ns: int | None = None
    end_ns: int | None = None
    lookback_ns: int | None = field(default=None, compare=False)
    """How far back from now the window begins, if it was given like that; None where its ends were given."""

    def __contains__(self, time_ns: int) -> bool:
        after_start = self.start_ns is None or time_ns >= self.start_ns
        return after_start and (self.end_ns is None or time_ns <= self.end_ns)


class ServiceSummary(Struct, frozen=True, order=True):
    """The spans of one service in a trace."""

    name: str
    span_count: int
    error_count: int = 0


class TraceSummary(Struct, frozen=True):
    """A trace in one line.

    Source: jaeger-ui, model/trace-summary.ts; Jaeger API v3, TraceSummary. Differs: a root that is whole goes before an
    orphan that started earlier.
    """

    trace_id: str
    root_service: str
    """The service of the root; empty when the server does not give it."""
    root_name: str
    start_ns: int
    """The earliest start of a span in ns since the epoch."""
    duration_ns: int
    """The time from the earliest start to the latest end of a span."""
    span_count: int
    error_count: int
    orphan_count: int
    """The number of orphans; 0 from servers that do not count them (Elasticsearch's own summaries)."""
    services: tuple[ServiceSummary, ...]
    """The services in the trace; those with most spans first, then by name."""
    response_ns: int | None = None
    """The longest response of the service that was asked about; None where nobody asked."""

    def to_dict(self) -> dict[str, object]:
        """Give the summary as it stands in JSON."""
        return document(SUMMARY_COLUMNS, self)


_SERVICE_COLUMNS: tuple[Column[ServiceSummary], ...] = (
    Column("name", "service", Unit.SERVICE),
    Column("span_count", "spans", Unit.COUNT),
    Column("error_count", "errors", Unit.ERRORS),
)

SUMMARY_COLUMNS: tuple[Column[TraceSummary] | Rows[TraceSummary], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column(
        "root_service",
        "service",
        Unit.SERVICE,
        about="service of the trace's root; empty where the server does not tell",
    ),
    Column(
        "root_operation", "operation", value=lambda summary: summary.root_name, about="operation of the trace's root"
    ),
    Column("start_ns", "start", Unit.TIME, about="earliest start of a span"),
    Column("duration_ns", "duration", Unit.DURATION, about="from the earliest start to the latest end"),
    Column(
        "response_ns",
        "response",
        Unit.DURATION,
        about="longest response of the named service, with --slowest; otherwise null",
    ),
    Column("span_count", "spans", Unit.COUNT),
    Column("error_count", "errors", Unit.ERRORS, about="spans that failed"),
    Column("orphan_count", "orphans", Unit.COUNT, about="spans without their parent"),
    Rows(
        "services",
        _SERVICE_COLUMNS,
        about="most spans first; in CSV their names",
        text=lambda summary: tuple(share.name for share in summary.services),
    ),
)


def operations_met(traces: Traces) -> set[tuple[str, Operation]]:
    """List the services of a table with their operations."""
    met = set(zip(traces.service_codes, traces.name_codes, traces.kinds, strict=True))
    return {
        (traces.services[service], Operation(traces.names[name], Kind(kind).name.lower() if kind else ""))
        for service, name, kind in met
    }


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


def with_responses(traces: Traces, service: str, operation: str | None) -> list[TraceSummary]:
    """Give the summaries of traces, with how long the service took to respond in each.

    Args:
        traces: The traces; those without spans are left out.
        service: Whose responses: its spans that no other span of it called, the longest of them.
        operation: Only spans of this name, whoever called them; None for all.
    """
    summaries = summarize(traces)
    positions = [position for position in range(len(traces)) if len(traces.rows(position))]
    return [
        replace(summary, response_ns=max(_responses_ns(traces, position, service, operation), default=0))
        for summary, position in zip(summaries, positions, strict=True)
    ]


def _responses_ns(traces: Traces, position: int, service: str, operation: str | None) -> Iterator[int]:
    services, names, parents = traces.service_codes, traces.name_codes, traces.parents
    for row in traces.rows(position):
        if traces.services[services[row]] != service:
            continue
        is_entry = parents[row] < 0 or services[parents[row]] != services[row]
        if is_entry if operation is None else traces.names[names[row]] == operation:
            yield traces.duration_ns[row]


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


Order: TypeAlias = Literal[
    "recent",
    "oldest",
    "longest",
    "shortest",
    "most-spans",
    "least-spans",
    "most-errors",
    "least-errors",
    "name",
    "name-desc",
]
"""Jaeger UI's ten orders."""

AnyOrder: TypeAlias = Order | Literal["slowest"]
"""The same, and slowest response first: that of the service that was asked about."""

_KEYS: dict[AnyOrder, tuple[Callable[[TraceSummary], tuple[int | str, ...]], bool]] = {
    "recent": (lambda summary: (summary.start_ns,), True),
    "oldest": (lambda summary: (summary.start_ns,), False),
    "longest": (lambda summary: (summary.duration_ns,), True),
    "shortest": (lambda summary: (summary.duration_ns,), False),
    "most-spans": (lambda summary: (summary.span_count,), True),
    "least-spans": (lambda summary: (summary.span_count,), False),
    "most-errors": (lambda summary: (summary.error_count,), True),
    "least-errors": (lambda summary: (summary.error_count,), False),
    "name": (lambda summary: (summary.root_service, summary.root_name), False),
    "name-desc": (lambda summary: (summary.root_service, summary.root_name), True),
    "slowest": (lambda summary: (summary.response_ns or 0,), True),
}
"""For each order, the key that is compared, and whether the greatest comes first."""


class TraceList(Answer, Struct, frozen=True):
    """Summaries of the traces that were found."""

    summaries: tuple[TraceSummary, ...]
    order: AnyOrder = "recent"
    """The order of the traces."""
    service_count: int = 0
    """The number of services that were searched one by one; 0 where one search covered all of them."""

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column(
            "order",
            about="order of the traces, as for --sort; `slowest`: by the response time of the service",
            holds=(*get_args(Order), "slowest"),
        ),
        Rows("traces", SUMMARY_COLUMNS, lambda answer: answer.summaries, "traces in that order"),
    )
    MAIN: ClassVar[str] = "traces"

    @staticmethod
    def of(summaries: Iterable[TraceSummary], order: AnyOrder = "recent", service_count: int = 0) -> TraceList:
        """Put traces in order; ties are ordered newest first, then by id, in every order."""
        key, descending = _KEYS[order]
        newest = sorted(summaries, key=lambda summary: (-summary.start_ns, summary.trace_id))
        return TraceList(tuple(sorted(newest, key=key, reverse=descending)), order, service_count)


class ServiceList(Answer, Struct, frozen=True):
    """The services that a source knows."""

    services: tuple[str, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        json_key("services", lambda answer: list(answer.services), "names, sorted; in CSV one a line", holds="texts"),
    )

    def records(self) -> Table:
        """Give one record per service."""
        return table((Column[str]("service", "service", Unit.SERVICE, lambda name: name),), self.services)


class ArchivedTrace(Struct, frozen=True):
    """What became of a trace that was to be archived."""

    trace_id: str
    problem: str = ""
    """Why it is not archived; empty if it is."""

    @property
    def is_archived(self) -> bool:
        """Whether the server has copied it to its archive storage."""
        return not self.problem


ARCHIVED_COLUMNS: tuple[Column[ArchivedTrace], ...] = (
    Column("trace_id", "trace", Unit.TRACE_ID),
    Column("is_archived", about="whether the server has copied it to its archive storage"),
    Column(
        "problem",
        "problem",
        value=lambda trace: trace.problem or None,
        about="why it is not archived; null if it is",
        can_shrink=True,
    ),
)


class ArchiveList(Answer, Struct, frozen=True):
    """The traces that a server was told to archive."""

    traces: tuple[ArchivedTrace, ...]

    @property
    def archived_count(self) -> int:
        """The number of traces that are archived now."""
        return sum(trace.is_archived for trace in self.traces)

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("archived_count", about="number of traces that the server has copied to its archive storage"),
        Rows("traces", ARCHIVED_COLUMNS, about="every trace that was named, in that order"),
    )
    MAIN: ClassVar[str] = "traces"


OPERATION_COLUMNS: tuple[Column[Operation], ...] = (
    Column("operation", "operation", value=lambda operation: operation.name, can_shrink=True),
    Column(
        "kind",
        "kind",
        value=lambda operation: operation.kind or None,
        about="`server`, `client`, ...; null where the source does not tell",
    ),
)


class OperationList(Answer, Struct, frozen=True):
    """The operations of a service."""

    service: str
    operations: tuple[Operation, ...]

    SPECS: ClassVar[tuple[Column[Any] | Rows[Any], ...]] = (
        Column("service", about="service whose operations these are"),
        Rows("operations", OPERATION_COLUMNS),
    )
    MAIN: ClassVar[str] = "operations"
