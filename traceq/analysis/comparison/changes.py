"""What a comparison finds: both sides in numbers, and what changed by service, by operation and between services."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from traceq.analysis.comparison.measuring import Estimate, estimate_specs
from traceq.analysis.group_sums import GroupKey, group_specs
from traceq.analysis.spread import Spread, spread_specs
from traceq.report import Column, Rows, Unit

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class SideSummary:
    """One of the two sets, in numbers."""

    request_count: int
    failed_count: int
    trace_count: int
    span_count: int
    latency: Spread
    unmatched: dict[str, int]
    """Requests of entry operations that the other side does not have, which are compared with nothing."""
    moved_span_count: int
    largest_shift_ns: int


def side_specs(key: str, taken: Callable[[_Row], SideSummary]) -> tuple[Column[_Row] | Rows[_Row], ...]:
    """Describe the columns of a side.

    Args:
        key: What the columns are within.
        taken: How the side is taken from a row.
    """

    def count(name: str, fact: Callable[[SideSummary], int], about: str = "") -> Column[_Row]:
        return Column(name, name.replace("_", " "), Unit.COUNT, lambda row: fact(taken(row)), about, within=key)

    return (
        count("request_count", lambda side: side.request_count),
        count("failed_request_count", lambda side: side.failed_count, "their entry span failed"),
        count("trace_count", lambda side: side.trace_count),
        count("span_count", lambda side: side.span_count, "in these requests"),
        *spread_specs(f"{key}.latency", "", lambda row: taken(row).latency, "of the requests"),
        Column(
            "unmatched_requests",
            unit=Unit.OBJECT,
            value=lambda row: taken(row).unmatched,
            about="entry operations that only this side has, with how many requests: they are compared with nothing",
            within=key,
        ),
        Column(
            "span_count",
            value=lambda row: taken(row).moved_span_count,
            about="moved to correct clocks",
            within=f"{key}.skew",
        ),
        Column(
            "largest_shift_ns",
            value=lambda row: taken(row).largest_shift_ns,
            about="how far at most",
            within=f"{key}.skew",
        ),
    )


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """How much longer a service holds requests."""

    service: str
    held: Estimate
    """ns a request on the critical path, what passes between callers and callees included."""
    between_ns: float
    """How much of the change passes between callers and callees."""
    calls: Estimate
    """A request, from other services."""
    errors: Estimate
    """Failed ones of these calls, a request."""
    before: Spread
    """Of the spans at which the service was entered."""
    after: Spread
    example_id: str
    """The trace that the service held longest, on the side on which it holds longer; empty for none."""


@dataclass(frozen=True, slots=True)
class OperationChange:
    """How much longer an operation holds requests."""

    key: GroupKey
    held: Estimate
    between_ns: float
    calls: Estimate
    errors: Estimate
    before: Spread
    """Durations of its spans."""
    after: Spread


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """How much more time passes between two services."""

    caller: str
    callee: str
    between: Estimate
    """ns a request on the critical path."""
    calls: Estimate
    caller_share: float
    """How much of the change is charged to the caller; see `blame.caller_shares`."""


_HELD = "critical time a request, what passes between caller and callee included"
_BETWEEN = "the part of the change that passes between callers and callees"

SERVICE_COLUMNS: tuple[Column[ServiceChange], ...] = (
    Column("service", "service", Unit.SERVICE, lambda line: line.service, can_shrink=True),
    *estimate_specs("held", lambda line: line.held, _HELD, is_time=True),
    Column("between_change_ns", "between", Unit.DURATION, lambda line: round(line.between_ns), _BETWEEN),
    *estimate_specs("calls_per_request", lambda line: line.calls, "calls from other services"),
    *estimate_specs("errors_per_request", lambda line: line.errors, "failed ones of these calls"),
    *spread_specs("duration_before", "before", lambda line: line.before, "spans that entered the service"),
    *spread_specs("duration_after", "after", lambda line: line.after, "the same"),
    Column(
        "example_trace_id",
        "example",
        Unit.TRACE_ID,
        lambda line: line.example_id or None,
        "the trace held longest, on the side on which the service holds requests longer",
    ),
)

OPERATION_COLUMNS: tuple[Column[OperationChange], ...] = (
    *group_specs(lambda line: line.key),
    *estimate_specs("held", lambda line: line.held, _HELD, is_time=True),
    Column("between_change_ns", "between", Unit.DURATION, lambda line: round(line.between_ns), _BETWEEN),
    *estimate_specs("calls_per_request", lambda line: line.calls, "calls"),
    *estimate_specs("errors_per_request", lambda line: line.errors, "failed calls"),
    Column("span_count_before", "spans before", Unit.COUNT, lambda line: line.before.count),
    Column("span_count_after", "spans after", Unit.COUNT, lambda line: line.after.count),
    *spread_specs("duration_before", "before", lambda line: line.before, "durations"),
    *spread_specs("duration_after", "after", lambda line: line.after, "durations"),
)

EDGE_COLUMNS: tuple[Column[EdgeChange], ...] = (
    Column("caller", "caller", Unit.SERVICE, lambda line: line.caller, can_shrink=True),
    Column("callee", "callee", Unit.SERVICE, lambda line: line.callee, can_shrink=True),
    *estimate_specs("between", lambda line: line.between, "critical time between the two, a request", is_time=True),
    *estimate_specs("calls_per_request", lambda line: line.calls, "calls"),
    Column(
        "caller_ratio",
        "charged to the caller",
        Unit.RATIO,
        lambda line: line.caller_share,
        "how much of the change is charged to the caller",
    ),
)


@dataclass(frozen=True, slots=True, repr=False)
class Changes:
    """What changed between two sets of requests. Times are a request's mean, of like requests on both sides."""

    before: SideSummary
    after: SideSummary
    latency: Estimate
    """ns a request."""
    failures: Estimate
    """Failed requests, 0..1."""
    services: tuple[ServiceChange, ...]
    """What holds requests longer comes first."""
    operations: tuple[OperationChange, ...]
    edges: tuple[EdgeChange, ...]
