"""How much is asked: very many calls, and large messages."""

from __future__ import annotations

import numpy as np

from traceq.analysis.findings.sightings import Scene, Sightings, none_seen, single
from traceq.analysis.tree import find_roots
from traceq.semantics import Attributes, Kind, value_text
from traceq.traces import Span
from traceq.units import format_size, plural


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
    rows = np.union1d(rows[scene.is_notable(rows, own_ns[rows])], scene.examined.requests.entries)
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
        byte_count = max(byte_count, _largest(attributes, _SIZES))
        row_count = max(row_count, _largest(attributes, _ROWS))
        if "rpc.system" in attributes or "rpc.system.name" in attributes:
            sizes = (_largest(event.attributes, _RPC_SIZES) for event in details[at].events())
            byte_count = max(byte_count, *sizes, 0)
    return byte_count, row_count


def _largest(attributes: Attributes, keys: tuple[str, ...]) -> int:
    texts = (value_text(attributes[key]) for key in keys if key in attributes)
    return max((int(text) for text in texts if text.isascii() and text.isdigit()), default=0)


def amount_told(scene: Scene, span: Span) -> str:
    """Give the amount that a span records, for people."""
    byte_count, row_count = _amounts(scene, span.row)
    told = [format_size(byte_count)] if byte_count >= scene.thresholds.payload_bytes else []
    return ", ".join([*told, *([plural(row_count, "row")] if row_count >= scene.thresholds.payload_rows else [])])
