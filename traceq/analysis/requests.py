"""Requests: the entry spans of a service, and everything below them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints, columns
from traceq.analysis.expressions import meanings
from traceq.analysis.learning import learned_of
from traceq.analysis.rejoining import find_fragments, rejoin
from traceq.analysis.set_apart import LooseEnds, SetApart
from traceq.analysis.skew import corrected
from traceq.analysis.streams import find_streams
from traceq.analysis.tree import find_roots
from traceq.learned import NOTHING_KNOWN
from traceq.traces import Traces

STREAM_RATIO = 0.9
"""A request that spends this share of its time on a stream is a stream too."""

Measure: TypeAlias = Literal["critical-time", "self-time", "duration"]
"""What spans are ranked by."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Which requests to analyse, and how."""

    service: str | None = None
    """The service that served the requests; None for every root."""
    whole_trace: bool = False
    """Whether to start at the traces' roots instead of the service's entry spans."""
    measure: Measure = "critical-time"
    """What spans are ranked by."""
    correct_skew: bool = True
    include_streams: bool = False
    """Whether connections that stay open count as requests."""
    without_operations: tuple[str, ...] = ()
    """Operations, or `service:operation`, whose requests are left out."""
    with_fragments: bool = False
    """Whether fragments, whose parent is missing, count as requests too, as they do when one trace is drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The requests in a span table, each the subtree under its entry span."""

    spans: Columns
    """The table with every entry span made a root."""
    whole: Columns
    """The table with fragments rejoined and all parents kept."""
    entries: Ints
    """Rows of the entry spans, in input order. Their durations are the requests' latencies."""
    entry: Ints
    """For each span the row of its request's entry span; -1 for a span that belongs to no request."""
    tops: Flags
    """For each span whether a request begins with it, or something that is set apart."""
    streams: Flags
    """For each span whether it is a connection that stays open; see `streams.find_streams`."""
    set_apart: SetApart
    """What looks like requests and is not counted as such."""


def find_requests(spans: Columns, options: RequestOptions) -> Requests:
    """Find the requests that a service served.

    An entry span is the topmost span of the service on its branch: no span of the service is above it. Calls back into
    the service further down belong to the request they serve. Subtrees of entries are disjoint. Without a service every
    root is an entry.

    A span whose parent is missing is first put where it belongs, as far as other traces show that. It is an entry only
    where it is known to be the first span of a request; other spans with missing parents are set apart, because they do
    not show how long their request took.

    A connection that stays open is not a request, nor is a span that spends all but a tenth of its time on one.

    Args:
        spans: Any table, clocks corrected.
        options: Which requests to find.
    """
    fragments = find_fragments(spans)
    lineage = learned_of(spans).lineage if fragments.count else NOTHING_KNOWN
    whole = rejoin(spans, fragments, lineage)
    tops = _find_tops(whole, options)
    cut = whole.with_parents(np.where(tops, -1, whole.parents))
    top = find_roots(cut.parents)
    is_entry, set_apart = tops.copy(), SetApart()
    if fragments.count and not options.with_fragments:
        loose = LooseEnds(whole, fragments, lineage, tops, None if options.whole_trace else options.service)
        is_entry = loose.without(tops)
        set_apart = loose.count(is_entry, top)
    unwanted = is_entry & _is_named(whole, options.without_operations)
    streams = find_streams(cut)
    is_stream = is_entry & ~unwanted & _lasts_as_long(cut, top, streams)
    if options.include_streams:
        is_stream[:] = False
    set_apart += SetApart.of_entries(unwanted, is_stream, top)
    is_entry &= ~(unwanted | is_stream)
    entries, entry = np.flatnonzero(is_entry), np.where(is_entry[top], top, -1)
    return Requests(cut, whole, entries, entry, tops, streams, set_apart)


def requests_of(traces: Traces, options: RequestOptions) -> Requests:
    """Find the requests of a table where clocks matter only for rejoining fragments."""
    spans = columns(traces)
    if traces.missing_parents:
        spans, _ = corrected(spans, correct_skew=options.correct_skew)
    return find_requests(spans, options)


def _find_tops(spans: Columns, options: RequestOptions) -> Flags:
    """Tell the spans with which requests begin, if they are requests."""
    if options.service is None:
        return spans.parents < 0
    mine = _is_of(spans, options.service)
    return _roots_above(spans, mine) if options.whole_trace else _topmost(spans.parents, mine)


def _is_named(spans: Columns, operations: tuple[str, ...]) -> Flags:
    """Tell the spans of operations, each named by itself or as `service:operation`."""
    found = np.zeros(spans.parents.size, dtype=np.bool_)
    for text in operations:
        by_name, by_both, *_ = meanings(spans, text)
        found |= by_name | by_both
    return found


def _lasts_as_long(spans: Columns, top: Ints, streams: Flags) -> Flags:
    """Tell the tops that are streams, or lie around one for nearly all of their time: a client of it, a gateway."""
    rows = np.flatnonzero(streams)
    rows = rows[spans.duration_ns[rows] >= STREAM_RATIO * spans.duration_ns[top[rows]]]
    found = np.zeros(spans.parents.size, dtype=np.bool_)
    found[top[rows]] = True
    return found


def _is_of(spans: Columns, service: str) -> Flags:
    known = spans.traces.services
    is_of: Flags = spans.services == (known.index(service) if service in known else -1)
    return is_of


def _topmost(parents: Ints, mine: Flags) -> Flags:
    nearest = find_roots(np.where(mine, -1, parents))
    inner = np.flatnonzero(mine & (parents >= 0))
    topmost = mine.copy()
    topmost[inner] = ~mine[nearest[parents[inner]]]
    return topmost


def _roots_above(spans: Columns, mine: Flags) -> Flags:
    taking_part = np.zeros(spans.parents.size, dtype=np.bool_)
    taking_part[find_roots(spans.parents)[mine]] = True
    return taking_part
