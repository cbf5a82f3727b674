"""The result of a comparison: both sides in numbers, the changes, and the conclusion in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from traceq.analysis.calls import NodeKind
from traceq.analysis.comparison.batches import MIN_REQUESTS
from traceq.analysis.comparison.measuring import Estimate, change_specs, estimate_specs
from traceq.analysis.group_sums import GroupKey, group_specs
from traceq.analysis.requests import SetApart, set_apart_specs
from traceq.analysis.skew import skew_specs
from traceq.analysis.spread import Spread, spread_specs
from traceq.report import Column, Rows, Unit, json_key
from traceq.units import format_duration, format_ratio, plural

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
    """The number of requests by entry operation that the other side does not have; they are not compared."""
    moved_span_count: int
    largest_shift_ns: int
    set_apart: SetApart


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
        ),
        *skew_specs(lambda row: (taken(row).moved_span_count, taken(row).largest_shift_ns), f"{key}.skew"),
        *set_apart_specs(lambda row: taken(row).set_apart, key),
    )


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """What changed in a service, or in a peer that sends no spans, and what that causes."""

    service: str
    kind: NodeKind
    caused: Estimate
    """The change of the mean latency that it causes, in ns; see `blame`."""
    held: Estimate
    """Critical time per request in ns, network time included."""
    between_ns: float
    """The part of the change that is network time."""
    calls: Estimate
    """Calls from other services, per request."""
    errors: Estimate
    """Failed calls from other services, per request."""
    begun: Estimate
    """The share of requests in which errors began in it."""
    before: Spread
    """Durations before, of the spans at which the service was entered."""
    after: Spread
    example_id: str
    """The trace that the service held longest, on the side with more held time; empty for none."""


@dataclass(frozen=True, slots=True)
class OperationChange:
    """The change of the time that an operation holds requests."""

    key: GroupKey
    held: Estimate
    between_ns: float
    calls: Estimate
    errors: Estimate
    before: Spread
    """Durations of the operation's spans before."""
    after: Spread


@dataclass(frozen=True, slots=True)
class EdgeChange:
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
    Column("kind", "kind", about="`service`; of peers `database`, `messaging`, `external`"),
    *change_specs("caused", lambda line: line.caused, "the change of the mean latency that it causes", is_time=True),
    *estimate_specs("held", lambda line: line.held, _HELD, is_time=True),
    Column("between_change_ns", "between", Unit.DURATION, lambda line: round(line.between_ns), _BETWEEN),
    *estimate_specs("calls_per_request", lambda line: line.calls, "calls from other services"),
    *estimate_specs("errors_per_request", lambda line: line.errors, "failed ones of these calls"),
    *estimate_specs("error_origin_ratio", lambda line: line.begun, "requests in which errors began in it"),
    *spread_specs("duration_before", "before", lambda line: line.before, "durations of entry spans before"),
    *spread_specs("duration_after", "after", lambda line: line.after, "durations of entry spans after"),
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


@dataclass(frozen=True, slots=True, repr=False)
class Changes:
    """What changed between two sets of requests. Times are means per request, of like requests on both sides."""

    before: SideSummary
    after: SideSummary
    latency: Estimate
    """The mean latency in ns."""
    failures: Estimate
    """The share of failed requests, 0..1."""
    services: tuple[ServiceChange, ...]
    """The services; those that hold requests longer come first."""
    operations: tuple[OperationChange, ...]
    edges: tuple[EdgeChange, ...]


Outcome: TypeAlias = Literal["slower", "faster", "mixed", "same", "too-few", "incomparable"]

NOTABLE_RATIO = 0.05
"""The minimum share of the mean latency for a headline, when the change is sure."""
GREAT_RATIO = 0.25
"""The minimum share for a headline when the change is beyond chance only if taken alone."""
_MOSTLY = 0.7
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion of a comparison."""

    outcome: Outcome
    headline: str
    """What changed most, by how much, and how sure that is."""
    remarks: tuple[str, ...]
    """Further sentences: where the time passes, what else changed."""
    service: str
    """The service that the headline names; empty when it names none."""


def judge(comparison: Changes) -> Verdict:
    """Say what changed most, or plainly that nothing did."""
    counts = (comparison.before.request_count, comparison.after.request_count)
    if min(counts) == 0:
        empty = "before" if counts[0] == 0 else "after"
        return Verdict("incomparable", f"Nothing to compare: no requests {empty}", (), "")
    if sum(comparison.before.unmatched.values()) == counts[0]:
        return Verdict("incomparable", "Nothing to compare: the two sides share no entry operation", (), "")
    if min(counts) < MIN_REQUESTS:
        few = f"Too few requests to tell change from chance: {counts[0]} before, {counts[1]} after"
        return Verdict("too-few", few, (_latency(comparison.latency),), "")
    notable = [change for change in comparison.services if is_notable(change.caused, comparison)]
    slower = [change for change in notable if change.caused.change > 0]
    faster = [change for change in notable if change.caused.change < 0][::-1]
    if not notable:
        return _nothing(comparison)
    first = (slower or faster)[0]
    outcome: Outcome = "mixed" if slower and faster else "slower" if slower else "faster"
    remarks = [
        _where(first, comparison),
        *_others(slower[1:], faster if slower else faster[1:]),
        *_failures(comparison),
    ]
    return Verdict(outcome, _headline(first, comparison), tuple(remark for remark in remarks if remark), first.service)


def is_notable(change: Estimate, comparison: Changes) -> bool:
    """Tell whether a change of the latency deserves to be named."""
    latency_ns = (comparison.latency.before + comparison.latency.after) / 2
    size = abs(change.change)
    if change.is_sure:
        return size >= NOTABLE_RATIO * latency_ns
    return change.is_likely and size >= GREAT_RATIO * latency_ns


def _latency(latency: Estimate) -> str:
    told = f"{format_duration(round(latency.before))} → {format_duration(round(latency.after))}"
    if not latency.before:
        return f"mean latency {told}"
    return f"mean latency {told} ({_signed(latency.change / latency.before)})"


def _signed(ratio: float) -> str:
    return f"{'+' if ratio >= 0 else '-'}{format_ratio(abs(ratio))}"


def _headline(first: ServiceChange, comparison: Changes) -> str:
    how = "longer" if first.caused.change > 0 else "shorter"
    amount = format_duration(round(abs(first.caused.change)))
    verb = "makes" if first.caused.is_sure else "probably makes"
    change = f"{first.service} {verb} requests {amount} {how} on average ({interval_text(first.caused)})"
    return f"{change}; {_latency(comparison.latency)}"


def interval_text(change: Estimate) -> str:
    """Write the interval of a change, with both ends in the direction of the change."""
    low, high = (change.low, change.high) if change.change >= 0 else (-change.high, -change.low)
    sure = "95 % sure" if change.is_sure else "may be chance"
    return f"{sure}: {format_duration(round(low))} to {format_duration(round(high))}"


def _where(change: ServiceChange, comparison: Changes) -> str:
    """Say where a service's change lies: between it and others, or in which of its operations."""
    caused = change.caused.change
    if abs(change.between_ns) >= _MOSTLY * abs(caused) and change.between_ns * caused > 0:
        return _between(change, comparison)
    ways = [line for line in comparison.operations if _is_of(line.key, change)]
    line = max(ways, key=lambda line: line.held.change * caused, default=None)
    if line is None or line.held.change * caused <= 0:
        return ""
    share = line.held.change / caused
    if share >= _HALF:
        whose = "" if line.key.service == change.service else f" of {line.key.service}"
        return f"{format_ratio(min(share, 1))} of it in {line.key.name}{whose}"
    return f"in {plural(len(ways), 'operation')}"


def _is_of(key: GroupKey, change: ServiceChange) -> bool:
    """Tell whether an operation is a service's, or a call to a peer."""
    return key.service == change.service or (key.peer is not None and key.peer.label == change.service)


def _between(change: ServiceChange, comparison: Changes) -> str:
    as_caller = [edge for edge in comparison.edges if edge.caller == change.service and edge.caller_share > 0]
    by_caller_ns = sum(edge.between.change * edge.caller_share for edge in as_caller)
    more = "more" if change.caused.change > 0 else "less"
    if abs(by_caller_ns) >= _HALF * abs(change.between_ns):
        callees = plural(len(as_caller), "service")
        return (
            f"it waits {more} for {callees} that it calls, before and after they work: look at {change.service} itself "
            "(CPU, threads, connections, network)"
        )
    callers = plural(len([edge for edge in comparison.edges if edge.callee == change.service]), "caller")
    return (
        f"{more} time passes between it and its {callers} than in it: network, queue, connection pool, or too few "
        "workers to take calls"
    )


def _others(slower: list[ServiceChange], faster: list[ServiceChange]) -> list[str]:
    told = [("also longer", slower), ("shorter", faster)]
    return [f"{how}: {', '.join(_amount(change) for change in changes)}" for how, changes in told if changes]


def _amount(change: ServiceChange) -> str:
    return f"{change.service} {format_duration(round(abs(change.caused.change)))}"


def _failures(comparison: Changes) -> list[str]:
    failures = comparison.failures
    if not failures.is_sure:
        return []
    return [f"failed requests {format_ratio(failures.before)} → {format_ratio(failures.after)}"]


def _nothing(comparison: Changes) -> Verdict:
    remarks = _failures(comparison)
    latency = _latency(comparison.latency)
    greatest = max(comparison.services, key=lambda change: abs(change.caused.change))
    if not greatest.caused.change:
        return Verdict("same", f"Nothing changed: {latency}", tuple(remarks), "")
    change = greatest.caused
    sign = "+" if change.change > 0 else "-"
    why = "within chance" if not change.is_sure else f"under {format_ratio(NOTABLE_RATIO)} of the latency"
    told = f"the greatest change, {greatest.service} {sign}{format_duration(round(abs(change.change)))}, is {why}"
    return Verdict("same", f"Nothing changed much: {latency}; {told}", tuple(remarks), "")
