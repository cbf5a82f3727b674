"""Calls summed up by edge: sums of parts add up to the sums of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from traceq.analysis.calls import (
    Calls,
    Message,
    Node,
    PeerGrouping,
    find_calls,
    loose_messages,
    own_calls,
    protocol,
    united,
)
from traceq.analysis.columns import Ints, columns
from traceq.analysis.critical_path import find_paths
from traceq.analysis.grouping import distinct, merged, numbered_rows
from traceq.analysis.skew import corrected
from traceq.analysis.spread import Spread, spreads
from traceq.semantics import Kind
from traceq.traces import Traces


class CallKey(NamedTuple):
    """The key of an edge of the graph."""

    caller: Node
    callee: Node
    is_async: bool
    via: Node | None
    """The broker through which the messages went; None for calls."""


@dataclass(frozen=True, slots=True)
class CallSums:
    """The calls along one edge, summed up; can be added to others."""

    call_count: int = 0
    trace_count: int = 0
    """The number of traces with such calls."""
    error_count: int = 0
    """The number of calls that failed on either side."""
    callee: Spread = field(default_factory=Spread)
    """Durations of the callee's spans."""
    caller: Spread = field(default_factory=Spread)
    """Durations of the caller's own spans of the calls."""
    network: Spread = field(default_factory=Spread)
    """Network time of each call, which the caller saw and the callee did not: network, queue, connection pool."""
    critical_ns: int = 0
    """Time for which the calls held the critical path, without further calls below them; 0 unless requested."""
    protocols: frozenset[str] = frozenset()
    """The protocols of the calls; not known before all traces were read, see `DependencySums.spoken`."""

    def __add__(self, other: CallSums) -> CallSums:
        return CallSums(
            self.call_count + other.call_count,
            self.trace_count + other.trace_count,
            self.error_count + other.error_count,
            self.callee + other.callee,
            self.caller + other.caller,
            self.network + other.network,
            self.critical_ns + other.critical_ns,
            self.protocols | other.protocols,
        )


@dataclass(frozen=True, slots=True)
class DependencySums:
    """Calls between services, summed up; can be added to others."""

    trace_count: int = 0
    span_count: int = 0
    critical_ns: int = 0
    """The length of all critical paths."""
    nodes: frozenset[Node] = frozenset()
    calls: Mapping[CallKey, CallSums] = field(default_factory=dict)
    producers: Mapping[str, Message] = field(default_factory=dict)
    """Sent messages without a consumer in their trace, by trace and span id: a link of another trace may name them."""
    consumers: tuple[tuple[str, Message], ...] = ()
    """Received messages, with the trace and span id of the PRODUCER span to which they link."""
    spoken: Mapping[tuple[CallKey, str], tuple[str, str]] = field(default_factory=dict)
    """For each operation called along an edge: the first trace with such a call, by id, and the protocol of that call.

    Only one call of each is read, because attributes cost 20 us per span. Which one it is must not depend on the order
    of traces, nor on how they were divided into tables.
    """

    def __add__(self, other: DependencySums) -> DependencySums:
        return DependencySums(
            self.trace_count + other.trace_count,
            self.span_count + other.span_count,
            self.critical_ns + other.critical_ns,
            frozenset(united((*self.nodes, *other.nodes)).values()),
            merged((*self.calls.items(), *other.calls.items())),
            {**self.producers, **other.producers},
            self.consumers + other.consumers,
            _first_of_each((*self.spoken.items(), *other.spoken.items())),
        )


_Key = TypeVar("_Key")


def _first_of_each(told: Iterable[tuple[_Key, tuple[str, str]]]) -> dict[_Key, tuple[str, str]]:
    found: dict[_Key, tuple[str, str]] = {}
    for key, value in told:
        found[key] = min(found.get(key, value), value)
    return found


@dataclass(frozen=True, slots=True)
class DependencyOptions:
    """What to measure in traces."""

    grouping: PeerGrouping = "name"
    with_critical: bool = False
    """Whether to measure how long calls hold the critical path; this doubles the time."""


def count_calls(traces: Traces, options: DependencyOptions = DependencyOptions()) -> DependencySums:
    """Sum up the calls of a table; each trace has to be whole in it. See `find_calls` for what a call is."""
    spans = columns(traces)
    calls = find_calls(spans, options.grouping)
    keys, edge_of = _edges(calls)
    critical_ns, path_ns = np.zeros(len(keys), dtype=np.int64), 0
    if options.with_critical:
        critical_ns, path_ns = _critical(calls, edge_of, len(keys))
    present = frozenset(calls.nodes[code] for code in distinct(spans.services).tolist())
    sums = _sums(calls, edge_of, critical_ns)
    producers, consumers = loose_messages(calls)
    nodes = present.union(*((key.caller, key.callee) for key in keys))
    by_key = dict(zip(keys, sums, strict=True))
    return DependencySums(
        len(traces),
        traces.span_count,
        path_ns,
        nodes,
        by_key,
        producers,
        tuple(consumers),
        _spoken(calls, edge_of, keys),
    )


def _edges(calls: Calls) -> tuple[list[CallKey], Ints]:
    """Give all edges, and the edge of each call."""
    nodes = calls.nodes
    told = (calls.caller, calls.callee, calls.is_async.astype(np.int8), calls.via)
    places, edge_of = numbered_rows(*told)
    keys = [
        CallKey(nodes[caller], nodes[callee], bool(is_async), nodes[via] if via >= 0 else None)
        for caller, callee, is_async, via in zip(*(column[places].tolist() for column in told), strict=True)
    ]
    return keys, edge_of


def _sums(calls: Calls, edge_of: Ints, critical_ns: Ints) -> list[CallSums]:
    size = critical_ns.size
    spans = calls.spans
    in_trace, _ = _distinct(edge_of, spans.trace[calls.row], len(spans.traces))
    far = np.flatnonzero(calls.far >= 0)
    # A client span that reached two servers belongs to both calls.
    asked = np.flatnonzero(calls.near >= 0)
    near_edge, near = _distinct(edge_of[asked], calls.near[asked], spans.parents.size)
    gap_edge, gap_ns = _gaps(calls, edge_of)
    columns_of = (
        np.bincount(edge_of, minlength=size).tolist(),
        np.bincount(in_trace, minlength=size).tolist(),
        np.bincount(edge_of[calls.has_failed], minlength=size).tolist(),
        spreads(edge_of[far], spans.duration_ns[calls.far[far]], size),
        spreads(near_edge, spans.duration_ns[near], size),
        spreads(gap_edge, gap_ns, size),
        critical_ns.tolist(),
    )
    return [CallSums(*parts) for parts in zip(*columns_of, strict=True)]


def _distinct(groups: Ints, values: Ints, size: int) -> tuple[Ints, Ints]:
    """Give each pair once, sorted; values are below `size`."""
    pairs: Ints = groups * size + values
    packed = distinct(pairs)
    return packed // max(size, 1), packed % max(size, 1)


def _gaps(calls: Calls, edge_of: Ints) -> tuple[Ints, Ints]:
    """Measure network time, which only the caller saw, where its CLIENT span made only this call."""
    spans = calls.spans
    both = np.flatnonzero((calls.near >= 0) & (calls.far >= 0) & ~calls.is_async)
    near, far = calls.near[both], calls.far[both]
    asked = np.bincount(near, minlength=1)
    single = (asked[near] == 1) & (spans.roles[near] == Kind.CLIENT)
    gap_ns = np.maximum(spans.duration_ns[near] - spans.duration_ns[far], 0)
    return edge_of[both[single]], gap_ns[single]


def _spoken(calls: Calls, edge_of: Ints, keys: list[CallKey]) -> dict[tuple[CallKey, str], tuple[str, str]]:
    """Read the protocols of each edge, from one call of each operation."""
    spans, traces = calls.spans, calls.spans.traces
    names = spans.names[calls.row].astype(np.int64)
    place = np.zeros(len(traces), dtype=np.int64)
    place[sorted(range(len(traces)), key=traces.trace_ids.__getitem__)] = np.arange(len(traces))
    order = np.lexsort((place[spans.trace[calls.row]], names, edge_of))
    heads = np.flatnonzero(np.diff(edge_of[order] * len(traces.names) + names[order], prepend=-1))
    found = {}
    for call in order[heads].tolist():
        trace_id = traces.trace_ids[spans.trace.item(calls.row.item(call))]
        found[keys[edge_of.item(call)], traces.names[names.item(call)]] = trace_id, protocol(calls, call)
    return found


def _critical(calls: Calls, edge_of: Ints, size: int) -> tuple[Ints, int]:
    """Distribute the critical paths over calls: each span's part goes to the last call above it."""
    spans, _ = corrected(calls.spans, correct_skew=True)
    own_ns = find_paths(spans).own_ns
    call_of = own_calls(calls)
    within = np.flatnonzero(call_of >= 0)
    held = np.zeros(size, dtype=np.int64)
    np.add.at(held, edge_of[call_of[within]], own_ns[within])
    return held, int(own_ns.sum())
