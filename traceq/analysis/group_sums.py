"""Spans that count as the same call, summed up: what they cost their requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
from msgspec import Struct, field

from traceq.analysis.columns import Columns, Ints
from traceq.analysis.culprits import Examined
from traceq.analysis.grouping import added, distinct, moved, numbered_rows, sum_by_group
from traceq.analysis.naming import place
from traceq.analysis.spread import Buckets, Cells, Spread, SpreadColumns, bucket_of, spread_columns, sum_cells
from traceq.report import Column, Holds, Rows, Unit
from traceq.semantics import KIND_NAMES, Kind, Peer, PeerKind, Status


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


def _no_spread() -> SpreadColumns:
    return spread_columns(_none(), _none(), 0)


class GroupKey(NamedTuple):
    """Spans that count as the same call."""

    service: str
    name: str
    """The spans' name without ids; see `semantics.operation`."""
    kind: Kind
    peer: Peer | None

    @property
    def place(self) -> str:
        """Name the service, and what it talked to, or took messages from (`chat-service → mongodb`)."""
        return place(self.service, self.peer, self.kind)


_Row = TypeVar("_Row")


def group_specs(key: Callable[[_Row], GroupKey]) -> tuple[Column[_Row], ...]:
    """Describe the columns that distinguish groups of spans.

    Args:
        key: Takes the group's key from a row.
    """
    return (
        Column(
            "service", "service", Unit.SERVICE, lambda row: key(row).service, "service of the spans", can_shrink=True
        ),
        Column(
            "operation",
            "operation",
            value=lambda row: key(row).name,
            about="name of the spans, without ids",
            can_shrink=True,
        ),
        Column(
            "kind",
            "kind",
            value=lambda row: key(row).kind.name.lower(),
            about="what they are in a conversation",
            holds=KIND_NAMES,
        ),
        *peer_specs(lambda row: key(row).peer),
    )


def peer_specs(peer: Callable[[_Row], Peer | None]) -> tuple[Column[_Row], ...]:
    """Describe the columns of a span's peer; null where it is not known.

    Args:
        peer: Takes the peer from a row.
    """

    def fact(name: str, about: str, holds: Holds = "text") -> Column[_Row]:
        def value(row: _Row) -> str | None:
            found = peer(row)
            return None if found is None else getattr(found, name) or None

        return Column(name, f"peer {name}", value=value, about=about, within="peer", holds=holds)

    return (
        fact("kind", "what was called: `database`, `messaging`, `rpc`, `service`, `host`", get_args(PeerKind)),
        fact("system", "`mysql`, `kafka`, ...; the name itself for a service or host"),
        fact("name", "database, topic or queue, RPC service"),
    )


def example_rows(columns: tuple[Column[Any], ...], first: str) -> Rows[Any]:
    """Describe the three examples that sums of alike things keep (`totals.examples`).

    Args:
        columns: Those of an example, which has a `trace_id`.
        first: What the first of them is the most of (`newest`).
    """
    return Rows(
        "examples",
        columns,
        of="totals",
        about=f"up to three, the {first} first; in CSV the ids of their traces",
        text=lambda row: tuple(example.trace_id for example in row.totals.examples),
    )


class Example(NamedTuple):
    """The span of a group that held its request longest."""

    held_ns: int
    trace_id: str
    span_id: str


class GroupSums(Struct, frozen=True):
    """A group of spans, summed up."""

    request_count: int
    """The number of requests in which the group held the critical path."""
    error_count: int
    critical_ns: int
    network_ns: int
    """Network time: the part of `critical_ns` that passed between caller and callee."""
    duration: Spread
    self_time: Spread
    by_latency: Buckets
    """`critical_ns` by the bucket of the request's latency, so that slow and typical requests can be split later."""
    example: Example | None
    """The span that held its request longest; None for a group that never held a path."""


class GroupTable(Struct, frozen=True, eq=False):
    """Any number of groups, summed up, as columns; can be added to others. Arrays have one entry for each group."""

    keys: tuple[GroupKey, ...] = ()
    request_count: Ints = field(default_factory=_none)
    error_count: Ints = field(default_factory=_none)
    critical_ns: Ints = field(default_factory=_none)
    network_ns: Ints = field(default_factory=_none)
    duration: SpreadColumns = field(default_factory=_no_spread)
    self_time: SpreadColumns = field(default_factory=_no_spread)
    by_latency: Cells = field(default_factory=Cells)
    examples: tuple[Example | None, ...] = ()

    def __add__(self, other: GroupTable) -> GroupTable:
        keys = tuple(dict.fromkeys((*self.keys, *other.keys)))
        positions = {key: number for number, key in enumerate(keys)}
        mine, theirs = (one.renumbered(keys, positions) for one in (self, other))
        return added(mine, theirs, keys=keys, examples=tuple(map(_longer, mine.examples, theirs.examples)))

    def renumbered(self, keys: tuple[GroupKey, ...], positions: dict[GroupKey, int]) -> GroupTable:
        """Give the same among more groups: their keys, and the position of each."""
        if self.keys == keys:
            return self
        numbers = np.array([positions[key] for key in self.keys], dtype=np.int64)
        size = len(keys)
        examples: list[Example | None] = [None] * size
        for number, example in zip(numbers.tolist(), self.examples, strict=True):
            examples[number] = example
        return GroupTable(
            keys,
            moved(self.request_count, numbers, size),
            moved(self.error_count, numbers, size),
            moved(self.critical_ns, numbers, size),
            moved(self.network_ns, numbers, size),
            self.duration.renumbered(numbers, size),
            self.self_time.renumbered(numbers, size),
            self.by_latency.renumbered(numbers),
            tuple(examples),
        )

    def items(self) -> Iterator[tuple[GroupKey, GroupSums]]:
        """Give each group with its sums."""
        sums = zip(
            self.request_count.tolist(),
            self.error_count.tolist(),
            self.critical_ns.tolist(),
            self.network_ns.tolist(),
            self.duration.spreads(),
            self.self_time.spreads(),
            self.by_latency.histograms(len(self.keys)),
            self.examples,
            strict=True,
        )
        return ((key, GroupSums(*parts)) for key, parts in zip(self.keys, sums, strict=True))


def sum_groups(examined: Examined) -> GroupTable:
    """Sum up the spans of requests by service, operation, kind and peer."""
    spans, entry = examined.spans, examined.requests.entry
    rows = np.flatnonzero(entry >= 0)
    keys, groups = number_groups(spans, rows)
    size = len(keys)
    held = np.flatnonzero(examined.charged_ns[rows] > 0)
    critical_ns, holders = examined.charged_ns[rows[held]], groups[held]
    entries = entry[rows[held]]
    latency_bucket = np.zeros(entry.size, dtype=np.int64)
    latency_bucket[examined.requests.entries] = bucket_of(spans.duration_ns[examined.requests.entries])
    return GroupTable(
        keys,
        request_count=_requests_held(holders, entries, size),
        error_count=np.bincount(groups[spans.statuses[rows] == Status.ERROR], minlength=size),
        critical_ns=sum_by_group(holders, critical_ns, size),
        network_ns=sum_by_group(groups, examined.network_ns[rows], size),
        duration=spread_columns(groups, spans.duration_ns[rows], size),
        self_time=spread_columns(groups, examined.self_ns[rows], size),
        by_latency=sum_cells(holders, latency_bucket[entries], critical_ns),
        examples=_examples(spans, rows[held], holders, critical_ns, size),
    )


def number_groups(spans: Columns, rows: Ints) -> tuple[tuple[GroupKey, ...], Ints]:
    """Number the groups that spans belong to: the keys, and for each row the position of its key."""
    traces = spans.traces
    told = (spans.services, spans.operations, spans.told_roles, spans.peers)
    names = spans.operation_names
    places, groups = numbered_rows(*(column[rows] for column in told))
    keys = tuple(
        GroupKey(traces.services[service], names[name], Kind(kind), traces.peers[peer])
        for service, name, kind, peer in zip(*(column[rows[places]].tolist() for column in told), strict=True)
    )
    return keys, groups


def _requests_held(groups: Ints, entries: Ints, size: int) -> Ints:
    stride = int(entries.max(initial=0)) + 1
    return np.bincount(distinct(groups * stride + entries) // stride, minlength=size)


def _examples(spans: Columns, rows: Ints, groups: Ints, critical_ns: Ints, size: int) -> tuple[Example | None, ...]:
    """Pick the span of each group that held its request longest; of equal ones the one with the greatest ids."""
    traces = spans.traces
    top = np.zeros(size, dtype=np.int64)
    np.maximum.at(top, groups, critical_ns)
    best: list[Example | None] = [None] * size
    for at in np.flatnonzero(critical_ns == top[groups]).tolist():
        row, group = int(rows[at]), int(groups[at])
        example = Example(int(critical_ns[at]), traces.trace_ids[int(spans.trace[row])], traces.span_ids[row])
        best[group] = _longer(best[group], example)
    return tuple(best)


def _longer(one: Example | None, other: Example | None) -> Example | None:
    return max(one, other) if one and other else one or other
