"""Series of calls: sequential ones that could run in parallel, and parallel ones with a straggler or too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings
from traceq.analysis.habits import number_asked, number_peer_calls, overlapping, peer_calls
from traceq.learned import Scatter
from traceq.semantics import Kind


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
    places = np.zeros(len(texts), dtype=np.int64)
    places[sorted(range(len(texts)), key=lambda code: texts[code])] = np.arange(len(texts))
    return places


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
