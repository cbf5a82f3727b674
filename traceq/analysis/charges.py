"""Who called whom, and what passed between the two: also where spans do not tell their kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.columns import Columns, Flags, Ints
from traceq.semantics import Kind


@dataclass(frozen=True, slots=True, eq=False)
class Charges:
    """Critical time told apart: spent in a span, or between a caller and its callee. One entry a span."""

    own_ns: Ints
    """What the span itself holds of its request's path; 0 for the client side of a call."""
    gap_ns: Ints
    """What the client side of the call to this span holds: network, queue, connection pool."""
    client: Ints
    """Row of the client side of the call to this span, -1 where there is none."""


def charge(spans: Columns, own_ns: Ints) -> Charges:
    """Tell what passes between callers and callees from what spans hold themselves.

    Args:
        spans: Any table.
        own_ns: What each span holds of its path (`Paths.own_ns`).
    """
    client = _client_sides(spans)
    callees = np.flatnonzero(client >= 0)
    gap_ns = np.zeros(own_ns.size, dtype=np.int64)
    gap_ns[callees] = own_ns[client[callees]]
    rest_ns = own_ns.copy()
    rest_ns[client[callees]] = 0
    return Charges(rest_ns, gap_ns, client)


def _client_sides(spans: Columns) -> Ints:
    """Give for each span that was called the row of its caller's client span, -1 for the others.

    A SERVER span under a CLIENT span is a call. Where neither tells its kind, the tree has to: a span whose only child
    is in another service, and that is not itself where its own service was entered, is taken for the client side.
    """
    parents = spans.parents
    called = (parents >= 0) & (_is_told_call(spans) | _is_untold_call(spans))
    callees = np.flatnonzero(called)[::-1]
    taken = np.full(parents.size, -1, dtype=np.int64)
    taken[parents[callees]] = callees  # of several callees the last one written, so the first in input order
    clients = np.flatnonzero(taken >= 0)
    client = np.full(parents.size, -1, dtype=np.int64)
    client[taken[clients]] = clients
    return client


def _is_told_call(spans: Columns) -> Flags:
    told: Flags = (spans.roles == Kind.SERVER) & (spans.roles[spans.parents] == Kind.CLIENT)
    return told


def _is_untold_call(spans: Columns) -> Flags:
    parents = spans.parents
    above = np.where(parents >= 0, parents[parents], -1)
    children = np.bincount(parents[parents >= 0], minlength=parents.size)
    untold = (spans.roles == Kind.UNSPECIFIED) & (spans.roles[parents] == Kind.UNSPECIFIED)
    leaves_service = spans.services != spans.services[parents]
    is_inner = (above >= 0) & (spans.services[above] == spans.services[parents])
    call: Flags = untold & leaves_service & is_inner & (children[parents] == 1)
    return call
