"""Findings about single spans and traces: slow queries, lost time, large amounts, errors, clocks, missing parents."""

from __future__ import annotations

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.errors import find_origins
from traceq.analysis.findings.sightings import Scene, Sightings, none_seen, single
from traceq.analysis.grouping import distinct, find_roots, flags_at, sum_by_group
from traceq.analysis.habits import next_below, number_pauses
from traceq.analysis.learning import find_fragments
from traceq.semantics import Kind, Status, largest_number
from traceq.traces import Span
from traceq.units import format_size, plural


def slow_queries(scene: Scene) -> Sightings:
    """Find single queries that take long and are waited for; the cost of each is its path time."""
    spans = scene.spans
    has_query = flags_at(spans.parents[np.flatnonzero(scene.is_query & (spans.parents >= 0))], spans.parents.size)
    # A driver's span below an ORM's is the same query.
    is_slow = scene.is_query & ~has_query & (spans.duration_ns >= scene.thresholds.slow_query_ns)
    rows = np.flatnonzero(is_slow & scene.is_asked)
    rows = rows[scene.is_notable(rows, scene.path_ns[rows])]
    return single("slow-query", rows, scene.path_ns[rows], spans.duration_ns[rows])


def network_times(scene: Scene, large: Sightings) -> Sightings:
    """Find calls that lose time between client and server: network, queue, connection pool, a busy event loop.

    Each is named after the server's span, and measured as in the ranking of bottlenecks: it is the own critical time of
    the client's span.

    Args:
        scene: What to look at.
        large: Calls with large payloads, which are the reason of their time.
    """
    network_ns = scene.examined.network_ns
    rows = np.flatnonzero((network_ns >= max(1, scene.thresholds.network_ns)) & scene.is_asked)
    rows = rows[scene.is_notable(rows, network_ns[rows]) & ~np.isin(scene.spans.parents[rows], large.rows)]
    return single("network", rows, network_ns[rows], network_ns[rows])


def gaps(scene: Scene, explained: Flags) -> Sightings:
    """Find spans that hold the path long before, between or after their calls, without anything recorded there.

    Spans that wait for others (CLIENT, PRODUCER, queries) do not count, nor do streams, which are silent by nature, nor
    traces with missing spans, since these may have filled the gap. Nor does what takes as long as usual, or scatters,
    where that is usually less than the threshold: a caller computes there.

    Args:
        scene: What to look at.
        explained: Spans in which something was tried again: the reason for their pauses is known.
    """
    spans = scene.spans
    found = scene.segments
    is_open = scene.is_asked & ~explained & ~scene.is_call & (spans.roles != Kind.PRODUCER)
    misses_spans = flags_at(spans.trace[list(spans.traces.missing_parents)], len(spans.traces))
    is_open &= ~(misses_spans[spans.trace] | scene.examined.requests.streams)
    length_ns = found.end_ns - found.start_ns
    # Where no call is on the path, path time is the span's work and not a gap in it.
    is_open &= flags_at(spans.parents[scene.examined.paths.on_path & (spans.parents >= 0)], spans.parents.size)
    is_gap = is_open[found.rows] & (length_ns >= max(1, scene.thresholds.gap_ns))
    at = np.flatnonzero(is_gap)
    is_gap[at] = _is_unusual(scene, found.rows[at], found.end_ns[at], length_ns[at])
    gap_ns = sum_by_group(found.rows[is_gap], length_ns[is_gap], spans.parents.size)
    # Where something ran that nobody waited for, there is no gap.
    gap_ns = np.minimum(gap_ns, scene.examined.self_ns)
    rows = np.flatnonzero(gap_ns)
    rows = rows[scene.is_notable(rows, gap_ns[rows])]
    return single("gap", rows, gap_ns[rows], gap_ns[rows])


def _is_unusual(scene: Scene, owners: Ints, ends_ns: Ints, length_ns: Ints) -> Flags:
    """Tell the pauses that are longer than usual at their place, or usually reach the threshold."""
    places, number = number_pauses(scene.spans, owners, next_below(scene.spans, owners, ends_ns))
    bounds_ns = np.full(len(places), scene.thresholds.gap_ns, dtype=np.float64)
    for at in distinct(number).tolist():
        bounds_ns[at] = scene.habits.pauses_at(places[at]).unusual_ns(scene.thresholds.gap_ns)
    unusual: Flags = length_ns >= bounds_ns[number]
    return unusual


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


def error_origins(scene: Scene, retried: Flags) -> Sightings:
    """Find where errors begin: failed spans without a failed child; the cost of each is its path time.

    They are passed on unless a span above did not fail.

    Args:
        scene: What to look at.
        retried: Failed attempts that were followed by another one; they are reported as retries.
    """
    rows = np.flatnonzero(find_origins(scene.recorded) & scene.is_asked & ~retried)
    parents = scene.recorded.parents[rows]
    passed_on = (parents < 0) | (scene.spans.statuses[parents] == Status.ERROR)
    return single("error", rows, scene.path_ns[rows], scene.spans.duration_ns[rows]).flagged(passed_on)


def skewed_clocks(scene: Scene) -> Sightings:
    """Find clocks by which calls were moved because they lay far outside their callers.

    A call counts when it begins before its caller, or ends after it, by at least the threshold. Those between the same
    two hosts (services, where no hosts are told) of a request are one sighting, named after the first.
    """
    recorded, shift_ns = scene.recorded, scene.examined.skew.shift_ns
    parents = recorded.parents
    is_head = (parents >= 0) & (shift_ns != shift_ns[parents]) & scene.is_asked
    rows = np.flatnonzero(is_head)
    early_ns = recorded.start_ns[parents[rows]] - recorded.start_ns[rows]
    late_ns = recorded.end_ns[rows] - recorded.end_ns[parents[rows]]
    outside_ns = np.maximum(early_ns, np.where(recorded.roles[rows] == Kind.SERVER, late_ns, 0))
    rows = rows[outside_ns >= max(1, scene.thresholds.skew_ns)]
    moved_ns = np.abs(shift_ns - np.where(parents >= 0, shift_ns[parents], 0))
    spans, above = scene.spans, parents[rows]
    ends = [codes[each] for codes in (spans.hosts, spans.services) for each in (rows, above)]
    told = (ends[0] > 0) & (ends[1] > 0)
    clocks = [np.where(told, host, -1 - service) for host, service in zip(ends[:2], ends[2:], strict=True)]
    groups = scene.group(rows, (scene.examined.requests.entry[rows], *clocks))
    nothing = np.zeros(groups.sizes.size, dtype=np.int64)
    return scene.seen("clock-skew", groups, nothing, groups.max(moved_ns[groups.rows]))


def incomplete_traces(scene: Scene) -> Sightings:
    """Find missing parents in traces that contain a relevant request, each named after the first of its children.

    A request of which only fragments are left is relevant too.
    """
    spans = scene.spans
    has_request = flags_at(spans.trace[scene.examined.requests.tops], len(spans.traces))
    fragments = find_fragments(spans)
    kept = has_request[spans.trace[fragments.rows]]
    missed = scene.group(fragments.rows[kept], (fragments.number[kept],))
    nothing = np.zeros(missed.sizes.size, dtype=np.int64)
    return scene.seen("incomplete-trace", missed, nothing, missed.max(spans.duration_ns[missed.rows]))


def chatty(scene: Scene, known: tuple[Sightings, ...]) -> Sightings:
    """Find spans that make very many calls, which together take much of the request's latency.

    Calls of functions below the span count too. The cost is the path time of all calls but the longest.

    Args:
        scene: What to look at.
        known: Calls that are told already, since they are alike or could run side by side.
    """
    spans, entry = scene.spans, scene.examined.requests.entry
    calls = scene.is_call & scene.is_asked & (spans.parents >= 0)
    for seen in known:
        calls[seen.members] = False
    rows = np.flatnonzero(calls)
    # A call around another one is the same call, and most requests make few calls.
    rows = rows[~scene.is_call[spans.parents[rows]]]
    rows = rows[np.bincount(entry[rows], minlength=1)[entry[rows]] >= scene.thresholds.chatty_calls]
    if not rows.size:
        return none_seen("chatty")
    holders = find_roots(np.where(spans.roles == Kind.INTERNAL, spans.parents, -1))[spans.parents]
    groups = scene.group(rows, (holders[rows],))
    groups = groups.keep(groups.sizes >= scene.thresholds.chatty_calls)
    path_ns, named = scene.path_ns[groups.rows], holders[groups.rows[groups.heads]]
    waited_ns, time_ns = groups.sum(path_ns), groups.sum(spans.duration_ns[groups.rows])
    cost_ns = waited_ns - groups.max(path_ns)
    wanted = waited_ns >= scene.thresholds.chatty_ratio * scene.latency_ns[named]
    wanted &= cost_ns >= max(1, scene.thresholds.min_cost_ns)
    kept = groups.keep(wanted)
    return Sightings("chatty", named[wanted], cost_ns[wanted], time_ns[wanted], kept.rows, kept.offsets)


_SIZES = (
    "http.request.body.size",
    "http.response.body.size",
    "http.request.size",
    "http.response.size",
    "http.request_content_length",
    "http.response_content_length",
    "http.request_content_length_uncompressed",
    "http.response_content_length_uncompressed",
    "messaging.message.body.size",
    "messaging.message.envelope.size",
    "messaging.message.payload_size_bytes",
    "messaging.message_payload_size_bytes",
    "rpc.request.size",
    "rpc.response.size",
)
_ROWS = ("db.response.returned_rows", "db.rows_returned", "db.row_count")
_RPC_SIZES = ("rpc.message.uncompressed_size", "rpc.message.compressed_size", "message.uncompressed_size")
"""Of events that gRPC instrumentation records for each message."""


def payloads(scene: Scene) -> Sightings:
    """Find calls and messages of a very large size, and queries with very many rows.

    Sizes are read of calls that hold the path themselves for long, and of what the request answers. The cost is the
    time that the call itself holds the path; the request's own answer has none, since nobody in the trace waits for it.
    """
    spans = scene.spans
    if spans.traces.details is None:
        return none_seen("payload")
    carries = scene.is_asked & (scene.is_call | (spans.roles == Kind.PRODUCER))
    own_ns = np.where(carries, scene.examined.paths.own_ns, 0)
    rows = np.flatnonzero(own_ns)
    rows = distinct(np.concatenate((rows[scene.is_notable(rows, own_ns[rows])], scene.examined.requests.entries)))
    bounds = (scene.thresholds.payload_bytes, scene.thresholds.payload_rows)
    large = [row for row in rows.tolist() if any(map(int.__ge__, _amounts(scene, row), bounds))]
    rows = np.array(large, dtype=np.int64)
    return single("payload", rows, own_ns[rows], own_ns[rows])


def _amounts(scene: Scene, row: int) -> tuple[int, int]:
    """Read the largest number of bytes and of rows that a span or, for a call, the span of its callee records."""
    details = scene.spans.traces.details
    byte_count = row_count = 0
    for at in (row, int(scene.callees[row])):
        if details is None or at < 0:
            continue
        attributes = details[at].attributes()
        byte_count = max(byte_count, largest_number(attributes, _SIZES))
        row_count = max(row_count, largest_number(attributes, _ROWS))
        if "rpc.system" in attributes or "rpc.system.name" in attributes:
            sizes = (largest_number(event.attributes, _RPC_SIZES) for event in details[at].events())
            byte_count = max(byte_count, *sizes, 0)
    return byte_count, row_count


def amount_told(scene: Scene, span: Span) -> str:
    """Give the amount that a span records, for people."""
    byte_count, row_count = _amounts(scene, span.row)
    told = [format_size(byte_count)] if byte_count >= scene.thresholds.payload_bytes else []
    return ", ".join([*told, *([plural(row_count, "row")] if row_count >= scene.thresholds.payload_rows else [])])
