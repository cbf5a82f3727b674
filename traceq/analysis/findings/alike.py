"""Alike calls: many of one span, loops of several of these, and statements that one request runs several times."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen
from traceq.analysis.grouping import TimeKeys
from traceq.analysis.wording import NOTHING_SAID, Wording, may_page, names_what_it_asks, of_statement, of_url
from traceq.semantics import PEER_HOST, STATEMENT, URL, Kind, first_text

_IN_TURN_RATIO = 0.8
"""The share of alike calls that have to begin after the previous one has ended; others may overlap by a clock tick."""
_BUSY_RATIO = 0.5
"""Alike calls that hold less than this share of the time from the first to the last are paced: polling, a sleep."""
_SAME_BUSY_RATIO = 0.8
"""The same for calls that ask for exactly the same: the usual reason for these is polling."""


class Said(NamedTuple):
    """What is recorded of what a call asks for."""

    text: str
    wording: Wording
    host: str
    """The host that was asked; read for queries."""


def n_plus_one(scene: Scene, again: Flags) -> Sightings:
    """Find many alike calls of one span, in turn, or queries side by side.

    Siblings are alike when service, operation, kind, peer, callee and, without values, statement or URL are equal; so
    are the calls of alike siblings, where each call is made in a function with its own span. The cost is the path time
    of all calls but the longest, since one call is needed in any case.

    Args:
        scene: What to look at.
        again: Failed attempts that were followed by another one: they ask for nothing else.
    """
    calls = scene.is_call & scene.is_asked & (scene.spans.parents >= 0) & ~again
    direct, own = _many(scene, np.flatnonzero(calls), scene.spans.parents)
    wrapped, inner = _many(scene, _wrapped(scene, calls, direct), _grandparents(scene))
    return _seen(scene, _joined(direct, wrapped), np.concatenate((own, inner)))


def _grandparents(scene: Scene) -> Ints:
    parents = scene.spans.parents
    return np.where(parents >= 0, parents[parents], -1)


def _wrapped(scene: Scene, calls: Flags, direct: Groups) -> Ints:
    """List calls that are the only work of an INTERNAL span and were not found already."""
    wraps = scene.spans.roles == Kind.INTERNAL
    is_wrapped = calls & wraps[scene.spans.parents] & (_grandparents(scene) >= 0)
    is_wrapped[direct.rows] = False
    return np.flatnonzero(is_wrapped)


def _many(scene: Scene, rows: Ints, above: Ints) -> tuple[Groups, Flags]:
    """Group alike calls below the same span, keep what is an N+1, and tell which groups ran side by side."""
    spans, least = scene.spans, scene.thresholds.n_plus_one_calls
    # Most spans make few calls: counting first saves sorting these.
    rows = rows[np.bincount(above[rows], minlength=1)[above[rows]] >= least]
    idle_ns = _idle_ns(scene, rows, above[rows])
    parents, operations = spans.parents[rows], scene.operations
    wrappers = np.where(parents == above[rows], -1, operations[parents])
    callees = np.where(scene.callees >= 0, operations[scene.callees], -1)
    alike = (spans.services, operations, spans.told_roles, spans.peers, callees)
    groups = scene.group(rows, (above[rows], wrappers, *(codes[rows] for codes in alike)))
    groups = groups.keep((groups.sizes >= least) & (groups.sum(spans.duration_ns[groups.rows]) >= _worth(scene)))
    groups, texts = _same_wording(scene, groups, least)
    in_turn = groups.sum(scene.follows(groups).astype(np.int64)) >= _IN_TURN_RATIO * (groups.sizes - 1)
    fits = [
        _is_n_plus_one(scene, groups.rows[start:stop], texts[start:stop], idle_ns if is_in_turn else None)
        for start, stop, is_in_turn in zip(
            groups.heads.tolist(), groups.offsets[1:].tolist(), in_turn.tolist(), strict=True
        )
    ]
    fitting = np.array(fits, dtype=np.bool_)
    return groups.keep(fitting), ~in_turn[fitting]


def _worth(scene: Scene) -> int:
    return max(1, scene.thresholds.min_cost_ns)


def _same_wording(scene: Scene, groups: Groups, least: int) -> tuple[Groups, list[Said]]:
    """Divide groups by what their calls ask for, and keep those that are still large enough."""
    texts = {row: said(scene, row) for row in groups.rows.tolist()}
    numbers: dict[str, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(told.wording.alike, len(numbers)) for told in texts.values()),
        dtype=np.int64,
        count=groups.rows.size,
    )
    same = scene.group(groups.rows, (groups.number, codes))
    same = same.keep(same.sizes >= least)
    return same, [texts[row] for row in same.rows.tolist()]


def said(scene: Scene, row: int) -> Said:
    """Read statement or URL of a call; some instrumentation records the URL only where it is served."""
    traces = scene.spans.traces
    if traces.details is None:
        return Said("", NOTHING_SAID, "")
    attributes = traces.details[row].attributes()
    if scene.is_query[row]:
        text = first_text(attributes, STATEMENT)
        return Said(text, of_statement(text), first_text(attributes, PEER_HOST))
    text = first_text(attributes, URL)
    callee = int(scene.callees[row])
    if not text and callee >= 0:
        text = first_text(traces.details[callee].attributes(), URL)
    return Said(text, of_url(text), "")


def _is_n_plus_one(scene: Scene, rows: Ints, texts: list[Said], idle_ns: Ints | None) -> bool:
    """Tell whether alike calls of one span could have been one call, as far as is recorded.

    `idle_ns` is None for calls side by side.
    """
    wording, is_query = texts[0].wording, bool(scene.is_query[rows[0]])
    is_same = not wording.is_open and len({told.text for told in texts}) == 1
    if wording.pages or wording.controls:
        return False
    if idle_ns is None:
        # Calls of services side by side are how answers are gathered, and so are queries of many shards.
        shards = {told.host for told in texts}
        return is_query and bool(wording.alike) and 2 * len(shards) <= len(texts)
    if _is_paced(scene, rows, idle_ns, _SAME_BUSY_RATIO if is_same else _BUSY_RATIO):
        return False
    return bool(wording.alike) or _is_told_by_name(scene, int(rows[0]))


def _is_told_by_name(scene: Scene, row: int) -> bool:
    """Tell whether the names of a call without statement and URL say that its like ask for alike things."""
    spans, traces = scene.spans, scene.spans.traces
    peer = traces.peers[spans.peers[row]]
    general = f"{traces.services[spans.services[row]]} {'' if peer is None else peer.label}"
    names = [traces.names[spans.names[at]] for at in (row, int(scene.callees[row])) if at >= 0]
    return any(names_what_it_asks(name, general) for name in names) and not may_page(names[-1])


def _idle_ns(scene: Scene, rows: Ints, above: Ints) -> Ints:
    """Give for each of these calls how long none of those of the same span was running until it began.

    The difference between two calls of one span is what the span did not spend on calls between them. The array has an
    entry for each span; `above` has one for each of the rows.
    """
    spans = scene.spans
    idle_ns = np.zeros(spans.parents.size, dtype=np.int64)
    keys = TimeKeys(spans.parents.size, spans.start_ns[rows], spans.end_ns[rows])
    begins = keys.key(above, spans.start_ns[rows])
    order = np.lexsort((rows, begins))
    # The key contains the span above, so the running maximum of ends begins anew with each one.
    reached = np.maximum.accumulate(keys.key(above, spans.end_ns[rows])[order][:-1])
    pauses_ns = keys.time(begins[order][1:]) - keys.time(reached)
    is_next = np.diff(above[order]) == 0
    idle_ns[rows[order[1:]]] = np.cumsum(np.where(is_next, np.maximum(pauses_ns, 0), 0))
    return idle_ns


def _is_paced(scene: Scene, rows: Ints, idle_ns: Ints, busy_ratio: float) -> bool:
    """Tell whether the pauses between calls of one span are their reason: polling, or a loop with a sleep.

    Time in which the span makes other calls is no pause.
    """
    pauses_ns = np.sort(np.diff(idle_ns[rows]))
    # Work between calls that is short does not keep them apart.
    is_apart = pauses_ns[pauses_ns.size // 2] > scene.thresholds.sequential_gap_ns
    lasted_ns = scene.spans.end_ns[rows].max() - scene.spans.start_ns[rows[0]]
    return bool(is_apart and lasted_ns - pauses_ns.sum() < busy_ratio * lasted_ns)


def _joined(one: Groups, other: Groups) -> Groups:
    return Groups(np.concatenate((one.rows, other.rows)), np.append(one.heads, one.rows.size + other.offsets))


def _seen(scene: Scene, groups: Groups, side_by_side: Flags) -> Sightings:
    path_ns = scene.path_ns[groups.rows]
    waited_ns = groups.sum(path_ns)
    cost_ns = waited_ns - groups.max(path_ns)
    # Side by side, all of them take hardly longer than one, but each of them is work for the database.
    notable = np.where(side_by_side, waited_ns, cost_ns) >= _worth(scene)
    time_ns = groups.sum(scene.spans.duration_ns[groups.rows])
    found = scene.seen("n+1", groups.keep(notable), cost_ns[notable], time_ns[notable])
    return found.flagged(side_by_side[notable])


def repeated_queries(scene: Scene, known: Sightings, again: Flags) -> Sightings:
    """Find alike statements that one request runs several times, anywhere in it, in parallel or not.

    Args:
        scene: What to look at.
        known: The N+1 queries, which are not told twice.
        again: Failed attempts that were followed by another one.
    """
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("repeated-query")
    is_candidate = scene.is_query & scene.is_asked & ~again
    is_candidate[known.members] = False
    rows = np.flatnonzero(is_candidate)
    entry = scene.examined.requests.entry[rows]
    groups = scene.group(rows, (entry, spans.services[rows], scene.operations[rows], spans.peers[rows]))
    groups = groups.keep(_repeats_enough(scene, groups))
    groups, texts = _same_wording(scene, groups, scene.thresholds.repeated_queries)
    told = [texts[head].wording for head in groups.heads.tolist()]
    fits = [bool(wording.alike) and not (wording.pages or wording.controls) for wording in told]
    groups = groups.keep(np.array(fits, dtype=np.bool_) & _repeats_enough(scene, groups) & ~_polls(scene, groups))
    path_ns = scene.path_ns[groups.rows]
    time_ns = groups.sum(spans.duration_ns[groups.rows])
    return scene.seen("repeated-query", groups, groups.sum(path_ns) - groups.max(path_ns), time_ns)


def _repeats_enough(scene: Scene, groups: Groups) -> Flags:
    path_ns = scene.path_ns[groups.rows]
    cost_ns = groups.sum(path_ns) - groups.max(path_ns)
    enough: Flags = groups.sizes >= scene.thresholds.repeated_queries
    return enough & (cost_ns >= _worth(scene))


def _polls(scene: Scene, groups: Groups) -> Flags:
    """Tell the groups that are calls of one span with pauses between them."""
    parents = scene.spans.parents[groups.rows]
    is_one = groups.max(parents) == -groups.max(-parents)
    bounds = zip(groups.heads.tolist(), groups.offsets[1:].tolist(), is_one.tolist(), strict=True)
    idle_ns = _idle_ns(scene, groups.rows, parents)
    polls = [one and _is_paced(scene, groups.rows[start:stop], idle_ns, _BUSY_RATIO) for start, stop, one in bounds]
    return np.array(polls, dtype=np.bool_)


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
    saved = np.zeros(scene.spans.parents.size, dtype=np.int64)
    saved[parts.members] = path_ns
    saved[parts.members[parts.offsets[:-1]]] -= longest_ns
    time_ns = loops.sum(scene.spans.duration_ns[loops.rows])
    return scene.seen("m*n+1", loops, loops.sum(saved[loops.rows]), time_ns)
