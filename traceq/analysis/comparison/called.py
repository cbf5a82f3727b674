"""Whom requests call: services, and peers that send no spans; and whose the calls are that nobody answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from msgspec import Struct

from traceq.analysis.calls import Node, NodeKind, find_unanswered, node_of, settle
from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import Batch, Calls, Counts, Floats, small
from traceq.analysis.comparison.dealing import Amounts, amounts
from traceq.analysis.culprits import Charges
from traceq.analysis.errors import find_origins
from traceq.analysis.group_sums import GroupKey
from traceq.analysis.grouping import depths, distinct, find_roots, numbered_rows, sum_by_group
from traceq.analysis.requests import Requests
from traceq.semantics import Kind, Status

DEEPEST = 100
"""Calls of calls are told apart so far down; what is below counts as if it were all on this level."""


def find_calls(found: Requests, charges: Charges, operations: Ints, is_head: Flags) -> Calls:
    """Give the calls of each request, with what each callee did until it called others itself.

    Args:
        found: The requests.
        charges: Critical time by span.
        operations: The number of each span's operation; -1 for spans of no request.
        is_head: The spans with which a callee's part begins, entry spans of requests included.
    """
    spans, size = found.spans, operations.size
    is_loose = find_unanswered(spans) & ~is_head & (found.entry >= 0)
    heads = find_roots(np.where(is_head, -1, spans.parents))
    place = np.where(is_loose, np.arange(size), heads)
    rows = np.flatnonzero(is_head | is_loose)
    above = np.where(spans.parents[rows] >= 0, heads[spans.parents[rows]], -1)
    clients = np.where(is_loose, np.arange(size), charges.client)[rows]
    or_none = np.append(operations, -1)
    told = (
        _depths(rows, above, size),
        or_none[above],
        or_none[clients],
        np.where(is_loose[rows], -1, operations[rows]),
    )
    number = np.zeros(size, dtype=np.int64)
    number[found.entries] = np.arange(found.entries.size)
    places, kinds = numbered_rows(*told)
    keys = number[found.entry[rows]] * places.size + kinds
    order = np.argsort(keys, kind="stable")
    heads_of = np.flatnonzero(np.diff(keys[order], prepend=-1))
    requests, kinds = np.divmod(keys[order][heads_of], places.size)
    own_ns = sum_by_group(place, np.where(found.entry >= 0, charges.kept_ns, 0), size)
    failed = spans.statuses[rows] == Status.ERROR
    guessed = spans.rejoined[rows] | ((clients >= 0) & spans.rejoined[clients])
    counted = (np.ones(rows.size), failed, _begun(found, is_head, place)[rows], guessed)
    callers, clients_of, callees = (part[places[kinds]].astype(np.int32) for part in told[1:])
    calls, errors, begun, guess = (small(np.add.reduceat(part[order], heads_of, dtype=np.int32)) for part in counted)
    sums_ns = [np.add.reduceat(part[rows[order]], heads_of) for part in (own_ns, charges.network_ns)]
    levels = small(told[0])[places[kinds]]
    # Times are those of the caller's clock, if it recorded the call.
    seen = np.where(clients >= 0, clients, rows)[order]
    times = (spans.start_ns[seen], spans.start_ns[seen] + spans.duration_ns[seen])
    sums_ns += [np.minimum.reduceat(part, heads_of) for part in times]
    return Calls(requests.astype(np.int32), levels, callers, clients_of, callees, calls, errors, begun, guess, *sums_ns)


def _begun(found: Requests, is_head: Flags, place: Ints) -> Ints:
    """Count for each call the errors that began in it: where only the client side of a call failed, in the callee.

    What is below the client only since spans between are missing is the callee where there is no other.
    """
    spans = found.spans
    called = np.flatnonzero(is_head & (spans.parents >= 0))
    called = called[spans.roles[spans.parents[called]] == Kind.CLIENT]
    home = place.copy()
    for callees in (called[spans.rejoined[called]], called[~spans.rejoined[called]]):
        home[spans.parents[callees]] = callees
    begin = np.flatnonzero(find_origins(spans) & (found.entry >= 0))
    return np.bincount(home[begin], minlength=place.size)


def _depths(rows: Ints, above: Ints, size: int) -> Ints:
    """Count for each call those above it."""
    number = np.full(size + 1, -1, dtype=np.int64)
    number[rows] = np.arange(rows.size)
    return np.minimum(depths(number[above]), DEEPEST)


class Network(Struct, frozen=True, eq=False):
    """Who calls whom on both sides of a comparison: services, and peers that send no spans."""

    names: tuple[str, ...]
    """The names of services and peers, sorted."""
    kinds: tuple[NodeKind, ...]
    """What each of them is."""
    depths: Ints
    """The number of calls above each kind of call, in rising order."""
    callers: Ints
    """Operation at which the calling service was entered; -1 for requests."""
    callees: Ints
    """Operation at which the called service was entered; plus the number of operations, that of a call to a peer."""
    calling: Ints
    """The position in `names` of who calls; of requests, of who is called."""
    called: Ints
    """The position in `names` of who is called."""
    operations: Ints
    """The position in `names` of each operation's peer, if it is a call to one, or else of its service."""
    asks_peer: Flags
    """Whether an operation is a call to a peer."""


class SettledCalls(Struct, frozen=True, eq=False):
    """The calls of one side, by the network; a call that several callees may have got is shared by them."""

    entries: Codes
    """The position in the batch's calls."""
    groups: Counts
    """The kind of call, as a position in the network's columns."""
    numbers: Counts
    """The share of the call that its callee has, as a position in `known_shares`: nearly all are 1."""
    known_shares: Floats

    @property
    def shares(self) -> Floats:
        """The share of the call that its callee has."""
        return self.known_shares[self.numbers]

    def amounts(self, calls: Calls, values: Counts | Flags | Floats, groups: Ints | Counts, size: int) -> Amounts:
        """Give amounts of calls by group.

        Args:
            calls: The calls of the batch.
            values: One value for each entry of this, of which each callee has its share.
            groups: The group of each entry of this.
            size: The number of groups.
        """
        kept = values != 0
        return amounts(
            calls.requests[self.entries[kept]], groups[kept], values[kept] * self.known_shares[self.numbers[kept]], size
        )


def settle_calls(before: Batch, after: Batch) -> tuple[Network, SettledCalls, SettledCalls]:
    """Find out whose the calls are that nobody answered, in two batches with the same numbers for operations.

    The same client span under the same operation, answered elsewhere on either side, tells the callee; where it had
    several, each has its share. Otherwise it is the service of the peer's name, or else the peer itself. A call that
    names no peer, and was never answered, belongs to its caller.
    """
    answers = _answers((before.calls, after.calls))
    size = len(before.operations)
    sides = [_spread_out(batch.calls, answers, size) for batch in (before, after)]
    columns = [
        (batch.calls.depths[entries], batch.calls.callers[entries], callees)
        for batch, (entries, callees, *_) in zip((before, after), sides, strict=True)
    ]
    told = [np.concatenate(parts) for parts in zip(*columns, strict=True)]
    del columns
    places, groups = numbered_rows(*told)
    depths_of, callers, callees = (part[places].astype(np.int64) for part in told)
    names, kinds, of = _name(before.operations, distinct(callees))
    called = of[callees]
    network = Network(
        names,
        kinds,
        depths_of,
        callers,
        callees,
        np.where(callers < 0, called, of[callers]),
        called,
        of[size:],
        of[size:] != of[:size],
    )
    cut = sides[0][0].size
    settled = [
        SettledCalls(entries, numbers, shares, known_shares)
        for (entries, _, shares, known_shares), numbers in zip(sides, np.split(small(groups), [cut]), strict=True)
    ]
    return network, settled[0], settled[1]


_Answers: TypeAlias = "dict[tuple[int, int], dict[int, int]]"
"""By caller, or -1 for any, and client operation: the number of calls that each callee answered."""


def _answers(sides: Sequence[Calls]) -> _Answers:
    found: _Answers = {}
    for calls in sides:
        kept = np.flatnonzero((calls.clients >= 0) & (calls.callees >= 0))
        told = (calls.callers[kept], calls.clients[kept], calls.callees[kept])
        places, numbers = numbered_rows(*told)
        counts = np.bincount(numbers, weights=calls.calls[kept], minlength=places.size).astype(np.int64)
        for caller, client, callee, count in zip(
            *(part[places].tolist() for part in told), counts.tolist(), strict=True
        ):
            for key in ((caller, client), (-1, client)):
                answered = found.setdefault(key, {})
                answered[callee] = answered.get(callee, 0) + count
    return found


def _spread_out(calls: Calls, answers: _Answers, size: int) -> tuple[Codes, Codes, Counts, Floats]:
    """Give entries of calls, their callees, and the share of each entry that is this callee's, as in `SettledCalls`."""
    is_loose = calls.callees < 0
    entries = [np.flatnonzero(~is_loose).astype(np.int32)]
    callees = [calls.callees[entries[0]]]
    known_shares = [1.0]
    loose = np.flatnonzero(is_loose).astype(np.int32)
    places, kinds = numbered_rows(calls.callers[loose], calls.clients[loose])
    order = np.argsort(kinds, kind="stable")
    parts = np.split(loose[order], np.cumsum(np.bincount(kinds, minlength=places.size))[:-1]) if places.size else []
    for rows in parts:
        caller, client = int(calls.callers[rows[0]]), int(calls.clients[rows[0]])
        answered = answers.get((caller, client)) or answers.get((-1, client)) or {client + size: 1}
        total = sum(answered.values())
        for callee in sorted(answered):
            entries.append(rows)
            callees.append(np.full(rows.size, callee, dtype=np.int32))
            known_shares.append(answered[callee] / total)
    shares = np.repeat(small(np.arange(len(entries))), [part.size for part in entries])
    return np.concatenate(entries), np.concatenate(callees), shares, np.array(known_shares)


def _name(operations: Sequence[GroupKey], callees: Ints) -> tuple[tuple[str, ...], tuple[NodeKind, ...], Ints]:
    """Name the services and peers, and give the position of each callee's name: operations, then calls to peers."""
    services = [Node(key.service) for key in operations]
    nodes = services + services
    for callee in callees[callees >= len(services)].tolist():
        peer = operations[callee - len(services)].peer
        if peer is not None:
            nodes[callee] = node_of(peer, "name")
    known = settle(nodes)
    real = [known[node] for node in nodes]
    found = sorted({node.name: node.kind for node in real}.items())
    positions = {name: number for number, (name, _) in enumerate(found)}
    of = np.array([positions[node.name] for node in real], dtype=np.int64)
    return tuple(name for name, _ in found), tuple(kind for _, kind in found), of
