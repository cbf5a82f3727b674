"""Pools of connections that are exhausted: calls wait for one that is free.

One request shows a pause before a call, and nothing of its reason. The reason shows in many requests at once: while a
process waits, it has as many calls to the same peer running as it ever has, and the pause ends when one of them does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Scene, Sightings, single
from traceq.analysis.grouping import numbered_rows
from traceq.units import NS_PER_MS, NS_PER_S

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


@dataclass(frozen=True, slots=True)
class PoolSums:
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
        waiting = np.unique(calls[calls[:, 4] >= least_ns, 0])
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
    ends_ns = np.unique(end_ns)
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
