"""Who is to blame when more time passes between callers and callees: the callee, or the caller that many share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from traceq.analysis.columns import Ints
from traceq.analysis.comparison.batches import Batch, Floats, Gaps
from traceq.analysis.grouping import distinct


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Pairs of services of which one calls the other, numbered alike for two batches."""

    services: tuple[str, ...]
    service_of: Ints
    """One an operation."""
    callers: Ints
    """One an edge: number of a service."""
    callees: Ints

    def of(self, gaps: Gaps) -> Ints:
        """Give the edge of each entry."""
        keys = self.callers * len(self.services) + self.callees
        wanted = self.service_of[gaps.callers] * len(self.services) + self.service_of[gaps.callees]
        return np.searchsorted(keys, wanted)


def find_edges(before: Batch, after: Batch) -> Edges:
    """Number the services and the calls between them of two batches that number their operations alike."""
    services = tuple(sorted({key.service for key in before.operations}))
    numbers = {service: number for number, service in enumerate(services)}
    service_of = np.array([numbers[key.service] for key in before.operations], dtype=np.int64)
    keys = [service_of[gaps.callers] * len(services) + service_of[gaps.callees] for gaps in (before.gaps, after.gaps)]
    found = distinct(np.concatenate(keys))
    return Edges(services, service_of, found // max(len(services), 1), found % max(len(services), 1))


def caller_shares(edges: Edges, before: tuple[Floats, Floats], after: tuple[Floats, Floats]) -> Floats:
    """Give for each edge how much of the change between the two services is the caller's, 0..1.

    Time between caller and callee is charged to the callee. But a caller that waits longer for most of the services it
    calls is short of something itself: what the median of its callees gained is its own, and only what a callee gained
    beyond that is the callee's. A caller of one service alone tells nothing of the kind.

    Args:
        edges: The edges in question.
        before: Time between the two and calls, a request, of each edge.
        after: The same of the other side.
    """
    with_calls = (before[1] > 0) & (after[1] > 0)
    growth = np.zeros(edges.callers.size)
    growth[with_calls] = after[0][with_calls] / after[1][with_calls] - before[0][with_calls] / before[1][with_calls]
    shares = np.zeros(edges.callers.size)
    for caller in distinct(edges.callers[with_calls]).tolist():
        mine = np.flatnonzero(with_calls & (edges.callers == caller))
        common = _common(np.sort(growth[mine]))
        if common:
            same_way = mine[growth[mine] * common > 0]
            shares[same_way] = np.minimum(common / growth[same_way], 1)
    return shares


def _common(growths: Floats) -> float:
    """Give what most gained, or lost: the median, of two medians the one nearer to 0, and 0 where they disagree."""
    if growths.size < 2:
        return 0.0
    low, high = float(growths[(growths.size - 1) // 2]), float(growths[growths.size // 2])
    if low > 0:
        return low
    return high if high < 0 else 0.0
