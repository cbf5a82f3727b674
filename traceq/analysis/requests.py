"""Requests: what a service was asked, and everything that happened because of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import distinct
from traceq.analysis.lineage import NOTHING_KNOWN, Lineage, Operation, number_operations
from traceq.analysis.rejoining import Fragments, find_fragments, rejoin
from traceq.analysis.tree import find_roots
from traceq.semantics import Kind

Measure: TypeAlias = Literal["critical-time", "self-time", "duration"]
"""What spans are ranked by."""


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """Which requests to look at, and how."""

    service: str | None = None
    """The service that served them; None for every root."""
    whole_trace: bool = False
    """Whether to start at the traces' roots instead of the service's entry spans."""
    measure: Measure = "critical-time"
    """What spans are ranked by."""
    correct_skew: bool = True
    with_fragments: bool = False
    """Whether what hangs on a missing parent counts as a request too, as it does where one trace is drawn."""


@dataclass(frozen=True, slots=True)
class SetApart:
    """What looks like requests and is not counted among them; adds to others."""

    fragment_count: int = 0
    """Parts of traces whose parents are missing, and of which no other trace tells where they belong."""
    fragment_trace_count: int = 0
    """How many traces they are in."""
    fragment_span_count: int = 0
    """How many spans they hold."""
    incomplete_count: int = 0
    """Requests of which only fragments are there: their own span is missing, and so their latency."""

    def __add__(self, other: SetApart) -> SetApart:
        return SetApart(
            self.fragment_count + other.fragment_count,
            self.fragment_trace_count + other.fragment_trace_count,
            self.fragment_span_count + other.fragment_span_count,
            self.incomplete_count + other.incomplete_count,
        )

    def to_dict(self) -> dict[str, object]:
        """Give the counts as they stand in JSON."""
        return {
            "fragment_count": self.fragment_count,
            "fragment_trace_count": self.fragment_trace_count,
            "fragment_span_count": self.fragment_span_count,
            "incomplete_request_count": self.incomplete_count,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The requests in a span table, each the subtree under its entry span."""

    spans: Columns
    """The table with every entry span made a root."""
    whole: Columns
    """The table with fragments rejoined, and its trees whole."""
    entries: Ints
    """Rows of the entry spans, in input order. Their durations are the requests' latencies."""
    entry: Ints
    """One a span: the row of its request's entry span, -1 for a span that belongs to none."""
    set_apart: SetApart
    """What else is there."""


def find_requests(spans: Columns, options: RequestOptions, lineage: Lineage = NOTHING_KNOWN) -> Requests:
    """Find the requests that a service served.

    An entry span is the topmost span of the service on its branch: nothing of the service is above it. Calls back into
    the service further down belong to the request they serve. Subtrees of entries are disjoint. Without a service every
    root is an entry: the requests of nobody in particular.

    A span whose parent is missing is first put back where it belongs, as far as other traces show it. It is an entry
    only where it is known to be the first of a request; what else hangs on missing parents stands apart: how long the
    request took, to which it belongs, cannot be told from it.

    Args:
        spans: Any table, clocks corrected.
        options: Which requests are asked about.
        lineage: What stands above operations, learned from whatever traces are at hand.
    """
    fragments = find_fragments(spans)
    whole = rejoin(spans, fragments, lineage)
    tops = _find_tops(whole, options)
    cut = whole.with_parents(np.where(tops, -1, whole.parents))
    top = find_roots(cut.parents)
    is_entry, set_apart = tops, SetApart()
    if fragments.count and not options.with_fragments:
        loose = _Loose(whole, fragments, lineage, tops, None if options.whole_trace else options.service)
        is_entry = loose.without(tops)
        set_apart = loose.count(is_entry, top)
    return Requests(cut, whole, np.flatnonzero(is_entry), np.where(is_entry[top], top, -1), set_apart)


def _find_tops(spans: Columns, options: RequestOptions) -> Flags:
    """Tell the spans with which requests begin, if they are requests."""
    if options.service is None:
        return spans.parents < 0
    mine = _is_of(spans, options.service)
    return _roots_above(spans, mine) if options.whole_trace else _topmost(spans.parents, mine)


class _Loose:
    """The spans that stand first although they name a parent; arrays have one entry for each of them."""

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
        """Whether it is the first span of a request all the same."""
        if service is None:
            self.is_whole &= ~self._is_in_request()
            self.is_whole |= if_alone[numbers] & self._is_first()

    @staticmethod
    def _begins(operation: Operation, lineage: Lineage, service: str | None) -> tuple[bool, bool]:
        """Tell whether requests begin with an operation, and whether they may where nothing says otherwise.

        What is hardly ever seen below a parent is called by something that sends no spans: a browser, a gateway. A
        service is entered by what serves, and by what other services call.
        """
        from_outside = lineage.comes_from_outside(operation)
        if service is None:
            return from_outside, not lineage.origins(operation).child_count
        serves = operation.role in (Kind.SERVER, Kind.CONSUMER)
        return serves or from_outside or lineage.is_called_from_elsewhere(operation), False

    def _is_in_request(self) -> Flags:
        """Tell the spans that lie within the time of a request of their trace that is there."""
        whole = self._whole
        is_root = whole.parents < 0
        is_root[self.rows] = False
        roots = np.flatnonzero(is_root)
        start_ns = np.full(len(whole.traces), np.iinfo(np.int64).max)
        end_ns = np.full(len(whole.traces), np.iinfo(np.int64).min)
        np.minimum.at(start_ns, whole.trace[roots], whole.start_ns[roots])
        np.maximum.at(end_ns, whole.trace[roots], whole.end_ns[roots])
        traces, starts = whole.trace[self.rows], whole.start_ns[self.rows]
        inside: Flags = (start_ns[traces] <= starts) & (starts <= end_ns[traces])
        return inside

    def _is_first(self) -> Flags:
        """Tell the spans before which nothing is there: alone at the top of their trace, or serving, without a root."""
        whole = self._whole
        traces = whole.trace[self.rows]
        top_counts = np.bincount(whole.trace[whole.parents < 0], minlength=len(whole.traces))
        loose_counts = np.bincount(traces, minlength=len(whole.traces))
        serves = np.isin(whole.roles[self.rows], (Kind.SERVER, Kind.CONSUMER))
        first: Flags = (top_counts == loose_counts)[traces] & (serves | (top_counts == 1)[traces])
        return first

    def without(self, tops: Flags) -> Flags:
        """Leave out what is not the first span of a request."""
        entries = tops.copy()
        entries[self.rows[~self.is_whole]] = False
        return entries

    def count(self, entries: Flags, top: Ints) -> SetApart:
        """Count what is apart, and the requests whose own spans are missing.

        A fragment that was rejoined below another service has lost the span with which it entered this one. Of the
        others that is assumed in traces where nothing whole is left.
        """
        apart = ~self.is_whole
        rows, number = self.rows[apart], self._number[apart]
        traces = self._whole.trace[rows]
        has_entry = np.zeros(len(self._whole.traces), dtype=np.bool_)
        has_entry[self._whole.trace[entries]] = True
        joined = self._whole.parents[rows] >= 0
        lost = distinct(number[joined]).size + distinct(traces[~joined & ~has_entry[traces]]).size
        is_apart = np.zeros(top.size, dtype=np.bool_)
        is_apart[rows] = True
        return SetApart(
            fragment_count=distinct(number).size,
            fragment_trace_count=distinct(traces).size,
            fragment_span_count=int(np.count_nonzero(is_apart[top])),
            incomplete_count=lost,
        )


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
