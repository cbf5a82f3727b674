"""What failed, and what is wrong with the traces themselves."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags
from traceq.analysis.errors import find_origins
from traceq.analysis.findings.sightings import Scene, Sightings, single
from traceq.analysis.rejoining import find_fragments
from traceq.semantics import Kind


def error_origins(scene: Scene, retried: Flags) -> Sightings:
    """Find where errors begin: failed spans without a failed child; each costs what it holds of the path.

    Args:
        scene: What to look at.
        retried: Failed attempts that another one came after; they are told as retries.
    """
    rows = np.flatnonzero(find_origins(scene.recorded) & scene.is_asked & ~retried)
    return single("error", rows, scene.path_ns[rows], scene.spans.duration_ns[rows])


def skewed_clocks(scene: Scene) -> Sightings:
    """Find calls that were moved because they lie far outside of their callers.

    Far enough are those that begin that much before their caller, or end that much after it.
    """
    recorded, shift_ns = scene.recorded, scene.examined.skew.shift_ns
    parents = recorded.parents
    is_head = (parents >= 0) & (shift_ns != shift_ns[parents]) & scene.is_asked
    rows = np.flatnonzero(is_head)
    early_ns = recorded.start_ns[parents[rows]] - recorded.start_ns[rows]
    late_ns = recorded.end_ns[rows] - recorded.end_ns[parents[rows]]
    outside_ns = np.maximum(early_ns, np.where(recorded.roles[rows] == Kind.SERVER, late_ns, 0))
    rows = rows[outside_ns >= max(1, scene.thresholds.skew_ns)]
    moved_ns = np.abs(shift_ns[rows] - shift_ns[parents[rows]])
    return single("clock-skew", rows, np.zeros(rows.size, dtype=np.int64), moved_ns)


def incomplete_traces(scene: Scene) -> Sightings:
    """Find missing parents in traces that hold a request in question, each named after the first of its children.

    A request of which only fragments are left is in question too.
    """
    spans = scene.spans
    has_request = np.zeros(len(spans.traces), dtype=np.bool_)
    has_request[spans.trace[scene.examined.requests.tops]] = True
    fragments = find_fragments(spans)
    kept = has_request[spans.trace[fragments.rows]]
    missed = scene.group(fragments.rows[kept], (fragments.number[kept],))
    nothing = np.zeros(missed.sizes.size, dtype=np.int64)
    return scene.seen("incomplete-trace", missed, nothing, missed.max(spans.duration_ns[missed.rows]))
