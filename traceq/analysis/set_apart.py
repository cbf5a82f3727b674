"""What looks like requests and is not counted among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.grouping import added, distinct
from traceq.analysis.learning import number_operations
from traceq.analysis.rejoining import Fragments
from traceq.learned import Lineage, Operation
from traceq.report import Column, Unit
from traceq.semantics import Kind


@dataclass(frozen=True, slots=True)
class SetApart:
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
    def of_entries(unwanted: Flags, streams: Flags, top: Ints) -> SetApart:
        """Count entry spans that are left out, with the spans below them."""
        return SetApart(
            excluded_count=int(np.count_nonzero(unwanted)),
            excluded_span_count=int(np.count_nonzero(unwanted[top])),
            stream_count=int(np.count_nonzero(streams)),
            stream_span_count=int(np.count_nonzero(streams[top])),
        )

    @property
    def span_count(self) -> int:
        """The number of spans of everything that is set apart."""
        return self.fragment_span_count + self.stream_span_count + self.excluded_span_count


_Row = TypeVar("_Row")


def set_apart_specs(taken: Callable[[_Row], SetApart]) -> tuple[Column[_Row], ...]:
    """Describe the columns of what is set apart, and of incomplete requests.

    Args:
        taken: Takes it from a row.
    """
    counts: tuple[tuple[str, Callable[[SetApart], int], str], ...] = (
        ("fragment_count", lambda apart: apart.fragment_count, "parts of traces whose parents are missing"),
        ("fragment_trace_count", lambda apart: apart.fragment_trace_count, "the traces that hold them"),
        ("stream_count", lambda apart: apart.stream_count, "connections that stay open"),
        ("excluded_request_count", lambda apart: apart.excluded_count, "requests of operations that are left out"),
        ("span_count", lambda apart: apart.span_count, "in all of these"),
    )

    def column(key: str, count: Callable[[SetApart], int], about: str) -> Column[_Row]:
        return Column(key, unit=Unit.COUNT, value=lambda row: count(taken(row)), about=about, within="set_apart")

    incomplete = Column[_Row](
        "incomplete_request_count",
        unit=Unit.COUNT,
        value=lambda row: taken(row).incomplete_count,
        about="of these, those whose own span is missing: they have no latency",
    )
    return (incomplete, *(column(*each) for each in counts))


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
        start_ns = np.full(len(whole.traces), np.iinfo(np.int64).max)
        end_ns = np.full(len(whole.traces), np.iinfo(np.int64).min)
        np.minimum.at(start_ns, whole.trace[roots], whole.start_ns[roots])
        np.maximum.at(end_ns, whole.trace[roots], whole.end_ns[roots])
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

    def count(self, entries: Flags, top: Ints) -> SetApart:
        """Count what is set apart, and the requests whose entry spans are missing.

        A fragment that was rejoined below another service has lost the span with which it entered this one. For other
        fragments this is assumed in traces without a complete request.
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
