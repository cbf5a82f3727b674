"""Who causes a change of the latency: who takes longer by itself, or calls others more often or less.

The time of a request is a sum over calls: how often a caller makes each, times how long its callee takes, by itself and
in calls of its own. The change of such a product is `(r1 - r0) * (x0 + x1) / 2 + (r0 + r1) / 2 * (x1 - x0)`. The first
part is the caller's, who makes other calls; the second is the callee's, and is divided further in the same way. This is
exact: what all services and peers cause adds up to the change of the latency, and swapping the sides changes the signs.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Ints
from traceq.analysis.comparison.batches import Floats
from traceq.analysis.comparison.called import Network
from traceq.analysis.comparison.structure import Attribution
from traceq.analysis.grouping import distinct, numbered_rows


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


_OTHERS = 0.33
"""From this share of other calls on, how long calls take does not say how long the callee takes: half as many again."""
_EXCUSE = 0.02
"""The share of a caller's work in which failures change anything, at least: fewer failures come and go."""
_HALF = 0.5
