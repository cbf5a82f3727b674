"""Which spans have the same clock, and what calls show about the offsets of clocks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.outliving import crosses_clocks, is_told_free
from traceq.learned import Clock
from traceq.semantics import Kind, Status

UNBOUNDED_NS = 2**62
"""Stands for no limit: far beyond any offset of two clocks, and far enough from the end of 64 bits."""


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class ClockCalls:
    """Calls from one clock to another; can be added to others. Arrays have one entry for each call."""

    clocks: tuple[Clock, ...] = ()
    callers: Ints = field(default_factory=_none)
    """The number of the caller's clock."""
    callees: Ints = field(default_factory=_none)
    time_ns: Ints = field(default_factory=_none)
    """The start of the call, by the callee's clock."""
    most_ns: Ints = field(default_factory=_none)
    """The maximum by which the callee's clock can be ahead, since the callee begins after its caller."""
    least_ns: Ints = field(default_factory=_none)
    """The minimum by which it has to be ahead if its caller waited for it; `-UNBOUNDED_NS` if that is unknown."""
    is_call: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """Whether it is a SERVER under its CLIENT, two spans for the same work."""

    def __add__(self, other: ClockCalls) -> ClockCalls:
        if not other.clocks or not self.clocks:
            return self if self.clocks else other
        clocks = tuple(dict.fromkeys((*self.clocks, *other.clocks)))
        number = {clock: at for at, clock in enumerate(clocks)}
        mine, theirs = (np.array([number[clock] for clock in each.clocks], dtype=np.int64) for each in (self, other))
        return ClockCalls(
            clocks,
            np.concatenate((mine[self.callers], theirs[other.callers])),
            np.concatenate((mine[self.callees], theirs[other.callees])),
            np.concatenate((self.time_ns, other.time_ns)),
            np.concatenate((self.most_ns, other.most_ns)),
            np.concatenate((self.least_ns, other.least_ns)),
            np.concatenate((self.is_call, other.is_call)),
        )


def collect_clock_calls(spans: Columns) -> ClockCalls:
    """Limit the offsets of clocks by every call from one to another.

    A call that failed may have been abandoned before its server had finished, and one that is shorter than its callee
    was: their ends prove nothing. Spans that were handed over, or that only follow, prove nothing at all, since
    consumers begin to ask before there is a message.
    """
    parents = spans.parents
    rows = np.flatnonzero(crosses_clocks(spans) & ~is_told_free(spans) & ~spans.rejoined)
    above = parents[rows]
    callers, callees = clock_codes(spans, above, rows)
    met = np.zeros(len(spans.traces.hosts) + len(spans.traces.services), dtype=np.bool_)
    met[callers] = met[callees] = True
    number = np.cumsum(met) - 1
    return ClockCalls(
        tuple(clock_of(spans, code) for code in np.flatnonzero(met).tolist()),
        number[callers],
        number[callees],
        spans.start_ns[rows],
        spans.start_ns[rows] - spans.start_ns[above],
        np.where(is_bound_by_end(spans, above, rows), spans.end_ns[rows] - spans.end_ns[above], -UNBOUNDED_NS),
        is_served(spans, above, rows),
    )


def is_bound_by_end(spans: Columns, above: Ints, rows: Ints) -> Flags:
    """Tell the spans whose end limits the offset: no longer than their caller, which has not failed."""
    fits: Flags = spans.duration_ns[rows] <= spans.duration_ns[above]
    fits &= spans.statuses[above] != Status.ERROR
    return fits


def is_served(spans: Columns, above: Ints, rows: Ints) -> Flags:
    """Tell the SERVER spans under their CLIENT."""
    served: Flags = (spans.roles[rows] == Kind.SERVER) & (spans.roles[above] == Kind.CLIENT)
    return served


def clock_codes(spans: Columns, above: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Give numbers for the clocks of parents and children: of hosts, or of services where one has no host."""
    both_told = (spans.hosts[above] > 0) & (spans.hosts[rows] > 0)
    host_count = len(spans.traces.hosts)
    callers, callees = (
        np.where(both_told, spans.hosts[each].astype(np.int64), host_count + spans.services[each].astype(np.int64))
        for each in (above, rows)
    )
    return callers, callees


def clock_of(spans: Columns, code: int) -> Clock:
    """Give the clock that a number of `clock_codes` stands for."""
    hosts, services = spans.traces.hosts, spans.traces.services
    return Clock(host=hosts[code]) if code < len(hosts) else Clock(service=services[code - len(hosts)])
