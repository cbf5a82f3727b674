"""Clocks that tick coarsely: how far, and where within their ticks the events of a trace probably lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import gcd
from operator import add

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import find_roots, flags_at, numbered_rows, sum_by_group
from traceq.learned import Event, EventKind, Gap, GapSum, Ticks

_COARSE_NS = 100_000
"""Only multiples of this are ticks that matter; finer ones are as good as none."""
_BLURRED = 0.1
"""The minimum share of a service's gaps that are of a kind of which some, but not all, were recorded as nothing."""
_LEAST_BLURRED = 10
"""The minimum number of such gaps."""


class TickSums(Struct, frozen=True):
    """The common divisors of times, and the time between events that follow each other; can be added to others."""

    divisors: Mapping[str, int] = {}
    """By service: the greatest common divisor of its times in ns; 1 where it is no tick that matters."""
    gaps: Mapping[Gap, GapSum] = {}

    def __add__(self, other: TickSums) -> TickSums:
        divisors, gaps = dict(self.divisors), dict(self.gaps)
        for service, divisor in other.divisors.items():
            common = gcd(divisors.get(service, 0), divisor)
            divisors[service] = common if common % _COARSE_NS == 0 else 1
        for gap, more in other.gaps.items():
            gaps[gap] = GapSum(*map(add, gaps[gap], more)) if gap in gaps else more
        return TickSums(divisors, gaps)

    def ticks(self, *, clocks_agree: bool) -> Ticks:
        """Give the ticks that are coarse, and the gaps between events of services that tick so.

        Where a clock ticks coarsely, gaps of one kind are recorded now as nothing, now as a tick. Times that are only
        round, as in examples, do not show that. Where clocks disagree, gaps between two services show nothing.
        """
        gap_counts, blurred_counts = Counter[str](), Counter[str]()
        for gap, (count, _, nothing_count) in self.gaps.items():
            gap_counts[gap.service] += count
            blurred_counts[gap.service] += count if 0 < nothing_count < count else 0
        tick_ns = {
            service: divisor
            for service, divisor in self.divisors.items()
            if divisor > 1 and blurred_counts[service] >= max(_LEAST_BLURRED, _BLURRED * gap_counts[service])
        }
        known = {
            gap: told
            for gap, told in self.gaps.items()
            if gap.before.service in tick_ns and gap.after.service in tick_ns
            if clocks_agree or gap.before.service == gap.after.service
        }
        return Ticks(tick_ns, known)


def count_ticks(spans: Columns) -> TickSums:
    """Find the common divisor of each service's times, and add up the gaps between events where it is coarse."""
    names = spans.traces.services
    counts = np.bincount(spans.services, minlength=len(names))
    is_fine = flags_at(
        spans.services[(spans.start_ns % _COARSE_NS != 0) | (spans.duration_ns % _COARSE_NS != 0)], len(names)
    )
    divisors = np.ones(len(names), dtype=np.int64)
    for code in np.flatnonzero((counts > 0) & ~is_fine).tolist():
        mine = spans.services == code
        divisors[code] = np.gcd.reduce(np.concatenate((spans.start_ns[mine], spans.duration_ns[mine])))
    found = {names[code]: int(divisors[code]) for code in np.flatnonzero(counts).tolist()}
    return TickSums(found, _add_up_gaps(spans, divisors > 1) if (divisors > 1).any() else {})


class _Gaps(Struct, frozen=True, eq=False):
    """Events that follow each other within a span: its start and end, and those of its children.

    Events are numbered: the start of a span by its row, its end by its row and the number of spans.
    """

    before: Ints
    after: Ints
    within: Ints
    """The row of the span within which they follow each other."""


def _find_gaps(spans: Columns, end_ns: Ints) -> _Gaps:
    """Put the events within each span in order.

    Of events in one tick, ends of children that began before it come first, then starts, then ends of children that
    lie within the tick. So a call that begins in the tick in which another one ends follows it.
    """
    size = spans.parents.size
    children = np.flatnonzero(spans.parents >= 0)
    own = np.arange(size)
    within = np.concatenate((own, own, spans.parents[children], spans.parents[children]))
    events = np.concatenate((own, own + size, children, children + size))
    is_end = events >= size
    rows = events - size * is_end
    time_ns = np.where(is_end, end_ns[rows], spans.start_ns[rows])
    is_short = end_ns[rows] == spans.start_ns[rows]
    in_tick = np.where(is_end, np.where(is_short, 3, 1), 2)
    in_tick[rows == within] = np.where(is_end[rows == within], 4, 0)
    order = np.lexsort((is_end, rows, in_tick, time_ns, within))
    within, events = within[order], events[order]
    same = within[1:] == within[:-1]
    return _Gaps(events[:-1][same], events[1:][same], within[:-1][same])


def _number_gaps(spans: Columns, gaps: _Gaps) -> tuple[list[Gap], Ints]:
    """Number the kinds of gaps: give the kinds, and the number of each gap."""
    size = spans.parents.size
    codes = [spans.services[gaps.within], spans.names[gaps.within]]
    for events in (gaps.before, gaps.after):
        is_end = events >= size
        rows = events - size * is_end
        codes += [spans.services[rows], spans.names[rows], 2 * (rows == gaps.within) + is_end]
    places, numbers = numbered_rows(*codes)
    services, names = spans.traces.services, spans.traces.names
    told = zip(*(column[places].tolist() for column in codes), strict=True)
    return [
        Gap(
            services[service],
            names[name],
            Event(services[service_before], names[before], EventKind(kind_before)),
            Event(services[service_after], names[after], EventKind(kind_after)),
        )
        for service, name, service_before, before, kind_before, service_after, after, kind_after in told
    ], numbers


def _add_up_gaps(spans: Columns, is_coarse: Flags) -> dict[Gap, GapSum]:
    gaps = _find_gaps(spans, spans.end_ns)
    kept = is_coarse[spans.services]
    kept = kept[gaps.before % kept.size] & kept[gaps.after % kept.size]
    gaps = _Gaps(gaps.before[kept], gaps.after[kept], gaps.within[kept])
    times_ns = np.concatenate((spans.start_ns, spans.end_ns))
    lengths_ns = times_ns[gaps.after] - times_ns[gaps.before]
    kinds, numbers = _number_gaps(spans, gaps)
    sums_ns = sum_by_group(numbers, lengths_ns, len(kinds))
    counts, nothing = (np.bincount(some, minlength=len(kinds)).tolist() for some in (numbers, numbers[lengths_ns == 0]))
    return dict(zip(kinds, map(GapSum, counts, sums_ns.tolist(), nothing), strict=True))


_SWEEPS = 10
"""The number of times that events are moved: more change nothing that could be seen."""
_VARIATION = 0.7
"""The standard deviation of a gap, as a share of its mean."""
_LEAST_DEVIATION = 0.1
"""The smallest standard deviation of a gap, in ticks."""
_UNKNOWN = 0.2
"""The length of a gap of which nothing is known, in ticks; counts as much as one that was seen."""
_PULL = 6.0
"""The weight, per square tick, with which events stay in the middle of their ticks."""
_STEP = 0.7


def place_in_ticks(spans: Columns, end_ns: Ints, ticks: Ticks) -> tuple[Ints, Ints]:
    """Estimate where within their ticks spans start and end.

    A clock that ticks coarsely tells that an event lies within a tick, and the mean of many recorded gaps of one kind
    is the mean of the true ones, since ticks cut off as much at the one end as at the other. Events are moved within
    their ticks until gaps are as near to their means as possible, short ones nearer than long ones.

    Args:
        spans: The table, clocks corrected.
        end_ns: The time until which each span was waited for.
        ticks: The ticks of services, and the gaps that were learned.

    Returns:
        Starts and ends of all spans; those of roots, and of services whose clocks are fine, stay as they are.
    """
    if not ticks.tick_ns:
        return spans.start_ns, end_ns
    size = spans.parents.size
    gaps = _find_gaps(spans, end_ns)
    kinds, numbers = _number_gaps(spans, gaps)
    roots = find_roots(spans.parents)
    by_service = np.array([ticks.tick_ns.get(name, 0) for name in spans.traces.services], dtype=np.int64)
    tick_ns = np.tile(by_service[spans.services], 2).astype(float)
    since_ns = np.tile(spans.start_ns[roots], 2)
    low = (np.concatenate((spans.start_ns, end_ns)) - since_ns).astype(float)
    widest_ns = np.maximum(np.maximum(tick_ns[gaps.before], tick_ns[gaps.after]), 1.0)
    counts, sums_ns = np.array([ticks.gaps.get(kind, GapSum())[:2] for kind in kinds], dtype=float).reshape(-1, 2).T
    mean_ns = (sums_ns[numbers] + _UNKNOWN * widest_ns) / (counts[numbers] + 1)
    weight = (counts[numbers] > 0) / np.maximum(_VARIATION * mean_ns, _LEAST_DEVIATION * widest_ns) ** 2
    time_ns = _moved(low, tick_ns, gaps, mean_ns, weight)
    # Roots stay, and on average they began half a tick after what their clocks recorded.
    placed = np.rint(time_ns - tick_ns[np.tile(roots, 2)] / 2).astype(np.int64) + since_ns
    is_root = np.tile(spans.parents < 0, 2)
    placed[is_root] = np.concatenate((spans.start_ns, end_ns))[is_root]
    return placed[:size], np.maximum(placed[size:], placed[:size])


_Floats = npt.NDArray[np.float64]


def _moved(low: _Floats, tick_ns: _Floats, gaps: _Gaps, mean_ns: _Floats, weight: _Floats) -> _Floats:
    """Move events within their ticks to where the gaps before and after them are most like their means."""
    size = low.size
    pull = _PULL / np.maximum(tick_ns, 1.0) ** 2
    middle, high = low + tick_ns / 2, low + tick_ns
    total = pull + np.bincount(gaps.before, weight, size) + np.bincount(gaps.after, weight, size)
    time_ns = middle
    for _ in range(_SWEEPS):
        wanted = pull * middle
        wanted += np.bincount(gaps.before, weight * (time_ns[gaps.after] - mean_ns), size)
        wanted += np.bincount(gaps.after, weight * (time_ns[gaps.before] + mean_ns), size)
        time_ns = np.clip((1 - _STEP) * time_ns + _STEP * wanted / total, low, high)
    return time_ns
