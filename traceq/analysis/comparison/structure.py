"""Calls that are made otherwise: begun, stopped, more or less often, in another order, in turn or side by side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Codes, Flags, Ints
from traceq.analysis.comparison.batches import MIN_REQUESTS, Batch, Counts, Floats
from traceq.analysis.comparison.called import Attribution, Network, SettledCalls
from traceq.analysis.comparison.dealing import Amounts
from traceq.analysis.comparison.evidence import Difference, Sample, combined, difference_specs, differences
from traceq.analysis.grouping import distinct, flags_at, numbered, numbered_rows
from traceq.report import Column, Unit

CallChangeKind: TypeAlias = Literal["begun", "stopped", "more", "fewer"]
_MULTIPLIED = 1.5
"""How many times as many calls are a change."""
_MOST = 0.5
_LEAST_CALLS = 0.2
"""The least difference of calls, each time that their caller is called: fewer come and go with what is lost."""
_LEAST_SHARE = 0.2
"""The least difference of the share of requests: fewer come and go with what is lost."""
_SIDE_BY_SIDE = 0.05
"""Calls that overlap in more requests than this are made side by side: their order is chance."""
_TURNED = 0.8
"""The least difference of the share of requests in which calls overlap that changes how they are made ..."""
_LEAST_MET = 10
"""... of at least so many requests on both sides: of so many, eight do not change by chance."""
_BACK = 16
"""Each call is compared with so many kinds of calls of its caller that begin before it."""


class CallChange(Struct, frozen=True):
    """A call that is made more or less often than before."""

    kind: CallChangeKind
    caller: str
    """The service that calls."""
    caller_operation: str
    """The operation at which it was entered."""
    callee: str
    """The service or peer that is called."""
    callee_operation: str
    """The operation at which it is entered; of a peer, that of the client span."""
    calls: Difference
    """Calls, each time that the caller is called."""
    caused_ns: float
    """The change of the mean latency that comes of it."""
    source: str
    """Whose failures explain it; empty where none do."""


CALL_CHANGE_COLUMNS: tuple[Column[CallChange], ...] = (
    Column("kind", "kind", about="`begun`, `stopped`, `more` or `fewer`", holds=get_args(CallChangeKind)),
    Column("caller", "caller", Unit.SERVICE, about="who makes the calls", can_shrink=True),
    Column("caller_operation", "in", about="at which the caller was entered", can_shrink=True),
    Column("callee", "callee", Unit.SERVICE, about="who is called", can_shrink=True),
    Column(
        "callee_operation",
        "operation",
        about="at which it was entered; of a peer, of the client's span",
        can_shrink=True,
    ),
    Column(
        "calls_before",
        "before",
        value=lambda line: line.calls.before,
        about="each time the caller is called",
        holds="number",
    ),
    Column("calls_after", "after", value=lambda line: line.calls.after, about="the same after", holds="number"),
    Column(
        "deviations",
        "deviations",
        of="calls",
        about="change in standard deviations of what chance makes of it",
        holds="number",
    ),
    Column("is_sure", "sure", of="calls", about="beyond chance, as one of many"),
    Column("caused_ns", "caused", Unit.DURATION, lambda line: round(line.caused_ns), "change of the mean latency"),
    Column(
        "source",
        "because of",
        Unit.SERVICE,
        lambda line: line.source or None,
        "whose failures explain it; null where none do",
    ),
)


def find_call_changes(
    batches: tuple[Batch, Batch], network: Network, settled: tuple[SettledCalls, SettledCalls], found: Attribution
) -> tuple[CallChange, ...]:
    """Find the calls that are made more or less often than before, beyond chance, each time their caller is called."""
    kept = np.flatnonzero(network.callers >= 0)
    if not kept.size:
        return ()
    places, numbers = numbered_rows(network.callers[kept], network.callees[kept])
    pairs = np.full(network.callers.size, -1, dtype=np.int32)
    pairs[kept] = numbers
    callers = network.callers[kept][places]
    sides = [
        _calls_each_time(batch, network, calls, pairs, callers) for batch, calls in zip(batches, settled, strict=True)
    ]
    told = differences(sides[0].sample, sides[1].sample, callers)
    caused_ns = np.bincount(numbers, weights=found.caused_ns[kept], minlength=places.size)
    operations = batches[0].operations
    changes = []
    for number, (place, calls) in enumerate(zip(kept[places].tolist(), told, strict=True)):
        kind = _kind(calls)
        if kind is not None:
            caller, callee = operations[network.callers[place]], operations[network.callees[place] % len(operations)]
            key = (number, int(callers[number]))
            suspects = (int(found.sources[place]), int(network.calling[place]))
            source = next((each for each in suspects if each >= 0 and _explains(each, sides, key, calls)), -1)
            changes.append(
                CallChange(
                    kind,
                    network.names[network.calling[place]],
                    caller.name,
                    network.names[network.called[place]],
                    callee.name,
                    calls,
                    float(caused_ns[number]),
                    network.names[source] if source >= 0 else "",
                )
            )
    return tuple(sorted(changes, key=_rank))


def _kind(calls: Difference) -> CallChangeKind | None:
    low, high = sorted((calls.before, calls.after))
    if not calls.is_sure or high - low < _LEAST_CALLS or high < _MULTIPLIED * low:
        return None
    if low:
        return "more" if calls.change > 0 else "fewer"
    return "begun" if calls.change > 0 else "stopped"


def _rank(change: CallChange) -> tuple[bool, float, float, str, str, str, str]:
    """Put what no failure explains first, then what changes the latency most, then what is most certain."""
    names = (change.caller, change.caller_operation, change.callee, change.callee_operation)
    return (bool(change.source), -abs(round(change.caused_ns)), -abs(change.calls.deviations), *names)


class _Made(Struct, frozen=True, eq=False):
    """Calls of one side, each time that their caller is called."""

    sample: Sample
    requests: Codes
    """The request of each value ..."""
    whole_requests: Codes
    """... and of each entry of the wholes."""
    failing: Amounts
    """Errors that began in each service or peer."""
    count: int
    """The number of requests."""

    def divided(self, group: int, whole: int, source: int) -> Floats:
        """Give calls and requests: a row for those in which no error begins in a source, and one for the others."""
        fails = flags_at(self.failing.requests[self.failing.group_of_each() == source], self.count)
        made, requests = self.sample.groups == group, self.whole_requests[self.sample.wholes == whole]
        calls = np.bincount(fails[self.requests[made]], weights=self.sample.values[made], minlength=2)
        return np.column_stack((calls, np.bincount(fails[requests], minlength=2)))


def _calls_each_time(batch: Batch, network: Network, settled: SettledCalls, pairs: Codes, callers: Ints) -> _Made:
    """Give for each request how often callers made calls, divided by how often they were called themselves."""
    calls, entries = batch.calls, batch.requests.operations
    counts, of = calls.calls[settled.entries], pairs[settled.groups]
    # What sent no spans of its own told nobody what it calls.
    answered = np.where(calls.callees[settled.entries] >= 0, counts, 0)
    callees = (network.callees % len(batch.operations)).astype(np.int32)[settled.groups]
    times = settled.amounts(calls, answered, callees, len(batch.operations))
    known = np.where(of >= 0, counts - calls.guessed[settled.entries], 0)
    of = np.maximum(of, 0)
    del answered, callees, counts
    made = settled.amounts(calls, known, of, callers.size)
    del known, of
    each, called = (part.group_of_each().astype(np.int32) for part in (made, times))
    keys = combined(called, times.requests, len(entries))
    at = np.searchsorted(keys, combined(callers[each], made.requests, len(entries)))
    sample = Sample(each, entries[made.requests], made.values / times.values[at], called, entries[times.requests])
    del keys, at
    begun = settled.amounts(calls, calls.begun[settled.entries], network.called[settled.groups], len(network.names))
    return _Made(sample, made.requests, times.requests, begun, len(entries))


def _explains(source: int, sides: list[_Made], group: tuple[int, int], calls: Difference) -> bool:
    """Tell whether most of a change of calls is that errors begin in a source in more requests, or fewer.

    Where they begin in as many as before, they explain nothing, however many calls are made in these requests.
    """
    before, after = (side.divided(*group, source) for side in sides)
    made, counts = (before + after).T
    if not counts.all():
        return False
    grown = after[1, 1] / after[:, 1].sum() - before[1, 1] / before[:, 1].sum()
    usual, failing = made / counts
    return bool(grown * (failing - usual) / calls.change >= _MOST)


class OrderChange(Struct, frozen=True):
    """Two calls of one caller of which the other one now comes first."""

    caller: str
    """The service that makes them."""
    caller_operation: str
    """The operation at which it was entered."""
    first: str
    """The service or peer that is called first more often than before."""
    first_operation: str
    """The operation at which it is entered; of a peer, that of the client span."""
    second: str
    second_operation: str
    share: Difference
    """Of the requests with both calls, those in which the first comes before the second."""


class TurnChange(Struct, frozen=True):
    """Two calls of one caller that are made in turn now instead of side by side, or the other way round."""

    caller: str
    """The service that makes them."""
    caller_operation: str
    """The operation at which it was entered."""
    callees: tuple[str, str]
    """The services or peers that are called."""
    is_in_turn: bool
    """Whether they are made in turn now."""


ORDER_CHANGE_COLUMNS: tuple[Column[OrderChange], ...] = (
    Column("caller", "caller", Unit.SERVICE, about="who makes the calls", can_shrink=True),
    Column("caller_operation", "in", about="at which the caller was entered", can_shrink=True),
    Column("first", "now first", Unit.SERVICE, about="who is called first more often than before", can_shrink=True),
    Column(
        "first_operation", "call", about="at which it was entered; of a peer, of the client's span", can_shrink=True
    ),
    Column("second", "before", Unit.SERVICE, about="who is called after that", can_shrink=True),
    Column("second_operation", "call", about="the same of this call", can_shrink=True),
    *difference_specs(
        "first_ratio", lambda line: line.share, "share of the requests with both calls in which they come in this order"
    ),
)


class _Sequence(Struct, frozen=True, eq=False):
    """Calls of one side, those of each caller in a request together, in the order in which they began."""

    runs: Codes
    """The same number for all calls that one caller made in one request."""
    kinds: Ints
    """Caller and callee, as one number."""
    entries: Codes
    """The entry operation of the request."""
    counts: Counts
    """The number of these calls."""
    begun_ns: Ints
    over_ns: Ints

    def meetings(self) -> Iterator[_Met]:
        """Compare the calls with those that their caller began before, with those next to them first."""
        for back in range(1, min(_BACK, self.runs.size - 1) + 1):
            same = self.runs[back:] == self.runs[:-back]
            same &= self.kinds[back:] != self.kinds[:-back]
            yield _Met(self, np.flatnonzero(same), back)


class _Met(Struct, frozen=True, eq=False):
    """Pairs of kinds of calls that one caller made in one request."""

    made: _Sequence
    first: Ints
    """Which calls began first."""
    back: int
    """How many calls later the others of the pairs are."""

    def pairs(self, size: int) -> Ints:
        """Give both kinds as one number, in whatever order the calls were made."""
        first, then = (self.made.kinds[at] for at in (self.first, self.first + self.back))
        return np.minimum(first, then) * size + np.maximum(first, then)

    @property
    def is_one_first(self) -> Flags:
        """Whether the call of the kind with the smaller number began first."""
        found: Flags = self.made.kinds[self.first] < self.made.kinds[self.first + self.back]
        return found

    @property
    def is_apart(self) -> Flags:
        """Whether the first call had ended when the other one began."""
        begun_ns, then_ns = self.made.begun_ns[self.first], self.made.begun_ns[self.first + self.back]
        found: Flags = (self.made.over_ns[self.first] <= then_ns) & (begun_ns < then_ns)
        return found

    def of(self, chosen: Flags) -> _Met:
        """Give some of the pairs."""
        return replace(self, first=self.first[chosen])

    def strata(self) -> tuple[Codes, Counts, Counts]:
        """Give the entry operations, and how many calls of both kinds were made."""
        first, then = self.made.counts[self.first], self.made.counts[self.first + self.back]
        swaps = ~self.is_one_first
        return self.made.entries[self.first], np.where(swaps, then, first), np.where(swaps, first, then)


def find_order_changes(
    batches: tuple[Batch, Batch], network: Network, settled: tuple[SettledCalls, SettledCalls]
) -> tuple[tuple[OrderChange, ...], tuple[TurnChange, ...]]:
    """Find calls that surely follow each other the other way round, and those made in turn or no longer.

    Of each kind of call it is known when the first one began and ended. Calls that overlap more often than now and
    then, on either side, are made side by side. Only requests with as many of these calls are compared: where some are
    missing, or more are made, another one may be the first.
    """
    places, kinds = numbered_rows(network.callers, network.callees)
    sides = [_in_turn(*side, network, kinds) for side in zip(batches, settled, strict=True)]
    met, counted = _count_meetings(sides, places.size)
    turns = _find_turns(network, batches[0], places, met, counted)
    pairs = _varying(met, counted)
    if not pairs.size:
        return (), turns
    told = differences(*_samples(sides, pairs, places.size), np.arange(pairs.size), are_shares=True)
    found = [
        _change(network, batches[0], places[pair // places.size], places[pair % places.size], share)
        for pair, share in zip(pairs.tolist(), told, strict=True)
        if share.is_sure and abs(share.change) >= _LEAST_SHARE
    ]
    return tuple(sorted(found, key=_order_rank)), turns


def _in_turn(batch: Batch, settled: SettledCalls, network: Network, kinds: Ints) -> _Sequence:
    calls, entries, groups = batch.calls, settled.entries, settled.groups
    kept = np.flatnonzero((calls.guessed[entries] == 0) & (network.callers[groups] >= 0) & (settled.shares == 1))
    entries, groups = entries[kept], groups[kept]
    of = (calls.requests[entries], network.depths[groups], network.callers[groups])
    order = np.lexsort((kinds[groups], calls.begun_ns[entries], *of[::-1]))
    entries = entries[order]
    differs = np.logical_or.reduce([np.diff(column[order], prepend=-2) != 0 for column in of])
    where = batch.requests.operations[calls.requests[entries]]
    return _Sequence(
        np.cumsum(differs, dtype=np.int32),
        kinds[groups[order]],
        where,
        calls.calls[entries],
        calls.begun_ns[entries],
        calls.over_ns[entries],
    )


def _count_meetings(sides: list[_Sequence], size: int) -> tuple[Ints, Ints]:
    """Give the pairs of calls; and by side how often they met, how often apart, how often of these the one first."""
    # There are many more meetings than calls: they are counted, and looked at again where they matter.
    seen = [[_counts(met, size) for met in side.meetings()] for side in sides]
    pairs = distinct(np.concatenate([np.zeros(0, dtype=np.int64), *(keys for side in seen for keys, _ in side)]))
    counted = np.zeros((2, 3, pairs.size), dtype=np.int64)
    for side, parts in zip(counted, seen, strict=True):
        for keys, counts in parts:
            side[:, np.searchsorted(pairs, keys)] += counts
    return pairs, counted


def _find_turns(network: Network, batch: Batch, places: Ints, pairs: Ints, counted: Ints) -> tuple[TurnChange, ...]:
    together, apart, _ = counted.swapaxes(0, 1)
    shares = apart / np.maximum(together, 1)
    grown = shares[1] - shares[0]
    found = []
    for at in np.flatnonzero((np.abs(grown) >= _TURNED) & (together >= _LEAST_MET).all(axis=0)).tolist():
        one, other = (int(places[place]) for place in divmod(int(pairs[at]), places.size))
        callees = (network.names[network.called[one]], network.names[network.called[other]])
        caller = (network.names[network.calling[one]], batch.operations[network.callers[one]].name)
        found.append(TurnChange(*caller, callees, bool(grown[at] > 0)))
    return tuple(sorted(found, key=lambda line: (line.caller, line.caller_operation, line.callees)))


def _varying(pairs: Ints, counted: Ints) -> Ints:
    """Give the pairs of calls made in turn whose order is not always the same, if there are enough on both sides."""
    together, apart, one_first = counted.swapaxes(0, 1)
    chosen = ((apart >= MIN_REQUESTS) & (together - apart <= _SIDE_BY_SIDE * together)).all(axis=0)
    first = one_first.sum(axis=0)
    found: Ints = pairs[chosen & (first > 0) & (first < apart.sum(axis=0))]
    return found


def _counts(met: _Met, size: int) -> tuple[Ints, Ints]:
    """Give the pairs that met; and how often, how often apart, and how often of these the one was first."""
    keys, numbers = numbered(met.pairs(size))
    is_apart = met.is_apart
    chosen = (numbers, numbers[is_apart], numbers[is_apart & met.is_one_first])
    return keys, np.stack([np.bincount(part, minlength=keys.size) for part in chosen])


def _samples(sides: list[_Sequence], pairs: Ints, size: int) -> tuple[Sample, Sample]:
    """Give for each pair the requests in which the one comes first, and all in which they come apart."""
    found = [
        [np.concatenate(parts) for parts in zip(*(_chosen(met, pairs, size) for met in side.meetings()), strict=True)]
        for side in sides
    ]
    _, all_strata = numbered_rows(*(np.concatenate(parts) for parts in zip(*(side[2:] for side in found), strict=True)))
    samples = []
    for (numbers, first, *_), strata in zip(found, np.split(all_strata, [found[0][0].size]), strict=True):
        ones = np.ones(np.count_nonzero(first))
        samples.append(Sample(numbers[first], strata[first], ones, numbers, strata))
    return samples[0], samples[1]


def _chosen(met: _Met, pairs: Ints, size: int) -> tuple[Ints, Flags, Codes, Counts, Counts]:
    """Give the number of each pair that came apart, whether the one was first, and what makes it comparable."""
    keys = met.pairs(size)
    at = np.minimum(np.searchsorted(pairs, keys), pairs.size - 1)
    kept = (pairs[at] == keys) & met.is_apart
    some = met.of(kept)
    return at[kept], some.is_one_first, *some.strata()


def _change(network: Network, batch: Batch, one: int, other: int, share: Difference) -> OrderChange:
    """Name the calls, given by their positions in the network; the one that comes first more often is the first."""
    if share.change < 0:
        one, other = other, one
        share = Difference(1 - share.before, 1 - share.after, -share.deviations, share.is_sure)
    size = len(batch.operations)
    calls = (
        (network.names[network.called[place]], batch.operations[network.callees[place] % size].name)
        for place in (one, other)
    )
    (first, first_operation), (second, second_operation) = calls
    return OrderChange(
        network.names[network.calling[one]],
        batch.operations[network.callers[one]].name,
        first,
        first_operation,
        second,
        second_operation,
        share,
    )


def _order_rank(change: OrderChange) -> tuple[float, float, str, str, str, str, str, str]:
    """Put the greatest change first, then what is most certain."""
    names = (change.first, change.first_operation, change.second, change.second_operation)
    return (
        -round(change.share.change, 9),
        -round(change.share.deviations, 9),
        change.caller,
        change.caller_operation,
        *names,
    )
