"""Series of calls: in turn that could be side by side, loops, side by side with a straggler, waits for a pool.

One request shows a pause before a call, and nothing of its reason. That a pool of connections is exhausted shows in
many requests at once: while a process waits, it has as many calls to the same peer running as it ever has, and the
pause ends when one of them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, single
from traceq.analysis.grouping import distinct, least_by_group, most_by_group, moved, numbered_rows
from traceq.analysis.habits import number_asked, number_peer_calls, overlapping, peer_calls
from traceq.learned import Scatter
from traceq.semantics import (
    Kind,
)
from traceq.units import NS_PER_MS, NS_PER_S


def sequential_calls(scene: Scene, known: Sightings) -> Sightings:
    """Find sequential calls of one span to services of which none needs another's answer.

    The evidence is the order: other requests make each two of them the other way round. The cost is the path time of
    all calls but the longest.

    Args:
        scene: What to look at.
        known: The N+1, which are not told twice.
    """
    spans = scene.spans
    is_messaging = np.array([peer is not None and peer.kind == "messaging" for peer in spans.traces.peers])
    calls = (spans.roles == Kind.CLIENT) & ~scene.is_query & ~is_messaging[spans.peers]
    return _in_turn(scene, "sequential-calls", calls, known)


def sequential_queries(scene: Scene, known: Sightings) -> Sightings:
    """Find sequential queries of one span of which none needs another's answer, by the same evidence."""
    return _in_turn(scene, "sequential-queries", scene.is_query.copy(), known)


def _in_turn(scene: Scene, kind: str, calls: Flags, known: Sightings) -> Sightings:
    spans, least = scene.spans, scene.thresholds.sequential_calls
    calls &= scene.is_asked & (spans.parents >= 0)
    calls[known.members] = False
    groups = _by_parent(scene, np.flatnonzero(calls), least)
    pause_ns = np.zeros(groups.rows.size, dtype=np.int64)
    pause_ns[1:] = spans.start_ns[groups.rows[1:]] - spans.end_ns[groups.rows[:-1]]
    runs = groups.split(~scene.follows(groups) | (pause_ns > scene.thresholds.sequential_gap_ns))
    runs = runs.keep((runs.sizes >= least) & _worth_a_change(scene, runs))
    runs = runs.split(_needs_one_before(scene, runs))
    runs = runs.keep((runs.sizes >= least) & _worth_a_change(scene, runs))
    path_ns, time_ns = scene.path_ns[runs.rows], spans.duration_ns[runs.rows]
    cost_ns = runs.sum(path_ns) - runs.max(path_ns)
    return replace(scene.seen(kind, runs, cost_ns, runs.sum(time_ns)), rows=_first_by_name(scene, runs))


def _first_by_name(scene: Scene, runs: Groups) -> Ints:
    """Give the call of each run whose name comes first, so that runs of the same calls in any order are one finding."""
    peers = ["" if peer is None else peer.label for peer in scene.spans.traces.peers]
    places = (_places(scene.operation_names)[scene.operations], _places(peers)[scene.spans.peers])
    rows = runs.rows
    return rows[np.lexsort((rows, *(place[rows] for place in reversed(places)), runs.number))[runs.heads]]


def _places(texts: Sequence[str]) -> Ints:
    """Give the place of each text in alphabetical order."""
    return moved(np.arange(len(texts)), sorted(range(len(texts)), key=lambda code: texts[code]), len(texts))


def _worth_a_change(scene: Scene, runs: Groups) -> Flags:
    path_ns = scene.path_ns[runs.rows]
    return scene.is_notable(runs.rows[runs.heads], runs.sum(path_ns) - runs.max(path_ns))


def _needs_one_before(scene: Scene, runs: Groups) -> Flags:
    """Tell the calls that may need the answer of one before them in their run, back to the last such call."""
    number, told = number_asked(scene.spans, runs.rows)
    calls = {call: code for code, call in enumerate(told)}
    free = {(calls[one], calls[other]) for one, other in scene.habits.free if one in calls and other in calls}
    needs = np.ones(runs.rows.size, dtype=np.bool_)
    if not free:
        return needs
    before: list[int] = []
    heads = set(runs.heads.tolist())
    for at, call in enumerate(number.tolist()):
        needs[at] = at in heads or any((call, earlier) not in free for earlier in before)
        before = [call] if needs[at] else [*before, call]
    return needs


def _by_parent(scene: Scene, rows: Ints, least: int) -> Groups:
    """Group siblings, where there are enough of them."""
    parents = scene.spans.parents
    rows = rows[np.bincount(parents[rows], minlength=1)[parents[rows]] >= least]
    return scene.group(rows, (parents[rows],))


_CHANGING_RATIO = 0.8
"""Share of neighbours that have to be of different N+1 for these to be the parts of one loop."""
_EQUAL_RATIO = 0.8
"""The shortest of these N+1 has at least this share of the calls of the longest: now and then a part is left out."""


def rounds(scene: Scene, alike: Sightings) -> tuple[Sightings, Sightings]:
    """Tell N+1 that are parts of one loop (A B C A B C ...) from those that stand alone.

    Parts of one loop are below the same span, have about as many calls each, and take turns. The cost is that of the
    parts together: all calls but the longest of each.

    Returns:
        The N+1 that stand alone, and the loops.
    """
    sizes = np.diff(alike.offsets)
    below = _holders(scene, alike)
    order = np.lexsort((alike.rows, below))
    number = np.empty(order.size, dtype=np.int64)
    number[order] = np.cumsum(np.diff(below[order], prepend=-1) != 0) - 1
    counts = np.bincount(number)
    most, least = most_by_group(number, sizes, counts.size), least_by_group(number, sizes, counts.size)
    is_loop = (counts > 1) & (least >= _EQUAL_RATIO * most)
    is_loop &= _take_turns(scene, alike, np.repeat(number, sizes), counts.size)
    is_part = is_loop[number] & (below >= 0) & ~alike.is_flagged
    return _chosen(alike, ~is_part), _taking_turns(scene, alike, number, is_part)


def _holders(scene: Scene, alike: Sightings) -> Ints:
    """Find the span below which the calls of each N+1 are; it may be the one above functions that make them."""
    parents = scene.spans.parents
    first, last = alike.members[alike.offsets[:-1]], alike.members[alike.offsets[1:] - 1]
    return np.where(parents[first] == parents[last], parents[first], parents[parents[first]])


def _take_turns(scene: Scene, alike: Sightings, number: Ints, size: int) -> Flags:
    part = np.repeat(np.arange(alike.rows.size), np.diff(alike.offsets))
    order = np.lexsort((alike.members, scene.spans.start_ns[alike.members], number))
    is_next = np.diff(number[order]) == 0
    changes = np.bincount(number[order][1:][is_next & (np.diff(part[order]) != 0)], minlength=size)
    turns: Flags = changes >= _CHANGING_RATIO * np.bincount(number[order][1:][is_next], minlength=size)
    return turns


def _chosen(seen: Sightings, wanted: Flags) -> Sightings:
    members = Groups(seen.members, seen.offsets).keep(wanted)
    times = (seen.rows[wanted], seen.cost_ns[wanted], seen.time_ns[wanted])
    return Sightings(seen.kind, *times, members.rows, members.offsets, seen.is_flagged[wanted])


def _taking_turns(scene: Scene, alike: Sightings, number: Ints, is_part: Flags) -> Sightings:
    parts = _chosen(alike, is_part)
    number = np.repeat(number[is_part], np.diff(parts.offsets))
    loops = scene.group(parts.members, (number,))
    # Of each part the longest call is needed in any case.
    path_ns = scene.path_ns[parts.members]
    longest_ns = Groups(parts.members, parts.offsets).max(path_ns)
    saved = moved(path_ns, parts.members, scene.spans.parents.size)
    saved[parts.members[parts.offsets[:-1]]] -= longest_ns
    time_ns = loops.sum(scene.spans.duration_ns[loops.rows])
    return scene.seen("m*n+1", loops, loops.sum(saved[loops.rows]), time_ns)


def side_by_side(scene: Scene) -> Groups:
    """Group the calls of a span that overlap with earlier ones, and the functions that make such calls."""
    spans = scene.spans
    works = np.isin(spans.roles, (Kind.CLIENT, Kind.INTERNAL)) | scene.is_query
    rows = np.flatnonzero(works & scene.is_asked & (spans.parents >= 0))
    groups = _by_parent(scene, rows, min(scene.thresholds.straggler_calls, scene.thresholds.fan_out_calls))
    return groups.split(np.diff(overlapping(spans, groups.rows), prepend=-1) != 0)


_COMPARABLE_RATIO = 0.1
"""Where calls, queries and functions are mixed, others below this share of a call are not the same kind of work."""
_USUAL = 0.5
"""The variance, of logarithms of durations to base 2, that is assumed of calls of which little is known."""
_UNLIKE = 4.0
"""The same of calls of different names beside each other."""
_USUAL_WEIGHT = 4
_UNLIKE_WEIGHT = 1
"""The number of calls for which these first guesses count."""
_DEVIATIONS = 4.5
"""Number of standard deviations from the median of the others that is more than scatter."""


def stragglers(scene: Scene, groups: Groups) -> Sightings:
    """Find parallel calls of which all but one have ended, and that one is waited for.

    It takes several times as long as the others, and more than these scatter. The cost is the path time in which only
    that call was still running.

    Args:
        scene: What to look at.
        groups: From `side_by_side`.
    """
    groups = groups.keep(groups.sizes >= scene.thresholds.straggler_calls)
    last, alone_ns = _last(scene, groups)
    cost_ns = np.minimum(alone_ns, scene.path_ns[last])
    duration_ns = scene.spans.duration_ns[last]
    wanted = scene.is_notable(last, cost_ns)
    groups, last, cost_ns, alone_ns, duration_ns = (
        groups.keep(wanted),
        *(column[wanted] for column in (last, cost_ns, alone_ns, duration_ns)),
    )
    factors = np.maximum(scene.thresholds.straggler_factor, np.exp2(_DEVIATIONS * np.sqrt(_variances(scene, groups))))
    median_ns = _medians_of_others(scene, groups)
    kinds = scene.spans.roles[groups.rows].astype(np.int64) * 2 + scene.is_query[groups.rows]
    wanted = _are_equal(groups, kinds) | (median_ns >= _COMPARABLE_RATIO * duration_ns)
    wanted &= duration_ns >= factors * median_ns
    kept = groups.keep(wanted)
    return Sightings("straggler", last[wanted], cost_ns[wanted], alone_ns[wanted], kept.rows, kept.offsets)


def _last(scene: Scene, groups: Groups) -> tuple[Ints, Ints]:
    """Give the row of each group that ends last, and how long it ends after all others."""
    rows = groups.rows
    end_ns = scene.spans.end_ns[rows]
    order = np.lexsort((rows, scene.spans.start_ns[rows], end_ns, groups.number))
    lasts = groups.offsets[1:] - 1
    return rows[order[lasts]], end_ns[order[lasts]] - end_ns[order[lasts - 1]]


def _medians_of_others(scene: Scene, groups: Groups) -> Ints:
    """Give the median duration of each group without its longest, the higher of two middle values."""
    lengths = scene.spans.duration_ns[groups.rows]
    by_length = lengths[np.lexsort((lengths, groups.number))]
    medians: Ints = by_length[groups.heads + (groups.sizes - 1) // 2]
    return medians


def _variances(scene: Scene, groups: Groups) -> npt.NDArray[np.float64]:
    """Give the variance that durations of each group's calls usually have, the longest left out.

    Calls of different names do not take equally long even if none is slow: their differences count too.
    """
    spans, rows = scene.spans, groups.rows
    places, number = number_peer_calls(spans, rows)
    usual = [
        scene.habits.scatter.get(call, Scatter()).variance(_USUAL, _USUAL_WEIGHT)
        for call in peer_calls(spans, rows[places])
    ]
    order = np.lexsort((spans.duration_ns[rows], groups.number))
    counts = np.ones(rows.size)
    counts[groups.offsets[1:] - 1] = 0
    others = np.maximum(groups.sizes - 1, 1)
    logs = np.log2(np.maximum(spans.duration_ns[rows[order]], 1)) * counts

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(values * counts, groups.heads) / others if rows.size else np.zeros(0)

    within = mean(np.array(usual)[number[order]])
    deviations = (logs - mean(logs)[groups.number]) ** 2
    between = (mean(deviations) * others + _UNLIKE_WEIGHT * _UNLIKE) / (others - 1 + _UNLIKE_WEIGHT)
    is_alike = _are_equal(groups, scene.operations[rows].astype(np.int64))
    return np.where(is_alike, within, np.maximum(within, between))


def _are_equal(groups: Groups, values: Ints) -> Flags:
    """Tell the groups all of whose rows have the same value."""
    equal: Flags = groups.max(values) == -groups.max(-values)
    return equal


def fan_outs(scene: Scene, groups: Groups, known: Sightings) -> Sightings:
    """Find spans that make a very large number of parallel calls.

    The cost is the path time from the first start to the last end, without what a call takes on average: a single call
    instead of all would hardly take less.

    Args:
        scene: What to look at.
        groups: From `side_by_side`.
        known: The N+1 queries, which are not told twice.
    """
    spans = scene.spans
    is_known = np.zeros(spans.parents.size, dtype=np.int64)
    is_known[known.members] = 1
    groups = groups.keep(groups.sizes >= scene.thresholds.fan_out_calls)
    groups = groups.keep(groups.sum(is_known[groups.rows]) < groups.sizes)
    first = groups.rows[groups.heads]
    end_ns = groups.max(spans.end_ns[groups.rows])
    time_ns = groups.sum(spans.duration_ns[groups.rows])
    cost_ns = scene.path_between(spans.parents[first], spans.start_ns[first], end_ns) - time_ns // groups.sizes
    path_ns = groups.sum(scene.path_ns[groups.rows])
    notable = (path_ns >= scene.thresholds.min_cost_ns) & (path_ns > 0)
    cost_ns = np.maximum(cost_ns, 0)
    return scene.seen("fan-out", groups.keep(notable), cost_ns[notable], time_ns[notable])


_WINDOW_NS = NS_PER_S
"""Calls are kept by windows of this length, all calls of a window or none."""
_MOST_CALLS = 20_000
"""The maximum number of calls that are kept."""
_ALL = (1 << 63) - 1
_LEAST_WAITS = 10
"""The minimum number of waits that show something."""
_PLATEAU_RATIO = 0.8
"""The share of the waiting time in which as many calls have to be running as ever are."""
_RELEASED_RATIO = 0.7
"""The share of the waits that have to end just when another call does."""
_CHANCE = 0.15
"""How often a wait may end just after another call by chance: this determines what just after means ..."""
_JUST_NS = NS_PER_MS
"""... which is at most this long."""
_RARE_RATIO = 0.01
"""More calls than in the rest of the time run at once for less than this share: clocks tick, and ends come late."""
Place = tuple[str, str, str]
"""A service, its host, and the peer that it calls."""


class PoolUse(NamedTuple):
    """What the calls of one process to one peer show; adds up over hosts."""

    wait_count: int
    waited_ns: int
    plateau_ns: int
    """How much of it lies in times in which as many calls are running as ever are."""
    released_count: int
    """Waits that end just after another call."""

    @property
    def is_exhausted(self) -> bool:
        """Whether the waits are waits for a connection."""
        return (
            self.wait_count >= _LEAST_WAITS
            and self.plateau_ns >= _PLATEAU_RATIO * self.waited_ns
            and self.released_count >= _RELEASED_RATIO * self.wait_count
        )


class PoolSums(Struct, frozen=True):
    """When calls were made, of a part of the time that is chosen by chance; can be added to others."""

    places: tuple[Place, ...] = ()
    calls: bytes = b""
    """For each call: number of the place, window, start, end, wait before it; the last three in ns."""
    bound: int = _ALL
    """Windows whose hash is at least this were left out."""

    def __add__(self, other: PoolSums) -> PoolSums:
        places = tuple(dict.fromkeys((*self.places, *other.places)))
        numbers = {place: number for number, place in enumerate(places)}
        parts = []
        for part in (self, other):
            calls = part.table().copy()
            if calls.size:
                calls[:, 0] = np.array([numbers[place] for place in part.places], dtype=np.int64)[calls[:, 0]]
            parts.append(calls)
        return _kept(places, np.concatenate(parts), min(self.bound, other.bound))

    def table(self) -> Ints:
        """Give the calls, a row for each."""
        return np.frombuffer(self.calls, dtype=np.int64).reshape(-1, 5)

    def exhausted(self, least_ns: int) -> frozenset[tuple[str, str]]:
        """Find the services and peers between which calls wait for a connection, for at least so long each."""
        found: dict[tuple[str, str], PoolUse] = {}
        for (service, _, peer), use in self._uses(least_ns):
            known = found.get((service, peer))
            found[service, peer] = use if known is None else PoolUse(*map(int.__add__, known, use))
        return frozenset(key for key, use in found.items() if use.is_exhausted)

    def _uses(self, least_ns: int) -> Iterator[tuple[Place, PoolUse]]:
        calls = self.table()
        waiting = distinct(calls[calls[:, 4] >= least_ns, 0])
        for number in waiting.tolist():
            yield self.places[number], _use(calls[calls[:, 0] == number], least_ns)


def _hashes(windows: Ints) -> Ints:
    """Give for each window a number that looks as if it were drawn by chance."""
    mixed = windows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return ((mixed * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(1)).astype(np.int64)


def _kept(places: tuple[Place, ...], calls: Ints, bound: int) -> PoolSums:
    """Keep the windows with the lowest hashes, as many as there is room for.

    What is kept of a whole is the same as what is kept of the parts of it, put together.
    """
    windows, of_window, counts = np.unique(calls[:, 1], return_inverse=True, return_counts=True)
    hashes = _hashes(windows)
    order = np.argsort(hashes)
    too_many = np.flatnonzero(np.cumsum(np.where(hashes[order] < bound, counts[order], 0)) > _MOST_CALLS)
    if too_many.size:
        bound = min(bound, int(hashes[order[too_many[0]]]))
    return PoolSums(places, calls[(hashes < bound)[of_window]].tobytes(), bound)


def measure_pools(scene: Scene) -> PoolSums:
    """Note when the requests' calls to peers were made, and how long each of them kept the request waiting before."""
    spans, traces = scene.recorded, scene.spans.traces
    rows = np.flatnonzero(_is_peer_call(scene) & (spans.end_ns > spans.start_ns))
    first, last = spans.start_ns[rows] // _WINDOW_NS, (spans.end_ns[rows] - 1) // _WINDOW_NS
    # A call that goes on in the next window counts there too.
    goes_on = last > first
    rows, windows = np.append(rows, rows[goes_on]), np.append(first, last[goes_on])
    places, number = numbered_rows(spans.services[rows], spans.hosts[rows], spans.peers[rows])
    calls = np.column_stack((number, windows, spans.start_ns[rows], spans.end_ns[rows], scene.waits_ns[rows]))
    codes = (column[rows[places]].tolist() for column in (spans.services, spans.hosts, spans.peers))
    told = tuple(
        (traces.services[service], traces.hosts[host], peer.label)
        for service, host, code in zip(*codes, strict=True)
        if (peer := traces.peers[code]) is not None
    )
    return PoolSums() + _kept(told, calls, _ALL)


def _is_peer_call(scene: Scene) -> Flags:
    is_peer = np.array([peer is not None for peer in scene.spans.traces.peers], dtype=np.bool_)
    return scene.is_call & scene.is_asked & is_peer[scene.spans.peers]


def pool_waits(scene: Scene) -> Sightings:
    """Find pauses before calls to peers; whether they are waits for a connection, only many requests show together."""
    rows = np.flatnonzero(_is_peer_call(scene) & (scene.waits_ns > 0))
    rows = rows[scene.is_notable(rows, scene.waits_ns[rows])]
    return single("pool", rows, scene.waits_ns[rows], scene.waits_ns[rows])


def _use(calls: Ints, least_ns: int) -> PoolUse:
    """Compare the waits of one place with the calls that were running."""
    base_ns = int(calls[:, 2].min())
    _, windows, start_ns, end_ns, wait_ns = calls.T
    opens_ns = windows * _WINDOW_NS - base_ns
    start_ns, end_ns = start_ns - base_ns, end_ns - base_ns
    times_ns, running = _running(np.maximum(start_ns, opens_ns), np.minimum(end_ns, opens_ns + _WINDOW_NS))
    lasts_ns = np.diff(times_ns, append=times_ns[-1])
    at_level = np.bincount(running, weights=lasts_ns)
    at_least = np.cumsum(at_level[::-1])[::-1]
    busy_ns = at_least[1] if at_least.size > 1 else 0
    peak = int(np.flatnonzero(at_least > _RARE_RATIO * busy_ns)[-1]) if busy_ns else 0
    # Each wait counts once, in the window in which it ends.
    waits = np.flatnonzero((wait_ns >= least_ns) & (start_ns >= opens_ns))
    until_ns = start_ns[waits]
    from_ns = np.maximum(until_ns - wait_ns[waits], opens_ns[waits])
    full_ns = np.append(0, np.cumsum(np.where(running >= max(peak, 1), lasts_ns, 0)))[:-1]
    plateau_ns = np.interp(until_ns, times_ns, full_ns) - np.interp(from_ns, times_ns, full_ns)
    ends_ns = distinct(end_ns)
    just_ns = min(_JUST_NS, int(_CHANCE * busy_ns / ends_ns.size))
    ended = np.searchsorted(ends_ns, until_ns, side="right") - 1
    is_released = (ended >= 0) & (until_ns - ends_ns[ended] <= just_ns)
    waited_ns = int((until_ns - from_ns).sum())
    return PoolUse(int(waits.size), waited_ns, int(plateau_ns.sum()), int(np.count_nonzero(is_released)))


def _running(low_ns: Ints, high_ns: Ints) -> tuple[Ints, Ints]:
    """Give the instants at which the number of running calls changes, and how many are running from then on."""
    times_ns = np.concatenate((low_ns, high_ns))
    steps = np.repeat(np.array([1, -1]), low_ns.size)
    order = np.lexsort((steps, times_ns))
    return times_ns[order], np.cumsum(steps[order])
