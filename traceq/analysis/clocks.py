"""Which spans have the same clock, what calls show about the offsets of clocks, and the offsets that follow.

There is one offset for each pair of clocks, from all given calls, or a line where clocks drift.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field
from msgspec.structs import replace

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.outliving import crosses_clocks, is_told_free
from traceq.learned import Clock, ClockError
from traceq.semantics import Kind, Status

UNBOUNDED_NS = 2**62
"""Stands for no limit: far beyond any offset of two clocks, and far enough from the end of 64 bits."""


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


class ClockCalls(Struct, frozen=True, eq=False):
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
    is_after: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    """Whether it begins only when its caller, which should have waited for it, has ended."""

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
            np.concatenate((self.is_after, other.is_after)),
        )


def collect_clock_calls(spans: Columns) -> ClockCalls:
    """Limit the offsets of clocks by every call from one to another.

    A call that failed may have been abandoned before its server had finished, and one that is shorter than its callee
    was: their ends prove nothing. Spans that were handed over, or that only follow, prove nothing at all, since
    consumers begin to ask before there is a message.
    """
    parents = spans.parents
    rows = np.flatnonzero(crosses_clocks(spans) & ~spans.rejoined)
    rows = rows[~is_told_free(spans, rows)]
    above = parents[rows]
    callers, callees = clock_codes(spans, above, rows)
    is_bound = is_bound_by_end(spans, above, rows)
    met = np.zeros(len(spans.traces.hosts) + len(spans.traces.services), dtype=np.bool_)
    met[callers] = met[callees] = True
    number = np.cumsum(met) - 1
    return ClockCalls(
        tuple(clock_of(spans, code) for code in np.flatnonzero(met).tolist()),
        number[callers],
        number[callees],
        spans.start_ns[rows],
        spans.start_ns[rows] - spans.start_ns[above],
        np.where(is_bound, spans.end_ns[rows] - spans.end_ns[above], -UNBOUNDED_NS),
        is_served(spans, above, rows),
        is_bound & (spans.start_ns[rows] >= spans.end_ns[above]),
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


_CLOSE_NS = 1
"""The tolerance in ns of whether an offset explains a call, since middles are rounded."""
_EARLY_RATIO = 0.02
"""The minimum share of all calls that an offset corrects because they begin before they were made."""
_LATE_RATIO = 0.5
"""The minimum share of all calls that an offset corrects where these only end late, as servers do by themselves."""
_LEAST_LATE = 5
"""The minimum number of such calls, unless one begins only when its caller has ended."""
_MOST_DRIFT = 0.01
"""The largest drift: what seems to be more is a time that is wrong altogether."""
_OUTLIERS = 0.01
"""The share of all calls that an offset need not explain."""
_DRIFTING = 0.05
"""The minimum share of all calls that a drift has to explain in addition to those that an offset explains."""
_LEAST_DRIFTING = 5
_STRETCHES = 8
"""The number of time intervals between which drift is measured."""
_ROUNDS = 4
"""The number of times that drift is measured again after subtracting what was found."""


class _Pair(Struct, frozen=True, eq=False):
    """All calls between two clocks, as limits of how far the second one is ahead of the first."""

    first: int
    second: int
    time_ns: Ints
    low_ns: Ints
    high_ns: Ints
    early: Flags
    """Which calls begin before they were made."""
    after: Flags
    """Which calls begin only when their callers have ended."""
    is_call: bool
    """Whether there is a SERVER under its CLIENT among them."""


class _Apart(Struct, frozen=True):
    """How far the second of two clocks is ahead of the first: minimum, maximum, and most likely value."""

    first: int
    second: int
    low_ns: float
    high_ns: float
    ahead_ns: float
    drift: float = 0.0

    @property
    def width_ns(self) -> float:
        return self.high_ns - self.low_ns


def find_clock_errors(calls: ClockCalls) -> Mapping[Clock, ClockError]:
    """Find which clocks are wrong, and by how much.

    All calls of a pair of clocks are combined. Where all of them, or all but a few, fit if both clocks are right, the
    clocks are right. Otherwise the offset is used that explains most calls, if it explains enough calls that an offset
    of 0 does not: the middle of the offsets that these allow where clients and servers limit it from both sides, and
    the smallest sufficient one where they do not. Where a line over time explains clearly more calls than an offset,
    one clock drifts.

    Clocks are then connected pair by pair, the narrowest limits first: every clock is compared with the first of its
    group, whatever the paths of calls between them.

    Returns:
        The clocks of groups in which some clock is wrong.

    Source: Moon, Skelly and Towsley, Estimation and removal of clock skew from network delay measurements,
    INFOCOM '99. Differs: delays bound offsets from both sides, as many calls as possible are explained rather than
    all, and right clocks are preferred.
    """
    if not calls.time_ns.size:
        return {}
    since_ns = int(calls.time_ns.min()) // 2 + int(calls.time_ns.max()) // 2
    apart = [_compare(pair, since_ns) for pair in _pairs(calls)]
    if not any(each.ahead_ns or each.drift for each in apart):
        return {}
    return _put_together(calls.clocks, apart, since_ns)


def _pairs(calls: ClockCalls) -> Iterator[_Pair]:
    """Combine the calls between two clocks, in both directions."""
    names = np.array(sorted(range(len(calls.clocks)), key=lambda number: calls.clocks[number]), dtype=np.int64)
    rank = np.empty_like(names)
    rank[names] = np.arange(names.size)
    callers, callees = rank[calls.callers], rank[calls.callees]
    back = callers > callees
    low_ns = np.where(back, -calls.most_ns, calls.least_ns)
    high_ns = np.where(back, -calls.least_ns, calls.most_ns)
    first, second = np.minimum(callers, callees), np.maximum(callers, callees)
    order = np.lexsort((high_ns, low_ns, calls.time_ns, second, first))
    key = (first * names.size + second)[order]
    heads = np.flatnonzero(np.diff(key, prepend=-1))
    for start, stop in zip(heads.tolist(), [*heads[1:].tolist(), key.size], strict=True):
        at = order[start:stop]
        yield _Pair(
            int(names[first[at[0]]]),
            int(names[second[at[0]]]),
            calls.time_ns[at],
            low_ns[at],
            high_ns[at],
            calls.most_ns[at] < -_CLOSE_NS,
            calls.is_after[at],
            bool(calls.is_call[at].any()),
        )


def _compare(pair: _Pair, since_ns: int) -> _Apart:
    low_ns, high_ns = pair.low_ns, pair.high_ns
    fits = _fits(low_ns, high_ns, 0.0)
    count = fits.size
    if fits.all():
        return _right(pair)
    steady = _steady(pair, low_ns, high_ns)
    steady_count = int(np.count_nonzero(_fits(low_ns, high_ns, steady.ahead_ns)))
    best, best_count = steady, steady_count
    if steady_count < (1 - _DRIFTING) * count:
        drifting, drifting_count = _drifting(pair, since_ns)
        if drifting_count >= steady_count + max(_DRIFTING * count, _LEAST_DRIFTING):
            best, best_count = drifting, drifting_count
    gained = best_count - int(np.count_nonzero(fits))
    explained = _explained(pair, best, since_ns)
    mended_count = int(np.count_nonzero(pair.early & explained))
    is_early = min(gained, mended_count) >= max(1, _EARLY_RATIO * count)
    is_late = gained > _LATE_RATIO * count and (gained >= _LEAST_LATE or bool((pair.after & explained).any()))
    return best if is_early or is_late else _right(pair)


def _fits(low_ns: npt.NDArray[np.generic], high_ns: npt.NDArray[np.generic], ahead_ns: float) -> Flags:
    fits: Flags = (low_ns <= ahead_ns + _CLOSE_NS) & (high_ns >= ahead_ns - _CLOSE_NS)  # type: ignore[operator]
    return fits


def _explained(pair: _Pair, apart: _Apart, since_ns: int) -> Flags:
    gained_ns = np.rint(apart.drift * (pair.time_ns - since_ns)).astype(np.int64)
    return _fits(pair.low_ns - gained_ns, pair.high_ns - gained_ns, apart.ahead_ns)


def _right(pair: _Pair) -> _Apart:
    """Assume that both clocks are right, and say how precisely that is known."""
    low_ns = pair.low_ns[pair.low_ns <= 0].max(initial=-UNBOUNDED_NS)
    high_ns = pair.high_ns[pair.high_ns >= 0].min(initial=UNBOUNDED_NS)
    return _Apart(pair.first, pair.second, float(low_ns), float(high_ns), 0.0)


def _steady(pair: _Pair, low_ns: Ints, high_ns: Ints) -> _Apart:
    """Find the offset that explains most calls."""
    first_ns, last_ns = _most_covered(low_ns, high_ns)
    is_bounded = first_ns > -UNBOUNDED_NS and last_ns < UNBOUNDED_NS
    least_ns = min(max(0.0, first_ns), last_ns)
    ahead_ns = (first_ns + last_ns) / 2 if is_bounded and pair.is_call else least_ns
    return _Apart(pair.first, pair.second, first_ns, last_ns, ahead_ns)


def _most_covered(low_ns: Ints, high_ns: Ints) -> tuple[float, float]:
    """Find the range that the largest number of intervals cover, or nearly as many; of several the one nearest to 0."""
    low_ns = np.minimum(low_ns, high_ns)
    edges = np.concatenate((low_ns, high_ns))
    steps = np.repeat(np.array([1, -1]), low_ns.size)
    order = np.lexsort((-steps, edges))
    edges, covered = edges[order], np.cumsum(steps[order])
    most = int(covered.max())
    enough = covered >= most - int(_OUTLIERS * low_ns.size)
    starts = np.flatnonzero(enough & ~np.append(False, enough[:-1]))
    stops = np.flatnonzero(enough & ~np.append(enough[1:], False))
    holds = np.array([covered[start : stop + 1].max() == most for start, stop in zip(starts, stops, strict=True)])
    begins, ends = edges[starts][holds].astype(float), edges[np.minimum(stops + 1, edges.size - 1)][holds].astype(float)
    nearest = int(np.argmin(np.abs(np.clip(0.0, begins, ends))))
    return float(begins[nearest]), float(ends[nearest])


def _drifting(pair: _Pair, since_ns: int) -> tuple[_Apart, int]:
    """Find the line over time that explains most calls, and their number: its slope step by step, then its offset."""
    passed = (pair.time_ns - since_ns).astype(float)
    drift, best, best_count = 0.0, _right(pair), -1
    for _ in range(_ROUNDS):
        gained_ns = np.rint(drift * passed).astype(np.int64)
        low_ns, high_ns = pair.low_ns - gained_ns, pair.high_ns - gained_ns
        steady = _steady(pair, low_ns, high_ns)
        count = int(np.count_nonzero(_fits(low_ns, high_ns, steady.ahead_ns)))
        if count > best_count:
            best, best_count = replace(steady, drift=drift), count
        drift = min(max(drift + _slope(passed, low_ns, high_ns), -_MOST_DRIFT), _MOST_DRIFT)
    return best, best_count


def _slope(passed: npt.NDArray[np.float64], low_ns: Ints, high_ns: Ints) -> float:
    """Give the median of the slopes between the middles of the offsets that any two time intervals allow."""
    stretch = np.floor((passed - passed.min()) / (np.ptp(passed) + 1) * _STRETCHES).astype(np.int64)
    found = []
    for number in range(_STRETCHES):
        here = np.flatnonzero(stretch == number)
        first_ns, last_ns = _most_covered(low_ns[here], high_ns[here]) if here.size else (-UNBOUNDED_NS, UNBOUNDED_NS)
        if first_ns > -UNBOUNDED_NS and last_ns < UNBOUNDED_NS:
            found.append((float(passed[here].mean()), (first_ns + last_ns) / 2))
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in itertools.combinations(found, 2)]
    ordered = sorted(slopes)
    # Not np.median, which imports numpy.ma, for masked arrays.
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2 if ordered else 0.0


def _put_together(clocks: tuple[Clock, ...], apart: list[_Apart], since_ns: int) -> dict[Clock, ClockError]:
    """Compare every clock with the first of its group, through the pairs with the narrowest limits."""
    group = list(range(len(clocks)))
    members = {number: [number] for number in group}
    ahead_ns, drift = [0.0] * len(clocks), [0.0] * len(clocks)
    for each in sorted(apart, key=lambda each: (each.width_ns, clocks[each.first], clocks[each.second])):
        one, other = group[each.first], group[each.second]
        if one == other:
            continue
        more_ns = ahead_ns[each.first] + each.ahead_ns - ahead_ns[each.second]
        more_drift = drift[each.first] + each.drift - drift[each.second]
        moved, kept = (other, one)
        if len(members[other]) > len(members[one]):
            moved, kept, more_ns, more_drift = one, other, -more_ns, -more_drift
        for number in members.pop(moved):
            group[number] = kept
            ahead_ns[number] += more_ns
            drift[number] += more_drift
            members[kept].append(number)
    wrong = {group[number] for number in range(len(clocks)) if round(ahead_ns[number]) or drift[number]}
    in_order = sorted(range(len(clocks)), key=lambda number: clocks[number])
    rank = {number: place for place, number in enumerate(in_order)}
    return {
        clocks[number]: ClockError(rank[group[number]], round(ahead_ns[number]), drift[number], since_ns)
        for number in in_order
        if group[number] in wrong
    }
