"""What changed between two sets of requests: which services, operations and calls hold them longer, or less long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.comparison.batches import Batch, on_one_table, sortable
from traceq.analysis.comparison.blame import Edges, find_edges
from traceq.analysis.comparison.cohorts import Cohort
from traceq.analysis.comparison.levels import Measured, measure
from traceq.analysis.comparison.matching import match, unmatched_operations
from traceq.analysis.comparison.measuring import Estimate, Sides
from traceq.analysis.group_sums import GroupKey
from traceq.analysis.grouping import distinct
from traceq.analysis.spread import Spread, spread, spreads

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Side:
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

    def to_dict(self) -> dict[str, object]:
        """Give the set as it stands in JSON."""
        return {
            "request_count": self.request_count,
            "failed_request_count": self.failed_count,
            "trace_count": self.trace_count,
            "span_count": self.span_count,
            "latency": self.latency.to_dict() if self.latency.count else None,
            "unmatched_requests": self.unmatched,
            "skew": {"span_count": self.moved_span_count, "largest_shift_ns": self.largest_shift_ns},
        }


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

    def to_dict(self) -> dict[str, object]:
        """Give the change as it stands in JSON."""
        return {
            "service": self.service,
            "held": self.held.to_dict("_ns"),
            "between_change_ns": round(self.between_ns),
            "calls_per_request": self.calls.to_dict(),
            "errors_per_request": self.errors.to_dict(),
            "duration_before": self.before.to_dict() if self.before.count else None,
            "duration_after": self.after.to_dict() if self.after.count else None,
            "example_trace_id": self.example_id or None,
        }


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

    def to_dict(self) -> dict[str, object]:
        """Give the change as it stands in JSON."""
        return {
            **self.key.to_dict(),
            "held": self.held.to_dict("_ns"),
            "between_change_ns": round(self.between_ns),
            "calls_per_request": self.calls.to_dict(),
            "errors_per_request": self.errors.to_dict(),
            "span_count_before": self.before.count,
            "span_count_after": self.after.count,
            "duration_before": self.before.to_dict() if self.before.count else None,
            "duration_after": self.after.to_dict() if self.after.count else None,
        }


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

    def to_dict(self) -> dict[str, object]:
        """Give the change as it stands in JSON."""
        return {
            "caller": self.caller,
            "callee": self.callee,
            "between": self.between.to_dict("_ns"),
            "calls_per_request": self.calls.to_dict(),
            "caller_ratio": self.caller_share,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed between two sets of requests. Times are a request's mean, of like requests on both sides."""

    before: Side
    after: Side
    latency: Estimate
    """ns a request."""
    failures: Estimate
    """Failed requests, 0..1."""
    services: tuple[ServiceChange, ...]
    """What holds requests longer comes first."""
    operations: tuple[OperationChange, ...]
    edges: tuple[EdgeChange, ...]

    def to_dict(self) -> dict[str, object]:
        """Give the answer as it stands in JSON; times in ns, shares 0..1."""
        return {
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "latency": self.latency.to_dict("_ns"),
            "failed_ratio": self.failures.to_dict(),
            "services": [change.to_dict() for change in self.services],
            "operations": [change.to_dict() for change in self.operations],
            "edges": [change.to_dict() for change in self.edges],
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row an operation, nested values under names joined by dots. Needs pandas."""
        import pandas as pd

        return pd.json_normalize([change.to_dict() for change in self.operations])


def compare(before: Cohort, after: Cohort) -> Comparison:
    """Find what changed from one set of requests to another.

    Requests are compared with their like (`matching.match`). Times are critical time: over all services they add up to
    the latency. What passes between a caller and its callee is charged to the callee, unless the caller waits longer
    for most services that it calls (`blame.caller_shares`). Intervals are bootstrapped over traces (`chance`).
    """
    one, other = on_one_table(before.batches, after.batches)
    sides = Sides(one, other, match(one, other))
    edges = find_edges(one, other)
    found = measure(sides, edges)
    return Comparison(
        before=_side(one, unmatched_operations(one, sides.matching.before_kinds, sides.matching)),
        after=_side(other, unmatched_operations(other, sides.matching.after_kinds, sides.matching)),
        latency=found.latency,
        failures=found.failures,
        services=_services(sides, edges, found),
        operations=_operations(sides, found),
        edges=_edges(edges, found),
    )


def _side(batch: Batch, unmatched: dict[str, int]) -> Side:
    return Side(
        request_count=len(batch.requests),
        failed_count=int(np.count_nonzero(batch.requests.failed)),
        trace_count=distinct(batch.requests.traces.astype(np.int64)).size,
        span_count=batch.durations_ns.size,
        latency=spread(batch.requests.latency_ns),
        unmatched=unmatched,
        moved_span_count=int(batch.traces.moved_spans.sum()),
        largest_shift_ns=int(batch.traces.shift_ns.max(initial=0)),
    )


def _services(sides: Sides, edges: Edges, found: Measured) -> tuple[ServiceChange, ...]:
    size = len(edges.services)
    before, after = (
        _spreads(batch, edges.service_of, size, _is_entered(batch)) for batch in (sides.before, sides.after)
    )
    changes = [
        ServiceChange(
            service,
            found.service_held[number],
            found.service_between_ns[number],
            found.service_calls[number],
            found.service_errors[number],
            before[number],
            after[number],
            found.service_examples[number][found.service_held[number].change >= 0],
        )
        for number, service in enumerate(edges.services)
    ]
    return tuple(sorted(changes, key=lambda change: (-change.held.change, change.service)))


def _operations(sides: Sides, found: Measured) -> tuple[OperationChange, ...]:
    keys = sides.before.operations
    alone = np.arange(len(keys), dtype=np.int64)
    before, after = (_spreads(batch, alone, alone.size) for batch in (sides.before, sides.after))
    changes = [
        OperationChange(
            key,
            found.operation_held[number],
            found.operation_between_ns[number],
            found.operation_calls[number],
            found.operation_errors[number],
            before[number],
            after[number],
        )
        for number, key in enumerate(keys)
    ]
    return tuple(sorted(changes, key=lambda change: (-change.held.change, sortable(change.key))))


def _spreads(batch: Batch, group_of: Ints, size: int, counted: Flags | None = None) -> list[Spread]:
    """Sum up durations of spans by the groups of their operations.

    Args:
        batch: Any.
        group_of: The group of each operation.
        size: How many groups there are.
        counted: Which spans, in the order of the batch's durations; None for all.
    """
    groups = np.repeat(group_of[batch.work.operations], batch.work.calls)
    if counted is None:
        return spreads(groups, batch.durations_ns, size)
    return spreads(groups[counted], batch.durations_ns[counted], size)


def _is_entered(batch: Batch) -> Flags:
    """Tell the spans that came from another service: the first ones of each entry."""
    calls = batch.work.calls.astype(np.int64)
    first = np.repeat(np.cumsum(calls) - calls, calls)
    entered: Flags = np.arange(first.size) - first < np.repeat(batch.work.entered, calls)
    return entered


def _edges(edges: Edges, found: Measured) -> tuple[EdgeChange, ...]:
    changes = [
        EdgeChange(
            edges.services[caller],
            edges.services[callee],
            found.edge_between[number],
            found.edge_calls[number],
            found.caller_shares[number],
        )
        for number, (caller, callee) in enumerate(zip(edges.callers.tolist(), edges.callees.tolist(), strict=True))
    ]
    return tuple(sorted(changes, key=lambda change: (-change.between.change, change.caller, change.callee)))
