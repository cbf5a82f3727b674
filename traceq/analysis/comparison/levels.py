"""The measures of both sides of a comparison: by service, by operation and by pair of services.

Network time is charged to the callee, or to the caller that many callees share.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import Batch, Counts, Floats, Gaps
from traceq.analysis.comparison.called import Attribution, CallSums, Decomposition, Network, SettledCalls, settle_calls
from traceq.analysis.comparison.dealing import Amounts, amounts, both
from traceq.analysis.comparison.evidence import Difference, Sample, combined, differences
from traceq.analysis.comparison.measuring import (
    Estimate,
    Seen,
    Sides,
    estimate,
    estimate_derived,
)
from traceq.analysis.comparison.structure import (
    CallChange,
    OrderChange,
    TurnChange,
    find_call_changes,
    find_order_changes,
)
from traceq.analysis.grouping import distinct


class Edges(Struct, frozen=True, eq=False):
    """Pairs of services of which one calls the other, with the same numbers for two batches."""

    services: tuple[str, ...]
    service_of: Ints
    """The number of the service of each operation."""
    callers: Ints
    """The number of the calling service of each edge."""
    callees: Ints

    def of(self, gaps: Gaps) -> Ints:
        """Give the edge of each entry of `gaps`."""
        return self.between(gaps.callers, gaps.callees)

    def between(self, callers: Codes, callees: Codes) -> Ints:
        """Give the edges between operations."""
        keys = self.callers * len(self.services) + self.callees
        wanted = self.service_of[callers] * len(self.services) + self.service_of[callees]
        return np.searchsorted(keys, wanted)


def find_edges(before: Batch, after: Batch) -> Edges:
    """Number the services, and the calls between them, of two batches with the same numbers for operations."""
    services = tuple(sorted({key.service for key in before.operations}))
    numbers = {service: number for number, service in enumerate(services)}
    service_of = np.array([numbers[key.service] for key in before.operations], dtype=np.int64)
    keys = [service_of[gaps.callers] * len(services) + service_of[gaps.callees] for gaps in (before.gaps, after.gaps)]
    found = distinct(np.concatenate(keys))
    return Edges(services, service_of, found // max(len(services), 1), found % max(len(services), 1))


def _caller_shares(sides: Sides, edges: Edges) -> Floats:
    ends = zip((sides.before, sides.after), sides.weights(), strict=True)
    sums = [part.sums(weight) for batch, weight in ends for part in _by_edge(batch, edges)]
    return caller_shares(edges, (sums[0], sums[1]), (sums[2], sums[3]))


def caller_shares(edges: Edges, before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Floats:
    """Give for each edge the share of the change between the two services that is charged to the caller, 0..1.

    Network time is charged to the callee. But a caller that waits longer for most of the services it calls is short of
    something itself: the median growth over its callees is charged to the caller, and only growth beyond it to a
    callee. A caller of a single service gives no such evidence.

    Args:
        edges: The edges.
        before: Network time and number of calls, per request, of each edge.
        after: The same of the other side.
    """
    with_calls = (before[1] > 0) & (after[1] > 0)
    growth = np.zeros(edges.callers.size)
    growth[with_calls] = after[0][with_calls] / after[1][with_calls] - before[0][with_calls] / before[1][with_calls]
    shares = np.zeros(edges.callers.size)
    for caller in distinct(edges.callers[with_calls]).tolist():
        mine = np.flatnonzero(with_calls & (edges.callers == caller))
        common = _common(np.sort(growth[mine]))
        if common:
            same_way = mine[growth[mine] * common > 0]
            shares[same_way] = np.minimum(common / growth[same_way], 1)
    return shares


def _common(growths: Floats) -> float:
    """Give the median; of two middle values the one nearer to 0, and 0 where their signs differ."""
    if growths.size < 2:
        return 0.0
    low, high = float(growths[(growths.size - 1) // 2]), float(growths[growths.size // 2])
    if low > 0:
        return low
    return high if high < 0 else 0.0


_SERVICE_HELD, _OPERATION_HELD, _BETWEEN = 2, 5, 8
"""Positions among `_levels`."""
_TIMES = frozenset((_SERVICE_HELD, _OPERATION_HELD, _BETWEEN))
"""The levels that divide up the latency."""
_NUMBERS = frozenset((3, 4, 6, 7, 9))
"""The levels that count spans."""


class Measured(Struct, frozen=True):
    """All measures; the positions in lists are the numbers of services, operations and edges."""

    latency: Estimate
    failures: Estimate
    network: Network
    service_caused: list[Estimate]
    service_held: list[Estimate]
    service_calls: list[Estimate]
    service_errors: list[Estimate]
    operation_held: list[Estimate]
    operation_calls: list[Estimate]
    operation_errors: list[Estimate]
    edge_between: list[Estimate]
    edge_calls: list[Estimate]
    service_between_ns: list[float]
    operation_between_ns: list[float]
    caller_shares: list[float]
    service_examples: list[tuple[str, str]]
    """For each service the traces before and after that it held longest; empty for none."""
    error_examples: list[str]
    """For each service the trace after in which most errors began in it; empty for none."""
    call_changes: tuple[CallChange, ...]
    order_changes: tuple[OrderChange, ...]
    turn_changes: tuple[TurnChange, ...]
    error_changes: list[Difference]
    """For each service the share of requests in which errors began in it."""
    failed: Difference
    """The share of requests that failed."""


def measure(sides: Sides, edges: Edges) -> Measured:
    """Measure what changed between two batches with the same numbers for operations."""
    weights = sides.weights()
    shares = _caller_shares(sides, edges)
    network, *settled = settle_calls(sides.before, sides.after)
    ends = tuple(
        _Side(batch, network, calls, edges, shares)
        for batch, calls in zip((sides.before, sides.after), settled, strict=True)
    )
    held = (ends[0].held(), ends[1].held())
    examples = list(zip(*(_examples(end.batch, part) for end, part in zip(ends, held, strict=True)), strict=True))
    measured, seen = estimate(sides, _levels(ends, held), _TIMES, _NUMBERS)
    del held
    grown = [
        (second.sums(weights[1]) - first.sums(weights[0])).tolist()
        for first, second in zip(*(_between(end) for end in ends), strict=True)
    ]
    caused, of_calls = _caused(sides, network, ends, measured[_SERVICE_HELD], seen)
    batches, both_settled = (sides.before, sides.after), (settled[0], settled[1])
    order_changes, turn_changes = find_order_changes(batches, network, both_settled)
    return Measured(
        latency=measured[0][0],
        failures=measured[1][0],
        network=network,
        service_caused=caused,
        service_held=measured[_SERVICE_HELD],
        service_calls=measured[3],
        service_errors=measured[4],
        operation_held=measured[5],
        operation_calls=measured[6],
        operation_errors=measured[7],
        edge_between=measured[8],
        edge_calls=measured[9],
        service_between_ns=grown[0],
        operation_between_ns=grown[1],
        caller_shares=shares.tolist(),
        service_examples=examples,
        error_examples=_examples(sides.after, ends[1].by_service(sides.after.calls.begun)),
        call_changes=find_call_changes(batches, network, both_settled, of_calls),
        order_changes=order_changes,
        turn_changes=turn_changes,
        error_changes=_error_changes(batches, network, both_settled),
        failed=_failures(batches),
    )


def _caused(
    sides: Sides, network: Network, ends: tuple[_Side, ...], held: list[Estimate], seen: Seen
) -> tuple[list[Estimate], Attribution]:
    levels = tuple(zip(*(end.by_kind() for end in ends), strict=True))
    weights = sides.weights()
    sums = [CallSums(*(level[side].sums(weight)[None, :] for level in levels)) for side, weight in enumerate(weights)]
    divide = Decomposition(network, ends[0].kind_shares(ends[1]), sums[0], sums[1])
    caused = estimate_derived(
        sides,
        levels,
        lambda before, after: divide(CallSums(*before), CallSums(*after)),
        np.array([one.before + one.after for one in held]),
        seen,
    )
    return caused, divide.of_calls(sums[0], sums[1])


class _Side(Struct, frozen=True, eq=False):
    """One side, with its calls settled."""

    batch: Batch
    network: Network
    settled: SettledCalls
    edges: Edges
    shares: Floats

    def entry_shares(self) -> Floats:
        """Give for each kind of call in a request the share of its network time that is charged to the caller."""
        calls = self.batch.calls
        shares = np.zeros(calls.requests.size)
        between = np.flatnonzero((calls.clients >= 0) & (calls.callees >= 0))
        shares[between] = self.shares[self.edges.between(calls.clients[between], calls.callees[between])]
        return shares

    def kind_shares(self, other: _Side) -> Floats:
        """Give the same for each kind of call."""
        found = np.zeros(self.network.depths.size)
        for end in (self, other):
            found[end.settled.groups] = np.maximum(found[end.settled.groups], end.entry_shares()[end.settled.entries])
        return found

    def by_kind(self) -> tuple[Amounts, ...]:
        """Give what `CallSums` adds up."""
        calls, groups, size = self.batch.calls, self.settled.groups, self.network.depths.size
        columns = (calls.calls, calls.own_ns, calls.gap_ns, calls.errors)
        return tuple(self.settled.amounts(calls, column[self.settled.entries], groups, size) for column in columns)

    def by_service(self, values: Counts | Flags | Floats, *, of_callers: bool = False) -> Amounts:
        """Give amounts of calls by who is called, or who calls."""
        network = self.network
        groups = (network.calling if of_callers else network.called)[self.settled.groups]
        return self.settled.amounts(self.batch.calls, values[self.settled.entries], groups, len(network.names))

    def of_requests(self) -> tuple[Amounts, Amounts]:
        """Give the latency and the failures of requests."""
        requests = self.batch.requests
        alone = np.arange(len(requests), dtype=np.int64)
        none = np.zeros_like(alone)
        return _sparse(alone, none, requests.latency_ns, 1), _sparse(alone, none, requests.failed, 1)

    def held(self) -> Amounts:
        """Give the time for which services and peers held requests, network time included."""
        calls, shares = self.batch.calls, self.entry_shares()
        return both(
            self.by_service(calls.own_ns + calls.gap_ns * (1 - shares)),
            self.by_service(calls.gap_ns * shares, of_callers=True),
        )

    def of_services(self) -> tuple[Amounts, Amounts]:
        """Give the calls that come in to services and peers, and those that failed."""
        calls, comes_in = self.batch.calls, _comes_in(self)
        made, failed = (self.by_service(np.where(comes_in, counts, 0)) for counts in (calls.calls, calls.errors))
        return made, failed

    def operations_held(self) -> Amounts:
        """Give the time for which operations held requests."""
        return _sparse(*_held(self.batch, self.edges, self.shares), len(self.batch.operations))

    def of_operations(self) -> tuple[Amounts, Amounts]:
        """Give the spans of operations, and those that failed."""
        work, size = self.batch.work, len(self.batch.operations)
        made, failed = (_sparse(work.requests, work.operations, counts, size) for counts in (work.calls, work.errors))
        return made, failed


_Level: TypeAlias = "tuple[Amounts, Amounts]"
"""The amounts of both sides."""


def _levels(ends: tuple[_Side, ...], held: _Level) -> Iterator[tuple[_Level, ...]]:
    """Give the amounts that get intervals, in the order of `Measured`: they are the greatest part of the memory."""
    one, other = ends
    yield _both(one.of_requests(), other.of_requests())
    yield held, *_both(one.of_services(), other.of_services())
    yield (_both((one.operations_held(),), (other.operations_held(),)))
    yield _both(one.of_operations(), other.of_operations())
    yield _both(_by_edge(one.batch, one.edges), _by_edge(other.batch, other.edges))


def _both(one: tuple[Amounts, ...], other: tuple[Amounts, ...]) -> tuple[_Level, ...]:
    return tuple(zip(one, other, strict=True))


def _comes_in(end: _Side) -> Flags:
    """Tell the calls that come from another service, and requests."""
    network, groups = end.network, end.settled.groups
    crossing = (network.calling != network.called) | (network.callers < 0)
    found = np.zeros(end.batch.calls.requests.size, dtype=np.bool_)
    found[end.settled.entries] = crossing[groups]
    return found


def _examples(batch: Batch, amounts: Amounts) -> list[str]:
    """Give for each group the trace with most of it; of equal ones the one with the smallest id."""
    found = [""] * amounts.size
    owners = batch.requests.traces[amounts.requests]
    parts = (np.split(column, amounts.heads[1:]) for column in (amounts.values, owners))
    for group, values, traces in zip(amounts.groups.tolist(), *parts, strict=False):
        if values.size and values.max() > 0:
            found[group] = min(batch.traces.ids[traces[values == values.max()]].tolist())
    return found


def _between(end: _Side) -> tuple[Amounts, Amounts]:
    """Give network time by the service and by the operation that are charged with it."""
    requests, operations, values = _charged_gaps(end.batch, end.edges, end.shares)
    gap_ns, shares = end.batch.calls.gap_ns, end.entry_shares()
    return (
        both(end.by_service(gap_ns * (1 - shares)), end.by_service(gap_ns * shares, of_callers=True)),
        _sparse(requests, operations, values, len(end.batch.operations)),
    )


def _held(batch: Batch, edges: Edges, shares: Floats) -> tuple[Codes, Codes, Floats]:
    """Give requests, operations and the time for which each operation held the request, network time included."""
    requests, operations, values = _charged_gaps(batch, edges, shares)
    work = batch.work
    return (
        np.concatenate((work.requests, requests)),
        np.concatenate((work.operations, operations)),
        np.concatenate((work.own_ns.astype(np.float64), values)),
    )


def _charged_gaps(batch: Batch, edges: Edges, shares: Floats) -> tuple[Codes, Codes, Floats]:
    gaps = batch.gaps
    share = shares[edges.of(gaps)]
    return (
        np.concatenate((gaps.requests, gaps.requests)),
        np.concatenate((gaps.callers, gaps.callees)),
        np.concatenate((gaps.gap_ns * share, gaps.gap_ns * (1 - share))),
    )


def _by_edge(batch: Batch, edges: Edges) -> tuple[Amounts, Amounts]:
    gaps, of_edge, size = batch.gaps, edges.of(batch.gaps), edges.callers.size
    return _sparse(gaps.requests, of_edge, gaps.gap_ns, size), _sparse(gaps.requests, of_edge, gaps.calls, size)


def _sparse(requests: Ints | Codes, groups: Ints | Codes, values: Counts | Flags | Floats, size: int) -> Amounts:
    there = np.flatnonzero(values)
    some: npt.NDArray[np.float64] = values[there].astype(np.float64)
    return amounts(requests[there], groups[there], some, size)


def _error_changes(
    batches: tuple[Batch, Batch], network: Network, settled: tuple[SettledCalls, SettledCalls]
) -> list[Difference]:
    """Compare for each service and peer the share of requests in which errors began.

    It is sure where the share of its calls in which errors began, looked at alone, differs in the same way: more calls
    alone fail more often.
    """
    names = np.arange(len(network.names))
    shares, rates = zip(*(_errors(*side, network) for side in zip(batches, settled, strict=True)), strict=True)
    told = list(
        zip(
            differences(shares[0], shares[1], np.zeros_like(names), are_shares=True),
            differences(rates[0], rates[1], names, is_one=True),
            strict=True,
        )
    )
    return [
        replace(share, is_sure=share.is_sure and rate.is_sure and share.change * rate.change > 0)
        for share, rate in told
    ]


def _errors(batch: Batch, settled: SettledCalls, network: Network) -> tuple[Sample, Sample]:
    """Give for each request the services in which errors began, and the share of their calls in which they did."""
    entries, called = batch.requests.operations, network.called.astype(np.int32)[settled.groups]
    begun, made = (
        settled.amounts(batch.calls, part[settled.entries], called, len(network.names))
        for part in (batch.calls.begun, batch.calls.calls)
    )
    groups, wholes = (part.group_of_each().astype(np.int32) for part in (begun, made))
    at = np.searchsorted(combined(wholes, made.requests, len(entries)), combined(groups, begun.requests, len(entries)))
    rates = np.minimum(begun.values / made.values[at], 1)
    return (
        _shares(entries, groups, begun.requests, np.minimum(begun.values, 1)),
        Sample(groups, entries[begun.requests], rates, wholes, entries[made.requests]),
    )


def _failures(batches: tuple[Batch, Batch]) -> Difference:
    """Compare the share of requests that failed."""
    samples = []
    for batch in batches:
        failed = np.flatnonzero(batch.requests.failed)
        entries = batch.requests.operations
        samples.append(_shares(entries, np.zeros_like(failed), failed, np.ones(failed.size)))
    return differences(samples[0], samples[1], np.zeros(1, dtype=np.int64), are_shares=True)[0]


def _shares(entries: Codes, groups: Ints | Codes, requests: Ints | Codes, values: Floats) -> Sample:
    return Sample(groups, entries[requests], values, np.zeros_like(entries), entries)
