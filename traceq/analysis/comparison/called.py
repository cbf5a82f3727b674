"""Whom requests call, whose the calls are that nobody answered, and who causes a change of the latency.

The time of a request is a sum over calls: how often a caller makes each, times how long its callee takes, by itself and
in calls of its own. The change of such a product is `(r1 - r0) * (x0 + x1) / 2 + (r0 + r1) / 2 * (x1 - x0)`. The first
part is the caller's, who makes other calls; the second is the callee's, and is divided further in the same way. This is
exact: what all services and peers cause adds up to the change of the latency, and swapping the sides changes the signs.
"""

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
from traceq.analysis.grouping import depths, distinct, find_roots, moved, numbered_rows, sum_by_group
from traceq.analysis.requests import Requests
from traceq.semantics import Kind, Status

_DEEPEST = 100
"""Calls of calls are told apart so far down; what is below counts as if it were all on this level."""
_OTHERS = 0.33
"""From this share of other calls on, how long calls take does not say how long the callee takes: half as many again."""
_EXCUSE = 0.02
"""The share of a caller's work in which failures change anything, at least: fewer failures come and go."""
_HALF = 0.5


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
    number = moved(np.arange(found.entries.size), found.entries, size)
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
    number = moved(np.arange(rows.size), rows, size + 1, -1)
    return np.minimum(depths(number[above]), _DEEPEST)


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


class Attribution(Struct, frozen=True, eq=False):
    """What was found about each kind of call of a network."""

    caused_ns: Floats
    """The change of the mean latency that comes of how often it is made."""
    sources: Ints
    """The position of the name of the service whose failures explain that; -1 where none do."""


class CallSums(Struct, frozen=True, eq=False):
    """Sums over the requests of a side; one row for each replicate, one column for each kind of call."""

    calls: Floats
    own_ns: Floats
    gap_ns: Floats
    errors: Floats


class _Adder:
    """Adds up columns by group."""

    def __init__(self, groups: Ints, size: int) -> None:
        self._size = size
        self._order = np.argsort(groups, kind="stable")
        in_order = groups[self._order]
        self._heads = np.flatnonzero(np.diff(in_order, prepend=-2))
        self._groups = in_order[self._heads]

    def __call__(self, values: Floats) -> Floats:
        sums = np.zeros((values.shape[0], self._size))
        if self._heads.size:
            sums[:, self._groups] = np.add.reduceat(values[:, self._order], self._heads, axis=1)
        return sums


class _Means(Struct, frozen=True, eq=False):
    """How often each kind of call is made by its caller, and how long it takes; one row for each replicate."""

    rates: Floats
    own_ns: Floats
    gap_ns: Floats


def _ratio(parts: tuple[Floats, Floats], wholes: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Divide on both sides; where a side has nothing to divide by, nothing is known to have changed."""
    one, other = (
        np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
        for part, whole in zip(parts, wholes, strict=True)
    )
    return np.nan_to_num(np.where(np.isnan(one), other, one)), np.nan_to_num(np.where(np.isnan(other), one, other))


class Decomposition:
    """Divides the change of the latency among services and peers.

    What a caller does otherwise because calls fail, such as to try again, or to go without the answer, is caused by
    what fails: the share of its work in which calls fail newly, or no longer, is charged to the callee, or further down
    to where its failures come from.
    """

    def __init__(self, network: Network, caller_shares: Floats, before: CallSums, after: CallSums) -> None:
        """Prepare it.

        Args:
            network: The kinds of calls.
            caller_shares: For each of them, the share of the change of its network time that is the caller's.
            before: The sums over all requests before, in one row.
            after: The same after.
        """
        self._network = network
        self._caller_shares = caller_shares
        size = len(network.names)
        places, self._below = numbered_rows(network.depths, network.callees)
        self._node_count = places.size
        nodes = zip(network.depths[places].tolist(), network.callees[places].tolist(), strict=True)
        known = {node: number for number, node in enumerate(nodes)}
        callers = zip(network.depths.tolist(), network.callers.tolist(), strict=True)
        self._above = np.array([known.get((depth - 1, caller), -1) for depth, caller in callers], dtype=np.int64)
        self._layers = [np.flatnonzero(network.depths == depth) for depth in distinct(network.depths).tolist()]
        self._uppers = [_Adder(self._above[layer], self._node_count + 1) for layer in self._layers]
        self._by_node = _Adder(self._below, self._node_count)
        self._by_caller, self._by_callee = _Adder(network.calling, size), _Adder(network.called, size)
        excused, excuse = self._find_excuses(before, after)
        self._excused_above, self._excused_below = np.append(excused, 0)[self._above], excused[self._below]
        self._excuse_above = np.append(excuse, 0)[self._above]
        self._by_excuse_above = _Adder(self._excuse_above, size)
        self._by_excuse_below = _Adder(excuse[self._below], size)
        self._is_other = _others(*self._means(before, after))

    def __call__(self, before: CallSums, after: CallSums) -> Floats:
        """Give what each service or peer causes, in ns; one row for each replicate."""
        by_number, by_work, by_gap = self._divide(before, after)
        return (
            self._by_caller(by_number * (1 - self._excused_above) + by_gap * self._caller_shares)
            + self._by_callee(by_work * (1 - self._excused_below) + by_gap * (1 - self._caller_shares))
            + self._by_excuse_above(by_number * self._excused_above)
            + self._by_excuse_below(by_work * self._excused_below)
        )

    def of_calls(self, before: CallSums, after: CallSums) -> Attribution:
        """Give what comes of how often each kind of call is made, whoever causes that."""
        by_number, _, _ = self._divide(before, after)
        return Attribution(by_number[0], np.where(self._excused_above >= _HALF, self._excuse_above, -1))

    def _divide(self, before: CallSums, after: CallSums) -> tuple[Floats, Floats, Floats]:
        """Give what comes of how often each kind of call is made, of its callee's work and of network time."""
        one, other = self._means(before, after)
        costs = [self._costs(means) for means in (one, other)]
        flow = np.zeros((one.rates.shape[0], self._node_count + 1))
        flow[:, -1] = 1
        rate = (one.rates + other.rates) / 2
        above = np.zeros(rate.shape)
        for layer in self._layers:
            above[:, layer] = flow[:, self._above[layer]]
            below = above[:, layer] * rate[:, layer] * (1 - self._is_other[layer])
            flow[:, :-1] += _Adder(self._below[layer], self._node_count)(below)
        by_number = above * (other.rates - one.rates) * (costs[0] + costs[1]) / 2
        by_number += above * rate * self._is_other * (costs[1] - costs[0])
        same = above * rate * (1 - self._is_other)
        return by_number, same * (other.own_ns - one.own_ns), same * (other.gap_ns - one.gap_ns)

    def _means(self, before: CallSums, after: CallSums) -> tuple[_Means, _Means]:
        calls = (before.calls, after.calls)
        rates = _ratio(calls, (self._made_by(before), self._made_by(after)))
        own_ns = _ratio((before.own_ns, after.own_ns), calls)
        gap_ns = _ratio((before.gap_ns, after.gap_ns), calls)
        return _Means(rates[0], own_ns[0], gap_ns[0]), _Means(rates[1], own_ns[1], gap_ns[1])

    def _made_by(self, sums: CallSums) -> Floats:
        """Give how often the caller of each kind of call is called itself; a request is made once."""
        times = np.ones((sums.calls.shape[0], self._node_count + 1))
        times[:, :-1] = self._by_node(sums.calls)
        made: Floats = times[:, self._above]
        return made

    def _costs(self, means: _Means) -> Floats:
        """Give how long each kind of call takes, with all that its callee calls."""
        below_ns = np.zeros((means.rates.shape[0], self._node_count + 1))
        costs_ns = means.own_ns + means.gap_ns
        for layer, upper in zip(reversed(self._layers), reversed(self._uppers), strict=True):
            costs_ns[:, layer] += below_ns[:, self._below[layer]]
            below_ns += upper(means.rates[:, layer] * costs_ns[:, layer])
        return costs_ns

    def _find_excuses(self, before: CallSums, after: CallSums) -> tuple[Floats, Ints]:
        """Give for each callee the share of its work in which calls fail newly, or no longer, and whose failures."""
        one, other = _ratio((before.errors, after.errors), (before.calls, after.calls))
        each = (other - one)[0]
        rates = [means.rates[0] for means in self._means(before, after)]
        grown = each * (rates[0] + rates[1]) / 2
        excused, excuse = np.zeros(self._node_count), np.zeros(self._node_count, dtype=np.int64)
        for layer in reversed(self._layers):
            by_callee: dict[tuple[int, int], float] = {}
            for call in layer[(np.abs(grown[layer]) >= _EXCUSE) & (self._above[layer] >= 0)].tolist():
                node = int(self._below[call])
                passed_on = excused[node] > 0 and excused[node] >= _HALF * abs(each[call])
                source = int(excuse[node] if passed_on else self._network.called[call])
                if source != self._network.calling[call]:
                    key = (int(self._above[call]), source)
                    by_callee[key] = by_callee.get(key, 0.0) + float(grown[call])
            for (node, source), share in sorted(by_callee.items()):
                if min(abs(share), 1) > excused[node]:
                    excused[node], excuse[node] = min(abs(share), 1), source
        return excused, excuse


def _others(before: _Means, after: _Means) -> Floats:
    """Give for each kind of call the share of calls that are others than before; 0 where it is below `_OTHERS`."""
    most = np.maximum(before.rates, after.rates)
    shares = np.divide(np.abs(after.rates - before.rates), most, out=np.zeros(most.shape), where=most > 0)[0]
    return np.where(shares >= _OTHERS, shares, 0)
