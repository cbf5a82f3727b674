"""Calls one after the other that need not be, and calls side by side that wait for one of them."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings
from traceq.analysis.tree import TimeKeys
from traceq.semantics import Kind

_COMPARABLE_RATIO = 0.1
"""A call is no straggler among others that are nothing beside it: those are bookkeeping, not the same kind of work."""


def sequential_calls(scene: Scene, known: Sightings) -> Sightings:
    """Find calls of one span to services, one after the other with hardly a pause.

    The pause tells: whoever needs an answer for the next question usually does something with it first. Queries are
    left to the N+1. They cost what all but the longest of them hold of the path.

    Args:
        scene: What to look at.
        known: The N+1 queries, which are not told twice.
    """
    spans = scene.spans
    is_messaging = np.array([peer is not None and peer.kind == "messaging" for peer in spans.traces.peers])
    calls = (spans.roles == Kind.CLIENT) & ~scene.is_query & ~is_messaging[spans.peers]
    calls &= scene.is_asked & (spans.parents >= 0)
    calls[known.members] = False
    groups = _by_parent(scene, np.flatnonzero(calls), scene.thresholds.sequential_calls)
    pause_ns = np.zeros(groups.rows.size, dtype=np.int64)
    pause_ns[1:] = spans.start_ns[groups.rows[1:]] - spans.end_ns[groups.rows[:-1]]
    runs = groups.split(~scene.follows(groups) | (pause_ns > scene.thresholds.sequential_gap_ns))
    path_ns = scene.path_ns[runs.rows]
    cost_ns = runs.sum(path_ns) - runs.max(path_ns)
    wanted = (runs.sizes >= scene.thresholds.sequential_calls) & scene.is_notable(runs.rows[runs.heads], cost_ns)
    time_ns = runs.sum(spans.duration_ns[runs.rows])
    return scene.seen("sequential-calls", runs.keep(wanted), cost_ns[wanted], time_ns[wanted])


def _by_parent(scene: Scene, rows: Ints, least: int) -> Groups:
    """Put siblings together, where there are enough of them."""
    parents = scene.spans.parents
    rows = rows[np.bincount(parents[rows], minlength=1)[parents[rows]] >= least]
    return scene.group(rows, (parents[rows],))


def side_by_side(scene: Scene) -> Groups:
    """Put the calls of a span together that overlap, each with the ones before it, and the functions that make them."""
    spans = scene.spans
    works = np.isin(spans.roles, (Kind.CLIENT, Kind.INTERNAL)) | scene.is_query
    rows = np.flatnonzero(works & scene.is_asked & (spans.parents >= 0))
    groups = _by_parent(scene, rows, min(scene.thresholds.straggler_calls, scene.thresholds.fan_out_calls))
    return groups.split(~_overlaps(scene, groups))


def _overlaps(scene: Scene, groups: Groups) -> Flags:
    """Tell which rows start before all those before them in their group have ended."""
    spans, rows = scene.spans, groups.rows
    overlaps = np.zeros(rows.size, dtype=np.bool_)
    if rows.size:
        parents = spans.parents[rows]
        keys = TimeKeys(spans.parents.size, spans.start_ns[rows], spans.end_ns[rows])
        # The key carries the parent, so the running greatest end begins anew with each.
        reached = np.maximum.accumulate(keys.key(parents, spans.end_ns[rows]))
        overlaps[1:] = keys.key(parents, spans.start_ns[rows])[1:] < reached[:-1]
        overlaps[groups.heads] = False
    return overlaps


def stragglers(scene: Scene, groups: Groups) -> Sightings:
    """Find calls side by side where all but one are done, and that one is waited for.

    It costs the stretch of the path in which only it was left.

    Args:
        scene: What to look at.
        groups: From `side_by_side`.
    """
    groups = groups.keep(groups.sizes >= scene.thresholds.straggler_calls)
    last, alone_ns = _last(scene, groups)
    duration_ns = scene.spans.duration_ns[last]
    others_ns = _medians_of_others(scene, groups)
    cost_ns = np.minimum(alone_ns, scene.path_ns[last])
    wanted = scene.is_notable(last, cost_ns) & (others_ns >= _COMPARABLE_RATIO * duration_ns)
    wanted &= duration_ns >= scene.thresholds.straggler_factor * others_ns
    kept = groups.keep(wanted)
    return Sightings("straggler", last[wanted], cost_ns[wanted], alone_ns[wanted], kept.rows, kept.offsets)


def _last(scene: Scene, groups: Groups) -> tuple[Ints, Ints]:
    """Give of each group the row that ends last, and how long after all others."""
    rows = groups.rows
    end_ns = scene.spans.end_ns[rows]
    order = np.lexsort((rows, scene.spans.start_ns[rows], end_ns, groups.number))
    lasts = groups.offsets[1:] - 1
    return rows[order[lasts]], end_ns[order[lasts]] - end_ns[order[lasts - 1]]


def _medians_of_others(scene: Scene, groups: Groups) -> Ints:
    """Give the median duration of each group without its longest, the lower one of two."""
    lengths = scene.spans.duration_ns[groups.rows]
    by_length = lengths[np.lexsort((lengths, groups.number))]
    medians: Ints = by_length[groups.heads + (groups.sizes - 2) // 2]
    return medians


def fan_outs(scene: Scene, groups: Groups) -> Sightings:
    """Find spans that make very many calls at once.

    They cost what the calls hold of the path; how much fewer calls, or one for all, would save is for a test to show.

    Args:
        scene: What to look at.
        groups: From `side_by_side`.
    """
    groups = groups.keep(groups.sizes >= scene.thresholds.fan_out_calls)
    cost_ns = groups.sum(scene.path_ns[groups.rows])
    notable = (cost_ns >= scene.thresholds.min_cost_ns) & (cost_ns > 0)
    time_ns = groups.sum(scene.spans.duration_ns[groups.rows])
    return scene.seen("fan-out", groups.keep(notable), cost_ns[notable], time_ns[notable])
