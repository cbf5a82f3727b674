"""Series of calls: sequential ones that could run in parallel, parallel ones with a straggler, retries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen
from traceq.analysis.habits import number_asked, number_peer_calls, overlapping, peer_calls
from traceq.learned import Scatter
from traceq.semantics import Kind, Status, value_text

_RETRY_EVENT = re.compile(r"(?i)(?:.*[ ._-])?(?:retry|retrying|retried)(?:[ ._-]?(?:\d+|attempt))?")
"""`retry`, `retry_3`, `http.retry`, `Retrying`; not `retry_policy_loaded`."""
_COUNTS = ("retry_count", "http.request.resend_count", "http.resend_count")
_PROBED = 10
"""After this number of spans in a row without retries, an operation is assumed to have none in this trace.

The limit holds for each trace, not for a table: the number of traces in a table must make no difference.
"""


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
    cost_ns = _between(scene, spans.parents[first], spans.start_ns[first], end_ns) - time_ns // groups.sizes
    path_ns = groups.sum(scene.path_ns[groups.rows])
    notable = (path_ns >= scene.thresholds.min_cost_ns) & (path_ns > 0)
    cost_ns = np.maximum(cost_ns, 0)
    return scene.seen("fan-out", groups.keep(notable), cost_ns[notable], time_ns[notable])


def retries(scene: Scene) -> Sightings:
    """Find calls that were tried again: failed siblings like the next one, and spans that record retries.

    Attempts are siblings of one service and name that do not overlap, of which all but the last failed. The cost is the
    path time from the start of the first to the start of the last. For spans without attempts below them that hold the
    path long enough, events (`retry_N`) and attributes (`retry_count`) are read; for each operation in a trace in order
    of path time, the longest first, until ten in a row have none.
    """
    attempts = _attempts(scene)
    first = attempts.rows[attempts.heads]
    last = attempts.rows[attempts.offsets[1:] - 1]
    parents = scene.spans.parents[first]
    tried = Sightings(
        "retries",
        first,
        _between(scene, parents, scene.spans.start_ns[first], scene.spans.start_ns[last]),
        scene.spans.start_ns[last] - scene.spans.start_ns[first],
        attempts.rows,
        attempts.offsets,
    )
    return _both(tried, _told(scene, parents))


def _attempts(scene: Scene) -> Groups:
    spans = scene.spans
    failed = (spans.statuses == Status.ERROR) & scene.is_asked & (spans.parents >= 0)
    has_failed = np.zeros(spans.parents.size, dtype=np.bool_)
    has_failed[spans.parents[failed]] = True
    rows = np.flatnonzero(has_failed[spans.parents] & (spans.parents >= 0) & scene.is_asked)
    groups = scene.group(rows, (spans.parents[rows], spans.services[rows], spans.names[rows]))
    groups = groups.keep(groups.sizes > scene.thresholds.retries)
    is_last = np.zeros(groups.rows.size, dtype=np.bool_)
    is_last[groups.offsets[1:] - 1] = True
    is_first = np.zeros(groups.rows.size, dtype=np.bool_)
    is_first[groups.heads] = True
    fits = (scene.follows(groups) | is_first) & (failed[groups.rows] | is_last)
    return groups.keep(groups.sum((~fits).astype(np.int64)) == 0)


def _between(scene: Scene, holders: Ints, start_ns: Ints, end_ns: Ints) -> Ints:
    """Measure how much of an interval within spans is on the path, as far as the span itself is on it."""
    paths = scene.examined.paths
    low_ns = np.maximum(start_ns, paths.low_ns[holders])
    high_ns = np.minimum(end_ns, paths.high_ns[holders])
    return np.where(paths.on_path[holders], np.maximum(high_ns - low_ns, 0), 0)


def _told(scene: Scene, known: Ints) -> Sightings:
    """Find spans whose events or attributes record retries; `known` ones have spans for their attempts."""
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("retries")
    own_ns = scene.examined.paths.own_ns
    waits = scene.is_asked & (own_ns >= max(1, scene.thresholds.min_cost_ns))
    waits[known] = False
    rows, ends_ns = _probe(scene, np.flatnonzero(waits))
    start_ns = spans.start_ns[rows]
    cost_ns = _between(scene, rows, start_ns, ends_ns)
    kept = cost_ns >= scene.thresholds.min_cost_ns
    time_ns = (ends_ns - start_ns)[kept]
    rows = rows[kept]
    return Sightings("retries", rows, cost_ns[kept], time_ns, rows, np.arange(rows.size + 1, dtype=np.int64))


def _probe(scene: Scene, rows: Ints) -> tuple[Ints, Ints]:
    """Read the candidates of each operation in a trace, those that hold the path longest first.

    Returns:
        Rows of spans that record retries, and the start of the last one in ns since the epoch, clocks corrected.
    """
    spans = scene.spans
    own_ns = scene.examined.paths.own_ns[rows]
    order = np.lexsort((rows, -own_ns, spans.names[rows], spans.services[rows], spans.trace[rows]))
    found, ends_ns = [], []
    operation, silent = (-1, -1, -1), 0
    asked = rows[order]
    codes = (asked, spans.trace[asked], spans.services[asked], spans.names[asked])
    for row, *place in zip(*(column.tolist() for column in codes), strict=True):
        if tuple(place) != operation:
            operation, silent = tuple(place), 0
        if silent >= _PROBED:
            continue
        end_ns = _last_retry_ns(scene, row)
        silent = silent + 1 if end_ns is None else 0
        if end_ns is not None:
            found.append(row)
            ends_ns.append(end_ns)
    return np.array(found, dtype=np.int64), np.array(ends_ns, dtype=np.int64)


def _last_retry_ns(scene: Scene, row: int) -> int | None:
    """Give the start of the last retry in a span, or the span's end where only a number is given; None for too few."""
    details = scene.spans.traces.span(row).details
    times = [event.time_ns for event in details.events() if _RETRY_EVENT.fullmatch(event.name)]
    if len(times) >= scene.thresholds.retries:
        # Events have times of the host's own clock.
        return max(times) + int(scene.examined.skew.shift_ns[row])
    attributes = details.attributes()
    counts = [value_text(attributes.get(key)) for key in _COUNTS]
    told = max((int(text) for text in counts if text.isascii() and text.isdigit()), default=0)
    return int(scene.spans.end_ns[row]) if told >= scene.thresholds.retries else None


def _both(one: Sightings, other: Sightings) -> Sightings:
    return Sightings(
        "retries",
        np.concatenate((one.rows, other.rows)),
        np.concatenate((one.cost_ns, other.cost_ns)),
        np.concatenate((one.time_ns, other.time_ns)),
        np.concatenate((one.members, other.members)),
        np.append(one.offsets[:-1], one.members.size + other.offsets),
    )


def superseded(scene: Scene, found: Sightings) -> Flags:
    """Tell the failed attempts that were followed by another one."""
    retried = np.zeros(scene.spans.parents.size, dtype=np.bool_)
    retried[found.members] = True
    retried[found.members[found.offsets[1:] - 1]] = False
    return retried


def holders(scene: Scene, found: Sightings) -> Flags:
    """Tell the spans in which something was tried again: the time between attempts is accounted for."""
    holds = np.zeros(scene.spans.parents.size, dtype=np.bool_)
    parents = scene.spans.parents[found.rows]
    holds[parents[parents >= 0]] = True
    holds[found.rows] = True
    return holds
