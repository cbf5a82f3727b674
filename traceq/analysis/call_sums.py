"""Calls summed up by edge: sums of parts add up to the sums of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from msgspec import Struct, field

from traceq.analysis.calls import Calls, Node, PeerGrouping, find_calls, own_calls, protocol, united
from traceq.analysis.columns import Ints, columns
from traceq.analysis.critical_path import find_paths
from traceq.analysis.grouping import added, distinct, merged, moved, numbered_rows, sum_by_group
from traceq.analysis.learning import corrected, with_learned, with_rejoined
from traceq.analysis.messages import Sent, Taken, Way, find_messages, find_waits, find_ways
from traceq.analysis.spread import Spread, spread, spreads
from traceq.semantics import Kind
from traceq.traces import Traces


class CallKey(NamedTuple):
    """The key of an edge of the graph."""

    caller: Node
    callee: Node
    is_async: bool
    via: Node | None
    """The broker through which the messages went; None for calls."""


class CallSums(Struct, frozen=True):
    """The calls along one edge, summed up; can be added to others."""

    call_count: int = 0
    trace_count: int = 0
    """The number of traces with such calls."""
    error_count: int = 0
    """The number of calls that failed on either side."""
    rejoined_count: int = 0
    """The number of calls whose span on one side is missing, found because a fragment was put where it belongs."""
    callee: Spread = field(default_factory=Spread)
    """Durations of the callee's spans."""
    caller: Spread = field(default_factory=Spread)
    """Durations of the caller's own spans of the calls."""
    network: Spread = field(default_factory=Spread)
    """Network time of each call, which the caller saw and the callee did not: network, queue, connection pool."""
    queue: Spread = field(default_factory=Spread)
    """Queue delays of messages: from the end of the producer's span to the start of the consumer's."""
    critical_ns: int = 0
    """Time for which the calls held the critical path, without further calls below them; 0 unless requested."""
    protocols: frozenset[str] = frozenset()
    """The protocols of the calls; not known before all traces were read, see `DependencySums.spoken`."""

    def __add__(self, other: CallSums) -> CallSums:
        return added(self, other, protocols=self.protocols | other.protocols)


class DependencySums(Struct, frozen=True):
    """Calls between services, summed up; can be added to others."""

    trace_count: int = 0
    span_count: int = 0
    critical_ns: int = 0
    """The length of all critical paths."""
    nodes: frozenset[Node] = frozenset()
    calls: Mapping[CallKey, CallSums] = {}
    sent: Sent = field(default_factory=Sent)
    """All messages that were sent: links of consumers in other traces may name them."""
    taken: tuple[Taken, ...] = ()
    """Messages whose producers only links name; see `linked`."""
    spoken: Mapping[tuple[CallKey, str], tuple[str, str]] = {}
    """For each operation called along an edge: the first trace with such a call, by id, and the protocol of that call.

    Only one call of each is read, because attributes cost 20 us per span. Which one it is must not depend on the order
    of traces, nor on how they were divided into tables.
    """

    def __add__(self, other: DependencySums) -> DependencySums:
        return added(
            self,
            other,
            nodes=frozenset(united((*self.nodes, *other.nodes)).values()),
            calls=merged((*self.calls.items(), *other.calls.items())),
            spoken=_first_of_each((*self.spoken.items(), *other.spoken.items())),
        )


_Key = TypeVar("_Key")


def _first_of_each(told: Iterable[tuple[_Key, tuple[str, str]]]) -> dict[_Key, tuple[str, str]]:
    found: dict[_Key, tuple[str, str]] = {}
    for key, value in told:
        found[key] = min(found.get(key, value), value)
    return found


class DependencyOptions(Struct, frozen=True):
    """What to measure in traces."""

    grouping: PeerGrouping = "name"
    with_critical: bool = False
    """Whether to measure how long calls hold the critical path; this doubles the time."""


def count_calls(traces: Traces, options: DependencyOptions = DependencyOptions()) -> DependencySums:
    """Sum up the calls of a table; each trace has to be whole in it. See `find_calls` for what a call is."""
    recorded = with_learned(columns(traces))
    spans, _ = corrected(recorded)
    spans = with_rejoined(spans)
    every = find_calls(spans, options.grouping)
    held_ns, path_ns = np.zeros(every.caller.size, dtype=np.int64), 0
    if options.with_critical:
        held_ns, path_ns = _critical(every)
    messages = find_messages(recorded, every, held_ns)
    calls = every.picked(~messages.apart)
    keys, edge_of = _edges(calls)
    sums = _sums(calls, edge_of, held_ns[~messages.apart], len(keys))
    present = frozenset(calls.nodes[code] for code in distinct(spans.services).tolist())
    return DependencySums(
        len(traces),
        traces.span_count,
        path_ns,
        present.union(*((key.caller, key.callee) for key in keys)),
        dict(zip(keys, sums, strict=True)),
        messages.sent,
        messages.taken,
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


def _sums(calls: Calls, edge_of: Ints, held_ns: Ints, size: int) -> list[CallSums]:
    spans = calls.spans
    in_trace, _ = _distinct(edge_of, spans.trace[calls.row], len(spans.traces))
    is_rejoined = (calls.far >= 0) & spans.rejoined[calls.far]
    # The span that served a call may be the missing one: what was below it tells nothing about its duration.
    far = np.flatnonzero(
        (calls.far >= 0) & ~(is_rejoined & ~np.isin(spans.roles[calls.far], (Kind.SERVER, Kind.CONSUMER)))
    )
    # A client span that reached two servers belongs to both calls.
    asked = np.flatnonzero(calls.near >= 0)
    near_edge, near = _distinct(edge_of[asked], calls.near[asked], spans.parents.size)
    gap_edge, gap_ns = _gaps(calls, edge_of)
    messages = np.flatnonzero(calls.is_async & (calls.far >= 0))
    wait_ns = find_waits(spans, calls.far[messages])
    waited = messages[wait_ns >= 0]
    critical_ns = sum_by_group(edge_of, held_ns, size)
    columns_of = (
        np.bincount(edge_of, minlength=size).tolist(),
        np.bincount(in_trace, minlength=size).tolist(),
        np.bincount(edge_of[calls.has_failed], minlength=size).tolist(),
        np.bincount(edge_of[is_rejoined], minlength=size).tolist(),
        spreads(edge_of[far], spans.duration_ns[calls.far[far]], size),
        spreads(near_edge, spans.duration_ns[near], size),
        spreads(gap_edge, gap_ns, size),
        spreads(edge_of[waited], wait_ns[wait_ns >= 0], size),
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
    both = np.flatnonzero((calls.near >= 0) & (calls.far >= 0) & ~calls.is_async & ~spans.rejoined[calls.far])
    near, far = calls.near[both], calls.far[both]
    asked = np.bincount(near, minlength=1)
    single = (asked[near] == 1) & (spans.roles[near] == Kind.CLIENT)
    gap_ns = np.maximum(spans.duration_ns[near] - spans.duration_ns[far], 0)
    return edge_of[both[single]], gap_ns[single]


def _spoken(calls: Calls, edge_of: Ints, keys: list[CallKey]) -> dict[tuple[CallKey, str], tuple[str, str]]:
    """Read the protocols of each edge, from one call of each operation."""
    spans, traces = calls.spans, calls.spans.traces
    names = spans.names[calls.row].astype(np.int64)
    place = moved(np.arange(len(traces)), sorted(range(len(traces)), key=traces.trace_ids.__getitem__), len(traces))
    order = np.lexsort((place[spans.trace[calls.row]], names, edge_of))
    heads = np.flatnonzero(np.diff(edge_of[order] * len(traces.names) + names[order], prepend=-1))
    found = {}
    for call in order[heads].tolist():
        trace_id = traces.trace_ids[spans.trace.item(calls.row.item(call))]
        found[keys[edge_of.item(call)], traces.names[names.item(call)]] = trace_id, protocol(calls, call)
    return found


def _critical(calls: Calls) -> tuple[Ints, int]:
    """Distribute the critical paths over calls: each span's part goes to the last call above it."""
    own_ns = find_paths(calls.spans).own_ns
    call_of = own_calls(calls)
    within = np.flatnonzero(call_of >= 0)
    held_ns = sum_by_group(call_of[within], own_ns[within], calls.caller.size)
    return held_ns, int(own_ns.sum())


def linked(sums: DependencySums) -> dict[CallKey, CallSums]:
    """Count the messages whose producers only links name: each from its producer, and from its broker."""
    edges: dict[CallKey, list[Way]] = {}
    critical_ns: dict[CallKey, int] = {}
    for way in find_ways(sums.sent, sums.taken):
        from_broker = CallKey(way.broker, way.taken.node, is_async=True, via=None) if way.broker else None
        if from_broker is not None:
            critical_ns[from_broker] = critical_ns.get(from_broker, 0) + way.critical_ns
            if way.leaves_broker:
                edges.setdefault(from_broker, []).append(way)
        if way.sender is not None:
            key = CallKey(way.sender, way.taken.node, is_async=True, via=way.broker)
            edges.setdefault(key, []).append(way)
    found = {key: CallSums(critical_ns=held_ns) for key, held_ns in critical_ns.items() if held_ns}
    return merged((*found.items(), *((key, _message_sums(key, ways)) for key, ways in edges.items())))


def _message_sums(key: CallKey, ways: list[Way]) -> CallSums:
    def view(times_ns: Iterable[int]) -> Spread:
        return spread(np.array([time_ns for time_ns in times_ns if time_ns >= 0], dtype=np.int64))

    is_whole = key.caller.kind == "service"
    broker = key.via or (None if is_whole else key.caller)
    return CallSums(
        len(ways),
        len({way.taken.trace_id for way in ways}),
        sum(way.taken.has_failed or (is_whole and way.has_failed) for way in ways),
        callee=view(way.processing_ns for way in ways),
        caller=view(way.sending_ns for way in ways) if is_whole else Spread(),
        queue=view(way.wait_ns for way in ways),
        protocols=frozenset((broker.name,)) if broker else frozenset(),
    )
