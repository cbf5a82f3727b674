"""Alike calls: many of one span, and statements that one request runs several times."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen
from traceq.semantics import STATEMENT, Kind, first_text

_IN_TURN_RATIO = 0.8
"""The share of alike calls that have to begin after the previous one has ended; others may overlap by a clock tick."""


def n_plus_one(scene: Scene) -> Sightings:
    """Find many alike, sequential calls of one span.

    Siblings are alike when service, name, kind, peer and callee are equal; so are the calls of alike siblings, where
    each call is made in a function with its own span. The cost is the path time of all calls but the longest, since one
    call is needed in any case.
    """
    direct = _in_turn(scene, _calls(scene), scene.spans.parents)
    return _seen(scene, _joined(direct, _in_turn(scene, _wrapped(scene, direct), _grandparents(scene))))


def _calls(scene: Scene) -> Ints:
    return np.flatnonzero(scene.is_call & scene.is_asked & (scene.spans.parents >= 0))


def _grandparents(scene: Scene) -> Ints:
    parents = scene.spans.parents
    return np.where(parents >= 0, parents[parents], -1)


def _wrapped(scene: Scene, direct: Groups) -> Ints:
    """List calls that are the only work of an INTERNAL span and were not found already."""
    spans = scene.spans
    parents = spans.parents
    wraps = spans.roles == Kind.INTERNAL
    is_wrapped = scene.is_call & scene.is_asked & wraps[parents] & (_grandparents(scene) >= 0) & (parents >= 0)
    is_wrapped[direct.rows] = False
    return np.flatnonzero(is_wrapped)


def _in_turn(scene: Scene, rows: Ints, above: Ints) -> Groups:
    """Group alike calls below the same span, and keep the long runs."""
    spans, least = scene.spans, scene.thresholds.n_plus_one_calls
    # Most spans make few calls: counting first saves sorting these.
    rows = rows[np.bincount(above[rows], minlength=1)[above[rows]] >= least]
    parents = spans.parents[rows]
    wrappers = np.where(parents == above[rows], -1, spans.names[parents])
    alike = (spans.services, spans.names, spans.told_roles, spans.peers, scene.callee_names)
    groups = scene.group(rows, (above[rows], wrappers, *(codes[rows] for codes in alike)))
    groups = groups.keep(groups.sizes >= least)
    in_turn = groups.sum(scene.follows(groups).astype(np.int64))
    return groups.keep(in_turn >= _IN_TURN_RATIO * (groups.sizes - 1))


def _joined(one: Groups, other: Groups) -> Groups:
    return Groups(np.concatenate((one.rows, other.rows)), np.append(one.heads, one.rows.size + other.offsets))


def _seen(scene: Scene, groups: Groups) -> Sightings:
    path_ns = scene.path_ns[groups.rows]
    cost_ns = groups.sum(path_ns) - groups.max(path_ns)
    notable = (cost_ns >= scene.thresholds.min_cost_ns) & (cost_ns > 0)
    time_ns = groups.sum(scene.spans.duration_ns[groups.rows])
    return scene.seen("n+1", groups.keep(notable), cost_ns[notable], time_ns[notable])


def repeated_queries(scene: Scene, known: Sightings) -> Sightings:
    """Find statements that one request runs several times, anywhere in it, in parallel or not.

    Args:
        scene: What to look at.
        known: The N+1 queries, which are not told twice.
    """
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("repeated-query")
    is_candidate = scene.is_query & scene.is_asked
    is_candidate[known.members] = False
    rows = np.flatnonzero(is_candidate)
    entry = scene.examined.requests.entry[rows]
    alike = scene.group(rows, (entry, spans.services[rows], spans.names[rows], spans.peers[rows]))
    alike = alike.keep(_repeats_enough(scene, alike))
    statements = _statement_codes(scene, alike.rows)
    same = scene.group(alike.rows, (alike.number, statements))
    same = same.keep(_repeats_enough(scene, same) & (_of_groups(same, alike, statements) >= 0))
    path_ns = scene.path_ns[same.rows]
    time_ns = same.sum(spans.duration_ns[same.rows])
    return scene.seen("repeated-query", same, same.sum(path_ns) - same.max(path_ns), time_ns)


def _repeats_enough(scene: Scene, groups: Groups) -> Flags:
    path_ns = scene.path_ns[groups.rows]
    cost_ns = groups.sum(path_ns) - groups.max(path_ns)
    enough: Flags = groups.sizes >= scene.thresholds.repeated_queries
    return enough & (cost_ns >= scene.thresholds.min_cost_ns) & (cost_ns > 0)


def _statement_codes(scene: Scene, rows: Ints) -> Ints:
    """Number the statements of candidates; -1 for a span without one."""
    codes: dict[str, int] = {"": -1}
    traces = scene.spans.traces
    texts = (first_text(traces.span(row).details.attributes(), STATEMENT) for row in rows.tolist())
    return np.fromiter((codes.setdefault(text, len(codes)) for text in texts), dtype=np.int64, count=rows.size)


def _of_groups(groups: Groups, candidates: Groups, statements: Ints) -> Ints:
    """Give the statement's number of each group."""
    by_row = dict(zip(candidates.rows.tolist(), statements.tolist(), strict=True))
    return np.array([by_row[row] for row in groups.rows[groups.heads].tolist()], dtype=np.int64)
