"""Calls that were tried again."""

from __future__ import annotations

import re

import numpy as np

from traceq.analysis.columns import Flags, Ints
from traceq.analysis.findings.sightings import Groups, Scene, Sightings, none_seen
from traceq.semantics import Status, value_text

_RETRY_EVENT = re.compile(r"(?i)(?:.*[ ._-])?(?:retry|retrying|retried)(?:[ ._-]?(?:\d+|attempt))?")
"""`retry`, `retry_3`, `http.retry`, `Retrying`; not `retry_policy_loaded`."""
_COUNTS = ("retry_count", "http.request.resend_count", "http.resend_count")
_PROBED = 10
"""After this number of spans in a row without retries, an operation is assumed to have none in this trace.

The limit holds for each trace, not for a table: the number of traces in a table must make no difference.
"""


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
