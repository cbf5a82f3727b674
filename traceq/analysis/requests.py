"""Requests: the entry spans of a service, and everything below them; and what looks like requests and is none.

Streams, connections that stay open, are set apart: their duration does not show how long anybody waited for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from msgspec import Struct

from traceq.analysis.columns import Columns, Flags, Ints, columns, meanings
from traceq.analysis.grouping import (
    added,
    distinct,
    find_roots,
    flags_at,
    least_by_group,
    most_by_group,
    moved,
    sum_by_group,
)
from traceq.analysis.learning import Fragments, corrected, find_fragments, learned_of, number_operations, rejoin
from traceq.learned import NOTHING_KNOWN, Lineage, Operation
from traceq.report import Column, Unit
from traceq.semantics import Activity, Kind
from traceq.traces import Traces

LIFETIME_NS = 30 * 10**9
"""The minimum duration of a stream that is recognised by its messages: longer than most servers and clients wait."""
MESSAGES = 5
"""The minimum number of messages of such a stream."""
_PAUSE_NS = 10**9
"""The minimum average time between the starts of its messages: nobody works on an answer meanwhile."""
_BUSY_RATIO = 0.1
"""The maximum share of its time that everything below it takes."""

_MESSAGE = re.compile(r"(?i)(^|[ ._])(send|sent|receive|received|recv|push|event|message|heartbeat|ping)$")
_WEBSOCKET = re.compile(r"(?i)\bwebsocket[ .](send|receive|accept|connect)\b")
_ANSWERED_ONCE = re.compile(r"(?i)^(HTTP )?(POST|PUT|PATCH|DELETE)\b")
"""These methods request one answer, although it may arrive in pieces, as answers of language models do."""


def find_streams(spans: Columns) -> Flags:
    """Tell the spans that are streams: event streams, websockets, conversations of messages.

    They are recognised by attributes (the content type, the upgrade to a websocket), or by the spans below:
    instrumentations of websockets create one for each message. Where messages are sent repeatedly, with long pauses and
    hardly anything else, for longer than a request may take, the span is a stream too. The duration alone decides
    nothing: requests may be slow.
    """
    told = np.asarray(spans.traces.activities, dtype=np.int8) == Activity.STREAMS
    if told.any():
        told &= ~_named(spans, _ANSWERED_ONCE)
    is_stream: Flags = told | _sends_on(spans)
    talks = np.flatnonzero(_named(spans, _WEBSOCKET) & (spans.parents >= 0))
    is_stream[spans.parents[talks]] = True
    return is_stream


def _named(spans: Columns, pattern: re.Pattern[str]) -> Flags:
    by_code = np.array([pattern.search(name) is not None for name in spans.traces.names], dtype=np.bool_)
    named: Flags = by_code[spans.names] if by_code.any() else np.zeros(spans.names.size, dtype=np.bool_)
    return named


def _sends_on(spans: Columns) -> Flags:
    """Tell the long spans that do nothing but send or receive messages from time to time."""
    size = spans.parents.size
    is_long = spans.duration_ns >= LIFETIME_NS
    if not is_long.any():
        return is_long
    is_long &= np.isin(spans.roles, (Kind.SERVER, Kind.CLIENT, Kind.UNSPECIFIED))
    children = np.flatnonzero((spans.parents >= 0) & is_long[spans.parents])
    if not children.size:
        return np.zeros(size, dtype=np.bool_)
    # What is sent to somebody else (a broker, a mail server) is work, not the answer.
    inside = np.isin(spans.roles, (Kind.INTERNAL, Kind.UNSPECIFIED)) & (spans.peers == 0) & _named(spans, _MESSAGE)
    messages = children[inside[children]]
    parents = spans.parents[messages]
    counts = np.bincount(parents, minlength=size)
    first_ns = least_by_group(parents, spans.start_ns[messages], size)
    last_ns = most_by_group(parents, spans.start_ns[messages], size)
    busy_ns = sum_by_group(spans.parents[children], spans.duration_ns[children], size)
    sends_on = (counts >= MESSAGES) & (busy_ns <= _BUSY_RATIO * spans.duration_ns)
    rows = np.flatnonzero(sends_on)
    sends_on[rows] = last_ns[rows] - first_ns[rows] >= _PAUSE_NS * (counts[rows] - 1)
    return sends_on


class SetApart(Struct, frozen=True):
    """What looks like requests and is not counted among them; can be added to others."""

    fragment_count: int = 0
    """The number of fragments: parts of traces whose parents are missing, and that could not be rejoined."""
    fragment_trace_count: int = 0
    """The number of traces with such fragments."""
    fragment_span_count: int = 0
    """The number of spans of all fragments."""
    incomplete_count: int = 0
    """The number of requests of which only fragments are left: they count, but have no latency."""
    stream_count: int = 0
    """The number of connections that stay open."""
    stream_span_count: int = 0
    excluded_count: int = 0
    """The number of requests that were left out because of their operations."""
    excluded_span_count: int = 0

    def __add__(self, other: SetApart) -> SetApart:
        return added(self, other)

    @staticmethod
    def of(by_trace: Ints) -> SetApart:
        """Add up counts of traces: one row for each trace, with the fields of this class."""
        return SetApart(*by_trace.sum(axis=0).tolist())

    @property
    def span_count(self) -> int:
        """The number of spans of everything that is set apart."""
        return self.fragment_span_count + self.stream_span_count + self.excluded_span_count


_Row = TypeVar("_Row")


ASKED_SERVICE: Column[Any] = Column(
    "service", of="options", about="service whose requests these are; null for every root"
)


def set_apart_specs(taken: Callable[[_Row], SetApart], within: str = "") -> tuple[Column[_Row], ...]:
    """Describe the columns of what is set apart, and of incomplete requests.

    Args:
        taken: Takes it from a row.
        within: The object that holds the columns and the number of requests, of which these are some.
    """
    counts: tuple[tuple[str, Callable[[SetApart], int], str], ...] = (
        ("fragment_count", lambda apart: apart.fragment_count, "parts of traces whose parents are missing"),
        ("fragment_trace_count", lambda apart: apart.fragment_trace_count, "the traces that hold them"),
        ("stream_count", lambda apart: apart.stream_count, "connections that stay open"),
        ("excluded_request_count", lambda apart: apart.excluded_count, "requests of operations that are left out"),
        ("span_count", lambda apart: apart.span_count, "spans in all of these"),
    )

    def column(key: str, count: Callable[[SetApart], int], about: str, within: str) -> Column[_Row]:
        return Column(key, unit=Unit.COUNT, value=lambda row: count(taken(row)), about=about, within=within)

    return (
        column(
            "incomplete_request_count",
            lambda apart: apart.incomplete_count,
            "of these, those whose own span is missing: they have no latency",
            within,
        ),
        *(column(*each, f"{within}.set_apart" if within else "set_apart") for each in counts),
    )


class LooseEnds:
    """The topmost spans that name a parent; arrays have one entry for each of them."""

    def __init__(
        self, whole: Columns, fragments: Fragments, lineage: Lineage, tops: Flags, service: str | None
    ) -> None:
        loose = tops[fragments.rows]
        self.rows = fragments.rows[loose]
        self._number = fragments.number[loose]
        self._whole = whole
        operations, numbers = number_operations(whole, self.rows)
        told = [self._begins(each, lineage, service) for each in operations]
        always, if_alone = np.array(told, dtype=np.bool_).reshape(-1, 2).T
        self.is_whole: Flags = always[numbers]
        """Whether the span is nevertheless the first one of a request."""
        if service is None:
            self.is_whole &= ~self._is_in_request()
            self.is_whole |= if_alone[numbers] & self._is_first()

    @staticmethod
    def _begins(operation: Operation, lineage: Lineage, service: str | None) -> tuple[bool, bool]:
        """Tell whether requests begin with an operation, and whether they may do so where nothing else is known.

        An operation that hardly ever has a parent is called by something that sends no spans: a browser, a gateway. A
        service is entered at spans that serve, and at spans that other services call.
        """
        from_outside = lineage.comes_from_outside(operation)
        if service is None:
            return from_outside, not lineage.origins(operation).child_count
        serves = operation.role in (Kind.SERVER, Kind.CONSUMER)
        return serves or from_outside or lineage.is_called_from_elsewhere(operation), False

    def _is_in_request(self) -> Flags:
        """Tell the spans that lie within the time of a complete request of their trace."""
        whole = self._whole
        is_root = whole.parents < 0
        is_root[self.rows] = False
        roots = np.flatnonzero(is_root)
        start_ns = least_by_group(whole.trace[roots], whole.start_ns[roots], len(whole.traces))
        end_ns = most_by_group(whole.trace[roots], whole.end_ns[roots], len(whole.traces))
        traces, starts = whole.trace[self.rows], whole.start_ns[self.rows]
        inside: Flags = (start_ns[traces] <= starts) & (starts <= end_ns[traces])
        return inside

    def _is_first(self) -> Flags:
        """Tell the spans with nothing before them: alone at the top of their trace, or serving, without a root."""
        whole = self._whole
        traces = whole.trace[self.rows]
        top_counts = np.bincount(whole.trace[whole.parents < 0], minlength=len(whole.traces))
        loose_counts = np.bincount(traces, minlength=len(whole.traces))
        serves = np.isin(whole.roles[self.rows], (Kind.SERVER, Kind.CONSUMER))
        first: Flags = (top_counts == loose_counts)[traces] & (serves | (top_counts == 1)[traces])
        return first

    def without(self, tops: Flags) -> Flags:
        """Remove the spans that are not the first ones of a request."""
        entries = tops.copy()
        entries[self.rows[~self.is_whole]] = False
        return entries

    def count(self, entries: Flags, top: Ints) -> Ints:
        """Count by trace what is set apart, and the requests whose entry spans are missing; see `SetApart.of`.

        A fragment that was rejoined below another service has lost the span with which it entered this one. For other
        fragments this is assumed in traces without a complete request.
        """
        apart, size = ~self.is_whole, len(self._whole.traces)
        rows, number = self.rows[apart], self._number[apart]
        trace_of = moved(self._whole.trace[rows], number, int(self._number.max(initial=-1)) + 1)
        traces = self._whole.trace[rows]
        has_entry = flags_at(self._whole.trace[entries], size)
        joined = self._whole.parents[rows] >= 0
        lost = (trace_of[distinct(number[joined])], distinct(traces[~joined & ~has_entry[traces]]))
        is_apart = flags_at(rows, top.size)
        fragments = np.bincount(trace_of[distinct(number)], minlength=size)
        return _by_trace(
            fragment_count=fragments,
            fragment_trace_count=fragments > 0,
            fragment_span_count=np.bincount(self._whole.trace[is_apart[top]], minlength=size),
            incomplete_count=np.bincount(np.concatenate(lost), minlength=size),
        )


def _by_trace(**counts: Ints | Flags) -> Ints:
    """Put counts of traces beside each other, in the order of the fields of `SetApart`."""
    size = next(iter(counts.values())).size
    nothing = np.zeros(size, dtype=np.int64)
    return np.column_stack([counts.get(name, nothing) for name in SetApart.__struct_fields__])


def _count_entries(spans: Columns, unwanted: Flags, streams: Flags, top: Ints) -> Ints:
    """Count by trace the entry spans that are left out, with the spans below them; see `SetApart.of`."""
    counted = (unwanted, unwanted[top], streams, streams[top])
    names = ("excluded_count", "excluded_span_count", "stream_count", "stream_span_count")
    size = len(spans.traces)
    counts = (np.bincount(spans.trace[flags], minlength=size) for flags in counted)
    return _by_trace(**dict(zip(names, counts, strict=True)))


_STREAM_RATIO = 0.9
"""A request that spends this share of its time on a stream is a stream too."""

Measure: TypeAlias = Literal["critical-time", "self-time", "duration"]
"""What spans are ranked by."""


class RequestOptions(Struct, frozen=True):
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


class Requests(Struct, frozen=True, eq=False):
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
    """For each span whether it is a connection that stays open; see `find_streams`."""
    apart: Ints
    """What looks like requests and is not counted as such, by trace; see `SetApart.of`."""

    @property
    def set_apart(self) -> SetApart:
        """What looks like requests and is not counted as such."""
        return SetApart.of(self.apart)


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
    is_entry, apart = tops.copy(), np.zeros((len(spans.traces), len(SetApart.__struct_fields__)), dtype=np.int64)
    if fragments.count and not options.with_fragments:
        loose = LooseEnds(whole, fragments, lineage, tops, None if options.whole_trace else options.service)
        is_entry = loose.without(tops)
        apart += loose.count(is_entry, top)
    unwanted = is_entry & _is_named(whole, options.without_operations)
    streams = find_streams(cut)
    is_stream = is_entry & ~unwanted & _lasts_as_long(cut, top, streams)
    if options.include_streams:
        is_stream[:] = False
    apart += _count_entries(cut, unwanted, is_stream, top)
    is_entry &= ~(unwanted | is_stream)
    entries, entry = np.flatnonzero(is_entry), np.where(is_entry[top], top, -1)
    return Requests(cut, whole, entries, entry, tops, streams, apart)


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
    known = spans.traces.services
    mine = spans.services == (known.index(options.service) if options.service in known else -1)
    if options.whole_trace:
        return flags_at(find_roots(spans.parents)[mine], spans.parents.size)
    return _topmost(spans.parents, mine)


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
    rows = rows[spans.duration_ns[rows] >= _STREAM_RATIO * spans.duration_ns[top[rows]]]
    return flags_at(top[rows], spans.parents.size)


def _topmost(parents: Ints, mine: Flags) -> Flags:
    nearest = find_roots(np.where(mine, -1, parents))
    inner = np.flatnonzero(mine & (parents >= 0))
    topmost = mine.copy()
    topmost[inner] = ~mine[nearest[parents[inner]]]
    return topmost
