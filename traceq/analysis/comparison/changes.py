"""The result of a comparison: both sides in numbers, and the changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

from msgspec import Struct

from traceq.analysis.calls import NodeKind
from traceq.analysis.comparison.evidence import Difference, difference_specs
from traceq.analysis.comparison.measuring import Estimate, change_specs, estimate_specs
from traceq.analysis.comparison.structure import CallChange, OrderChange, TurnChange
from traceq.analysis.group_sums import GroupKey, group_specs
from traceq.analysis.learning import skew_specs
from traceq.analysis.requests import SetApart, set_apart_specs
from traceq.analysis.spread import Spread, spread_specs
from traceq.report import Column, Rows, Unit, json_key

_Row = TypeVar("_Row")


class SideSummary(Struct, frozen=True):
    """One of the two sets, in numbers."""

    failed_count: int
    trace_count: int
    span_count: int
    latency: Spread
    unmatched: dict[str, int]
    """The number of requests by entry operation that the other side does not have; they are not compared."""
    moved_span_count: int
    largest_shift_ns: int
    set_apart: SetApart

    @property
    def request_count(self) -> int:
        """The number of requests, including those of which only fragments are left: they are not compared."""
        return self.latency.count + self.set_apart.incomplete_count


def side_specs(key: str, taken: Callable[[_Row], SideSummary]) -> tuple[Column[_Row] | Rows[_Row], ...]:
    """Describe the columns of a side.

    Args:
        key: Key of the object that holds the columns.
        taken: Takes the side from a row.
    """

    def count(name: str, fact: Callable[[SideSummary], int], about: str = "") -> Column[_Row]:
        return Column(name, name.replace("_", " "), Unit.COUNT, lambda row: fact(taken(row)), about, within=key)

    return (
        count("request_count", lambda side: side.request_count),
        count("failed_request_count", lambda side: side.failed_count, "requests whose entry span failed"),
        count("trace_count", lambda side: side.trace_count),
        count("span_count", lambda side: side.span_count, "spans in these requests"),
        *spread_specs(f"{key}.latency", "", lambda row: taken(row).latency, "latencies of the requests"),
        json_key(
            "unmatched_requests",
            lambda row: taken(row).unmatched,
            "entry operations that only this side has, with how many requests: they are compared with nothing",
            unit=Unit.OBJECT,
            within=key,
            holds="count by name",
            is_known=True,
        ),
        *skew_specs(lambda row: (taken(row).moved_span_count, taken(row).largest_shift_ns), f"{key}.skew"),
        *set_apart_specs(lambda row: taken(row).set_apart, key),
    )


class ServiceChange(Struct, frozen=True):
    """What changed in a service, or in a peer that sends no spans, and what that causes."""

    service: str
    kind: NodeKind
    caused: Estimate
    """The change of the mean latency that it causes, in ns; see `called.Decomposition`."""
    held: Estimate
    """Critical time per request in ns, network time included."""
    between_ns: float
    """The part of the change that is network time."""
    calls: Estimate
    """Calls from other services, per request."""
    errors: Estimate
    """Failed calls from other services, per request."""
    begun: Difference
    """The share of requests in which errors began in it."""
    before: Spread
    """Durations before, of the spans at which the service was entered."""
    after: Spread
    example_id: str
    """A trace after in which errors began, where surely more do; else the one that the service held longest, on the
    side with more held time; empty for none."""

    @property
    def is_example_after(self) -> bool:
        """Whether the example is of the second side."""
        return shows_failure(self.begun) or self.held.change >= 0


def shows_failure(begun: Difference) -> bool:
    """Tell whether errors surely begin in more requests: then the example is one of these."""
    return begun.is_sure and begun.change > 0


class OperationChange(Struct, frozen=True):
    """The change of the time that an operation holds requests."""

    key: GroupKey
    held: Estimate
    between_ns: float
    calls: Estimate
    errors: Estimate
    before: Spread
    """Durations of the operation's spans before."""
    after: Spread


class EdgeChange(Struct, frozen=True):
    """The change of the network time between two services."""

    caller: str
    callee: str
    between: Estimate
    """Network time on the critical path per request, in ns."""
    calls: Estimate
    caller_share: float
    """The share of the change that is charged to the caller; see `levels.caller_shares`."""


_HELD = "critical time a request, what passes between caller and callee included"
_BETWEEN = "the part of the change that passes between callers and callees"

SERVICE_COLUMNS: tuple[Column[ServiceChange], ...] = (
    Column("service", "service", Unit.SERVICE, can_shrink=True),
    Column(
        "kind",
        "kind",
        about="`service`; of peers `database`, `messaging`, `external`",
        holds=get_args(NodeKind),
    ),
    *change_specs("caused", lambda line: line.caused, "the change of the mean latency that it causes", is_time=True),
    *estimate_specs("held", lambda line: line.held, _HELD, is_time=True),
    Column("between_change_ns", "between", Unit.DURATION, lambda line: round(line.between_ns), _BETWEEN),
    *estimate_specs("calls_per_request", lambda line: line.calls, "calls from other services"),
    *estimate_specs("errors_per_request", lambda line: line.errors, "failed ones of these calls"),
    *difference_specs("error_origin_ratio", lambda line: line.begun, "share of requests in which errors began in it"),
    *spread_specs("duration_before", "before", lambda line: line.before, "durations of entry spans before"),
    *spread_specs("duration_after", "after", lambda line: line.after, "durations of entry spans after"),
    Column(
        "example_trace_id",
        "example",
        Unit.TRACE_ID,
        lambda line: line.example_id or None,
        "a trace after in which errors began, where surely more do; else the one held longest, on the side on which "
        "the service holds requests longer",
        is_known=False,
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
    *spread_specs("duration_before", "before", lambda line: line.before, "durations of the spans before"),
    *spread_specs("duration_after", "after", lambda line: line.after, "durations of the spans after"),
)

EDGE_COLUMNS: tuple[Column[EdgeChange], ...] = (
    Column("caller", "caller", Unit.SERVICE, can_shrink=True),
    Column("callee", "callee", Unit.SERVICE, can_shrink=True),
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


class Changes(Struct, frozen=True):
    """What changed between two sets of requests. Times are means per request, of like requests on both sides."""

    before: SideSummary
    after: SideSummary
    latency: Estimate
    """The mean latency in ns."""
    failures: Estimate
    """The share of failed requests, 0..1."""
    failed: Difference
    """The same, of all requests, and whether it is beyond chance."""
    services: tuple[ServiceChange, ...]
    """The services and peers; what changes most for users comes first, see `weight`."""
    operations: tuple[OperationChange, ...]
    edges: tuple[EdgeChange, ...]
    call_changes: tuple[CallChange, ...]
    """Calls that are made more or less often, beyond chance; what no failure explains comes first."""
    order_changes: tuple[OrderChange, ...]
    """Calls that follow each other in another order, beyond chance; the greatest change comes first."""
    turn_changes: tuple[TurnChange, ...]
    """Calls that are made in turn instead of side by side, or the other way round."""

    @property
    def latency_ns(self) -> float:
        """The mean latency of both sides."""
        return (self.latency.before + self.latency.after) / 2


def weight(change: ServiceChange, latency_ns: float) -> float:
    """Say how much a service or peer changes for users: by size, and by how many deviations from chance that is.

    A request in which errors begin counts as one that takes twice as long.
    """
    slower = abs(change.caused.weight) / latency_ns if latency_ns else 0.0
    return slower + (abs(change.begun.weight) if change.begun.is_sure else 0.0)


def got_worse(change: ServiceChange, latency_ns: float) -> bool:
    """Tell whether a service or peer makes requests a good deal longer, beyond chance if taken alone, or fail more."""
    is_failing = change.begun.is_sure and change.begun.change > 0
    return is_failing or (change.caused.change > 0 and _takes_otherwise(change, latency_ns))


def changes_much(change: ServiceChange, latency_ns: float) -> bool:
    """Tell whether a service or peer got worse, or better, in this way."""
    return change.begun.is_sure or _takes_otherwise(change, latency_ns)


def _takes_otherwise(change: ServiceChange, latency_ns: float) -> bool:
    return change.caused.is_likely and abs(change.caused.change) >= NOTABLE_RATIO * latency_ns > 0


NOTABLE_RATIO = 0.05
"""The minimum share of the mean latency for a headline, when the change is sure."""


def is_of(key: GroupKey, service: str) -> bool:
    """Tell whether an operation is a service's, or a call to a peer of this name."""
    return key.service == service or (key.peer is not None and key.peer.label == service)


def fails_in(key: GroupKey, service: str) -> bool:
    """Tell whether an operation that fails may have failed in a service, or peer: calls to peers fail in these."""
    return key.service == service if key.peer is None else key.peer.label == service
