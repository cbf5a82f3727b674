"""Requests: what a service was asked, and everything that happened because of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.analysis.tree import find_roots


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """The requests in a span table, each the subtree under its entry span."""

    spans: Columns
    """The table with every entry span made a root."""
    entries: Ints
    """Rows of the entry spans, in input order. Their durations are the requests' latencies."""
    entry: Ints
    """One a span: the row of its request's entry span, -1 for a span that belongs to none."""


def find_requests(spans: Columns, service: str | None = None, *, whole_trace: bool = False) -> Requests:
    """Find the requests that a service served.

    An entry span is the topmost span of the service on its branch: nothing of the service is above it. Calls back into
    the service further down belong to the request they serve. Subtrees of entries are disjoint.

    Args:
        spans: Any table.
        service: None takes every root as an entry: the requests of nobody in particular.
        whole_trace: Whether to go up to the root of the traces that the service takes part in.
    """
    parents = spans.parents
    is_entry = parents < 0
    if service is not None:
        mine = _is_of(spans, service)
        is_entry = _roots_above(spans, mine) if whole_trace else _topmost(parents, mine)
    cut = spans.with_parents(np.where(is_entry, -1, parents))
    entry = find_roots(cut.parents)
    return Requests(cut, np.flatnonzero(is_entry), np.where(is_entry[entry], entry, -1))


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
