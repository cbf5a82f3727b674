"""Spans that count as the same call, or have the same call path, summed up: what they cost their requests.

Call paths are numbered exactly, whatever their depth, in a few passes over arrays. Their number is bounded: of more
paths the deepest are merged into one `other` below each caller that is kept, the same ones however spans were divided
into tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar, get_args

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from traceq.analysis.columns import Columns
from traceq.analysis.culprits import Examined
from traceq.analysis.grouping import (
    Ints,
    added,
    depths,
    distinct,
    find_roots,
    flags_at,
    fold_ancestors,
    most_by_group,
    moved,
    numbered,
    numbered_rows,
    sum_by_group,
)
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
        *_peer_specs(lambda row: key(row).peer),
    )


def _peer_specs(peer: Callable[[_Row], Peer | None]) -> tuple[Column[_Row], ...]:
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
    latency_bucket = moved(
        bucket_of(spans.duration_ns[examined.requests.entries]), examined.requests.entries, entry.size
    )
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
    top = most_by_group(groups, critical_ns, size, 0)
    best: list[Example | None] = [None] * size
    for at in np.flatnonzero(critical_ns == top[groups]).tolist():
        row, group = int(rows[at]), int(groups[at])
        example = Example(int(critical_ns[at]), traces.trace_ids[int(spans.trace[row])], traces.span_ids[row])
        best[group] = _longer(best[group], example)
    return tuple(best)


def _longer(one: Example | None, other: Example | None) -> Example | None:
    return max(one, other) if one and other else one or other


MOST_PATHS = 50_000
"""Maximum number of paths that are kept, besides an `other` below each of them."""
OTHER = -1
"""The code of a path that stands for those that were not kept."""
SPANS, ERRORS, DURATION, SELF, CRITICAL = range(5)
"""What is summed up: numbers of spans and failed spans; durations, self times and critical times in ns."""
SUMMED = 5
_SPREAD = 0x5851F42D4C957F2D
"""An odd number without a pattern in its bits: its powers tell a caller of a callee from a callee of a caller."""


def _nothing() -> npt.NDArray[np.int64]:
    return np.zeros((SUMMED, 0), dtype=np.int64)


class PathTable(Struct, frozen=True, eq=False):
    """Any number of call paths, summed up; can be added to others. Arrays have one entry for each path."""

    keys: tuple[GroupKey, ...] = ()
    """The calls that paths are made of."""
    codes: Ints = field(default_factory=_none)
    """The position of the key of the path's last call; `OTHER` for a path that stands for many."""
    parents: Ints = field(default_factory=_none)
    """The path of the caller; -1 for a path of one call."""
    sums: npt.NDArray[np.int64] = field(default_factory=_nothing)
    """A row for each of `SPANS` to `CRITICAL`; those of a table of several sides follow each other."""

    def __len__(self) -> int:
        return self.codes.size

    def __add__(self, other: PathTable) -> PathTable:
        if not (len(self) and len(other)):
            return self if len(self) else other
        return merged_paths((self, other), np.concatenate((self.sums, other.sums), axis=1))


def sum_paths(keys: tuple[GroupKey, ...], codes: Ints, parents: Ints, sums: npt.NDArray[np.int64]) -> PathTable:
    """Sum up the calls that have the same path.

    Args:
        keys: The calls.
        codes: For each span, or path, the position of its key.
        parents: The position of its caller among these, -1 where there is none; free of cycles.
        sums: What to sum up, a row for each of `SPANS` to `CRITICAL`.
    """
    places, numbers = number_paths(parents, codes)
    above = parents[places]
    size = places.size
    return _bounded(
        PathTable(
            keys,
            codes[places],
            np.where(above >= 0, numbers[above], -1),
            np.array([sum_by_group(numbers, row, size) for row in sums], dtype=np.int64).reshape(len(sums), size),
        )
    )


def merged_paths(tables: Sequence[PathTable], sums: npt.NDArray[np.int64]) -> PathTable:
    """Merge the paths of several tables.

    Args:
        tables: The tables.
        sums: What to sum up, by row, with a column for each path of the first table, the second, and so on.
    """
    keys = tuple(dict.fromkeys(key for table in tables for key in table.keys))
    positions = {key: number for number, key in enumerate(keys)}
    # One more entry at the end, where the code of `OTHER` leads.
    moves = [np.array([*(positions[key] for key in table.keys), OTHER], dtype=np.int64) for table in tables]
    firsts = accumulate(map(len, tables[:-1]), initial=0)
    codes = [move[table.codes] for move, table in zip(moves, tables, strict=True)]
    parents = [
        np.where(each.parents >= 0, each.parents + first, -1) for first, each in zip(firsts, tables, strict=True)
    ]
    return sum_paths(keys, np.concatenate(codes), np.concatenate(parents), sums)


def number_paths(parents: Ints, codes: Ints) -> tuple[Ints, Ints]:
    """Number call paths: rows with the same code whose callers, all the way up, have the same codes.

    After a pass, numbers tell apart the last call, the last two, four, eight, ...: the number of a row combined with
    that of the row so far above it. Twenty passes do for a chain of a million calls.

    Returns:
        For each number the position of a row that has it, and for each row its number.

    Source: Karp, Miller, Rosenberg, Rapid identification of repeated patterns in strings, trees and arrays, 1972.
    """
    places, numbers = numbered_rows(codes)
    ahead = parents
    while (ahead >= 0).any():
        above = np.where(ahead >= 0, numbers[ahead], -1)
        places, numbers = numbered_rows(numbers, above)
        ahead = np.where(ahead >= 0, ahead[ahead], -1)
    return places, numbers


def _bounded(table: PathTable) -> PathTable:
    """Merge paths into `other` until there are few enough.

    Those kept come first by depth, so that callers are kept, and then by a hash: an order that depends on nothing but
    the path. A path that is left out of a part is therefore left out of the whole, and the sums of those that are kept
    are complete, however spans were divided.
    """
    regular = table.codes != OTHER
    if np.count_nonzero(regular) <= MOST_PATHS:
        return table
    rank = np.lexsort((_hashes(table), depths(table.parents), ~regular))
    kept = flags_at(rank[:MOST_PATHS], len(table))
    merged = np.flatnonzero(~kept)
    nearest = find_roots(np.where(kept, -1, table.parents))
    parents, codes, sums = table.parents.copy(), table.codes.copy(), table.sums.copy()
    parents[merged] = np.where(kept[nearest[merged]], nearest[merged], -1)
    codes[merged] = OTHER
    # Spans below each other last at the same time: the uppermost that is merged counts for its callees, too.
    inner = merged[(table.parents[merged] >= 0) & ~kept[table.parents[merged]]]
    sums[DURATION::SUMMED, inner] = 0
    used, codes[kept] = numbered(codes[kept])
    return sum_paths(tuple(table.keys[code] for code in used.tolist()), codes, parents, sums)


def _hashes(table: PathTable) -> Ints:
    """Give a number for each path that depends on all its calls and their order, and on nothing else."""
    told = [blake2b(repr(key).encode("utf-8", "replace"), digest_size=8).digest() for key in table.keys]
    # One more entry at the end, where the code of `OTHER` leads.
    of_keys = np.frombuffer(b"".join((*told, bytes(8))), dtype="<i8").astype(np.int64)
    powers = np.power(np.uint64(_SPREAD), depths(table.parents).astype(np.uint64)).view(np.int64)
    return fold_ancestors(table.parents, of_keys[table.codes] * powers, np.add)
