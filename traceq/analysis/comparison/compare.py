"""What changed between two sets of requests: which services, operations and calls hold them longer or for less time."""

from __future__ import annotations

import math
from typing import Any, ClassVar, TypeAlias, get_args

import numpy as np
from msgspec.structs import replace

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.comparison.batches import Batch, on_one_table, sortable, unmatched_operations
from traceq.analysis.comparison.changes import (
    EDGE_COLUMNS,
    OPERATION_COLUMNS,
    SERVICE_COLUMNS,
    Changes,
    EdgeChange,
    OperationChange,
    ServiceChange,
    SideSummary,
    changes_much,
    got_worse,
    shows_failure,
    side_specs,
    weight,
)
from traceq.analysis.comparison.cohorts import Cohort
from traceq.analysis.comparison.levels import Edges, Measured, find_edges, measure
from traceq.analysis.comparison.measuring import Estimate, Sides, estimate_specs, pair
from traceq.analysis.comparison.structure import CALL_CHANGE_COLUMNS, ORDER_CHANGE_COLUMNS
from traceq.analysis.comparison.tags import TagChanges, tag_specs
from traceq.analysis.comparison.verdict import Outcome, Subject, Verdict, judge
from traceq.analysis.grouping import distinct
from traceq.analysis.requests import SetApart
from traceq.analysis.spread import Spread, spread, spreads
from traceq.answer import Answer, records
from traceq.report import Column, Rows, Table, Value, json_key

_Specs: TypeAlias = "tuple[Column[Any] | Rows[Any], ...]"


_UNKNOWN = Estimate(math.nan, math.nan, -math.inf, math.inf, is_likely=False, deviation=math.inf)


class Comparison(Answer, Changes, frozen=True):
    """What changed between two sets of requests. Times are means per request, of like requests on both sides."""

    tags: TagChanges | None = None
    """Tag values that stand out in the second set; None where tags were not compared."""

    SPECS: ClassVar[_Specs] = (
        Column(
            "outcome",
            of="verdict",
            about="`failing`, `recovered`, `slower`, `faster`, `mixed`, `different`, `same`, `too-few`, `incomparable`",
            within="verdict",
            holds=get_args(Outcome),
        ),
        json_key(
            "text",
            lambda answer: answer.verdict.headline,
            "the answer in one sentence, as in other documents",
            within="verdict",
        ),
        Column("remarks", of="verdict", about="further sentences", within="verdict", holds="texts"),
        json_key(
            "service",
            lambda answer: answer.verdict.service or None,
            "service that the sentence names; null for none",
            within="verdict",
        ),
        json_key(
            "subject",
            lambda answer: answer.verdict.subject,
            "what the sentence is about: `latency`, `errors`, `calls` or `order`; null for nothing",
            within="verdict",
            holds=get_args(Subject),
            is_known=False,
        ),
        *side_specs("before", lambda answer: answer.before),
        *side_specs("after", lambda answer: answer.after),
        *estimate_specs("latency", lambda answer: answer.known(answer.latency), "mean latency", is_time=True),
        *estimate_specs("failed_ratio", lambda answer: answer.known(answer.failures), "share of requests that failed"),
        Rows(
            "services",
            SERVICE_COLUMNS,
            lambda answer: answer.services if answer.is_compared else (),
            about="services and peers: the one that the verdict names, then by what they change, size and evidence",
        ),
        Rows(
            "operations",
            OPERATION_COLUMNS,
            lambda answer: answer.operations if answer.is_compared else (),
            about="operations, those first that hold requests longer",
        ),
        Rows(
            "edges",
            EDGE_COLUMNS,
            lambda answer: answer.edges if answer.is_compared else (),
            about="what passes between two services",
        ),
        Rows(
            "call_changes",
            CALL_CHANGE_COLUMNS,
            about="calls made more or less often, beyond chance; what failures explain comes last",
        ),
        Rows(
            "order_changes",
            ORDER_CHANGE_COLUMNS,
            about="calls of one caller of which another one now comes first, beyond chance",
        ),
        *tag_specs(lambda answer: answer.tags),
    )
    MAIN: ClassVar[str] = "operations"

    @property
    def verdict(self) -> Verdict:
        """The conclusion in words."""
        return judge(self)

    @property
    def is_compared(self) -> bool:
        """Whether any requests were compared with others; otherwise nothing is known of what changed."""
        return self.verdict.outcome != "incomparable"

    def known(self, change: Estimate) -> Estimate:
        """Give a change, or one of which nothing is known where nothing was compared."""
        return change if self.is_compared else _UNKNOWN

    def records(self) -> Table:
        """Give one record for each service, operation and pair of services, distinguished by their `level`."""
        levels = {
            "service": records(SERVICE_COLUMNS, self.services if self.is_compared else ()),
            "operation": records(OPERATION_COLUMNS, self.operations if self.is_compared else ()),
            "edge": records(EDGE_COLUMNS, self.edges if self.is_compared else ()),
        }
        columns = {column.flat_key: column for found in levels.values() for column in found.columns}
        rows: list[tuple[Value, ...]] = []
        for level, found in levels.items():
            keys = [column.flat_key for column in found.columns]
            for row in found.rows:
                values = dict(zip(keys, row, strict=True))
                rows.append((level, *(values.get(key) for key in columns)))
        return Table((Column("level", "level"), *columns.values()), tuple(rows))


def compare(before: Cohort, after: Cohort) -> Comparison:
    """Find what changed from one set of requests to another.

    Requests are compared with their like (`batches.match`). Times are critical time: over all services they add up to
    the latency. What passes between a caller and its callee is charged to the callee, unless the caller waits longer
    for most services that it calls (`levels.caller_shares`). How far chance reaches is measured by dealing the requests
    out anew (`dealing`).
    """
    one, other = on_one_table(before.batches, after.batches)
    sides = pair(one, other)
    edges = find_edges(one, other)
    found = measure(sides, edges)
    comparison = Comparison(
        before=_side(one, unmatched_operations(one, sides.matching.before_kinds, sides.matching)),
        after=_side(other, unmatched_operations(other, sides.matching.after_kinds, sides.matching)),
        latency=found.latency,
        failures=found.failures,
        failed=found.failed,
        services=_services(sides, found),
        operations=_operations(sides, found),
        edges=_edges(edges, found),
        call_changes=found.call_changes,
        order_changes=found.order_changes,
        turn_changes=found.turn_changes,
    )
    # Who comes first must not contradict the headline, which also knows why callers give up.
    named = comparison.verdict.service
    return replace(comparison, services=tuple(sorted(comparison.services, key=lambda line: line.service != named)))


def _side(batch: Batch, unmatched: dict[str, int]) -> SideSummary:
    return SideSummary(
        failed_count=int(np.count_nonzero(batch.requests.failed)),
        trace_count=distinct(batch.requests.traces.astype(np.int64)).size,
        span_count=batch.durations_ns.size,
        latency=spread(batch.requests.latency_ns),
        unmatched=unmatched,
        moved_span_count=int(batch.traces.moved_spans.sum()),
        largest_shift_ns=int(batch.traces.shift_ns.max(initial=0)),
        set_apart=SetApart.of(batch.traces.apart),
    )


def _services(sides: Sides, found: Measured) -> tuple[ServiceChange, ...]:
    network = found.network
    before, after = (
        _spreads(batch, network.operations, len(network.names), _is_entered(batch, network.asks_peer))
        for batch in (sides.before, sides.after)
    )
    changes = [
        ServiceChange(
            service,
            network.kinds[number],
            found.service_caused[number],
            found.service_held[number],
            found.service_between_ns[number],
            found.service_calls[number],
            found.service_errors[number],
            found.error_changes[number],
            before[number],
            after[number],
            _example(found, number),
        )
        for number, service in enumerate(network.names)
    ]
    latency_ns = (found.latency.before + found.latency.after) / 2

    otherwise = {line.caller for line in found.call_changes if not line.source}
    otherwise |= {line.caller for line in found.order_changes}
    if any(changes_much(change, latency_ns) for change in changes):
        otherwise = set()

    def rank(change: ServiceChange) -> tuple[bool, bool, float, str]:
        is_weighty = (not got_worse(change, latency_ns), change.service not in otherwise)
        return (*is_weighty, -round(weight(change, latency_ns), 9), change.service)

    return tuple(sorted(changes, key=rank))


def _example(found: Measured, service: int) -> str:
    if shows_failure(found.error_changes[service]):
        return found.error_examples[service]
    return found.service_examples[service][found.service_held[service].change >= 0]


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
    return tuple(sorted(changes, key=lambda change: (-change.held.weight, sortable(change.key))))


def _spreads(batch: Batch, group_of: Ints, size: int, counted: Flags | None = None) -> list[Spread]:
    """Sum up durations of spans by the groups of their operations.

    Args:
        batch: Any batch.
        group_of: The group of each operation.
        size: The number of groups.
        counted: Which spans, in the order of the batch's durations; None for all.
    """
    groups = np.repeat(group_of[batch.work.operations], batch.work.calls)
    if counted is None:
        return spreads(groups, batch.durations_ns, size)
    return spreads(groups[counted], batch.durations_ns[counted], size)


def _is_entered(batch: Batch, asks_peer: Flags) -> Flags:
    """Tell the spans whose caller is another service: the first ones of each entry, and all that are calls to peers."""
    calls = batch.work.calls.astype(np.int64)
    first = np.repeat(np.cumsum(calls) - calls, calls)
    counted = np.where(asks_peer[batch.work.operations], calls, batch.work.entered)
    entered: Flags = np.arange(first.size) - first < np.repeat(counted, calls)
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
