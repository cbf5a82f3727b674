"""Loops that make the same few calls in every round: N+1 that take turns."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings

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
    counts, most, least = np.zeros((3, int(number.max(initial=-1)) + 1), dtype=np.int64)
    np.add.at(counts, number, 1)
    np.maximum.at(most, number, sizes)
    least[:] = most
    np.minimum.at(least, number, sizes)
    is_loop = (counts > 1) & (least >= _EQUAL_RATIO * most)
    is_loop &= _take_turns(scene, alike, np.repeat(number, sizes), counts.size)
    is_part = is_loop[number] & (below >= 0) & ~alike.is_flagged
    return _chosen(alike, ~is_part), _joined(scene, alike, number, is_part)


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


def _joined(scene: Scene, alike: Sightings, number: Ints, is_part: Flags) -> Sightings:
    parts = _chosen(alike, is_part)
    number = np.repeat(number[is_part], np.diff(parts.offsets))
    loops = scene.group(parts.members, (number,))
    # Of each part the longest call is needed in any case.
    path_ns = scene.path_ns[parts.members]
    longest_ns = Groups(parts.members, parts.offsets).max(path_ns)
    saved = np.zeros(scene.spans.parents.size, dtype=np.int64)
    saved[parts.members] = path_ns
    saved[parts.members[parts.offsets[:-1]]] -= longest_ns
    time_ns = loops.sum(scene.spans.duration_ns[loops.rows])
    return scene.seen("m*n+1", loops, loops.sum(saved[loops.rows]), time_ns)
