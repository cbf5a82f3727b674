"""Calls that began, stopped, are made more or less often than before, and where errors begin."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Codes, Ints
from traceq.analysis.comparison.batches import Batch, Floats
from traceq.analysis.comparison.called import Network, SettledCalls
from traceq.analysis.comparison.dealing import Amounts
from traceq.analysis.comparison.evidence import Difference, Sample, combined, differences
from traceq.analysis.grouping import numbered_rows
from traceq.report import Column, Unit

CallChangeKind: TypeAlias = Literal["begun", "stopped", "more", "fewer"]

MULTIPLIED = 1.5
"""How many times as many calls are a change."""
_MOST = 0.5
LEAST_CALLS = 0.2
"""The least difference of calls, each time that their caller is called: fewer come and go with what is lost."""


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
    Column(
        "kind",
        "kind",
        value=lambda line: line.kind,
        about="`begun`, `stopped`, `more` or `fewer`",
        holds=get_args(CallChangeKind),
    ),
    Column("caller", "caller", Unit.SERVICE, lambda line: line.caller, "who makes the calls", can_shrink=True),
    Column(
        "caller_operation",
        "in",
        value=lambda line: line.caller_operation,
        about="at which the caller was entered",
        can_shrink=True,
    ),
    Column("callee", "callee", Unit.SERVICE, lambda line: line.callee, "who is called", can_shrink=True),
    Column(
        "callee_operation",
        "operation",
        value=lambda line: line.callee_operation,
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
        value=lambda line: line.calls.deviations,
        about="change in standard deviations of what chance makes of it",
        holds="number",
    ),
    Column("is_sure", "sure", value=lambda line: line.calls.is_sure, about="beyond chance, as one of many"),
    Column("caused_ns", "caused", Unit.DURATION, lambda line: round(line.caused_ns), "change of the mean latency"),
    Column(
        "source",
        "because of",
        Unit.SERVICE,
        lambda line: line.source or None,
        "whose failures explain it; null where none do",
    ),
)


class Attribution(Struct, frozen=True, eq=False):
    """What was found about each kind of call of a network."""

    caused_ns: Floats
    """The change of the mean latency that comes of how often it is made."""
    sources: Ints
    """The position of the name of the service whose failures explain that; -1 where none do."""


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
    if not calls.is_sure or high - low < LEAST_CALLS or high < MULTIPLIED * low:
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
        fails = np.zeros(self.count, dtype=np.bool_)
        fails[self.failing.requests[self.failing.group_of_each() == source]] = True
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


def find_error_changes(
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


def find_failures(batches: tuple[Batch, Batch]) -> Difference:
    """Compare the share of requests that failed."""
    samples = []
    for batch in batches:
        failed = np.flatnonzero(batch.requests.failed)
        entries = batch.requests.operations
        samples.append(_shares(entries, np.zeros_like(failed), failed, np.ones(failed.size)))
    return differences(samples[0], samples[1], np.zeros(1, dtype=np.int64), are_shares=True)[0]


def _shares(entries: Codes, groups: Ints | Codes, requests: Ints | Codes, values: Floats) -> Sample:
    return Sample(groups, entries[requests], values, np.zeros_like(entries), entries)
