"""Waiting: for the network to a server, for uninstrumented code, in a queue, for one long query."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags
from traceq.analysis.critical_path import segments
from traceq.analysis.findings.sightings import Scene, Sightings, single
from traceq.semantics import Kind


def slow_queries(scene: Scene) -> Sightings:
    """Find single queries that take long and are waited for; the cost of each is its path time."""
    spans = scene.spans
    has_query = np.zeros(spans.parents.size, dtype=np.bool_)
    has_query[spans.parents[np.flatnonzero(scene.is_query & (spans.parents >= 0))]] = True
    # A driver's span below an ORM's is the same query.
    is_slow = scene.is_query & ~has_query & (spans.duration_ns >= scene.thresholds.slow_query_ns)
    rows = np.flatnonzero(is_slow & scene.is_asked)
    rows = rows[scene.is_notable(rows, scene.path_ns[rows])]
    return single("slow-query", rows, scene.path_ns[rows], spans.duration_ns[rows])


def network_times(scene: Scene) -> Sightings:
    """Find calls that lose time between client and server: network, queue, connection pool, a busy event loop.

    Each is named after the server's span, and measured as in the ranking of bottlenecks: it is the own critical time of
    the client's span.
    """
    network_ns = scene.examined.network_ns
    rows = np.flatnonzero((network_ns >= max(1, scene.thresholds.network_ns)) & scene.is_asked)
    rows = rows[scene.is_notable(rows, network_ns[rows])]
    return single("network", rows, network_ns[rows], network_ns[rows])


def gaps(scene: Scene, explained: Flags) -> Sightings:
    """Find spans that hold the path long before, between or after their calls, without anything recorded there.

    Spans that wait for others (CLIENT, PRODUCER, queries) do not count, nor do streams, which are silent by nature, nor
    traces with missing spans, since these may have filled the gap.

    Args:
        scene: What to look at.
        explained: Spans in which something was tried again: the reason for their pauses is known.
    """
    spans = scene.spans
    found = segments(scene.examined.paths)
    is_open = scene.is_asked & ~explained & ~scene.is_call & (spans.roles != Kind.PRODUCER)
    is_open &= ~(_misses_spans(scene)[spans.trace] | scene.examined.requests.streams)
    length_ns = found.end_ns - found.start_ns
    is_gap = is_open[found.rows] & _gives_on(scene)[found.rows] & (length_ns >= max(1, scene.thresholds.gap_ns))
    gap_ns = np.zeros(spans.parents.size, dtype=np.int64)
    np.add.at(gap_ns, found.rows[is_gap], length_ns[is_gap])
    # Where something ran that nobody waited for, there is no gap.
    gap_ns = np.minimum(gap_ns, scene.examined.self_ns)
    rows = np.flatnonzero(gap_ns)
    rows = rows[scene.is_notable(rows, gap_ns[rows])]
    return single("gap", rows, gap_ns[rows], gap_ns[rows])


def _gives_on(scene: Scene) -> Flags:
    """Tell the spans whose calls are on the path; in other spans, path time is their work and not a gap in it."""
    given = scene.spans.parents[scene.examined.paths.on_path & (scene.spans.parents >= 0)]
    gives_on = np.zeros(scene.spans.parents.size, dtype=np.bool_)
    gives_on[given] = True
    return gives_on


def _misses_spans(scene: Scene) -> Flags:
    """Tell for each trace whether some parent is missing."""
    misses = np.zeros(len(scene.spans.traces), dtype=np.bool_)
    misses[scene.spans.trace[list(scene.spans.traces.missing_parents)]] = True
    return misses


def queue_delays(scene: Scene) -> Sightings:
    """Find messages that wait in a queue: from the end of sending to the start of processing.

    Nobody on the path waits for them, so they have no cost; they show how late the effect comes.
    """
    spans, parents = scene.spans, scene.recorded.parents
    is_received = (parents >= 0) & (spans.roles == Kind.CONSUMER) & (spans.roles[parents] == Kind.PRODUCER)
    rows = np.flatnonzero(is_received & scene.is_asked)
    delay_ns = spans.start_ns[rows] - spans.end_ns[parents[rows]]
    is_late = delay_ns >= max(1, scene.thresholds.queue_delay_ns)
    rows, delay_ns = rows[is_late], delay_ns[is_late]
    return single("queue-delay", rows, np.zeros(rows.size, dtype=np.int64), delay_ns)
